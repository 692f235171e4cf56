"""The command that checks a GPU: what it says without one, how it deals with stages, and some of its own in
Numba's simulator.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

BENCH = Path(__file__).resolve().parents[1] / "bench"

pytestmark = pytest.mark.cpu


@pytest.fixture
def gpu_check(monkeypatch):
    monkeypatch.syspath_prepend(BENCH)
    import gpu_check

    return gpu_check


def run(script, *arguments, **variables):
    """The ended command."""
    command = [sys.executable, str(BENCH / script), *map(str, arguments)]
    environment = {name: value for name, value in os.environ.items() if name != "NUMBA_ENABLE_CUDASIM"}
    environment |= variables
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=100)


@pytest.mark.parametrize("script", ["gpu_check.py", "bench_cuda.py"])
@pytest.mark.parametrize("simulated", [False, True])
def test_without_a_device(script, simulated, tmp_path):
    """It says why, on the screen and in the file, and tells no speed; the simulator is no device."""
    out = tmp_path / "report.json"
    hidden = {"NUMBA_ENABLE_CUDASIM": "1"} if simulated else {"CUDA_VISIBLE_DEVICES": "-1"}
    done = run(script, "--out", out, **hidden)
    assert done.returncode == 2, done.stdout + done.stderr
    report = json.loads(out.read_text())
    assert done.stdout == f"skipped: {report['skipped']}\n"
    expected = (
        "NUMBA_ENABLE_CUDASIM is set" if simulated else "looked for the package numba-cuda, an NVIDIA driver"
    )
    assert expected in report["skipped"]
    assert not report.get("passed") and not report.get("rows")
    assert [stage["outcome"] for stage in report.get("stages", [])] in ([], ["skipped"])


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(["--fast"], "--fast"), (["--stage", "nothing"], "'nothing'"), (["--out"], "--out")],
    ids=["option", "stage", "file"],
)
def test_wrong_arguments(gpu_check, arguments, named, capsys):
    with pytest.raises(SystemExit):
        gpu_check.main(arguments)
    assert named in capsys.readouterr().err


@pytest.mark.parametrize("quick", [False, True])
def test_stages_are_known_and_fit(gpu_check, quick):
    """Those of our own have a function each; all limits together keep within the whole."""
    groups = gpu_check.stages(quick)
    every = [stage for group in groups for stage in group]
    assert len({stage.name for stage in every}) == len(every)
    own = [stage.command[stage.command.index("--stage") + 1] for stage in every if "--stage" in stage.command]
    assert sorted(own) == sorted(gpu_check.OWN)
    assert groups[0][0].name == "facts" and len(groups[0]) == 1
    assert sum(max(stage.seconds for stage in group) for group in groups) <= 480
    assert gpu_check.WHOLE_SECONDS < 480
    assert all(stage.command or stage.skip for stage in every)


def fake(gpu_check, name, text, seconds=30, skip=""):
    """A stage that runs a line of Python."""
    return gpu_check.Stage(name, seconds, (sys.executable, "-c", text, gpu_check.FACTS), skip)


def checked(gpu_check, groups, tmp_path, **options):
    """The exit code, the report, and the outcome of each stage by name."""
    code = gpu_check.check(groups, tmp_path / "report.json", **options)
    report = json.loads((tmp_path / "report.json").read_text())
    return code, report, {stage["name"]: stage for stage in report["stages"]}


def test_outcomes(gpu_check, tmp_path):
    """By exit code. What a stage printed last, and its facts, are kept; a failed one stops nothing."""
    write = "import sys; open(sys.argv[1], 'w').write('[1, 2]'); print('done')"
    groups = [
        [fake(gpu_check, "facts", write)],
        [
            fake(gpu_check, "wrong", "print('before'); raise ValueError('7 is not 8')"),
            fake(gpu_check, "absent", "import sys; print('a tool is absent'); sys.exit(77)"),
            fake(gpu_check, "never begun", "raise ValueError", skip="not installed: it"),
        ],
        [fake(gpu_check, "later", "pass")],
    ]
    code, report, by_name = checked(gpu_check, groups, tmp_path)
    assert (code, report["passed"], report["skipped"]) == (1, False, None)
    outcomes = {name: stage["outcome"] for name, stage in by_name.items()}
    expected = ["passed", "failed", "skipped", "skipped", "passed"]
    assert outcomes == dict(zip(["facts", "wrong", "absent", "never begun", "later"], expected, strict=True))
    assert by_name["facts"]["facts"] == [1, 2] and by_name["facts"]["output"] == ["done"]
    assert by_name["wrong"]["reason"] == "exit code 1: ValueError: 7 is not 8"
    assert by_name["wrong"]["output"][0] == "before" and by_name["wrong"]["facts"] is None
    assert by_name["absent"]["reason"] == "a tool is absent"
    assert by_name["never begun"]["reason"] == "not installed: it"


def test_all_passed(gpu_check, tmp_path):
    """A skipped stage that is not the first does not fail the check."""
    groups = [[fake(gpu_check, "facts", "pass")], [fake(gpu_check, "absent", "", skip="absent")]]
    code, report, _ = checked(gpu_check, groups, tmp_path)
    assert (code, report["passed"], report["skipped"]) == (0, True, None)


@pytest.mark.parametrize(("exit_code", "expected"), [(77, 2), (3, 1)])
def test_the_first_stage_decides(gpu_check, exit_code, expected, tmp_path):
    """Without a device, or with one that tells nothing of itself, nothing else is begun."""
    first = fake(gpu_check, "facts", f"import sys; print('why'); sys.exit({exit_code})")
    code, report, by_name = checked(gpu_check, [[first], [fake(gpu_check, "later", "pass")]], tmp_path)
    assert code == expected and list(by_name) == ["facts"]
    assert report["skipped"] == ("why" if expected == 2 else None) and not report["passed"]


def test_too_slow(gpu_check, tmp_path):
    """It is ended, with what it has started, and fails; what it had written is kept."""
    begun, mark = time.monotonic(), tmp_path / "mark"
    child = f"import time; time.sleep(3); open({str(mark)!r}, 'w')"
    text = (
        "import subprocess, sys, time; open(sys.argv[1], 'w').write('{}'); print('begun', flush=True);"
        f"subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(60)"
    )
    groups = [[fake(gpu_check, "facts", "pass")], [fake(gpu_check, "slow", text, seconds=1.5)]]
    code, _, by_name = checked(gpu_check, groups, tmp_path)
    slow = by_name["slow"]
    assert code == 1 and slow["outcome"] == "failed" and "had not ended after 2 s" in slow["reason"]
    assert slow["output"] == ["begun"] and slow["facts"] == {}
    assert time.monotonic() - begun < 30
    time.sleep(3)
    assert not mark.exists()


def test_no_time_left(gpu_check, tmp_path):
    """Stages beyond the whole's limit are named, not begun."""
    groups = [[fake(gpu_check, "facts", "import time; time.sleep(0.1)")], [fake(gpu_check, "later", "pass")]]
    gpu_check.check(groups[:1], tmp_path / "report.json")
    found = gpu_check.run_group(groups[1], time.monotonic() - 1, workers=2)
    assert [(stage["outcome"], stage["reason"]) for stage in found] == [("skipped", "no time was left")]


