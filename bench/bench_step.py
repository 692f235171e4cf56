"""One time step a call, one row, the state carried on: a live stream, and its calls that took longest."""

import gc
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
from points import ALL, THREADS, point

from numbarnn import timing
from numbarnn.benchmarks import peers
from numbarnn.benchmarks.problems import Problem, draw

SIZES = (32, 64, 128, 256, 512)  # I = H
CALLS = {"quick": 10_000, "full": 100_000}
BURST_SECONDS = 0.05
MOST_BURSTS = {"quick": 20, "full": 200}  # of one library, however few calls that are
RIVALS = ("onnxruntime", "torch", "torch_cells")
IN_FULL = (*RIVALS, "keras_tensorflow", "keras_jax", "keras_torch")
LATENCY = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "worst": 100}

GRID = [
    point(
        Problem(cell, 1, 32, H, H, each_step=True),
        threads,
        name=f"{cell}-H{H}-threads{threads}",
        quick=threads == ALL,
    )
    for cell in ("lstm", "gru")
    for H in SIZES
    for threads in THREADS
]


def stream(ready, count, most_bursts):
    """The seconds of `count` calls of every peer, one right after the other; peers take turns in bursts."""
    durations = {name: [] for name in ready}
    collecting = gc.isenabled()
    gc.disable()
    try:
        for _ in range(most_bursts):
            for name, peer in ready.items():
                if len(durations[name]) < count:
                    timing.settle()
                    burst = getattr(peer.run, "burst", partial(timing.burst, peer.run))
                    durations[name] += burst(BURST_SECONDS)
    finally:
        if collecting:
            gc.enable()
    return durations


@pytest.mark.parametrize("problem, threads", GRID)
def test_step(measured, row, tier, problem, threads):
    """The comparison as in every suite, and a stream for those whose results were right."""
    found, durations = measured(problem, RIVALS if tier == "quick" else IN_FULL, threads)
    data, names = draw(problem), ["numbarnn", *found["ratio"]]
    with ExitStack() as stack:
        ready = {}
        for name in names:
            ready[name] = peers.prepare(name, problem, data, threads)
            stack.callback(ready[name].close)
        streamed = stream(ready, CALLS[tier], MOST_BURSTS[tier])
    latency = {
        name: {"calls": len(values)}
        | {label: float(np.percentile(values, share)) for label, share in LATENCY.items()}
        for name, values in streamed.items()
    }
    row("step", found, durations, latency=latency)
