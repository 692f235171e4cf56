"""A self-test for the machine it runs on: are the results right, to the bit what is promised, and kept?

Each part looks at one promise and returns what it found in words: notes, and faults, of which there should be
none. The parts use nothing of the tests, only what is installed.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numba
import numpy as np

from . import dispatch, exact, terminal
from .fused import FusedCell
from .kernels import jit, mathfn, plan, reference, store
from .kernels.cells import BUILT_IN
from .kernels.declaration import cell, phase
from .ragged import Ragged
from .rnn import RNN

DTYPES = (np.float32, np.float64)
ULP_BOUND = 2.0  # what numbarnn.math promises
SAMPLES = 1_800  # of each function and dtype
SHOWN = 5  # faults of a part that are printed; the JSON has all


class Part(NamedTuple):
    """What a part found."""

    notes: list
    faults: list


def _layer(definition, dtype, I, H, **options):  # noqa: E741
    """A layer with the same random weights in either dtype: float32 values that keep errors from growing."""
    sizes = dict.fromkeys(definition.sizes, H // 2 + 1)
    layer = RNN(FusedCell(definition, H, dtype=np.dtype(dtype).name, **sizes), **options)
    rng, limit = np.random.default_rng(H), (I + H + 1) ** -0.5
    layer.set_weights(
        [
            rng.uniform(-limit, limit, [I if size is None else size for size in shape]).astype(np.float32)
            for shape in layer.cell.shapes(I).values()
        ]
    )
    return layer


def _differences(what, results, expected):
    """A fault for each result that has not the bits expected."""
    faults = []
    for k, (got, wanted) in enumerate(zip(results, expected, strict=True)):
        if got.shape != wanted.shape or got.tobytes() != wanted.tobytes():
            count = int((got != wanted).sum()) if got.shape == wanted.shape else got.size
            faults.append(f"{what}: {count} of {got.size} values of result {k} differ")
    return faults


def twins():
    """Kernels against the same sums in NumPy, in the same order.

    Both round, at nearly the same places, and errors of rounding are proportional to the dtype's eps. So
    NumPy's error in float32, measured by NumPy in float64, tells how many eps one side may be off. The
    kernels are granted twice that, since theirs is another draw of the same errors, and 4 eps of the largest
    result, since functions differ by some units in the last place; in float64 twice as many eps, since there
    the other side rounds too.
    """
    faults, worst, count = [], 0.0, 0
    for definition in BUILT_IN:
        for sizes in ((5, 7, 3, 18), (13, 4, 5, 70)):
            for name, batch in _batches(*sizes[:2]).items():
                count += 1
                for dtype, ratio in _twin(definition, sizes, **batch):
                    worst = max(worst, ratio)
                    if not ratio <= 1.0:
                        faults.append(
                            f"{definition.name}, {dtype}, (B, T, I, H) = {sizes}, {name}: an error of "
                            f"{ratio:.3g} times what rounding explains"
                        )
    return Part([f"{count} batches, largest error {worst:.2f} of what rounding explains"], faults)


def _batches(B, T):
    rng = np.random.default_rng(T)
    lengths = rng.integers(0, T + 1, B)
    lengths[:2] = 0, T
    mask, resets = rng.random((2, B, T)) < 0.6
    return {
        "dense": {},
        "lengths": {"lengths": lengths},
        "ragged": {"offsets": np.concatenate([[0], np.cumsum(lengths)])},
        "mask": {"mask": mask},
        "mask and resets": {"mask": mask, "resets": resets},
        "lengths, reversed": {"lengths": lengths, "reverse": True},
        "mask and resets, reversed": {"mask": mask, "resets": resets, "reverse": True},
    }


def _twin(definition, sizes, reverse=False, **batch):
    """Per dtype, the largest error of the kernels, as a multiple of what they are allowed."""
    B, T, I, H = sizes  # noqa: E741
    rng = np.random.default_rng(I)
    steps = plan.build(B, 0 if "offsets" in batch else T, reverse=reverse, **batch)
    offsets = batch.pop("offsets", None)
    rows = B * T if offsets is None else offsets[-1]
    x = rng.standard_normal((rows, I)).astype(np.float32)
    options = {"return_sequences": True, "return_state": True, "go_backwards": reverse}
    layers = [_layer(definition, dtype, I, H, **options) for dtype in DTYPES]
    fields = layers[0].cell.fields
    initial = [rng.uniform(-1, 1, (B, field.units)).astype(np.float32) for field in fields]
    plain, precise = (_in_numpy(layer, steps, x, initial) for layer in layers)
    for dtype, layer in zip(DTYPES, layers, strict=True):
        values = x.astype(dtype)
        given = Ragged(values, offsets) if offsets is not None else values.reshape(B, T, I)
        y, *states = layer(given, [state.astype(dtype) for state in initial], **batch)
        results = [y.values if offsets is not None else y.reshape(rows, layer.units), *states]
        eps, sides = np.finfo(dtype).eps, 1 if dtype == np.float32 else 2
        ratio = 0.0
        for got, rough, truth in zip(results, plain, precise, strict=True):
            units = np.abs(rough - truth).max(initial=0) / np.finfo(np.float32).eps
            limit = sides * eps * (2 * units + 4 * np.abs(truth).max(initial=0))
            error = np.where(np.isfinite(got), np.abs(got - truth), np.inf).max(initial=0)
            ratio = max(ratio, float(error / limit) if error > 0 else 0.0)
        yield np.dtype(dtype).name, ratio


def _in_numpy(layer, steps, x, initial):
    """The reference's outputs and final states, in the layer's dtype."""
    y = np.full((len(x), layer.units), np.nan, layer.dtype)
    final = [np.full(state.shape, np.nan, layer.dtype) for state in initial]
    given = [state.astype(layer.dtype) for state in initial]
    reference.run(layer.cell.program, steps, x.astype(layer.dtype), y, given, final)
    return [y, *final]


def bits():
    """A row's bits depend on that row alone: not on the batch, padding, cut, schedule or threads.

    The sizes are such that a call is worth several threads, which divide many rows, or the units of one.
    """
    faults, schedules = [], set()
    for definition in BUILT_IN:
        for dtype in DTYPES:
            layer = _layer(definition, dtype, 20, 130, return_sequences=True, return_state=True)
            rng = np.random.default_rng(0)
            for B, T in ((64, 40), (1, 1500)):
                x = rng.standard_normal((B, T, 20)).astype(dtype)
                where = f"{definition.name}, {np.dtype(dtype).name}, (B, T) = {(B, T)}"
                schedules |= {layer.explain(x, n_threads=threads).schedule for threads in (1, 2, 3)}
                faults += [f"{where}: {fault}" for fault in _bits_of(layer, x)]
    return Part([f"schedules compared: {', '.join(sorted(schedules))}"], faults)


def _bits_of(layer, x):
    B, T, _ = x.shape
    whole, faults = layer(x), []
    for threads in (1, 2, 3):
        faults += _differences(f"n_threads={threads} and the default", layer(x, n_threads=threads), whole)
    cut = T // 3
    first, *middle = layer(x[:, :cut])
    second, *final = layer(x[:, cut:], middle)
    faults += _differences("a sequence in two calls", [np.concatenate([first, second], 1), *final], whole)
    for row in sorted({0, B // 2, B - 1}):
        alone = layer(x[row : row + 1])
        expected = [result[row : row + 1] for result in whole]
        faults += _differences(f"row {row} alone and in the batch", alone, expected)
    lengths = np.random.default_rng(B).integers(0, T + 1, B)
    padded, *ends = layer(x, lengths=lengths)
    valid = np.arange(T) < lengths[:, np.newaxis]
    ragged, *ragged_ends = layer(Ragged(x[valid], np.concatenate([[0], np.cumsum(lengths)])))
    faults += _differences("ragged and padded", [ragged.values, *ragged_ends], [padded[valid], *ends])
    return faults + _differences("padded and dense", [padded[valid]], [whole[0][valid]])


def math():
    """exp, expm1, log1p, sigmoid, tanh and erf in compiled code, against 25 digits."""
    faults, worst = [], 0.0
    for name in exact.FUNCTIONS:
        for dtype in DTYPES:
            where = f"{name}, {np.dtype(dtype).name}"
            arguments, expected = exact.special(name, dtype)
            got = _compiled(name, arguments)
            for argument, result, truth in zip(arguments, got, expected, strict=True):
                if result.tobytes() != truth.tobytes() and not (np.isnan(result) and np.isnan(truth)):
                    faults.append(f"{where}: {result} for {argument}, expected {truth}")
            x = exact.samples(name, dtype, SAMPLES)
            error, at = exact.error(name, x, _compiled(name, x))
            worst = max(worst, error)
            if not error <= ULP_BOUND:
                faults.append(f"{where}: {error:.3g} units in the last place off at {at!r}")
    count = len(exact.FUNCTIONS) * len(DTYPES) * SAMPLES
    return Part([f"{count:,} values, largest error {worst:.2f} units in the last place"], faults)


def _compiled(name, x):
    """The function of each value of `x`: one step of a cell that only applies it to its state."""
    function = mathfn.FUNCTIONS[name]
    definition = cell(f"selfcheck {name}", states="h", phases=[phase("", lambda h: function(h))])
    applied = FusedCell(definition, x.size, False, "zeros", "zeros", dtype=x.dtype.name)
    y, _ = applied(np.zeros((1, 0), x.dtype), x[np.newaxis])
    return y[0]


def threads():
    """Several Python threads call one layer at once, and get what one thread gets."""
    faults = []
    for definition in BUILT_IN:
        layer = _layer(definition, np.float32, 20, 66, return_state=True)
        rng = np.random.default_rng(1)
        batches = [rng.standard_normal((B, 12, 20), dtype=np.float32) for B in (1, 40, 7, 100) * 3]
        expected = [layer(x) for x in batches]
        with ThreadPoolExecutor(4) as pool:
            for k, results in enumerate(pool.map(layer, batches)):
                what = f"{definition.name}, call {k} beside others"
                faults += _differences(what, results, expected[k])
    if jit.DISABLED:
        return Part(["in NumPy"], faults)
    if not dispatch.may_launch():
        return Part(["parallel regions cannot be started here: every call runs on one thread"], faults)
    return Part([f"{numba.get_num_threads()} threads by {numba.threading_layer()}"], faults)


def cache():
    """Compiled functions can be kept, and what is kept can be read."""
    if store.root() is None:
        return Part(["off: NUMBARNN_CACHE is 0, or there is no home directory"], [])
    store.examine()
    store.probe()
    info = store.cache_info()
    notes = [f"{info['files']} functions, {info['bytes']:,} bytes in {info['directory']}"]
    return Part(notes, info["failures"])


PARTS = {"twins": twins, "bits": bits, "math": math, "threads": threads, "cache": cache}
COMPILED = ("twins", "bits", "math")  # say nothing where compiling is switched off


def run():
    """Look at every part.

    Returns
    -------
    dict
        `ok`, `seconds`, and `parts` {name: {`status`: "ok", "failed" or "not checked", `notes`, `faults`,
        `seconds`}}.
    """
    started, parts = time.perf_counter(), {}
    for [name] in terminal.track([[name] for name in PARTS], "check"):
        begun = time.perf_counter()
        if jit.DISABLED and name in COMPILED:
            status, found = "not checked", Part(["NUMBA_DISABLE_JIT is set: there are no kernels"], [])
        else:
            found = PARTS[name]()
            status = "failed" if found.faults else "ok"
        parts[name] = {"status": status, **found._asdict(), "seconds": time.perf_counter() - begun}
    ok = all(part["status"] != "failed" for part in parts.values())
    return {"ok": ok, "seconds": time.perf_counter() - started, "parts": parts}


def show(report):
    """Print a line for each part of `run`'s report, its faults below it, and what to do about them."""
    for name, part in report["parts"].items():
        style = {"ok": "green", "failed": "bold red"}.get(part["status"])
        terminal.write(f"{name:<8} {part['status']:<12} {'; '.join(part['notes'])}", style)
        for fault in part["faults"][:SHOWN]:
            terminal.write(f"    {fault}")
        if len(part["faults"]) > SHOWN:
            terminal.write(f"    and {len(part['faults']) - SHOWN} more")
    if report["ok"]:
        terminal.write(f"Nothing wrong was found in {report['seconds']:.1f} s.")
        return
    failed = [name for name, part in report["parts"].items() if part["status"] == "failed"]
    if "cache" in failed:
        terminal.write(
            "The cache costs time, never a result. NUMBARNN_CACHE_DIR names another directory; "
            "`python -m numbarnn cache clear` empties it."
        )
    if failed != ["cache"]:
        terminal.write(
            "Results may be wrong on this machine. Please report the lines above together with what "
            "`python -m numbarnn info` prints."
        )