def test_beside_each_other(gpu_check, tmp_path):
    """Two stages that wait for each other both end where two may run, and neither where one may."""
    files = [tmp_path / name for name in "ab"]
    wait = (
        "import time; from pathlib import Path; Path({!r}).touch()\n"
        "while not Path({!r}).exists(): time.sleep(0.01)"
    )
    texts = [wait.format(str(files[k]), str(files[1 - k])) for k in range(2)]
    group = [fake(gpu_check, f"stage {k}", text, seconds=20) for k, text in enumerate(texts)]
    found = gpu_check.run_group(group, time.monotonic() + 30, workers=2)
    assert [stage["outcome"] for stage in found] == ["passed", "passed"]
    files[1].unlink()
    alone = [fake(gpu_check, "alone", texts[0], seconds=1), fake(gpu_check, "next", "pass")]
    found = gpu_check.run_group(alone, time.monotonic() + 30, workers=1)
    assert [stage["outcome"] for stage in found] == ["failed", "passed"]


def test_bits_differ(gpu_check):
    """Of -0 and 0, too."""
    zero = np.zeros(3, np.float32)
    gpu_check.same([zero], [zero.copy()], "equal")
    with pytest.raises(AssertionError, match="a repeat: result 1 differs in 3 of 3 values"):
        gpu_check.same([zero, zero], [zero, -zero], "a repeat")


def test_a_result_that_depends_on_the_batch_is_found(gpu_check):
    """On its size, on a neighbour, on how often it was asked."""
    x = np.random.default_rng(0).standard_normal((5, 2, 3)).astype("f4")
    calls, given = [], x

    def on_rows(spoil):
        def call(rows, x=given):
            calls.append(rows)
            return [spoil(x[rows])]

        return call

    gpu_check.invariant(on_rows(lambda x: x), x, 2, quick=True)
    for spoil, what in [
        (lambda x: x + np.float32(len(x) == 3), "3 rows"),
        (lambda x: x + np.float32(np.isnan(x).any()), "beside nan"),
        (lambda x: x + np.float32(len(calls) % 7 == 0), "a repeat"),
    ]:
        calls.clear()
        with pytest.raises(AssertionError, match=what):
            gpu_check.invariant(on_rows(spoil), x, 2, quick=True)


@pytest.mark.parametrize(
    "arguments", [["--one-call"], ["--stage", "bits gru_before"]], ids=["one call", "bits"]
)
def test_stages_in_the_simulator(arguments, tmp_path):
    """Every schedule is run."""
    out = tmp_path / "facts.json"
    done = run("gpu_check.py", *arguments, "--quick", "--out", out, NUMBA_ENABLE_CUDASIM="1")
    assert done.returncode == 0, done.stdout + done.stderr
    if arguments == ["--one-call"]:
        assert [done.stdout.count(f"schedule {name!r}") for name in ("steps", "rows", "units")] == [2, 2, 2]
    else:
        facts = json.loads(out.read_text())
        equal = [name.split()[0] for name, fact in facts.items() if fact == "equal"]
        assert equal == ["steps", "rows", "units"]
        assert len(facts["largest difference from the CPU's"]) == 2
