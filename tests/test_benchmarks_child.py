"""A peer in a process of its own: it is told everything, times itself, and ends in time."""

import os
import subprocess
import sys
import time
from pathlib import Path

import fake_peer
import pytest

from numbarnn import timing
from numbarnn.benchmarks import Problem, draw
from numbarnn.benchmarks.peers import child

PROBLEM = Problem("lstm", 2, 4, 3, 5)
PATH = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])


def started(problem=PROBLEM, threads=2, processors=None):
    environment = {"PYTHONPATH": PATH, "FAKE": "told"}
    return child.start("fake_peer", problem, draw(problem), threads, environment, processors)


@pytest.fixture
def peer():
    made = started()
    yield made
    made.close()


def test_it_is_told_everything(peer):
    """In another process, and what libraries print does not disturb."""
    told = peer.result()
    assert told["process"] == peer.run.process.pid != os.getpid()
    assert (told["threads"], told["FAKE"], told["sum"]) == (2, "told", draw(PROBLEM).x.sum())


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system ties no process to processors")
def test_processors():
    one = max(os.sched_getaffinity(0))
    made = started(processors={one})
    assert made.result()["processors"] == {one}
    made.close()


def test_it_times_itself(peer):
    """Its own calls, not the way there and back."""
    peer.run()
    assert peer.timed() >= fake_peer.SECONDS
    durations = peer.run.burst(5 * fake_peer.SECONDS)
    assert 1 <= len(durations) <= 5 and min(durations) >= fake_peer.SECONDS


def test_interleaved(peer, monkeypatch):
    """Its bursts take turns with those of this process."""
    asked = []
    monkeypatch.setattr(peer.run, "ask", lambda *words: asked.append(words) or [0.25])
    durations = timing.interleave({"there": peer.run, "here": lambda: None}, 0, rounds=3, burst_seconds=0.001)
    assert asked == [("run",), *[("burst", 0.001)] * 3]
    assert durations["there"] == [0.25] * 3 and len(durations["here"]) > 3


def test_a_child_that_fails_says_why():
    with pytest.raises(
        RuntimeError, match=r"child process ended: [\s\S]*ValueError: thirteen steps are too many"
    ):
        started(PROBLEM._replace(T=13))


def test_a_child_that_is_gone(peer):
    peer.run.process.kill()
    with pytest.raises(RuntimeError, match="child process ended"):
        peer.result()
    with pytest.raises(RuntimeError, match="child process ended"):
        peer.run()


def test_closed(peer):
    """At once, and again is no error."""
    assert peer.run.process.poll() is None
    peer.close()
    assert peer.run.process.poll() is not None
    peer.close()


def test_kept():
    """A child whose peer was closed serves the next problem, if that has as many threads; two peers at a time
    have two children. In the end none is left, and one that has died serves nobody.
    """
    with child.kept():
        first, second = started(), started()
        both = {first.result()["process"], second.result()["process"]}
        assert len(both) == 2
        for peer in (first, second, first):
            peer.close()
        assert (first.run.ended, second.run.ended) == (False, True)
        third = started(PROBLEM._replace(T=6))
        told = third.result()
        assert told["process"] in both and told["sum"] == draw(PROBLEM._replace(T=6)).x.sum()
        third.close()
        other = started(threads=1)
        assert other.result()["process"] not in both
        other.close()
        third.run.process.kill()
        third.run.process.wait()
        fourth = started()
        assert fourth.result()["process"] not in both
        fourth.close()
        assert not fourth.run.ended
    assert fourth.run.ended and other.run.ended


PARENT = """
import os, signal, sys
from test_benchmarks_child import started
print(started().run.process.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="processes are not told of in /proc here")
def test_it_dies_with_its_parent():
    environment = os.environ | {"PYTHONPATH": PATH}
    done = subprocess.run([sys.executable, "-c", PARENT], env=environment, capture_output=True, text=True)
    assert done.returncode < 0, done.stderr
    state, end = Path(f"/proc/{int(done.stdout)}/stat"), time.monotonic() + 20
    while state.exists() and state.read_text().rpartition(")")[2].split()[0] != "Z":  # nobody may collect it
        assert time.monotonic() < end, "still there after 20 s"
        time.sleep(0.05)
