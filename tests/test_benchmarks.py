"""Benchmarks compare like with like: equal results, rivals in turn, a report that only repeats figures."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numba
import numpy as np
import pytest
import tolerance

from numbarnn import benchmarks, timing
from numbarnn.benchmarks import Problem
from numbarnn.kernels import jit

ROOT = Path(__file__).parents[1]
PROBLEMS = [Problem("lstm", 7, 5, 3, 10), Problem("gru", 5, 6, 11, 9)]

needs_compiler = pytest.mark.skipif(jit.DISABLED, reason="compiling is switched off: NUMBA_DISABLE_JIT=1")


def skip_without(name):
    """Skip where a package that the peer needs is absent."""
    if missing := benchmarks.missing(name):
        pytest.skip(f"not installed: {', '.join(missing)}")


def test_work_is_that_of_the_products():
    """Multiplications and additions, of inputs and of states, for every gate."""
    assert Problem("lstm", 7, 5, 3, 10).flops == 7 * 5 * 4 * 10 * (3 + 10) * 2
    assert Problem("gru", 5, 6, 11, 9).flops == 5 * 6 * 3 * 9 * (11 + 9) * 2


def test_same_seed_same_data():
    """And another one with another."""
    first, again, other = (benchmarks.draw(PROBLEMS[0], seed) for seed in (1, 1, 2))
    for a, b, c in zip(first, again, other, strict=True):
        assert a.dtype == np.float32
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


@pytest.mark.parametrize("threads", [1, numba.get_num_threads()], ids=["one", "all"])
@pytest.mark.parametrize("problem", PROBLEMS, ids=str)
@pytest.mark.parametrize("name", benchmarks.PEERS)
def test_every_peer_computes_the_same(name, problem, threads):
    """Whoever is timed has solved the problem, and gives the same again."""
    skip_without(name)
    data = benchmarks.draw(problem)
    exact, bound = benchmarks.reference(problem, data)
    peer = benchmarks.prepare(name, problem, data, threads)
    tolerance.assert_within(peer.result(), exact, bound, f"{name} {problem}")
    peer.run()
    tolerance.assert_within(peer.result(), exact, bound, f"{name} {problem}, again")


@pytest.mark.parametrize("name", ["numbarnn", "torch", "numpy"])
def test_float64(name):
    """The reference is then in a wider type than float64 where the machine has one."""
    skip_without(name)
    problem = PROBLEMS[0]._replace(dtype="float64")
    data = benchmarks.draw(problem)
    exact, bound = benchmarks.reference(problem, data)
    result = benchmarks.prepare(name, problem, data, 1).result()
    assert result.dtype == np.float64
    tolerance.assert_within(result, exact, bound, name)


def test_onnxruntime_has_no_float64():
    """It says so when asked, not in the middle of a run."""
    skip_without("onnxruntime")
    problem = PROBLEMS[0]._replace(dtype="float64")
    with pytest.raises(ValueError, match=r"float64.*'float32' only"):
        benchmarks.prepare("onnxruntime", problem, benchmarks.draw(problem), 1)


def test_rivals_take_turns():
    """Each round takes them all and begins with another; a long call comes once, a short one in a burst."""
    order = []

    def long():
        order.append("long")
        time.sleep(0.004)

    def short():
        order.append("short")

    durations = timing.interleave({"long": long, "short": short}, 0, rounds=2, burst_seconds=0.002)
    turns = [name for k, name in enumerate(order) if k == 0 or name != order[k - 1]]
    assert turns == ["long", "short", "long", "short", "long"]
    assert len(durations["long"]) == 2
    assert min(durations["long"]) >= 0.004
    assert len(durations["short"]) > 2
    assert len(durations["short"]) == order.count("short") - 1 - 2  # the first call of all, and one per burst


@needs_compiler
def test_fma_loop_computes():
    """Every thread's sums converge to 1, so their total counts them: none was optimised away."""
    loop = timing.FmaLoop()
    values = loop.on(2)()
    np.testing.assert_array_equal(values[:, 0], 0.5)
    np.testing.assert_array_equal(values[:, 1], loop.sums)
    assert loop.flops == 2 * loop.lanes * loop.sums * loop.REPEATS


def test_fma_loop_needs_the_compiler(monkeypatch):
    monkeypatch.setattr(jit, "DISABLED", True)
    with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT=1"):
        timing.FmaLoop()


