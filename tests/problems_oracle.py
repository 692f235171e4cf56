"""The truth for golden/problems.py: the equations of each system in longhand, from its documentation.

Rows are independent, so they are computed side by side.
"""

from typing import NamedTuple

import numpy as np
from problems_values import ACTIVATIONS, Value, select, sigmoid, tanh, total


class Expected(NamedTuple):
    """An array of the truth; what the plain loop makes of it; the largest error that rounding explains."""

    exact: np.ndarray
    naive: np.ndarray
    ceiling: np.ndarray


def basic_rnn(cell, w, x, states):
    """h' = act([x, h] K + b)"""
    (K, b), inputs = w, cell.inputs
    h = ACTIVATIONS[cell.options["activation"]](total([b], (x, K[:inputs]), (states[0], K[inputs:])))
    return h, [h]


def gru_cell(cell, w, x, states):
    """Gates r, u; the reset gate multiplies h before the product."""
    inputs, H, [h] = cell.inputs, cell.units, states
    K, b, K_c, b_c = w
    r = sigmoid(total([b[:H]], (x, K[:inputs, :H]), (h, K[inputs:, :H])))
    u = sigmoid(total([b[H:]], (x, K[:inputs, H:]), (h, K[inputs:, H:])))
    act = ACTIVATIONS[cell.options.get("activation", "tanh")]
    n = act(total([b_c], (x, K_c[:inputs]), (r * h, K_c[inputs:])))
    h = u * h + (1.0 - u) * n
    return h, [h]


def lstm_cell(cell, w, x, states):
    """TensorFlow's gates i, j, f, o; the forget bias is added in every step; states c, h.

    Peepholes are f, i, o, and a clip acts wherever it is given. Of the operators they are i, f, o, and a clip
    acts where it is positive; BlockLSTMV2 has the gates i, f, j, o and no forget bias.
    """
    inputs, H, options, (c, h) = cell.inputs, cell.units, cell.options, states
    w = list(w)
    K, b = w.pop(0), w.pop(0)
    act = ACTIVATIONS[options.get("activation", "tanh")]
    order = "ifjo" if cell.kind == "BlockLSTMV2" else "ijfo"
    forget_bias = {"f": [h.constant(options.get("forget_bias", 0.0))]}

    def gate(name):
        at = slice(order.index(name) * H, (order.index(name) + 1) * H)
        return total([b[at], *forget_bias.get(name, [])], (x, K[:inputs, at]), (h, K[inputs:, at]))

    i, j, f, o = map(gate, "ijfo")
    if options.get("use_peepholes"):
        peepholes = [w.pop(0) for _ in range(3)]
        w_i, w_f, w_o = peepholes if "Block" in cell.kind else (peepholes[1], peepholes[0], peepholes[2])
        i, f = i + w_i * c, f + w_f * c
    c = sigmoid(f) * c + sigmoid(i) * act(j)
    clip = options.get("cell_clip")
    if clip is not None and ("Block" not in cell.kind or clip > 0):
        c = c.clip(-clip, clip)
    if options.get("use_peepholes"):
        o = o + w_o * c
    h = sigmoid(o) * act(c)
    if "num_proj" in options:
        h = total([], (h, w.pop(0)))
        if options["proj_clip"] is not None:
            h = h.clip(-options["proj_clip"], options["proj_clip"])
    return h, [c, h]


def torch_sums(cell, w, x, h, count):
    """For each gate, the sums over x and over h with their own biases."""
    w_ih, w_hh, *biases = w[: 4 if cell.options["bias"] else 2]
    H = cell.units
    for gate in range(count):
        at = slice(gate * H, (gate + 1) * H)
        own = [[bias[at]] for bias in biases] or [[], []]
        yield (own[0], (x, transposed(w_ih[at]))), (own[1], (h, transposed(w_hh[at])))


def transposed(value):
    return value.each(np.transpose)


def joined(pair):
    """One sum of the two."""
    (biases, *products), (more_biases, *more) = pair
    return total([*biases, *more_biases], *products, *more)


def torch_rnn(cell, w, x, states):
    [pair] = torch_sums(cell, w, x, states[0], 1)
    h = ACTIVATIONS[cell.options["nonlinearity"]](joined(pair))
    return h, [h]


def torch_lstm(cell, w, x, states):
    """Gates i, f, g, o; states h, c; with proj_size h is multiplied by weight_hr."""
    h, c = states
    i, f, g, o = map(joined, torch_sums(cell, w, x, h, 4))
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    h = sigmoid(o) * tanh(c)
    if "proj_size" in cell.options:
        h = total([], (h, transposed(w[-1])))
    return h, [h, c]


def torch_gru(cell, w, x, states):
    """Gates r, z, n; the reset gate multiplies the product with its bias."""
    [h] = states
    r, z, (n_x, n_h) = torch_sums(cell, w, x, h, 3)
    r, z = sigmoid(joined(r)), sigmoid(joined(z))
    n = tanh(total(*n_x) + r * total(*n_h))
    h = z * h + (1.0 - z) * n
    return h, [h]


def onnx_parts(cell, w, x, count):
    """For each gate its biases of x and h and matrices; the functions; what clips a pre-activation; P."""
    W, R, *rest = w
    H = cell.units
    B = rest.pop(0) if cell.options["bias"] else None
    gates = []
    for gate in range(count):
        at, over = slice(gate * H, (gate + 1) * H), slice((count + gate) * H, (count + gate + 1) * H)
        biases = ([], []) if B is None else ([B[at]], [B[over]])
        gates.append((*biases, transposed(W[at]), transposed(R[at])))
    clip = cell.options["clip"]

    def called(name, *numbers):
        return lambda a: ACTIVATIONS[name](a if clip is None else a.clip(-clip, clip), *numbers)

    functions = [called(*function) for function in cell.options["activations"]]
    return gates, functions, rest


