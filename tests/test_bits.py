"""The bits of a row depend on the row alone: not on neighbours, threads, or how a call is cut."""

import copy
import pickle
from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
from bits import bits, same
from models import every_dtype, every_model

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import jit, simd, tile

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="promised of compiled code; NUMBA_DISABLE_JIT=1 is set")

I, T, H = 5, 7, 35  # noqa: E741  # H: several blocks of units, the last one with a tail, for vectors of 2 to 16
LENGTHS = np.array([3, 0, 7, 1, 5, 7, 2, 6, 4, 7, 1, 3, 5])
B = len(LENGTHS)


def ready(model, dtype, rows=B, steps=T, units=H, **options):
    """A layer that returns all it can, inputs and initial states."""
    rng = np.random.default_rng(7)
    layer = model.make(I, units, dtype, **{"return_sequences": True, "return_state": True} | options)
    return layer, rng.standard_normal((rows, steps, I)).astype(dtype), model.states(rows, units, dtype, rng)


def flags(share, shape=(B, T)):
    """Random flags; also rows with none and with all."""
    drawn = np.random.default_rng(11).random(shape) < share
    drawn[2], drawn[5] = False, True
    return drawn


def take(arrays, rows):
    return [array[rows] for array in arrays]


def joined(results, axis=0):
    """Results of several calls put together."""
    return [np.concatenate(parts, axis) for parts in zip(*results, strict=True)]


@every_dtype
@every_model
def test_alone_and_in_batches_of_any_size_and_order(model, dtype):
    layer, x, initial = ready(model, dtype, rows=129, steps=3)
    alone = joined(layer(x[b:b + 1], take(initial, slice(b, b + 1))) for b in range(129))
    for size in (*range(1, 14), 16, 17, 31, 64, 127, 128, 129):
        rows = np.random.default_rng(size).permutation(129)[:size]
        same(layer(x[rows], take(initial, rows)), take(alone, rows))


@every_dtype
@every_model
def test_every_tile_that_exists_runs(model, dtype):
    """All heights and widths, those of single rows too, with whole last blocks and with tails."""
    phases = [phase for phase in model.make(I, 1).cell.definition.phases if phase.sums]
    reaches = [tile.heights(len(phase.sums), simd.target()) for phase in phases]
    ran, lanes = Counter(), simd.target().lanes(dtype)
    for blocks in range(1, 2 + max(reach.wide_blocks for reach in reaches)):
        layer, x, initial = ready(model, dtype, steps=2, units=blocks * lanes - blocks % 3)
        alone = joined(layer(x[b:b + 1], take(initial, slice(b, b + 1))) for b in range(B))
        for size in range(1, B + 1):
            ran.update(layer.explain(x[:size], measure=True).tiles)
            same(layer(x[:size], take(initial, slice(size))), take(alone, slice(size)))
    assert set(ran) == {variant for reach in reaches for variant in tile.variants(reach)}


@every_dtype
@every_model
def test_beside_rows_of_nan_and_infinity(model, dtype):
    layer, x, initial = ready(model, dtype)
    clean = layer(x, initial)
    spoilt_x, spoilt_initial = x.copy(), [state.copy() for state in initial]
    numbers = np.finfo(dtype)
    for k, special in enumerate([np.nan, np.inf, -np.inf, numbers.max, numbers.smallest_subnormal]):
        spoilt_x[2 * k + 1] = special
        for state in spoilt_initial:
            state[2 * k + 1] = special
    same(take(layer(spoilt_x, spoilt_initial), slice(0, B, 2)), take(clean, slice(0, B, 2)))


@every_dtype
@every_model
def test_nan_reaches_later_steps_of_its_own_row_only(model, dtype):
    layer, x, initial = ready(model, dtype)
    clean, *_ = layer(x, initial)
    x[4, 3, 1] = np.nan
    y, *_ = layer(x, initial)
    assert np.isnan(y[4, 3:]).any(axis=1).all()
    y[4, 3:] = clean[4, 3:]
    same([y], [clean])


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


