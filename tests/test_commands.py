"""`numbarnn warmup`, `cache` and `bench`: what is compiled ahead, shown and removed, and measured."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from numbarnn import bench_command, benchmarks, precompile
from numbarnn.__main__ import main
from numbarnn.kernels import jit, store
from numbarnn.kernels.cells import BUILT_IN

compiled = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")
HERE = Path(__file__).parent


def child(directory, *command, **variables):
    """What another process prints that uses the cache in `directory`."""
    environment = os.environ | {"NUMBARNN_CACHE_DIR": str(directory), "PYTHONPATH": paths(), **variables}
    environment.pop("NUMBARNN_CACHE", None)
    done = subprocess.run([sys.executable, *command], env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def paths():
    return os.pathsep.join([str(HERE), os.environ.get("PYTHONPATH", "")])


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A cache that `warmup --all` filled, and what it said."""
    directory = tmp_path_factory.mktemp("cache")
    return directory, json.loads(child(directory, "-m", "numbarnn", "warmup", "--all", "--json"))


@compiled
def test_warmup_of_everything(everything):
    """Every cell of the table in both dtypes, and it all is in the cache."""
    directory, report = everything
    functions = report["functions"]
    shared = {"tf1_lstm_peephole_projection"}  # both of its phases are those of cells before it
    assert {(one["cell"], one["dtype"]) for one in functions} == {
        (cell.name, dtype) for cell in BUILT_IN if cell.name not in shared for dtype in ("float32", "float64")
    }
    assert {one["how"] for one in functions} == {"compiled"} and report["not_kept"] == []
    assert len(list(directory.rglob("*.bin"))) == len(functions)
    assert Path(report["directory"]).parent == directory
    assert 0 < sum(one["seconds"] for one in functions) <= report["seconds"]


@compiled
def test_warmup_again_loads(everything):
    directory, report = everything
    again = json.loads(child(directory, "-m", "numbarnn", "warmup", "--all", "--json"))
    assert {one["how"] for one in again["functions"]} == {"loaded"}
    names = [[one["function"] for one in found["functions"]] for found in (report, again)]
    assert names[0] == names[1]


@compiled
def test_after_warmup_no_process_compiles(everything):
    """Whatever the shapes, flags and kinds of arrays: another process loads, and after `nr.warmup` does not
    even do that.
    """
    built_in = ("lstm", "gru", "gru_before", "simple")
    directory, _ = everything
    lines = child(directory, HERE / "warm_process.py", *built_in).splitlines()
    found = [json.loads(line) for line in lines]
    assert [one["cell"] for one in found] == [name for name in built_in for _ in range(2)]
    for one in found:
        assert one["compiled"] == one["by_calls"] == [] and one["compiled_by_numba"] == 0
    assert all(one["by_warmup"] for one in found)


@compiled
def test_a_first_call_on_one_thread_compiles_nothing(everything):
    """Without `nr.warmup` as well."""
    code = """
import numpy as np, numbarnn as nr
from numbarnn.kernels import jit
for dtype in ("float32", "float64"):
    for kind in (nr.LSTM, nr.GRU, nr.SimpleRNN):
        kind(7, dtype=dtype)(np.ones((3, 4, 2), dtype), lengths=[4, 0, 2])
print({how for _, _, how in jit.compilations})
"""
    assert child(everything[0], "-c", code) == "{'loaded'}\n"


@pytest.fixture
def asked(monkeypatch):
    """What `warmup` is asked for; nothing is compiled."""
    calls = []
    report = {"functions": [], "seconds": 1.0, "directory": "/somewhere", "not_kept": []}
    monkeypatch.setattr(precompile, "run", lambda *arguments: (calls.append(arguments), report)[1])
    return calls


@pytest.mark.parametrize(("options", "cells", "dtypes"), [
    ([], ("lstm", "gru"), ("float32",)),
    (["--cells", "simple_rnn,lstm,lstm"], ("simple_rnn", "lstm"), ("float32",)),
    (["--dtypes", "float64,float32"], ("lstm", "gru"), ("float64", "float32")),
    (["--all"], tuple(cell.name for cell in BUILT_IN), ("float32", "float64")),
])  # fmt: skip
def test_what_warmup_takes(options, cells, dtypes, asked, capsys):
    assert main(["warmup", *options]) == 0
    assert asked == [(cells, dtypes)]
    assert capsys.readouterr().out == "0 compiled, 0 loaded in 1.0 s\nkept in /somewhere\n"


