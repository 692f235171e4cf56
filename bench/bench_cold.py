"""Cold start: imports, the first call and a second cell, in fresh processes, the cache empty and filled."""

import fresh
import pytest

PROCESSES = {"quick": 2, "full": 4}
WAITS = {"first call (lstm)": "lstm", "second cell (gru)": "gru", "what other calls need (warmup)": "warmup"}


@pytest.fixture(scope="module")
def processes(pytestconfig):
    return fresh.reports("cold_process.py", PROCESSES[pytestconfig.getoption("--tier")])


@pytest.mark.parametrize("package", ["numba", "numbarnn"])
def test_import(record, processes, package):
    """numbarnn's is what it takes beyond numba, which is there already."""
    reports = processes["cold"][1:] + processes["warm"]  # the very first may have written bytecode
    durations = [report["seconds"][package] for report in reports]
    record(durations, group="import", suite="cold", what=f"import {package}")


@pytest.mark.parametrize("cache", ["cold", "warm"])
@pytest.mark.parametrize("what", WAITS)
def test_first_call(record, processes, what, cache):
    """All is compiled when cold and nothing when warm. Drawing weights, NumPy's work, is told apart."""
    name, made = WAITS[what], {"cold": "compiled", "warm": "loaded"}[cache]
    functions = [report["functions"][name] for report in processes[cache]]
    assert all(how == made for report in functions for _, how in report), functions
    seconds = [report["seconds"] for report in processes[cache]]
    drawn = [found[f"{name} weights"] for found in seconds if f"{name} weights" in found]
    record(
        [found[name] for found in seconds],
        group="first call",
        suite="cold",
        what=f"{what}, {cache} cache",
        functions=[function for function, _ in functions[0]],
        weights=drawn,
    )
