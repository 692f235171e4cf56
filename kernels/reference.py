"""The loops in plain NumPy, in the dtype given: what the kernels compute, without a compiler.

It adds in the kernels' order (bias, inputs, recurrent products), one product at a time and rounding each; no
library product is called. It runs wherever compiling is switched off, and is the naive loop that error bounds
are measured with.
"""

from functools import partial

import numpy as np


def run(program, plan, x, y, initial, final, extra=()):
    """Follow `plan` with `program` (the arguments of `dispatch.run`): x and the extra inputs are read; y and
    the final states are written.
    """
    x, first = _rows_anywhere(x) if plan.by_element else (x, 0)
    cell, dtype = program.cell, program.dtype
    y[plan.zero_rows] = 0.0
    states = {}
    for name, given, last in zip(cell.states, initial, final, strict=True):
        shape = len(plan.init_row) + 1, program.depths[name]
        rows = np.full(shape, cell.states[name], dtype)  # the last stays constant
        if given is not None:
            taken = np.flatnonzero(plan.init_row >= 0)
            rows[taken] = given[plan.init_row[taken]]
        states[name] = rows[:-1]
        if last is not None:
            for row, origin in plan.copy_rows:
                last[row] = rows[-1] if origin < 0 or given is None else given[origin]
    for step, running in enumerate(plan.active):
        entries = slice(plan.first[step], plan.first[step] + running)
        values = {name: rows[:running] for name, rows in states.items()}
        values |= {name: program.weights.arrays[name] for name in cell.parameters}
        values |= {name: rows[plan.x_row[entries]] for name, rows in zip(cell.extra, extra, strict=True)}
        values["x"] = x[first + plan.x_row[entries]]
        with np.errstate(all="ignore"):
            for p in range(len(cell.phases)):
                run_phase(program, p, values)
        _write(y, plan, entries, values[cell.output])
        following = plan.active[step + 1] if step + 1 < len(plan.active) else 0
        ended = plan.final_row[following:running]
        for name, last in zip(cell.states, final, strict=True):
            states[name][:running] = values[name]
            if last is not None:
                last[ended[ended >= 0]] = values[name][following:][ended >= 0]


def _rows_anywhere(x):
    """A view of three axes as rows, one for each element that a row may begin at, and which its first is."""
    upwards = x[tuple(slice(None, None, -1 if stride < 0 else 1) for stride in x.strides)]
    spread = sum((n - 1) * stride for n, stride in zip(upwards.shape[:2], upwards.strides[:2], strict=True))
    shape = (spread // x.itemsize + 1, x.shape[2])
    rows = np.lib.stride_tricks.as_strided(upwards, shape, (x.itemsize, x.itemsize), writeable=False)
    return rows, (x.__array_interface__["data"][0] - rows.__array_interface__["data"][0]) // x.itemsize


def run_phase(program, p, values):
    """One phase on rows: `values` maps names to arrays (rows, size); the phase's results are added to it."""
    phase, units, weights = program.cell.phases[p], program.phase_units[p], program.weights
    rows = len(values["x"])
    sums = {}
    for a, total in enumerate(phase.sums):
        bias = weights.bias(p, total)
        running = np.tile(np.zeros(units, program.dtype) if bias is None else bias, (rows, 1))
        for source in phase.sources:
            if source in total.sources:
                for k, row in enumerate(weights.block(p, source, a)):
                    running += values[source][:, k : k + 1] * row
        sums[total.name] = running
    options = {name: value for name, value in program.options.items() if name in phase.options}
    arguments = (sums[name] if name in sums else values[name] for name in phase.parameters)
    results = partial(phase.function, **options)(*arguments)
    results = results if isinstance(results, tuple) else (results,)
    for name, result in zip(phase.results, results, strict=True):
        values[name] = np.broadcast_to(np.asarray(result, program.dtype), (rows, units))


def _write(y, plan, entries, output):
    for row, repeat, value in zip(plan.y_row[entries], plan.y_repeat[entries], output, strict=True):
        if row >= 0:
            sign = 1 if repeat > 0 else -1
            for k in range(abs(repeat) + 1):
                y[row + sign * k * plan.y_stride] = value
