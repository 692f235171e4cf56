"""The report on the benchmarks repeats figures, all of them and no others, and makes the same files again."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import report
from reporting import comparisons, goals, readme, records, text

from numbarnn.kernels import jit

ROOT = Path(__file__).parents[1]
BATCH = {
    "cell": "lstm", "B": 64, "T": 5, "I": 256, "H": 256, "dtype": "float32", "layers": 1, "directions": 1,
    "padding": "none", "padded": 0.0, "resets": 0.0, "each_step": False,
}  # fmt: skip
README = "Before.\n\n<!-- made by make bench -->\nold\n<!-- end of make bench -->\n\nAfter.\n"

WORDS = {True: "reached", False: "**missed**", None: "not measured"}

needs_matplotlib = pytest.mark.skipif(find_spec("matplotlib") is None, reason="not installed: matplotlib")


def row(suite, name, seconds=0.002, **extra):
    """A row of pytest-benchmark's, of which the suite told this."""
    stats = {"median": seconds, "min": seconds / 2}
    return {"fullname": name, "stats": stats, "extra_info": {"suite": suite, **extra}}


def compared(suite, name, median, threads=2, problem=None, **more):
    """A row with what a comparison of libraries tells."""
    others = {rival: time for rival, time in median.items() if rival != "numbarnn"}
    told = {
        "problem": BATCH | (problem or {}),
        "threads": threads,
        "median": median,
        "minimum": median,
        "calls": dict.fromkeys(median, 7),
        "ratio": {rival: time / median["numbarnn"] for rival, time in others.items()},
        "gflops": {"numbarnn": 50.0, **dict.fromkeys(others, 25.0), "fma 1": 110.0},
        "limit": {"fma": 0.001, "read": 0.0001, "barrier": 0.0, "seconds": 0.001, "share": 0.75},
        "gain": {"numbarnn": 1.75, "fma": 1.82, "read": 1.9} if threads > 1 else {},
        "error": dict.fromkeys(median, 1e-7),
        "bound": 4e-7,
        "refused": {},
    }
    return row(suite, name, **told | more)


def recorded(*rows):
    """A run as pytest-benchmark would write it."""
    names = ("numbarnn", "numba", "llvmlite", "numpy", "torch", "onnxruntime")
    return {
        "datetime": "2026-01-02T03:04:05.678+00:00",
        "machine_info": {
            "cpu": {"brand_raw": "A CPU"},
            "numbarnn": {
                "packages": {name: f"{number}.5" for number, name in enumerate(names)} | {"openvino": None},
                "python": "CPython 3.12.1",
                "platform": "Linux",
                "cpu": {"host": "znver4", "target": "znver4", "vector_bits": 512, "cores": 2},
                "threads": {"count": 2, "layers_in_order": ["omp", "workqueue"]},
                "environment": {"NUMBA_X": "secret"},
                "command": "pytest bench",
            },
        },
        "benchmarks": list(rows),
    }


def times(torch, onnxruntime, numbarnn=0.002):
    return {"numbarnn": numbarnn, "torch": torch, "onnxruntime": onnxruntime}


