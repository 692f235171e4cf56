"""The promises about bits hold for users' own cells, extra inputs and all; and nothing compiles late."""

import numpy as np
import pytest
from bits import joined, same, take
from models import every_dtype
from test_memory import poisoned_memory
from users_cells_oracle import ALL, BATCHES, LENGTHS, MASK, B, T, batch, each, every_user, flat

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import jit

compiled = pytest.mark.skipif(jit.DISABLED, reason="promised of compiled code; NUMBA_DISABLE_JIT=1 is set")


@compiled
@every_user
@every_dtype
@pytest.mark.parametrize("kind", ["dense", "lengths", "mask and resets"])
def test_a_row_alone(user, dtype, kind):
    """In any company, of any number."""
    rows = 29
    layer, x, initial, extra = batch(user, dtype, rows=rows)
    rng = np.random.default_rng(2)
    given = {
        name: np.tile(value, (5, *[1] * (value.ndim - 1)))[:rows] for name, value in BATCHES[kind].items()
    }
    call = layer, x, initial, extra, given
    alone = joined(_on_rows(slice(b, b + 1), *call) for b in range(rows))
    for size in (2, 3, 5, 6, 7, 12, 13, rows):
        chosen = rng.permutation(rows)[:size]
        same(_on_rows(chosen, *call), take(alone, chosen))


def _on_rows(rows, layer, x, initial, extra, given):
    given = {name: value[rows] for name, value in given.items()}
    return layer(x[rows], take(initial, rows), **given, extra=each(extra, lambda a: a[rows]))


@compiled
@every_user
@every_dtype
def test_any_number_of_threads(user, dtype, monkeypatch):
    """Rows divided among threads, in waves, and units divided; in memory full of poison."""
    layer, x, initial, extra = batch(user, dtype, rows=31, units=50)
    kinds = [{}, {"lengths": np.resize(LENGTHS, 31)}, {"mask": np.resize(MASK, (31, T))}]
    expected = [layer(x, initial, **given, extra=extra, n_threads=1) for given in kinds]
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for schedule, wave, threads in (("rows", 240, 2), ("rows", 4, 3), ("units", 240, 2), ("units", 240, 3)):
        monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
        monkeypatch.setattr(dispatch, "WAVE_ROWS", wave)
        for given, wanted in zip(kinds, expected, strict=True):
            with poisoned_memory():
                same(layer(x, initial, **given, extra=extra, n_threads=threads), wanted)
        decision = layer.explain(x, initial, extra=extra, n_threads=threads)
        if dispatch.may_launch():
            assert (decision.schedule, decision.threads) == (schedule, min(threads, _most(layer, schedule)))


@compiled
@every_user
def test_directions_side_by_side(user, monkeypatch):
    """And stacks of them; each run has the extra inputs of its own steps."""
    layer, x, _, extra = batch(user, rows=31, units=50)
    both = nr.Bidirectional(nr.RNN([layer.cell, nr.GRUCell(6, seed=1)], **ALL))
    kinds = [{}, {"lengths": np.resize(LENGTHS, 31)}]
    expected = [flat(both(x, **given, extra=extra, n_threads=1)) for given in kinds]
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for threads in (2, 3, 4):
        for given, wanted in zip(kinds, expected, strict=True):
            with poisoned_memory():
                same(flat(both(x, **given, extra=extra, n_threads=threads)), wanted)


def _most(layer, schedule):
    return layer.cell.program.unit_blocks if schedule == "units" else 31


@compiled
@every_user
def test_what_is_not_a_number_stays_in_its_row(user):
    """A NaN in one row's inputs, or in its extra inputs, in its step and after it."""
    layer, x, initial, extra = batch(user)
    expected = layer(x, initial, extra=extra)
    for poisoned in (x, *extra.values()):
        kept, poisoned[2, 3] = poisoned[2, 3].copy(), np.nan
        y, *final = layer(x, initial, extra=extra)
        poisoned[2, 3] = kept
        others = np.arange(B) != 2
        same(take([y, *final], others), take(expected, others))
        same([y[2, :3]], [expected[0][2, :3]])


@compiled
@every_user
def test_nothing_is_compiled_after_warmup(user):
    """Whatever the batch."""
    layer, x, initial, extra = batch(user, units=23)
    nr.warmup(layer)
    known = len(jit.compilations)
    for given in BATCHES.values():
        layer(x, initial, **given, extra=extra)
    nr.RNN(layer.cell, go_backwards=True, time_major=True)(
        x.swapaxes(0, 1), extra=each(extra, lambda a: a.swapaxes(0, 1))
    )
    layer.stepper(B)(x[:, 0], extra=each(extra, lambda a: a[:, 0]) or None)
    assert len(jit.compilations) == known
