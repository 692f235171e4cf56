"""What the code of the CUDA kernels is made of, found without a GPU: compiler and assembler are packages.

Run as a program, it compiles and assembles all of them and writes bench/CUDA_CODE.md.
"""

import inspect
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from importlib.metadata import PackageNotFoundError, files, version
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from models import MODELS
from ptx import Facts, facts

from numbarnn.dispatch_cuda import SIMPLE_THREADS
from numbarnn.kernels import sequence_cuda, step_cuda
from numbarnn.kernels.jit import DISABLED
from numbarnn.kernels.jit_cuda import SIMULATED, VECTOR_BYTES, cuda
from numbarnn.kernels.program_cuda import prepared
from numbarnn.kernels.tile_cuda import Tile
from numbarnn.schedules_cuda import TILES, forming_tile

TABLE = Path(__file__).resolve().parents[1] / "bench" / "CUDA_CODE.md"
CELLS, DTYPES = ("lstm", "gru", "gru_before", "simple"), ("float32", "float64")
# What is assembled for each compute capability that is compiled for: another compiler begins with 10.0.
ARCHITECTURES = {(8, 0): ("sm_80", "sm_90"), (10, 0): ("sm_100",)}
# Of a multiprocessor of any of these, in 32-bit registers; a warp takes them 256 at a time.
REGISTERS, THREADS, BLOCKS, WARP = 65536, 2048, 32, 32
MOST_REGISTERS = 128  # of a thread, so that two blocks of 256 threads run at once


def assembler():
    """NVIDIA's assembler, from its package, or None."""
    try:
        found = [file for file in files("nvidia-cuda-nvcc") if file.name in ("ptxas", "ptxas.exe")]
    except PackageNotFoundError:
        return None
    return str(found[0].locate()) if found else None


def missing():
    """What is missing here, in words, or None."""
    if DISABLED:
        return "nothing is compiled (NUMBA_DISABLE_JIT=1)"
    if SIMULATED:
        return "Numba's simulator compiles nothing"
    if cuda.implementation == "Built-in":
        return "numba-cuda, which compiles for a GPU, is not installed"
    return None if assembler() else "nvidia-cuda-nvcc, which has ptxas, is not installed"


class Case(NamedTuple):
    """One kernel."""

    kernel: str  # "start", "clear", "step", "form", "rows" or "units"
    cell: str
    dtype: str
    tile: Tile | None = None
    phase: int | None = None
    hoisted: bool = False

    @property
    def key(self):
        """The first columns of its row in the table."""
        kernel = self.kernel if self.phase is None else f"{self.kernel} {self.phase}"
        tile = "x".join(map(str, self.tile)) if self.tile else ""
        return kernel + " hoisted" * self.hoisted, self.cell, self.dtype, tile

    @property
    def codes(self):
        """The `PhaseCode` of each phase in it."""
        if self.tile is None:
            return ()
        made = prepared(_program(self.cell, self.dtype), self.tile)
        codes = made.codes(self.hoisted or self.kernel == "units", self.kernel in ("rows", "units"))
        return codes if self.phase is None else codes[self.phase : self.phase + 1]

    @property
    def dispatcher(self):
        if self.tile is None:
            return getattr(sequence_cuda, self.kernel)(np.dtype(self.dtype).type)
        if self.phase is None:
            return getattr(sequence_cuda, self.kernel)(self.codes)
        return getattr(step_cuda, self.kernel)(*self.codes)

    @property
    def threads(self):
        return self.tile.threads if self.tile else SIMPLE_THREADS

    @property
    def staging_bytes(self):
        return max((code.room * code.shape.itemsize for code in self.codes), default=0)

    @property
    def fused_per_load(self):
        """Products per load of a vector from shared memory, of each source that is multiplied: vectors of the
        weights of each sum times vectors of the values of each row.
        """
        each = []
        for code in self.codes:
            sources = range(1) if self.kernel == "form" else range(code.takes_hoisted, len(code.from_inputs))
            for source in sources:
                sums, rows = len(code.shape.feeds[source]), code.shape.tile.rows
                each.append(sums * rows * code.shape.vector / (sums + rows))
        return sorted(each)


@cache
def _program(cell, dtype):
    return MODELS[cell].make(5, 7, dtype).cell.program  # the code depends on no size


