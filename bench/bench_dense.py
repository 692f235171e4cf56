"""Dense grid: whole batches through one layer against PyTorch and ONNX Runtime, on one thread and on all."""

from functools import lru_cache

import numba
import numpy as np
import pytest

from numbarnn import benchmarks, timing
from numbarnn.benchmarks import Problem

RIVALS = ("torch", "onnxruntime")
SIZES = (64, 128, 256, 512, 1024)
BATCHES = ((1, 100), (16, 50), (32, 50), (64, 40), (128, 20))  # B, T
THREADS = sorted({1, numba.get_num_threads()})
SECONDS = {1: 0.4}  # for the rounds of one point; on more threads most of it is waiting for others' to stop
SECONDS_ON_ALL = 1.0
ROUNDS = 3  # at least: the longest calls take 0.2 s each, and three say as much as many short ones

PROBLEMS = [Problem(cell, B, T, H, H) for cell in benchmarks.GATES for H in SIZES for B, T in BATCHES]
GRID = [
    pytest.param(p, threads, id=f"{p.cell}-H{p.H}-B{p.B}-T{p.T}-threads{threads}")
    for p in PROBLEMS
    for threads in THREADS
]


@lru_cache(maxsize=1)
def inputs(problem):
    """Data and reference, made once for a point's numbers of threads, which follow each other."""
    data = benchmarks.draw(problem)
    return data, *benchmarks.reference(problem, data)


@pytest.mark.parametrize("problem, threads", GRID)
def test_dense(record, problem, threads):
    data, exact, bound = inputs(problem)
    peers = {name: benchmarks.prepare(name, problem, data, threads) for name in ("numbarnn", *RIVALS)}
    error = {name: float(np.abs(peer.result() - exact).max()) for name, peer in peers.items()}
    assert all(value <= bound for value in error.values()), f"errors {error}, bound {bound}"

    calls, fma = {name: peer.run for name, peer in peers.items()}, timing.FmaLoop(problem.dtype)
    for count in sorted({1, threads}):
        calls[f"fma {count}"] = fma.on(count)
    if threads > 1:
        calls["numbarnn 1"] = benchmarks.prepare("numbarnn", problem, data, 1).run
    durations = timing.interleave(calls, SECONDS.get(threads, SECONDS_ON_ALL), ROUNDS)

    median = {name: float(np.median(values)) for name, values in durations.items()}
    work = {name: problem.flops for name in median} | {f"fma {n}": n * fma.flops for n in (1, threads)}
    alone = {"numbarnn": median.get("numbarnn 1", median["numbarnn"]), "fma": median["fma 1"]}
    record(
        durations["numbarnn"],
        group=f"{problem}, {threads} thread(s)",
        problem=problem._asdict(),
        threads=threads,
        calls={name: len(values) for name, values in durations.items()},
        median=median,
        minimum={name: min(values) for name, values in durations.items()},
        ratio={name: median[name] / median["numbarnn"] for name in RIVALS},
        gflops={name: work[name] / median[name] / 1e9 for name in median},
        gain={
            "numbarnn": alone["numbarnn"] / median["numbarnn"],
            "fma": threads * alone["fma"] / median[f"fma {threads}"],
        },
        error=error,
        bound=bound,
    )
