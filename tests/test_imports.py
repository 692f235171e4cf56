"""Importing changes nothing in the process and next to nothing in time."""

import json
import os
import subprocess
import sys
import sysconfig

import pytest

from numbarnn.kernels import jit

LIMIT_SECONDS = 0.1  # of processor time, beside what Numba itself takes
# What a process needs to start. Of ours nothing else is handed on: numbarnn could have set it here.
NEEDED = (
    "PATH",
    "PYTHONPATH",
    "LD_LIBRARY_PATH",
    "SYSTEMROOT",
    "TEMP",
    "NUMBA_CPU_NAME",
    "NUMBA_CPU_FEATURES",
)

# Numba comes first: what is compared is what numbarnn adds to it.
SNAPSHOTS = """
import json, locale, os, signal, sys, threading, time, warnings
import numba
import numpy as np

def links(folder):
    names = [f"{folder}/{name}" for name in os.listdir(folder)]
    return {name: os.readlink(name) for name in names if os.path.lexists(name)}

def snapshot():
    linux = os.path.isdir("/proc/self/fd")
    return {
        "environment": dict(os.environ),
        "open files": sorted(map(str, links("/proc/self/fd").values())) if linux else [],
        "tasks": len(os.listdir("/proc/self/task")) if linux else 0,
        "threads": [thread.name for thread in threading.enumerate()],
        "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
        "float errors": np.geterr(),
        "filters": [str(entry) for entry in warnings.filters],
        "locale": locale.setlocale(locale.LC_ALL),
        "import path": list(sys.path),
        "folder": os.getcwd(),
        "recursion": sys.getrecursionlimit(),
        "switch interval": sys.getswitchinterval(),
        "random": np.random.get_state()[2] if "numpy.random" in sys.modules else None,
        "hooks": [str(sys.excepthook), str(sys.displayhook), str(sys.gettrace()), str(sys.getprofile())],
    }

before, modules = snapshot(), set(sys.modules)
with warnings.catch_warnings(record=True) as raised:
    warnings.simplefilter("always")
    started = time.process_time()
    import numbarnn
    seconds = time.process_time() - started
after, more = snapshot(), sorted(set(sys.modules) - modules)
compiled = numbarnn.kernels.jit.compilations
try:
    layer = numba.threading_layer()
except ValueError:
    layer = None
print(json.dumps({
    "before": before, "after": after, "modules": more, "warnings": [str(w.message) for w in raised],
    "seconds": seconds, "compiled": compiled, "layer": layer,
}))
"""


def imported(folder, **variables):
    """What a process that imports numbarnn says of itself; its home and its caches are in `folder`."""
    places = {
        "HOME": "home",
        "XDG_CACHE_HOME": "xdg",
        "NUMBARNN_CACHE_DIR": "cache",
        "NUMBA_CACHE_DIR": "numba",
    }
    environment = {name: os.environ[name] for name in NEEDED if name in os.environ}
    environment |= {name: str(folder / place) for name, place in places.items()} | variables
    command = [sys.executable, "-W", "error", "-c", SNAPSHOTS]
    child = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert child.returncode == 0 and child.stderr == "", child.stderr
    return json.loads(child.stdout)


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    folder = tmp_path_factory.mktemp("places")
    return imported(folder) | {"files": [str(path) for path in folder.rglob("*")]}


def test_the_process_stays_as_it_was(found):
    """Environment, open files, threads, signals, floating-point errors, warnings' filters, paths."""
    assert found["after"] == found["before"]
    assert found["warnings"] == []


def test_nothing_is_made_or_compiled(found):
    """No directory, no file, no function; Numba's threads have not been started."""
    assert found["files"] == []
    assert found["compiled"] == []
    assert found["layer"] is None


def test_no_other_package_is_imported(found):
    """Beside Python's own and what Numba itself stands on; no part of Numba for GPUs."""
    own = {"numbarnn", "numba", "numpy", "llvmlite"}
    foreign = {name.partition(".")[0] for name in found["modules"]} - own - set(sys.stdlib_module_names)
    assert {name for name in foreign if not name.startswith("__editable__")} == set()
    assert "numbarnn" in found["modules"]
    assert [name for name in found["modules"] if name.startswith("numba.cuda")] == []
    optional = ("numbarnn.demo", "numbarnn.benchmarks", "numbarnn.terminal", "numbarnn.__main__")
    assert not set(optional) & set(found["modules"])


def test_without_a_home(tmp_path):
    """Nor any folder to keep compiled functions in."""
    nowhere = imported(tmp_path, HOME="", XDG_CACHE_HOME="", NUMBARNN_CACHE_DIR="")
    assert nowhere["after"] == nowhere["before"] and nowhere["warnings"] == []


@pytest.mark.skipif(jit.DISABLED, reason="told of compiled code; NUMBA_DISABLE_JIT=1 is set")
@pytest.mark.skipif(
    sysconfig.get_config_var("Py_DEBUG") == 1, reason="Python itself is slower in a debug build"
)
def test_time(tmp_path):
    """The least processor time of up to ten processes: a busy machine only ever adds to it."""
    times = []
    while not times or (min(times) > LIMIT_SECONDS and len(times) < 10):
        times.append(imported(tmp_path)["seconds"])
    print(f"import numbarnn: {min(times):.3f} s beside import numba, least of {len(times)}")
    assert min(times) <= LIMIT_SECONDS
