"""The cache of compiled functions: what a second process finds, and what damage costs: time, no result."""

import json
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")

# One function of each kind: generated, called through an address, called from Python. Doubles some numbers.
WORK = """
import ctypes, json, numpy as np
from numbarnn.kernels import emit_cpu, jit, sequence_cpu, simd, team, trace
target = simd.Target("narrow", 128, 16, False)
address = emit_cpu.epilogue(trace.trace(lambda a: a + a, ["a"], ["y"]), ["a"], np.dtype("f4"), target)
x, y = np.arange(8, dtype="f4"), np.zeros(8, "f4")
operand = np.array([y.ctypes.data, 16])
kind = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 3)
kind(address)(x.ctypes.data, operand.ctypes.data, 0, 2, 0)
assert sequence_cpu.member.address
team.run_alone.compile("void(int64[::1])")
how = {name: how for name, _, how in jit.compilations}
print(json.dumps({"y": y.tolist(), "how": how, "info": jit.cache_info()}))
"""
NAMES = {"epilogue", "member", "run_alone"}


def start(code, directory, **variables):
    """A process with its own cache directory."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBARNN_")}
    environment |= {"NUMBARNN_CACHE_DIR": str(directory), **variables}
    command = [sys.executable, "-W", "error", "-c", code]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def result(process):
    out, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()
    return json.loads(out)


def check(found, how, failures):
    """The right numbers, every function obtained in the way named, so many failures."""
    assert found["y"] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0, 14.0]
    assert found["how"] == how
    assert len(found["info"]["failures"]) == failures, found["info"]["failures"]


def files(directory):
    return sorted(directory.rglob("*.bin"))


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """A cache that two processes filled at once, and what they said."""
    directory = tmp_path_factory.mktemp("cache") / "made" / "here"
    processes = [start(WORK, directory) for _ in range(2)]
    return directory, [result(process) for process in processes]


@pytest.fixture
def store(tmp_path, monkeypatch):
    """The store of this process over an empty directory, with one entry; its failures start at none."""
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("NUMBARNN_CACHE", raising=False)
    monkeypatch.setattr(jit, "failures", [])
    jit.STORE.save("entry", {"a": 1})
    assert jit.STORE.load("entry") == {"a": 1} and not jit.failures
    return jit.STORE


def test_processes_may_fill_a_cache_together(filled):
    """Each compiles what it does not find; whole files remain, in a directory that nobody else may enter."""
    directory, found = filled
    for one in found:
        check(one, dict.fromkeys(NAMES, "compiled") | one["how"], failures=0)
    assert all("compiled" in {one["how"][name] for one in found} for name in NAMES)
    assert len(files(directory)) == len(NAMES)
    assert [path.suffix for path in directory.rglob("*") if path.is_file()] == [".bin"] * len(NAMES)
    if os.name == "posix":
        assert stat.S_IMODE(files(directory)[0].parent.stat().st_mode) == 0o700


def test_another_process_compiles_nothing(filled):
    """It loads all, and changes no file."""
    directory, _ = filled
    before = {path: path.stat().st_mtime_ns for path in files(directory)}
    found = result(start(WORK, directory))
    check(found, dict.fromkeys(NAMES, "loaded"), failures=0)
    assert found["info"]["files"] == len(NAMES)
    assert {path: path.stat().st_mtime_ns for path in files(directory)} == before


def test_damaged_files_cost_a_compilation_each(filled, tmp_path):
    """Truncated, empty, exchanged for another function's; the files are whole again afterwards."""
    shutil.copytree(filled[0], tmp_path, dirs_exist_ok=True)
    truncated, empty, exchanged = files(tmp_path)
    exchanged.write_bytes(truncated.read_bytes())
    truncated.write_bytes(truncated.read_bytes()[:-1])
    empty.write_bytes(b"")
    check(result(start(WORK, tmp_path)), dict.fromkeys(NAMES, "compiled"), failures=3)
    check(result(start(WORK, tmp_path)), dict.fromkeys(NAMES, "loaded"), failures=0)


def test_switched_off_it_writes_nothing(tmp_path):
    """NUMBARNN_CACHE=0."""
    found = result(start(WORK, tmp_path, NUMBARNN_CACHE="0"))
    check(found, dict.fromkeys(NAMES, "compiled"), failures=0)
    assert not found["info"]["enabled"] and found["info"]["directory"] is None
    assert not list(tmp_path.iterdir())


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
    assert result(start(code, tmp_path / "chosen", **variables)) == []
    assert [path.name for path in tmp_path.rglob("*")] == ["home"]


