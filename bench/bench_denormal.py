"""States that decay into denormal numbers, for which processors may be slow, against ordinary ones."""

import numpy as np
import pytest
from points import ALL, USUAL, point

from numbarnn import timing
from numbarnn.benchmarks import peers
from numbarnn.benchmarks.problems import Problem, draw

SIZES = (64, 256)  # I = H
FIRST_INPUT = 1e-37  # the only one that is not 0: states start near the least normal number, 1.2e-38
KEEPING = 4.0  # bias of the gate that keeps the state: a step leaves 98 % of it
KEEPING_GATE = 1  # of i, f, g, o and of r, z, n

GRID = [
    point(Problem(cell, 16, 400, H, H), name=f"{cell}-H{H}", quick=True)
    for cell in ("lstm", "gru")
    for H in SIZES
]


def keeping(problem, data):
    """The weights, but no biases except one that lets states decay slowly."""
    [[(weight_ih, weight_hh, bias_ih, bias_hh)]] = data.weights
    bias, start = np.zeros_like(bias_ih), KEEPING_GATE * problem.H
    bias[start : start + problem.H] = KEEPING
    return data._replace(weights=[[(weight_ih, 0.1 * weight_hh, bias, np.zeros_like(bias_hh))]])


def decaying(data):
    """Nothing comes in after a first step, and that is small."""
    x = np.zeros_like(data.x)
    x[:, 0] = FIRST_INPUT * data.x[:, 0]
    return data._replace(x=x)


@pytest.mark.parametrize("problem", GRID)
def test_denormal(record, pace, alternating, problem):
    ordinary = keeping(problem, draw(problem))
    inputs = {"ordinary": ordinary, "decaying": decaying(ordinary)}
    names = ["numbarnn", *(name for name in USUAL if not peers.missing(name))]
    ready = {
        (name, kind): peers.prepare(name, problem, data, ALL)
        for name in names
        for kind, data in inputs.items()
    }
    y = np.abs(ready["numbarnn", "decaying"].result())
    share = float(((y > 0) & (y < np.finfo(y.dtype).tiny)).mean())
    assert share > 0.5, f"{share:.0%} of the outputs are denormal; expected most of them"
    took = timing.alternate({kind: ready["numbarnn", kind].run for kind in inputs}, **alternating)
    others = {pair: peer.run for pair, peer in ready.items() if pair[0] != "numbarnn"}
    durations = timing.interleave(others, **pace) | {("numbarnn", kind): took[kind] for kind in inputs}
    median = {pair: float(np.median(values)) for pair, values in durations.items()}
    cost = {name: median[name, "decaying"] / median[name, "ordinary"] for name in names}
    cost["numbarnn"] = float(np.median(took["decaying"] / took["ordinary"]))
    record(
        took["decaying"].tolist(),
        f"denormal {problem}, {ALL} thread(s)",
        suite="denormal",
        point={name: getattr(problem, name) for name in ("cell", "B", "T", "H")} | {"threads": ALL},
        share=share,
        median={name: median[name, "decaying"] for name in names},
        cost=cost,
    )
