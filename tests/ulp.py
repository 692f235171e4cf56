"""How exact the functions of kernels/mathfn.py are as compiled vector code: all 2^32 float32 values and a
million float64 values of each. `python tests/ulp.py` prints the table, in minutes, and puts what users ask of
it into the README; `--plain` does it without fused operations. test_ulp.py asks the same of a sample.

Errors are in units in the last place (ulp) of the exact value; infinity counts as 2^128 (2^1024).
"""

import argparse
import ctypes
import math
import os
import time
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial, reduce
from pathlib import Path
from typing import NamedTuple

import mpmath
import numpy as np

from numbarnn.kernels import emit_cpu, simd
from numbarnn.kernels.mathfn import FUNCTIONS
from numbarnn.kernels.trace import trace

BOUND = {
    "float32": {"exp": 1.0, "expm1": 1.0, "log1p": 1.0, "sigmoid": 1.75, "tanh": 1.25, "erf": 1.1},
    "float64": {"exp": 1.0, "expm1": 1.05, "log1p": 1.05, "sigmoid": 1.75, "tanh": 1.25, "erf": 1.1},
}
NAMES = tuple(BOUND["float32"])
RANGE = {
    "exp": (0.0, math.inf), "expm1": (-1.0, math.inf), "log1p": (-math.inf, math.inf),
    "sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0), "erf": (-1.0, 1.0),
}  # fmt: skip
ODD = ("tanh", "erf")
MP = {
    "exp": mpmath.exp, "expm1": mpmath.expm1, "log1p": mpmath.log1p,
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "tanh": mpmath.tanh, "erf": mpmath.erf,
}  # fmt: skip
CURVED = {  # where float64 results are neither x nor constant
    "exp": (-745.13, 709.78), "expm1": (-37.5, 709.78), "log1p": (-1.0, 20.0),
    "sigmoid": (-745.13, 37.0), "tanh": (-19.1, 19.1), "erf": (-5.95, 5.95),
}  # fmt: skip
PLAIN = simd.Target("plain", 128, 16, False)
EPILOGUE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 4)
CHUNK = 1 << 13  # arrays that stay in the cache, and below the size that malloc maps and unmaps each time
TASKS = 16
README = Path(__file__).parents[1] / "README.md"
MARKS = "<!-- made by make ulp -->", "<!-- end -->"


class Found(NamedTuple):
    """What was seen: the largest error and where, values below their predecessor, out of range, of the wrong
    sign, and NaN for a number or a number for NaN.
    """

    error: float = 0.0
    at: float = 0.0
    falls: int = 0
    outside: int = 0
    uneven: int = 0
    strays: int = 0

    def __add__(self, other):
        worst = max(self, other, key=lambda found: found.error)
        return Found(*worst[:2], *(a + b for a, b in zip(self[2:], other[2:], strict=True)))


