"""Cells of more sums than registers have room for, and of more states than the built-in ones."""

import inspect

import numpy as np
import oracle
import pytest
import tolerance

import numbarnn as nr
from numbarnn.kernels import block

B, T, I, H = 13, 3, 5, 19  # noqa: E741


def takes(names, function):
    """`function(*values)` as the function of a cell that names them."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in names])
    return function


def compare(cell, columns, step):
    """The cell with random weights, of so many blocks of columns, against its longhand step."""
    rng = np.random.default_rng(0)
    layer = nr.RNN(nr.FusedCell(cell, H), return_sequences=True, return_state=True)
    sizes = [(I, columns[0] * H), (H, columns[1] * H), (columns[0] * H,)]
    layer.set_weights([rng.uniform(-0.3, 0.3, size) for size in sizes])
    x = rng.standard_normal((B, T, I)).astype(np.float32)
    longhand = oracle.Cell(step, states=len(cell.states))
    y, states = oracle.run(longhand, layer.get_weights(), x)
    naive_y, naive = oracle.run(longhand, layer.get_weights(), x, dtype=np.float32, naive=True)
    for got, exact, loop in zip(layer(x), [y, *states], [naive_y, *naive], strict=True):
        tolerance.assert_close(got, exact, loop)


def sums(count):
    names = [f"s{k}" for k in range(count)]

    def mean(*s):
        return sum(map(nr.math.tanh, s)) * (1 / count)

    slots = " ".join(f"{name}:x+h" for name in names)
    return nr.cell("many sums", states="h", phases=[nr.phase(slots, takes(names, mean))])


def states(count):
    names = [f"s{k}" for k in range(count)]

    def mix(a, *s):
        return tuple((a + state) * (1 / count) for state in s)

    slot = "a:" + "+".join(["x", *names])
    return nr.cell("many states", states=" ".join(names), phases=[nr.phase(slot, takes(["a", *names], mix))])


@pytest.mark.parametrize("count", [5, 6, 8, 12])
def test_many_sums(count):
    def step(weights, x, states, act, rec, total):
        slots = [total(b, (x, W), (states[0], U)) for W, U, b in oracle.gates(count, *weights)]
        h = sum(map(np.tanh, slots)) * weights[0].dtype.type(1 / count)
        return h, [h]

    compare(sums(count), (count, count), step)


@pytest.mark.parametrize("count", [2, 4])
def test_many_states(count):
    """All of them multiplied."""
    def step(weights, x, states, act, rec, total):
        W, U, b = weights
        a = total(b, (x, W), *zip(states, np.split(U, count, axis=1), strict=True))
        states = [(a + state) * W.dtype.type(1 / count) for state in states]
        return states[0], states

    compare(states(count), (1, count), step)


def results(count):
    """Phases without products, each of which computes one value."""
    phases = [nr.phase("", takes(["h"], lambda h: 2.0 * h), results=f"r{k}") for k in range(count - 1)]
    return nr.cell("many results", states="h", phases=[*phases, nr.phase("a:x+h", lambda a: a)])


@pytest.mark.parametrize(("make", "room"), [
    (sums, block.SUMS_ROOM), (states, block.SOURCES_ROOM - 1), (results, block.VECTORS_ROOM)])
def test_more_than_a_workspace_has_room_for_is_refused(make, room):
    """When the cell is defined, not when it runs. The inputs are a source too."""
    with pytest.raises(ValueError, match="phase"):
        make(room + 1)
