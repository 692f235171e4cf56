"""What the arguments of a call describe: where the inputs lie, which steps are valid, where sequences begin.
From it plans are made.
"""

import numpy as np

from . import checks, checks_extra, dispatch, places
from .kernels import plan
from .ragged import Ragged


def described(axes, time_major, lengths, mask, resets, shape):
    """What `plan.build` is told of the steps of a batch, checked.

    Parameters
    ----------
    axes : tuple
        Leading axes of the inputs.
    time_major : bool
    lengths, mask, resets
        As of a layer's call.
    shape : tuple
        Of the inputs, for messages.

    Returns
    -------
    dict
    """
    found = {}
    if lengths is not None:
        T, B = axes if time_major else axes[::-1]
        found["lengths"] = checks.lengths(lengths, B, T, shape)
    if mask is not None:
        found["mask"] = checks.step_flags("mask", mask, axes, time_major)
    if resets is not None:
        found["resets"] = checks.step_flags("resets", resets, axes, time_major)
    return found


class Batch:
    """Inputs and the description of their steps, checked.

    Parameters
    ----------
    x, mask, lengths, resets
        As of a layer's call.
    layer : object
        Has ``input_size`` (or None), ``dtype``, ``weights_dtype``, ``time_major``, ``device`` and
        ``extra_sizes``.
    stream : int, optional
        Number of the stream that will read what lies on a device.
    extra : dict, optional
        As of a layer's call.
    one_step : bool
        x and the extra inputs have no time axis.

    Attributes
    ----------
    device : Device or None
        Where to run.
    x : ndarray or OnDevice
        (B, T, I), (T, B, I) with ``time_major``, or the values (steps, I) of a Ragged.
    B : int
    offsets : ndarray or None
        Of a Ragged.
    axes : tuple
        Leading axes of an array with one entry for each step.
    extra : dict
        Name -> rows (steps, size) of the extra inputs, in the order of `axes`.
    """

    __slots__ = "B", "T", "axes", "described", "device", "extra", "offsets", "time_major", "x"

    def __init__(
        self, layer, x, mask=None, lengths=None, resets=None, stream=None, extra=None, one_step=False
    ):
        checks.exclusive(lengths, mask)
        self.time_major, wanted = layer.time_major, (layer.input_size, layer.dtype)
        self.offsets, self.described = None, {}
        device = layer.device
        if isinstance(x, Ragged):
            checks.dense_only(lengths, mask, layer.time_major)
            self.x = checks.ragged_inputs(places.adopt("x.values", x.values, device, stream), *wanted)
            self.B, self.T, self.offsets, self.axes = len(x), 0, x.offsets, self.x.shape[:1]
            self.described["offsets"] = x.offsets
        else:
            adopted = places.adopt("x", x, device, stream)
            if one_step:
                adopted = adopted.reshape(adopted.shape[0], 1, adopted.shape[1])
            self.x = checks.inputs(adopted, *wanted, layer.time_major)
            self.axes = self.x.shape[:2]
            self.T, self.B = self.axes if layer.time_major else self.axes[::-1]
        self.device = places.device_of(device, self.x)
        checks.weights_for(self.device, layer.weights_dtype)
        if self.device is not None and isinstance(self.x, np.ndarray):
            self.x = np.ascontiguousarray(self.x)  # it is copied to the device as a whole
        self.described |= described(self.axes, self.time_major, lengths, mask, resets, self.x.shape)
        self.extra, steps = {}, self.axes[:1] if one_step else self.axes
        for name, value in checks_extra.named(extra, layer.extra_sizes).items():
            adopted = places.adopt(f"extra[{name!r}]", value, device, stream)
            self.extra[name] = checks_extra.rows(name, adopted, layer.extra_sizes[name], self, steps)

    @property
    def rows(self):
        """The inputs as kernels read them: rows, or a view of three axes where the plan counts elements."""
        x = self.x
        if x.ndim == 2 or not x.flags.c_contiguous:
            return x
        return x.reshape(x.shape[0] * x.shape[1], x.shape[2])

    def plan(self, *, own_rows=False, zero_output=False, own_constants=False, **options):
        """A plan for all of it, and whether `dispatch` keeps it.

        Parameters
        ----------
        own_rows : bool
            The inputs are an array of our own, in the order of `axes`, not `rows`.
        zero_output, own_constants, **options
            As of `plan.build`.
        """
        if self.rows.ndim == 3 and not own_rows:
            strides = [stride // self.x.itemsize for stride in self.x.strides[:2]]
            options["x_strides"] = tuple(strides[::-1] if self.time_major else strides)
        options["time_major"] = self.time_major
        if not self.described:
            return dispatch.dense_plan(self.B, self.T, **options), True
        options |= {"zero_output": zero_output, "own_constants": own_constants}
        return plan.build(self.B, self.T, **self.described, **options), False

    def row_of_steps(self):
        """For each step, in the order of `axes`, the batch row that it belongs to."""
        batch = np.arange(self.B)
        if self.offsets is not None:
            return np.repeat(batch, np.diff(self.offsets))
        return np.tile(batch, self.T) if self.time_major else np.repeat(batch, self.T)
