"""Cells as users write them, by the public names alone, and for each its longhand: the formulas of its paper
on vectors, in any dtype, knowing nothing of phases, slots and traces.

Weights of a longhand are a dict by name; matrices act from the right. `total(bias, (vector, matrix), ...)` is
the sum of a bias and products.
"""

import numpy as np
import oracle

import numbarnn as nr
from numbarnn.math import exp, log1p, maximum, minimum, sigmoid, tanh, where

# The LSTM (Hochreiter and Schmidhuber 1997, Gers et al. 2000)


def lstm(i, f, g, o, c):
    c = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return sigmoid(o) * tanh(c), c


LSTM = nr.cell("user's lstm", states="h c", phases=[nr.phase("i:x+h f:x+h g:x+h o:x+h", lstm)])


def four(weights, x, h, total, order):
    """Pre-activations by gate: the columns of `order`."""
    W, U, b = (np.split(weights[name], len(order), -1) for name in ("kernel", "recurrent_kernel", "bias"))
    return {gate: total(b[k], (x, W[k]), (h, U[k])) for k, gate in enumerate(order)}


def lstm_longhand(weights, x, states, extra, total):
    h, c = states
    a = four(weights, x, h, total, "ifgo")
    c = oracle.sigmoid(a["f"]) * c + oracle.sigmoid(a["i"]) * np.tanh(a["g"])
    return [oracle.sigmoid(a["o"]) * np.tanh(c), c]


# Peepholes (Gers and Schmidhuber 2000): the gates see the cell state, the output gate the new one


def peephole(i, f, g, o, c, p_i, p_f, p_o):
    new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g)
    return sigmoid(o + p_o * new) * tanh(new), new


PEEPHOLE = nr.cell(
    "peephole lstm",
    states="h c",
    parameters="p_i p_f p_o",
    phases=[nr.phase("i:x+h f:x+h g:x+h o:x+h", peephole)],
)


def peephole_longhand(weights, x, states, extra, total):
    h, c = states
    a = four(weights, x, h, total, "ifgo")
    i = oracle.sigmoid(a["i"] + weights["p_i"] * c)
    f = oracle.sigmoid(a["f"] + weights["p_f"] * c)
    c = f * c + i * np.tanh(a["g"])
    o = oracle.sigmoid(a["o"] + weights["p_o"] * c)
    return [o * np.tanh(c), c]


# Coupled gates (Greff et al. 2017): f = 1 - i


def coupled(i, g, o, c):
    i = sigmoid(i)
    c = (1.0 - i) * c + i * tanh(g)
    return sigmoid(o) * tanh(c), c


COUPLED = nr.cell("coupled lstm", states="h c", phases=[nr.phase("i:x+h g:x+h o:x+h", coupled)])


def coupled_longhand(weights, x, states, extra, total):
    h, c = states
    a = four(weights, x, h, total, "igo")
    i = oracle.sigmoid(a["i"])
    c = (1 - i) * c + i * np.tanh(a["g"])
    return [oracle.sigmoid(a["o"]) * np.tanh(c), c]


# The minimal gated unit (Zhou et al. 2016): what is forgotten is not multiplied either


def forget(f, h):
    f = sigmoid(f)
    return f, f * h


def minimal(n, f, h):
    return (1.0 - f) * h + f * tanh(n)


MINIMAL = nr.cell(
    "minimal gated unit",
    states="h",
    phases=[nr.phase("f:x+h", forget, results="f fh"), nr.phase("n:x+fh", minimal)],
)


def minimal_longhand(weights, x, states, extra, total):
    [h] = states
    (W_f, W), (U_f, U), (b_f, b) = (
        np.split(weights[name], 2, -1) for name in ("kernel", "recurrent_kernel", "bias")
    )
    f = oracle.sigmoid(total(b_f, (x, W_f), (h, U_f)))
    return [(1 - f) * h + f * np.tanh(total(b, (x, W), (f * h, U)))]


