"""Record what TensorFlow, PyTorch and ONNX Runtime make of problems.py, a file for each system.

Run: python tests/golden/make_problems.py --tensorflow-python PYTHON --peers-python PYTHON [--only SYSTEM]
     [--live]

The first interpreter has tensorflow and tf_keras, the second torch, onnx and onnxruntime; each system gets a
process of its own. A file holds all results in one array for each dtype; `recorded` says as JSON, for each
dtype and problem by number, the shapes of the results. `--live` leaves the files as they are: it compares
them, and this library, with what the systems give now.

Recorded by tensorflow 2.21.0 with tf_keras 2.21.0, torch 2.13.0, onnxruntime 1.32.0 with onnx 1.23.2.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from golden import problems  # noqa: E402  it is found by the line above

PLACES = {
    "rnn_cell": ("tensorflow_python", {"TF_USE_LEGACY_KERAS": "1"}),
    "block_ops": ("tensorflow_python", {"TF_USE_LEGACY_KERAS": "1"}),
    "torch": ("peers_python", {}),
    "onnxruntime": ("peers_python", {}),
}


class TensorFlowSystem:
    """`tf.compat.v1` in graph mode; operators that are no cells there are run as contrib's cells ran them."""

    def __init__(self, name):
        import tensorflow as tf
        import tf_keras

        tf.get_logger().setLevel("ERROR")  # all of this is deprecated
        self.tf, self.rnn_cell = tf, tf.compat.v1.nn.rnn_cell
        self.versions = {"tensorflow": tf.__version__, "tf_keras": tf_keras.__version__}

    def run(self, problem, dtype):
        with self.tf.Graph().as_default(), self.tf.compat.v1.Session() as session:
            x = problem.x.swapaxes(0, 1) if problem.options["time_major"] else problem.x
            x, loads = self.tf.constant(x.astype(dtype)), []
            if problem.form == "fused":
                results = self.fused(problem, x)
            else:
                results = self.dynamic(problem, x, dtype, loads)
            for made, weights in loads:
                for variable, array in zip(made.variables, weights, strict=True):
                    variable.load(array.astype(dtype), session)
            return self.tf.nest.flatten(session.run(results))

    def dynamic(self, problem, x, dtype, loads):
        """What dynamic_rnn or bidirectional_dynamic_rnn returns; `loads` is as of `cell`."""
        nn, call = (
            self.tf.compat.v1.nn,
            {"sequence_length": problem.lengths, "dtype": dtype} | problem.options,
        )
        cells = [self.cell(cell, dtype, loads) for cell in problem.cells]
        states = [self.state(cell, dtype) for cell in problem.cells]
        if problem.form == "bidirectional":
            call |= dict(zip(("initial_state_fw", "initial_state_bw"), states, strict=True))
            return nn.bidirectional_dynamic_rnn(*cells, x, **call)
        cell, state = cells[0], states[0]
        if problem.form == "stack":
            cell = self.rnn_cell.MultiRNNCell(cells)
            state = None if state is None else tuple(states)
        return nn.dynamic_rnn(cell, x, initial_state=state, **call)

    def state(self, cell, dtype):
        if cell.initial is None:
            return None
        states = [self.tf.constant(array.astype(dtype)) for array in cell.initial]
        if not cell.options.get("state_is_tuple", True):
            return self.tf.concat(states, axis=1)
        return self.rnn_cell.LSTMStateTuple(*states) if len(states) > 1 else states[0]

    def cell(self, cell, dtype, loads):
        """The cell; what is to be loaded into its variables is added to `loads`."""
        if "Block" in cell.kind:
            return self.block_cell(cell)
        options = dict(cell.options)
        wrapper = options.pop("wrapper", None)
        activation = getattr(self.tf.nn, options.pop("activation"))
        made = getattr(self.rnn_cell, cell.kind)(cell.units, activation=activation, dtype=dtype, **options)
        loads.append((made, cell.weights))
        if wrapper == "DropoutWrapper":
            return self.rnn_cell.DropoutWrapper(made, 1.0, 1.0, 1.0)
        return made if wrapper is None else self.rnn_cell.ResidualWrapper(made)

    def attributes(self, cell):
        """Of the LSTM operators, all but the state and the inputs."""
        H, options = cell.units, cell.options
        w, b, *peepholes = cell.weights
        wci, wcf, wco = peepholes or [np.zeros(H, np.float32)] * 3  # the order in which the cells made them
        found = {"w": w, "b": b, "wci": wci, "wcf": wcf, "wco": wco, "use_peephole": options["use_peepholes"]}
        found["cell_clip"] = -1.0 if options["cell_clip"] is None else options["cell_clip"]
        if "forget_bias" in options:
            found["forget_bias"] = options["forget_bias"]
        return found

    def block_cell(self, cell):
        ops, Tuple, system = self.tf.raw_ops, self.rnn_cell.LSTMStateTuple, self

        class BlockCell(self.rnn_cell.RNNCell):
            output_size = cell.units
            state_size = cell.units if cell.kind == "GRUBlockCell" else Tuple(cell.units, cell.units)

            def call(self, inputs, state):
                if cell.kind == "GRUBlockCell":
                    w_ru, b_ru, w_c, b_c = cell.weights
                    found = ops.GRUBlockCell(x=inputs, h_prev=state, w_ru=w_ru, w_c=w_c, b_ru=b_ru, b_c=b_c)
                    return found.h, found.h
                given = system.attributes(cell)
                found = ops.LSTMBlockCell(x=inputs, cs_prev=state.c, h_prev=state.h, **given)
                return found.h, Tuple(found.cs, found.h)

        return BlockCell()

    def fused(self, problem, x):
        """What LSTMBlockFusedCell did in Python around the operator."""
        [cell], (B, T, _), H = problem.cells, problem.x.shape, problem.cells[0].units
        c, h = cell.initial or [np.zeros((B, H), np.float32)] * 2
        lengths = np.full(B, T) if problem.lengths is None else problem.lengths
        operator = getattr(self.tf.raw_ops, cell.kind)
        found = operator(
            seq_len_max=np.int64(lengths.max()), x=x, cs_prev=c, h_prev=h, **self.attributes(cell)
        )
        mask = self.tf.transpose(self.tf.sequence_mask(lengths, T, self.tf.float32))
        outputs = found.h * mask[:, :, None]
        at_ends = np.stack([lengths, np.arange(B)], axis=1)
        ends = [
            self.tf.gather_nd(self.tf.concat([start[None], steps], 0), at_ends)
            for start, steps in ((c, found.cs), (h, outputs))
        ]
        return outputs, *ends


