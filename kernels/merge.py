"""Two directions' outputs made one, in place."""

from .jit import njit

MODES = ("sum", "mul", "ave")


@njit
def merge(y, other, rows, mode):
    """Each of the `rows` of ``y`` (rows, H) becomes itself merged with that row of ``other``; `mode` is a
    place in `MODES`. Rows that are named nowhere are not read.
    """
    for row in rows:
        mine, theirs = y[row], other[row]
        if mode == 0:
            for unit in range(len(mine)):
                mine[unit] += theirs[unit]
        elif mode == 1:
            for unit in range(len(mine)):
                mine[unit] *= theirs[unit]
        else:
            for unit in range(len(mine)):
                mine[unit] = (mine[unit] + theirs[unit]) / mine.dtype.type(2)