def recorded_run(medians):
    """A run as pytest-benchmark would write it: one LSTM point on two threads, and a first call."""
    ours = medians["numbarnn"]
    names = ("numbarnn", "numba", "llvmlite", "numpy", "torch", "onnxruntime")
    dense = {
        "problem": {"cell": "lstm", "B": 7, "T": 5, "I": 3, "H": 10, "dtype": "float32"},
        "threads": 2,
        "median": medians,
        "ratio": {name: medians[name] / ours for name in ("torch", "onnxruntime")},
        "gflops": {"numbarnn": 50.0, "fma 1": 110.0, "fma 2": 200.0},
        "gain": {"numbarnn": 1.75, "fma": 1.82},
        "error": {"numbarnn": 1e-7, "torch": 2e-7, "onnxruntime": 3e-7},
        "bound": 4e-7,
    }
    first_call = {"what": "first call, cold cache", "functions": ["tiles", "member"], "weights": [0.25]}
    return {
        "datetime": "2026-01-02T03:04:05.678+00:00",
        "machine_info": {
            "cpu": {"brand_raw": "A CPU"},
            "numbarnn": {
                "packages": {name: f"{number}.5" for number, name in enumerate(names)},
                "python": "CPython 3.12.1",
                "platform": "Linux",
                "cpu": {"host": "znver4", "target": "znver4", "vector_bits": 512, "cores": 2},
                "threads": {"count": 2, "layers_in_order": ["omp", "workqueue"]},
                "command": "pytest bench",
            },
        },
        "benchmarks": [
            {"fullname": "bench_dense", "stats": {"median": ours, "min": ours}, "extra_info": dense},
            {"fullname": "bench_cold", "stats": {"median": 1.125, "min": 1.0}, "extra_info": first_call},
        ],
    }


def report(tmp_path, *runs):
    """The command's completed process, and what it wrote."""
    files = [tmp_path / f"run{k}.json" for k in range(len(runs))]
    for file, run in zip(files, runs, strict=True):
        file.write_text(json.dumps(run))
    output = tmp_path / "RESULTS.md"
    command = [sys.executable, str(ROOT / "bench" / "report.py"), *map(str, files), "--output", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    return done, output.read_text() if output.exists() else None


def test_report_repeats_the_figures(tmp_path):
    """Losing ratios too; those of a second run stand beside the first's."""
    runs = [
        recorded_run({"numbarnn": 0.002, "torch": 0.005, "onnxruntime": 0.0025}),
        recorded_run({"numbarnn": 0.002, "torch": 0.006, "onnxruntime": 0.0015}),
    ]
    done, text = report(tmp_path, *runs)
    assert done.returncode == 0, done.stderr
    lines = text.splitlines()
    assert "| I, H | B | T" not in text
    for line in (
        "| CPU | A CPU, 2 cores |",
        "| Date | 2026-01-02 03:04 |",
        "| Command | `pytest bench` |",
        "| 2 | 200 | 200 | 200 | 1.82 | 1.82 | 1.82 |",
        "| LSTM | 2 | 1 | 2.50 / 3.00 | 1.25 / **0.75** | 1.25 / **0.75** | 1.25 / **0.75** | 0 / 1 |",
        "| 3, 10 | 7 | 5 | 2 / 2 | 50 / 50 | 25% / 25% | 2.50 / 3.00 | 1.25 / **0.75** "
        "| 1.75 / 1.75 | 1.82 / 1.82 |",
        "| first call, cold cache | 1.125 / 1.125 | 1.000 / 1.000 | 0.250 / 0.250 | 2: tiles, member |",
        "numbarnn 25%, PyTorch 50%, ONNX Runtime 75%.",
    ):
        assert line in lines, line


def test_report_refuses_unlike_runs(tmp_path):
    """Runs of different parts of the suite have no common table."""
    whole = recorded_run({"numbarnn": 0.002, "torch": 0.005, "onnxruntime": 0.0025})
    done, text = report(tmp_path, whole, whole | {"benchmarks": whole["benchmarks"][:1]})
    assert done.returncode == 2
    assert "different benchmarks" in done.stderr
    assert text is None


@needs_compiler
def test_suite_to_report(tmp_path):
    """A point of the real suite goes all the way: checked, timed, written as JSON, reported."""
    for name in ("torch", "onnxruntime"):
        skip_without(name)
    file = tmp_path / "run.json"
    options = ["--benchmark-enable", "--benchmark-only", f"--benchmark-json={file}", "-p", "no:cacheprovider"]
    suite = [sys.executable, "-m", "pytest", "bench/bench_dense.py", "-k", "gru-H64-B1-", *options]
    done = subprocess.run(suite, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout
    done, text = report(tmp_path, json.loads(file.read_text()))
    assert done.returncode == 0, done.stderr
    assert "| 64 | 1 | 100 | " in text
