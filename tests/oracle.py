"""The truth the tests compare with: the published equations in longhand NumPy, row by row, step by step.

Weights have Keras' layout: kernel (I, G*H), recurrent_kernel (H, G*H) and bias (G*H), or (2, G*H) for the GRU
whose reset gate acts after the product; or the first two alone. Gates are i f g o (LSTM) and z r n (GRU).
"""

import itertools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np


def sigmoid(a):
    return 1.0 / (1.0 + np.exp(-a))


def relu(a):
    return np.where(a < 0, a.dtype.type(0), a)


def linear(a):
    return a


ACTIVATIONS = {
    "tanh": np.tanh, "sigmoid": sigmoid, "relu": relu, "exponential": np.exp, "linear": linear, None: linear,
}


def matrix_sum(bias, *products):
    """`x @ W + h @ U + bias` for the products (x, W) and (h, U)."""
    return sum(vector @ matrix for vector, matrix in products) + bias


def ordered_sum(bias, *products):
    """The same sum, one rounded term after the other: the bias, then x from k = 0, then h from k = 0."""
    terms = [bias[None]] + [vector[:, None] * matrix for vector, matrix in products]
    return np.add.accumulate(np.concatenate(terms))[-1]


def gates(count, *weights):
    """One tuple (kernel, recurrent kernel, biases...) for each gate."""
    return zip(*(np.split(array, count, axis=-1) for array in weights), strict=True)


def simple_rnn(weights, x, states, act, rec, total):
    """Elman (1990): h' = act(x W + h U + b)."""
    W, U, b = weights
    [h] = states
    h = act(total(b, (x, W), (h, U)))
    return h, [h]


def lstm(weights, x, states, act, rec, total):
    """Hochreiter and Schmidhuber (1997) with the forget gate of Gers et al. (2000)."""
    h, c = states
    i, f, g, o = (total(b, (x, W), (h, U)) for W, U, b in gates(4, *weights))
    c = rec(f) * c + rec(i) * act(g)
    h = rec(o) * act(c)
    return h, [h, c]


def gru_reset_after(weights, x, states, act, rec, total):
    """Cho et al. (2014), first version, as in cuDNN: the reset gate multiplies the product and its bias."""
    W, U, bias = weights
    [h] = states
    (Wz, Uz, bz, cz), (Wr, Ur, br, cr), (Wn, Un, bn, cn) = gates(3, W, U, bias[0], bias[1])
    z = rec(total(bz + cz, (x, Wz), (h, Uz)))
    r = rec(total(br + cr, (x, Wr), (h, Ur)))
    n = act(total(bn, (x, Wn)) + r * total(cn, (h, Un)))
    h = z * h + (1.0 - z) * n
    return h, [h]


def gru_reset_before(weights, x, states, act, rec, total):
    """Cho et al. (2014), third version: the reset gate multiplies the state before the product."""
    [h] = states
    (Wz, Uz, bz), (Wr, Ur, br), (Wn, Un, bn) = gates(3, *weights)
    z = rec(total(bz, (x, Wz), (h, Uz)))
    r = rec(total(br, (x, Wr), (h, Ur)))
    n = act(total(bn, (x, Wn), (r * h, Un)))
    h = z * h + (1.0 - z) * n
    return h, [h]


class Cell(NamedTuple):
    """A step `(weights, x, states, act, rec, total) -> output, states`; how many states and biases it has."""

    step: Callable[..., Any]
    states: int = 1
    biases: int = 1


CELLS = {
    "simple": Cell(simple_rnn),
    "lstm": Cell(lstm, states=2),
    "gru": Cell(gru_reset_after, biases=2),
    "gru_before": Cell(gru_reset_before),
}


def sequences(resets, go_backwards):
    """The times of one row, cut before every reset, in the order in which they are taken."""
    starts = [0] + [t for t in range(1, len(resets)) if resets[t]]
    pieces = [list(range(*ends)) for ends in itertools.pairwise([*starts, len(resets)])]
    return [piece[::-1] for piece in reversed(pieces)] if go_backwards else pieces


def run_row(step, x, initial, mask, resets, go_backwards, zero_output_for_mask):
    """One row without padding: its outputs in processing order and its final states."""
    zeros = [np.zeros_like(state) for state in initial]
    starts_anew = len(x) > 0 and resets[0] and not go_backwards
    outputs, states = [], zeros if starts_anew else initial
    for number, times in enumerate(sequences(resets, go_backwards)):
        if number > 0:
            states = zeros
        held = zeros[0]
        for t in times:
            if mask[t]:
                held, states = step(x[t], states)
                outputs.append(held)
            else:
                outputs.append(zeros[0] if zero_output_for_mask else held)
    return outputs, states


