"""Which schedule the steps of a call take: threads that divide the rows, threads that divide the units, or
one thread. As rows end, that may change.
"""

from typing import NamedTuple

import numpy as np

from . import costs


class Stretch(NamedTuple):
    """Steps that are run in one way."""

    begin: int
    end: int
    schedule: str  # "rows", "units" or "single"
    threads: int


class Runs(NamedTuple):
    """Steps with as many active rows each, together."""

    begins: np.ndarray
    counts: np.ndarray  # of steps
    rows: np.ndarray


def runs(active):
    """The steps of a plan by their number of active rows, which never rises."""
    begins = np.append(np.zeros(min(1, len(active)), np.int64), np.flatnonzero(np.diff(active)) + 1)
    return Runs(begins, np.diff(begins, append=len(active)), active[begins])


def shares(schedule, threads):
    """Among how many members a schedule divides the rows, and the units."""
    return {"rows": (threads, 1), "units": (1, threads), "single": (1, 1)}[schedule]


def seconds(program, found, hoisted_rows, schedule, threads):
    """Predicted seconds of each run of steps."""
    return found.counts * costs.step_seconds(program, found.rows, hoisted_rows, *shares(schedule, threads))


def stretches(program, active, hoisted_rows, choices):
    """The fastest way through the steps of a plan, and the seconds that it is predicted to take.

    Rows grow fewer: what divides them comes first, what divides the units next, one thread last.

    Parameters
    ----------
    program : Program
    active : ndarray
        Segments that run at each step.
    hoisted_rows : int
        See `costs.step_seconds`.
    choices : dict of int
        Schedules with their threads, in that order.

    Returns
    -------
    list of Stretch, float
    """
    if len(active) and active[0] == active[-1]:
        return _one_way(program, int(active[0]), len(active), hoisted_rows, choices)
    found = runs(active)
    ways = [(*choice, seconds(program, found, hoisted_rows, *choice)) for choice in choices.items()]
    least = np.append(np.full(len(found.rows), np.inf), 0.0)  # from each run to the end
    ahead = []
    for _, threads, taken in reversed(ways):
        until = np.append(0.0, np.cumsum(taken))
        leaving = until + least
        entered = np.minimum.accumulate(leaving[::-1])[::-1] - until + costs.entry_seconds(threads)
        ahead.append((leaving, least, entered))
        least = np.minimum(least, entered)
    path, run, ends = [], 0, np.append(found.begins, found.begins[-1:] + found.counts[-1:])
    for (schedule, threads, _), (leaving, without, from_here) in zip(ways, reversed(ahead), strict=True):
        last = run + int(np.argmin(leaving[run:]))
        if last > run and from_here[run] < without[run]:
            path.append(Stretch(int(ends[run]), int(ends[last]), schedule, threads))
            run = last
    return path, float(least[0])


def _one_way(program, rows, steps, hoisted_rows, choices):
    """`stretches` where every step has as many rows: the schedule that is fastest for all of them."""
    predicted = {
        schedule: costs.entry_seconds(threads)
        + steps * float(costs.step_seconds(program, rows, hoisted_rows, *shares(schedule, threads)))
        for schedule, threads in choices.items()
    }
    schedule = min(predicted, key=predicted.get)
    return [Stretch(0, steps, schedule, choices[schedule])], predicted[schedule]
