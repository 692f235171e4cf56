"""The cost model: a few constants of a typical CPU core, and the time they predict. Shapes do not appear in
it.

The constants decide between schedules and where a long call pauses; results never depend on them.
"""

FLOPS_PER_SECOND = {4: 105e9, 8: 52e9}  # one core, products of a full tile, by item size
NEAR_BYTES = 800e3  # what stays in the cache that a core has to itself
NEAR_BYTES_PER_SECOND, FAR_BYTES_PER_SECOND = 90e9, 45e9  # one core, weights read once per step
SECONDS_PER_VALUE = {4: 2.5e-9, 8: 8e-9}  # epilogue, per unit and row
SECONDS_PER_STEP = 0.1e-6  # pointers, tables, copying out
SECONDS_PER_BARRIER = 0.2e-6

# Below this a parallel region is not started. Starting one costs about 10 us, but its threads then spin for
# milliseconds waiting for the next, and where NumPy's own threads want the same cores, both stand still:
# steps of 0.7 ms in turn with NumPy products took 6 times as long on two threads as on one (two cores, OpenMP
# and OpenBLAS).
LAUNCH_WORTH_SECONDS = 1e-3


def seconds(program, evaluations, steps, row_shares, unit_shares):
    """Predicted seconds for `evaluations` cell evaluations in `steps` steps, with rows or units split over
    threads.
    """
    itemsize, shares = program.dtype.itemsize, row_shares * unit_shares
    weights = program.weight_bytes / unit_shares
    rate = NEAR_BYTES_PER_SECOND if weights <= NEAR_BYTES else FAR_BYTES_PER_SECOND
    products = evaluations * program.evaluation_flops / FLOPS_PER_SECOND[itemsize] / shares
    values = evaluations * max(program.phase_units) * SECONDS_PER_VALUE[itemsize] / shares
    waiting = steps * len(program.cell.phases) * SECONDS_PER_BARRIER if unit_shares > 1 else 0.0
    return max(products, steps * weights / rate) + values + waiting + steps * SECONDS_PER_STEP
