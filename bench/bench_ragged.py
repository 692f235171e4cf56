"""Sequences of different lengths in one batch, and what their steps cost beside those of a dense batch."""

from time import perf_counter

import numpy as np
import pytest
from points import ALL, PADDED, point

import numbarnn as nr
from numbarnn.benchmarks.problems import Problem, draw

LAYERS = {"lstm": nr.LSTM, "gru": nr.GRU}
B, T = 32, 100
SIZES = (64, 128, 256)  # I = H
SHARES = {  # of padding, by law
    "uniform": (0.0, 0.25, 0.5, 0.75, 0.9, 0.95),
    "log-normal": (0.5, 0.75),
    "one long": (0.5, 0.9),
    "triangular": (0.25, 0.5),
    "left": (0.5,),
}
QUICK = {
    ("uniform", 0.0, 128), ("uniform", 0.5, 64), ("uniform", 0.5, 128), ("uniform", 0.5, 256),
    ("uniform", 0.95, 128), ("log-normal", 0.75, 128), ("one long", 0.9, 128), ("triangular", 0.25, 64),
    ("left", 0.5, 128),
}  # fmt: skip

GRID = [
    point(
        Problem(cell, B, T, H, H, padding=law, padded=share),
        name=f"{cell}-H{H}-{law.replace(' ', '-')}-{share}",
        quick=(law, share, H) in QUICK,
    )
    for cell in LAYERS
    for H in SIZES
    for law, shares in SHARES.items()
    for share in shares
]


class DenseBatches:
    """Calls of one layer on dense batches of as many rows as are active at some step, each timed apart."""

    def __init__(self, problem):
        active = (np.arange(problem.T) < problem.lengths[:, np.newaxis]).sum(axis=0)
        self.steps = {int(rows): int((active == rows).sum()) for rows in np.unique(active)}
        self.seconds = {rows: [] for rows in self.steps}
        self.x = draw(problem).x
        self.layer = LAYERS[problem.cell](problem.H, return_sequences=True, seed=0)
        self()
        self.seconds = {rows: [] for rows in self.steps}

    def __call__(self):
        for rows, seconds in self.seconds.items():
            start = perf_counter()
            self.layer(self.x[:rows], n_threads=ALL)
            seconds.append(perf_counter() - start)

    def of_as_many_rows(self):
        """The sum, over the steps, of what a dense batch of the active rows takes for a step."""
        of_step = {rows: np.median(seconds) / self.x.shape[1] for rows, seconds in self.seconds.items()}
        return float(sum(count * of_step[rows] for rows, count in self.steps.items()))


@pytest.mark.parametrize("problem", GRID)
def test_ragged(measured, row, problem):
    """`cost`: the time as a multiple of what dense batches of as many rows as are active take."""
    dense = DenseBatches(problem)
    found, durations = measured(problem, PADDED, ALL, beside={"dense": dense})
    padding = 1 - problem.useful_steps / (problem.B * problem.T)
    cost = found["median"]["numbarnn"] / dense.of_as_many_rows()
    row("ragged", found, durations, padding=padding, cost=cost)
