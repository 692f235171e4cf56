"""Where users' cells may be defined, and what of them is compiled once."""

import pytest
import users_cells_process as places
from processes import printed

import numbarnn as nr
from numbarnn.kernels import jit

compiled = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")
SAME = [place for place in places.PLACES if place != "another closure"]


def functions():
    """How many compiled functions this process has obtained."""
    return len(jit.compilations)


@compiled
def test_the_next_process_compiles_nothing(tmp_path):
    """It finds the graph, wherever its text stands; the results are this process's, whose cell is a
    module's.
    """
    here = places.digest(places.in_main())
    for number, place in enumerate(SAME):
        cache = {"NUMBARNN_CACHE_DIR": str(tmp_path), "NUMBARNN_CACHE": None}
        found = printed("users_cells_process.py", place, **cache)
        assert found == {"digest": here, "how": ["loaded"] if number else ["compiled"], "failures": []}, place
    other = printed("users_cells_process.py", "another closure", **cache)
    assert other["how"] == ["compiled", "loaded"] and other["digest"] != here


@compiled
def test_the_same_graph_is_compiled_once():
    """In one process: from other texts, under other names; other constants are another graph."""
    first = places.digest(places.in_main())
    known = functions()
    for place in SAME:
        assert places.digest(places.PLACES[place]()) == first, place
    assert functions() == known
    assert places.digest(places.closing_over(0.3)) != first
    assert functions() > known


@compiled
def test_the_same_options_are_compiled_once():
    """An option that changes nothing in the graph changes nothing else."""

    def step(a, h, *, rate=0.125, unused=None):
        return h + rate * (nr.math.tanh(a) - h)

    cell = nr.cell("with options", states="h", phases=[nr.phase("a:x+h", step)])

    def built(**options):
        layer = nr.RNN(nr.FusedCell(cell, 20, seed=1, **options))
        layer.build(4)
        nr.warmup(layer)
        return functions()

    known = built()
    assert built() == built(rate=0.125) == built(unused=3) == known
    assert built(rate=0.0703125) > known


def test_cells_of_one_name():
    """The last one has the name in the table; each layer keeps the one it was made of."""
    cells = [places.closing_over(factor) for factor in (0.5, 0.25)]
    digests = [places.digest(cell) for cell in cells]
    assert digests[0] != digests[1]
    assert digests == [places.digest(cell) for cell in cells]