@every_dtype
@every_model
def test_every_split_of_six_steps(model, dtype):
    """Also with a chunk of no steps at every cut."""
    layer, x, initial = ready(model, dtype, steps=6)
    whole = layer(x, initial)
    for cuts in product([False, True], repeat=5):
        ends = [0, *(t for t in range(1, 6) if cuts[t - 1]), 6]
        for places in (ends, sorted(ends * 2)):
            state, outputs = initial, []
            for begin, end in pairwise(places):
                y, *state = layer(x[:, begin:end], state)
                outputs.append(y)
            same([np.concatenate(outputs, axis=1), *state], whole)


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
        outputs = [keeping(x[:, begin:end], lengths=np.clip(lengths - begin, 0, end - begin))[0]
                   for begin, end in pairwise(ends)]
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
    rows = [layer(x[b:b + 1, :n], take(initial, slice(b, b + 1))) for b, n in enumerate(LENGTHS)]
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
        pieces = [layer(x[b:b + 1, begin:end], None if begin else first) for begin, end in pairwise(starts)]
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
    monkeypatch.setattr(dispatch, "ENTRY_SECONDS", 1e-12)
    for given, expected in zip(kinds, whole, strict=True):
        decision = layer.explain(x, initial, **given, n_threads=threads)
        assert (decision.schedule, decision.threads) == (schedule, threads)
        assert decision.waves == -(-decision.segments // (6 if schedule == "rows" else 3)) > 1
        assert decision.entries > decision.waves
        same(layer(x, initial, **given, n_threads=threads), expected)


def unaligned(array):
    """A copy one byte off."""
    moved = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    assert array.itemsize == 1 or not moved.flags.aligned
    moved[...] = array
    return moved


def read_only(array):
    frozen = array.copy()
    frozen.flags.writeable = False
    return frozen


def memory_mapped(array, folder):
    mapped = np.memmap(folder / str(id(array)), array.dtype, "w+", shape=array.shape)
    mapped[...] = array
    return mapped


FORMS = {
    "Fortran order": lambda array, folder: np.asfortranarray(array),
    "strided": lambda array, folder: np.repeat(array, 2, axis=-1)[..., ::2],
    "negative strides": lambda array, folder: np.flip(np.flip(array).copy()),
    "unaligned": lambda array, folder: unaligned(array),
    "read-only": lambda array, folder: read_only(array),
    "big-endian": lambda array, folder: array.astype(array.dtype.newbyteorder(">")),
    "memory-mapped": memory_mapped,
}


@pytest.mark.parametrize("form", FORMS)
@every_dtype
@every_model
def test_any_layout_in_memory(model, dtype, form, tmp_path):
    """Of inputs, states, lengths, flags and weights."""
    def formed(array):
        return FORMS[form](array, tmp_path)

    layer, x, initial = ready(model, dtype)
    other, *_ = ready(model, dtype)
    other.set_weights([formed(array) for array in layer.get_weights()])
    for given in ({"lengths": LENGTHS}, {"mask": flags(0.6), "resets": flags(0.3)}):
        changed = {name: formed(value) for name, value in given.items()}
        got = other(formed(x), [formed(state) for state in initial], **changed)
        same(got, layer(x, initial, **given))
    steppers = [layer.stepper(B), other.stepper(B)]
    same([steppers[1](formed(x[:, 0]))], [steppers[0](x[:, 0])])


@every_model
def test_one_row_broadcast_to_many(model):
    layer, x, _ = ready(model, "float32")
    same(layer(np.broadcast_to(x[:1], x.shape)), layer(np.repeat(x[:1], B, axis=0)))


COPIES = {"deepcopy": copy.deepcopy, "pickle": lambda thing: pickle.loads(pickle.dumps(thing))}


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
@every_model
def test_copies_go_on_with_the_same_bits_and_a_state_of_their_own(model, duplicate):
    layer, x, _ = ready(model, "float32", stateful=True)
    stepper, x_t = layer.stepper(B), np.ascontiguousarray(x[:, 0])
    layer(x)
    stepper(x_t)
    second_layer, second_stepper = duplicate(layer), duplicate(stepper)
    results = layer(x), [stepper(x_t), *stepper.states]
    same(second_layer(x), results[0])
    same([second_stepper(x_t), *second_stepper.states], results[1])
    same(second_layer.get_weights(), layer.get_weights())
