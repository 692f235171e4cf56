"""Turn the JSON of runs of `make bench` into bench/RESULTS.md.

    python bench/report.py RUN.json [RUN.json ...] [--output FILE]

Several runs stand beside each other, separated by strokes: what holds, holds in every one of them.
"""

import argparse
import json
from math import exp, log
from pathlib import Path
from statistics import median

NAMES = {"numbarnn": "numbarnn", "torch": "PyTorch", "onnxruntime": "ONNX Runtime"}
PACKAGES = ("numbarnn", "numba", "llvmlite", "numpy", "torch", "onnxruntime")

INTRODUCTION = """\
# Measurements

Made by `make bench`; nothing here is typed by hand. Rivals are timed in turn, call by call (short calls in
bursts of 5 ms), and nobody is called before the threads of the one before him have come to rest. Times are
medians. A ratio is the rival's time over numbarnn's: above 1 numbarnn is faster; where it is **slower**, the
ratio is bold. Every library has the same inputs, weights and number of threads, each array in the layout that
this library takes without copying.
"""

DENSE = """\
## Dense batches

numbarnn's call is `layer(x)` with `return_sequences=True`, PyTorch's `module(x)` in inference mode, ONNX
Runtime's `session.run` on a model of one operator. GFLOP/s count the matrix products only; *of peak* is their
share of what a loop of multiply-adds in registers did in the same rounds (FMA loop). *Gain* is one thread's
time over that of all, for numbarnn and for the FMA loop, again in the same rounds: where the FMA loop gains
little, something else had the cores, and rivals that wait for each other's threads lose most.
"""

DESCRIBED = """\
## Masks, resets, reversal, layouts

The time of a batch with as many valid steps, as a multiple of the dense batch's: a mask with gaps anywhere in
every row, padding on the left, a reset before one step in twenty, `go_backwards`, `time_major`. Masked
batches have more output rows, which hold the output before them; what writing so many rows takes is
subtracted.
"""

DIRECTIONS = """\
## Two directions

The time of two layers in turn, the second's outputs turned round and both joined, as a multiple of
`Bidirectional`'s, which runs them side by side and writes each where it belongs.
"""

CELLS = """\
## Users' cells

Cells written with `numbarnn.cell`, against the built-in cell with about as many sums, in as many phases:
*products*, how many more floating-point operations their products take (0.67: a third less); *time*, how
much more time. A user's LSTM is the built-in one, graph for graph.
"""

COLD = """\
## Cold start

In fresh processes: what `import numbarnn` takes beyond `import numba`, and the first calls of a layer of 128
units on a batch of 32 rows and 50 steps. A cold cache is an empty directory. *Weights*: drawing them before
the call, in NumPy.
"""


