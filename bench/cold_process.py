"""What a fresh process waits for, as JSON: imports, the first call of one cell and of another, and the rest.

Run by `bench_cold.py`, several times over; whether the cache is cold is its decision.
"""

import json
import sys
from time import perf_counter

started = perf_counter()
import numba  # noqa: E402, F401

numba_there = perf_counter()
import numbarnn as nr  # noqa: E402

numbarnn_there = perf_counter()
import numpy as np  # noqa: E402

from numbarnn.kernels.jit import compilations  # noqa: E402

x = np.ones((32, 50, 128), np.float32)  # worth several threads, so that what starts them is needed too
seconds = {"numba": numba_there - started, "numbarnn": numbarnn_there - numba_there}
functions = {}
for name, kind in {"lstm": nr.LSTM, "gru": nr.GRU}.items():
    before, started = len(compilations), perf_counter()
    layer = kind(128, return_sequences=True, seed=0)
    layer.build(128)
    built = perf_counter()
    layer(x)
    seconds[f"{name} weights"], seconds[name] = built - started, perf_counter() - built
    functions[name] = [[function, how] for function, _, how in compilations[before:]]
before, started = len(compilations), perf_counter()
nr.warmup(layer)
seconds["warmup"] = perf_counter() - started
functions["warmup"] = [[function, how] for function, _, how in compilations[before:]]
json.dump({"seconds": seconds, "functions": functions}, sys.stdout)
