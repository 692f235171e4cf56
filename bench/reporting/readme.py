"""The README's text on speed: between two marks, nothing of it typed by hand."""

from . import goals
from .comparisons import share
from .records import facts, points, to_the_fastest
from .text import mean, present, ratios, strokes, table

MARKS = "<!-- made by make bench -->", "<!-- end of make bench -->"
LINES = {
    "dense": "dense batches",
    "step": "one step a call",
    "ragged": "different lengths",
    "workloads": "layers that people run",
    "random": "random sizes",
}
COLUMNS = {"PyTorch": ("torch",), "PyTorch, packed": ("torch_packed",), "ONNX Runtime": ("onnxruntime",)}


def write(path, runs, drawn):
    """Put the text into the file at `path`.

    Raises
    ------
    ValueError
        The file does not have each mark once, in their order.
    """
    text = path.read_text(encoding="utf-8")
    parts = [text.partition(mark) for mark in MARKS]
    if [text.count(mark) for mark in MARKS] != [1, 1] or len(parts[0][0]) > len(parts[1][0]):
        raise ValueError(f"{path}: expected the lines {MARKS[0]!r} and {MARKS[1]!r} once each, in this order")
    path.write_text(
        f"{parts[0][0]}{MARKS[0]}\n{render(runs, drawn)}{MARKS[1]}{parts[1][2]}", encoding="utf-8"
    )


def render(runs, drawn):
    """The figures of the suites that the runs have, in a few lines."""
    found = {name: points(runs, name) for name in LINES}
    lines = [[label, *_line(found[name])] for name, label in LINES.items() if found[name]]
    title = [
        "times as fast, on average",
        "points",
        *COLUMNS,
        "slower than the fastest",
        "share of the limit",
    ]
    made = {name: " / ".join(dict.fromkeys(facts(run)[name] for run in runs)) for name in ("CPU", "Versions")}
    judged = [reached for _, _, reached in goals.verdicts(runs) if reached is not None]
    several = f" Figures of {len(runs)} runs stand beside each other." * (len(runs) > 1)
    picture = [f"\n![{title}](bench/plots/{name})\n" for name, title in drawn if name == "speedup.svg"]
    return "\n".join([
        f"On {made['CPU']}, with {made['Versions']}.{several}\n",
        table(title, lines),
        f"Of {len(judged)} goals {sum(judged)} are reached; `bench/RESULTS.md` lists them all.",
        *picture,
    ]) + "\n" * (not picture)  # fmt: skip


def _line(found):
    by_run = list(zip(*found, strict=True))
    line = [str(len(found))]
    for names in COLUMNS.values():
        line.append(ratios([mean([to_the_fastest(row, names) for row in rows]) for rows in by_run]))
    fastest = [present([to_the_fastest(row) for row in rows]) for rows in by_run]
    line.append(strokes([sum(one < 1 for one in run) for run in fastest]))
    return [*line, strokes([mean([share(row) for row in rows]) for rows in by_run], "{:.0%}")]
