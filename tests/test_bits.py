"""The bits of a row do not depend on threads, on how a sequence is cut, or on how a batch is described."""

from itertools import pairwise, product

import numpy as np
import pytest
from bits import bits, joined, same, take
from models import every_dtype, every_model

import numbarnn as nr
from numbarnn import call, costs, dispatch
from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="promised of compiled code; NUMBA_DISABLE_JIT=1 is set")

I, T, H = 5, 7, 35  # noqa: E741  # H: several blocks of units, the last one with a tail, for vectors of 2 to 16
LENGTHS = np.array([3, 0, 7, 1, 5, 7, 2, 6, 4, 7, 1, 3, 5])
B = len(LENGTHS)


def ready(model, dtype, rows=B, steps=T, units=H, **options):
    """A layer that returns all it can, inputs and initial states."""
    return model.batch(rows, steps, I, units, dtype, **options)


def flags(share, shape=(B, T)):
    """Random flags; also rows with none and with all."""
    drawn = np.random.default_rng(11).random(shape) < share
    drawn[2], drawn[5] = False, True
    return drawn


@every_dtype
@every_model
def test_any_number_of_threads(model, dtype, monkeypatch):
    """Rows divided, units divided; again and again, since a race shows up in some runs only."""
    layer, x, initial = ready(model, dtype, rows=40)
    lengths = np.resize(LENGTHS, 40)
    expected = layer(x, initial, lengths=lengths, n_threads=1)
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for schedule, threads in (("single", 1), ("rows", 2), ("rows", 3), ("units", 2), ("units", 3)):
        monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
        decision = layer.explain(x, initial, lengths=lengths, n_threads=threads, measure=True)
        assert (decision.schedule, decision.threads) == (schedule, threads)
        assert decision.evaluations == lengths.sum()
        for _ in range(20):
            same(layer(x, initial, lengths=lengths, n_threads=threads), expected)
        few = layer(x[:2], take(initial, slice(2)), lengths=lengths[:2], n_threads=threads)
        same(few, take(expected, slice(2)))


def in_pieces(layer, x, states, ends, **given):
    """The outputs and final states of a call for each piece, which goes on from the states of the last."""
    outputs = []
    for begin, end in pairwise(ends):
        y, *states = layer(
            x[:, begin:end], states, **{name: value[:, begin:end] for name, value in given.items()}
        )
        outputs.append(y)
    return [np.concatenate(outputs, axis=1), *states]


@every_dtype
@every_model
@pytest.mark.parametrize("steps", range(1, 9))
def test_every_split_of_up_to_eight_steps(model, dtype, steps):
    """Also with a piece of no steps at every cut and at both ends."""
    layer, x, initial = ready(model, dtype, steps=steps)
    whole = layer(x, initial)
    for cuts in product([False, True], repeat=steps - 1):
        ends = [0, *(t for t in range(1, steps) if cuts[t - 1]), steps]
        same(in_pieces(layer, x, initial, ends), whole)
        same(in_pieces(layer, x, initial, sorted(ends * 2)), whole)


@every_dtype
@every_model
@pytest.mark.parametrize("rows", [1, 3, 13])
def test_random_splits_of_a_thousand_steps(model, dtype, rows):
    """Calls that are handed the states, a stateful layer, a stepper; few rows take other ways than many."""
    layer, x, initial = ready(model, dtype, rows, steps=1000, units=18)
    keeping, *_ = ready(model, dtype, rows, units=18, stateful=True, return_state=False)
    whole, from_constants = layer(x, initial), layer(x)
    rng = np.random.default_rng(rows)
    for pieces in (2, 7, 40, 300):
        ends = [0, *sorted(rng.integers(0, 1001, pieces - 1)), 1000]
        same(in_pieces(layer, x, initial, ends), whole)
        keeping.reset_states(initial)
        outputs = [keeping(x[:, begin:end]) for begin, end in pairwise(ends)]
        same([np.concatenate(outputs, axis=1), *keeping.states], whole)
    stepper = layer.stepper(rows)
    outputs = [stepper(x[:, t]) for t in range(1000)]
    same([np.stack(outputs, axis=1), *stepper.states], from_constants)


