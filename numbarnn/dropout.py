"""Dropout of cells: masks over inputs and recurrent vectors, drawn once per call."""

import math
import threading
from typing import NamedTuple

import numpy as np

from . import device_arrays, dispatch, places
from .device_arrays import OnDevice

_DRAWING = threading.Lock()  # threads that share a layer draw one after the other


class Masks(NamedTuple):
    """Factors 0 or 1 / (1 - rate), or None where nothing is dropped."""

    inputs: np.ndarray | None  # (B, I)
    recurrent: np.ndarray | None  # (B, H)


class Dropout:
    """Draws the masks of one cell: the same ones from the same seed, call after call.

    Parameters
    ----------
    rate, recurrent_rate : float
        Share of what is dropped, at least 0 and below 1.
    seed : int or None
        None: a new place each time.
    """

    def __init__(self, rate, recurrent_rate, seed):
        self.rates = rate, recurrent_rate
        # Not the stream that the initialisers draw from.
        self._generator = np.random.default_rng(None if seed is None else [*np.atleast_1d(seed), 1])

    def draw(self, B, I, H, dtype):  # noqa: E741
        """`Masks` for a call of B rows."""
        with _DRAWING:
            drawn = [
                self._generator.random((B, size)) if rate > 0 else None
                for rate, size in zip(self.rates, (I, H), strict=True)
            ]
        return Masks(
            *(
                None if uniform is None else np.where(uniform < rate, 0.0, 1.0 / (1.0 - rate)).astype(dtype)
                for uniform, rate in zip(drawn, self.rates, strict=True)
            )
        )


def as_rows(batch, x, stream=None):
    """Input rows of our own, the values of ``batch.rows``, a view that kernels would have to follow."""
    if isinstance(x, OnDevice):
        return _times_on_device(batch, x, np.ones((batch.B, x.shape[2]), x.dtype), stream)
    return np.ascontiguousarray(x).reshape(-1, x.shape[2])


def times(batch, x, mask, stream=None):
    """New input rows: those of `x`, as ``batch.rows`` or our own, each times its batch row of the mask (B,
    I). `stream` as of `Device.stream`.
    """
    if isinstance(x, OnDevice):
        return _times_on_device(batch, x, mask, stream)
    made = dispatch.empty((math.prod(batch.axes), mask.shape[1]), x.dtype)
    with np.errstate(all="ignore"):  # padding may hold anything
        if batch.offsets is not None:
            np.multiply(x, mask[batch.row_of_steps()], out=made)
        else:
            shape = (*batch.axes, mask.shape[1])
            factors = mask[np.newaxis] if batch.time_major else mask[:, np.newaxis]
            np.multiply(x.reshape(shape), factors, out=made.reshape(shape))
    return made


def _times_on_device(batch, x, mask, stream):
    from .kernels.elementwise_cuda import times_rows

    rows, size = math.prod(batch.axes), mask.shape[1]
    made = device_arrays.new(x.device, (rows, size), x.dtype)
    starts = np.arange(rows) * size
    if x.ndim == 3:
        first, second = (stride // x.itemsize for stride in x.strides[:2])
        starts = np.add.outer(np.arange(x.shape[0]) * first, np.arange(x.shape[1]) * second).ravel() + x.first
    places.launch_over(
        x.device, times_rows(x.dtype.type), rows * size,
        x.flat, x.device.upload(starts), x.device.upload(mask), x.device.upload(batch.row_of_steps()),
        made.flat, stream=stream,
    )  # fmt: skip
    return made


def with_mask(batch, cell, starts, mask):
    """The initial states of a cell with recurrent dropout, whose last is the mask (B, H). Where sequences
    begin within a row, constants and masks for them follow: row ``B + b`` for row b.
    """
    if "resets" not in batch.described:
        return [*starts, mask]
    doubled = []
    for field, start in zip(cell.fields, starts, strict=True):
        constants = np.full(mask.shape, field.constant, mask.dtype)
        first = constants if start is None else places.to_host(field.name, start)
        doubled.append(np.concatenate([first, constants]))
    return [*doubled, np.concatenate([mask, mask])]
