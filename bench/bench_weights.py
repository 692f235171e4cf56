"""Weights in 16 bits against float32: the time of a call, and how far its outputs lie from float32's."""

import numba
import numpy as np
import pytest

import numbarnn as nr
from numbarnn import timing

POINTS = (
    (1, 100, 128),
    (1, 100, 256),
    (1, 100, 512),
    (1, 100, 1024),
    (4, 50, 512),
    (16, 50, 512),
)  # B, T, I = H
CELLS = {"lstm": nr.LSTM, "gru": nr.GRU}
THREADS = sorted({1, numba.get_num_threads()})
KINDS = {"float32": None, "float16": "float16", "bfloat16": "bfloat16"}
SECONDS, ROUNDS = 1.2, 5

GRID = [
    pytest.param(cell, point, threads, id="-".join(map(str, (cell, *point, f"threads{threads}"))))
    for cell in CELLS
    for point in POINTS
    for threads in THREADS
]


@pytest.mark.parametrize("cell, point, threads", GRID)
def test_weights(record, cell, point, threads):
    """`ratio` says how many times as fast as float32 each kind is; `error` is the largest difference of an
    output, all of which lie between -1 and 1.
    """
    B, T, H = point
    x = np.random.default_rng(B * T).standard_normal((B, T, H), dtype=np.float32)
    n_threads = None if threads == numba.get_num_threads() else threads
    layers = {
        kind: CELLS[cell](H, return_sequences=True, seed=0, weights_dtype=weights_dtype)
        for kind, weights_dtype in KINDS.items()
    }
    outputs = {kind: layer(x, n_threads=n_threads) for kind, layer in layers.items()}
    calls = {kind: lambda layer=layer: layer(x, n_threads=n_threads) for kind, layer in layers.items()}
    durations = timing.interleave(calls, SECONDS, ROUNDS)
    median = {kind: float(np.median(seconds)) for kind, seconds in durations.items()}
    decisions = {kind: layer.explain(x, n_threads=n_threads) for kind, layer in layers.items()}
    record(
        durations["bfloat16"],
        group=f"{cell} B{B} T{T} H{H}, {threads} thread(s), weights",
        suite="weights",
        problem={"cell": cell, "B": B, "T": T, "I": H, "H": H},
        threads=threads,
        schedule={kind: f"{made.schedule}, {made.threads}" for kind, made in decisions.items()},
        calls={kind: len(seconds) for kind, seconds in durations.items()},
        median=median,
        minimum={kind: min(seconds) for kind, seconds in durations.items()},
        ratio={kind: median["float32"] / median[kind] for kind in KINDS},
        error={kind: float(abs(outputs[kind] - outputs["float32"]).max()) for kind in KINDS},
    )
