"""The suites that compare libraries: means, every point, and who was left out and why."""

from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from .records import NAMES, points, ratio, rivals, thread_counts, to_the_fastest
from .text import mean, present, ratios, short, strokes, table


def _cell(row):
    return row["problem"]["cell"].upper()


def _size(name):
    return lambda row: str(row["problem"][name])


def _threads(row):
    return str(row["threads"])


def _sizes(row):
    problem = row["problem"]
    return str(problem["H"]) if problem["I"] == problem["H"] else f"{problem['I']}, {problem['H']}"


def _shape(row):
    """What a layer of a workload is beside its sizes."""
    problem = row["problem"]
    many = [f"{problem[name]} {name}" for name in ("layers", "directions") if problem[name] > 1]
    shares = [f"{problem['padded']:.0%} padding"] * bool(problem["padded"])
    shares += [f"{problem['resets']:.0%} resets"] * bool(problem["resets"])
    other = [problem["dtype"]] * (problem["dtype"] != "float32") + ["a step"] * problem["each_step"]
    return ", ".join([_cell(row), *many, *shares, *other])


class Suite(NamedTuple):
    """How a suite is told."""

    title: str
    text: str
    columns: dict[str, Callable]  # of a point, by their heads
    words: int = 1  # how many of them are words
    cost: str = ""  # the head of the column for the rows' `cost`, if they have one


SUITES = {
    "dense": Suite(
        "Dense batches",
        """\
numbarnn's call is `layer(x)` with `return_sequences=True`, PyTorch's `module(x)` in inference mode, ONNX
Runtime's `session.run` on a model of one operator.
""",
        {"cell": _cell, "I = H": _sizes, "B": _size("B"), "T": _size("T"), "threads": _threads},
    ),
    "step": Suite(
        "One step a call",
        """\
One row, the state carried on: `stepper(x_t, out=y)`, ONNX Runtime's `session.run` whose states are fed back,
PyTorch's module on a sequence of one step, its cell, Keras' layer with its state.
""",
        {"cell": _cell, "I = H": _sizes, "threads": _threads},
    ),
    "ragged": Suite(
        "Sequences of different lengths",
        """\
32 rows, the longest of 100 steps. PyTorch takes the whole padded batch, or packs it first, sorting
included, as a user must; ONNX Runtime is told the lengths. *Cost of a step*: the time as a multiple of the
sum, over the steps, of what a dense batch of as many rows as are active takes for a step, from dense
batches timed in the same rounds.
""",
        {
            "cell": _cell, "I = H": _sizes, "lengths": _size("padding"),
            "padding": lambda row: f"{row['padding']:.0%}", "threads": _threads,
        },
        cost="cost of a step",
    ),
    "workloads": Suite(
        "Layers that people run",
        "Sizes of published models and of reports on speed; the longest are shortened along the time axis.\n",
        {
            "workload": lambda row: f"{row['workload']} {row['title']}",
            "variant": lambda row: row["variant"], "layer": _shape, "B": _size("B"), "T": _size("T"),
            "I, H": _sizes, "threads": _threads,
        },
        words=3,
    ),
    "random": Suite(
        "Sizes that nobody chose",
        "Drawn once and for all, log-uniform, so that few are a multiple of a vector or of a tile.\n",
        {
            "cell": _cell, "B": _size("B"), "T": _size("T"), "I": _size("I"), "H": _size("H"),
            "threads": _threads,
        },
    ),
}  # fmt: skip


def section(runs, name):
    """The part of the report on a suite, or nothing where no run has it."""
    found, suite = points(runs, name), SUITES[name]
    if not found:
        return []
    parts = [f"## {suite.title}\n\n{suite.text}", means(found)]
    if name == "step":
        parts.append(latencies(found))
    return [*parts, grid(found, suite), *left_out(found)]