@pytest.mark.parametrize(("options", "message"), [
    (["--cells", "lstm,lstn"], "--cells: 'lstn' is unknown; expected some of simple_rnn,lstm,gru,"),
    (["--cells", ""], "--cells: '' is unknown"),
    (["--dtypes", "float16"], "--dtypes: 'float16' is unknown; expected some of float32,float64"),
    (["--all", "--cells", "lstm"], "--all means every cell and dtype"),
])  # fmt: skip
def test_what_warmup_refuses(options, message, asked, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["warmup", *options])
    assert stop.value.code == 2 and message in capsys.readouterr().err and not asked


@compiled
def test_warmup_for_a_person(capsys, monkeypatch):
    """A line for each function, and a total."""
    monkeypatch.setattr(store, "failures", ["load 1.bin: damaged, before"])
    assert main(["warmup", "--cells", "simple_rnn"]) == (0 if store.root() else 1)
    *lines, total, _ = capsys.readouterr().out.splitlines()
    assert total.split()[1] == "compiled," and total.split()[3] == "loaded"
    assert int(total.split()[0]) + int(total.split()[2]) == len(lines)
    assert all(line.split()[-2:] in (["s", "compiled"], ["s", "loaded"]) for line in lines)


def test_what_could_not_be_kept(monkeypatch, capsys):
    """The next process would compile again, so that was no success."""
    monkeypatch.setenv("NUMBARNN_CACHE", "0")
    assert main(["warmup", "--cells", "simple_rnn"]) == 1
    assert "not kept: " in capsys.readouterr().out


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """A root with entries of this stamp and of another, and with what is not ours."""
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("NUMBARNN_CACHE", raising=False)
    monkeypatch.setattr(store, "failures", [])
    for key in ("one", "two"):
        store.save(key, key * 9)
    other, files = tmp_path / ("0" * 16), tmp_path / "mine"
    for directory in (other, files):
        directory.mkdir()
        (directory / ("a" * 40 + ".bin")).write_bytes(b"12345")
    (tmp_path / ("b" * 40 + ".bin")).touch()
    return tmp_path


