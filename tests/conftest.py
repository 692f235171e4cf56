"""The head of a report says which code is tested."""

import os

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
