"""The figures as pictures, bench/plots/*.svg: of several runs the median. Same figures, same files."""

from statistics import median

import matplotlib
from matplotlib.figure import Figure

from .comparisons import share
from .records import NAMES, points, ratio, rivals, thread_counts
from .text import geometric_mean, present

COLORS = {
    "numbarnn": "#d55e00",
    "torch": "#0072b2",
    "torch_packed": "#56b4e9",
    "torch_cells": "#7fb8d8",
    "onnxruntime": "#009e73",
    "openvino": "#cc79a7",
    "keras_tensorflow": "#e69f00",
    "keras_jax": "#b89b00",
    "keras_torch": "#8c6d31",
    "numpy": "#777777",
}
SETTINGS = {
    "svg.hashsalt": "numbarnn",  # ids in the file would be random
    "svg.fonttype": "none",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "legend.frameon": False,
}


def draw(runs, folder):
    """Draw what the runs have figures of.

    Returns
    -------
    list of tuple
        (file name, title) of every picture that was drawn.
    """
    folder.mkdir(exist_ok=True)
    drawn = []
    with matplotlib.rc_context(SETTINGS):
        for name, (title, suite, picture) in PICTURES.items():
            found = points(runs, suite)
            figure = picture(found) if found else None
            if figure is None:
                continue
            figure.suptitle(title, x=0.01, ha="left", fontsize=11)
            figure.savefig(folder / f"{name}.svg", metadata={"Date": None, "Creator": None})
            drawn.append((f"{name}.svg", title))
    return drawn


def typical(rows, tell):
    """The median over the runs of what `tell` says of each, or None where it says nothing."""
    told = present(map(tell, rows))
    return median(told) if told else None


def panels(count, height=3.2, width=9.0):
    """A figure and its axes side by side."""
    figure = Figure((width, height), layout="constrained")
    return figure, list(figure.subplots(1, count, squeeze=False)[0])


def on_all_threads(found):
    most = max(thread_counts(found))
    return [rows for rows in found if rows[0]["threads"] == most]


def by_cell(found):
    """{cell: its points}, LSTMs first."""
    cells = sorted({rows[0]["problem"]["cell"] for rows in found}, reverse=True)
    return {cell: [rows for rows in found if rows[0]["problem"]["cell"] == cell] for cell in cells}


def speedup(found):
    """Bars of the ratios at every point, on all threads."""
    found = on_all_threads(found)
    groups, names = by_cell(found), [name for name in rivals(found) if name in ("torch", "onnxruntime")]
    figure, axes = panels(len(groups), 3.6)
    for axis, (cell, some) in zip(axes, groups.items(), strict=True):
        width = 0.8 / max(len(names), 1)
        for place, name in enumerate(names):
            heights = [typical(rows, lambda row, name=name: ratio(row, name)) for rows in some]
            told = [(x + place * width, height) for x, height in enumerate(heights) if height is not None]
            if told:
                left, tops = zip(*told, strict=True)
                lengths = [top - 1 for top in tops]
                axis.bar(left, lengths, width, bottom=1, color=COLORS[name], label=NAMES[name])
        problems = [rows[0]["problem"] for rows in some]
        labels = [f"{problem['H']}, {problem['B']}" for problem in problems]
        axis.set_xticks([x + 0.4 - width / 2 for x in range(len(some))], labels, rotation=90)
        axis.set(yscale="log", title=cell.upper(), xlabel="units, rows", ylabel="times as fast")
        axis.axhline(1, color="black", linewidth=1)
        plain_numbers(axis.yaxis)
    return with_legend(figure, axes[0])


def with_legend(figure, axis, title=None):
    """The figure, the names of an axis below it."""
    handles, labels = axis.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=min(len(labels), 5), title=title)
    return figure


