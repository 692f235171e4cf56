"""The random factors of `DropoutWrapper`: 0, or 1 / keep_prob."""

import math
import threading

import numpy as np

from .. import device_arrays, dispatch, places
from ..device_arrays import OnDevice

_DRAWING = threading.Lock()  # threads that share a cell draw one after the other


class Noise:
    """Factors for one vector of a cell: the same from the same seed, call after call, and whether steps come
    one by one or in a sequence.

    Parameters
    ----------
    keep_prob : float
        Share of what is kept.
    variational : bool
        One mask for all rows and steps of a call.
    seed : list of int, or None
    """

    def __init__(self, keep_prob, variational, seed):
        self.keep_prob, self.variational = keep_prob, variational
        self._generator = np.random.default_rng(seed)

    def draw(self, batch, size, dtype):
        """Factors for a call: (1, size), or (steps, size) with the steps in the order of ``batch.axes``."""
        by_time = batch.offsets is None and not batch.time_major
        shape = (1, size) if self.variational else (*batch.axes, size)
        with _DRAWING:
            if by_time and not self.variational:  # step by step, so that a loop over steps finds the same
                drawn = self._generator.random((batch.T, batch.B, size)).swapaxes(0, 1)
            else:
                drawn = self._generator.random(shape)
        kept = 1.0 / self.keep_prob if self.keep_prob else 0.0
        return np.where(drawn < self.keep_prob, kept, 0.0).astype(dtype).reshape(-1, size)


def times(batch, x, factors, stream=None):
    """New input rows: those of `x`, as ``batch.rows`` or our own, times `factors`, one row or one for
    each.
    """
    rows, size = math.prod(batch.axes), factors.shape[1]
    if isinstance(x, OnDevice):
        return _times_on_device(x, rows, factors, stream)
    made, shape = dispatch.empty((rows, size), x.dtype), (*batch.axes, size)
    factors = np.broadcast_to(factors, (rows, size)).reshape(shape)
    with np.errstate(all="ignore"):  # padding may hold anything
        np.multiply(x.reshape(shape), factors, out=made.reshape(shape))
    return made


def _times_on_device(x, rows, factors, stream):
    from ..kernels.elementwise_cuda import times_rows

    size = factors.shape[1]
    made = device_arrays.new(x.device, (rows, size), x.dtype)
    starts = np.arange(rows) * size
    if x.ndim == 3:
        first, second = (stride // x.itemsize for stride in x.strides[:2])
        starts = np.add.outer(np.arange(x.shape[0]) * first, np.arange(x.shape[1]) * second).ravel() + x.first
    which = np.arange(rows) if len(factors) > 1 else np.zeros(rows, np.int64)
    places.launch_over(
        x.device, times_rows(x.dtype.type), rows * size,
        x.flat, x.device.upload(starts), x.device.upload(factors), x.device.upload(which),
        made.flat, stream=stream,
    )  # fmt: skip
    return made


def as_extra(batch, factors):
    """Factors as rows for every step."""
    return np.ascontiguousarray(np.broadcast_to(factors, (math.prod(batch.axes), factors.shape[1])))
