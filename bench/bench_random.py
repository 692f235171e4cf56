"""Sizes that nobody chose: thirty layers whose sizes are no powers of two, drawn once and for all."""

import numpy as np
import pytest
from points import ALL, USUAL, point

from numbarnn.benchmarks.problems import Problem

SEED, COUNT, QUICK = 30, 30, 8
MOST = {"B": 200, "T": 60, "I": 600, "H": 600}  # from 1, log-uniform


def sizes(generator):
    """One problem."""
    drawn = {name: int(np.exp(generator.uniform(0, np.log(most + 1)))) for name, most in MOST.items()}
    return Problem(str(generator.choice(["lstm", "gru"])), **drawn)


GENERATOR = np.random.default_rng(SEED)
PROBLEMS = [
    point(problem, name="-".join(map(str, problem[:5])), quick=number < QUICK)
    for number, problem in enumerate(sizes(GENERATOR) for _ in range(COUNT))
]


@pytest.mark.parametrize("problem", PROBLEMS)
def test_random(measured, row, problem):
    row("random", *measured(problem, USUAL, ALL))
