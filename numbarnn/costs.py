"""The cost model: a few constants of a typical CPU core, and the time they predict. Shapes do not appear in
it.

The constants decide between schedules and where a long call pauses; results never depend on them.
"""

FLOPS_PER_SECOND = {4: 100e9, 8: 50e9}  # one core, products of a full tile, by item size
BYTES_PER_SECOND = 30e9  # one core, weights read once per step
SECONDS_PER_VALUE = {4: 2.5e-9, 8: 8e-9}  # epilogue, per unit and row
SECONDS_PER_STEP = 0.1e-6  # pointers, tables, copying out
# Below this a parallel region is not started. Starting one costs about 10 us, but its threads then spin for
# milliseconds waiting for the next, and where NumPy's own threads want the same cores, both stand still:
# steps of 0.7 ms in turn with NumPy products took 6 times as long on two threads as on one (two cores, OpenMP
# and OpenBLAS).
LAUNCH_WORTH_SECONDS = 1e-3


def seconds(program, evaluations, steps, threads):
    """Predicted seconds for `evaluations` cell evaluations in `steps` steps, rows split over `threads`."""
    itemsize = program.dtype.itemsize
    weights = program.kernel.nbytes + program.recurrent_kernel.nbytes
    products = evaluations * program.evaluation_flops / FLOPS_PER_SECOND[itemsize] / threads
    reading = steps * weights / BYTES_PER_SECOND
    values = evaluations * program.units * SECONDS_PER_VALUE[itemsize] / threads
    return max(products, reading) + values + steps * SECONDS_PER_STEP