def plain_numbers(axis):
    """Ticks of a logarithmic axis as 0.5, 1, 2."""
    if axis.axis_name == "y":
        axis.set_major_locator(matplotlib.ticker.LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(matplotlib.ticker.FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(matplotlib.ticker.NullFormatter())


def roofline(found):
    """Speeds over the operations for each byte of weights that is read, and the limit of each point."""
    groups = by_cell([rows for rows in on_all_threads(found) if typical(rows, share)])
    if not groups:
        return None
    figure, axes = panels(len(groups))
    for axis, (cell, some) in zip(axes, groups.items(), strict=True):
        sizes = sorted({rows[0]["problem"]["H"] for rows in some})
        for size in sizes:
            mine = [rows for rows in some if rows[0]["problem"]["H"] == size]
            aside = 1.09 ** (sizes.index(size) - len(sizes) / 2)  # or dots would hide each other
            across = [
                aside * rows[0]["problem"]["B"] / 2 for rows in mine
            ]  # 2 operations per row and 4 bytes
            speeds = [typical(rows, lambda row: row["gflops"]["numbarnn"]) for rows in mine]
            limits = [speed / typical(rows, share) for speed, rows in zip(speeds, mine, strict=True)]
            shade = matplotlib.colormaps["viridis"](sizes.index(size) / max(len(sizes) - 1, 1))
            axis.plot(across, speeds, "o", color=shade, label=f"{size} units")
            axis.plot(across, limits, "_", color=shade, markersize=8, markeredgewidth=2)
        axis.set_xscale("log", base=2)
        axis.set(
            yscale="log", title=cell.upper(), xlabel="operations for each byte of weights", ylabel="GFLOP/s"
        )
        plain_numbers(axis.xaxis)
        plain_numbers(axis.yaxis)
    return with_legend(figure, axes[0], "a dash is the limit of the dot in its colour")


def padding(found):
    """Times over the share of padding, uniform lengths."""
    found = [rows for rows in on_all_threads(found) if rows[0]["problem"]["padding"] == "uniform"]
    groups = {}
    for rows in found:
        problem = rows[0]["problem"]
        groups.setdefault((problem["cell"], problem["H"]), []).append(rows)
    groups = {key: some for key, some in groups.items() if len(some) > 1}
    chosen = {key: groups[key] for key in sorted(groups, key=lambda key: (key[0] != "lstm", key[1]))[:3]}
    if not chosen:
        return None
    figure, axes = panels(len(chosen))
    for axis, ((cell, size), some) in zip(axes, chosen.items(), strict=True):
        some = sorted(some, key=lambda rows: rows[0]["padding"])
        for name in NAMES:
            times = [
                (rows[0]["padding"], typical(rows, lambda row, name=name: row["median"].get(name)))
                for rows in some
            ]
            lines(axis, name, [(100 * x, 1e3 * time) for x, time in times if time is not None])
        axis.set(yscale="log", title=f"{cell.upper()}, {size} units", xlabel="padding, %", ylabel="ms")
        plain_numbers(axis.yaxis)
    return with_legend(figure, axes[0])


def lines(axis, name, pairs, style="-", **options):
    """A library's line, if it has any points."""
    if pairs:
        wide = 2.5 if name == "numbarnn" else 1.5
        options = {"label": NAMES[name], "marker": "o", "markersize": 4, "linewidth": wide, **options}
        axis.plot(*zip(*pairs, strict=True), style, color=COLORS[name], **options)


def threads(found):
    """Times on more threads as a share of that on one, on average over the points."""
    counts, times = thread_counts(found), {}
    if len(counts) < 2:
        return None
    for rows in found:
        problem = tuple(rows[0]["problem"].values())
        for name in NAMES:
            if time := typical(rows, lambda row, name=name: row["median"].get(name)):
                times.setdefault(name, {}).setdefault(problem, {})[rows[0]["threads"]] = time
    figure, axes = panels(1, 3.4, 5.0)
    for name, by_problem in times.items():
        whole = [by_count for by_count in by_problem.values() if len(by_count) == len(counts)]
        if whole:
            means = [geometric_mean([one[count] / one[counts[0]] for one in whole]) for count in counts]
            lines(axes[0], name, list(zip(counts, means, strict=True)))
    axes[0].plot(counts, [counts[0] / count for count in counts], ":", color="black", label="ideal")
    axes[0].set(xlabel="threads", ylabel="time, as a share of one thread's", xticks=counts)
    axes[0].set_ylim(bottom=0)
    return with_legend(figure, axes[0])


def latency(found):
    """What the calls of a stream of steps took: median, 99 of 100, and the longest."""
    groups = by_cell(on_all_threads(found))
    figure, axes = panels(len(groups), 3.6)
    styles = {"p50": "-", "p99": "--", "worst": ":"}
    for axis, (cell, some) in zip(axes, groups.items(), strict=True):
        for name in NAMES:
            for place, (label, style) in enumerate(styles.items()):
                told = [
                    (
                        rows[0]["problem"]["H"],
                        typical(rows, lambda row, of=(name, label): step_time(row, *of)),
                    )
                    for rows in some
                ]
                pairs = [(size, 1e6 * time) for size, time in told if time is not None]
                options = {} if place == 0 else {"label": None, "marker": None, "linewidth": 1}
                lines(axis, name, pairs, style, **options)
        axis.set_xscale("log", base=2)
        axis.set(yscale="log", title=cell.upper(), xlabel="units", ylabel="µs a call")
        plain_numbers(axis.xaxis)
        plain_numbers(axis.yaxis)
    return with_legend(figure, axes[0], "— median   - - 99 of 100 calls are shorter   ··· the longest")


def step_time(row, name, label):
    return row["latency"].get(name, {}).get(label)


def cold(found):
    """Bars of the seconds that a fresh process waits."""
    figure, [axis] = panels(1, 0.3 * len(found) + 0.9, 8.0)
    seconds = [typical(rows, lambda row: row["stats"]["median"]) for rows in found]
    names = [rows[0]["what"] for rows in found]
    bars = axis.barh(names, seconds, color=COLORS["numbarnn"])
    axis.bar_label(bars, [f" {value:.3f}" for value in seconds])
    axis.invert_yaxis()
    axis.set(xlabel="s")
    axis.margins(x=0.12)
    return figure


PICTURES = {  # by file name: title, suite, function
    "speedup": ("Dense batches: how many times as fast as others, on all threads", "dense", speedup),
    "roofline": ("Dense batches: speed and the machine's limit, on all threads", "dense", roofline),
    "padding": ("Batches of 32 rows of different lengths: time over padding", "ragged", padding),
    "threads": ("Dense batches: time over threads, on average", "dense", threads),
    "latency": ("One step a call: what calls take", "step", latency),
    "cold": ("Fresh processes: seconds until a result", "cold", cold),
}