def every_suite(torch=0.005, onnxruntime=0.0025):
    """A run that has rows of all of them."""
    median, small = times(torch, onnxruntime), {"cell": "lstm", "B": 7, "T": 5, "H": 3, "threads": 2}
    streams = dict.fromkeys(("p50", "p90", "p99", "p99.9", "worst"), 1234e-6)
    latency = {name: {"calls": 10_000, **streams} for name in median}
    kinds = "gaps", "left padding", "resets", "reversed", "time-major"
    return recorded(
        compared("dense", "dense 1", median, threads=1),
        compared("dense", "dense 2", median),
        compared("dense", "dense gru", median, problem={"cell": "gru", "H": 128, "I": 100}),
        compared("step", "step", median, problem={"B": 1, "H": 128, "I": 128}, latency=latency),
        ragged(0.25, median),
        ragged(0.5, median),
        compared(
            "workloads",
            "workloads",
            {"numbarnn": 0.002, "torch": torch},
            problem={"layers": 3, "dtype": "float64"},
            workload="W01",
            title="speech",
            variant="block",
            refused={"onnxruntime": "Unsupported: float64 | is missing\nand more"},
        ),
        compared("random", "random", median, problem={"B": 7, "H": 23}),
        row("described", "described", point=small, median={"dense": 0.004}, cost=dict.fromkeys(kinds, 1.03)),
        row("directions", "both", point=small, median={"concat": 0.004}, ratio={"concat": 1.02, "sum": 0.98}),
        row(
            "cells",
            "cells",
            point=small | {"cell": "lstm (lstm)"},
            median={"own": 0.004},
            against={"products": 1.0, "time": 1.01},
        ),
        row(
            "denormal",
            "denormal",
            point=small,
            median={"numbarnn": 0.004},
            cost={"numbarnn": 1.1, "torch": 3.0},
        ),
        row("cold", "cold", 1.5, what="first call (lstm), cold cache", functions=["tiles"], weights=[0.25]),
    )


def ragged(share, median):
    problem, median = {"padding": "uniform", "padded": share}, median | {"torch_packed": 0.01}
    return compared("ragged", f"ragged {share}", median, problem=problem, padding=share - 0.01, cost=1.07)


@pytest.fixture
def written(tmp_path):
    """A function: the report on these runs, in a folder of its own; {file name: text}."""

    def write(*runs, arguments=()):
        folder = tmp_path / "bench"
        folder.mkdir(exist_ok=True)
        (tmp_path / "README.md").write_text(README)
        files = [tmp_path / f"run{number}.json" for number in range(len(runs))]
        for file, run in zip(files, runs, strict=True):
            file.write_text(json.dumps(run))
        report.main([*map(str, files), "--output", str(folder), *arguments])
        found = [*folder.rglob("*.*"), tmp_path / "README.md"]
        return {path.name: path.read_text(encoding="utf-8") for path in found}

    return write


def test_every_figure_is_repeated(written):
    """Losing ratios too; those of a second run stand beside the first's."""
    lines = written(every_suite(), every_suite(0.006, 0.0015))["RESULTS.md"].splitlines()
    torch, lost, speed = "2.50 / 3.00", "1.25 / **0.75**", "2 / 2 | 50 / 50 | 75% / 75%"
    gains, stream = "1.75 / 1.75 | 1.82 / 1.82", " | ".join(["1,234 / 1,234"] * 5)
    for line in (
        "| CPU | A CPU, 2 cores |",
        "| Date | 2026-01-02 03:04 |",
        "| Versions | CPython 3.12.1, numbarnn 0.5, numba 1.5, llvmlite 2.5, numpy 3.5, torch 4.5, "
        "onnxruntime 5.5 |",
        "| Command | `pytest bench` |",
        f"| LSTM | 1 | 1 | {torch} | {lost} | {lost} | {lost} | 0 / 1 | 75% / 75% |",
        f"| all | 2 | 2 | {torch} | {lost} | {lost} | {lost} | 0 / 2 | 75% / 75% |",
        f"| LSTM | 256 | 64 | 5 | 1 | {speed} | {torch} | {lost} | — / — | — / — |",
        f"| GRU | 100, 128 | 64 | 5 | 2 | {speed} | {torch} | {lost} | {gains} |",
        f"| LSTM | 128 | 2 | ONNX Runtime | 10,000 / 10,000 | {stream} |",
        f"| LSTM | 256 | uniform | 49% | 2 | {speed} | {torch} | 5.00 / 5.00 | {lost} | {gains} "
        "| 1.07 / 1.07 |",
        f"| W01 speech | block | LSTM, 3 layers, float64 | 64 | 5 | 256 | 2 | {speed} | {torch} | {gains} |",
        "| ONNX Runtime | float64 \\| is missing | 1 |",
        f"| LSTM | 7 | 5 | 256 | 23 | 2 | {speed} | {torch} | {lost} | {gains} |",
        "| LSTM | 7 | 5 | 3 | 2 | 4 / 4 | 1.02 / 1.02 | 0.98 / 0.98 |",
        "| LSTM (LSTM) | 7 | 5 | 3 | 2 | 4 / 4 | 1.00 / 1.00 | 1.01 / 1.01 |",
        "| LSTM | 7 | 5 | 3 | 2 | 4 / 4 | 1.10 / 1.10 | 3.00 / 3.00 |",
        "| first call (lstm), cold cache | 1.500 / 1.500 | 0.750 / 0.750 | 0.250 / 0.250 | 1: tiles |",
    ):
        assert line in lines, line


