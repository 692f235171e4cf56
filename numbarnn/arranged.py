"""What a cell makes of a call before the kernels run it."""

from typing import NamedTuple


class Arranged(NamedTuple):
    """One cell's part of a call."""

    program: object
    x: object  # input rows
    own_rows: bool  # whether x is an array of our own, not the caller's
    initial: list  # states, see `dispatch.run`
    final: list
    extra: list  # rows of the extra inputs, in the order of the program's
    options: dict  # of the plan
