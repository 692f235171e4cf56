"""Checks of what callers pass: each returns the normalised value, or raises with what came, what is expected
and what to do.
"""

import operator

import numpy as np

from .arrays import conversion, plain_array, real_array, rounded, strided_array
from .device import stream_number
from .device_arrays import OnDevice, adopt, is_on_device
from .kernels import halves

# Plain values


def whole(name, value, least):
    """An integer of at least `least`."""
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{name} = {value!r} is of type {type(value).__name__}; expected an integer >= {least}"
        )
    if number < least:
        raise ValueError(f"{name} = {value!r}; expected an integer >= {least}")
    return number


def flag(name, value):
    """True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise TypeError(f"{name} = {value!r} is of type {type(value).__name__}; expected True or False")
    return bool(value)


def rate(name, value):
    """A share of what is dropped, at least 0 and below 1."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{name} = {value!r} is of type {type(value).__name__}; expected a number")
    if not 0 <= value < 1:
        raise ValueError(f"{name} = {value!r}; expected a share of at least 0 and below 1")
    return float(value)


def mask_rows(masks, B):
    """Masks that a cell has drawn fit the batch that it is called with."""
    if masks and len(masks[0]) != B:
        raise ValueError(
            f"x_t has batch size {B}; the cell's dropout masks were drawn for {len(masks[0])} rows: call its "
            "reset_dropout_mask() before another batch"
        )


def dtype(value):
    """float32 or float64."""
    named = (
        value in ("float32", "float64", np.float32, np.float64) if isinstance(value, (str, type)) else False
    )
    if not named and not (isinstance(value, np.dtype) and value in (np.dtype("f4"), np.dtype("f8"))):
        raise TypeError(f"dtype = {value!r}; expected 'float32' or 'float64'")
    return np.dtype(value)


def only_default(name, value, default):
    """An argument whose name is fixed, but of which this version knows one value only."""
    plain = value is None or isinstance(value, (bool, int, float, str))
    if not plain or value != default:
        raise ValueError(
            f"{name} = {value!r}; expected {default!r}, the only value that this version knows: leave it out"
        )


def count(name, value, expected):
    """A list of so many entries, as a list of its own."""
    if len(value) != expected:
        raise ValueError(f"{name} has {len(value)} entries; expected {expected}")
    return list(value)


def can_be_compiled(layer):
    """A layer that has compiled parts."""
    if isinstance(layer, type) or not hasattr(layer, "compile_kernels"):
        raise TypeError(f"layer is of type {type(layer).__name__}; expected a layer, such as LSTM(units)")
    return layer


def has_weights(layer, programs):
    """The programs of a layer that has been built."""
    if None in programs:
        raise ValueError(f"layer {layer.name!r} has no weights yet; call its build(input_size) first")
    return programs


def dense_only(lengths, mask, time_major):
    """Arguments that a Ragged makes meaningless."""
    for name, given in (
        ("lengths", lengths is not None),
        ("mask", mask is not None),
        ("time_major", time_major),
    ):
        if given:
            raise ValueError(
                f"{name} is given with a Ragged x, whose rows have their own lengths; expected none: "
                "leave it out"
            )


def ragged_target(out, expected):
    """The array to write of an `out` given with a Ragged x: flat, or a Ragged with the same offsets."""
    from .ragged import Ragged

    if not isinstance(out, Ragged):
        return out
    if not np.array_equal(out.offsets, expected):
        raise ValueError("out is a Ragged with other offsets than x; expected the same rows")
    return out.values


# Arrays


def has_shape(name, array, expected, hint=""):
    """The array has just this shape; None stands for any number of features."""
    if array.shape != expected:
        axes = str(expected).replace("None", "features")
        raise ValueError(f"{name} has shape {array.shape}; expected {axes}{hint}")


