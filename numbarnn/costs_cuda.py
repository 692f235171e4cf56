"""The cost model of the CUDA schedules: how long a multiprocessor takes, from what it can do in a cycle.
Shapes do not appear in it.

Its constants are those of NVIDIA's documents and of published measurements, none of ours. They decide between
schedules and tiles; results never depend on them.
"""

import numpy as np

LAUNCH_SECONDS = 4e-6  # from the start of a kernel to the start of the next, from Python
MEETING_SECONDS = {"grid": 1.5e-6, "block": 0.05e-6}  # one barrier, with what is read and written around it
PRODUCT_CYCLES = 4  # until a sum can be added to again
WARPS_AT_ONCE = {4: 4, 8: 2}  # whose products start in one cycle, by item size
SHARED_BYTES_PER_CYCLE = 128


def tile_seconds(shape, depth, clock_hz):
    """One tile of `depth` products for each of its sums."""
    tile, warps = shape.tile, -(-shape.tile.threads // 32)
    products = warps * tile.rows * shape.sums / WARPS_AT_ONCE[shape.itemsize]
    lanes = min(32, tile.units)
    weights, values = shape.sums * lanes, tile.rows * max(1, 32 // tile.units)
    shared = warps * (weights + values) * shape.itemsize / SHARED_BYTES_PER_CYCLE
    return depth * max(PRODUCT_CYCLES, products, shared) / clock_hz


def tiles_each(active, shape, units, rows_apart, units_apart):
    """Tiles that the busiest block computes in all the steps, if so many blocks share the rows and the
    units.
    """
    row_tiles = -(-np.asarray(active) // shape.tile.block_rows)
    unit_tiles = -(-units // shape.tile.units)
    return int((-(-row_tiles // rows_apart)).sum()) * -(-unit_tiles // units_apart)


def seconds(device, active, shapes, depths, units, blocks, launches, meetings):
    """Predicted seconds of a schedule.

    Parameters
    ----------
    device : Device
    active : ndarray
        Rows at each step.
    shapes, depths, units : sequences
        Of each phase: its `TileShape`, the k that each of its sums adds up in a step, and its units.
    blocks : (int, int)
        That share the rows, and the units.
    launches : int
        Of kernels.
    meetings : float
        Seconds of barriers in a step.
    """
    work = sum(
        tiles_each(active, shape, size, *blocks) * tile_seconds(shape, depth, device.clock_hz)
        for shape, depth, size in zip(shapes, depths, units, strict=True)
    )
    return work + launches * LAUNCH_SECONDS + len(active) * meetings
