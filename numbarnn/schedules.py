"""Which schedule the steps of a call take: threads that divide the rows, threads that divide the units, or
one thread. As rows end, that may change.
"""

from typing import NamedTuple

import numpy as np

from . import costs
from .kernels import ways

ROWS_TOLD = 240  # predictions are kept for steps of so many rows; more take as long as several steps
KEPT_PRICES = 16


class Stretch(NamedTuple):
    """Steps that are run in one way."""

    begin: int
    end: int
    schedule: str  # "rows", "units" or "single"
    threads: int


def shares(schedule, threads):
    """Among how many members a schedule divides the rows, and the units."""
    return {"rows": (threads, 1), "units": (1, threads), "single": (1, 1)}[schedule]


def prices(program, hoisted_rows, choices):
    """Predicted seconds of a step with 0 to `ROWS_TOLD` rows, by each choice, and of setting out so; kept
    with the program.
    """
    key = hoisted_rows, costs.LAUNCH_WORTH_SECONDS, *choices.items()
    found = program.prices.get(key)
    if found is None:
        rows = np.arange(ROWS_TOLD + 1)
        steps = [costs.step_seconds(program, rows, hoisted_rows, *shares(*one)) for one in choices.items()]
        steps = np.array(steps)
        steps[:, 0] = 0.0
        found = steps, np.array([costs.entry_seconds(threads) for threads in choices.values()])
        if len(program.prices) >= KEPT_PRICES:
            program.prices.clear()
        program.prices[key] = found
    return found


def seconds_alone(program, steps, valid, hoisted_rows):
    """Predicted seconds of so many valid steps on one thread, as if all steps had as many rows."""
    if not steps:
        return 0.0
    of_rows = prices(program, hoisted_rows, {"single": 1})[0]
    times, rows = divmod(valid / steps, ROWS_TOLD)
    low = int(rows)
    less, more = of_rows.item(low), of_rows.item(low + 1)
    return steps * (times * of_rows.item(ROWS_TOLD) + less + (rows - low) * (more - less))


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
    ends, predicted = ways.cheapest(active, *prices(program, hoisted_rows, choices))
    path, begin = [], 0
    for (schedule, threads), end in zip(choices.items(), ends, strict=True):
        if end > begin:
            path.append(Stretch(begin, end, schedule, threads))
            begin = end
    return path, predicted
