"""The CUDA kernels, as compiled, run by an emulator with race detection: against the oracle, and the bits of
the CPU's kernels.

The same in every schedule and tile, on blocks that divide rows and units, and whatever rows are beside a row.
"""

import itertools

import numpy as np
import pytest
import tolerance
from bits import same, take
from emulator import EmulatedDevice, needs_emulator
from models import MODELS, every_dtype, every_model

from numbarnn import device, schedules_cuda
from numbarnn.schedules_cuda import TILES

pytestmark = needs_emulator

B, T, I, H = 37, 5, 21, 38  # noqa: E741  # no multiples of vectors or tiles; several blocks of rows and units
SCHEDULES = ("steps", "rows", "units")
every_schedule = pytest.mark.parametrize("schedule", SCHEDULES)
# One tile of each schedule, under which rows and units of the sizes above make several blocks.
USUAL = {"steps": 2, "rows": 0, "units": 0}
FEW_FORMED = 40 * 4 * H * 8  # bytes: one or two steps at a time


@pytest.fixture
def emulated(monkeypatch):
    """Layers made with device="cuda" run on this device."""
    made = EmulatedDevice(processors=7)
    monkeypatch.setattr(device, "find", lambda *_: made)
    return made


def take_only(monkeypatch, schedule, itemsize, number=None):
    """Have calls take one schedule, with one of its tiles."""
    tile = TILES[itemsize][schedule][USUAL[schedule] if number is None else number]
    monkeypatch.setattr(schedules_cuda, "SCHEDULES", (schedule,))
    monkeypatch.setattr(schedules_cuda, "TILES", {itemsize: {schedule: (tile,)}})
    monkeypatch.setattr(schedules_cuda, "FORMED_BYTES", FEW_FORMED)
    return tile


def kinds_of_batches(B, T):
    """Dense, lengths with 0, 1 and T among them, a mask with gaps beside resets."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, T + 1, B)
    lengths[:3] = [0, 1, T][:B]
    mask, resets = rng.random((B, T)) < 0.6, rng.random((B, T)) < 0.3
    mask[B // 2] = False
    return {"dense": {}, "lengths": {"lengths": lengths}, "mask": {"mask": mask, "resets": resets}}


def twins(model, dtype, sizes=(B, T, I, H), **options):
    """The same layer on the emulated device and on the CPU, inputs, initial states."""
    on_cpu, x, initial = model.batch(*sizes, dtype, **options)
    on_device, _, _ = model.batch(*sizes, dtype, device="cuda", **options)
    return on_device, on_cpu, x, initial


@every_schedule
@every_dtype
@every_model
def test_results(model, dtype, schedule, emulated, monkeypatch):
    """Within the bound of the oracle; and the bits of the CPU's kernels, which are promised to nobody."""
    take_only(monkeypatch, schedule, np.dtype(dtype).itemsize)
    on_device, on_cpu, x, initial = twins(model, dtype)
    for batch in kinds_of_batches(B, T).values():
        got = on_device(x, initial, **batch)
        same(got, on_cpu(x, initial, **batch))
        expected, naive = (
            (y, *states)
            for y, states in (
                model.expect(on_device.get_weights(), x, initial, **batch, **precision)
                for precision in ({"dtype": np.longdouble}, {"dtype": np.dtype(dtype), "naive": True})
            )
        )
        for k, (ours, exact, plain) in enumerate(zip(got, expected, naive, strict=True)):
            tolerance.assert_close(ours, exact, plain, f"{model.name} {dtype} {schedule} result {k}")
    blocks = on_device.explain(x).blocks
    assert blocks[0] > 1 if schedule == "rows" else blocks[1] > 1


ALL_TILES = [
    pytest.param(dtype, schedule, number, id=f"{dtype} {schedule} {'x'.join(map(str, tile))}")
    for dtype in ("float32", "float64")
    for schedule in SCHEDULES
    for number, tile in enumerate(TILES[np.dtype(dtype).itemsize][schedule])
]