def cache(capsys, *arguments):
    assert main(["cache", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_cache_is_shown(kept, capsys):
    """Where it is, how much is in it, and what cannot be read."""
    path = store.path_of("one")
    path.write_bytes(path.read_bytes()[:-1])
    found = cache(capsys)
    assert found["directory"] == str(kept / store.STAMP) and found["enabled"] != jit.DISABLED
    assert found["files"] == 2 and found["bytes"] == sum(one.stat().st_size for one in path.parent.iterdir())
    assert (found["other_files"], found["other_bytes"]) == (1, 5)
    [failure] = found["failures"]
    assert path.name in failure and "digest" in failure
    assert main(["cache"]) == 0
    assert f"directory    {kept / store.STAMP}" in capsys.readouterr().out


def test_the_path_alone(kept, capsys):
    assert main(["cache", "path"]) == 0
    assert capsys.readouterr().out == f"{kept / store.STAMP}\n"
    assert cache(capsys, "path") == {"directory": str(kept / store.STAMP)}


def test_clear_takes_every_stamp_and_leaves_the_rest(kept, capsys):
    """A name like ours in another directory, or beside them, makes no file ours."""
    (kept / ("0" * 16) / "numbarnn-1.tmp").write_bytes(b"123")
    size = sum(path.stat().st_size for path in (kept / store.STAMP).iterdir())
    assert cache(capsys, "clear") == {"removed_files": 4, "removed_bytes": size + 8, "left": []}
    left = sorted(path.relative_to(kept).as_posix() for path in kept.rglob("*"))
    assert left == sorted([f"{'b' * 40}.bin", "mine", f"mine/{'a' * 40}.bin"])
    assert cache(capsys, "clear") == {"removed_files": 0, "removed_bytes": 0, "left": []}
    store.save("one", 1)
    assert store.load("one") == 1 and not store.failures


def test_clear_says_what_it_leaves(kept, capsys):
    """A file that is not ours, a link to elsewhere, a file called like a directory of ours."""
    elsewhere = kept / "mine"
    (kept / ("1" * 16)).symlink_to(elsewhere, target_is_directory=True)
    (kept / ("2" * 16)).touch()
    (kept / ("0" * 16) / "notes.txt").touch()
    removed = cache(capsys, "clear")
    assert removed["removed_files"] == 3
    assert removed["left"] == [str(kept / (digit * 16)) for digit in "012"]
    assert [path.name for path in elsewhere.iterdir()] == ["a" * 40 + ".bin"]
    assert [path.name for path in (kept / ("0" * 16)).iterdir()] == ["notes.txt"]


def test_clear_that_cannot(kept, capsys, monkeypatch):
    """Said, with the file in question."""

    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(store.os, "unlink", refuse)
    assert main(["cache", "clear"]) == 1
    message = capsys.readouterr().err
    assert "cannot remove everything" in message and ".bin" in message


def test_a_cache_that_is_off(monkeypatch, capsys):
    """There is nothing to clear and no path; its state can be shown."""
    monkeypatch.setenv("NUMBARNN_CACHE", "0")
    for action in ("path", "clear"):
        assert main(["cache", action]) == 1
        out, err = capsys.readouterr()
        assert out == "" and "it is off" in err
    found = cache(capsys)
    assert found["directory"] is None and not found["enabled"]


def test_clear_of_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(tmp_path / "never made"))
    monkeypatch.delenv("NUMBARNN_CACHE", raising=False)
    assert cache(capsys, "clear")["removed_files"] == 0 and not list(tmp_path.iterdir())


@compiled
def test_bench(capsys):
    """Really measured, against what is always there."""
    assert main(["bench", "--quick", "--against", "numpy", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [point["name"] for point in found["points"]] == list(bench_command.QUICK)
    for point in found["points"]:
        assert point["problem"] == bench_command.QUICK[point["name"]]._asdict()
        assert set(point["ratio"]) == {"numpy"} and point["refused"] == {}
        assert point["median"]["numbarnn"] > 0 and point["limit"]["share"] > 0


@pytest.fixture
def compared(monkeypatch):
    """The problems that are to be compared, and with whom; everybody is there, nothing is measured."""
    asked = {}

    def compare(problem, names, threads, seconds):
        asked[problem] = names
        return {
            "median": {"numbarnn": 12.34e-6 if problem.each_step else 2.5e-3},
            "ratio": {"numpy": 12.346},
            "limit": {"share": 0.456},
            "refused": {name: "Unsupported: not this" for name in names if name != "numpy"},
        }

    monkeypatch.setattr(bench_command, "compare", compare)
    for module in (benchmarks, bench_command):
        monkeypatch.setattr(module, "missing", lambda name: [])
    return asked


def test_bench_for_a_person(compared, capsys):
    """A line for each point, in columns, and why a library is missing in them."""
    assert main(["bench", "--quick", "--against", "numpy,openvino,numpy"]) == 0
    head, *lines, _, why = capsys.readouterr().out.splitlines()
    assert head.split()[-4:] == ["numpy", "takes", "openvino", "takes"]
    ends = [line.split()[-5:] for line in lines]
    assert ends == [["2.50", "ms", "46%", "12.35x", "-"]] * 2 + [["12.3", "µs", "46%", "12.35x", "-"]]
    assert {len(line) for line in lines} == {len(head)} and why == "openvino: Unsupported: not this"
    assert set(compared.values()) == {("numpy", "openvino")}


def test_what_bench_takes(compared, monkeypatch):
    """Without an option, the usual libraries that are installed, at more points than quickly."""
    monkeypatch.setattr(bench_command, "missing", lambda name: ["onnx"] if name == "onnxruntime" else [])
    assert main(["bench", "--json"]) == 0
    assert set(compared.values()) == {("numpy", "torch")} and set(compared) == set(bench_command.ALL.values())
    assert set(bench_command.QUICK.items()) < set(bench_command.ALL.items())


def test_bench_without_the_library(compared, monkeypatch, capsys):
    """What to type stands there, and nothing has been measured."""
    monkeypatch.setattr(benchmarks, "missing", lambda name: ["onnxruntime", "onnx"] * (name == "onnxruntime"))
    assert main(["bench", "--against", "numpy,onnxruntime"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and err.endswith("pip install onnxruntime onnx\n") and not compared


@pytest.mark.parametrize("names", ["torch,lasagne", "", "numbarnn"])
def test_what_bench_refuses(names, compared, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["bench", "--against", names])
    wrong = names.split(",")[-1]
    assert (
        stop.value.code == 2
        and f"--against: {wrong!r} is unknown" in capsys.readouterr().err
        and not compared
    )


def test_bench_where_nothing_is_compiled(monkeypatch, capsys):
    """There is no speed to tell."""
    monkeypatch.setattr(jit, "DISABLED", True)
    assert main(["bench", "--quick"]) == 1
    out, err = capsys.readouterr()
    assert out == "" and "NUMBA_DISABLE_JIT=1" in err