def test_goals(written):
    """Reached in every run, or missed; what no run measured is not reached."""
    lines = written(every_suite(), every_suite(0.006, 0.0015))["RESULTS.md"].splitlines()
    told = {
        about: rest for about, *rest in (line.strip("| ").split(" | ") for line in lines) if len(rest) == 3
    }
    assert {goal.about for goal in goals.GOALS} <= set(told)
    for about, *expected in (
        ("dense batches, every point: the faster of PyTorch and", "at least 1.00x", "1.25x / 0.75x", False),
        ("dense batches, on average: PyTorch", "at least 2.50x", "2.50x / 3.00x", True),
        ("dense batches of 32 rows, 128 units or more", "at least 88%", "75% / 75%", False),
        ("dense batches of one row", "at least 80%", "— / —", None),
        ("one step, LSTM of 128 units: µs", "at most 6.0", "2000.0 / 2000.0", False),
        ("different lengths, every point: a step", "at most 1.10", "1.07 / 1.07", True),
        ("different lengths, every point: PyTorch, packed", "at least 1.00x", "5.00x / 5.00x", True),
        ("masks, resets, reversal", "at most 1.05", "1.03 / 1.03", True),
        ("a user's LSTM", "at most 1.03", "1.01 / 1.01", True),
        ("all threads", "at least 92%", "96% / 96%", True),
        ("states that decay", "at most 1.20", "1.10 / 1.10", True),
        ("first call, cold cache", "at most 2.000 s", "1.500 s / 1.500 s", True),
    ):
        [found] = [rest for whole, rest in told.items() if whole.startswith(about)]
        assert found == [*expected[:2], WORDS[expected[2]]], about


def test_a_goal_is_reached_on_its_border():
    """And missed beside it."""
    for goal in goals.GOALS:
        border = goal.least if goal.least is not None else goal.most
        worse = border * (0.999 if goal.least is not None else 1.001)
        assert goal.holds(border) and not goal.holds(worse), goal.about


def test_readme(written):
    """Between the marks stands what the runs say, around them what stood there."""
    text = written(every_suite(0.001))["README.md"]
    before, _, rest = text.partition(readme.MARKS[0])
    inside, _, after = rest.partition(readme.MARKS[1])
    assert (before, after) == ("Before.\n\n", "\n\nAfter.\n") and "old" not in inside
    assert "| dense batches | 3 | **0.50** | — | 1.25 | 3 | 75% |" in inside
    assert "| different lengths | 2 | **0.50** | 5.00 | 1.25 | 2 | 75% |" in inside
    lines = written(every_suite(0.001))["RESULTS.md"].splitlines()
    assert f" goals {sum(line.endswith('| reached |') for line in lines)} are reached" in inside


@pytest.mark.parametrize("wrong", ["", README.replace("<!-- end", "<!--"), README * 2])
def test_readme_without_its_marks(written, tmp_path, wrong):
    """Nothing is written into the wrong place."""
    path = tmp_path / "OTHER.md"
    path.write_text(wrong)
    with pytest.raises(ValueError, match="once each, in this order"):
        written(every_suite(), arguments=["--readme", str(path)])
    assert path.read_text() == wrong


