"""What is not finite reaches the later steps of its own sequence, all of them, and nothing else."""

import itertools

import numpy as np
import pytest
from bits import bits
from models import every_dtype, every_model

from numbarnn.kernels import jit

B, T, I, H = 5, 7, 3, 18  # noqa: E741
LENGTHS = np.array([3, 0, 7, 1, 5])
MASK = np.random.default_rng(0).random((B, T)) < 0.6
MASK[1], MASK[2] = False, True
RESETS = np.random.default_rng(1).random((B, T)) < 0.25
BATCHES = {
    "dense": {},
    "lengths": {"lengths": LENGTHS},
    "mask": {"mask": MASK},
    "left padding": {"mask": np.arange(T) >= T - LENGTHS[:, None]},
    "resets": {"resets": RESETS},
    "lengths and resets": {"lengths": LENGTHS, "resets": RESETS},
    "mask and resets": {"mask": MASK, "resets": RESETS},
}


def walk(spoilt, spoilt_state, extent, mask, resets, backwards, zero_output):
    """Of one row, in processing order: which outputs are spoilt, the final state, the one before the last."""
    times = range(extent)[::-1] if backwards else range(extent)
    state = before = spoilt_state
    held, outputs = False, []
    for position, t in enumerate(times):
        if resets[t + 1 if backwards and position else t] and (position or not backwards):
            state = before = held = False
        if mask[t]:
            before = state
            state = held = state or spoilt[t]
        outputs.append(held and (mask[t] or not zero_output))
    return [*outputs, *[False] * (T - extent)], state, before


def reached(spoilt, spoilt_states, backwards, zero_output, lengths=None, mask=None, resets=None):
    """The outputs (B, T), final states (B,) and those before them that `spoilt` inputs and states reach."""
    rows = [
        walk(
            spoilt[b],
            spoilt_states[b],
            T if lengths is None else lengths[b],
            [True] * T if mask is None else mask[b],
            [False] * T if resets is None else resets[b],
            backwards,
            zero_output,
        )
        for b in range(B)
    ]
    return [np.array(column, bool) for column in zip(*rows, strict=True)]


def places():
    """Every single input, every single initial state, and some at once."""
    none, nothing = np.zeros((B, T), bool), np.zeros(B, bool)
    for b, t in itertools.product(range(B), range(T)):
        one = none.copy()
        one[b, t] = True
        yield one, nothing
    for b in range(B):
        yield none, np.arange(B) == b
    yield np.random.default_rng(2).random((B, T)) < 0.3, np.arange(B) % 2 == 0


OPTIONS = list(itertools.product([False, True], repeat=2))


@pytest.mark.parametrize("batch", BATCHES)
@every_dtype
@every_model
def test_nan_reaches_exactly_what_depends_on_it(model, dtype, batch):
    """Every unit of it, since every unit multiplies every input and every unit of the state."""
    given = BATCHES[batch]
    for backwards, zero_output in OPTIONS:
        options = {"go_backwards": backwards, "zero_output_for_mask": zero_output}
        layer, x, initial = model.batch(B, T, I, H, dtype, **options)
        last, *_ = model.batch(B, T, I, H, dtype, **options, return_sequences=False, return_state=False)
        clean, end = layer(x, initial, **given), last(x, initial, **given)
        for spoilt, spoilt_states in places():
            at_x, at_states = x.copy(), [state.copy() for state in initial]
            at_x[spoilt, 1] = np.nan
            for state in at_states:
                state[spoilt_states] = np.nan
            outputs, states, before = reached(spoilt, spoilt_states, backwards, zero_output, **given)
            y, *final = layer(at_x, at_states, **given)
            # The toy's second state is made of the old states alone, so the inputs reach it a step later.
            reaches = [outputs, states, before if model.name == "toy" else states]
            for got, wanted, where in zip([y, *final], clean, reaches, strict=False):
                exactly(got, wanted, where)
            extents = given.get("lengths", np.full(B, T))
            exactly(last(at_x, at_states, **given), end, outputs[range(B), extents - 1] & (extents > 0))


def exactly(got, clean, where):
    """NaN in all units of the rows named, the bits of the clean results in all others."""
    np.testing.assert_array_equal(np.isnan(got), np.broadcast_to(where[..., None], got.shape))
    np.testing.assert_array_equal(bits(got)[~where], bits(clean)[~where])


@pytest.mark.skipif(jit.DISABLED, reason="NumPy warns of what overflows; NUMBA_DISABLE_JIT=1 is set")
@pytest.mark.parametrize("special", [np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("batch", BATCHES)
@every_dtype
@every_model
def test_infinity_reaches_nothing_that_does_not_depend_on_it(model, dtype, batch, special):
    """It may stop early: gates saturate. Where it comes in, something changes."""
    given = BATCHES[batch]
    for backwards, zero_output in OPTIONS:
        options = {"go_backwards": backwards, "zero_output_for_mask": zero_output}
        layer, x, initial = model.batch(B, T, I, H, dtype, **options)
        clean, *clean_states = layer(x, initial, **given)
        for spoilt, spoilt_states in places():
            at_x, at_states = x.copy(), [state.copy() for state in initial]
            at_x[spoilt, 1] = special
            for state in at_states:
                state[spoilt_states] = special
            outputs, states, _ = reached(spoilt, spoilt_states, backwards, zero_output, **given)
            y, *final = layer(at_x, at_states, **given)
            np.testing.assert_array_equal(bits(y)[~outputs], bits(clean)[~outputs])
            for got, wanted in zip(final, clean_states, strict=True):
                np.testing.assert_array_equal(bits(got)[~states], bits(wanted)[~states])
            assert not outputs.any() or (bits(y) != bits(clean)).any()