@every_dtype
@every_model
def test_random_splits_with_masks_and_resets(model, dtype):
    """States, and outputs at valid steps; held ones start at zero again in each call."""
    layer, x, initial = ready(model, dtype, steps=40)
    rng = np.random.default_rng(5)
    mask, resets = flags(0.6, (B, 40)), flags(0.1, (B, 40))
    for given in ({"mask": mask}, {"resets": resets}, {"mask": mask, "resets": resets}):
        valid = given.get("mask", np.ones((B, 40), bool))
        y, *states = layer(x, initial, **given)
        for _ in range(5):
            ends = [0, *sorted(rng.integers(0, 41, rng.integers(1, 6))), 40]
            outputs, *final = in_pieces(layer, x, initial, ends, **given)
            same([outputs[valid], *final], [y[valid], *states])


@every_dtype
@every_model
def test_a_stateful_layer_goes_on_where_it_stopped(model, dtype):
    """Random splits of 40 steps; each row keeps the state of its own end."""
    layer, x, initial = ready(model, dtype, steps=40)
    keeping, *_ = ready(model, dtype, stateful=True)
    rng = np.random.default_rng(5)
    lengths = rng.integers(0, 41, B)
    lengths[:3] = [40, 0, 1]
    whole = layer(x, initial, lengths=lengths)
    for _ in range(5):
        keeping.reset_states(initial)
        ends = [0, *sorted(rng.integers(0, 41, rng.integers(1, 6))), 40]
        outputs = [
            keeping(x[:, begin:end], lengths=np.clip(lengths - begin, 0, end - begin))[0]
            for begin, end in pairwise(ends)
        ]
        same([np.concatenate(outputs, axis=1), *keeping.states], whole)


@every_dtype
@every_model
def test_stepper_and_cell_are_the_sequence_step_by_step(model, dtype):
    """A stepper's rows can start over, as at a reset."""
    layer, x, initial = ready(model, dtype)
    resets = np.zeros((B, T), bool)
    resets[::3, 4] = True
    stepper, outputs = layer.stepper(B), []
    for t in range(T):
        if t == 4:
            stepper.reset(rows=resets[:, t])
        outputs.append(stepper(np.ascontiguousarray(x[:, t])))
    same([np.stack(outputs, axis=1), *stepper.states], layer(x, resets=resets))
    state, outputs = initial, []
    for t in range(T):
        y, state = layer.cell(x[:, t], state)
        outputs.append(y)
    same([np.stack(outputs, axis=1), *state], layer(x, initial))


@every_dtype
@every_model
def test_ragged_and_padded_and_row_by_row(model, dtype):
    layer, x, initial = ready(model, dtype)
    valid = np.arange(T) < LENGTHS[:, None]
    padded, *states = layer(x, initial, lengths=LENGTHS)
    assert not bits(padded[~valid]).any(), "an output past the end is not +0"
    rows = [layer(x[b : b + 1, :n], take(initial, slice(b, b + 1))) for b, n in enumerate(LENGTHS)]
    outputs = np.concatenate([y[0] for y, *_ in rows])
    same([padded[valid], *states], [outputs, *joined(final for _, *final in rows)])
    y, *ragged_states = layer(nr.Ragged(x[valid], np.concatenate([[0], np.cumsum(LENGTHS)])), initial)
    same([y.values, *ragged_states], [outputs, *states])
    last, *_ = ready(model, dtype, return_sequences=False)
    ends = np.where((LENGTHS > 0)[:, None], padded[range(B), LENGTHS - 1], 0)
    same(last(x, initial, lengths=LENGTHS), [ends, *states])


