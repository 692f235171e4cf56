"""TensorFlow 1's cells in longhand NumPy, from its variables, row by row and step by step."""

import numpy as np
import oracle
from oracle import sigmoid


def basic_rnn(variables, x, states, total, act):
    kernel, bias = variables
    [h] = states
    h = act(over(total, kernel, bias, x, h))
    return h, [h]


def gru(variables, x, states, total, act, block=False):
    """The reset before the product; `block` is GRUBlockCell's rounding."""
    gates, gates_bias, kernel, bias = variables
    [h] = states
    r, u = np.split(sigmoid(over(total, gates, gates_bias, x, h)), 2)
    n = act(over(total, kernel, bias, x, r * h))
    h = u * (h - n) + n if block else u * h + (1.0 - u) * n
    return h, [h]


def gru_block(*arguments):
    return gru(*arguments, block=True)


def gru_cudnn(variables, x, states, total, act):
    gates, gates_bias, kernel, recurrent_kernel, bias, recurrent_bias = variables
    [h] = states
    r, u = np.split(sigmoid(over(total, gates, gates_bias, x, h)), 2)
    n = act(total(bias, (x, kernel)) + r * total(recurrent_bias, (h, recurrent_kernel)))
    h = (1.0 - u) * n + u * h
    return h, [h]


def lstm(
    variables, x, states, total, act,
    forget_bias=1.0, peepholes="", cell_clip=None, projects=False, proj_clip=None,
):  # fmt: skip
    """`peepholes`: the gates in the order of their variables, "fio" or "ifo"."""
    kernel, bias, *rest = variables
    w = dict(zip(peepholes, rest, strict=False)) or dict.fromkeys("ifo", np.zeros_like(states[0]))
    c, h = states
    i, j, f, o = np.split(over(total, kernel, bias, x, h), 4)
    c = sigmoid(f + forget_bias + w["f"] * c) * c + sigmoid(i + w["i"] * c) * act(j)
    c = clipped(c, cell_clip)
    h = sigmoid(o + w["o"] * c) * act(c)
    if projects:
        h = clipped(total(np.zeros(rest[-1].shape[1], h.dtype), (h, rest[-1])), proj_clip)
    return h, [c, h]


def over(total, kernel, bias, x, h):
    """[x, h] kernel + bias."""
    return total(bias, (x, kernel[: len(x)]), (h, kernel[len(x) :]))


def clipped(value, limit):
    """tf.clip_by_value(value, -limit, limit)."""
    return value if limit is None else np.maximum(np.minimum(value, value.dtype.type(limit)), -limit)


def run(
    step, variables, x, initial, lengths=None, activation="tanh", dtype=np.float64, naive=False, **options
):
    """Outputs (B, T, size), 0 past the lengths, and the final states; x is (B, T, I)."""
    variables, x = [np.asarray(v, dtype) for v in variables], np.asarray(x, dtype)
    total = oracle.ordered_sum if naive else oracle.matrix_sum
    final = [np.array(state, dtype) for state in initial]
    B, T, _ = x.shape
    rows = []
    for b, n in enumerate(np.full(B, T) if lengths is None else lengths):
        states, outputs = [state[b] for state in final], []
        for t in range(n):
            act = oracle.ACTIVATIONS[activation]
            output, states = step(variables, x[b, t], states, total, act, **options)
            outputs.append(output)
        for state, new in zip(final, states, strict=True):
            state[b] = new
        zero = np.zeros_like(final[-1][b])
        rows.append(np.stack(outputs + [zero] * (T - n)))
    return np.stack(rows), final


def both(dtype, *arguments, **options):
    """For each result the exact one and that of a plain loop in `dtype`."""
    wide = np.float64 if dtype == "float32" else np.longdouble
    exact = run(*arguments, dtype=wide, **options)
    naive = run(*arguments, dtype=np.dtype(dtype).type, naive=True, **options)
    return zip([exact[0], *exact[1]], [naive[0], *naive[1]], strict=True)


def run_stack(
    layers, x, initial, lengths, dtype=np.float64, naive=False,
    inputs=None, kept=None, outputs=None, residual=False,
):  # fmt: skip
    """A stack: `layers` are pairs (step, variables), `initial` has a list of states for each. Factors (B, T,
    size) on the stack's inputs, on the last state that each cell keeps, and on the stack's outputs, to which
    `residual` has added the inputs before.
    """
    total, act = oracle.ordered_sum if naive else oracle.matrix_sum, np.tanh
    layers = [(step, [np.asarray(v, dtype) for v in variables]) for step, variables in layers]
    x = np.asarray(x, dtype) if inputs is None else np.asarray(x, dtype) * np.asarray(inputs, dtype)
    final, rows = [[np.array(state, dtype) for state in states] for states in initial], []
    for b, n in enumerate(lengths):
        row = []
        for t in range(n):
            value = x[b, t]
            for k, (step, variables) in enumerate(layers):
                value, states = step(variables, value, [state[b] for state in final[k]], total, act)
                if kept is not None:
                    states[-1] = states[-1] * np.asarray(kept[k][b, t], dtype)
                for array, new in zip(final[k], states, strict=True):
                    array[b] = new
            value = x[b, t] + value if residual else value
            row.append(value if outputs is None else value * np.asarray(outputs[b, t], dtype))
        rows.append(np.stack(row + [np.zeros_like(final[-1][-1][b])] * (x.shape[1] - n)))
    return [np.stack(rows), *(state for states in final for state in states)]
