"""What is read and written: nothing uninitialised or invalid, all that is returned, and no byte besides."""

import itertools
from contextlib import contextmanager
from unittest.mock import patch

import ceiling
import numpy as np
import pytest
import tolerance
from bits import bits, same
from models import MODELS, every_dtype, every_model

import numbarnn as nr
from numbarnn import call, costs, dispatch

B, T, I, H = 7, 6, 5, 19  # noqa: E741
LENGTHS = np.array([4, 0, 6, 1, 5, 6, 2])
MASK = np.random.default_rng(0).random((B, T)) < 0.6
MASK[1], MASK[5] = False, True
LEFT_PADDING = np.arange(T) >= T - LENGTHS[:, None]
RESETS = np.random.default_rng(1).random((B, T)) < 0.3
BATCHES = {
    "dense": {},
    "lengths": {"lengths": LENGTHS},
    "mask": {"mask": MASK},
    "left padding": {"mask": LEFT_PADDING},
    "resets": {"resets": RESETS},
    "mask and resets": {"mask": MASK, "resets": RESETS},
}

POISON = np.array([0x7FF4_0000_7FA0_0000], np.uint64)  # NaN in either dtype, signalling, and no address
GUARD_BYTES = 256  # before and after: as much as a tile could overshoot


def poison(count):
    return np.resize(POISON.view(np.uint8), count)


@contextmanager
def poisoned_memory():
    """All that the library allocates is full of poison, with more of it around, which must last."""
    made = []

    def empty(shape, dtype):
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
        raw = poison(size + 2 * GUARD_BYTES + 64)
        start = GUARD_BYTES + -(raw.ctypes.data + GUARD_BYTES) % 64
        raw[start:start + size] = poison(size)
        made.append((raw, raw.copy(), start, start + size))
        return raw[start:start + size].view(dtype).reshape(shape)

    call._workspaces.clear()
    with patch.object(dispatch, "empty", empty):
        yield made
    call._workspaces.clear()
    assert made
    for raw, before, start, end in made:
        assert np.array_equal(raw[:start], before[:start]), "written before the beginning"
        assert np.array_equal(raw[end:], before[end:]), "written beyond the end"


def ready(model, dtype, units=H, **options):
    """A layer that returns all it can, inputs and initial states."""
    rng = np.random.default_rng(2)
    layer = model.make(I, units, dtype, **{"return_sequences": True, "return_state": True} | options)
    return layer, rng.standard_normal((B, T, I)).astype(dtype), model.states(B, units, dtype, rng)


def valid_steps(given):
    """The steps of `given` that count, (B, T)."""
    if "lengths" in given:
        return np.arange(T) < given["lengths"][:, None]
    return given.get("mask", np.ones((B, T), bool))


