"""A process that calls a layer from inside other people's pools of threads, and prints digests.

The argument names the pool: Python's own (with calls of the main thread meanwhile), joblib's or dask's.
"""

import hashlib
import json
import sys
from concurrent.futures import ThreadPoolExecutor

import numba
import numpy as np

import numbarnn as nr
from numbarnn import costs, dispatch

THREADS, CALLS = 4, 24


def in_threads(call, batches):
    with ThreadPoolExecutor(THREADS) as pool:
        futures = [pool.submit(call, x) for x in batches]
        for x in batches:
            call(x)
        return [future.result() for future in futures]


def in_joblib(call, batches):
    import joblib

    return joblib.Parallel(THREADS, backend="threading")(joblib.delayed(call)(x) for x in batches)


def in_dask(call, batches):
    import dask

    return dask.compute(*[dask.delayed(call)(x) for x in batches], scheduler="threads", num_workers=THREADS)


def digest(results):
    return hashlib.sha256(b"".join(y.tobytes() for y in results)).hexdigest()


def main(run):
    costs.LAUNCH_WORTH_SECONDS = 0.0
    rng = np.random.default_rng(6)
    batches = [rng.standard_normal((1 + k % 5, 40, 8), dtype=np.float32) for k in range(CALLS)]
    layer, found = nr.LSTM(50, seed=1), {}
    dispatch.SCHEDULES = ("single",)
    found["single"] = digest([layer(x) for x in batches])
    for schedule in ("rows", "units"):
        dispatch.SCHEDULES = (schedule,)
        steppers = [layer.stepper(len(x)) for x in batches]
        for stepper, x in zip(steppers, batches, strict=True):
            stepper(x[:, 0])  # prepared on the main thread, for as many threads as may be started there
            stepper.reset()
        found[f"{schedule} before"] = digest([layer(x, n_threads=2) for x in batches])
        found[schedule] = digest(run(lambda x: layer(x, n_threads=2), batches))

        def last_output(k, steppers=steppers):
            for t in range(40):
                y = steppers[k](batches[k][:, t])
            return y

        with ThreadPoolExecutor(THREADS) as pool:
            found[f"{schedule} steppers"] = digest(list(pool.map(last_output, range(CALLS))))
    print(json.dumps({"layer": numba.threading_layer(), "digests": found}))


if __name__ == "__main__":
    main({"threads": in_threads, "joblib": in_joblib, "dask": in_dask}[sys.argv[1]])
