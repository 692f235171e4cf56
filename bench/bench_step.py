"""One time step a call, one row, the state carried on: a live stream, and its calls that took longest."""

import gc
from contextlib import ExitStack
from functools import partial

import numpy as np
import pytest
from points import ALL, point

from numbarnn import timing
from numbarnn.benchmarks import peers
from numbarnn.benchmarks.problems import Problem, draw

SIZES = (32, 64, 128, 256, 512)  # I = H
CALLS = 10_000
OURS = {"quick": CALLS, "full": 100_000}
BURST_SECONDS = 0.05
MOST_BURSTS = 20  # of another library, however few calls that are
RIVALS = ("onnxruntime", "torch", "torch_cells")
IN_FULL = (*RIVALS, "openvino", "keras_tensorflow", "keras_jax", "keras_torch")
LATENCY = {"p50": 50, "p90": 90, "p99": 99, "p99.9": 99.9, "worst": 100}

GRID = [
    point(Problem(cell, 1, 32, H, H, each_step=True), name=f"{cell}-H{H}", quick=True)
    for cell in ("lstm", "gru")
    for H in SIZES
]


def stream(ready, ours):
    """The seconds of calls of every peer, one right after the other: `ours` of numbarnn's, `CALLS` of others.
    Peers take turns in bursts.
    """
    durations, bursts = {name: [] for name in ready}, dict.fromkeys(ready, 0)

    def needs_more(name):
        if name == "numbarnn":
            return len(durations[name]) < ours
        return len(durations[name]) < CALLS and bursts[name] < MOST_BURSTS

    collecting = gc.isenabled()
    gc.disable()
    try:
        while waiting := list(filter(needs_more, ready)):
            for name in waiting:
                timing.settle()
                run = ready[name].run
                durations[name] += getattr(run, "burst", partial(timing.burst, run))(BURST_SECONDS)
                bursts[name] += 1
    finally:
        if collecting:
            gc.enable()
    return durations


@pytest.mark.parametrize("problem", GRID)
def test_step(measured, row, tier, problem):
    """The comparison as in every suite, and a stream for those whose results were right."""
    found, durations = measured(problem, RIVALS if tier == "quick" else IN_FULL, ALL)
    data, names = draw(problem), ["numbarnn", *found["ratio"]]
    with ExitStack() as stack:
        ready = {}
        for name in names:
            ready[name] = peers.prepare(name, problem, data, ALL)
            stack.callback(ready[name].close)
        streamed = stream(ready, OURS[tier])
    latency = {
        name: {"calls": len(values)}
        | {label: float(np.percentile(values, share)) for label, share in LATENCY.items()}
        for name, values in streamed.items()
    }
    row("step", found, durations, latency=latency)
