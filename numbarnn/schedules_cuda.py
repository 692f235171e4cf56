"""Which schedule and tile a call on a CUDA device takes, by sizes and by what the device has."""

from functools import cache
from typing import NamedTuple

from . import costs_cuda
from .costs_cuda import MEETING_SECONDS
from .decision import DeviceDecision
from .kernels.program_cuda import prepared
from .kernels.tile_cuda import Tile

SCHEDULES = ("steps", "rows", "units")  # those that may be chosen
# Threads over units, groups of threads over rows, rows of each thread: by item size and schedule. Sums are
# held in registers, of which a float64 takes two.
TILES = {
    4: {
        "steps": (Tile(32, 8, 8), Tile(32, 8, 2), Tile(8, 16, 1)),
        "rows": (Tile(32, 8, 1), Tile(64, 4, 1), Tile(64, 4, 4), Tile(128, 2, 1), Tile(128, 2, 4)),
        "units": (Tile(8, 16, 1), Tile(8, 32, 2), Tile(16, 16, 2), Tile(32, 8, 2)),
    },
    8: {
        "steps": (Tile(32, 8, 4), Tile(32, 8, 1), Tile(8, 16, 1)),
        "rows": (Tile(32, 8, 1), Tile(64, 4, 1), Tile(64, 4, 2), Tile(128, 2, 1), Tile(128, 2, 2)),
        "units": (Tile(8, 16, 1), Tile(8, 32, 1), Tile(16, 16, 1), Tile(32, 8, 1)),
    },
}
SIMULATED_TILES = {"steps": (Tile(4, 2, 2),), "rows": (Tile(4, 2, 1),), "units": (Tile(4, 2, 1),)}
# Rows of each thread where sums are formed beforehand: the product is bound by its own arithmetic, so the
# more the better, as registers allow.
FORMING_ROWS = {4: {32: 8, 16: 4, 8: 4}, 8: {32: 4, 16: 2, 8: 2}}
FORMING_THREADS = 256
FORMED_BYTES = 64 << 20  # of sums formed beforehand at a time
WORKSPACE_BYTES = 1 << 30  # of a group of segments that is carried through together


def settings():
    """All that `decide` goes by, beside the device, the program and the plan."""
    return SCHEDULES, FORMED_BYTES, WORKSPACE_BYTES


@cache
def forming_tile(tile, itemsize):
    """The tile that forms sums beforehand: as wide as `tile`, for many rows."""
    rows = FORMING_ROWS[itemsize].get(tile.units)
    return Tile(tile.units, FORMING_THREADS // tile.units, rows) if rows else tile


def decide(device, program, steps_plan, forced=None):
    """The `DeviceDecision` for one call: schedule, tile, blocks, memory. Nothing is run.

    Parameters
    ----------
    device : Device
    program : Program
    steps_plan : Plan
    forced : (str, Tile), optional
        What to take, whatever the model says of it.

    Raises
    ------
    ValueError
        Every schedule that may be chosen keeps weights in shared memory, which has no room for them.
    """
    tiles = SIMULATED_TILES if device.simulated else TILES[program.dtype.itemsize]
    pairs = [(schedule, tile) for schedule in SCHEDULES for tile in tiles[schedule]]
    choices = [_decision(device, program, steps_plan, *pair) for pair in ([forced] if forced else pairs)]
    fitting = [choice for choice in choices if choice.shared_bytes <= device.shared_bytes]
    if not fitting:
        raise ValueError(
            f"weights of {max(program.phase_units)} units and {program.input_size} features do not fit into "
            f"the shared memory of {device!r}, {device.shared_bytes} bytes of a block; expected one of "
            f"{SCHEDULES} that they fit into: 'steps' always does"
        )
    return min(fitting, key=lambda choice: choice.predicted_seconds)


class Shares(NamedTuple):
    """How a schedule divides the work."""

    blocks: tuple  # over rows, over units
    at_once: tuple  # of them, that the device runs at the same time
    kept: int  # elements of weights that stay in a block's shared memory
    launches: int
    meeting_seconds: float  # of a step


def _steps(device, program, made, row_tiles, steps, chunks):
    processors, blocks = device.processors, (row_tiles, max(made.unit_blocks))
    across = min(processors, max(made.unit_blocks))
    return Shares(blocks, (processors // across, across), 0, steps * len(program.cell.phases), 0.0)


def _rows(device, program, made, row_tiles, steps, chunks):
    kept = sum(made.kept_by_share(hoisted=False))
    meetings = len(program.cell.phases) * MEETING_SECONDS["block"]
    return Shares((max(1, row_tiles), 1), (device.processors, 1), kept, 1, meetings)


def _units(device, program, made, row_tiles, steps, chunks):
    """All blocks run at once: no more of them than the device has processors."""
    most = max(made.unit_blocks)
    across = -(-most // -(-most // device.processors))
    blocks = max(1, min(row_tiles, device.processors // across)), across
    awaited = sum(map(program.is_awaited, range(len(program.cell.phases))))
    kept = sum(made.kept_by_share(hoisted=True, across=across))
    return Shares(blocks, blocks, kept, chunks, awaited * MEETING_SECONDS["grid"])


def _decision(device, program, steps_plan, schedule, tile):
    """What this schedule and tile would do, even if the device has no room for it."""
    made, itemsize = prepared(program, tile), program.dtype.itemsize
    steps, segments, valid = len(steps_plan.active), len(steps_plan.init_row), len(steps_plan.x_row)
    # Beforehand, the weights that multiply the inputs are read for more rows at once than there are at a
    # step.
    hoisted = schedule == "units" or (schedule == "steps" and steps > 1)
    chunk = max(1, steps)
    if hoisted:
        step_bytes = int(steps_plan.active.max(initial=1)) * sum(made.formed_elements()) * itemsize
        chunk = max(1, min(steps, FORMED_BYTES // max(1, step_bytes)))
    chunks = -(-steps // chunk)
    divide = {"steps": _steps, "rows": _rows, "units": _units}[schedule]
    shares = divide(device, program, made, -(-segments // tile.block_rows), steps, chunks)

    shapes = [made.shape(p) for p in range(len(program.cell.phases))]
    sources = [phase.sources for phase in program.cell.phases]
    formed = [p for p, named in enumerate(sources) if hoisted and "x" in named]
    depths = [
        sum(program.depths[source] for source in named if not (hoisted and source == "x"))
        for named in sources
    ]
    launches = len(program.cell.states) + bool(len(steps_plan.zero_rows))
    launches += chunks * len(formed) + shares.launches
    units, at_once = program.phase_units, shares.at_once
    beforehand = [shapes[p]._replace(tile=forming_tile(tile, itemsize)) for p in formed]
    inputs, formed_units = [program.input_size] * len(formed), [units[p] for p in formed]
    predicted = costs_cuda.seconds(
        device, steps_plan.active, shapes, depths, units, at_once, launches, shares.meeting_seconds
    ) + costs_cuda.seconds(device, [valid], beforehand, inputs, formed_units, at_once, 0, 0.0)
    return DeviceDecision(
        device=device.name,
        schedule=schedule,
        tile=tile,
        steps=steps,
        segments=segments,
        valid_steps=valid,
        waves=max(1, -(-segments * made.row_bytes // WORKSPACE_BYTES)),
        blocks=shares.blocks,
        shared_bytes=(max(shape.room(schedule != "steps") for shape in shapes) + shares.kept) * itemsize,
        hoisted=hoisted,
        chunk_steps=chunk,
        launches=launches,
        predicted_seconds=predicted,
    )
