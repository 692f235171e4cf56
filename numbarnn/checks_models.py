"""Checks of what callers pass to the layers around recurrent ones, as in `checks`."""

import numpy as np

from .arrays import plain_array, real_array
from .device_arrays import OnDevice, is_on_device


def dense_inputs(x, input_size, wanted):
    """x as (..., features), C-contiguous."""
    array = real_array("x", x, wanted)
    if array.ndim < 2:
        hint = ": x[None] is one row" if array.ndim == 1 else ""
        raise ValueError(f"x has shape {array.shape}; expected (batch, ..., features){hint}")
    if input_size not in (None, array.shape[-1]):
        raise ValueError(
            f"x has shape {array.shape}, {array.shape[-1]} features; expected {input_size} features, for "
            "which the layer has weights"
        )
    return array


def host_array(name, value, layer):
    """An array in host memory; nothing is copied from a device without a word."""
    if is_on_device(value):
        raise TypeError(
            f"{name} lies on a CUDA device; {layer} works in host memory: copy {name} there first"
        )
    return plain_array(name, value)


def masking_inputs(x):
    """x as (batch, ..., features), numbers; on a CUDA device C-contiguous."""
    array = plain_array("x", x)
    if isinstance(array, OnDevice) and not array.flags.carray:
        raise TypeError(
            f"x lies on a CUDA device with strides {array.strides}; expected a C-contiguous array: copy it "
            "there first"
        )
    if array.dtype.kind not in "iuf":
        raise TypeError(f"x has dtype {array.dtype}; expected numbers")
    if array.ndim < 2:
        raise ValueError(f"x has shape {array.shape}; expected (batch, time, features)")
    return array


def number(name, value):
    """A real number."""
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} = {value!r} is of type {type(value).__name__}; expected a number")
    return value


def ids(value, input_dim):
    """Integers from 0 to input_dim - 1, in host memory."""
    array = plain_array("ids", value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)  # an empty list has no dtype of its own
    if array.dtype.kind not in "iu":
        hint = ": use ids.astype('int64')" if array.dtype.kind == "f" else ""
        raise TypeError(f"ids has dtype {array.dtype}; expected integers{hint}")
    if array.size and (array.min() < 0 or array.max() >= input_dim):
        first = tuple(np.argwhere((array < 0) | (array >= input_dim))[0].tolist())
        place = f"[{', '.join(map(str, first))}]" if first else ""
        raise ValueError(
            f"ids{place} = {array[first]}; expected from 0 to {input_dim - 1}: input_dim is the number of "
            "the table's rows"
        )
    return array.astype(np.intp, copy=False)


def table(value):
    """What `weights` of an Embedding may be, as a list of one array."""
    return list(value) if isinstance(value, (list, tuple)) and len(value) == 1 else [value]


def layer(name, value):
    """Something that can be called with inputs."""
    if isinstance(value, type):
        raise TypeError(f"{name} is the class {value.__name__}; expected a layer made from it")
    if not callable(value) and not callable(getattr(value, "call", None)):
        raise TypeError(
            f"{name} is of type {type(value).__name__}; expected a layer, a function of its inputs, or an "
            "object with call()"
        )
    return value


def layers(value):
    """A list of layers."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"layers is of type {type(value).__name__}; expected a list of layers")
    return value


def has_layers(name, layers):
    """A model can be run or built."""
    if not layers:
        raise ValueError(f"model {name!r} has no layers; expected at least one: call add(layer)")


def time_steps(x):
    """An array (batch, time, ...), in host memory or not."""
    array = x if is_on_device(x) else plain_array("x", x)
    if len(array.shape) < 3:
        raise ValueError(f"x has shape {tuple(array.shape)}; expected at least (batch, time, features)")
    return array


def mask_of_steps(mask, shape):
    """A mask whose first axes are batch and time."""
    array = plain_array("mask", mask)
    if array.dtype != np.bool_:
        raise TypeError(f"mask has dtype {array.dtype}; expected bool")
    if array.shape[:2] != tuple(shape[:2]):
        raise ValueError(
            f"mask has shape {array.shape}, x {tuple(shape)}; expected the same batch and time axes: "
            f"({shape[0]}, {shape[1]}, ...)"
        )
    return array


def some_steps(name, shape):
    """A stateful layer is called for each step, and tells by it what it returns."""
    if shape[1] == 0:
        raise ValueError(
            f"x has shape {tuple(shape)}; the layer of {name!r} is stateful and called step by step: "
            "expected at least one step"
        )


def one_array(what, value, rows):
    """What a layer returned, with an axis of so many rows first."""
    shape = getattr(value, "shape", None)
    if shape is None:
        raise TypeError(f"{what} returned {type(value).__name__}; expected one array")
    if len(shape) == 0 or shape[0] != rows:
        raise ValueError(f"{what} returned the shape {tuple(shape)}; expected {rows} rows, one per input row")
    return value


def input_shape(value):
    """A shape whose unknown axes are None."""
    if not isinstance(value, (list, tuple)) or len(value) < 2:
        raise TypeError(f"input_shape = {value!r}; expected a shape such as (None, 7, 3)")
    for size in value:
        whole = isinstance(size, (int, np.integer)) and not isinstance(size, bool)
        if size is not None and not (whole and size >= 0):
            raise TypeError(f"input_shape = {tuple(value)}; expected integers >= 0, or None where unknown")
    return tuple(value)


def is_built(name, built):
    """Weights can be set once their shapes are known."""
    if not built:
        raise ValueError(
            f"model {name!r} has layers without weights; call build(input_shape), or the model on some "
            "inputs, before set_weights"
        )


def count_of_weights(name, given, expected):
    """A flat list of as many weights as there are."""
    if not isinstance(given, (list, tuple)):
        raise TypeError(f"weights is of type {type(given).__name__}; expected a list of {expected} arrays")
    if len(given) != expected:
        raise ValueError(f"weights has {len(given)} array(s); expected {expected}, those of model {name!r}")


def no_states(name, stateful):
    """A mask is not found by running layers that keep states."""
    if stateful:
        raise ValueError(
            f"compute_mask: model {name!r} would have to run layers with stateful=True, whose states would "
            "change; expected it where the first layers keep none"
        )


def stateful_batches(count, batch_size):
    """Every batch of a stateful model has as many rows."""
    if count % min(batch_size, max(count, 1)):
        raise ValueError(
            f"x has {count} rows, batch_size = {batch_size}; the model has stateful layers, whose batches "
            "have all one size: expected a batch_size that divides the number of rows"
        )


def verbosity(value):
    """Whether progress is shown: "auto", 0, 1 or 2, as in Keras."""
    if isinstance(value, bool) or value not in ("auto", 0, 1, 2):
        raise ValueError(f"verbose = {value!r}; expected 'auto', 0, 1 or 2")
    return value