def test_same_figures_same_files(written, tmp_path):
    """Also when they come from RESULTS.json, which holds what the report tells and no more."""
    first = written(every_suite(), every_suite(0.006))
    for path in (tmp_path / "bench").rglob("*.*"):
        if path.suffix != ".json":
            path.unlink()
    assert written() == first
    kept = json.loads(first["RESULTS.json"])
    assert [len(run["rows"]) for run in kept] == [13, 13]
    assert "secret" not in first["RESULTS.json"] and "minimum" not in first["RESULTS.json"]


@needs_matplotlib
def test_plots(written):
    """One for each suite that has something to draw, shown in the report."""
    files = written(every_suite())
    for name in ("speedup", "roofline", "padding", "threads", "latency", "cold"):
        assert f"{name}.svg" in files and f"](plots/{name}.svg)" in files["RESULTS.md"]
    assert "](bench/plots/speedup.svg)" in files["README.md"]
    assert "PyTorch" in files["speedup.svg"]


@needs_matplotlib
def test_no_plot_of_nothing(written):
    files = written(recorded(compared("random", "random", times(0.005, 0.0025))))
    assert not [name for name in files if name.endswith(".svg")] and "plots/" not in files["RESULTS.md"]


def test_without_matplotlib(written, monkeypatch, capsys):
    """The tables alone, and a line that says so."""
    monkeypatch.setattr(report, "find_spec", lambda name: None)
    files = written(every_suite())
    assert not [name for name in files if name.endswith(".svg")] and "plots/" not in files["RESULTS.md"]
    [line] = capsys.readouterr().out.splitlines()
    assert "matplotlib is not installed" in line


def test_unlike_runs_are_refused(written, capsys):
    """Runs of different parts of the suites have no common table."""
    whole = every_suite()
    for other in (whole["benchmarks"][:1], whole["benchmarks"][1:], whole["benchmarks"][::-1]):
        with pytest.raises(SystemExit) as stop:
            written(whole, whole | {"benchmarks": other})
        assert stop.value.code == 2 and "different benchmarks" in capsys.readouterr().err


def in_parts(folder, run, *counts):
    """Write a run as several, of so many of its rows each."""
    folder.mkdir()
    rows, command = run["benchmarks"], run["machine_info"]["numbarnn"]
    for number, count in enumerate(counts):
        info = run["machine_info"] | {"numbarnn": command | {"command": f"pytest bench/{number}.py -q"}}
        part = run | {"benchmarks": rows[:count], "machine_info": info}
        (folder / f"{number}.json").write_text(json.dumps(part))
        rows = rows[count:]
    return folder


def test_a_run_in_parts(written, tmp_path):
    """A folder is one run: its rows are those of its files, one after the other."""
    run, other = every_suite(), every_suite(0.006)
    folders = [
        str(in_parts(tmp_path / "one", run, 5, 4, 4)),
        str(in_parts(tmp_path / "two", other, 5, 0, 8)),
    ]
    found, whole = written(arguments=folders), written(run, other)
    line = "| Command | `pytest -q, in 3 parts` |\n"
    assert found["RESULTS.md"].replace(line, "| Command | `pytest bench` |\n") == whole["RESULTS.md"]
    assert line in found["RESULTS.md"] and found["README.md"] == whole["README.md"]


def test_parts_of_several_machines(written, tmp_path, capsys):
    """Nor does a benchmark count twice, nor is nothing a run."""
    folder = in_parts(tmp_path / "one", every_suite(), 5, 8)
    part, other = (json.loads((folder / "1.json").read_text()) for _ in range(2))
    twice = part | {"benchmarks": every_suite()["benchmarks"][4:]}
    other["machine_info"]["numbarnn"]["threads"]["count"] = 3
    for wrong, message in ((twice, "hold ragged 0.25 twice"), (other, "differ in threads: ")):
        (folder / "1.json").write_text(json.dumps(wrong))
        with pytest.raises(SystemExit):
            written(arguments=[str(folder)])
        assert message in capsys.readouterr().err
    (tmp_path / "none").mkdir()
    with pytest.raises(SystemExit):
        written(arguments=[str(tmp_path / "none")])
    assert "holds no *.json" in capsys.readouterr().err


