"""A process that runs layers under every schedule and prints digests of the results, and what threads it had.

`one-core` as an argument binds it to one core before anything is imported, `one-core-later` after Numba has
started its threads.
"""

import json
import os
import sys

if "one-core" in sys.argv:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})

import hashlib

import numba
import numpy as np

import numbarnn as nr
from numbarnn import costs, dispatch

MEMBERS = 3
# Not the orthogonal weights: NumPy factorises with OpenBLAS, whose threads may hang in a forked process.
OPTIONS = {"recurrent_initializer": "glorot_uniform", "seed": 1}


def digests():
    """Schedule -> digest of the results of two layers on one row and on several."""
    costs.LAUNCH_WORTH_SECONDS = 0.0
    found, x = {}, np.random.default_rng(3).standard_normal((4, 30, 20), dtype=np.float32)
    for schedule in ("rows", "units", "single"):
        dispatch.SCHEDULES = (schedule,)
        digest = hashlib.sha256()
        for layer in (nr.LSTM(70, **OPTIONS), nr.GRU(70, **OPTIONS, reset_after=False)):
            for rows in (1, 4):
                digest.update(layer(x[:rows], n_threads=MEMBERS).tobytes())
        found[schedule] = digest.hexdigest()
    return found


if __name__ == "__main__":
    if "one-core-later" in sys.argv:
        numba.set_num_threads(numba.config.NUMBA_NUM_THREADS)
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    found = digests()
    layer, x = nr.LSTM(70, **OPTIONS), np.zeros((4, 30, 20), np.float32)
    dispatch.SCHEDULES = ("single", "rows", "units")
    decision = layer.explain(x)
    print(json.dumps({
        "digests": found, "layer": numba.threading_layer(), "pool": numba.config.NUMBA_NUM_THREADS,
        "threads": decision.threads, "schedule": decision.schedule,
    }))  # fmt: skip
