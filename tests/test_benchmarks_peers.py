"""Whoever is timed has solved the problem: every library within the bound, on one thread and on two."""

import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
import tolerance

from numbarnn import benchmarks
from numbarnn.benchmarks import PEERS, Problem, Unsupported, peers
from numbarnn.benchmarks.peers import child, keras_process

PROBLEMS = [
    Problem("lstm", 7, 5, 3, 10),
    Problem("gru", 5, 6, 11, 9),
    Problem("lstm", 4, 6, 5, 7, layers=3),
    Problem("gru", 3, 7, 4, 6, layers=2, directions=2),
    Problem("lstm", 6, 9, 4, 5, padding="uniform", padded=0.4),
    Problem("gru", 6, 9, 4, 5, padding="log-normal", padded=0.5, layers=2),
    Problem("lstm", 5, 8, 4, 6, padding="one long", padded=0.5, layers=2, directions=2),
    Problem("gru", 6, 9, 5, 4, padding="left", padded=0.4),
    Problem("lstm", 6, 9, 5, 4, padding="left", padded=0.4, layers=2, directions=2),
    Problem("gru", 3, 8, 4, 5, resets=0.3),
    Problem("lstm", 4, 8, 5, 6, resets=0.3, layers=2),
    Problem("lstm", 3, 6, 4, 5, each_step=True),
    Problem("gru", 2, 6, 4, 7, each_step=True, layers=2),
    Problem("lstm", 3, 5, 4, 6, dtype="float64"),
    Problem("gru", 4, 7, 5, 3, dtype="float64", layers=2, directions=2, padding="uniform", padded=0.3),
]
KERAS = ("keras_tensorflow", "keras_jax", "keras_torch")
ONNX = ("onnxruntime", "openvino")


def refused(name, problem):
    """Words of the reason for which a library does not take the problem, or None if it does."""
    both, is_torch = problem.directions == 2 and problem.lengths is not None, name == "torch"
    cases = {
        "float64 to float32|float32 only|float64 in float32": problem.dtype == "float64"
        and name in (*ONNX, "keras_jax", "keras_torch"),
        "no resets": problem.resets and name in (*ONNX, *KERAS, "torch", "torch_packed"),
        "on the right only|through padding": problem.padding == "left" and (name in ONNX or is_torch),
        "backward direction": both and is_torch,
        "nothing to pack": problem.each_step and name == "torch_packed",
    }
    return next((words for words, applies in cases.items() if applies), None)


def skip_without(name):
    """Skip where a package that the peer needs is absent."""
    if missing := benchmarks.missing(name):
        pytest.skip(f"not installed: {', '.join(missing)}")


@contextmanager
def ready(name, problem, data, threads):
    peer = benchmarks.prepare(name, problem, data, threads)
    yield peer
    peer.close()


def check(problem, exact, bound, result, what):
    assert result.dtype == problem.dtype
    tolerance.assert_within(result, exact, bound, f"{what} {problem}")
    if problem.valid is not None:
        assert not result[~problem.valid].any(), "padding is 0"


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("name", [name for name in PEERS if name not in KERAS])
def test_every_peer_computes_the_same(name, problem, threads):
    """And the same again, however often it was run in between."""
    skip_without(name)
    data = benchmarks.draw(problem)
    exact, bound = benchmarks.reference(problem, data)
    if words := refused(name, problem):
        with pytest.raises(Unsupported, match=words):
            benchmarks.prepare(name, problem, data, threads)
        return
    with ready(name, problem, data, threads) as peer:
        check(problem, exact, bound, peer.result(), name)
        peer.run()
        peer.run()
        check(problem, exact, bound, peer.result(), f"{name} again")


@pytest.fixture(scope="module")
def children():
    """Processes of Keras' peers by name and threads: starting one takes seconds."""
    started, start = {}, child.start

    def start_or_take(module, problem, data, threads, environment, processors=None):
        key = environment["KERAS_BACKEND"], threads
        if key in started:
            started[key].run.ask("prepare", (problem, data, threads))
        else:
            started[key] = start(module, problem, data, threads, environment, processors)
        return started[key]._replace(close=peers.nothing)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keras_process.child, "start", start_or_take)
        yield
    for peer in started.values():
        peer.close()


@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", KERAS)
def test_keras_computes_the_same(children, name, threads, problem):
    """On each backend, in a process of its own, which also tells its calls' seconds."""
    skip_without(name)
    if name == "keras_jax" and (not hasattr(os, "sched_getaffinity") or len(os.sched_getaffinity(0)) < 2):
        pytest.skip(
            "XLA takes the processors there are, and a process cannot be given one and two of them here"
        )
    data = benchmarks.draw(problem)
    exact, bound = benchmarks.reference(problem, data)
    if words := refused(name, problem):
        with pytest.raises(Unsupported, match=words):
            benchmarks.prepare(name, problem, data, threads)
        return
    with ready(name, problem, data, threads) as peer:
        check(problem, exact, bound, peer.result(), name)
        peer.run()
        assert peer.timed() > 0 and min(peer.run.burst(0.002)) > 0
        check(problem, exact, bound, peer.result(), f"{name} again")


def test_what_is_not_installed_is_named(monkeypatch):
    monkeypatch.setitem(benchmarks.NEEDS, "numpy", ("no_such_package", "numpy"))
    with pytest.raises(ImportError, match="numpy needs no_such_package; install it, or leave numpy out"):
        benchmarks.prepare("numpy", PROBLEMS[0], None, 1)


def test_unknown_peer():
    with pytest.raises(ValueError, match=r"name = 'caffe'; expected one of numbarnn, torch,"):
        benchmarks.prepare("caffe", PROBLEMS[0], None, 1)


def test_every_peer_has_its_needs():
    assert list(PEERS) == list(benchmarks.NEEDS)


IMPORT = """
import sys
import numbarnn.benchmarks.compare
from numbarnn.kernels import jit
names = {name.partition(".")[0] for name in sys.modules}
libraries = {"torch", "onnx", "onnxruntime", "openvino", "tensorflow", "jax", "keras", "matplotlib"}
assert names.isdisjoint(libraries), names & libraries
assert not jit.compilations
"""


def test_importing_imports_no_library():
    done = subprocess.run([sys.executable, "-W", "error", "-c", IMPORT], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_our_thread_count_is_as_before():
    """A stepper is told its threads by Numba's count, which is the program's own."""
    import numba

    problem, before = Problem("lstm", 3, 6, 4, 5, each_step=True), numba.get_num_threads()
    benchmarks.prepare("numbarnn", problem, benchmarks.draw(problem), 1).run()
    assert numba.get_num_threads() == before


def test_states_are_carried_on():
    """Steps that are timed follow each other: the second of equal inputs gives another output."""
    problem = Problem("gru", 2, 3, 4, 5, each_step=True)
    for name in ("numbarnn", "numpy"):
        peer = benchmarks.prepare(name, problem, benchmarks.draw(problem), 1)
        first = np.array(peer.run())
        assert (peer.run() != first).any(), name