def main(arguments=None):
    """Write the report on the runs that the command line names."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("runs", nargs="+", type=Path, metavar="RUN.json")
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("RESULTS.md"))
    options = parser.parse_args(arguments)
    runs = [json.loads(path.read_text(encoding="utf-8")) for path in options.runs]
    if len({tuple(row["fullname"] for row in run["benchmarks"]) for run in runs}) > 1:
        parser.error("the runs hold different benchmarks; expected the same, made with the same ARGS")
    options.output.write_text(render(runs), encoding="utf-8")


def render(runs):
    """The whole report as text."""
    parts = [INTRODUCTION, machine(runs)]
    points = dense_points(runs)
    if points:
        parts += [DENSE, agreement(points), machine_speed(points), summary(points)]
        parts += [f"### {cell.upper()}\n\n{grid(points, cell)}" for cell in cells_of(points)]
    described, directions = (points_of(runs, name) for name in ("described", "directions"))
    if described:
        parts += [DESCRIBED, multiples(described, "dense", "cost")]
    if directions:
        parts += [DIRECTIONS, multiples(directions, "concat", "ratio")]
    cells = points_of(runs, "cells")
    if cells:
        parts += [CELLS, multiples(cells, "own", "against")]
    if any("what" in row["extra_info"] for run in runs for row in run["benchmarks"]):
        parts += [COLD, cold(runs)]
    return "\n".join(parts)


def machine(runs):
    """What the runs were made on and with; facts in which runs differ are all named."""
    facts = {}
    for run in runs:
        info = run["machine_info"]
        ours, cpu = info["numbarnn"], info["cpu"]
        packages = [f"{name} {ours['packages'][name]}" for name in PACKAGES]
        one = {
            "Date": run["datetime"][:16].replace("T", " "),
            "CPU": f"{cpu.get('brand_raw', ours['cpu']['host'])}, {ours['cpu']['cores']} cores",
            "Vectors": f"{ours['cpu']['vector_bits']} bits, for {ours['cpu']['target']}",
            "System": ours["platform"],
            "Threads": f"{ours['threads']['count']}, {ours['threads']['layers_in_order'][0]}",
            "Versions": ", ".join([ours["python"], *packages]),
            "Command": f"`{ours['command']}`",
        }
        for name, fact in one.items():
            facts.setdefault(name, {})[fact] = None
    return table(["", ""], [[name, "; ".join(found)] for name, found in facts.items()])


def dense_points(runs):
    """{(cell, H, I, B, T, dtype): {threads: [extra_info of every run]}}, in the order of the suite."""
    points = {}
    for run in runs:
        for row in run["benchmarks"]:
            extra = row["extra_info"]
            if "problem" in extra:
                key = tuple(extra["problem"][name] for name in ("cell", "H", "I", "B", "T", "dtype"))
                points.setdefault(key, {}).setdefault(extra["threads"], []).append(extra)
    return points


def points_of(runs, name):
    """{point: [extra_info of every run]} of the rows that have a point of that name."""
    points = {}
    for row in (row for run in runs for row in run["benchmarks"] if name in row["extra_info"]):
        points.setdefault(tuple(row["extra_info"][name].values()), []).append(row["extra_info"])
    return points


def multiples(points, base, what):
    """The milliseconds of `base`, and the multiples called `what`, with their geometric means."""
    kinds, rows = list(next(iter(points.values()))[0][what]), []
    for (cell, *sizes), extras in points.items():
        rows.append([cell.upper(), *map(str, sizes)])
        rows[-1].append(strokes((1e3 * extra["median"][base] for extra in extras), "{:.3g}"))
        rows[-1] += [strokes((extra[what][kind] for extra in extras), "{:.2f}") for kind in kinds]
    by_run = list(zip(*points.values(), strict=True))
    means = [
        strokes((geometric_mean([extra[what][kind] for extra in extras]) for extras in by_run), "{:.2f}")
        for kind in kinds
    ]
    rows.append(["geometric mean", "", "", "", "", "", *means])
    return table(["cell", "B", "T", "I = H", "threads", f"{base}: ms", *kinds], rows)


def agreement(points):
    """How near to its bound each library's largest error came."""
    extras = [extra for counts in points.values() for found in counts.values() for extra in found]
    names = extras[0]["error"]
    used = {name: max(extra["error"][name] / extra["bound"] for extra in extras) for name in names}
    return (
        "Before it is timed, a library's result is held against the same loop in float64; allowed is twice\n"
        "the error of that loop in float32 and 4 eps of the largest output more. Used of that, at most:\n"
        f"{', '.join(f'{NAMES[name]} {share:.0%}' for name, share in used.items())}.\n"
    )


def machine_speed(points):
    """What the FMA loop did, from point to point: how steady the machine was."""
    rows = []
    for threads in thread_counts(points):
        extras = [extra for counts in points.values() for extra in counts.get(threads, [])]
        speeds = [extra["gflops"][f"fma {threads}"] for extra in extras]
        gains = [extra["gain"]["fma"] for extra in extras]
        picked = [f"{pick(speeds):.0f}" for pick in (min, median, max)]
        rows.append([str(threads), *picked, *(f"{pick(gains):.2f}" for pick in (min, median, max))])
    title = ["threads", "lowest GFLOP/s", "median", "highest", "lowest gain", "median", "highest"]
    return "### FMA loop\n\n" + table(title, rows)


