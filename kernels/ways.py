"""The cheapest way through steps that may be taken in several ways, one after the other."""

import numpy as np

from .jit import njit


def cheapest(active, seconds, entering):
    """How far each of several ways is to be followed, and the seconds that all steps take then.

    Parameters
    ----------
    active : (S,) int64 array
        Rows of each step.
    seconds : (K, R + 1) float64 array
        Of a step with 0 to R rows in each way. More rows take as long as so many steps with R, and one with
        the rest.
    entering : (K,) float64 array
        Seconds that it takes to set out in each way.

    Returns
    -------
    list of int, float
        For each way the step at which it is left for the next; a way that begins where it is left is not
        taken.

    Examples
    --------
    >>> cheapest(np.array([2, 2, 1]), np.array([[0.0, 1.0, 1.0], [0.0, 0.5, 2.0]]), np.array([0.1, 0.1]))
    ([2, 3], 2.7)
    """
    ways = len(seconds)
    least, ends = np.empty((2, ways + 1)), np.empty((2, ways + 1, ways), np.int64)
    _look_ahead(active, seconds, entering, least, ends)
    return ends[1, 0].tolist(), least.item(ways + 1)


@njit
def _look_ahead(active, seconds, entering, least, ends):
    """From the last step to the first: the seconds from there on by the ways from the k-th, which has been
    entered before (``least[0, k]``) or has not (``least[1, k]``), and where the ways end then.

    Where steps have as many rows, it pays to change before the first of them or not at all.
    """
    ways, most, step = seconds.shape[0], seconds.shape[1] - 1, len(active)
    for k in range(ways + 1):
        least[0, k] = least[1, k] = 0.0
        for way in range(ways):
            ends[0, k, way] = ends[1, k, way] = step
    while step > 0:
        rows, begin = active[step - 1], step - 1
        while begin > 0 and active[begin - 1] == rows:
            begin -= 1
        least[1, ways] = np.inf
        for k in range(ways - 1, -1, -1):
            taken = seconds[k, rows % most] + rows // most * seconds[k, most]
            least[0, k] += (step - begin) * taken
            least[1, k] = least[1, k + 1]
            entered = least[0, k] + entering[k]
            for way in range(ways):
                ends[1, k, way] = ends[1, k + 1, way] if way > k else begin
            if least[1, k + 1] < least[0, k]:
                least[0, k] = least[1, k + 1]
                for way in range(ways):
                    ends[0, k, way] = ends[1, k, way]
            if entered < least[1, k]:
                least[1, k] = entered
                for way in range(ways):
                    ends[1, k, way] = ends[0, k, way]
        step = begin