@every_dtype
@every_model
@pytest.mark.parametrize("zero", [False, True])
def test_masked_steps_are_as_if_they_were_not_there(model, dtype, zero):
    layer, x, initial = ready(model, dtype, zero_output_for_mask=zero)
    mask = flags(0.6)
    y, *states = layer(x, initial, mask=mask)
    dropped, *expected = layer(nr.Ragged.from_rows([x[b][mask[b]] for b in range(B)]), initial)
    same([y[mask], *states], [dropped.values, *expected])
    before = np.concatenate([np.zeros((B, 1, H), dtype), y[:, :-1]], axis=1)
    same([y[~mask]], [np.zeros_like(y[~mask]) if zero else before[~mask]])


@every_dtype
@every_model
def test_resets_are_separate_calls(model, dtype):
    layer, x, initial = ready(model, dtype)
    resets = flags(0.3)
    rows = []
    for b in range(B):
        starts = [0, *(t for t in range(1, T) if resets[b, t]), T]
        first = None if resets[b, 0] else take(initial, [b])
        pieces = [layer(x[b : b + 1, begin:end], None if begin else first) for begin, end in pairwise(starts)]
        rows.append([np.concatenate([y for y, *_ in pieces], axis=1), *pieces[-1][1:]])
    same(layer(x, initial, resets=resets), joined(rows))


@every_dtype
@every_model
def test_time_major_is_the_same_with_swapped_axes(model, dtype):
    layer, x, initial = ready(model, dtype)
    swapped, *_ = ready(model, dtype, time_major=True)
    for given in ({}, {"lengths": LENGTHS}, {"mask": flags(0.6), "resets": flags(0.3)}):
        y, *states = layer(x, initial, **given)
        turned = {name: value.T for name, value in given.items()}  # of lengths, the same
        same(swapped(x.swapaxes(0, 1), initial, **turned), [y.swapaxes(0, 1), *states])


@every_dtype
@every_model
def test_backwards_is_forwards_on_reversed_steps(model, dtype):
    """A mask is reversed over the full time axis, lengths inside each row."""
    layer, x, initial = ready(model, dtype)
    backwards, *_ = ready(model, dtype, go_backwards=True)
    mask, resets = flags(0.6), flags(0.3)
    turned = {"mask": mask[:, ::-1], "resets": np.zeros_like(resets)}
    turned["resets"][:, 1:] = resets[:, :0:-1]  # a cut before t from one side is a cut after t from the other
    for given in ({}, {"mask": mask}, {"resets": resets}, {"mask": mask, "resets": resets}):
        reverse = {name: turned[name] for name in given}
        same(backwards(x, initial, **given), layer(x[:, ::-1], initial, **reverse))
    inside = x.copy()
    for b, n in enumerate(LENGTHS):
        inside[b, :n] = x[b, :n][::-1]
    same(backwards(x, initial, lengths=LENGTHS), layer(inside, initial, lengths=LENGTHS))


@every_dtype
@every_model
@pytest.mark.parametrize(("schedule", "threads"), [("single", 1), ("rows", 2), ("units", 2)])
def test_waves_and_entries_change_nothing(model, dtype, schedule, threads, monkeypatch):
    """Waves of three rows (for each thread that has rows of its own), and entries of one step."""
    layer, x, initial = ready(model, dtype, rows=40)
    mask, resets = flags(0.6, (40, T)), flags(0.3, (40, T))
    kinds = [{}, {"lengths": np.resize(LENGTHS, 40)}, {"mask": mask, "resets": resets}]
    whole = [layer(x, initial, **given) for given in kinds]
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
    monkeypatch.setattr(dispatch, "WAVE_ROWS", 3)
    monkeypatch.setattr(dispatch, "FIRST_ENTRY_SECONDS", 1e-12)
    monkeypatch.setattr(call, "ENTRY_SECONDS", 1e-12)
    for given, expected in zip(kinds, whole, strict=True):
        decision = layer.explain(x, initial, **given, n_threads=threads, measure=True)
        assert (decision.schedule, decision.threads) == (schedule, threads)
        assert decision.waves == -(-decision.segments // (6 if schedule == "rows" else 3)) > 1
        assert decision.entries > decision.waves
        same(layer(x, initial, **given, n_threads=threads), expected)
