"""The head of a report says which code is tested; ``--device`` says where."""

import os

import pytest
from numba.core import config as numba_config

from numbarnn.kernels import jit, simd


def pytest_report_header():
    if jit.DISABLED:
        return "numbarnn: nothing is compiled (NUMBA_DISABLE_JIT=1), NumPy carries out the plans"
    target = simd.target()
    fused = "with" if target.has_fma else "without"
    registers = f"{target.registers} registers of {target.vector_bits} bits"
    lines = [f"numbarnn: code for {target.name}, {registers}, {fused} fused multiply-add"]
    if numba_config.BOUNDSCHECK:
        lines.append("numbarnn: indices of arrays are checked (NUMBA_BOUNDSCHECK=1)")
    chosen = [f"{name}={value!r}" for name, value in sorted(os.environ.items()) if name.startswith("NUMBA")]
    return [*lines, f"numbarnn: {', '.join(chosen)}"] if chosen else lines


def pytest_addoption(parser):
    parser.addoption(
        "--device", choices=["cpu", "cuda", "emulated"], default="cpu", help="where the calls run"
    )


def pytest_configure(config):
    config.addinivalue_line(
        "markers", "cpu: about what only the CPU's kernels have; skipped on other devices"
    )


def pytest_collection_modifyitems(config, items):
    if config.getoption("--device") != "cpu":
        skip = pytest.mark.skip(reason="it is about the CPU's kernels")
        for item in items:
            if item.get_closest_marker("cpu"):
                item.add_marker(skip)


@pytest.fixture(autouse=True, scope="session")
def where(request):
    """The device that the calls of these tests run on; None: the CPU."""
    name = request.config.getoption("--device")
    if name == "cpu":
        yield None
        return
    from devices import everything_on

    with pytest.MonkeyPatch.context() as patch:
        yield everything_on(name, patch)