def inputs(x, input_size, wanted, time_major):
    """x as (B, T, I), or (T, B, I) with `time_major`: C-contiguous, or a view that kernels can follow."""
    array = strided_array("x", x, wanted)
    axes = "(time, batch, features)" if time_major else "(batch, time, features)"
    if array.ndim != 3:
        one, step = ("x[:, None]", "x[None]") if time_major else ("x[None]", "x[:, None]")
        hint = f": {one} is one sequence, {step} one step of a batch" if array.ndim == 2 else ""
        raise ValueError(f"x has shape {array.shape}; expected three axes, {axes}{hint}")
    if input_size is not None and array.shape[2] != input_size:
        hint, other = "", (axes.strip("()").split(", ")[k] for k in range(2) if array.shape[k] == input_size)
        for axis in other:
            hint = f": are the {axis} and feature axes swapped?"
        raise ValueError(
            f"x has shape {array.shape}, {array.shape[2]} features; expected {axes} with {input_size} "
            f"features{hint}"
        )
    return array


def ragged_inputs(values, input_size, wanted):
    """The values of a Ragged as (steps, I)."""
    array = real_array("x.values", values, wanted)
    if array.ndim != 2 or input_size not in (None, array.shape[1]):
        raise ValueError(f"x.values has shape {array.shape}; expected (steps, {input_size or 'features'})")
    return array


def step_inputs(x_t, input_size, wanted, batch_size=None):
    """x_t as (B, I)."""
    array = real_array("x_t", x_t, wanted)
    if (
        array.ndim != 2
        or input_size not in (None, array.shape[1])
        or batch_size not in (None, array.shape[0])
    ):
        raise ValueError(
            f"x_t has shape {array.shape}; expected ({batch_size or 'batch'}, {input_size or 'features'})"
        )
    return array


def integers(name, value):
    """An array of integers of any kind."""
    array = plain_array(name, value)
    if array.size == 0 and not isinstance(value, np.ndarray):
        array = array.astype(np.int64)  # an empty list has no dtype of its own
    if array.dtype.kind not in "iu":
        hint = conversion(name, value, array, "int64")
        if name == "lengths" and array.dtype == np.bool_:
            hint = ": a mask? pass it as mask=, or lengths=mask.sum(axis=1)"
        raise TypeError(f"{name} has dtype {array.dtype}; expected integers{hint}")
    return array


def lengths(value, B, T, shape):
    """Valid steps of each row, int64 (B,)."""
    array = integers("lengths", value)
    swapped = ": are its batch and time axes swapped? see time_major" if array.shape == (T,) else ""
    has_shape("lengths", array, (B,), f", one length for each row of x, which has shape {shape}{swapped}")
    if ((array < 0) | (array > T)).any():
        b = np.flatnonzero((array < 0) | (array > T))[0]
        comparison = "is negative" if array[b] < 0 else f"exceeds T = {T}"
        raise ValueError(
            f"lengths[{b}] = {array[b]} {comparison} (x has shape {shape}); lengths must satisfy 0 <= "
            "lengths[b] <= T"
        )
    return np.require(array, np.int64, ["C", "A"])


def offsets(value, steps):
    """Where the rows of a Ragged begin: a read-only int64 copy (rows + 1,)."""
    array = integers("offsets", value)
    if array.ndim != 1 or array.size == 0:
        raise ValueError(f"offsets has shape {array.shape}; expected (rows + 1,)")
    outside = np.flatnonzero((array < 0) | (array > steps))
    if outside.size:
        b = outside[0]
        raise ValueError(
            f"offsets[{b}] = {array[b]}; expected from 0 to {steps}, the number of steps in values"
        )
    array = array.astype(np.int64)
    if array[0] != 0 or array[-1] != steps:
        hint = ": are these lengths? use numpy.cumsum([0, *lengths])" if array.sum() == steps else ""
        raise ValueError(
            f"offsets runs from {array[0]} to {array[-1]}; expected from 0 to {steps}, the number of steps "
            f"in values{hint}"
        )
    falls = np.flatnonzero(np.diff(array) < 0)
    if falls.size:
        b = falls[0]
        raise ValueError(
            f"offsets[{b + 1}] = {array[b + 1]} is below offsets[{b}] = {array[b]}; offsets must not decrease"
        )
    array.flags.writeable = False
    return array


