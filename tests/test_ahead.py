"""Products with the inputs of later steps beside a single row's: no bit depends on it, and it is done."""

import numpy as np
import pytest
from bits import same
from models import TOY
from users_cells import PEEPHOLE

import numbarnn as nr
from numbarnn import call, costs, dispatch
from numbarnn.kernels import ahead, block, jit, simd, tile

pytestmark = [
    pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set: nothing is hoisted"),
    pytest.mark.skipif(simd.target().registers < 32, reason="the sums of both do not fit the registers"),
]

CELLS = "lstm", "gru", "peephole", "toy"  # three sums and four sources: more steps would fit the registers
NEVER, ALWAYS = (np.inf, np.inf), (0, np.inf)


def layer_of(name, H, dtype="float32"):
    options = {"return_sequences": True, "return_state": True}
    own = {"peephole": PEEPHOLE, "toy": TOY}
    if name in own:
        return nr.RNN(nr.FusedCell(own[name], H, seed=4, dtype=dtype), **options)
    return {"lstm": nr.LSTM, "gru": nr.GRU}[name](H, seed=4, dtype=dtype, **options)


def program_of(layer, inputs):
    layer(np.zeros((1, 1, inputs), np.float32))
    return layer.cell.program


@pytest.fixture
def both(monkeypatch):
    """`both(layer, x, **arguments)`: results without, and with, alone and dividing the units."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)

    def run(layer, x, **arguments):
        monkeypatch.setattr(dispatch, "SCHEDULES", ("single",))
        monkeypatch.setattr(costs, "AHEAD_BYTES", NEVER)
        expected = layer(x, n_threads=1, **arguments)
        monkeypatch.setattr(costs, "AHEAD_BYTES", ALWAYS)
        for schedule, threads in (("single", 1), ("units", 2), ("units", 3)):
            monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
            same(layer(x, n_threads=threads, **arguments), expected)

    return run


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("I", "H"), [(5, 37), (131, 20), (1, 70), (64, 64)])
@pytest.mark.parametrize("name", CELLS)
def test_no_bit_depends_on_it(name, I, H, dtype, both):  # noqa: E741
    """Sequences that end before, with and after a group of steps; few inputs and many."""
    layer, rng = layer_of(name, H, dtype), np.random.default_rng(I)
    for T in (0, 1, 20, 39, 40, 41, 67, 100):
        both(layer, rng.standard_normal((1, T, I)).astype(dtype))


@pytest.mark.parametrize("name", CELLS)
def test_as_the_others_end(name, both):
    """The last of several rows, masked and reset ones, and steps backwards."""
    layer, rng = layer_of(name, 45), np.random.default_rng(6)
    x = rng.standard_normal((3, 90, 7), dtype=np.float32)
    both(layer, x, lengths=np.array([3, 90, 0]))
    both(layer, x[:1], mask=rng.random((1, 90)) < 0.9)
    both(layer, x[:1], resets=rng.random((1, 90)) < 0.02)


def test_in_several_entries(both, monkeypatch):
    """What was formed ahead does not outlive an entry, and is not missed in the next."""
    layer, rng = layer_of("lstm", 33), np.random.default_rng(7)
    x = rng.standard_normal((1, 200, 9), dtype=np.float32)
    for steps in (1, 25, 50, 83):
        monkeypatch.setattr(call, "ENTRY_SECONDS", 1e-9)
        monkeypatch.setattr(dispatch, "FIRST_ENTRY_SECONDS", steps / 200 * layer.explain(x).predicted_seconds)
        both(layer, x)


def test_it_is_done(monkeypatch):
    """Of 100 steps all but the last 20 go before others; each block of units takes a tile of its own then."""
    layer, x = nr.LSTM(64, seed=1), np.ones((1, 100, 8), np.float32)
    program = program_of(layer, 8)
    together, blocks = program.ahead_rows, program.unit_blocks
    steps = 4 * together
    monkeypatch.setattr(costs, "AHEAD_BYTES", ALWAYS)
    tiles = layer.explain(x, n_threads=1, measure=True).tiles
    assert tiles[1, 1] == (100 // steps - 1) * steps * blocks
    monkeypatch.setattr(costs, "AHEAD_BYTES", NEVER)
    assert (1, 1) not in layer.explain(x, n_threads=1, measure=True).tiles


@pytest.mark.parametrize("name", CELLS)
def test_there_is_room(name):
    assert 0 < 4 * program_of(layer_of(name, 20), 3).ahead_rows <= block.HOISTED_ROWS


@pytest.mark.parametrize(("units", "expected"), [(16, False), (64, False), (128, True), (256, True)])
def test_weights_decide(units, expected):
    """What few bytes hold is near anyway."""
    assert costs.goes_ahead(program_of(nr.LSTM(units, seed=1), units), 1) == expected


def test_too_many_weights_decide_too():
    """Three members, each of whom reads its third, may do what one may not."""
    program = program_of(nr.LSTM(1024, seed=1), 1024)
    assert not costs.goes_ahead(program, 1) and costs.goes_ahead(program, 3)


@pytest.mark.parametrize(
    ("registers", "sums", "feeds", "expected"),
    [
        (32, 4, ((0, 1, 2, 3), (0, 1, 2, 3)), 5),
        (32, 4, ((0, 1, 2), (0, 1, 3)), 5),
        (16, 4, ((0, 1, 2, 3), (0, 1, 2, 3)), 0),
        (32, 1, ((0,), (0,)), 0),
        (32, 3, ((0, 1, 2),), 0),
        (32, 3, ((0, 1, 2), (0, 1, 2)), 6),
        (32, 9, (tuple(range(9)), tuple(range(9))), 0),
    ],
)
def test_what_the_registers_hold(registers, sums, feeds, expected):
    target = simd.Target("any", 512, registers, True)
    assert ahead.rows(tile.Shape(sums, feeds, True), target) == expected
    assert ahead.rows(tile.Shape(sums, feeds, False), target) == 0
