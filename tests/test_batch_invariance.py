"""The bits of a row are those it has alone, whatever rows stand beside it, in whatever number and order."""

from collections import Counter

import numpy as np
import pytest
from bits import joined, same, take
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from models import every_dtype, every_model

from numbarnn import costs, dispatch
from numbarnn.kernels import jit, simd, tile

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="promised of compiled code; NUMBA_DISABLE_JIT=1 is set")

I, H = 5, 35  # noqa: E741  # H: several blocks of units, the last one with a tail, for vectors of 2 to 16
SPECIAL = [np.nan, np.inf, -np.inf, 3e38, 1e-45]


def on_rows(rows, layer, x, initial, batch):
    """A call on some rows of everything."""
    return layer(x[rows], take(initial, rows), **{name: value[rows] for name, value in batch.items()})


def each_alone(B, *call):
    return joined(on_rows(slice(b, b + 1), *call) for b in range(B))


def kinds_of_batches(B, T):
    """Dense, lengths with 0, 1 and T among them, and a mask with gaps beside resets."""
    rng = np.random.default_rng(11)
    lengths = rng.integers(0, T + 1, B)
    lengths[1:4] = [0, T, 1]
    mask, resets = rng.random((2, B, T)) < np.array([0.6, 0.3])[:, None, None]
    mask[2], mask[3] = False, True
    return [{}, {"lengths": lengths}, {"mask": mask, "resets": resets}]


@every_dtype
@every_model
def test_in_batches_of_any_size_and_order(model, dtype):
    """The sizes from 1 to 50 pass all heights of tiles, and the ways in which they add up, several times."""
    layer, x, initial = model.batch(129, 4, I, H, dtype)
    for batch in kinds_of_batches(129, 4):
        call = layer, x, initial, batch
        alone = each_alone(129, *call)
        for size in (*range(1, 51), 64, 127, 128, 129):
            rows = np.random.default_rng(size).permutation(129)[:size]
            same(on_rows(rows, *call), take(alone, rows))


@every_dtype
@every_model
def test_in_batches_around_the_ends_of_waves(model, dtype, monkeypatch):
    """Rows or units divided among threads; by resets there are more sequences than rows."""
    wave = dispatch.WAVE_ROWS
    layer, x, initial = model.batch(2 * wave + 1, 3, I, 18, dtype)
    kinds = kinds_of_batches(2 * wave + 1, 3)
    rows_alone = [each_alone(2 * wave + 1, layer, x, initial, batch) for batch in kinds]
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for batch, alone in zip(kinds, rows_alone, strict=True):
        for schedule in ("single", "rows", "units"):
            monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
            for size in (wave - 1, wave, wave + 1, 2 * wave - 1, 2 * wave, 2 * wave + 1):
                same(on_rows(slice(size), layer, x, initial, batch), take(alone, slice(size)))


@every_dtype
@every_model
def test_every_tile_that_exists_runs(model, dtype):
    """All heights and widths, those of single rows too, with whole last blocks and with tails."""
    B = 13
    phases = [phase for phase in model.make(I, 1).cell.definition.phases if phase.sums]
    reaches = [tile.heights(len(phase.sums), simd.target()) for phase in phases]
    ran, lanes = Counter(), simd.target().lanes(dtype)
    for blocks in range(1, 2 + max(reach.wide_blocks for reach in reaches)):
        layer, x, initial = model.batch(B, 2, I, blocks * lanes - blocks % min(3, lanes), dtype)
        alone = each_alone(B, layer, x, initial, {})
        for size in range(1, B + 1):
            ran.update(layer.explain(x[:size], measure=True).tiles)
            same(layer(x[:size], take(initial, slice(size))), take(alone, slice(size)))
    assert set(ran) == {variant for reach in reaches for variant in tile.variants(reach)}


@every_dtype
@every_model
@pytest.mark.parametrize("special", SPECIAL)
def test_beside_rows_that_are_not_finite(model, dtype, special):
    """Every other row of inputs and states: huge and tiny numbers, infinities, NaN."""
    layer, x, initial = model.batch(50, 4, I, H, dtype)
    for batch in kinds_of_batches(50, 4):
        clean = layer(x, initial, **batch)
        spoilt = [array.copy() for array in (x, *initial)]
        for array in spoilt:
            array[1::2] = special
        same(take(layer(spoilt[0], spoilt[1:], **batch), slice(0, 50, 2)), take(clean, slice(0, 50, 2)))


@st.composite
def batches(draw):
    """Sizes from 0 on, options of a layer, and lengths, mask and resets of any pattern."""
    B, T, features, units = (draw(st.integers(*ends)) for ends in ((1, 6), (0, 12), (0, 4), (1, 40)))
    flags = ("return_sequences", "go_backwards", "zero_output_for_mask")
    options = {name: draw(st.booleans()) for name in flags}
    batch, kind = {}, draw(st.sampled_from(["dense", "lengths", "mask"]))
    if kind == "lengths":
        batch["lengths"] = draw(arrays(np.int64, B, elements=st.sampled_from([0, T]) | st.integers(0, T)))
    if kind == "mask":
        batch["mask"] = draw(arrays(np.bool_, (B, T)))
    if draw(st.booleans()):
        batch["resets"] = draw(arrays(np.bool_, (B, T)))
    return (B, T, features, units), options, batch


@settings(deadline=None, derandomize=True, max_examples=80)
@given(batches(), st.data())
@every_dtype
@every_model
def test_any_batch_is_its_rows(model, dtype, drawn, data):
    """Alone; in any order, some left out, some twice; beside others that are not finite."""
    (B, *sizes), options, batch = drawn
    layer, x, initial = model.batch(B, *sizes, dtype, **options)
    whole = layer(x, initial, **batch)
    same(each_alone(B, layer, x, initial, batch), whole)

    rows = np.array(data.draw(st.lists(st.integers(0, B - 1), max_size=2 * B), "rows"), int)
    same(on_rows(rows, layer, x, initial, batch), take(whole, rows))

    spoilt = data.draw(arrays(np.bool_, B), "spoilt")
    x[spoilt] = data.draw(st.sampled_from(SPECIAL), "special")
    for state in initial:
        state[spoilt] = data.draw(st.sampled_from(SPECIAL), "special state")
    same(take(layer(x, initial, **batch), ~spoilt), take(whole, ~spoilt))