def rows_of_arrays(value):
    """The rows of a ragged batch, as a list of arrays with the same number of features."""
    if not hasattr(value, "__iter__") or isinstance(value, (str, dict)):
        raise TypeError(
            f"rows is of type {type(value).__name__}; expected a list of arrays of shape (length, features)"
        )
    arrays = [plain_array(f"rows[{b}]", row) for b, row in enumerate(value)]
    if not arrays:
        raise ValueError(
            "rows is empty; expected at least one array of shape (length, features), which may have length 0"
        )
    for b, array in enumerate(arrays):
        if array.ndim != 2:
            hint = f": rows[{b}][:, None] has one feature" if array.ndim == 1 else ""
            raise ValueError(f"rows[{b}] has shape {array.shape}; expected (length, features){hint}")
        if array.shape[1] != arrays[0].shape[1]:
            raise ValueError(
                f"rows[{b}] has shape {array.shape}; expected (length, {arrays[0].shape[1]}), with the "
                "features of rows[0]"
            )
    return arrays


def steps(value):
    """The steps of all rows of a ragged batch; those on a CUDA device stay there."""
    if is_on_device(value):
        return value if hasattr(value, "shape") else adopt("values", value)
    array = plain_array("values", value)
    if array.ndim < 1:
        raise ValueError("values is a single number; expected an array of steps, of shape (steps, features)")
    return array


def filler(value, wanted):
    """What padding is filled with: a number that the values' dtype can hold."""
    array = np.asarray(value)
    if array.ndim or array.dtype.kind not in "biuf" + wanted.kind:
        raise TypeError(f"fill = {value!r}; expected one number, as the values of dtype {wanted} are")
    return value


def step_flags(name, value, expected, transpose=False):
    """A mask or resets: bool, C-contiguous, batch-major."""
    array = plain_array(name, value)
    if array.dtype != np.bool_:
        hint = conversion(name, value, array, "bool")
        if name == "mask" and array.ndim == 1 and array.dtype.kind in "iu":
            hint = ": lengths? pass them as lengths="
        raise TypeError(f"{name} has dtype {array.dtype}; expected bool{hint}")
    swapped = ": are the batch and time axes swapped?" if array.shape == expected[::-1] else ""
    has_shape(name, array, expected, ", one flag for each step of x" + swapped)
    return np.require(array.T if transpose else array, np.bool_, ["C", "A"])


def exclusive(lengths, mask):
    """Lengths and a mask say the same thing in two ways."""
    if lengths is not None and mask is not None:
        raise ValueError("lengths and mask are both given; expected one of them: a mask can express lengths")


def output(array, shape, wanted, *read, label="out"):
    """An array to write to: of the very shape and dtype, and overlapping none of the arrays in `read`."""
    if type(array) not in (np.ndarray, np.memmap, OnDevice):
        raise TypeError(f"{label} is of type {type(array).__name__}; expected a NumPy array to write to")
    if array.dtype != wanted:
        raise ValueError(f"{label} has dtype {array.dtype}; expected {wanted}")
    has_shape(label, array, shape)
    if not array.flags.carray:
        raise ValueError(
            f"{label} is not C-contiguous, aligned and writable; expected an array as numpy.empty makes it"
        )
    for other in read:
        if _share(array, other):
            raise ValueError(
                f"{label} overlaps an input, a state, a weight or another output; expected memory of its own"
            )


def _share(array, other):
    """Whether an element lies in both arrays; also where that would take long to tell."""
    if isinstance(array, OnDevice) and isinstance(other, OnDevice):
        return array.span[0] < other.span[1] and other.span[0] < array.span[1]
    if not (isinstance(array, np.ndarray) and isinstance(other, np.ndarray)):
        return False
    if not np.may_share_memory(array, other):
        return False
    try:
        return np.shares_memory(array, other, max_work=10_000)
    except np.exceptions.TooHardError:
        return True


def same_place(name, array, x):
    """An array lies where the inputs are: in host memory, or on the same device."""
    places = [value.device if isinstance(value, OnDevice) else None for value in (array, x)]
    if places[0] is not places[1]:
        here, there = (f"on {place!r}" if place else "in host memory" for place in places)
        raise ValueError(f"{name} lies {here}, x {there}; expected both in one place: copy it there first")


def stream(value):
    """The number of a CUDA stream, or None."""
    return None if value is None else stream_number(value)


