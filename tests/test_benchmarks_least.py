"""The least time of a problem follows from what the loops take: work over speed, and what comes in turn."""

import pytest

from numbarnn.benchmarks.least import Loops
from numbarnn.benchmarks.problems import Problem
from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="its loops are compiled: NUMBA_DISABLE_JIT=1 is set")

BATCH = Problem("gru", 3, 5, 4, 6, layers=2, directions=2)
ROW = Problem("lstm", 1, 9, 4, 6)


def shortest(loops, flops, reads, barrier=0.0, equations=0.0):
    """What the loops took, if one thread makes so many operations a second; and by thread counts, if all of
    them read so many bytes a second.
    """
    found = {f"fma {n}": loops.fma.flops / flops for n in reads}
    found |= {f"read {n}": loops.reading.repeats * loops.reading.size / rate for n, rate in reads.items()}
    found |= {f"barrier {n}": loops.barrier.repeats * barrier for n in reads if n > 1}
    return found | {"equations": loops.equations.repeats * equations}


def test_limit_of_a_batch():
    """Rows have other rows' products beside them, so nothing comes in turn."""
    loops = Loops(BATCH, 2)
    recurrent = 2 * 3 * 6 * 6 * 4  # directions, gates, H, H, bytes
    assert loops.weight_bytes == BATCH.weight_bytes + 4 * 2 * recurrent  # steps, layers
    assert recurrent <= loops.reading.size < recurrent + loops.reading.turn_bytes
    assert set(loops.calls) == {"fma 1", "fma 2", "read 1", "read 2"}
    times = shortest(loops, 1e9, {1: 1e6, 2: 3e6})
    limit = loops.limit(times, 1.0)
    assert limit["fma"] == pytest.approx(BATCH.flops / 2e9)
    assert limit["read"] == limit["seconds"] == limit["share"] == pytest.approx(loops.weight_bytes / 3e6)
    assert (limit["barrier"], limit["equations"], limit["threads"]) == (0, 0, 2)
    gain = loops.gain(times | {"numbarnn": 1.0, "numbarnn 1": 1.5})
    assert gain == pytest.approx({"numbarnn": 1.5, "fma": 2.0, "read": 3.0})


def test_limit_of_a_row():
    """Each step waits for the equations of the one before, and for the other threads."""
    loops = Loops(ROW._replace(layers=3), 2)
    assert set(loops.calls) == {"fma 1", "fma 2", "read 1", "read 2", "barrier 2", "equations"}
    turns = 9 + 2  # the last layer begins two steps after the first one
    limit = loops.limit(shortest(loops, 1e6, {1: 1e15, 2: 1e15}, 1e-9, 1e-6), 0.1)
    fma = loops.problem.flops / 2e6
    assert limit["threads"] == 2 and limit["fma"] == pytest.approx(fma)
    assert limit["barrier"] == pytest.approx(turns * 1e-9)
    assert limit["equations"] == pytest.approx(turns * 1e-6)
    assert limit["seconds"] == pytest.approx(fma + turns * 1.001e-6)
    assert limit["share"] == pytest.approx(limit["seconds"] / 0.1)


def test_limit_on_fewer_threads():
    """Whoever lets threads meet for next to no work loses time: the limit is that of the best number."""
    loops = Loops(ROW, 6)
    assert loops.counts == [1, 2, 4, 6]
    reads = dict.fromkeys(loops.counts, 1e15)
    for barrier, best in ((1e-12, 6), (1.0, 1)):
        limit = loops.limit(shortest(loops, 1e9, reads, barrier), 1.0)
        assert limit["threads"] == best
    assert limit["barrier"] == 0 and limit["seconds"] == pytest.approx(ROW.flops / 1e9)
    assert Loops(ROW._replace(B=6), 6).counts == [1, 6]


@pytest.mark.parametrize(
    ("changed", "threads", "meet", "wait"),
    [
        ({}, 1, False, True),
        ({}, 2, True, True),
        ({"directions": 2}, 1, False, False),
        ({"directions": 2}, 2, False, True),
        ({"B": 2}, 2, False, True),
        ({"B": 3}, 2, False, False),
        ({"resets": 0.2}, 2, False, False),
    ],
)
def test_who_waits(changed, threads, meet, wait):
    """Threads meet that share one row, and wait for its equations if they have no other; a row that begins
    anew is several.
    """
    loops = Loops(ROW._replace(**changed), threads)
    assert (loops.shared(threads), loops.waiting(threads)) == (meet, wait)


def test_limit_of_a_step():
    """All weights are read in every step, one step's products are formed, and layers come in turn."""
    problem = ROW._replace(layers=2, each_step=True)
    loops = Loops(problem, 1)
    assert loops.weight_bytes == problem.weight_bytes <= loops.reading.size
    limit = loops.limit(shortest(loops, 1e6, {1: 1e12}, equations=1e-3), 2.0)
    assert limit["fma"] == pytest.approx(problem.flops / 9 / 1e6)
    assert limit["read"] == pytest.approx(problem.weight_bytes / 1e12)
    assert limit["equations"] == pytest.approx(2e-3) and limit["barrier"] == 0
    assert limit["seconds"] == limit["fma"] + limit["equations"] and limit["share"] == limit["seconds"] / 2
    assert loops.gain({}) == {} and loops.work([])["fma 1"] == loops.fma.flops
