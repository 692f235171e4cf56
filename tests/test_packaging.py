"""What is installed, and that its import is quiet: it compiles, writes, prints and changes nothing."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
NOT_SOURCES = (".*", "build", "dist", "*.egg-info", "__pycache__")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory):
    """A wheel built from a copy of the sources, since a build leaves things behind where it runs."""
    place = tmp_path_factory.mktemp("wheel")
    shutil.copytree(ROOT, place / "sources", ignore=shutil.ignore_patterns(*NOT_SOURCES))
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--retries=1", f"--wheel-dir={place}"]
    built = subprocess.run([*command, place / "sources"], capture_output=True, text=True)
    if built.returncode and "connection broken" in built.stderr:
        pytest.skip("building needs setuptools, which pip cannot fetch: there is no network")
    assert built.returncode == 0, built.stderr
    [path] = place.glob("*.whl")
    return path


def test_files_of_the_wheel(wheel):
    """Each Python file of numbarnn/ and kernels/, the typing marker, and metadata: no more and no less."""
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    metadata = {name for name in names if ".dist-info/" in name}
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "numbarnn").rglob("*.py")}
    kernels = {f"numbarnn/{path.relative_to(ROOT).as_posix()}" for path in (ROOT / "kernels").rglob("*.py")}
    assert kernels >= {"numbarnn/kernels/__init__.py", "numbarnn/kernels/plan.py"}
    assert names - metadata == sources | kernels | {"numbarnn/py.typed"}
    assert {name.split("/", 1)[1] for name in metadata} == {
        "METADATA", "RECORD", "WHEEL", "entry_points.txt", "top_level.txt", "licenses/LICENSE",
    }  # fmt: skip


def run(code, place, path=None):
    """Run `code` in a new interpreter whose home is the empty folder `place`."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBA")}
    environment |= {"HOME": str(place), "XDG_CACHE_HOME": str(place / "cache")}
    if path is not None:
        environment["PYTHONPATH"] = str(path)
    command = [sys.executable, "-W", "error", "-c", code]
    child = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    return child


IMPORT = """
import os, sys, threading
import numba, numpy
modules, environment, folder = set(sys.modules), dict(os.environ), sorted(os.listdir())
errors, threads, path = numpy.geterr(), threading.active_count(), list(sys.path)

import numbarnn
from numbarnn.kernels import jit, store

assert not jit.compilations and not store.failures, (jit.compilations, store.failures)
assert dict(os.environ) == environment
assert (numpy.geterr(), threading.active_count(), sys.path) == (errors, threads, path)
assert "kernels" not in sys.modules
found = {name for name in set(sys.modules) - modules if not name.startswith("numbarnn.layouts.")}
parts = {part for name in found for part in name.split(".")}
assert parts.isdisjoint({"torch", "tensorflow", "keras", "rich", "matplotlib", "cuda", "numba_cuda"}), parts
assert "numba.cuda.cudadrv.driver" not in sys.modules
print(numbarnn.__file__)
"""


def check_import(place, path=None):
    place.mkdir()
    child = run(IMPORT, place, path)
    assert child.stderr == "" and list(place.iterdir()) == []
    return child.stdout.splitlines()


def test_import_is_quiet(tmp_path):
    [file] = check_import(tmp_path / "home")
    assert Path(file).parent.name == "numbarnn"


def test_import_of_the_wheel(wheel, tmp_path):
    """The wheel's own files, unpacked, are imported, and its kernels work."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    [file] = check_import(tmp_path / "home", tmp_path / "site")
    assert Path(file) == tmp_path / "site/numbarnn/__init__.py"
    code = "import numpy as np, numbarnn as nr; print(nr.SimpleRNN(3)(np.ones((2, 4, 5), np.float32)).shape)"
    assert run(code, tmp_path / "home", tmp_path / "site").stdout == "(2, 3)\n"


def test_nothing_is_importable_as_kernels(tmp_path):
    code = "import importlib.util, numbarnn; assert importlib.util.find_spec('kernels') is None"
    run(code, tmp_path)


def test_a_checkout_that_is_not_installed_says_what_to_do(tmp_path):
    """Its folder numbarnn/ can be imported, but numbarnn.kernels cannot."""
    shutil.copytree(ROOT / "numbarnn", tmp_path / "numbarnn", ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-S", "-c", "import numbarnn"]
    child = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert child.returncode == 1 and "ImportError: numbarnn is not installed" in child.stderr
    assert "pip install -e ." in child.stderr
