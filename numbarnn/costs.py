"""The cost model: a few constants of a typical CPU core, and the time they predict for a step. Shapes do not
appear in it.

The constants decide between schedules and where a long call pauses; results never depend on them. In a
checkout `python bench/predictions.py` holds them against measurements.
"""

import numpy as np

FLOPS_PER_SECOND = {4: 112e9, 8: 56e9}  # one core, products of a full tile, by item size
# One core reading weights once per step: up to so many bytes, so many bytes a second. A core's own cache, the
# one that cores share, memory.
READING = ((600e3, 100e9), (16e6, 68e9), (float("inf"), 43e9))
HIDDEN = 0.5  # share of the first tiles' products that goes on while their weights are read
SECONDS_PER_VALUE = {4: 1.5e-9, 8: 5e-9}  # epilogue, per unit and row
SECONDS_PER_ROW = 30e-9  # of pointers and copies
SECONDS_PER_STEP = 0.1e-6  # tables
SECONDS_PER_BARRIER = 0.3e-6

# Where a member's weights take at least and at most so many bytes, a single row that waits for them forms
# products with the inputs of later steps (see `kernels.ahead`). Time of a sequence, as a share of what it is
# if they are formed before, LSTM and GRU of 32, 64, 128, 256, 512, 1024 units on one thread: 1.07 and 1.09,
# 1.01 and 1.00, 0.93 and 0.92, 0.94 and 0.94, 0.97 and 0.94, 1.31 and 1.06.
AHEAD_BYTES = 200e3, 16e6

# By default a parallel region is not started for less. Its threads spin for milliseconds afterwards, waiting
# for the next, and where NumPy's own threads want the same cores, both stand still: a call of 0.6 ms and a
# NumPy product of 1.4 ms, in turn, took 8 ms and not 2.2 (two cores, OpenMP, OpenBLAS). Whoever passes
# n_threads gets them wherever they pay; until all are at work, a tenth of that time may have passed.
LAUNCH_WORTH_SECONDS, ENTRY_SHARE = 1e-3, 0.1


def entry_seconds(threads):
    """Predicted seconds of starting them."""
    return LAUNCH_WORTH_SECONDS * ENTRY_SHARE if threads > 1 else 0.0


def goes_ahead(program, unit_shares):
    """Whether products with the inputs of later steps pay beside a single row; see `AHEAD_BYTES`."""
    least, most = AHEAD_BYTES
    return least <= program.weight_bytes / unit_shares <= most


def step_seconds(program, rows, hoisted_rows, row_shares=1, unit_shares=1):
    """Predicted seconds of a step.

    Parameters
    ----------
    program : Program
    rows : ndarray or float
        Active rows.
    hoisted_rows : int
        With at most so many rows of a member, products with the inputs are formed for several steps together,
        so that their weights are read rarely.
    row_shares, unit_shares : int
        Members that divide the rows, and the units.
    """
    itemsize = program.dtype.itemsize
    own = -(-rows // row_shares)
    weights = program.weight_bytes / unit_shares
    own_cache, shared_cache, memory = READING
    near = own_cache if weights <= own_cache[0] else shared_cache
    _, rate = near if program.weight_bytes <= shared_cache[0] else memory
    hoisted = (own <= hoisted_rows) * program.input_share
    products = own * program.evaluation_flops / (FLOPS_PER_SECOND[itemsize] * unit_shares)
    # The first tile of every panel reads it from afar, those of further rows find it near.
    first = products * np.minimum(1.0, program.reach.rows / np.maximum(own, 1))
    reading = (1.0 - hoisted) * np.maximum(weights / rate - HIDDEN * first, 0.0)
    values = own * max(program.phase_units) * SECONDS_PER_VALUE[itemsize] / unit_shares
    waiting = len(program.cell.phases) * SECONDS_PER_BARRIER if unit_shares > 1 else 0.0
    return products + reading + values + waiting + own * SECONDS_PER_ROW + SECONDS_PER_STEP