def test_without_a_compiler_it_imports(tmp_path):
    """NUMBA_DISABLE_JIT=1: decorators give the functions themselves."""
    code = """
import json, numbarnn
from numbarnn.kernels import jit, sequence_cpu, team
assert jit.DISABLED and not jit.cache_info()["enabled"]
print(json.dumps([type(team.run_alone).__name__, jit.compilations]))
"""
    assert result(start(code, tmp_path, NUMBA_DISABLE_JIT="1")) == ["function", []]


def test_an_edited_source_is_another_library(tmp_path):
    """The stamp, which names the directory, changes with any source of the package and with nothing else."""
    package = tmp_path / "numbarnn"
    shutil.copytree(Path(jit.__file__).parent, package / "kernels")
    (package / "__init__.py").touch()
    code = f"""
import importlib, json, sys
sys.path.insert(0, {str(tmp_path)!r})
from pathlib import Path
from numbarnn.kernels import jit
stamps = [jit.STAMP]
for module, added in (("notes.txt", "none"), ("equations.py", "# edited"), ("block.py", "")):
    with (Path(jit.__file__).parent / module).open("a") as file:
        file.write(added)
    stamps.append(importlib.reload(jit).STAMP)
print(json.dumps(stamps))
"""
    copied, beside, edited, again = result(start(code, tmp_path))
    assert copied == beside == jit.STAMP
    assert edited == again != copied


@pytest.mark.parametrize(("damage", "message"), [
    (lambda blob: blob[:-1], "digest"),
    (lambda blob: blob[:40], "digest"),
    (lambda blob: blob[:7], "digest"),
    (lambda blob: b"", "digest"),
    (lambda blob: bytes(len(blob)), "digest"),
    (lambda blob: bytes(range(256)) * 9, "digest"),
    (lambda blob: blob[:-1] + bytes([blob[-1] ^ 1]), "digest"),
])
def test_damage_is_found_before_anything_is_unpickled(store, damage, message):
    """Any change of a file is a failure that is counted, and no entry; the next save mends it."""
    path = store.path("entry")
    path.write_bytes(damage(path.read_bytes()))
    assert store.load("entry") is None
    assert len(jit.cache_info()["failures"]) == 1 and message in jit.failures[0]
    store.save("entry", {"a": 2})
    assert store.load("entry") == {"a": 2} and len(jit.failures) == 1


def test_another_entrys_file_is_refused(store):
    """A file copied to another name holds somebody else's function."""
    store.path("other").write_bytes(store.path("entry").read_bytes())
    assert store.load("other") is None
    assert len(jit.failures) == 1


def test_an_absent_entry_is_no_failure(store):
    assert store.load("absent") is None and not jit.failures


@pytest.mark.skipif(os.name != "posix", reason="permissions of POSIX")
@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
def test_a_directory_that_others_can_write_to_is_not_read(store, mode):
    """Unpickling runs code: neither read nor written, both counted."""
    directory = store.path("entry").parent
    directory.chmod(mode)
    assert store.load("entry") is None
    store.save("second", 2)
    assert len(jit.failures) == 2 and all("can be written by, somebody else" in text for text in jit.failures)
    assert [path.name for path in directory.iterdir()] == [store.path("entry").name]


def test_a_directory_that_cannot_be_made(store, tmp_path, monkeypatch):
    """A file stands in its place: counted, nothing raised."""
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(store.path("entry")))
    store.save("entry", 1)
    assert store.load("entry") is None
    assert [text.split()[0] for text in jit.failures] == ["save", "load"]
    assert jit.cache_info()["files"] == 0


def test_a_full_disk_leaves_nothing_behind(store, monkeypatch):
    """A file that could not be written whole does not stay, whatever its name."""

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(jit.os, "replace", refuse)
    store.save("second", 2)
    assert len(jit.failures) == 1 and "No space left" in jit.failures[0]
    assert [path.name for path in store.path("entry").parent.iterdir()] == [store.path("entry").name]


def test_the_target_is_part_of_an_entrys_name(store, monkeypatch):
    """Code for another CPU is another file, in one directory."""
    mine = store.path("entry")
    monkeypatch.setattr(jit, "target_key", lambda: ("another", "cpu", "+feature"))
    assert store.path("entry").parent == mine.parent and store.path("entry") != mine
    assert store.load("entry") is None and not jit.failures