class TorchSystem:
    """nn.RNN, nn.LSTM and nn.GRU; padding after packed sequences is 0."""

    def __init__(self, name):
        import torch

        torch.set_grad_enabled(False)
        self.torch, self.versions = torch, {"torch": torch.__version__}

    def module(self, problem, dtype):
        first = problem.cells[0]
        module = getattr(self.torch.nn, first.kind)(
            first.inputs,
            first.units,
            num_layers=len(problem.layers),
            bidirectional=len(problem.layers[0]) == 2,
            dtype=getattr(self.torch, dtype),
            **problem.options,
            **first.options,
        )
        weights = [array.astype(dtype) for cell in problem.cells for array in cell.weights]
        for parameter, array in zip(module.parameters(), weights, strict=True):
            parameter.copy_(self.torch.tensor(array))
        return module

    def run(self, problem, dtype):
        utils, batch_first = self.torch.nn.utils.rnn, problem.options["batch_first"]
        x = problem.x if batch_first else problem.x.swapaxes(0, 1)
        x = self.torch.tensor(x.astype(dtype))
        states = None
        if problem.cells[0].initial is not None:
            per_state = zip(*(cell.initial for cell in problem.cells), strict=True)
            states = tuple(self.torch.tensor(np.stack(arrays).astype(dtype)) for arrays in per_state)
            states = states if len(states) > 1 else states[0]
        if problem.lengths is not None:
            lengths = self.torch.tensor(problem.lengths)
            x = utils.pack_padded_sequence(x, lengths, batch_first, enforce_sorted=False)
        output, final = self.module(problem, dtype)(x, states)
        if problem.lengths is not None:
            output, _ = utils.pad_packed_sequence(output, batch_first, total_length=problem.x.shape[1])
        return [array.numpy() for array in (output, *(final if isinstance(final, tuple) else [final]))]


