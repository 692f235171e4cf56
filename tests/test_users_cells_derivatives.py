"""Users' cells come with their derivatives, those of their phases: to thirty digits, and in float64."""

import numpy as np
import pytest
from test_trace import check_adjoint
from users_cells_oracle import USERS

from numbarnn.kernels.trace import evaluate, vjp

STEP, POINTS = 1e-5, 200
# Central differences are off by STEP^2 / 6 of the third derivative and by eps / STEP of the value, either
# 2e-11; two digits are left for derivatives and values above 1, and a factor of 5 for sums over the results.
LIMIT = 1e-8


GRAPHS = {
    f"{name} {number}": both
    for name, user in USERS.items()
    for number, both in enumerate(
        zip(
            user.definition.graphs(user.options_of_functions),
            user.definition.derivatives(user.options_of_functions),
            strict=True,
        ),
        1,
    )
}
every_phase = pytest.mark.parametrize(("source", "adjoint"), GRAPHS.values(), ids=GRAPHS)


@every_phase
def test_to_thirty_digits(source, adjoint):
    rng = np.random.default_rng(6)
    assert adjoint == vjp(source)
    for _ in range(5):
        check_adjoint(source, rng)


@every_phase
def test_in_float64(source, adjoint):
    """Each input by itself, at random points."""
    rng = np.random.default_rng(6)
    inputs, seeds = source.inputs, adjoint.inputs[len(source.inputs) :]
    point = dict(zip(inputs, rng.uniform(-0.7, 0.7, (len(inputs), POINTS)), strict=True))
    cotangents = dict(zip(seeds, rng.uniform(-1, 1, (len(seeds), POINTS)), strict=True))
    got = evaluate(adjoint, point | cotangents)
    for name, derivative in zip(inputs, got, strict=True):
        sides = [evaluate(source, point | {name: point[name] + step}) for step in (STEP, -STEP)]
        differences = [(after - before) / (2 * STEP) for after, before in zip(*sides, strict=True)]
        expected = sum(d * part for d, part in zip(cotangents.values(), differences, strict=True))
        assert (abs(derivative - expected) <= LIMIT).all(), name
