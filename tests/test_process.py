"""What may befall a process: fork, interrupts, its end, and surroundings that are not what is usual."""

import compileall
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from processes import environment, finished, printed

from numbarnn.kernels import jit

compiled = pytest.mark.skipif(
    jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled, no thread started"
)
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
signals = pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the signals of POSIX")
by_schedule = pytest.mark.parametrize("schedule", ["rows", "units"])
by_layer = pytest.mark.parametrize("layer", ["omp", "tbb", "workqueue"])
ROOT = Path(__file__).parents[1]


# Fork


@compiled
@forks
@by_layer
def test_forked_children_work_on_one_thread(layer):
    """After the parent has worked in parallel: a child, its child, workers of a pool, a child forked beside a
    call, and steppers that were prepared for two threads. GNU OpenMP would end them at a parallel loop.
    """
    found = printed("process_fork.py", NUMBA_THREADING_LAYER=layer)
    parent = found.pop("parent")
    assert len(set(parent["digests"].values())) == 1
    assert set(found) == {"child", "grandchild", "worker 0", "worker 1", "child beside a call"}
    for name, one in found.items():
        expected = parent | {"threads": 1, "steps": one.get("steps")}
        assert one == expected, name
        assert one["steps"][0] == one["steps"][1] != [], name
    assert found["child"]["steps"] == found["grandchild"]["steps"] == parent["steps"]


# Interrupts

HEARD_WITHIN_SECONDS = 0.5


@compiled
@signals
@pytest.mark.parametrize(("schedule", "dtype", "H"), [
    ("single", "float32", 256), ("single", "float64", 256), ("rows", "float32", 256), ("rows", "float64", 97),
    ("units", "float32", 256), ("units", "float64", 97), ("units", "float32", 1100),
])  # fmt: skip
def test_a_long_call_hears_an_interrupt(schedule, dtype, H):
    """Soon, counted in seconds of the processor; the state is the old one, and the next call is right."""
    found = printed("process_interrupt.py", schedule, dtype, str(H))
    assert found["threads"] == (1 if schedule == "single" else 2)
    assert min(found["processor"], found["clock"]) < HEARD_WITHIN_SECONDS
    assert found["kept"] and found["works"]


@compiled
@signals
@pytest.mark.parametrize("interrupts", ["5", "llvm", "object", "registry"])
def test_interrupts_while_compiling_spoil_nothing(interrupts, tmp_path):
    """Each is heard. The process goes on, and so does the next one, which compiles what it does not find;
    after it nothing is left to compile, and nothing but whole files lies there.
    """
    place = {"NUMBARNN_CACHE_DIR": str(tmp_path), "NUMBARNN_CACHE": None}
    interrupted, first, second = (
        printed("process_compile.py", argument, **place) for argument in (interrupts, "0", "0")
    )
    assert interrupted["heard"] == int(interrupts) if interrupts.isdigit() else interrupted["heard"] > 0
    assert interrupted["digest"] == first["digest"] == second["digest"]
    assert interrupted["faults"] == first["faults"] == second["faults"] == []
    assert second["how"] == ["loaded"]
    assert {path.suffix for path in tmp_path.rglob("*") if path.is_file()} == {".bin"}


# The end of a process


@compiled
@by_layer
@by_schedule
def test_a_process_ends_while_daemon_threads_call(layer, schedule):
    """No traceback, no fault, in whatever order things are taken apart."""
    done = finished("process_exit.py", schedule, NUMBA_THREADING_LAYER=layer)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


# Surroundings

C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


@compiled
@pytest.mark.parametrize("variables", [
    {"HOME": None}, C_LOCALE, {"NUMBA_BOUNDSCHECK": "1"},
], ids=str)  # fmt: skip
def test_variables_of_the_environment_change_no_bit(variables):
    assert printed("process_bits.py", **variables)["digests"] == printed("process_bits.py")["digests"]


CALL = """
import os, sys
import numpy as np, numbarnn as nr
from numbarnn.kernels import store
total = nr.GRU(5, seed=1)(np.ones((2, 4, 3), np.float32)).tobytes().hex()
print(os.fsencode(os.path.dirname(nr.__file__)), store.STAMP, total, *store.failures, sep="\\n")
"""


def installed(place, edit=""):
    """A copy of the library as it is installed, its kernels' sources with `edit` at the end."""
    package, ignored = place / "numbarnn", shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "numbarnn", package, ignore=ignored)
    shutil.copytree(ROOT / "kernels", package / "kernels", ignore=ignored)
    with (package / "kernels" / "equations.py").open("a") as file:
        file.write(edit)
    return place


def call(path, cwd, **variables):
    """Where the library was found, its stamp, its result: a process that imports it from `path`."""
    variables |= {"PYTHONPATH": str(path), "NUMBARNN_CACHE": None}
    command = [sys.executable, "-W", "error", "-c", CALL]
    done = subprocess.run(command, env=environment(**variables), cwd=cwd, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    where, stamp, total, *failures = done.stdout.splitlines()
    assert where == repr(os.fsencode(Path(path) / "numbarnn")) and failures == []
    return stamp, total


@compiled
@pytest.mark.parametrize("locale", [{}, C_LOCALE], ids=str)
def test_paths_beyond_ascii(locale, tmp_path):
    """Of the library and of its cache, also where the locale does not know the letters."""
    place = installed(tmp_path / "père→日本")
    compileall.compile_dir(place, quiet=2)
    cache = tmp_path / "câche"
    cache.mkdir()
    call(place, tmp_path, NUMBARNN_CACHE_DIR=str(cache), **locale)
    assert list(cache.rglob("*.bin"))


@compiled
def test_a_library_in_a_zip_file(tmp_path):
    """It works, and its cached code is told apart from that of other sources."""
    stamps, totals = [], []
    for name, edit in (("one", ""), ("two", "\n# another version\n")):
        archive = shutil.make_archive(tmp_path / name, "zip", installed(tmp_path / f"{name}.d", edit))
        stamp, total = call(archive, tmp_path, NUMBARNN_CACHE_DIR=str(tmp_path / "cache"))
        stamps.append(stamp)
        totals.append(total)
    assert stamps[0] != stamps[1] and totals[0] == totals[1]


@compiled
@forks
def test_a_working_directory_that_is_gone(tmp_path):
    """The library is imported and, with its code in the cache, runs. (Numba itself cannot compile there.)"""
    place, cache = installed(tmp_path / "site"), {"NUMBARNN_CACHE_DIR": str(tmp_path / "cache")}
    expected = call(place, tmp_path, **cache)
    gone = tmp_path / "gone"
    gone.mkdir()
    command = ["sh", "-c", 'rmdir "$PWD" && exec "$@"', "sh", sys.executable, "-W", "error", "-c", CALL]
    variables = environment(PYTHONPATH=str(place), NUMBARNN_CACHE=None, **cache)
    done = subprocess.run(command, env=variables, cwd=gone, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert tuple(done.stdout.splitlines()[1:]) == expected
