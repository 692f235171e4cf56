"""`numbarnn bench`: a few layers on this machine, beside other libraries and what the machine can do."""

from importlib.metadata import PackageNotFoundError, version

import numba

from . import info, terminal
from .benchmarks import NEEDS, PEERS, Problem, missing
from .benchmarks.compare import compare

RIVALS = tuple(name for name in PEERS if name != "numbarnn")
USUAL = ("numpy", "torch", "onnxruntime")
QUICK = {
    "LSTM, 32 rows, 50 steps": Problem("lstm", 32, 50, 128, 128),
    "LSTM, 32 rows, half of it padding": Problem("lstm", 32, 100, 128, 128, padding="uniform", padded=0.5),
    "LSTM, 1 row, one step a call": Problem("lstm", 1, 32, 128, 128, each_step=True),
}
ALL = {
    **QUICK,
    "LSTM, 1 row, 100 steps": Problem("lstm", 1, 100, 128, 128),
    **{name.replace("LSTM", "GRU"): problem._replace(cell="gru") for name, problem in QUICK.items()},
    "GRU, 1 row, 100 steps": Problem("gru", 1, 100, 128, 128),
}
SECONDS = {True: 0.3, False: 1.0}  # of a point, by whether it is to be quick


def installed():
    """The usual rivals that are there."""
    return tuple(name for name in USUAL if not missing(name))


def run(against, quick=False):
    """Measure.

    Parameters
    ----------
    against : iterable of str
        Names of `benchmarks.PEERS`.
    quick : bool

    Returns
    -------
    dict
        Ready for JSON: ``packages``, ``cpu``, ``threads``; ``points``, each with its ``name`` and what
        `benchmarks.compare.compare` tells.

    Raises
    ------
    RuntimeError
        The machine cannot be measured: nothing is compiled, or something else runs in this process.
    """
    facts, threads, points = info.collect(), numba.get_num_threads(), []
    chosen = QUICK if quick else ALL
    for [name] in terminal.track([[name] for name in chosen], "bench"):
        found = compare(chosen[name], against, threads, seconds=SECONDS[quick])
        points.append({"name": name, **found})
    packages = facts["packages"] | {name: _version(name) for rival in against for name in NEEDS[rival]}
    return {"packages": packages, "cpu": facts["cpu"], "threads": threads, "points": points}


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:  # not every package is called as its module
        return None


def show(report, against):
    """Print what `run` found: a table, and why libraries are missing in it."""
    title = ["128 units, 128 features", "time", "of the limit", *(f"{name} takes" for name in against)]
    rows = [
        [
            point["name"],
            _time(point["median"]["numbarnn"]),
            f"{point['limit']['share']:.0%}",
            *(_ratio(point["ratio"].get(name)) for name in against),
        ]
        for point in report["points"]
    ]
    terminal.table(title, rows)
    terminal.write(
        f"on {report['threads']} thread(s); the limit: the time for the products, or to read weights, and "
        "for what steps of a single row have to wait"
    )
    reasons = dict.fromkeys(pair for point in report["points"] for pair in point["refused"].items())
    for name, reason in reasons:
        terminal.write(f"{name}: {reason}", "yellow")


def _time(seconds):
    return f"{1e6 * seconds:.1f} µs" if seconds < 1e-3 else f"{1e3 * seconds:.2f} ms"


def _ratio(value):
    return "-" if value is None else f"{value:.2f}x"
