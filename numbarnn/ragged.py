"""Batches of sequences of different lengths without padding."""

from itertools import pairwise

import numpy as np

from . import checks
from .device_arrays import is_on_device


class Ragged:
    """Rows of different lengths, stored one after the other.

    Parameters
    ----------
    values : array_like, shape (steps, features)
        All steps of row 0, then of row 1, ...
    offsets : array_like of int, shape (rows + 1,)
        Row b is ``values[offsets[b]:offsets[b + 1]]``; from 0 up to the number of steps.

    Raises
    ------
    TypeError, ValueError
        Offsets that are not whole, do not begin at 0, decrease, or do not end at the number of steps.

    Examples
    --------
    >>> ragged = nr.Ragged.from_rows([np.zeros((2, 3)), np.ones((0, 3)), np.ones((4, 3))])
    >>> len(ragged), ragged.lengths
    (3, array([2, 0, 4]))
    >>> ragged.to_padded().shape
    (3, 4, 3)
    """

    def __init__(self, values, offsets):
        self._values = checks.steps(values)
        self._offsets = checks.offsets(offsets, self.values.shape[0])

    @property
    def values(self):
        """All steps, (steps, features): the array that was given."""
        return self._values

    @property
    def offsets(self):
        """Where the rows begin, (rows + 1,): a read-only copy, since kernels follow it without looking."""
        return self._offsets

    @classmethod
    def from_rows(cls, rows):
        """A ragged batch of the arrays in `rows`, each of shape (length, features)."""
        rows = checks.rows_of_arrays(rows)
        return cls(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))

    @property
    def lengths(self):
        """Steps of each row, (rows,)."""
        return np.diff(self.offsets)

    def __len__(self):
        return len(self.offsets) - 1

    def __repr__(self):
        step = f"{self.values.dtype} {self.values.shape[1:]}"
        return f"<Ragged: {len(self)} rows, {self.values.shape[0]} steps of {step}>"

    def rows(self):
        """The rows, as views of `values`."""
        return [self.values[begin:end] for begin, end in pairwise(self.offsets.tolist())]

    def to_padded(self, fill=0.0, time=None):
        """A dense copy of shape (rows, time, features), `fill` after each row's end.

        Parameters
        ----------
        fill : scalar
        time : int, optional
            At least the longest length, which is the default.

        Raises
        ------
        TypeError
            A `fill` of another kind, or values that lie on a CUDA device.
        ValueError
            `time` is too short.
        """
        if is_on_device(self.values):
            raise TypeError(
                "to_padded: the values lie on a CUDA device; expected them in host memory: make a Ragged of "
                "a copy there"
            )
        longest = int(self.lengths.max(initial=0))
        time = longest if time is None else checks.whole("time", time, 0)
        if time < longest:
            raise ValueError(f"time = {time}; the longest row has {longest} steps; expected at least so many")
        fill = checks.filler(fill, self.values.dtype)
        padded = np.full((len(self), time, *self.values.shape[1:]), fill, self.values.dtype)
        padded[np.arange(time) < self.lengths[:, np.newaxis]] = self.values
        return padded
