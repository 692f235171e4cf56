"""A comparison times only who was right, closes everybody, and its figures follow from what was measured."""

import json

import numpy as np
import pytest

from numbarnn.benchmarks import PEERS, Peer, Problem, Unsupported, compare, plain, prepare
from numbarnn.benchmarks.limits import FmaLoop
from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="it measures compiled code: NUMBA_DISABLE_JIT=1 is set")

PROBLEM = Problem("lstm", 3, 5, 4, 6)
SECONDS = 0.01


class Fake:
    """Stands in for `prepare`: our own peer is real, others do as their names say."""

    def __init__(self):
        self.ran, self.closed = [], []

    def __call__(self, name, problem, data, threads):
        if name == "numbarnn":
            return prepare(name, problem, data, threads)
        if name == "absent":
            raise ImportError("absent needs a library")
        if name == "unable":
            raise Unsupported("it has no such cell")
        y = plain(problem, data)
        results = {
            "right": y,
            "wrong": y * np.float32(1.001),
            "nan": np.where(y == y.max(), np.float32("nan"), y),
            "turned": y.swapaxes(0, 1),
        }
        run, close = (lambda: self.ran.append(name)), (lambda: self.closed.append(name))
        return Peer(run, lambda: results[name], close=close)


@pytest.fixture
def fake(monkeypatch):
    made = Fake()
    monkeypatch.setattr(compare, "prepare", made)
    return made


def test_who_is_wrong_is_not_timed(fake):
    """Nor who is missing or cannot; each is recorded with the reason."""
    names = ["absent", "wrong", "right", "nan", "turned", "unable"]
    found = compare.compare(PROBLEM, names, 1, SECONDS)
    assert set(fake.ran) == {"right"}
    assert sorted(fake.closed) == ["nan", "right", "turned", "wrong"]
    refused = found["refused"]
    assert set(refused) == {"absent", "wrong", "nan", "turned", "unable"}
    assert refused["absent"] == "ImportError: absent needs a library"
    assert refused["unable"] == "Unsupported: it has no such cell"
    assert "wrong: " in refused["wrong"] and "expected at most" in refused["wrong"]
    assert "wrong: nan" in refused["nan"]
    assert "shape (5, 3, 6); expected (3, 5, 6)" in refused["turned"]
    assert set(found["ratio"]) == {"right"} and set(found["error"]) == {"numbarnn", "right"}


def test_we_are_never_refused(fake, monkeypatch):
    """A wrong result of our own ends it; the others are closed."""
    monkeypatch.setattr(compare, "reference", lambda problem, data: (plain(problem, data) + 1, 0.5))
    with pytest.raises(RuntimeError, match="wrong: "):
        compare.compare(PROBLEM, ["right"], 1, SECONDS)


def test_others_are_closed_when_timing_fails(fake, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("somebody computes")

    monkeypatch.setattr(compare, "interleave", fail)
    with pytest.raises(RuntimeError, match="somebody computes"):
        compare.compare(PROBLEM, ["right"], 1, SECONDS)
    assert fake.closed == ["right"]


def test_figures_follow_from_durations(fake):
    """On two threads; what stands beside is timed in the same rounds."""
    durations = {}
    found = compare.compare(
        PROBLEM, ["right"], 2, SECONDS, 3, beside={"nothing": lambda: None}, durations=durations
    )
    loops = {f"{what} {n}" for what in ("fma", "read") for n in (1, 2)}
    assert set(durations) == {"numbarnn", "numbarnn 1", "right", "nothing"} | loops
    for name, values in durations.items():
        assert found["calls"][name] == len(values) >= 3
        assert found["median"][name] == np.median(values)
        assert found["minimum"][name] == min(values)
        assert found["p99"][name] == np.percentile(values, 99)
    median = found["median"]
    assert found["ratio"] == {"right": median["right"] / median["numbarnn"]}
    assert found["gflops"]["numbarnn"] == pytest.approx(PROBLEM.flops / median["numbarnn"] / 1e9)
    assert set(found["gflops"]) == {"numbarnn", "right", "fma 1", "fma 2"}
    assert found["gain"]["numbarnn"] == median["numbarnn 1"] / median["numbarnn"]
    n = found["limit"]["threads"]
    fma = PROBLEM.flops * found["minimum"][f"fma {n}"] / (n * FmaLoop().flops)
    assert found["limit"]["fma"] == pytest.approx(fma)
    assert found["limit"]["share"] == pytest.approx(found["limit"]["seconds"] / median["numbarnn"])
    assert found["problem"] == PROBLEM._asdict() and found["threads"] == 2
    assert max(found["error"].values()) <= found["bound"]
    assert json.loads(json.dumps(found)) == found


@pytest.mark.parametrize("each_step", [False, True])
def test_real_peers(each_step):
    """Those of this machine: who is not installed says so."""
    problem = PROBLEM._replace(each_step=each_step)
    names = [name for name in PEERS if not name.startswith("keras")]
    found = compare.compare(problem, names, 1, SECONDS, 1)
    timed = {"numbarnn", *found["ratio"]}
    assert timed | set(found["refused"]) == set(names) and "numpy" in timed
    for name, reason in found["refused"].items():
        assert f"ImportError: {name} needs" in reason or "Unsupported: a single step" in reason
