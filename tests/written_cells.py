"""Cells written in Python, and the two ways to run them, for the tests of `numbarnn.loop`."""

from collections import namedtuple

import numpy as np
import pytest

import numbarnn as nr
from numbarnn import loop, nests

B, T, I, H = 5, 6, 3, 4  # noqa: E741
LENGTHS = np.array([0, 6, 3, 1, 4])
Pair = namedtuple("Pair", "total grids")


def through_loop(cell, x, initial_state=None, training=False, kept=None, **options):
    return loop.run(cell, x, initial_state, training=training, kept=kept, **options)


def through_layer(cell, x, initial_state=None, training=False, **options):
    calls = {name: options.pop(name) for name in ("mask", "lengths", "resets") if name in options}
    y, *states = nr.RNN(cell, return_state=True, **options)(x, initial_state, training=training, **calls)
    sized = states[0] if isinstance(states[0], dict) else states
    return y, sized


ways = pytest.mark.parametrize("run", [through_loop, through_layer], ids=["loop", "RNN"])


class Nested:
    """Inputs in a dict, states in a named tuple, outputs in a tuple, ranks 1 to 4; rows begin differently.

    Every operation is elementwise, so that a row alone has the same bits.
    """

    state_size = Pair(4, [nr.Shape(2, 3), nr.Shape()])
    output_size = (4, {"grid": nr.Shape(1, 2, 3), "count": nr.Shape()})

    def get_initial_state(self, batch_size):
        rows = np.arange(1, batch_size + 1, dtype=np.float32)
        return Pair(
            np.outer(rows, [1, 2, 3, 4]).astype(np.float32),
            [rows[:, None, None] * np.ones((2, 3), np.float32), rows],
        )

    def call(self, inputs, states):
        assert isinstance(inputs, dict) and list(inputs) == ["flat", "deep"] and isinstance(states, Pair)
        total = np.float32(0.5) * states.total + inputs["flat"]
        grid = states.grids[0] * inputs["deep"][:, 0] + np.float32(1)
        count = states.grids[1] + np.float32(1)
        output = (total - count[:, None], {"grid": grid[:, None], "count": count})
        return output, [total, (grid, count)]


def batch(rng, time_major=False):
    x = {
        "flat": rng.standard_normal((B, T, 4)).astype(np.float32),
        "deep": rng.standard_normal((B, T, 2, 2, 3)).astype(np.float32),
    }
    return nests.map_structure(lambda leaf: leaf.swapaxes(0, 1), x) if time_major else x


class Sum:
    """One state, as simple as can be."""

    state_size = I

    def call(self, inputs, states):
        total = states[0] + inputs
        return 2 * total, total  # a bare array: Keras takes it for a list of one


class Wrapped:
    """A fused cell's own step, called from Python."""

    def __init__(self, cell):
        self.cell, self.state_size, self.output_size = cell, cell.state_size, cell.output_size

    def call(self, inputs, states):
        return self.cell(inputs, states)


def ones(*shape):
    return np.ones(shape, np.float32)


def failing(**attributes):
    """A cell that returns what is given as `result`, or its inputs and states."""

    def call(self, inputs, states):
        result = attributes.get("result")
        return (inputs, states) if result is None else result(inputs, states)

    return type("Cell", (), {"state_size": I, "call": call} | attributes)()


X = ones(2, 4, I)