def means(found):
    """Geometric means of the ratios and of the share of the limit, by cell and number of threads."""
    names, cells = rivals(found), sorted({rows[0]["problem"]["cell"] for rows in found}, reverse=True)
    labels = [(cell.upper(), {cell}) for cell in cells] + [("all", set(cells))] * (len(cells) > 1)
    lines = []
    for threads in thread_counts(found):
        for label, chosen in labels:
            some = [rows for rows in found if rows[0]["threads"] == threads]
            some = [rows for rows in some if rows[0]["problem"]["cell"] in chosen]
            if some:
                lines.append(
                    [label, str(threads), str(len(some)), *_mean(list(zip(*some, strict=True)), names)]
                )
    title = [
        "cell", "threads", "points", *(NAMES[name] for name in names),
        "the fastest of them", "lowest", "points where slower", "share of the limit",
    ]  # fmt: skip
    return "Geometric means of the ratios:\n\n" + table(title, lines)


def _mean(by_run, names):
    """Figures of a group of points: a list of rows for every run."""
    figures = [ratios([mean([ratio(row, name) for row in rows]) for rows in by_run]) for name in names]
    fastest = [present([to_the_fastest(row) for row in rows]) for rows in by_run]
    figures += [ratios(map(mean, fastest)), ratios([min(run, default=None) for run in fastest])]
    figures.append(strokes([sum(one < 1 for one in run) for run in fastest]))
    return [*figures, strokes([mean([share(row) for row in rows]) for rows in by_run], "{:.0%}")]


def share(row):
    """How near numbarnn came to the limit of this problem on this machine, or None."""
    return row["limit"]["share"] if row.get("limit") else None


def grid(found, suite):
    """Every point of a suite."""
    names, several = rivals(found), max(thread_counts(found)) > 1
    title = [*suite.columns, "ms", "GFLOP/s", "of the limit", *(NAMES[name] for name in names)]
    title += ["gain", "FMA gain"] * several + [suite.cost] * bool(suite.cost)
    lines = []
    for rows in found:
        line = [tell(rows[0]) for tell in suite.columns.values()]
        line.append(short([1e3 * row["median"]["numbarnn"] for row in rows]))
        line.append(short([row["gflops"]["numbarnn"] for row in rows]))
        line.append(strokes([share(row) for row in rows], "{:.0%}"))
        line += [ratios([ratio(row, name) for row in rows]) for name in names]
        if several:
            line += [
                strokes([row.get("gain", {}).get(who) for row in rows], "{:.2f}")
                for who in ("numbarnn", "fma")
            ]
        if suite.cost:
            line.append(strokes([row["cost"] for row in rows], "{:.2f}"))
        lines.append(line)
    return "Every point:\n\n" + table(title, lines, suite.words)


def latencies(found):
    """Of a stream of steps: what calls took, in microseconds."""
    shares = list(
        dict.fromkeys(share for rows in found for one in rows[0]["latency"].values() for share in one)
    )
    shares.remove("calls")
    lines = []
    for rows in found:
        for name in (name for name in NAMES if name in rows[0]["latency"]):
            told = [row["latency"].get(name) for row in rows]
            line = [_cell(rows[0]), _sizes(rows[0]), _threads(rows[0]), NAMES[name]]
            line.append(strokes([one and one["calls"] for one in told], "{:,}"))
            lines.append(line + [short([one and 1e6 * one[share] for one in told]) for share in shares])
    title = ["cell", "I = H", "threads", "library", "calls", *(f"{share}: µs" for share in shares)]
    return "What the calls of a stream took, one right after the other:\n\n" + table(title, lines)


def left_out(found):
    """Libraries that were not timed at some points, with their reasons."""
    reasons = Counter(
        (name, reason.removeprefix("Unsupported: ").partition("\n")[0])
        for rows in found
        for name, reason in {pair for row in rows for pair in row["refused"].items()}
    )
    lines = [
        [NAMES.get(name, name), reason.replace("|", "\\|"), str(count)]
        for (name, reason), count in sorted(reasons.items())
    ]
    return ["Not timed:\n\n" + table(["library", "because", "points"], lines, words=2)] if lines else []