class Compiled:
    """A function as machine code, over whole arrays."""

    def __init__(self, function, dtype, target=None):
        target = target or simd.target()
        graph = trace(function, ["a"], ["y"])
        self.dtype, self.lanes = np.dtype(dtype), target.lanes(dtype)
        self.call = EPILOGUE(emit_cpu.epilogue(graph, ["a"], self.dtype, target))

    def __call__(self, x):
        padded = np.zeros(-(-x.size // self.lanes) * self.lanes, self.dtype)
        padded[: x.size] = x
        out = np.empty_like(padded)
        self.writer(padded, out)()
        return out[: x.size]

    def writer(self, x, out):
        """A call without arguments that fills `out`; its keyword keeps the table of addresses alive."""
        operand = np.array([out.ctypes.data, self.lanes * out.itemsize], np.int64)
        arguments = x.ctypes.data, operand.ctypes.data, 0, x.size // self.lanes, 0, 1

        def write(_kept=operand):
            self.call(*arguments)

        return write


@cache
def compiled(name, dtype, plain=False):
    """The function of `mathfn` called `name`."""
    return Compiled(FUNCTIONS[name], dtype, PLAIN if plain else None)


def in_double(name, x):
    """The function of float64 values, within 1e-15: a hundred-millionth of a unit of float32."""
    with np.errstate(all="ignore"):
        if name == "sigmoid":
            e = np.exp(-np.abs(x))
            return np.where(x < 0.0, e, 1.0) / (1.0 + e)
        if name == "erf":  # NumPy has none; ours is held against mpmath, in the same table
            return compiled("erf", np.float64)(x)
        return getattr(np, name)(x)


def look(name, x, function):
    """What the function makes of rising float32 values."""
    y = function(x)
    with np.errstate(over="ignore", invalid="ignore"):
        exact = in_double(name, x.astype(np.float64))
        nan = np.isnan(exact)
        exponents = np.clip((exact.astype(np.float32).view(np.uint32) >> 23) & 255, 1, 254)
        units = ((exponents.astype(np.uint64) + 873) << 52).view(np.float64)  # 1023 - 127 - 23
        got, exact = (np.clip(values, -(2.0**128), 2.0**128) for values in (y.astype(np.float64), exact))
        error = np.abs(got - exact) / units
    error[nan] = 0.0
    worst = int(error.argmax())
    low, high = RANGE[name]
    return Found(
        float(error[worst]), float(x[worst]),
        falls=int(np.count_nonzero(y[1:] < y[:-1])),
        outside=int(np.count_nonzero((y < low) | (y > high))),
        strays=int(np.count_nonzero(np.isnan(y) != nan)),
    )  # fmt: skip


def look_at_bits(name, bits, plain=False):
    """Both signs of the float32 values of rising bit patterns below 2^31."""
    function = compiled(name, np.float32, plain)
    x = bits.astype(np.uint32).view(np.float32)
    if name not in ODD:
        return look(name, x, function) + look(name, -x[::-1], function)
    changed = function(x).view(np.uint32) ^ function(-x).view(np.uint32)
    uneven = int(np.count_nonzero((changed != 1 << 31) & ~np.isnan(x)))
    strays = int(np.count_nonzero(np.isnan(function(-x)) != np.isnan(x)))
    return look(name, x, function) + Found(uneven=uneven, strays=strays)


def all_floats(name, part, plain=False):
    """One of `TASKS` parts of the float32 values."""
    found = Found()
    step = (1 << 31) // TASKS
    for start in range(part * step, (part + 1) * step, CHUNK):
        found += look_at_bits(name, np.arange(start, min(start + CHUNK + 1, 1 << 31)), plain)
    return found


def doubles(name, count, seed):
    """Random float64 values: half where the function bends, a quarter around 0, a quarter of all sizes."""
    rng = np.random.default_rng(seed)
    low, high = CURVED[name]
    parts = [rng.uniform(low, high, count - count // 4 * 2), rng.uniform(max(low, -2.0), 2.0, count // 4)]
    exponents = rng.uniform(-1074.0, math.log2(high), count // 4)
    parts.append(rng.choice([-1.0, 1.0], count // 4) * np.exp2(exponents))
    return np.clip(np.concatenate(parts), np.nextafter(low, 0.0), high)


def look_at_doubles(name, count, seed, plain=False):
    """Against mpmath in 40 digits."""
    x = doubles(name, count, seed)
    y = compiled(name, np.float64, plain)(x)
    with mpmath.workdps(40):
        exact = [MP[name](mpmath.mpf(value)) for value in x.tolist()]
        units = np.spacing(np.abs(np.array(exact, float))).tolist()
        error = [float(abs(e - got) / u) for e, got, u in zip(exact, y.tolist(), units, strict=True)]
    worst = int(np.argmax(error))
    low, high = RANGE[name]
    found = Found(error[worst], float(x[worst]), outside=int(np.count_nonzero((y < low) | (y > high))))
    ordered = compiled(name, np.float64, plain)(np.sort(x))
    return found + Found(falls=int(np.count_nonzero(ordered[1:] < ordered[:-1])))


def some_doubles(name, part, plain=False):
    """One of `TASKS` parts of a million."""
    return look_at_doubles(name, 1_000_000 // TASKS, part, plain)


def cost(name, dtype, plain=False):
    """Nanoseconds per element of ours and of NumPy's, the best of many calls on 16384 values in the cache."""
    x = np.random.default_rng(0).uniform(-0.9 if name == "log1p" else -6.0, 6.0, 1 << 14).astype(dtype)
    out = np.empty_like(x)
    calls = [compiled(name, dtype, plain).writer(x, out)]
    if name == "sigmoid":
        calls.append(lambda: 1.0 / (1.0 + np.exp(-x)))
    elif name != "erf":
        calls.append(partial(getattr(np, name), x, out))
    best = [math.inf] * len(calls)
    for _ in range(300):
        for k, call in enumerate(calls):
            started = time.perf_counter()
            call()
            best[k] = min(best[k], time.perf_counter() - started)
    return [seconds / x.size * 1e9 for seconds in best]


def readme_table(rows):
    """The README's table of `rows`, (name, dtype, largest error, nanoseconds of ours and of NumPy's)."""
    title = "| function | dtype | largest error, ulp | ns per element | NumPy's ns |"
    lines = [title, "|---|---|--:|--:|--:|"]
    for name, dtype, error, ours, *theirs in rows:
        # Rounded up: the figure is a bound.
        digits = [f"{math.ceil(error * 100) / 100:.2f}", f"{ours:.2f}", *(f"{cost:.2f}" for cost in theirs)]
        lines.append(f"| `{name}` | {dtype} | {' | '.join([*digits, '—'][:3])} |")
    return "\n".join(lines)


def write_table(path, rows):
    """Replace what stands between the marks in the file at `path`."""
    before, rest = path.read_text(encoding="utf-8").split(MARKS[0])
    after = rest.split(MARKS[1])[1]
    text = f"{before}{MARKS[0]}\n{readme_table(rows)}\n{MARKS[1]}{after}"
    path.write_text(text, encoding="utf-8")


def main():
    options = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    options.add_argument("--plain", action="store_true", help="128-bit vectors without fused multiply-add")
    plain = options.parse_args().plain
    print("name     dtype     max ulp  at              falls  outside  uneven  NaN  ns  NumPy's ns")
    good, rows = True, []
    for dtype, examine in (("float32", all_floats), ("float64", some_doubles)):
        for name in NAMES:
            with ProcessPoolExecutor(os.cpu_count()) as pool:
                parts = pool.map(examine, [name] * TASKS, range(TASKS), [plain] * TASKS)
                found = reduce(Found.__add__, parts)
            ours, *theirs = cost(name, np.dtype(dtype), plain)
            rows.append((name, dtype, found.error, ours, *theirs))
            counts = f"{found.falls:5}  {found.outside:7}  {found.uneven:6}  {found.strays:3}"
            costs = f"{ours:.2f}  {theirs[0] if theirs else math.nan:.2f}"
            worst = f"{found.error:7.3f}  {found.at:<15.9g}"
            print(f"{name:8} {dtype}  {worst} {counts}  {costs}", flush=True)
            good &= found.error <= BOUND[dtype][name] and not any(found[2:])
    if good and not plain:
        write_table(README, rows)
    return 0 if good else 1


if __name__ == "__main__":
    raise SystemExit(main())
