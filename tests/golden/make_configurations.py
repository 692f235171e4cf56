"""Record what Keras 2, Keras 3 on two backends and PyTorch make of configurations.py, a file for each system.

Run: python tests/golden/make_configurations.py --keras-python PYTHON --torch-python PYTHON [--only SYSTEM]

The first interpreter has tensorflow, tf_keras and keras, the second torch and keras; each system gets a
process of its own. A file holds all results in one array for each dtype; `recorded` says as JSON, for each
configuration by number, the structure of what every call returned and its arrays' shapes, or the error. What
a system has no way to say is left out. `--compare` prints how this library compares, instead of recording.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
from pathlib import Path

import configurations
import numpy as np

HERE = Path(__file__).parent
PLACES = {
    "tf_keras": ("keras_python", {"TF_USE_LEGACY_KERAS": "1"}),
    "keras_tensorflow": ("keras_python", {"KERAS_BACKEND": "tensorflow"}),
    "keras_torch": ("torch_python", {"KERAS_BACKEND": "torch"}),
    "torch": ("torch_python", {}),
}
UNKNOWN = {  # to each system, the activation it does not have
    "tf_keras": "hard_tanh",
    "keras_tensorflow": "hard_sigmoid_keras2",
    "keras_torch": "hard_sigmoid_keras2",
}


class KerasSystem:
    """Keras 2 or 3, whose calls are those of the configurations."""

    def __init__(self, name):
        self.name = name
        if name == "tf_keras":
            import tensorflow
            import tf_keras as keras

            self.versions = {"tf_keras": keras.__version__, "tensorflow": tensorflow.__version__}
        else:
            import keras

            engine = importlib.import_module(keras.backend.backend())
            self.versions = {"keras": keras.__version__, engine.__name__: engine.__version__}
        self.layers = keras.layers
        self.tensor = (
            importlib.import_module("torch").tensor if name == "keras_torch" else tensorflow_constant
        )

    def expressible(self, configuration):
        return all(
            UNKNOWN[self.name] not in (part.activation, part.recurrent_activation)
            for part in configuration.parts
        )

    def arguments(self, part):
        """The class' name without "Cell", and the arguments of a cell."""
        names = {"hard_sigmoid_keras2": "hard_sigmoid"}
        own = {"units": part.units, "use_bias": part.use_bias}
        own["activation"] = names.get(part.activation, part.activation)
        if part.cell == "simple":
            return "SimpleRNN", own
        own["recurrent_activation"] = names.get(part.recurrent_activation, part.recurrent_activation)
        if part.cell != "lstm":
            own["reset_after"] = part.cell == "gru"
        return ("LSTM" if part.cell == "lstm" else "GRU"), own

    def layer(self, part, configuration):
        name, own = self.arguments(part)
        options = configuration.options() | {"go_backwards": part.go_backwards, "dtype": configuration.dtype}
        return getattr(self.layers, name)(**own, **options)

    def made(self, configuration):
        """The layer, and its cells in the order of the parts."""
        parts, dtype = configuration.parts, configuration.dtype
        if configuration.kind == "layer":
            layer = self.layer(parts[0], configuration)
            return layer, [layer.cell]
        if configuration.kind == "stack":
            pairs = [self.arguments(part) for part in parts]
            cells = [getattr(self.layers, f"{name}Cell")(**own, dtype=dtype) for name, own in pairs]
            options = configuration.options() | {"go_backwards": parts[0].go_backwards, "dtype": dtype}
            # A list would become a stack of float32, which rounds the inputs.
            return self.layers.RNN(self.layers.StackedRNNCells(cells, dtype=dtype), **options), cells
        forward, *backward = (self.layer(part, configuration) for part in parts)
        layer = self.layers.Bidirectional(
            forward,
            merge_mode=configuration.merge_mode,
            backward_layer=backward[0] if configuration.own_backward else None,
            dtype=dtype,
        )
        return layer, [layer.forward_layer.cell, layer.backward_layer.cell]

    def run(self, configuration):
        """The nested results of every call."""
        layer, cells = self.made(configuration)
        first = configuration.calls[0].x
        layer.build(first.shape)
        layer.built = True
        for cell, part in zip(cells, configuration.parts, strict=True):
            cell.set_weights(part.weights)
        results = []
        for call in configuration.calls:
            given = {"initial_state": self.tensors(configuration.given_state(call)), "mask": call.mask}
            given = {name: value for name, value in given.items() if value is not None}
            results.append(self.arrays(layer(self.tensors(call.x), **given)))
        return results

    def tensors(self, nest):
        if isinstance(nest, list):
            return [self.tensors(item) for item in nest]
        return None if nest is None else self.tensor(nest)

    def arrays(self, nest):
        if isinstance(nest, list | tuple):
            return [self.arrays(item) for item in nest]
        return np.copy((nest.detach() if hasattr(nest, "detach") else nest).numpy())


def tensorflow_constant(array):
    import tensorflow

    return tensorflow.constant(array)


