"""Turn the JSON of runs of `make bench` into bench/RESULTS.json, and that into bench/RESULTS.md, the plots in
bench/plots/ and the README's text on speed.

    python bench/report.py [RUN ...] [--output FOLDER] [--readme FILE]

A run is a file, or a folder of files, its parts. Several runs stand beside each other, separated by strokes:
what holds, holds in every one of them. Without a run, everything is made anew from RESULTS.json. The same
figures make the same files.
"""

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

from reporting import comparisons, goals, multiples, readme
from reporting.records import FACTS, Unlike, condense, facts, join, same_rows
from reporting.text import table

HERE = Path(__file__).parent
INTRODUCTION = """\
# Measurements

Made by `make bench` or `make bench-full`; nothing here is typed by hand. Rivals are timed in turn, call by
call (short calls in bursts of 5 ms), and nobody is called before the threads of the one before him have come
to rest; who takes a second or more gets fewer turns, but three if they take less than five. Times are
medians. A ratio is the rival's time over numbarnn's: above 1 numbarnn is faster; where it is **slower**, the
ratio is bold. Every library has the same inputs, weights and number of threads, each array in the layout that
this library takes without copying. Before it is timed, its result is held against the same loop in float64;
allowed is twice the error of that loop in float32 and, for each layer, 8 eps of the largest output more.
"""

LIMIT = """\
GFLOP/s count the matrix products only. *The limit* of a problem is the time that this machine needs at
least: for the products, those with the inputs among them, at the speed of a loop of multiply-adds in
registers, or for reading the recurrent weights at every step and all others once, at the speed of a loop that
reads as many bytes and does nothing else; the longer of the two, as if they overlapped completely. Where a
thread has but one row, each step adds what comes after its products and before the next one's: the cell's
equations for one vector of units, from a loop of such steps of which each waits for the one before; and where
threads share the row, one meeting of them, from a loop of meetings. The limit is that of the number of
threads, up to those of the point, which takes the least time. What a call costs in Python is not in it. All
loops are timed in the same rounds as the libraries. *Gain* is one thread's time over that of all, for
numbarnn and for the loop of multiply-adds (FMA): where that gains little, something else had the cores.
"""


def main(arguments=None):
    """Write the report on the runs that the command line names; the exit status."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("runs", nargs="*", type=Path, metavar="RUN")
    parser.add_argument("--output", type=Path, default=HERE, metavar="FOLDER", help="default: bench/")
    parser.add_argument("--readme", type=Path, metavar="FILE", help="default: README.md beside the FOLDER")
    options = parser.parse_args(arguments)
    kept = options.output / "RESULTS.json"
    try:
        if options.runs:
            runs = [read(path) for path in options.runs]
        elif kept.exists():
            runs = json.loads(kept.read_text(encoding="utf-8"))
        else:
            parser.error(f"{kept} does not exist; expected it, or a RUN that `make bench` wrote")
        same_rows(runs)
    except Unlike as error:
        parser.error(str(error))
    if options.runs:
        kept.write_text(one_row_a_line(runs), encoding="utf-8")
    drawn = draw(runs, options.output / "plots")
    (options.output / "RESULTS.md").write_text(render(runs, drawn), encoding="utf-8")
    readme.write(options.readme or options.output.parent / "README.md", runs, drawn)


def read(path):
    """A run, condensed; of a folder, its parts in the order of their names."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    if not files:
        raise Unlike(f"{path} holds no *.json; expected the parts of a run")
    return join([condense(json.loads(file.read_text(encoding="utf-8"))) for file in files])


def one_row_a_line(runs):
    """The runs as JSON, so that a change of a row is a change of a line."""
    texts = []
    for run in runs:
        head = json.dumps({name: fact for name, fact in run.items() if name != "rows"})[:-1]
        rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in run["rows"])
        texts.append(f'{head}, "rows": [\n{rows}\n]}}')
    return "[" + ",\n".join(texts) + "]\n"


def draw(runs, folder):
    """The names of the plots that were drawn: none without matplotlib, which is said."""
    if find_spec("matplotlib") is None:
        print("matplotlib is not installed, so bench/plots/ was left as it is: pip install matplotlib")
        return []
    from reporting import plots

    return plots.draw(runs, folder)


def render(runs, drawn):
    """The whole report as text."""
    parts = [INTRODUCTION, machine(runs), *goals.section(runs), LIMIT]
    parts += [f"![{title}](plots/{name})\n" for name, title in drawn]
    for name in comparisons.SUITES:
        parts += comparisons.section(runs, name)
    for name in (*multiples.SUITES, "cold"):
        parts += multiples.section(runs, name)
    return "\n".join(parts)


def machine(runs):
    """What the runs were made on and with; facts in which runs differ are all named."""
    lines = [[name, "; ".join(dict.fromkeys(facts(run)[name] for run in runs))] for name in FACTS]
    return table(["", ""], lines)


if __name__ == "__main__":
    main()