@pytest.mark.parametrize(("dtype", "schedule", "number"), ALL_TILES)
def test_every_tile(dtype, schedule, number, emulated, monkeypatch):
    """The bits of the CPU's kernels, with more rows than a block takes at once."""
    tile = take_only(monkeypatch, schedule, np.dtype(dtype).itemsize, number)
    units = tile.units + 5
    if schedule == "rows":  # all weights must fit into shared memory
        units = {32: 37, 64: 61, 128: 128 // np.dtype(dtype).itemsize}[tile.units]
    sizes = tile.block_rows + 3, 3, 10, units
    on_device, on_cpu, x, initial = twins(MODELS["lstm"], dtype, sizes)
    for batch in kinds_of_batches(*sizes[:2]).values():
        same(on_device(x, initial, **batch), on_cpu(x, initial, **batch))


@every_schedule
@pytest.mark.parametrize("model", [MODELS["lstm"], MODELS["gru_before"]], ids=["lstm", "gru_before"])
def test_a_row_does_not_know_its_neighbours(model, schedule, emulated, monkeypatch):
    """Alone, among others, in another order, beside rows that are not finite."""
    take_only(monkeypatch, schedule, 4)
    layer, _, x, initial = twins(model, "float32")
    rng = np.random.default_rng(4)
    for batch in kinds_of_batches(B, T).values():
        whole = layer(x, initial, **batch)

        def on_rows(rows, x=x, initial=initial, batch=batch):
            return layer(x[rows], take(initial, rows), **{name: value[rows] for name, value in batch.items()})

        for rows in ([5], [0], [2], [B - 1, 1], rng.permutation(B), rng.permutation(B)[:17]):
            same(on_rows(rows), take(whole, rows))
        spoilt, states = x.copy(), [state.copy() for state in initial]
        for array in (spoilt, *states):
            array[1::2] = np.nan
        clean = np.arange(0, B, 2)
        same(take(layer(spoilt, states, **batch), clean), take(whole, clean))


@every_schedule
def test_in_waves_and_in_pieces(schedule, emulated, monkeypatch):
    """A workspace for a few rows at a time; a sequence cut into calls; a call again, from what was kept."""
    take_only(monkeypatch, schedule, 4)
    layer, _, x, initial = twins(MODELS["lstm"], "float32")
    for batch in kinds_of_batches(B, T).values():
        whole = layer(x, initial, **batch)
        same(layer(x, initial, **batch), whole)
        with monkeypatch.context() as patch:
            patch.setattr(schedules_cuda, "WORKSPACE_BYTES", 10 * 4 * 4 * H)
            assert layer.explain(x, **batch).waves > 2
            same(layer(x, initial, **batch), whole)
    y, *states = layer(x, initial)
    first, *between = layer(x[:, :2], initial)
    rest, *after = layer(x[:, 2:], between)
    same([np.concatenate([first, rest], axis=1), *after], [y, *states])


@every_schedule
def test_memory_is_reached_by_whole_sectors_and_all_banks(schedule, emulated, monkeypatch):
    """Where sizes are multiples of vectors; else the last k of a product are read one by one."""
    take_only(monkeypatch, schedule, 4)
    on_device, _, x, initial = twins(MODELS["lstm"], "float32", (32, 2, 32, 32))
    on_device(x, initial)
    counted = [result.counters for name, _, result in emulated.launches if name not in ("start", "clear")]
    assert counted
    for counts in counted:
        assert counts["global_ld"]["sector_efficiency"] > 0.99
        assert counts["shared_ld"]["bank_conflicts"] == counts["shared_st"]["bank_conflicts"] == 0


@every_schedule
def test_sizes_at_the_edge(schedule, emulated, monkeypatch):
    """One of each; nothing of each; inputs that vectors can and cannot read."""
    take_only(monkeypatch, schedule, 4)
    for sizes in itertools.product((1, 3), (1, 2), (0, 1, 8), (1, 4, 9)):
        on_device, on_cpu, x, initial = twins(MODELS["gru"], "float32", sizes)
        same(on_device(x, initial), on_cpu(x, initial))
        same(on_device(x[:0], take(initial, slice(0))), on_cpu(x[:0], take(initial, slice(0))))
        same(on_device(x[:, :0], initial), on_cpu(x[:, :0], initial))
        nothing = {"lengths": np.zeros(sizes[0], int)}
        same(on_device(x, initial, **nothing), on_cpu(x, initial, **nothing))


def test_a_cell_of_ones_own(emulated, monkeypatch):
    """Made by the public calls, with a phase without products; on the schedule that the model chooses."""
    on_device, on_cpu, x, initial = twins(MODELS["toy"], "float32")
    same(on_device(x, initial), on_cpu(x, initial))
    assert on_device.explain(x).device == emulated.name