def stream_of(value, device):
    """A stream is given only with a device; the CPU has none."""
    if device is None and value is not None:
        raise ValueError(
            f"stream = {value!r}; the call runs on the CPU, which has no streams: leave it out, or pass "
            "arrays on a CUDA device"
        )


def weights_for(device, weights_dtype):
    """Matrices in 16 bits are for the CPU."""
    if device is not None and weights_dtype is not None:
        raise ValueError(
            f"weights_dtype = {weights_dtype!r}; expected None on a CUDA device, whose kernels read "
            "weights in the layer's dtype: make the layer without it, or run it on arrays in host memory"
        )


def flush_for(device, flush_denormals):
    """Denormal numbers are flushed on the CPU."""
    if device is not None and flush_denormals:
        raise ValueError(
            "flush_denormals = True; expected False on a CUDA device, whose kernels keep denormal numbers at "
            "no cost: make the layer without it, or run it on arrays in host memory"
        )


LEAST_INFINITE = {"float16": 65520.0, "bfloat16": 3.3961775e38}  # where rounding to infinity begins


def within_range(arrays, matrices, weights_dtype):
    """Weights, by name, of which none that is finite is too large for the 16 bits of its matrix."""
    for name in matrices if weights_dtype is not None else ():
        array = arrays[name]
        beyond = array[np.isfinite(array) & np.isinf(halves.rounded(array, weights_dtype))]
        if beyond.size:
            raise ValueError(
                f"{name} has {beyond.size} value(s), such as {beyond[0]}, that weights_dtype = "
                f"{weights_dtype!r} would make infinite; expected magnitudes below "
                f"{LEAST_INFINITE[weights_dtype]}: scale the weights, or leave weights_dtype out"
            )


def outputs(value, shapes, wanted, read, adopt, x, offsets=None, ragged=1):
    """`out` as a list of arrays of `shapes` (pairs of name and shape), each as of `output`, none over
    another, where `x` is; with `offsets` the first `ragged` may be of type Ragged. ``adopt(name, array)``
    finds those on a device.
    """
    names = ", ".join(name for name, _ in shapes)
    if len(shapes) > 1 and not isinstance(value, tuple):
        raise TypeError(
            f"out is of type {type(value).__name__}; expected a tuple of {len(shapes)} arrays: {names}"
        )
    given = list(value) if len(shapes) > 1 else [value]
    if len(given) != len(shapes):
        raise ValueError(f"out has {len(given)} array(s); expected {len(shapes)}: {names}")
    if offsets is not None:
        given[:ragged] = [ragged_target(array, offsets) for array in given[:ragged]]
    for k, (array, (name, shape)) in enumerate(zip(given, shapes, strict=True)):
        label = "out" if len(shapes) == 1 else f"out[{k}] ({name})"
        given[k] = adopt(label, array)
        output(given[k], shape, wanted, *read, *given[:k], label=label)
        same_place(label, given[k], x)
    return given


def weights(value, shapes, wanted):
    """Weights as arrays of the layer's dtype, rounded once; `shapes` maps their names to shapes, of which the
    kernel's may begin with None: any number of features.
    """
    expected = ", ".join(f"{name} {shape}" for name, shape in shapes.items()).replace("None", "features")
    if not isinstance(value, (list, tuple)):
        raise TypeError(
            f"weights is of type {type(value).__name__}; expected a list of {len(shapes)} arrays: {expected}"
        )
    if len(value) != len(shapes):
        raise ValueError(f"weights has {len(value)} array(s); expected a list of {len(shapes)}: {expected}")
    arrays = []
    for (name, shape), given in zip(shapes.items(), value, strict=True):
        array = plain_array(name, given)
        if array.dtype.kind != "f":
            raise TypeError(f"{name} has dtype {array.dtype}; expected floating-point numbers")
        if shape[0] is None and array.ndim == 2:
            shape = (len(array), *shape[1:])
        swapped = len(shape) == array.ndim == 2 and array.shape != shape and array.shape[0] == shape[1]
        has_shape(name, array, shape, ": transposed? ours is (inputs, gates * units)" if swapped else "")
        arrays.append(rounded(array, wanted))
    return arrays