def onnx_sum(gate, x, h):
    own, recurrent, W, R = gate
    return total([*own, *recurrent], (x, W), (h, R))


def onnx_rnn(cell, w, x, states):
    [gate], [f], _ = onnx_parts(cell, w, x, 1)
    h = f(onnx_sum(gate, x, states[0]))
    return h, [h]


def onnx_gru(cell, w, x, states):
    """Gates z, r, h; linear_before_reset multiplies the product with its bias by r, else h before it."""
    [h] = states
    (gate_z, gate_r, gate_n), (f, g), _ = onnx_parts(cell, w, x, 3)
    z, r = f(onnx_sum(gate_z, x, h)), f(onnx_sum(gate_r, x, h))
    own, recurrent, W, R = gate_n
    if cell.options["linear_before_reset"]:
        n = g(total(own, (x, W)) + r * total(recurrent, (h, R)))
    else:
        n = g(onnx_sum(gate_n, x, r * h))
    h = (1.0 - z) * n + z * h
    return h, [h]


def onnx_lstm(cell, w, x, states):
    """Gates i, o, f, c and peepholes i, o, f; states h, c; what enters the last function is not clipped."""
    (h, c), H, options = states, cell.units, cell.options
    gates, (f, g, _), rest = onnx_parts(cell, w, x, 4)
    i, o, forget, n = (onnx_sum(gate, x, h) for gate in gates)
    if options["peepholes"]:
        [P] = rest
        i, forget = i + P[:H] * c, forget + P[2 * H :] * c
    i = f(i)
    c = (1.0 - i if options["input_forget"] else f(forget)) * c + i * g(n)
    if options["peepholes"]:
        o = o + P[H : 2 * H] * c
    name, *numbers = options["activations"][2]
    h = f(o) * ACTIVATIONS[name](c, *numbers)
    return h, [h, c]


STEPS = {
    "BasicRNNCell": basic_rnn,
    "GRUCell": gru_cell,
    "GRUBlockCell": gru_cell,
    "BasicLSTMCell": lstm_cell,
    "LSTMCell": lstm_cell,
    "LSTMBlockCell": lstm_cell,
    "BlockLSTM": lstm_cell,
    "BlockLSTMV2": lstm_cell,
    ("torch", "RNN"): torch_rnn,
    ("torch", "LSTM"): torch_lstm,
    ("torch", "GRU"): torch_gru,
    ("onnxruntime", "RNN"): onnx_rnn,
    ("onnxruntime", "LSTM"): onnx_lstm,
    ("onnxruntime", "GRU"): onnx_gru,
}


def run_cell(system, cell, x, lengths, reverse, dtype):
    """The output of every step in the order of the inputs, 0 past a row's end, and the final states."""
    step = STEPS[cell.kind if cell.kind in STEPS else (system, cell.kind)]
    weights, B, T = [Value.given(array, dtype) for array in cell.weights], len(lengths), len(x)
    initial = cell.initial or [np.zeros((B, size), np.float32) for size in cell.state_sizes]
    states, outputs = [Value.given(array, dtype) for array in initial], [None] * T
    for t in reversed(range(T)) if reverse else range(T):
        output, new = step(cell, weights, x[t], states)
        if cell.options.get("wrapper") == "ResidualWrapper":
            output = output + x[t]
        valid = (t < lengths)[:, None]
        outputs[t] = select(valid, output, output.each(np.zeros_like))
        states = [select(valid, *pair) for pair in zip(new, states, strict=True)]
    return outputs, states


def stacked(values, axis):
    return values[0].each(lambda *arrays: np.stack(arrays, axis), *values[1:])


def joined_features(values):
    return values[0].each(lambda *arrays: np.concatenate(arrays, axis=-1), *values[1:])


def packaged(problem, outputs, states):
    """The results as the system returns them; `outputs`: the last layer's, a list of steps per direction."""
    if problem.system == "onnxruntime":
        results = [stacked([stacked(steps, 0) for steps in outputs], 1)]
    else:
        batch_first = problem.options.get("batch_first", not problem.options.get("time_major"))
        results = [stacked(steps, 1 if batch_first else 0) for steps in outputs]
    if problem.system == "torch":
        results = [joined_features(results)]
    if problem.system in ("torch", "onnxruntime"):
        return [*results, *(stacked(of_all, 0) for of_all in zip(*states, strict=True))]
    for cell, of_cell in zip(problem.cells, states, strict=True):
        results += of_cell if cell.options.get("state_is_tuple", True) else [joined_features(of_cell)]
    return results


def expect(problem, dtype):
    """What each array of the results should be."""
    B, T, _ = problem.x.shape
    lengths = np.full(B, T) if problem.lengths is None else problem.lengths
    x, states = [Value.given(problem.x[:, t], dtype) for t in range(T)], []
    for layer in problem.layers:
        outputs = []
        for direction, cell in enumerate(layer):
            reverse = direction == 1 or problem.form == "reverse"
            found, final = run_cell(problem.system, cell, x, lengths, reverse, dtype)
            outputs.append(found)
            states.append(final)
        x = [joined_features(each) for each in zip(*outputs, strict=True)]
    results = packaged(problem, outputs, states)
    return [Expected(result.exact, result.naive, result.error) for result in results]
