"""What the built-in cells need, compiled ahead: for images, installers, and first calls that must be fast."""

import time

from . import terminal, warmup
from .fused import FusedCell
from .kernels import jit, store
from .kernels.cells import BUILT_IN
from .rnn import RNN

CELLS = {cell.name: cell for cell in BUILT_IN}
DTYPES = ("float32", "float64")
DEFAULT_CELLS, DEFAULT_DTYPES = ("lstm", "gru"), ("float32",)


def run(cells, dtypes):
    """Compile or load what layers of these cells need, whatever their sizes, with the default activations.

    Parameters
    ----------
    cells : sequence of str
        Names in `CELLS`.
    dtypes : sequence of str
        Of `DTYPES`.

    Returns
    -------
    dict
        `functions`, a list of {`cell`, `dtype`, `function`, `seconds`, `how`: "compiled" or "loaded"}, each
        with the first cell that needs it; `seconds` of it all; `directory`; `not_kept`, a list of reasons
        why the next process will not find everything.
    """
    started, functions, failed = time.perf_counter(), [], len(store.failures)
    pairs = [[(cell, dtype)] for dtype in dtypes for cell in cells]
    for [(cell, dtype)] in terminal.track(pairs, "warmup"):
        known = len(jit.compilations)
        layer = RNN(FusedCell(CELLS[cell], 1, dtype=dtype, **dict.fromkeys(CELLS[cell].sizes, 1)))
        layer.build(1)
        warmup(layer)
        functions += [
            {"cell": cell, "dtype": dtype, "function": function, "seconds": seconds, "how": how}
            for function, seconds, how in jit.compilations[known:]
        ]
    return {
        "functions": functions,
        "seconds": time.perf_counter() - started,
        "directory": store.cache_info()["directory"],
        "not_kept": _reasons(store.failures[failed:]),
    }


def _reasons(failures):
    if jit.DISABLED:
        return ["NUMBA_DISABLE_JIT is set: nothing is compiled"]
    if store.root() is None:
        return ["the cache is off: NUMBARNN_CACHE is 0, or there is no home directory"]
    return [failure for failure in failures if failure.startswith("save")]


def show(report):
    """Print a line for each function of `run`'s report, and a total."""
    for one in report["functions"]:
        which = f"{one['cell']} {one['dtype']}"
        terminal.write(f"{which:<25} {one['function']:<10} {one['seconds']:>7.3f} s  {one['how']}")
    compiled = sum(one["how"] == "compiled" for one in report["functions"])
    loaded = len(report["functions"]) - compiled
    terminal.write(f"{compiled} compiled, {loaded} loaded in {report['seconds']:.1f} s", "bold")
    if not report["not_kept"]:
        terminal.write(f"kept in {report['directory']}")
    for reason in report["not_kept"]:
        terminal.write(f"not kept: {reason}", "red")