# AUGRU (Zhou et al. 2019, in oneDNN's form): an attention in [0, 1] for each row and step weakens the update


def augru_gates(u, r, h):
    return sigmoid(u), sigmoid(r) * h


def augru(n, u, h, attention):
    u = (1.0 - attention) * u
    return u * h + (1.0 - u) * tanh(n)


AUGRU = nr.cell(
    "augru",
    states="h",
    extra="attention:1",
    phases=[nr.phase("u:x+h r:x+h", augru_gates, results="u rh"), nr.phase("n:x+rh", augru)],
)


def augru_longhand(weights, x, states, extra, total):
    [h] = states
    W, U, b = (np.split(weights[name], 3, -1) for name in ("kernel", "recurrent_kernel", "bias"))
    u, r = (oracle.sigmoid(total(b[k], (x, W[k]), (h, U[k]))) for k in (0, 1))
    n = np.tanh(total(b[2], (x, W[2]), (r * h, U[2])))
    u = (1 - extra["attention"]) * u
    return [u * h + (1 - u) * n]


# GRU-D (Che et al. 2018): the state fades with the time since each feature was last seen, then a GRU follows


def fade(h, gap, rate, offset):
    return exp(-maximum(0.0, rate * gap + offset)) * h


def grud_gates(z, r, d):
    return sigmoid(z), sigmoid(r) * d


def grud(n, z, d):
    return (1.0 - z) * d + z * tanh(n)


GRUD = nr.cell(
    "gru-d",
    states="h",
    parameters="rate=0.1 offset",
    extra="gap",
    phases=[
        nr.phase("", fade, results="d"),
        nr.phase("z:x+d r:x+d", grud_gates, results="z rd"),
        nr.phase("n:x+rd", grud),
    ],
)


def grud_longhand(weights, x, states, extra, total):
    [h] = states
    delta = np.exp(-np.maximum(weights["rate"] * extra["gap"] + weights["offset"], 0))
    h = delta * h
    W, U, b = (np.split(weights[name], 3, -1) for name in ("kernel", "recurrent_kernel", "bias"))
    z, r = (oracle.sigmoid(total(b[k], (x, W[k]), (h, U[k]))) for k in (0, 1))
    candidate = np.tanh(total(b[2], (x, W[2]), (r * h, U[2])))
    return [(1 - z) * h + z * candidate]


# sLSTM (Beck et al. 2024, as FlashRNN computes it): exponential gates, with a normaliser and a stabiliser


def slstm(i, f, z, o, c, n, m):
    log_f = minimum(f, 0.0) - log1p(exp(-abs(f))) + m
    top = where(n > 0.0, maximum(i, log_f), i)  # n is 0 before the first step alone
    i, f = exp(i - top), exp(log_f - top)
    c, n = f * c + i * tanh(z), maximum(f * n + i, 1.0)
    return sigmoid(o) * c / n, c, n, top


SLSTM = nr.cell("slstm", states="h c n m", phases=[nr.phase("i:x+h f:x+h z:x+h o:x+h", slstm)])


def slstm_longhand(weights, x, states, extra, total):
    h, c, n, m = states
    a = four(weights, x, h, total, "ifzo")
    log_f = m - np.logaddexp(0, -a["f"])
    m = a["i"] if not n.any() else np.maximum(a["i"], log_f)
    i, f = np.exp(a["i"] - m), np.exp(log_f - m)
    c = f * c + i * np.tanh(a["z"])
    n = np.maximum(f * n + i, 1)
    return [oracle.sigmoid(a["o"]) * c / n, c, n, m]


# minGRU (Feng et al. 2024): no gate sees the state


MINGRU = nr.cell(
    "mingru",
    states="h",
    phases=[nr.phase("z:x n:x", lambda z, n, h: (1.0 - sigmoid(z)) * h + sigmoid(z) * n)],
)


