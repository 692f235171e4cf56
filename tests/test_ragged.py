"""Ragged batches: what they are made of, how they are padded, and what layers make of them."""

import numpy as np
import pytest
from bits import same
from models import every_dtype, every_model

import numbarnn as nr

I, H = 3, 5  # noqa: E741
LENGTHS = [2, 0, 7, 1, 0]
B, STEPS, T = len(LENGTHS), sum(LENGTHS), max(LENGTHS)
OFFSETS = np.cumsum([0, *LENGTHS])


def batch(dtype="float32"):
    values = np.random.default_rng(0).standard_normal((STEPS, I)).astype(dtype)
    return nr.Ragged(values, OFFSETS)


def flattened(padded):
    """The valid steps of a padded batch, one row after the other."""
    return np.concatenate([row[:length] for row, length in zip(padded, LENGTHS, strict=True)])


def test_what_it_holds():
    ragged = batch()
    assert len(ragged) == B and ragged.values.shape == (STEPS, I)
    np.testing.assert_array_equal(ragged.lengths, LENGTHS)
    np.testing.assert_array_equal(ragged.offsets, OFFSETS)
    for part in (str(B), str(STEPS), "float32"):
        assert part in repr(ragged)
    assert [row.shape for row in ragged.rows()] == [(length, I) for length in LENGTHS]
    assert all(np.shares_memory(row, ragged.values) for row in ragged.rows() if len(row))
    same([np.concatenate(ragged.rows())], [ragged.values])


def test_nothing_can_come_between_values_and_offsets():
    """Kernels follow the offsets without looking, so these are a copy, and nobody changes them."""
    offsets = OFFSETS.copy()
    ragged = nr.Ragged(batch().values, offsets)
    offsets[...] = 10**9
    np.testing.assert_array_equal(ragged.offsets, OFFSETS)
    with pytest.raises(ValueError, match="read-only"):
        ragged.offsets[1] = 10**9
    for name in ("values", "offsets"):
        with pytest.raises(AttributeError):
            setattr(ragged, name, getattr(ragged, name)[:2])


@pytest.mark.parametrize("integers", [list, tuple, np.uint8, np.int32, np.uint64, ">i8"])
def test_offsets_of_any_integers(integers):
    given = integers(OFFSETS.tolist()) if integers in (list, tuple) else OFFSETS.astype(integers)
    np.testing.assert_array_equal(nr.Ragged(batch().values, given).offsets, OFFSETS)
    assert nr.Ragged(batch().values, given).offsets.dtype == np.int64


def test_from_rows():
    """Rows of no steps anywhere; dtypes that NumPy joins; any iterable of anything like an array."""
    rows = batch().rows()
    for given in (rows, tuple(rows), iter(rows), [row.tolist() if len(row) else row for row in rows]):
        ragged = nr.Ragged.from_rows(given)
        np.testing.assert_array_equal(ragged.values, batch().values)
        np.testing.assert_array_equal(ragged.offsets, OFFSETS)
    assert nr.Ragged.from_rows([np.zeros((1, I), np.float32), np.zeros((1, I))]).values.dtype == np.float64
    empty = nr.Ragged.from_rows([np.zeros((0, I))] * 2)
    assert len(empty) == 2 and empty.values.shape == (0, I) and empty.to_padded().shape == (2, 0, I)
    rows[0][...] = np.nan
    assert not np.isnan(ragged.values).any()


@pytest.mark.parametrize("fill", [0.0, -1.5, np.nan])
@pytest.mark.parametrize("time", [None, T, T + 4])
def test_padding(fill, time):
    ragged = batch()
    padded = ragged.to_padded(fill, time)
    assert padded.shape == (B, time or T, I) and padded.dtype == np.float32
    same([flattened(padded)], [ragged.values])
    for row, length in zip(padded, LENGTHS, strict=True):
        np.testing.assert_array_equal(row[length:], fill)
    padded[...] = 7.0
    assert not (ragged.values == 7.0).any()


def test_no_rows():
    ragged = nr.Ragged(np.zeros((0, I), np.float32), [0])
    assert len(ragged) == 0 and ragged.rows() == [] and ragged.to_padded().shape == (0, 0, I)
    assert nr.GRU(H)(ragged).shape == (0, H)


@every_dtype
@every_model
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("with_resets", [False, True])
def test_layers_give_the_bits_of_the_padded_batch(model, dtype, go_backwards, with_resets):
    """All steps or the last, from random states, resets flat; a row of no steps gives 0 and its state."""
    ragged, rng = batch(dtype), np.random.default_rng(1)
    states, resets, flat = model.states(B, H, dtype, rng), None, None
    if with_resets:
        resets = rng.random((B, T)) < 0.4
        flat = flattened(resets)
    for sequences in (False, True):
        options = {"go_backwards": go_backwards, "return_sequences": sequences, "return_state": True}
        layer = model.make(I, H, dtype, **options)
        y, *final = layer(ragged, states, resets=flat)
        wanted, *ends = layer(ragged.to_padded(np.nan), states, lengths=LENGTHS, resets=resets)
        same(final, ends)
        if sequences:
            assert type(y) is nr.Ragged
            np.testing.assert_array_equal(y.offsets, OFFSETS)
            y, wanted = y.values, flattened(wanted)
        same([y], [wanted])
    idle = np.array(LENGTHS) == 0
    same([array[idle] for array in final], [array[idle] for array in states])


@every_model
def test_out(model):
    """A flat array or a Ragged is written and comes back; without sequences an array of the last outputs."""
    ragged = batch()
    layer = model.make(I, H, return_sequences=True, return_state=True)
    expected, *states = layer(ragged)
    flat, *finals = [np.full_like(array, np.nan) for array in (expected.values, *states)]
    result, *final = layer(ragged, out=(flat, *finals))
    assert type(result) is nr.Ragged and result.values is flat
    assert all(a is b for a, b in zip(final, finals, strict=True))
    same([flat, *finals], [expected.values, *states])
    target = nr.Ragged(np.full((STEPS, H), np.nan, np.float32), OFFSETS)
    assert layer(ragged, out=(target, *finals))[0] is target
    same([target.values], [expected.values])
    last = np.full((B, H), np.nan, np.float32)
    layer = model.make(I, H)
    assert layer(ragged, out=last) is last
    same([last], [layer(ragged)])


def test_values_are_converted_as_inputs_are():
    """Without loss; strided and read-only values give the same bits."""
    layer, wide = nr.LSTM(H, seed=1), np.arange(STEPS * 2 * I).reshape(STEPS, 2 * I)
    expected = layer(nr.Ragged(wide[:, ::2].astype(np.float32), OFFSETS))
    for dtype in (np.int8, np.float16, ">f4"):
        same([layer(nr.Ragged(wide.astype(dtype)[:, ::2], OFFSETS))], [expected])
    frozen = wide[:, ::2].astype(np.float32)
    frozen.flags.writeable = False
    same([layer(nr.Ragged(frozen, OFFSETS))], [expected])
