"""The suites that compare numbarnn with itself, and cold starts."""

from statistics import median
from typing import NamedTuple

from .records import NAMES, points
from .text import geometric_mean, short, strokes, table


class Suite(NamedTuple):
    """How a suite is told whose rows have multiples of a time."""

    text: str
    base: str  # the name of the time that is shown in milliseconds
    what: str  # the name of the multiples


SUITES = {
    "described": Suite(
        """\
## Masks, resets, reversal, layouts

The time of a batch with as many valid steps, as a multiple of the dense batch's: a mask with gaps anywhere
in every row, padding on the left, a reset before one step in twenty, `go_backwards`, `time_major`. Masked
batches have more output rows, which hold the output before them; what writing so many rows takes is
subtracted.
""",
        "dense",
        "cost",
    ),
    "directions": Suite(
        """\
## Two directions

The time of two layers in turn, the second's outputs turned round and both joined, as a multiple of
`Bidirectional`'s, which runs them side by side and writes each where it belongs.
""",
        "concat",
        "ratio",
    ),
    "cells": Suite(
        """\
## Users' cells

Cells written with `numbarnn.cell`, against the built-in cell with about as many sums, in as many phases:
*products*, how many more floating-point operations their products take (0.67: a third less); *time*, how
much more time. A user's LSTM is the built-in one, graph for graph.
""",
        "own",
        "against",
    ),
    "weights": Suite(
        """\
## Matrices in 16 bits

How many times as fast as float32's a call is with `weights_dtype="float16"` and `"bfloat16"`; and by how many
thousandths an output, all of which lie between -1 and 1, differs from float32's at most (*error*).
""",
        "float32",
        "found",
    ),
    "denormal": Suite(
        """\
## States that decay

The time of a run whose states decay into denormal numbers, as a multiple of the same run's with ordinary
inputs, for each library.
""",
        "numbarnn",
        "cost",
    ),
}

COLD = """\
## Cold start

In fresh processes: what `import numbarnn` takes beyond `import numba`, and the first calls of a layer of
128 units on a batch of 32 rows and 50 steps. A cold cache is an empty directory. *Weights*: drawing them
before the call, in NumPy.
"""


def section(runs, name):
    """The part of the report on a suite, or nothing where no run has it."""
    found = points(runs, name)
    if not found:
        return []
    if name == "cold":
        return [COLD, cold(found)]
    suite = SUITES[name]
    return [suite.text, multiples(found, suite)]


def multiples(found, suite):
    """The milliseconds of the base, and the multiples, with their geometric means."""
    kinds, lines = list(found[0][0][suite.what]), []
    for rows in found:
        cell, *sizes = rows[0]["point"].values()
        lines.append([cell.upper(), *map(str, sizes)])
        lines[-1].append(short([1e3 * row["median"][suite.base] for row in rows]))
        lines[-1] += [strokes([row[suite.what][kind] for row in rows], "{:.2f}") for kind in kinds]
    means = [
        strokes(
            [geometric_mean([row[suite.what][kind] for row in rows]) for rows in zip(*found, strict=True)],
            "{:.2f}",
        )
        for kind in kinds
    ]
    lines.append(["geometric mean", "", "", "", "", "", *means])
    heads = (NAMES.get(kind, kind) for kind in kinds)
    return table(["cell", "B", "T", "I = H", "threads", f"{suite.base}: ms", *heads], lines)


def cold(found):
    """Imports and first calls: the median over the processes, and the shortest."""
    lines = []
    for rows in found:
        functions = [row["functions"] for row in rows if "functions" in row]
        lines.append([
            rows[0]["what"],
            strokes([row["stats"]["median"] for row in rows], "{:.3f}"),
            strokes([row["stats"]["min"] for row in rows], "{:.3f}"),
            strokes([median(row["weights"]) for row in rows if row.get("weights")], "{:.3f}"),
            " / ".join(dict.fromkeys(f"{len(names)}: {', '.join(names)}" for names in functions)),
        ])  # fmt: skip
    return table(["", "median s", "shortest s", "weights s", "functions compiled or loaded"], lines)
