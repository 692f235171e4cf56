"""The problems of golden/ run by this library: TensorFlow's by its TensorFlow 1 cells, others by layers."""

import numpy as np
import problems_onnx

import numbarnn as nr
from numbarnn import tf1, weights
from numbarnn.kernels.cells import TF1_LSTM_PROJECTION


def run(problem, dtype):
    """The results as the system returns them, flat."""
    return RUNS[problem.system](problem, dtype)


def as_state(cell, dtype):
    """The cell's initial states in TensorFlow's structure."""
    if cell.initial is None:
        return None
    states = [array.astype(dtype) for array in cell.initial]
    if not cell.options.get("state_is_tuple", True):
        return np.concatenate(states, axis=1)
    return tf1.LSTMStateTuple(*states) if len(states) > 1 else states[0]


def rnn_cell(cell, dtype):
    options = dict(cell.options)
    wrapper = options.pop("wrapper", None)
    made = getattr(tf1, cell.kind)(cell.units, dtype=dtype, **options)
    made.build(cell.inputs)
    made.set_weights(cell.weights)
    if wrapper == "DropoutWrapper":
        return tf1.DropoutWrapper(made, 1.0, 1.0, 1.0)
    return made if wrapper is None else tf1.ResidualWrapper(made)


def block_cell(cell):
    """BlockLSTMV2 is the other one with another order of gates and no forget bias."""
    if cell.kind == "GRUBlockCell":
        made, arrays = tf1.GRUBlockCell(cell.units), cell.weights
    else:
        options, arrays = dict(cell.options), cell.weights
        options["use_peephole"] = options.pop("use_peepholes")
        if cell.kind == "BlockLSTMV2":
            options["forget_bias"] = 0.0
            arrays = [*map(second_and_third_swapped, arrays[:2]), *arrays[2:]]
        kind = tf1.LSTMBlockCell if cell.kind == "LSTMBlockCell" else tf1.LSTMBlockFusedCell
        made = kind(cell.units, **options)
    made.build(cell.inputs)
    made.set_weights(arrays)
    return made


def second_and_third_swapped(array):
    i, f, j, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, j, f, o], axis=-1)


def flat(nest):
    return [array for item in nest for array in flat(item)] if isinstance(nest, list | tuple) else [nest]


def run_tensorflow(problem, dtype):
    x = problem.x.astype(dtype)
    x = x.swapaxes(0, 1) if problem.options["time_major"] else x
    if problem.system == "block_ops":
        cells = [block_cell(cell) for cell in problem.cells]
    else:
        cells = [rnn_cell(cell, dtype) for cell in problem.cells]
    states = [as_state(cell, dtype) for cell in problem.cells]
    options = {"sequence_length": problem.lengths, "dtype": dtype}
    if problem.form == "fused":
        return flat(cells[0](x, initial_state=states[0], **options))
    options |= problem.options
    if problem.form == "bidirectional":
        return flat(
            nr.bidirectional_dynamic_rnn(
                *cells, x, initial_state_fw=states[0], initial_state_bw=states[1], **options
            )
        )
    cell, state = cells[0], states[0]
    if problem.form == "stack":
        cell = tf1.MultiRNNCell(cells)
        state = None if state is None else tuple(states)
    return flat(nr.dynamic_rnn(cell, x, initial_state=state, **options))


def torch_cell(cell, dtype):
    options = {"use_bias": cell.options["bias"], "dtype": dtype}
    arrays = [array.astype(dtype) for array in cell.weights]
    if "proj_size" in cell.options:
        made = nr.FusedCell(
            TF1_LSTM_PROJECTION, cell.units, projection=cell.output_size, forget_bias=0.0, **options
        )
        found = weights.from_torch_layer("lstm", *arrays[:-1], weight_hr=arrays[-1])
        kernel, recurrent = map(gates_as_in_tensorflow, (found.kernel, found.recurrent_kernel))
        listed = [kernel, recurrent, found.projection]
        if cell.options["bias"]:
            listed.append(gates_as_in_tensorflow(found.bias))
    else:
        kind, name = {
            "RNN": (nr.SimpleRNNCell, "simple_rnn"),
            "LSTM": (nr.LSTMCell, "lstm"),
            "GRU": (nr.GRUCell, "gru"),
        }[cell.kind]
        if cell.kind == "RNN":
            options["activation"] = cell.options["nonlinearity"]
        made, listed = kind(cell.units, **options), weights.from_torch(name, *arrays)
    made.build(cell.inputs)
    made.set_weights(listed)
    return made


def gates_as_in_tensorflow(array):
    i, f, g, o = np.split(array, 4, axis=-1)
    return np.concatenate([i, g, f, o], axis=-1)


def torch_state(cell, dtype):
    """PyTorch has h before c, the cell with a projection c before h."""
    if cell.initial is None:
        return None
    states = [array.astype(dtype) for array in cell.initial]
    return states[::-1] if "proj_size" in cell.options else states


def run_torch(problem, dtype):
    """Layers of one direction are one RNN over a stack of cells, those of two are Bidirectional."""
    batch_first, x = problem.options["batch_first"], problem.x.astype(dtype)
    x = x if batch_first else x.swapaxes(0, 1)
    cells = [[torch_cell(cell, dtype) for cell in layer] for layer in problem.layers]
    given = [[torch_state(cell, dtype) for cell in layer] for layer in problem.layers]
    options = {"return_sequences": True, "return_state": True, "time_major": not batch_first}
    run = one_direction if len(cells[0]) == 1 else two_directions
    output, final = run(cells, given, x, problem.lengths, options)
    if "proj_size" in problem.cells[0].options:
        final = [states[::-1] for states in final]
    return [output, *(np.stack(arrays) for arrays in zip(*final, strict=True))]


def one_direction(cells, given, x, lengths, options):
    """The output and the states of each layer."""
    layer, initial = nr.RNN([cell for [cell] in cells], **options), None
    if given[0][0] is not None:
        initial = [states if len(states) > 1 else states[0] for [states] in given]
        initial = initial if len(cells) > 1 else given[0][0]
    output, *final = layer(x, initial, lengths=lengths)
    if len(cells) == 1:
        return output, [final]
    return output, [states if isinstance(states, list) else [states] for states in final]


def two_directions(cells, given, x, lengths, options):
    """The output and the states of each layer and direction."""
    final = []
    for (forward, backward), (state, state_backward) in zip(cells, given, strict=True):
        reversed_layer = nr.RNN(backward, go_backwards=True, **options)
        layer = nr.Bidirectional(nr.RNN(forward, **options), backward_layer=reversed_layer)
        layer.build(x.shape[-1])
        layer.set_weights([*forward.get_weights(), *backward.get_weights()])  # the first cell was a pattern
        initial = None if state is None else [*state, *state_backward]
        x, *found = layer(x, initial, lengths=lengths)
        final += [found[: len(found) // 2], found[len(found) // 2 :]]
    return x, final


RUNS = {
    "rnn_cell": run_tensorflow,
    "block_ops": run_tensorflow,
    "torch": run_torch,
    "onnxruntime": lambda problem, dtype: problems_onnx.run(problem),
}
