"""What the code of the CUDA kernels is made of, found without a GPU: compiler and assembler are packages.

Run as a program, it compiles and assembles all of them and writes bench/CUDA_CODE.md.
"""

import inspect
import re
import subprocess
import sys
import tempfile
from bisect import bisect_right
from concurrent.futures import ProcessPoolExecutor
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, files, version
from itertools import product
from multiprocessing import get_context
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple
from unittest.mock import patch

import numpy as np
from models import MODELS

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
        return max((code.shape.room * code.shape.itemsize for code in self.codes), default=0)

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
    typed = {"words": types.int64[::1], "constant": element}
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


class Instruction(NamedTuple):
    operation: str
    operands: str
    predicated: bool

    def access(self, how, space):
        """Bytes, if it loads ("ld") or stores ("st") in one kind of memory, or 0."""
        match = LOAD_OR_STORE.fullmatch(self.operation)
        if not match or (match["how"], match["space"]) != (how, space):
            return 0
        return int(match["count"] or 1) * int(match["bits"]) // 8


REGISTER = re.compile(r"%[a-z]+\d+")
LOAD_OR_STORE = re.compile(
    r"(?P<how>ld|st)\.(?P<space>\w+)(?:\.nc)?\.(?:v(?P<count>\d)\.)?[a-z](?P<bits>\d+)"
)
STATEMENT = re.compile(r"(?P<unless>@!?%p\d+\s+)?(?P<operation>[a-z][\w.]*)\s*(?P<operands>.*)", re.DOTALL)


class Ptx:
    """A kernel's PTX as instructions and loops; see `facts`."""

    def __init__(self, text, parameters):
        body = re.sub(r"//.*", "", text[text.index(".entry") :])
        self.parameters, self.instructions, labels = parameters, [], {}
        for statement in re.split(r"[;{](?=\s)|(?<=:)(?=\s)|}\s", body[body.index("{") + 1 :]):
            statement = statement.strip()
            if statement.startswith("$"):
                labels[statement.rstrip(":")] = len(self.instructions)
            elif match := STATEMENT.fullmatch(statement):
                unless, operation, operands = match.groups()
                self.instructions.append(Instruction(operation, operands, unless is not None))
        ends = {n + 1 for n, each in enumerate(self.instructions) if each.operation.startswith("bra")}
        self.starts = sorted({0, *labels.values(), *ends} - {len(self.instructions)})
        self.labels = labels
        self.depot = sum(map(int, re.findall(r"\.local .*__local_depot\d+\[(\d+)\]", text)))

    def block_of(self, n):
        return bisect_right(self.starts, n) - 1

    @cached_property
    def successors(self):
        """Of each block, those that may come next."""
        following = []
        for b, end in enumerate([*self.starts[1:], len(self.instructions)]):
            last, after = self.instructions[end - 1], set()
            jumps = last.operation.startswith("bra")
            if jumps:
                after.add(self.block_of(self.labels[last.operands.strip()]))
            if last.predicated or not (jumps or last.operation in ("ret", "exit", "trap")):
                after.add(b + 1)
            following.append(after - {len(self.starts)})
        return following

    @cached_property
    def loops(self):
        """Sets of blocks: of each block that is jumped back to, all that lead there without leaving."""
        count = len(self.starts)
        before = [[a for a in range(count) if b in self.successors[a]] for b in range(count)]
        dominators, changed = [{0}] + [set(range(count)) for _ in range(count - 1)], True
        while changed:
            changed = False
            for b in range(1, count):
                common = set.intersection(*(dominators[a] for a in before[b])) if before[b] else set()
                changed |= common | {b} != dominators[b]
                dominators[b] = common | {b}
        back = [(b, header) for b in range(count) for header in self.successors[b] & dominators[b]]
        found = {}
        for last, header in back:
            body, open_ends = found.setdefault(header, {header}), [last]
            while open_ends:
                if (block := open_ends.pop()) not in body:
                    body.add(block)
                    open_ends += before[block]
        return list(found.values())

    def within(self, blocks):
        """Instructions of a set of blocks."""
        return [each for n, each in enumerate(self.instructions) if self.block_of(n) in blocks]

    def innermost(self, wanted):
        """Loops that ``wanted(loop)`` holds of, and of none inside them."""
        found = [loop for loop in self.loops if wanted(loop)]
        return [loop for loop in found if not any(other < loop for other in found)]

    def around(self, loop):
        """The smallest loop around a loop, or it itself."""
        return min((other for other in self.loops if loop < other), key=len, default=loop)

    @cached_property
    def _sources(self):
        """Of each register, the registers that it is computed from, and parameters."""
        sources = {}
        for operation, operands, _ in self.instructions:
            if operation.startswith(("ld.param", "mov", "add", "sub", "mul", "mad", "shl", "cvta", "selp")):
                target, *others = operands.split(",")
                read = [*REGISTER.findall(",".join(others)), *re.findall(r"_param_(\d+)\]", operands)]
                sources.setdefault(target.strip(), set()).update(read)
        return sources

    def arrays(self, address):
        """Names of the arrays that an address is computed from."""
        seen, open_ends = set(), REGISTER.findall(address)
        while open_ends:
            if (source := open_ends.pop()) not in seen:
                seen.add(source)
                open_ends += self._sources.get(source, ())
        names, position = set(), 0
        for name, kind in self.parameters.items():
            words = 7 if hasattr(kind, "ndim") else 1  # of an array: the fifth is its address
            names |= {name} if words == 7 and str(position + 4) in seen else set()
            position += words
        return names


