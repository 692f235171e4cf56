"""The self-test finds nothing where all is well, and finds each fault that is planted."""

import json
import os
import subprocess
import sys
import threading
from decimal import Decimal, localcontext

import mpmath
import numpy as np
import pytest
from ulp import MP

from numbarnn import dispatch, exact, selfcheck
from numbarnn.__main__ import main
from numbarnn.kernels import jit, polynomials, store
from numbarnn.kernels.cells import BUILT_IN

compiled = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: there are no kernels to check")


@compiled
def test_all_is_well(capsys, monkeypatch):
    """Beside the cache, where others may have failed before."""
    monkeypatch.delitem(selfcheck.PARTS, "cache")
    assert main(["check", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["ok"] and list(report["parts"]) == ["twins", "bits", "math", "threads"]
    for part in report["parts"].values():
        assert part["status"] == "ok" and part["notes"] and not part["faults"]
    if dispatch.may_launch():
        assert report["parts"]["bits"]["notes"] == ["schedules compared: rows, single, units"]


@pytest.fixture
def plant(monkeypatch):
    """Have every call of a layer changed: `plant(change)` calls `change(program, y)` when it is done."""

    def planted(change):
        run = dispatch.run

        def changed(program, steps, x, y, *arguments, **options):
            decision = run(program, steps, x, y, *arguments, **options)
            if y.size:
                change(program, y)
            return decision

        monkeypatch.setattr(dispatch, "run", changed)

    return planted


@compiled
@pytest.mark.parametrize("cell", ["lstm", "gru", "gru_reset_before", "simple_rnn"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_result_that_is_a_little_off(cell, dtype, plant):
    """One value by 40 units in the last place of 1: the twins are no longer alike, of that cell and dtype."""

    def change(program, y):
        if (program.cell.name, program.dtype) == (cell, dtype):
            y[-1, -1] += 40 * np.finfo(dtype).eps

    plant(change)
    faults = selfcheck.twins().faults
    assert faults and all(fault.startswith(f"{cell}, {dtype}, ") for fault in faults)


@compiled
def test_a_result_that_is_nan(plant):
    plant(lambda program, y: y.__setitem__((0, 0), np.nan))
    assert len(selfcheck.twins().faults) > 50


@compiled
def test_a_bit_that_depends_on_the_batch(plant):
    """The twins do not notice; the rows do."""

    def change(program, y):
        if len(y) > 2000:
            y[-1, -1] = np.nextafter(y[-1, -1], y.dtype.type(9))

    plant(change)
    assert not selfcheck.twins().faults
    faults = selfcheck.bits().faults
    assert any("alone and in the batch: 1 of" in fault for fault in faults)
    assert all("(B, T) = (64, 40)" in fault for fault in faults)


@compiled
def test_a_bit_that_depends_on_the_threads(monkeypatch):
    run = dispatch.run

    def changed(program, steps, x, y, initial, final, n_threads=None, **options):
        decision = run(program, steps, x, y, initial, final, n_threads, **options)
        if n_threads == 3:
            y[0, 0] = np.nextafter(y[0, 0], y.dtype.type(9))
        return decision

    monkeypatch.setattr(dispatch, "run", changed)
    faults = selfcheck.bits().faults
    assert faults and all("n_threads=3 and the default: 1 of" in fault for fault in faults)


@pytest.fixture
def fresh(monkeypatch):
    """Nothing that was compiled before is used."""
    monkeypatch.setenv("NUMBARNN_CACHE", "0")
    monkeypatch.setattr(jit, "_libraries", {})


@compiled
@pytest.mark.parametrize("name", ["exp", "expm1", "log1p", "tanh", "erf"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_wrong_polynomial(name, dtype, fresh, monkeypatch):
    """Its leading coefficient too large by 64 eps of the dtype."""
    real = polynomials.REALS[np.dtype(dtype)]
    field = {"exp": "expm1"}.get(name, name)
    first, *rest = getattr(real, field)
    wrong = real._replace(**{field: (first * (1 + 64 * np.finfo(dtype).eps), *rest)})
    monkeypatch.setitem(polynomials.REALS, np.dtype(dtype), wrong)
    faults = selfcheck.math().faults
    assert any(fault.startswith(f"{name}, {np.dtype(dtype).name}: ") for fault in faults), faults
    assert not any(np.dtype({np.float32: "f8", np.float64: "f4"}[dtype]).name in fault for fault in faults)


@compiled
def test_a_wrong_limit(fresh, monkeypatch):
    """exp(inf) is no longer infinite: the special values say so."""
    real = polynomials.REALS[np.dtype(np.float32)]
    monkeypatch.setitem(polynomials.REALS, np.dtype(np.float32), real._replace(exp_high=80.0))
    faults = selfcheck.math().faults
    assert any(fault.startswith("exp, float32: ") and "for inf, expected inf" in fault for fault in faults)


def test_a_result_that_depends_on_the_thread(plant):
    """Wrong off the main thread only."""

    def change(program, y):
        if threading.current_thread() is not threading.main_thread():
            y[0, 0] += 1

    plant(change)
    faults = selfcheck.threads().faults
    assert len(faults) == 12 * len(BUILT_IN) and all("beside others: 1 of" in fault for fault in faults)


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    """A file stands where its directory should be: said, with what to do; results are not in doubt."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(tmp_path / "file"))
    monkeypatch.setattr(store, "failures", [])
    monkeypatch.setattr(selfcheck, "PARTS", {"cache": selfcheck.cache})
    assert main(["check"]) == 1
    out = capsys.readouterr().out
    assert "cache    failed" in out and "    save " in out and "NUMBARNN_CACHE_DIR" in out
    assert "Results may be wrong" not in out


def test_a_cache_with_a_damaged_file(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(store, "failures", [])
    store.save("entry", 1)
    assert not selfcheck.cache().faults and not list(tmp_path.rglob("*.tmp"))
    assert len(list(tmp_path.rglob("*.bin"))) == 1, "what it tried out is gone"
    path = store.path_of("entry")
    path.write_bytes(path.read_bytes()[:-1])
    [fault] = selfcheck.cache().faults
    assert path.name in fault and "digest" in fault


def test_a_cache_that_is_off(monkeypatch):
    monkeypatch.setenv("NUMBARNN_CACHE", "0")
    found = selfcheck.cache()
    assert found.notes[0].startswith("off") and not found.faults


def test_the_report_for_a_person(monkeypatch, capsys):
    """Every part in a line, its first faults, and what to report."""
    found = {
        "twins": selfcheck.Part(["some"], [f"fault {k}" for k in range(9)]),
        "threads": selfcheck.Part(["2 threads"], []),
    }
    monkeypatch.setattr(selfcheck, "PARTS", {name: lambda part=part: part for name, part in found.items()})
    monkeypatch.setattr(selfcheck, "COMPILED", ())
    assert main(["check"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["twins", "failed", "some"]
    assert [line.strip() for line in lines[1:7]] == [*(f"fault {k}" for k in range(5)), "and 4 more"]
    assert lines[7].split() == ["threads", "ok", "2", "threads"]
    assert "Results may be wrong" in lines[8] and "python -m numbarnn info" in lines[8]


def test_without_a_compiler(tmp_path):
    """It says what it cannot look at, and looks at the rest."""
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "NUMBARNN_CACHE_DIR": str(tmp_path)}
    command = [sys.executable, "-W", "error", "-m", "numbarnn", "check", "--json"]
    child = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    parts = json.loads(child.stdout)["parts"]
    for name in ("twins", "bits", "math"):
        assert parts[name]["status"] == "not checked" and "NUMBA_DISABLE_JIT" in parts[name]["notes"][0]
    assert parts["threads"]["status"] == parts["cache"]["status"] == "ok"


@pytest.mark.parametrize("name", exact.FUNCTIONS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_yardstick(name, dtype):
    """Its functions have 25 digits, by another library's arithmetic."""
    x = exact.samples(name, dtype, 300)
    assert np.isfinite(x).all() and x.dtype == dtype
    with localcontext(exact.DIGITS), mpmath.workdps(400):
        for value in x[x != 0].tolist():
            got, truth = mpmath.mpf(str(exact.FUNCTIONS[name](Decimal(value)))), MP[name](mpmath.mpf(value))
            limit = 1e-21 if name == "erf" and abs(value) > 7 else 1e-25
            assert abs(got - truth) <= limit * abs(truth), value


def test_the_yardstick_measures():
    """An error of three units is three units; a value that is not finite is infinitely wrong."""
    x = np.array([0.5, 1.0, 2.0])
    right = np.exp(x)
    assert exact.error("exp", x, right)[0] <= 1.0
    wrong = right.copy()
    wrong[1] += 3 * np.spacing(right[1])
    error, at = exact.error("exp", x, wrong)
    assert 2 <= error <= 4 and at == 1.0
    wrong[2] = np.nan
    assert exact.error("exp", x, wrong) == (np.inf, 2.0)
