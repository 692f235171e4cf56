"""The cost model: a few constants of a typical CPU core, and the time they predict for a step. Shapes do not
appear in it.

The constants decide between schedules and where a long call pauses; results never depend on them.
"""

import numpy as np

FLOPS_PER_SECOND = {4: 112e9, 8: 56e9}  # one core, products of a full tile, by item size
NEAR_BYTES = 600e3  # what stays in the cache that a core has to itself
NEAR_BYTES_PER_SECOND, FAR_BYTES_PER_SECOND = 110e9, 90e9  # one core, weights read once per step
SECONDS_PER_VALUE = {4: 1.5e-9, 8: 5e-9}  # epilogue, per unit and row
SECONDS_PER_ROW = 30e-9  # of pointers and copies
SECONDS_PER_STEP = 0.1e-6  # tables
SECONDS_PER_BARRIER = 0.2e-6
SECONDS_PER_ENTRY = 15e-6  # of a parallel region

# By default a parallel region is not started for less. One costs about 10 us, but its threads then spin for
# milliseconds waiting for the next, and where NumPy's own threads want the same cores, both stand still: a
# call of 0.6 ms and a NumPy product of 1.4 ms, in turn, took 8 ms and not 2.2 (two cores, OpenMP, OpenBLAS).
# Whoever passes n_threads gets them for a twentieth of that work.
LAUNCH_WORTH_SECONDS, ASKED_SHARE = 1e-3, 0.05


def step_seconds(program, rows, hoisted_rows, row_shares=1, unit_shares=1):
    """Predicted seconds of a step.

    Parameters
    ----------
    program : Program
    rows : ndarray of int
        Active rows.
    hoisted_rows : int
        With at most so many rows of a member, products with the inputs are formed for several steps together,
        so that their weights are read rarely.
    row_shares, unit_shares : int
        Members that divide the rows, and the units.
    """
    itemsize = program.dtype.itemsize
    own = -(-rows // row_shares)
    flops, bytes_each = FLOPS_PER_SECOND[itemsize] * unit_shares, program.weight_bytes / unit_shares
    rate = NEAR_BYTES_PER_SECOND if bytes_each <= NEAR_BYTES else FAR_BYTES_PER_SECOND
    hoisted = (own <= hoisted_rows) * program.input_share
    products = own * program.evaluation_flops / flops
    reading = (1.0 - hoisted) * bytes_each / rate
    values = own * max(program.phase_units) * SECONDS_PER_VALUE[itemsize] / unit_shares
    waiting = len(program.cell.phases) * SECONDS_PER_BARRIER if unit_shares > 1 else 0.0
    together = hoisted * products + np.maximum((1.0 - hoisted) * products, reading)
    return together + values + waiting + own * SECONDS_PER_ROW + SECONDS_PER_STEP