@cache
def cases():
    """All kernels of the built-in cells."""
    found = [Case(kernel, "", dtype) for dtype in DTYPES for kernel in ("start", "clear")]
    for cell, dtype in product(CELLS, DTYPES):
        itemsize, phases = np.dtype(dtype).itemsize, _program(cell, dtype).cell.phases
        tiles, fed = TILES[itemsize], [phase.sources[:1] == ("x",) for phase in phases]
        forming = [forming_tile(tile, itemsize) for tile in (*tiles["steps"], *tiles["units"])]
        for tile, (p, by_inputs) in product(tiles["steps"], enumerate(fed)):
            found += [Case("step", cell, dtype, tile, p, hoisted) for hoisted in range(1 + by_inputs)]
        for tile, (p, by_inputs) in product(dict.fromkeys(forming), enumerate(fed)):
            found += [Case("form", cell, dtype, tile, p)] * by_inputs
        found += [Case(kernel, cell, dtype, tile) for kernel in ("rows", "units") for tile in tiles[kernel]]
    return tuple(case._replace(hoisted=bool(case.hoisted)) for case in found)


def _parameters(case):
    """{name: Numba's type} of a kernel's parameters."""
    from numba.cuda import types

    element = getattr(types, case.dtype)
    typed = {"words": types.int64[::1], "constant": element, "extra": types.Tuple(())}
    typed |= dict.fromkeys(("x", "values", "weights", "hoisted", "initial", "y", "final"), element[::1])
    names = inspect.signature(case.dispatcher.py_func).parameters
    return {name: typed.get(name, types.int64) for name in names}


def compiled(case, capability):
    """A kernel's PTX, as it is compiled for a device of a compute capability."""
    from numba.cuda import dispatcher, types

    options = {"cc": capability, "output": "ptx", "device": False, "abi": "numba"}
    device = SimpleNamespace(compute_capability=capability)
    with patch.object(dispatcher, "get_current_device", lambda: device):
        parameters = types.void(*_parameters(case).values())
        return cuda.compile(case.dispatcher.py_func, parameters, **options)[0]


class Usage(NamedTuple):
    """What the assembler says of a kernel."""

    registers: int
    stack: int
    spills: int  # bytes stored and loaded


def assembled(ptx, architecture):
    """The `Usage` of PTX on an architecture, of code that is yet to be linked (-c), which Numba's linker also
    makes: it is not the same code as that of a whole program.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder, "kernel.ptx")
        source.write_text(ptx)
        command = [assembler(), "-v", f"-arch={architecture}", "-c", source, "-o", Path(folder, "out")]
        told = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    [registers] = re.findall(r"Used (\d+) registers", told)
    [frame] = re.findall(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", told)
    return Usage(int(registers), int(frame[0]), int(frame[1]) + int(frame[2]))


class Code(NamedTuple):
    """A kernel, the `Facts` of each PTX, and its `Usage` on each architecture; or why there are none."""

    case: Case
    facts: tuple = ()
    usage: tuple = ()
    failure: str = ""

    @property
    def blocks(self):
        """How many a multiprocessor runs at once, as far as registers and threads go."""
        warps = -(-self.case.threads // WARP)
        most = min(BLOCKS, THREADS // (WARP * warps))
        return [min(most, REGISTERS // (-(-each.registers // 8) * 8 * WARP * warps)) for each in self.usage]

    @property
    def broken(self):
        """The budgets that it does not keep, in words."""
        if self.failure:
            return [self.failure]
        registers, stack, spills = map(max, zip(*self.usage, strict=True))
        # What keeps weights in shared memory runs one block on a multiprocessor, whatever its registers.
        most = REGISTERS // self.case.threads
        most = most if self.case.kernel in ("rows", "units") else min(MOST_REGISTERS, most)
        tests = {
            f"{stack} bytes of stack": stack > 0,
            f"{spills} bytes spilt": spills > 0,
            f"{registers} registers": registers > most,
        }
        for found in self.facts:
            tests |= self._tests(found)
        return [what for what, is_so in tests.items() if is_so]

    def _tests(self, found):
        """{budget that is not kept: whether that is so} of PTX."""
        least, got = self.case.fused_per_load, found.fused_per_load
        slow = len(got) != len(least) or any(ours < shape for ours, shape in zip(got, least, strict=True))
        return {
            f"{found.local_bytes} bytes of local memory": found.local_bytes > 0,
            f"{found.doubles} instructions on float64": self.case.dtype == "float32" and found.doubles > 0,
            f"{found.divisions} divisions of integers among products": found.divisions > 0,
            f"weights fetched by {found.weights} bytes": bool(least) and found.weights != [VECTOR_BYTES],
            f"shared memory read by {found.shared} bytes": bool(least) and found.shared != [VECTOR_BYTES],
            f"{_numbers(got)} products per load instead of {_numbers(least)}": slow,
        }


def measured(case):
    """The `Code` of a kernel."""
    from numba.cuda.cudadrv.error import NvvmError

    found, usage = [], []
    try:
        for capability, architectures in ARCHITECTURES.items():
            ptx = compiled(case, capability)
            found.append(facts(ptx, _parameters(case)))
            usage += [assembled(ptx, architecture) for architecture in architectures]
    except NvvmError as error:
        return Code(case, failure=f"is not compiled: {' '.join(str(error).split())[:80]}")
    except subprocess.CalledProcessError as error:
        return Code(case, failure=f"is not assembled: {' '.join(error.stderr.split())[:80]}")
    return Code(case, tuple(found), tuple(usage))


def measure(chosen):
    """The `Code` of each kernel, by two processes."""
    with ProcessPoolExecutor(2, get_context("spawn")) as pool:
        yield from pool.map(measured, chosen)


def _numbers(values, apart=", "):
    return apart.join(f"{value:.3g}" if value % 1 else str(int(value)) for value in values)


COLUMNS = (
    "kernel", "cell", "dtype", "tile", "threads", "staging", "registers", "blocks", "stack", "spills",
    "local", "weights", "values", "shared", "FMA per load", "div", "f64",
)  # fmt: skip
HEAD = """# The CUDA kernels' code

