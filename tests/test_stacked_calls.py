"""Layers of stacked cells as objects: weights, decisions, refusals; and any number of threads."""

import numpy as np
import pytest
from bits import same
from directions import LENGTHS, MASK, B, I, T, inputs
from stacks import cells, every_stack, flat, stack, states

import numbarnn as nr
from numbarnn import call, costs, dispatch
from numbarnn.kernels import jit


@every_stack
def test_weights(kinds):
    """Cell after cell; all are taken or none."""
    layer = stack(kinds)
    weights = layer.get_weights()
    same(weights, [array for cell in cells(kinds) for array in cell.get_weights()])
    halves = [array / 2 for array in weights]
    for wrong in (halves[:-1], [*halves, halves[0]], [*halves[:-1], halves[-1][..., :-1]]):
        with pytest.raises(ValueError, match=r"^(weights|bias) has"):
            layer.set_weights(wrong)
        same(layer.get_weights(), weights)
    with pytest.raises(TypeError, match=r"^weights is of type str"):
        layer.set_weights("abc")
    layer.set_weights(halves)
    same(layer.get_weights(), halves)


def test_weights_are_drawn_for_the_sizes_that_follow():
    layer = nr.RNN([nr.LSTMCell(5, seed=1), nr.GRUCell(4, seed=2)])
    assert layer.get_weights() == [] and layer.input_size is None
    layer(inputs(B, T, 3))
    assert [array.shape[0] for array in layer.get_weights()[::3]] == [3, 5]
    with pytest.raises(ValueError, match=r"^x has shape \(5, 6, 2\), 2 features; expected"):
        layer(inputs(B, T, 2))


@pytest.mark.cpu
@every_stack
def test_explain(kinds):
    """A decision for each cell."""
    decisions = stack(kinds).explain(inputs(B, T, I), states(kinds), mask=MASK, measure=True)
    assert [d.evaluations for d in decisions] == [MASK.sum()] * len(kinds)
    decisions = stack(kinds).explain(inputs(B, T, I), lengths=LENGTHS)
    assert [(d.valid_steps, d.evaluations) for d in decisions] == [(LENGTHS.sum(), None)] * len(kinds)


X, Y, [[STATE_H, STATE_C], G] = inputs(B, T, I), np.empty((B, T, 4), "f4"), states(("lstm", "gru"))
INITIAL = {  # for an LSTM of 5 units under a GRU of 4
    "not nested": ([STATE_H, STATE_C, G], ValueError, r" has 3 array\(s\); expected 2: \[\[h, c\], h\]"),
    "an array for two": (
        [STATE_H, G],
        ValueError,
        r"\[0\] is a ndarray; expected .* \[h, c\]",
    ),
    "one of two": ([[STATE_H], G], ValueError, r"\[0\] is a list of 1; expected a list of 2 arrays"),
    "an array": (STATE_H, TypeError, r" is of type ndarray; expected a list of 2"),
    "units": ([[STATE_H, G], G], ValueError, r"\[0\]\[1\] \(c\) has shape \(5, 4\); expected \(5, 5\)"),
    "rows": ([[STATE_H, STATE_C], G[:2]], ValueError, r"\[1\] \(h\) has shape \(2, 4\); expected \(5, 4\)"),
    "dtype": ([[STATE_H, STATE_C.astype("f8")], G], TypeError, r"\[0\]\[1\] has dtype float64"),
}
OUT = {
    "an array": (Y, TypeError, r"out is of type ndarray; expected a tuple of 4 arrays"),
    "too few": ((Y, [STATE_H, STATE_C]), ValueError, r"out has 2 array\(s\); expected 4"),
    "an array for two": (
        (Y, STATE_H, G),
        ValueError,
        r"out.s states\[0\] is a ndarray; expected a list",
    ),
    "one twice": ((Y, [STATE_H, STATE_H], G), ValueError, r"out\[2\] \(c.*\) overlaps"),
    "shape": ((Y, [STATE_H, STATE_C], G[:, :3]), ValueError, r"out\[3\] \(h.*\) has shape \(5, 3\)"),
}
CALLS = {
    "dtype of x": ({"x": X.astype("f8")}, TypeError, r"x has dtype float64"),
    "lengths and mask": ({"lengths": LENGTHS, "mask": MASK}, ValueError, r"lengths and mask are both given"),
}
CALLS |= {
    f"initial_state: {name}": ({"initial_state": value}, kind, "initial_state" + message)
    for name, (value, kind, message) in INITIAL.items()
}
CALLS |= {f"out: {name}": ({"out": value}, kind, message) for name, (value, kind, message) in OUT.items()}


@pytest.mark.parametrize(("given", "kind", "message"), CALLS.values(), ids=CALLS)
def test_wrong_calls(given, kind, message):
    """Nothing has changed then."""
    layer = stack(("lstm", "gru"), stateful=True)
    layer(X)
    kept = flat(layer.states)
    with pytest.raises(kind, match="^" + message):
        layer(**{"x": X} | given)
    same(flat(layer.states), kept)


def test_wrong_cells():
    with pytest.raises(ValueError, match=r"^cells: .* expected one dtype"):
        nr.RNN([nr.LSTMCell(2), nr.GRUCell(2, dtype="float64")])
    with pytest.raises(ValueError, match=r"^cells is empty"):
        nr.RNN([])
    with pytest.raises(TypeError, match=r"^cells\[1\] is of type int, without a state_size"):
        nr.RNN([nr.LSTMCell(2), 3])
    with pytest.raises(TypeError, match=r"^cells\[1\] is of type LSTM|expected"):
        nr.RNN([nr.LSTMCell(2), nr.LSTM(2)])


# Threads


@pytest.mark.cpu
@pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; there are no kernel entries")
@every_stack
def test_any_number_of_threads_waves_and_entries(kinds, monkeypatch):
    rng, rows, layer = np.random.default_rng(6), 23, stack(kinds)
    x = inputs(rows, T, I)
    batches = [{"mask": rng.random((rows, T)) < 0.6}, {"resets": rng.random((rows, T)) < 0.3}, {}]
    wanted = [flat(layer(x, **given, n_threads=1)) for given in batches]
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "FIRST_ENTRY_SECONDS", 1e-12)
    monkeypatch.setattr(call, "ENTRY_SECONDS", 0.0)
    for wave in (4, 240):
        monkeypatch.setattr(dispatch, "WAVE_ROWS", wave)
        for threads in (1, 2, 4):
            for given, results in zip(batches, wanted, strict=True):
                same(flat(layer(x, **given, n_threads=threads)), results)
