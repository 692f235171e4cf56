"""What numbarnn is to reach, and whether the runs show it."""

from collections.abc import Callable
from typing import NamedTuple

from .records import to_the_fastest
from .text import geometric_mean, present, strokes, table


class Goal(NamedTuple):
    """A figure of a run and what it is to be; reached where every run reaches it."""

    about: str
    figure: Callable  # of the rows of one run: a list of numbers, or an empty one
    pick: Callable  # the one that counts
    least: float | None = None
    most: float | None = None
    form: str = "{:.2f}"

    def found(self, runs):
        """The figure of every run; None where there is nothing to tell it from."""
        figures = (self.figure(run["rows"]) for run in runs)
        return [self.pick(some) if some else None for some in figures]

    def holds(self, value):
        return value >= self.least if self.least is not None else value <= self.most

    def wanted(self):
        words = "at least" if self.least is not None else "at most"
        return f"{words} {self.form.format(self.least if self.least is not None else self.most)}"


def of(rows, suite, **fields):
    """The rows of a suite whose problem (or point) has these values, or one of a set of them."""
    chosen = [row for row in rows if row.get("suite") == suite]
    for name, wanted in fields.items():
        allowed = wanted if isinstance(wanted, set) else {wanted}
        chosen = [row for row in chosen if (row.get("problem") or row["point"])[name] in allowed]
    return chosen


def _ratios(name, suite, **fields):
    return lambda rows: present(row["ratio"].get(name) for row in of(rows, suite, **fields))


def _steps(name, cell):
    return _ratios(name, "step", H=128, cell=cell)


def _faster(rows):
    return present(to_the_fastest(row, ("torch", "onnxruntime")) for row in of(rows, "dense"))


def _shares(chosen):
    return [row["limit"]["share"] for row in chosen if row.get("limit")]


def _compute_bound(rows):
    chosen = of(rows, "dense")
    return _shares([row for row in chosen if row["problem"]["B"] >= 32 and row["problem"]["H"] >= 128])


def _one_row(rows):
    """Large layers are to reach it by reading alone."""
    chosen = of(rows, "dense", B=1)
    large = [row for row in chosen if row["problem"]["H"] >= 512]
    return _shares([row for row in chosen if row not in large]) + [
        row["limit"]["read"] / row["median"]["numbarnn"] for row in large
    ]


def _small_or_padded(rows):
    chosen = of(rows, "ragged")
    chosen = [row for row in chosen if row["problem"]["H"] <= 128 or row["problem"]["padded"] >= 0.5]
    return present(row["ratio"].get(PACKED) for row in chosen)


def _costs(suite, *kinds):
    """The multiples of those kinds; of all of a suite whose rows have one cost each."""

    def figure(rows):
        costs = [row["cost"] for row in of(rows, suite)]
        return [cost[kind] for cost in costs for kind in kinds] if kinds else costs

    return figure


def _gains(rows):
    """numbarnn's gain over the machine's own: that of multiplying, for one row that of reading."""
    chosen = [row for row in of(rows, "dense") if row["threads"] > 1 and "gain" in row]
    chosen = [row for row in chosen if row["problem"]["B"] >= 16 or row["problem"]["H"] >= 256]
    machine = ["fma" if row["problem"]["B"] > 1 else "read" for row in chosen]
    return [row["gain"]["numbarnn"] / row["gain"][loop] for row, loop in zip(chosen, machine, strict=True)]


def _step_microseconds(rows):
    return [1e6 * row["median"]["numbarnn"] for row in of(rows, "step", H=128, cell="lstm")]


def _users_lstm(rows):
    return [row["against"]["time"] for row in of(rows, "cells", cell="lstm (lstm)")]


def _seconds(what):
    return lambda rows: [row["stats"]["median"] for row in rows if row.get("what") == what]


PACKED = "torch_packed"
SHARE, TIMES, SECONDS = "{:.0%}", "{:.2f}x", "{:.3f} s"

GOALS = (
    Goal("dense batches, every point: the faster of PyTorch and ONNX Runtime", _faster, min, 1.0, form=TIMES),
    Goal("dense batches, on average: the faster of the two", _faster, geometric_mean, 1.4, form=TIMES),
    Goal("dense batches, on average: PyTorch", _ratios("torch", "dense"), geometric_mean, 2.5, form=TIMES),
    Goal(
        "dense batches of 32 rows, 128 units or more, every point: share of the limit",
        _compute_bound, min, 0.88, form=SHARE,
    ),
    Goal(
        "dense batches of one row, every point: share of the limit; of reading alone from 512 units on",
        _one_row, min, 0.8, form=SHARE,
    ),
    Goal("one step, LSTM of 128 units: µs", _step_microseconds, max, most=6.0, form="{:.1f}"),
    Goal("one step, LSTM of 128 units: ONNX Runtime", _steps("onnxruntime", "lstm"), min, 2.0, form=TIMES),
    Goal("one step, LSTM of 128 units: PyTorch", _steps("torch", "lstm"), min, 12.0, form=TIMES),
    Goal("one step, GRU of 128 units: ONNX Runtime", _steps("onnxruntime", "gru"), min, 2.0, form=TIMES),
    Goal("one step, GRU of 128 units: PyTorch", _steps("torch", "gru"), min, 8.0, form=TIMES),
    Goal("different lengths, every point: a step over a dense batch's", _costs("ragged"), max, most=1.1),
    Goal("different lengths, every point: PyTorch, packed", _ratios(PACKED, "ragged"), min, 1.0, form=TIMES),
    Goal(
        "different lengths, up to 128 units or half of it padding, on average: PyTorch, packed",
        _small_or_padded, geometric_mean, 3.0, form=TIMES,
    ),
    Goal(
        "masks, resets, reversal, time-major, every point: time over as many dense steps'",
        _costs("described", "gaps", "left padding", "resets", "reversed", "time-major"), max, most=1.05,
    ),
    Goal("a user's LSTM, every point: time over the built-in one's", _users_lstm, max, most=1.03),
    Goal("all threads, every point: gain as a share of the machine's own", _gains, min, 0.92, form=SHARE),
    Goal(
        "states that decay into denormal numbers, every point: time over ordinary ones'",
        _costs("denormal", "numbarnn"), max, most=1.2,
    ),
    Goal("`import numbarnn` beyond `import numba`", _seconds("import numbarnn"), max, most=0.1, form=SECONDS),
    Goal("first call, warm cache", _seconds("first call (lstm), warm cache"), max, most=0.3, form=SECONDS),
    Goal("first call, cold cache", _seconds("first call (lstm), cold cache"), max, most=2.0, form=SECONDS),
    Goal("second cell, warm cache", _seconds("second cell (gru), warm cache"), max, most=0.2, form=SECONDS),
)  # fmt: skip

TEXT = """\
## Goals

Where a library is named, the figure is its time over numbarnn's. *Every point* means that the worst one
counts, *on average* the geometric mean; the limit is explained below. A goal is reached if every run
reaches it.
"""


def verdicts(runs):
    """[(goal, the figure of every run, reached)]; not measured, where no run tells it: reached is None."""
    found = [(goal, goal.found(runs)) for goal in GOALS]
    return [
        (goal, values, all(map(goal.holds, present(values))) if present(values) else None)
        for goal, values in found
    ]


def section(runs):
    """Every goal with what was found."""
    words = {True: "reached", False: "**missed**", None: "not measured"}
    lines = [
        [goal.about, goal.wanted(), strokes(values, goal.form), words[reached]]
        for goal, values, reached in verdicts(runs)
    ]
    return [TEXT, table(["goal", "wanted", "found", ""], lines)]