def run(cell, weights, x, initial_state=None, mask=None, lengths=None, resets=None, go_backwards=False,
        return_sequences=True, zero_output_for_mask=False, time_major=False, activation="tanh",
        recurrent_activation="sigmoid", dtype=np.float64, naive=False):
    """Run one layer; return `(y, [states])`.

    `cell` is a name in CELLS or a Cell, activations are names or functions. x is (B, T, I), y (B, T, H), or
    (B, H) without return_sequences; with `time_major` x, mask, resets and y are time first. `dtype` is the
    precision of everything, `naive` adds term by term: together the plain loop that tolerances are made of.
    """
    if mask is not None and lengths is not None:
        raise ValueError("mask and lengths: pass one of the two")
    cell = CELLS[cell] if isinstance(cell, str) else cell
    x = np.asarray(x, dtype)
    if time_major:
        x, mask, resets = (a if a is None else np.swapaxes(a, 0, 1) for a in (x, mask, resets))
    (B, T, _), H = x.shape, len(weights[1])
    weights = _with_bias(cell, [np.asarray(w, dtype) for w in weights])
    act, rec = (a if callable(a) else ACTIVATIONS[a] for a in (activation, recurrent_activation))
    initial = _state_arrays(cell, initial_state, B, H, dtype)
    lengths = np.full(B, T) if lengths is None else lengths
    mask = np.ones((B, T), bool) if mask is None else mask
    resets = np.zeros((B, T), bool) if resets is None else resets

    def step(x_t, states):
        with np.errstate(all="ignore"):
            return cell.step(weights, x_t, states, act, rec, ordered_sum if naive else matrix_sum)

    y, last = np.zeros((B, T, H), dtype), np.zeros((B, H), dtype)
    final = [np.zeros((B, H), dtype) for _ in initial]
    for b, n in enumerate(lengths):
        outputs, states = run_row(step, x[b, :n], [s[b] for s in initial], mask[b][:n], resets[b][:n],
                                  go_backwards, zero_output_for_mask)
        for position, output in enumerate(outputs):
            y[b, position] = last[b] = output
        for array, state in zip(final, states, strict=True):
            array[b] = state
    if not return_sequences:
        return last, final
    return (np.swapaxes(y, 0, 1) if time_major else y), final


def run_ragged(cell, weights, values, offsets, initial_state=None, resets=None, dtype=np.float64, **options):
    """Run every row `values[offsets[b]:offsets[b + 1]]` alone; y is flat like values, or (B, H)."""
    cell, H = CELLS[cell] if isinstance(cell, str) else cell, len(weights[1])
    initial = _state_arrays(cell, initial_state, len(offsets) - 1, H, dtype)
    y, final = [np.zeros((0, H), dtype)], [[np.zeros((0, H), dtype)] for _ in initial]
    for b, (start, end) in enumerate(itertools.pairwise(offsets)):
        cuts = None if resets is None else resets[None, start:end]
        outputs, states = run(cell, weights, values[None, start:end], [s[b:b + 1] for s in initial],
                              resets=cuts, dtype=dtype, **options)
        y.append(outputs.reshape(-1, H))
        for rows, state in zip(final, states, strict=True):
            rows.append(state)
    return np.concatenate(y), [np.concatenate(rows) for rows in final]


def sum_abs(cell, weights, x_t, h):
    """Sum of the absolute terms, |b| + sum |w x| + sum |u h|, of every pre-activation: (..., G*H).

    The reset-after GRU has four: z, r and the two of n, x first. For the reset-before GRU, |r| <= 1 is meant.
    """
    W, U, bias = (np.abs(np.asarray(w, np.float64)) for w in _with_bias(CELLS[cell], list(weights)))
    x_part, h_part = np.abs(x_t) @ W, np.abs(h) @ U
    if cell != "gru":
        return x_part + h_part + bias
    x_part, h_part = x_part + bias[0], h_part + bias[1]
    gate = 2 * len(U)
    return np.concatenate([(x_part + h_part)[..., :gate], x_part[..., gate:], h_part[..., gate:]], axis=-1)


def _with_bias(cell, weights):
    if len(weights) > 2:
        return weights
    width = weights[1].shape[1]
    return [*weights, np.zeros((2, width) if cell.biases == 2 else width, weights[1].dtype)]


def _state_arrays(cell, initial_state, B, H, dtype):
    if initial_state is None:
        return [np.zeros((B, H), dtype) for _ in range(cell.states)]
    states = initial_state if isinstance(initial_state, list | tuple) else [initial_state]
    return [np.asarray(state, dtype) for state in states]