Made by `python tests/device_code.py`; nothing here is typed by hand, and nothing was run on a GPU. PTX for
compute capability {compiled_for}. Versions: {versions}.

* **kernel**: *step* and *form* with the number of the phase; *hoisted*: after the inputs' products were
  formed beforehand. **tile**: units x groups of rows x rows of each thread.
* **staging**: bytes of dynamic shared memory through which weights and values pass; weights that stay there
  come on top of it.
* **registers** of a thread; **blocks** that a multiprocessor runs at once as far as registers and threads go;
  one number for each architecture where they differ. **stack**, **spills**, **local**: bytes.
* **weights**, **values**: bytes of the loads from global memory on the way to shared memory; narrow loads of
  values are for rows that are not aligned, and for their ends. **shared**: bytes of the loads from there in
  the loops over vectors of k. **FMA per load**: products for each of these loads; all that occur.
* **div**: integer divisions in the loops that multiply and fetch / in all loops around them that hold
  products. **f64**: instructions on float64 in kernels for float32.

{broken}

"""


def table(codes):
    """The text of bench/CUDA_CODE.md."""
    packages = ("numba", "numba-cuda", "llvmlite", "nvidia-nvvm", "nvidia-cuda-nvcc")
    told = [" ".join(filter(None, code.case.key)) + ": " + "; ".join(code.broken) for code in codes]
    broken = [f"* {line}" for line, code in zip(told, codes, strict=True) if code.broken]
    head = HEAD.format(
        compiled_for="; for ".join(
            f"{major}.{minor}, assembled for {' and '.join(names)}"
            for (major, minor), names in ARCHITECTURES.items()
        ),
        versions=", ".join(f"{name} {version(name)}" for name in packages),
        broken="\n".join(
            ["Budgets that are not kept:", "", *broken] if broken else ["All budgets are kept."]
        ),
    )
    rows = [COLUMNS, ("---",) * 4 + ("--:",) * (len(COLUMNS) - 4), *map(_row, codes)]
    return head + "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def _row(code):
    if code.failure:
        return *code.case.key, *[""] * (len(COLUMNS) - 4)
    case, found = code.case, Facts(*zip(*code.facts, strict=True))
    registers, stack, spills = zip(*code.usage, strict=True)
    loads = (sorted(set().union(*widths), reverse=True) for widths in found[1:4])
    numbers = (
        [case.threads], [case.staging_bytes], *map(_each, (registers, code.blocks, stack, spills)),
        [max(found.local_bytes)], *loads, sorted(set().union(*found.fused_per_load)),
        [max(found.divisions), max(found.outer_divisions)],
        [max(found.doubles)] if case.dtype == "float32" else [],
    )  # fmt: skip
    return *case.key, *(_numbers(values, "/") for values in numbers)


def _each(values):
    """One number for all architectures if it is the same."""
    return values if len(set(values)) > 1 else values[:1]


def listed():
    """The keys of the rows in bench/CUDA_CODE.md."""
    rows = [line for line in TABLE.read_text().splitlines() if line.startswith("| ")]
    return [tuple(cell.strip() for cell in row.split("|")[1:5]) for row in rows[2:]]


def main():
    if reason := missing():
        sys.exit(reason)
    codes = []
    for code in measure(cases()):
        codes.append(code)
        print(len(codes), "of", len(cases()), *code.case.key, *code.broken, flush=True)
    TABLE.write_text(table(codes))


if __name__ == "__main__":
    main()