class OnnxRuntimeSystem:
    """One node in one graph, on the CPU."""

    ATTRIBUTES = ("clip", "input_forget", "linear_before_reset")

    def __init__(self, name):
        import onnx
        import onnxruntime

        self.onnx, self.runtime = onnx, onnxruntime
        self.versions = {"onnxruntime": onnxruntime.__version__, "onnx": onnx.__version__}

    def arrays(self, problem):
        """The node's inputs, in order."""
        first, options = problem.cells[0], problem.cells[0].options
        found = {"X": problem.x.swapaxes(0, 1)}
        names = ["W", "R", *["B"] * options["bias"], *["P"] * options.get("peepholes", False)]
        weights = zip(*(cell.weights for cell in problem.cells), strict=True)
        found |= {name: np.stack(arrays) for name, arrays in zip(names, weights, strict=True)}
        if problem.lengths is not None:
            found["sequence_lens"] = problem.lengths.astype(np.int32)
        if first.initial is not None:
            states = zip(*(cell.initial for cell in problem.cells), strict=True)
            found |= zip(("initial_h", "initial_c"), map(np.stack, states), strict=False)
        return found

    def attributes(self, problem):
        first = problem.cells[0]
        found = {"hidden_size": first.units, "direction": problem.form}
        found |= {
            name: first.options[name] for name in self.ATTRIBUTES if first.options.get(name) is not None
        }
        functions = [function for cell in problem.cells for function in cell.options["activations"]]
        if functions != [default for _ in problem.cells for default in problems.ONNX_DEFAULTS[first.kind]]:
            found["activations"] = [name for name, *_ in functions]
        if any(numbers for _, *numbers in functions):  # those that are not told would take their neighbours'
            functions = [("HardSigmoid", 0.2, 0.5) if f == ("HardSigmoid",) else f for f in functions]
            found["activation_alpha"] = [numbers[0] for _, *numbers in functions if numbers]
            found["activation_beta"] = [numbers[1] for _, *numbers in functions if len(numbers) > 1]
        return {name: value for name, value in found.items() if value != []}

    def run(self, problem, dtype):
        helper, types = self.onnx.helper, self.onnx.TensorProto
        arrays, operator = self.arrays(problem), problem.cells[0].kind

        def value(name):
            kind = types.INT32 if name == "sequence_lens" else types.FLOAT
            return helper.make_tensor_value_info(name, kind, None)

        order = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c", "P")
        names = [name if name in arrays else "" for name in order[: 8 if operator == "LSTM" else 6]]
        outputs = ["Y", "Y_h", "Y_c"][: 3 if operator == "LSTM" else 2]
        node = helper.make_node(operator, names, outputs, **self.attributes(problem))
        graph = helper.make_graph([node], operator, list(map(value, arrays)), list(map(value, outputs)))
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=10)
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = 1
        session = self.runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return session.run(outputs, arrays)


SYSTEMS = {
    "rnn_cell": TensorFlowSystem,
    "block_ops": TensorFlowSystem,
    "torch": TorchSystem,
    "onnxruntime": OnnxRuntimeSystem,
}


def record(name, folder):
    """Write the file of one system."""
    system, drawn = SYSTEMS[name](name), problems.draw_all()
    own = [problem for problem in drawn if problem.system == name]
    recorded, values = {}, {}
    for dtype in problems.DTYPES[name]:
        found = {problem.number: [np.asarray(a) for a in system.run(problem, dtype)] for problem in own}
        recorded[dtype] = {number: [array.shape for array in arrays] for number, arrays in found.items()}
        values[dtype] = np.concatenate([array.ravel() for arrays in found.values() for array in arrays])
        if values[dtype].dtype != dtype:
            raise TypeError(f"{name} gave {values[dtype].dtype} for {dtype}")
    np.savez_compressed(
        folder / f"problems_{name}.npz",
        versions=json.dumps(system.versions | {"numpy": np.__version__}),
        digest=problems.digest(drawn),
        recorded=json.dumps(recorded),
        **values,
    )
    print(f"{name}: {len(own)} problems in {' and '.join(values)}, {system.versions}")


def compare(names, folder):
    """Say how many problems give the recorded numbers again, and how this library compares with new ones."""
    import problems_agreement

    for name in names:
        now, then = (problems_agreement.recording(name, place) for place in (folder, HERE))
        for dtype, found in now.found.items():
            pairs = [
                pair
                for number in found
                for pair in zip(found[number], then.found[dtype][number], strict=True)
            ]
            others = [(a, b) for a, b in pairs if not np.array_equal(a, b, equal_nan=True)]
            apart = np.max([np.abs(a - b).max() for a, b in others], initial=0)
            print(
                f"{name}, {dtype}: {len(pairs) - len(others)} of {len(pairs)} arrays to the bit as", end=" "
            )
            print(f"recorded, the others within {apart:.3g}")
    problems_agreement.summarize(names, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--tensorflow-python", default=sys.executable)
    parser.add_argument("--peers-python", default=sys.executable)
    parser.add_argument("--only", choices=PLACES, action="append")
    parser.add_argument("--live", action="store_true", help="compare with the files instead of writing them")
    parser.add_argument("--system", choices=PLACES, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, default=HERE, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.system:
        record(arguments.system, arguments.folder)
        return
    names = arguments.only or list(PLACES)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) if arguments.live else HERE
        for name in names:
            python, environment = PLACES[name]
            quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1", "PYTHONWARNINGS": "ignore"}
            command = [getattr(arguments, python), __file__, "--system", name, "--folder", str(folder)]
            subprocess.run(command, env=os.environ | quiet | environment, check=True)
        if arguments.live:
            compare(names, folder)


if __name__ == "__main__":
    main()