def mingru_longhand(weights, x, states, extra, total):
    [h] = states
    (W_z, W_n), (b_z, b_n) = np.split(weights["kernel"], 2, -1), np.split(weights["bias"], 2)
    z = oracle.sigmoid(total(b_z, (x, W_z)))
    return [(1 - z) * h + z * total(b_n, (x, W_n))]


# Zoneout (Krueger et al. 2017) on h and c: some of the old state stays, in the mean, or where a mask says so


def zoneout(i, f, g, o, h, c, *, rate_h=0.1, rate_c=0.5):
    new = sigmoid(f) * c + sigmoid(i) * tanh(g)
    output = sigmoid(o) * tanh(new)
    if rate_h:
        output = rate_h * h + (1.0 - rate_h) * output
    if rate_c:
        new = rate_c * c + (1.0 - rate_c) * new
    return output, new


ZONEOUT = nr.cell("zoneout lstm", states="h c", phases=[nr.phase("i:x+h f:x+h g:x+h o:x+h", zoneout)])
RATES = {"rate_h": 0.25, "rate_c": 0.375}


def zoneout_longhand(weights, x, states, extra, total):
    h, c = lstm_longhand(weights, x, states, extra, total)
    p, q = (h.dtype.type(RATES[name]) for name in ("rate_h", "rate_c"))
    return [p * states[0] + (1 - p) * h, q * states[1] + (1 - q) * c]


def zoneout_by_masks(i, f, g, o, h, c, keep_h, keep_c):
    new = sigmoid(f) * c + sigmoid(i) * tanh(g)
    return where(keep_h > 0.5, h, sigmoid(o) * tanh(new)), where(keep_c > 0.5, c, new)


MASKED_ZONEOUT = nr.cell(
    "zoneout lstm in training",
    states="h c",
    extra="keep_h keep_c",
    phases=[nr.phase("i:x+h f:x+h g:x+h o:x+h", zoneout_by_masks)],
)


def masked_zoneout_longhand(weights, x, states, extra, total):
    new = lstm_longhand(weights, x, states, extra, total)
    return [
        np.where(extra[f"keep_{s}"] == 1, old, after) for s, old, after in zip("hc", states, new, strict=True)
    ]


# One of our own: damped oscillators, two states that turn into each other over a time of any length, begun
# away from rest, and heard through a projection of another size. All kinds of names in one cell.


def turn(a, u, v, stiffness, damping, seconds, *, push=tanh):
    v = (v + seconds * (push(a) - stiffness * u)) / (1.0 + seconds * damping)
    return u + seconds * v, v


def hear(y_u, y_v, loudness, heard):
    return tanh(loudness * (y_u + heard * y_v))


OSCILLATORS = nr.cell(
    "oscillators",
    states="h:ears u=0.5 v=-0.25",
    parameters="stiffness=1.0 damping=0.1 loudness:ears=1.0",
    extra="seconds:1 heard:ears",
    phases=[
        nr.phase("a:x+h", turn, results="u v"),
        nr.phase("y:u|v", hear, results="h", units="ears"),
    ],
)


def oscillators_longhand(weights, x, states, extra, total):
    h, u, v = states
    of_inputs, of_states = weights["bias"]  # a slot with sums of both kinds apart has both, others their sum
    bias, d = of_inputs[: len(u)] + of_states[: len(u)], of_states[len(u) :]
    a = total(bias, (x, weights["kernel"]), (h, weights["recurrent_kernel"]))
    dt = extra["seconds"]
    v = (v + dt * (np.tanh(a) - weights["stiffness"] * u)) / (1 + dt * weights["damping"])
    u = u + dt * v
    M_u, M_v = np.split(weights["kernel_of_u"], 2, -1)
    y = total(d, (u, M_u)) + extra["heard"] * total(d, (v, M_v))
    return [np.tanh(weights["loudness"] * y), u, v]