def test_nothing_to_report(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        report.main(["--output", str(tmp_path)])
    assert stop.value.code == 2 and "RESULTS.json does not exist" in capsys.readouterr().err


def test_figures_as_text():
    """Bold is what lost, a stroke between runs, a dash for what is not there."""
    assert text.ratios([1.0, 0.994, None]) == "1.00 / **0.99** / —"
    assert text.short([0.01234, 123.4, 12345.6, None]) == "0.0123 / 123 / 12,346 / —"
    assert text.mean([2.0, None, 8.0]) == pytest.approx(4.0) and text.mean([None]) is None


def test_a_library_that_one_run_did_not_time():
    """It has a column, and a dash where it has no figure."""
    runs = [
        recorded(compared("dense", "a", times(0.004, 0.001))),
        recorded(compared("dense", "a", {"numbarnn": 0.002})),
    ]
    runs = [records.condense(run) for run in runs]
    found = "\n".join(comparisons.section(runs, "dense"))
    assert (
        "| LSTM | 2 | 1 | 2.00 / — | **0.50** / — | **0.50** / — | **0.50** / — | 1 / 0 | 75% / 75% |"
        in found
    )


@pytest.mark.skipif(jit.DISABLED, reason="compiling is switched off: NUMBA_DISABLE_JIT=1")
def test_suites_to_report(written, tmp_path):
    """A point of each suite goes all the way: checked, timed, written as JSON, reported."""
    file = tmp_path / "run.json"
    points = (
        "gru-H64-B1- and threads1",
        "step and gru-H32",
        "ragged and lstm-H64-uniform-0.5",
        "W04",
        "12-3-8-5",
    )
    chosen = " or ".join(
        f"({point})" for point in (*points, "denormal and lstm-H64", "described and lstm-1-")
    )
    options = ["-k", chosen, "--benchmark-enable", "--benchmark-only", f"--benchmark-json={file}"]
    command = [sys.executable, "-m", "pytest", "bench", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout
    lines = written(json.loads(file.read_text()))["RESULTS.md"].splitlines()
    for start in (
        "| GRU | 64 | 1 | 100 | 1 | ", "| GRU | 32 | ", "| LSTM | 64 | uniform | ", "| W04 guitar amplifier ",
        "| LSTM | 12 | 3 | 8 | 5 | ", "| LSTM | 16 | 400 | 64 | ", "| LSTM | 1 | 100 | 256 | ",
    ):  # fmt: skip
        assert any(line.startswith(start) for line in lines), start


@pytest.mark.parametrize(("tier", "some", "others"), [
    ("quick", {"dense", "step", "ragged", "workload", "random", "denormal", "cold"}, {"H1024-B128"}),
    ("full", {"dense", "step", "ragged", "workload", "random", "denormal", "H1024-B128"}, set()),
])  # fmt: skip
def test_tiers(tier, some, others):
    """The full tier has what the quick one has, and more; nothing is measured by collecting."""
    command = [sys.executable, "-m", "pytest", "bench", "--collect-only", "-q", "--tier", tier]
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    names = [line for line in done.stdout.splitlines() if "::" in line]
    assert len(names) < 150 if tier == "quick" else len(names) > 300
    assert all(any(part in name for name in names) for part in some)
    assert not any(part in name for name in names for part in others)


def test_one_row_against_its_limit():
    """Small layers against the whole of it, large ones against reading."""
    median, rows = times(0.005, 0.0025), []
    for H in (64, 512):
        rows.append(compared("dense", f"row {H}", median, problem={"B": 1, "H": H}))
    found = records.condense(recorded(*rows))
    [goal] = [goal for goal in goals.GOALS if goal.about.startswith("dense batches of one row")]
    assert goal.figure(found["rows"]) == pytest.approx([0.75, 0.0001 / 0.002])
