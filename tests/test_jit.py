"""The cache of compiled functions: what a second process finds, and what makes it another cache."""

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import llvmlite
import numba
import numpy as np
import pytest
from cached_process import NAMES, files, result, results, start

from numbarnn.kernels import jit, store

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that two processes filled at once, and what they said."""
    directory = tmp_path_factory.mktemp("cache") / "made" / "here"
    processes = [start(directory) for _ in range(2)]
    return directory, [result(process) for process in processes]


def test_processes_may_fill_a_cache_together(filled):
    """Each compiles what it does not find; whole files remain, in a directory that nobody else may enter."""
    directory, found = filled
    for one in found:
        assert one["how"].keys() == NAMES and not one["info"]["failures"]
    assert all("compiled" in {one["how"][name] for one in found} for name in NAMES)
    assert len(files(directory)) == len(NAMES)
    assert [path.suffix for path in directory.rglob("*") if path.is_file()] == [".bin"] * len(NAMES)
    if os.name == "posix":
        assert stat.S_IMODE(files(directory)[0].parent.stat().st_mode) == 0o700


def test_another_process_compiles_nothing(filled):
    """It loads all, and changes no file."""
    directory, _ = filled
    before = {path: path.stat().st_mtime_ns for path in files(directory)}
    found = result(start(directory))
    assert found["how"] == dict.fromkeys(NAMES, "loaded") and not found["info"]["failures"]
    assert found["info"]["files"] == len(NAMES)
    assert found["info"]["bytes"] == sum(path.stat().st_size for path in before)
    assert {path: path.stat().st_mtime_ns for path in files(directory)} == before


def test_switched_off_it_writes_nothing(tmp_path):
    """NUMBARNN_CACHE=0."""
    found = result(start(tmp_path, NUMBARNN_CACHE="0"))
    assert found["how"] == dict.fromkeys(NAMES, "compiled") and not found["info"]["failures"]
    assert not found["info"]["enabled"] and found["info"]["directory"] is None
    assert not list(tmp_path.iterdir())


def python(code, directory, **variables):
    """What a process that runs `code` prints, as JSON."""
    environment = os.environ | {"NUMBARNN_CACHE_DIR": str(directory), **variables}
    command = [sys.executable, "-W", "error", "-c", code]
    [found] = results(
        subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    )
    return found


def test_the_whole_library_imports_without_compiling(tmp_path):
    """Every module of the kernels, and what the front end imports; not one directory is made."""
    code = """
import json, pkgutil, importlib, numbarnn
from numbarnn import kernels
for module in pkgutil.iter_modules(kernels.__path__):
    importlib.import_module(f"numbarnn.kernels.{module.name}")
print(json.dumps(kernels.jit.compilations))
"""
    home = tmp_path / "home"
    home.mkdir()
    variables = {"HOME": str(home), "XDG_CACHE_HOME": str(home / "cache")}
    assert python(code, tmp_path / "chosen", **variables) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["home"]


def test_without_a_compiler_it_imports(tmp_path):
    """NUMBA_DISABLE_JIT=1: decorators give the functions themselves."""
    code = """
import json, numbarnn
from numbarnn.kernels import jit, sequence_cpu, store, team
assert jit.DISABLED and not store.cache_info()["enabled"]
print(json.dumps([type(team.run_alone).__name__, jit.compilations]))
"""
    assert python(code, tmp_path, NUMBA_DISABLE_JIT="1") == ["function", []]


def test_an_edited_source_is_another_library(tmp_path):
    """The stamp, which names the directory, changes with any source of the package and with nothing else."""
    package = tmp_path / "numbarnn"
    shutil.copytree(Path(store.__file__).parent, package / "kernels")
    (package / "__init__.py").touch()
    code = f"""
import importlib, json, sys
sys.path.insert(0, {str(tmp_path)!r})
from pathlib import Path
from numbarnn.kernels import store
stamps = [store.STAMP]
for module, added in (("notes.txt", "none"), ("equations.py", "# edited"), ("block.py", "")):
    with (Path(store.__file__).parent / module).open("a") as file:
        file.write(added)
    stamps.append(importlib.reload(store).STAMP)
print(json.dumps(stamps))
"""
    copied, beside, edited, again = python(code, tmp_path)
    assert copied == beside == store.STAMP
    assert edited == again != copied


@pytest.mark.parametrize("package", [numba, llvmlite, np], ids=lambda package: package.__name__)
def test_another_version_is_another_library(package, monkeypatch):
    """Of what compiles, and of what compiled code was made for."""
    assert store._source_stamp() == store.STAMP
    monkeypatch.setattr(package, "__version__", "0.0.1")
    assert store._source_stamp() != store.STAMP


def test_the_target_is_part_of_an_entrys_name(monkeypatch, tmp_path):
    """Code for another CPU is another file, in one directory."""
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(store, "failures", [])
    store.save("entry", 1)
    mine = store.path_of("entry")
    monkeypatch.setattr(store, "target_key", lambda: ("another", "cpu", "+feature"))
    assert store.path_of("entry").parent == mine.parent and store.path_of("entry") != mine
    assert store.load("entry") is None and not store.failures
