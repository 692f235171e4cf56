"""Dense grid: whole batches through one layer, on one thread and on all."""

import pytest
from points import THREADS, USUAL, point

from numbarnn.benchmarks.problems import Problem

CELLS = ("lstm", "gru")
SIZES = (64, 128, 256, 512, 1024)
BATCHES = ((1, 100), (16, 50), (32, 50), (64, 40), (128, 20))  # B, T
QUICK = {(64, 1), (64, 64), (128, 16), (256, 1), (256, 32), (512, 16), (1024, 1)}  # H, B

GRID = [
    point(
        Problem(cell, B, T, H, H),
        threads,
        name=f"{cell}-H{H}-B{B}-T{T}-threads{threads}",
        quick=(H, B) in QUICK,
    )
    for cell in CELLS
    for H in SIZES
    for B, T in BATCHES
    for threads in THREADS
]


@pytest.mark.parametrize("problem, threads", GRID)
def test_dense(measured, row, problem, threads):
    row("dense", *measured(problem, USUAL, threads))