@pytest.mark.parametrize("batch", BATCHES)
@every_dtype
@every_model
def test_poison_is_neither_read_nor_left(model, dtype, batch, monkeypatch):
    """Clean memory and poison give the same bits: rows divided and units divided, one wave and many."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for backwards, sequences in itertools.product([False, True], repeat=2):
        layer, x, initial = ready(model, dtype, go_backwards=backwards, return_sequences=sequences)
        expected = layer(x, initial, **BATCHES[batch])
        assert all(np.isfinite(result).all() for result in expected)
        with poisoned_memory():
            layer, *_ = ready(model, dtype, go_backwards=backwards, return_sequences=sequences)
            for schedule in ("single", "rows", "units"):
                with patch.object(dispatch, "SCHEDULES", (schedule,)):
                    same(layer(x, initial, **BATCHES[batch], n_threads=2), expected)
            with patch.object(dispatch, "WAVE_ROWS", 2), patch.object(call, "ENTRY_SECONDS", 1e-12):
                same(layer(x, initial, **BATCHES[batch], n_threads=1), expected)


@pytest.mark.parametrize("units", [1, 4, 8, 16, 17, 64, 97, 129])
@every_dtype
@every_model
def test_poison_around_states_and_steppers(model, dtype, units):
    """Whole blocks of units, and tails."""
    layer, x, _ = ready(model, dtype, units)
    y, *states = layer(x)
    with poisoned_memory():
        layer, *_ = ready(model, dtype, units, stateful=True)
        parts = [layer(x[:, :2])[0], layer(x[:, 2:])[0]]
        same([np.concatenate(parts, axis=1), *layer.states], [y, *states])
        stepper = layer.stepper(B)
        same([np.stack([stepper(x[:, t]) for t in range(T)], axis=1), *stepper.states], [y, *states])
        same([layer.cell(x[:, 0], layer.cell.get_initial_state(B))[0]], [y[:, 0]])


@every_model
def test_a_call_leaves_nothing_for_the_next(model):
    """Workspaces are used again; here after a batch of NaN that was larger than the next one."""
    layer, x, initial = ready(model, "float32")
    expected = layer(x[:3], [state[:3] for state in initial])
    layer(np.full_like(x, np.nan), [np.full_like(state, np.nan) for state in initial])
    same(layer(x[:3], [state[:3] for state in initial]), expected)


@pytest.mark.parametrize("batch", ["lengths", "mask", "left padding", "mask and resets"])
@every_dtype
@every_model
def test_padding_is_never_read(model, dtype, batch):
    """Signalling NaN in place of zeros: the same bits, all finite, and +0 past the end."""
    valid = valid_steps(BATCHES[batch])
    for backwards in (False, True):
        layer, x, initial = ready(model, dtype, go_backwards=backwards)
        padded, spoilt = np.where(valid[:, :, None], x, 0).astype(dtype), x.copy()
        spoilt[~valid] = poison(spoilt[~valid].nbytes).view(dtype).reshape(-1, I)
        got = layer(spoilt, initial, **BATCHES[batch])
        same(got, layer(padded, initial, **BATCHES[batch]))
        assert all(np.isfinite(result).all() for result in got)
        if batch == "lengths":
            assert not bits(got[0][~valid]).any()


def test_signalling_padding_that_is_converted():
    """NumPy would report the NaNs of padding where float32 inputs become float64."""
    layer, x, initial = ready(MODELS["gru"], "float64")
    inputs = x.astype(np.float32)
    valid = valid_steps(BATCHES["lengths"])
    expected = layer(np.where(valid[:, :, None], inputs, np.float32(0)), initial, **BATCHES["lengths"])
    inputs[~valid] = poison(inputs[~valid].nbytes).view(np.float32).reshape(-1, I)
    with np.errstate(all="raise"):
        same(layer(inputs, initial, **BATCHES["lengths"]), expected)


@every_dtype
@every_model
def test_out_is_written_and_its_neighbours_are_not(model, dtype):
    """Every output is a part of a larger array, one element off any alignment of vectors."""
    for batch, sequences in itertools.product(BATCHES.values(), [False, True]):
        layer, x, initial = ready(model, dtype, return_sequences=sequences)
        expected = layer(x, initial, **batch)
        around = [poison((result.size + 65) * result.itemsize).view(dtype) for result in expected]
        before = [array.copy() for array in around]
        parts = [array[33:-32] for array in around]
        out = tuple(part.reshape(result.shape) for part, result in zip(parts, expected, strict=True))
        returned = layer(x, initial, **batch, out=out)
        assert all(result is part for result, part in zip(returned, out, strict=True))
        same(out, expected)
        for array, old in zip(around, before, strict=True):
            assert array[:33].tobytes() == old[:33].tobytes()
            assert array[-32:].tobytes() == old[-32:].tobytes()


@pytest.mark.parametrize("batch", BATCHES)
@every_model
def test_arguments_stay_as_they_were_and_results_are_apart(model, batch):
    """No input is written; a result can be overwritten without a change to another, an input or a state."""
    layer, x, initial = ready(model, "float32", stateful=True)
    given = {name: value.copy() for name, value in BATCHES[batch].items()}
    read = [x, *initial, *given.values(), *layer.get_weights()]
    before = [array.tobytes() for array in read]
    results = [*layer(x, initial, **given), *layer(x, initial, **given), *layer(x[:, :0]), *layer.states]
    for one, other in itertools.combinations([*results, *read], 2):
        assert not np.shares_memory(one, other)
    kept = [state.copy() for state in layer.states]
    for result in results:
        result[...] = 7
    same(layer.states, kept)
    assert [array.tobytes() for array in read] == before


@every_model
def test_an_output_in_place_of_an_input_is_refused(model):
    """Also where the input must be copied before kernels can read it."""
    units = I
    layer = model.make(I, units, return_sequences=True)
    x = np.random.default_rng(2).standard_normal((B, T, 2 * I)).astype("float32")
    whole = x.reshape(-1)[:B * T * units].reshape(B, T, units)
    stepped = x.reshape(-1)[:B * units].reshape(B, units)
    before = x.copy()
    for inputs in (whole, x[:, :, ::2]):
        with pytest.raises(ValueError, match="overlap"):
            layer(inputs, out=whole)
    for inputs in (stepped, x[:, 0, ::2], stepped):
        with pytest.raises(ValueError, match="overlap"):
            layer.stepper(B)(inputs, out=stepped)
    same([x], [before])


@pytest.mark.parametrize("rows", [0, 3])
@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("features", [0, 4])
@pytest.mark.parametrize("units", [1, 18])
@every_model
def test_sizes_of_nothing(model, rows, steps, features, units):
    """No rows, no steps, no features: right shapes, zeros where nothing ran, states that stay."""
    rng = np.random.default_rng(3)
    x = rng.standard_normal((rows, steps, features)).astype("float32")
    initial = model.states(rows, units, "float32", rng)
    given = {"lengths": {"lengths": np.full(rows, steps)}, "mask": {"mask": np.ones((rows, steps), bool)}}
    for sequences, kind in itertools.product([False, True], ["dense", "lengths", "mask", "ragged"]):
        with poisoned_memory():
            layer = model.make(features, units, return_sequences=sequences, return_state=True)
            if kind == "ragged":
                flat = nr.Ragged(x.reshape(rows * steps, features), np.arange(rows + 1) * steps)
                y, *states = layer(flat, initial)
                y = y.values.reshape(rows, steps, units) if sequences else y
            else:
                y, *states = layer(x, initial, **given.get(kind, {}))
        expected, final = model.expect(layer.get_weights(), x, initial, return_sequences=sequences)
        limit, limits = model.expect(layer.get_weights(), x, initial, ceiling.run, return_sequences=sequences,
                                     dtype=np.float32)
        for got, exact, most in zip([y, *states], [expected, *final], [limit, *limits], strict=True):
            tolerance.assert_within(got, exact, np.inf)
            assert (np.abs(got - exact) <= most).all()
        if steps == 0:
            same(states, initial)
            assert not bits(y).any()


@pytest.mark.parametrize("lengths", [[0, 3, 5], [5, 0, 3], [3, 5, 0], [0, 0, 0]])
@pytest.mark.parametrize("backwards", [False, True])
@every_model
def test_rows_of_no_steps(model, backwards, lengths):
    """The first, one in the middle, the last, all: outputs +0, the state as it was, others undisturbed."""
    rng = np.random.default_rng(5)
    x, initial = rng.standard_normal((3, 5, I), dtype=np.float32), model.states(3, H, "float32", rng)
    idle = np.array(lengths) == 0
    mask = np.arange(5) < np.array(lengths)[:, None]
    for sequences in (False, True):
        layer = model.make(I, H, return_sequences=sequences, return_state=True, go_backwards=backwards)
        for given in ({"lengths": lengths}, {"mask": mask}):
            y, *states = layer(x, initial, **given)
            assert not bits(y[idle]).any()
            same([state[idle] for state in states], [state[idle] for state in initial])
            for b in np.flatnonzero(~idle):
                alone = {name: value[b : b + 1] for name, value in given.items()}
                same([array[b : b + 1] for array in (y, *states)],
                     layer(x[b : b + 1], [state[b : b + 1] for state in initial], **alone))
