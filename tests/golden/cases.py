"""The recorded cases with their weights in Keras' layout and their outputs in processing order."""

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

import ceiling
import numpy as np
import oracle


@dataclass
class Case:
    """One call of one layer; `earlier` is the call before, of the same stateful layer.

    `options` are arguments of the layer and `inputs` arguments of the call; `oracle.run` takes both.
    `torch` holds PyTorch's own weight_ih, weight_hh, bias_ih and bias_hh.
    """

    name: str
    cell: str
    weights: list[np.ndarray]
    x: np.ndarray
    y: np.ndarray
    states: list[np.ndarray]
    options: dict = field(default_factory=dict)
    inputs: dict = field(default_factory=dict)
    earlier: "Case | None" = None
    torch: list[np.ndarray] = field(default_factory=list)

    def run(self, **precision):
        """The oracle's `(y, [states])`."""
        inputs = self.inputs
        if self.earlier:
            inputs = inputs | {"initial_state": self.earlier.run(**precision)[1]}
        return oracle.run(self.cell, self.weights, self.x, **inputs, **self.options, **precision)

    def ceiling(self, dtype):
        """The largest error that a computation in `dtype` may have: `(y, [states])`."""
        inputs = self.inputs
        if self.earlier:
            inputs = inputs | {"initial_state": self.earlier.run()[1],
                               "initial_error": self.earlier.ceiling(dtype)[1]}
        return ceiling.run(self.cell, self.weights, self.x, dtype, **inputs, **self.options)


def read(file):
    """The arrays of a recorded file by case; what belongs to the whole file is under ""."""
    found = defaultdict(dict)
    with np.load(Path(__file__).with_name(f"{file}.npz")) as arrays:
        for key, array in arrays.items():
            case, _, name = key.rpartition("/")
            found[case][name] = array
    return found


def reorder(array, order, axis):
    """The equal blocks of one axis in another order."""
    blocks = np.split(array, len(order), axis)
    return np.concatenate([blocks[k] for k in order], axis)


def reverse_rows(y, lengths=None):
    """Reverse the valid part of every row of y (B, T, H): from input order to processing order."""
    reverse = y.copy()
    for b, n in enumerate(np.full(len(y), y.shape[1]) if lengths is None else lengths):
        reverse[b, :n] = y[b, :n][::-1]
    return reverse