def _are(pattern, instructions):
    return sum(bool(re.match(pattern, each.operation)) for each in instructions)


FUSED, DIVISION, DOUBLE = r"fma\.rn\.f\d\d", r"(div|rem)\.[su]\d\d", r".*\.f64\b"


class Facts(NamedTuple):
    """Of a kernel's PTX. Widths are in bytes, each that occurs."""

    fused_per_load: list  # of each innermost loop that multiplies vectors
    weights: list  # widths of loads where they are put into shared memory
    values: list
    shared: list  # widths of loads where vectors are multiplied
    divisions: int  # of integers, where vectors are multiplied and fetched
    outer_divisions: int  # in the loops around that
    local_bytes: int
    doubles: int  # instructions on float64


def facts(ptx, parameters):
    """The `Facts` of a kernel's PTX."""
    read = Ptx(ptx, parameters)

    def multiplies(loop):
        body = read.within(loop)
        return _are(FUSED, body) and any(each.access("ld", "shared") == VECTOR_BYTES for each in body)

    def stores(loop):
        return any(each.access("st", "shared") for each in read.within(loop))

    multiplying, fetching = read.innermost(multiplies), read.innermost(stores)
    near = set().union(*map(read.around, multiplying))
    around = set().union(*(loop for loop in read.loops if _are(FUSED, read.within(loop)))) - near
    bodies = [read.within(loop) for loop in multiplying]
    loads = [[size for each in body if (size := each.access("ld", "shared"))] for body in bodies]
    widths = {"weights": set(), "values": set(), "x": set()}
    for each in read.within(set().union(*fetching)):
        if size := each.access("ld", "global"):
            for name in read.arrays(each.operands[each.operands.index("[") :]) & set(widths):
                widths[name].add(size)
    return Facts(
        sorted(_are(FUSED, body) / len(each) for body, each in zip(bodies, loads, strict=True)),
        weights=sorted(widths["weights"], reverse=True),
        values=sorted(widths["values"] | widths["x"], reverse=True),
        shared=sorted({size for each in loads for size in each}, reverse=True),
        divisions=_are(DIVISION, read.within(near)),
        outer_divisions=_are(DIVISION, read.within(around)),
        local_bytes=read.depot,
        doubles=_are(DOUBLE, read.instructions),
    )


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
        most = min(MOST_REGISTERS, REGISTERS // self.case.threads)
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
