"""The CPU's tests of behaviour, the same files, on Numba's CUDA simulator: what the device's kernels and
calls do, not their bits. The simulator is chosen before Numba is imported, so the tests run in a process of
their own.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from numbarnn.kernels import jit

TESTS = Path(__file__).parent
FILES = {  # and on which device's behalf they run; those of arrays on devices say so themselves
    "test_layers.py": "cuda",
    "test_ragged.py": "cuda",
    "test_device_arrays.py": "cpu",
    "test_device_states.py": "cpu",
    "test_device_refusals.py": "cpu",
    "test_device_dense.py": "cpu",
    "test_device_bidirectional.py": "cpu",
    "test_device_cells.py": "cpu",
    "test_tf1_devices.py": "cpu",
    "test_dynamic_devices.py": "cpu",
}
LIMIT_SECONDS = 280  # a standstill ends it; a file takes a minute on a quiet machine


@pytest.mark.skipif(jit.DISABLED, reason="the CPU's plans are compiled; NUMBA_DISABLE_JIT=1 is set")
@pytest.mark.skipif("NUMBA_ENABLE_CUDASIM" in os.environ, reason="runs in the simulator already")
@pytest.mark.parametrize("file", FILES)
def test_on_the_simulator(file):
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "--device",
        FILES[file],
        TESTS / file,
    ]
    done = subprocess.run(
        command,
        cwd=TESTS.parent,
        env=os.environ | {"NUMBA_ENABLE_CUDASIM": "1"},
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