class TorchSystem:
    """nn.LSTM, nn.GRU and nn.RNN, whose output past a row's end is 0."""

    def __init__(self, name):
        import torch

        torch.set_grad_enabled(False)
        self.torch, self.versions = torch, {"torch": torch.__version__}

    def expressible(self, configuration):
        """Default activations, directions alike and in order, padding at the right and no empty row."""
        first, parts = configuration.parts[0], configuration.parts
        if configuration.kind == "stack" or configuration.merge_mode not in ("concat", None):
            return False
        if first.cell == "gru_before" or [part.go_backwards for part in parts] != [False, True][: len(parts)]:
            return False
        default = ("tanh", None) if first.cell == "simple" else configurations.DEFAULT
        alike = {(p.cell, p.units, p.use_bias, p.activation, p.recurrent_activation) for p in parts}
        if alike != {(first.cell, first.units, first.use_bias, *default)}:
            return False
        masks = [call.mask for call in configuration.calls if call.mask is not None]
        return all(mask[:, 0].all() and (mask[:, 1:] <= mask[:, :-1]).all() for mask in masks)

    def module(self, configuration):
        first = configuration.parts[0]
        make = {"lstm": self.torch.nn.LSTM, "gru": self.torch.nn.GRU, "simple": self.torch.nn.RNN}[first.cell]
        module = make(
            len(first.weights[0]),
            first.units,
            bias=first.use_bias,
            batch_first=True,
            bidirectional=len(configuration.parts) == 2,
            dtype=getattr(self.torch, configuration.dtype),
        )
        arrays = {}
        for part, suffix in zip(configuration.parts, ["_l0", "_l0_reverse"], strict=False):
            weights = map(swap_first_two, part.weights) if part.cell == "gru" else part.weights
            kernel, recurrent, *bias = weights
            named = {"weight_ih": kernel.T, "weight_hh": recurrent.T}
            for b in bias:
                named |= zip(("bias_ih", "bias_hh"), b if part.cell == "gru" else (b / 2, b / 2), strict=True)
            arrays |= {name + suffix: self.torch.tensor(array.copy()) for name, array in named.items()}
        module.load_state_dict(arrays)
        return module

    def run(self, configuration):
        module, results, states = self.module(configuration), [], None
        for call in configuration.calls:
            if call.initial_state is not None:
                states = [np.stack(s) for s in zip(*configuration.split(call.initial_state), strict=True)]
            output, final = self.call(module, call, states)
            states = final if configuration.stateful else None
            results.append(self.as_keras(configuration, output, final))
        return results

    def call(self, module, call, states):
        """The output and the final states, (directions, B, H) each."""
        utils, x = self.torch.nn.utils.rnn, self.torch.tensor(call.x)
        if states is not None:
            states = [self.torch.tensor(state) for state in states]
            states = tuple(states) if len(states) == 2 else states[0]
        if call.mask is not None:
            lengths = self.torch.tensor(call.mask.sum(axis=1))
            x = utils.pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        output, final = module(x, states)
        if call.mask is not None:
            output, _ = utils.pad_packed_sequence(output, batch_first=True, total_length=call.x.shape[1])
        return output.numpy(), [state.numpy() for state in (final if isinstance(final, tuple) else [final])]

    def as_keras(self, configuration, output, final):
        """What Keras would return: a Bidirectional's backward states follow the forward ones."""
        outputs = np.split(output, len(configuration.parts), axis=-1)
        if not configuration.return_sequences:
            outputs = list(final[0])
        if configuration.merge_mode == "concat":
            outputs = [np.concatenate(outputs, axis=-1)]
        states = [state[direction] for direction in range(len(final[0])) for state in final]
        results = [*outputs, *(states if configuration.return_state else [])]
        return results if len(results) > 1 else results[0]


def swap_first_two(array):
    """Gates z r n as r z n."""
    z, r, n = np.split(array, 3, axis=-1)
    return np.concatenate([r, z, n], axis=-1)


def record(name):
    """Write the file of one system."""
    system = TorchSystem(name) if name == "torch" else KerasSystem(name)
    drawn = configurations.draw_all()
    recorded, values = {}, {"float32": [], "float64": []}

    def described(nest):
        if isinstance(nest, list):
            return [described(item) for item in nest]
        values[str(nest.dtype)].append(nest.ravel())
        return {"dtype": str(nest.dtype), "shape": nest.shape}

    for configuration in filter(system.expressible, drawn):
        try:
            results = system.run(configuration)
        except (ValueError, TypeError, RuntimeError) as error:
            recorded[configuration.number] = {"error": f"{type(error).__name__}: {str(error)[:200]}"}
        else:
            recorded[configuration.number] = {"calls": described(results)}
    np.savez_compressed(
        HERE / f"configurations_{name}.npz",
        versions=json.dumps(system.versions | {"numpy": np.__version__}),
        digest=configurations.digest(drawn),
        recorded=json.dumps(recorded),
        **{dtype: np.concatenate(arrays) for dtype, arrays in values.items()},
    )
    errors = sum("error" in found for found in recorded.values())
    print(f"{name}: {len(recorded)} configurations, {errors} refused, {system.versions}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--keras-python", default=sys.executable)
    parser.add_argument("--torch-python", default=sys.executable)
    parser.add_argument("--only", choices=PLACES, action="append")
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--system", choices=PLACES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.compare:
        sys.path.insert(0, str(HERE.parent))
        import agreement

        agreement.summarize()
    elif arguments.system:
        record(arguments.system)
    else:
        for name in arguments.only or PLACES:
            python, environment = PLACES[name]
            quiet = {"TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"}
            command = [getattr(arguments, python), __file__, "--system", name]
            subprocess.run(command, env=os.environ | quiet | environment, check=True)


if __name__ == "__main__":
    main()
