"""CUDA devices without a GPU: an emulator runs the very code that a GPU's compiler is given, and watches it.

The environment variable PTXSIM names the folder of the emulator, which is no part of this project. It reports
reads and writes outside of arrays, reads of what nobody wrote, races between threads, and barriers that not
all reach; any of them is an error here.
"""

import os
import sys
from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
from numba import types

from numbarnn.device import HostMemory

FOLDER = os.environ.get("PTXSIM")
HAS_COMPILER = find_spec("numba_cuda") is not None and sys.version_info >= (3, 11)
needs_emulator = pytest.mark.skipif(
    FOLDER is None or not HAS_COMPILER,
    reason="needs numba-cuda, Python 3.11 and an emulator, whose folder PTXSIM names",
)
POISON = {4: np.uint32(0x7FC0DEAD), 8: np.uint64(0x7FF8DEADDEADDEAD)}


def ptxsim():
    """The emulator's module."""
    folder, name = os.path.split(os.path.abspath(FOLDER))
    if folder not in sys.path:
        sys.path.append(folder)
    assert name == "ptxsim", FOLDER
    import ptxsim

    return ptxsim


class EmulatedDevice(HostMemory):
    """A device with as many processors, and as much shared memory, as are wished.

    Attributes
    ----------
    launches : list of (name, threads in all, Result)
        What was run, with the emulator's counts.
    """

    simulated = False
    number, name, compute_capability, clock_hz = 0, "emulated", (9, 0), 1.7e9

    def __init__(self, processors=4, shared_bytes=227 << 10):
        self.processors, self.shared_bytes, self.launches = processors, shared_bytes, []

    def empty(self, size, dtype):
        """Poisoned: a result that depends on what nobody wrote is not a number."""
        dtype = np.dtype(dtype)
        if dtype.kind == "f":
            return np.full(size, POISON[dtype.itemsize]).view(dtype)
        return np.empty(size, dtype)

    def launch(self, kernel, grid, threads, shared_bytes, stream, *arguments):
        code, name = _compiled(kernel, tuple(map(_type, arguments)))
        together = "cudaCGSynchronize" in code
        result = ptxsim().launch(
            code, name, grid, threads, arguments, shared_bytes=shared_bytes, cooperative=together, race=True
        )
        assert not together or np.prod(grid) <= self.processors, "blocks that meet must all run at once"
        assert shared_bytes <= self.shared_bytes
        assert not result.issues, result.issues[:3]
        self.launches.append((kernel.py_func.__name__, np.prod(grid) * threads, result))


@cache
def _compiled(kernel, signature):
    return ptxsim().compile_kernel(kernel, signature)


def _type(argument):
    if isinstance(argument, np.ndarray):
        return types.Array(getattr(types, argument.dtype.name), 1, "C")
    if isinstance(argument, tuple):
        return types.Tuple(tuple(map(_type, argument)))
    if isinstance(argument, np.floating):
        return getattr(types, argument.dtype.name)
    return types.int64