def torch_cases():
    """PyTorch: weight_ih (G*H, I), weight_hh (G*H, H), bias_ih, bias_hh; gates i f g o and r z n."""
    for name, arrays in read("torch").items():
        if not name:
            continue
        kind = name.split("-")[0]
        cell = {"lstm": "lstm", "gru": "gru"}.get(kind, "simple")
        for direction, suffix in enumerate(["", "_reverse"]):
            own = [arrays[f"{part}_l0{suffix}"] for part in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")]
            w_ih, w_hh, b_ih, b_hh = own
            if cell == "gru":
                w_ih, w_hh, b_ih, b_hh = (reorder(a, [1, 0, 2], 0) for a in own)
            weights = [w_ih.T, w_hh.T, np.stack([b_ih, b_hh]) if cell == "gru" else b_ih + b_hh]
            inputs = {"lengths": arrays["lengths"]} if "lengths" in arrays else {}
            if "h_0" in arrays:
                inputs["initial_state"] = [arrays[s][direction] for s in ("h_0", "c_0") if s in arrays]
            y = np.split(arrays["output"], 2, axis=-1)[direction]
            options = {"activation": "relu"} if kind == "rnn_relu" else {}
            if suffix:
                y, options["go_backwards"] = reverse_rows(y, inputs.get("lengths")), True
            yield Case(f"torch-{name}{suffix}", cell, weights, arrays["x"], y,
                       [arrays[s][direction] for s in ("h_n", "c_n") if s in arrays], options, inputs,
                       torch=own)


def keras_cases():
    """Keras: the layout everything else is brought into."""
    file = read("keras")
    found = {}
    for name, call in json.loads(str(file[""]["calls"])).items():
        cell = name.split("/")[0]
        shared = {key: array.astype(call["dtype"]) for key, array in file[cell].items()}
        options = {"return_sequences": False} | call["options"]
        weights = [shared["kernel"], shared["recurrent_kernel"], shared["bias"]]
        if not options.pop("use_bias", True):
            weights.pop()
        options.pop("stateful", None)
        second = "_second" if "earlier" in call else ""
        inputs = {"mask": file[""]["mask" + second]} if "mask" in call["given"] else {}
        if "initial_state" in call["given"]:
            inputs["initial_state"] = [shared[s] for s in ("initial_h", "initial_c") if s in shared]
        results = file[name]
        found[name] = Case(f"keras-{name}", cell, weights, shared["x" + second], results["output"],
                           [results[s] for s in ("final_h", "final_c") if s in results],
                           options, inputs, found.get(call.get("earlier")))
    yield from found.values()


def dynamic_rnn_cases():
    """TensorFlow 1: one kernel over [x, h]; gates i g f o with b_f + 1, and r z with a candidate apart."""
    for name, arrays in read("dynamic_rnn").items():
        kind = name.split("-")[0]
        for direction in ("fw", "bw"):
            if f"output_{direction}" not in arrays:
                continue
            variables, initial, final = (
                [arrays[f"{part}_{direction}_{k}"] for k in range(4) if f"{part}_{direction}_{k}" in arrays]
                for part in ("variable", "initial", "final"))
            if kind == "lstm":
                initial, final = initial[::-1], final[::-1]
            inputs = {"lengths": arrays["lengths"], "initial_state": initial} if initial else {}
            y, options = arrays[f"output_{direction}"], {} if initial else {"time_major": True}
            if direction == "bw":
                y, options["go_backwards"] = reverse_rows(y, arrays["lengths"]), True
            cell, weights = tf1_weights(kind, variables, arrays["x"].shape[-1])
            yield Case(f"dynamic_rnn-{name}-{direction}", cell, weights, arrays["x"], y, final,
                       options, inputs)


def tf1_weights(kind, variables, features):
    """The cell's name and its weights in Keras' layout."""
    if kind == "gru":
        gates_kernel, gates_bias, candidate_kernel, candidate_bias = variables
        kernel = np.concatenate([reorder(gates_kernel, [1, 0], 1), candidate_kernel], axis=1)
        bias = np.concatenate([reorder(gates_bias, [1, 0], 0), candidate_bias])
        return "gru_before", [kernel[:features], kernel[features:], bias]
    kernel, bias = variables
    if kind == "lstm":
        kernel, bias = reorder(kernel, [0, 2, 1, 3], 1), reorder(bias, [0, 2, 1, 3], 0)
        units = len(bias) // 4
        bias[units:2 * units] += 1
    return "lstm" if kind == "lstm" else "simple", [kernel[:features], kernel[features:], bias]


def onnx_cases():
    """ONNX: W (1, G*H, I), R (1, G*H, H), B = [Wb, Rb]; gates i o f g and z r n; time first."""
    cells = {"lstm": "lstm", "gru_after": "gru", "gru_before": "gru_before", "rnn": "simple"}
    for name, arrays in read("onnx").items():
        if not name:
            continue
        cell = cells[name.split("-")[0]]
        W, R, (b_w, b_r) = arrays["W"][0], arrays["R"][0], np.split(arrays["B"][0], 2)
        if cell == "lstm":
            W, R, b_w, b_r = (reorder(a, [0, 2, 3, 1], 0) for a in (W, R, b_w, b_r))
        weights = [W.T, R.T, np.stack([b_w, b_r]) if cell == "gru" else b_w + b_r]
        y, states = arrays["Y"][:, 0], [arrays[s][0] for s in ("Y_h", "Y_c") if s in arrays]
        inputs, options = {}, {"time_major": True}
        lengths = arrays.get("sequence_lens")
        if lengths is not None:
            initial = [arrays[s][0] for s in ("initial_h", "initial_c") if s in arrays]
            inputs = {"lengths": lengths, "initial_state": initial}
            # For an empty row ONNX Runtime returns zero states; here, as in TensorFlow, they are the initial.
            states = [np.where(lengths[:, None] == 0, *pair) for pair in zip(initial, states, strict=True)]
        if name.endswith("reverse"):
            y, options["go_backwards"] = np.swapaxes(reverse_rows(np.swapaxes(y, 0, 1), lengths), 0, 1), True
        yield Case(f"onnx-{name}", cell, weights, arrays["X"], y, states, options, inputs)


CASES = [*torch_cases(), *keras_cases(), *dynamic_rnn_cases(), *onnx_cases()]