def summary(points):
    """Geometric means of the ratios, by cell and number of threads."""
    cells, rivals, rows = cells_of(points), rivals_of(points), []
    for threads in thread_counts(points):
        for label, chosen in [(cell.upper(), [cell]) for cell in cells] + [("all", cells)]:
            found = [counts.get(threads, []) for key, counts in points.items() if key[0] in chosen]
            found = [extras for extras in found if extras]
            if not found:
                continue
            by_run = list(zip(*found, strict=True))
            row = [label, str(threads), str(len(found))]
            for rival in rivals:
                row.append(strokes(geometric_mean([e["ratio"][rival] for e in extras]) for extras in by_run))
            fastest = [[faster(extra) for extra in extras] for extras in by_run]
            row += [strokes(map(geometric_mean, fastest)), strokes(map(min, fastest))]
            rows.append([*row, " / ".join(str(sum(ratio < 1 for ratio in ratios)) for ratios in fastest)])
    names = [NAMES[rival] for rival in rivals]
    title = ["cell", "threads", "points", *names, "the faster of them", "lowest", "points where slower"]
    return "### Geometric means of the ratios\n\n" + table(title, rows)


def grid(points, cell):
    """Every point of one cell; the columns of each number of threads side by side."""
    counts, keys = thread_counts(points), rivals_of(points)
    rivals = [NAMES[rival] for rival in keys]
    title = ["I = H", "B", "T"]
    for threads in counts:
        label = f"{threads} threads: ms" if threads > 1 else "1 thread: ms"
        title += [label, "GFLOP/s", "of peak", *rivals, *(["gain", "FMA gain"] if threads > 1 else [])]
    rows = []
    for (name, H, I, B, T, _), found in points.items():  # noqa: E741
        if name == cell:
            rows.append([str(H) if I == H else f"{I}, {H}", str(B), str(T)])
            for threads in counts:
                rows[-1] += columns(found.get(threads, []), threads, keys)
    return table(title, rows)


def columns(extras, threads, rivals):
    """The figures of one point on one number of threads, in every run; blank where it was left out."""
    speeds = [extra["gflops"] for extra in extras]
    found = [
        strokes((1e3 * extra["median"]["numbarnn"] for extra in extras), "{:.3g}"),
        strokes((speed["numbarnn"] for speed in speeds), "{:.0f}"),
        strokes((speed["numbarnn"] / speed[f"fma {threads}"] for speed in speeds), "{:.0%}"),
        *(strokes(extra["ratio"][rival] for extra in extras) for rival in rivals),
    ]
    if threads > 1:
        found += [strokes((extra["gain"][who] for extra in extras), "{:.2f}") for who in ("numbarnn", "fma")]
    return found


def cold(runs):
    """Imports and first calls: the median over the processes, and the shortest."""
    rows = {}
    for run in runs:
        for row in run["benchmarks"]:
            if "what" in row["extra_info"]:
                rows.setdefault(row["extra_info"]["what"], []).append(row)
    lines = []
    for what, found in rows.items():
        extras = [row["extra_info"] for row in found]
        functions = [extra["functions"] for extra in extras if "functions" in extra]
        lines.append([
            what,
            strokes((row["stats"]["median"] for row in found), "{:.3f}"),
            strokes((row["stats"]["min"] for row in found), "{:.3f}"),
            strokes((median(e["weights"]) for e in extras if e.get("weights")), "{:.3f}"),
            " / ".join(dict.fromkeys(f"{len(names)}: {', '.join(names)}" for names in functions)),
        ])  # fmt: skip
    return table(["", "median s", "shortest s", "weights s", "functions compiled or loaded"], lines)


def cells_of(points):
    return list(dict.fromkeys(key[0] for key in points))


def thread_counts(points):
    return sorted({threads for counts in points.values() for threads in counts})


def rivals_of(points):
    first = next(iter(points.values()))
    return list(next(iter(first.values()))[0]["ratio"])


def faster(extra):
    """The ratio to the fastest rival of a point."""
    return min(extra["ratio"].values())


def geometric_mean(values):
    return exp(sum(map(log, values)) / len(values))


def strokes(values, form=None):
    """One figure per run. Without a form they are ratios: bold where numbarnn is slower."""
    if form is None:
        return " / ".join(f"**{value:.2f}**" if value < 1 else f"{value:.2f}" for value in values)
    return " / ".join(map(form.format, values))


def table(title, rows):
    """A table in Markdown, the first column on the left and the others on the right."""
    lines = [title, ["---", *["--:"] * (len(title) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


if __name__ == "__main__":
    main()
