"""What users pass as arrays, as NumPy arrays; refused where something of them would be lost."""

import numpy as np

from .device_arrays import OnDevice, is_on_device, to_host


def plain_array(name, value):
    """A NumPy array without a mask; nothing is copied that is one already. What lies on a CUDA device is
    copied to host memory, unless it has been adopted.
    """
    if type(value) in (np.ndarray, OnDevice):
        return value
    if is_on_device(value):
        return to_host(name, value)
    _whole(name, value)
    kind = type(value).__name__
    try:
        array = np.asarray(value)
    except TypeError as error:
        raise TypeError(
            f"{name} is of type {kind}, which NumPy cannot read: {error}; expected an array in host memory, "
            "of a dtype that NumPy has: convert it first"
        ) from error
    except ValueError as error:
        if "inhomogeneous" not in str(error):
            raise
        raise ValueError(
            f"{name} has rows of different lengths; expected rows of one length{_to_ragged(name)}"
        ) from error
    if array.ndim == 0 and array.dtype == object:
        raise TypeError(f"{name} is of type {kind}; expected an array of numbers")
    return array


def _whole(name, value):
    """Refuse what NumPy would read only a part of, or could not read without a word from the user."""
    if getattr(value, "requires_grad", False):
        raise TypeError(
            f"{name} is a tensor that requires a gradient, which would be lost; expected one without: call "
            ".detach() on it first"
        )
    parts = value if isinstance(value, (list, tuple)) else [value]
    if any(isinstance(part, np.ma.MaskedArray) for part in parts):
        raise TypeError(
            f"{name} is a masked array, whose mask would be lost; expected a plain array, as .filled(0) "
            "makes: mask= tells a layer of masked steps"
        )
    # PyTorch names the layout of every tensor; sparse arrays of other libraries have toarray().
    layout = str(getattr(value, "layout", "")).startswith(("torch.sparse", "torch.jagged"))
    if layout or getattr(value, "is_nested", False) or hasattr(value, "toarray"):
        raise TypeError(
            f"{name} is of type {type(value).__name__}, sparse or nested; expected a dense "
            f"array{_to_ragged(name)}: convert it first"
        )


def _to_ragged(name):
    return ", or numbarnn.Ragged.from_rows(rows)" if name == "x" else ""


def conversion(name, value, array, wanted):
    """What to write to have the `array` that `value` is in the dtype `wanted`, even at a loss; nothing where
    it does not hold numbers.
    """
    if array.dtype == object and array.size and hasattr(array.flat[0], "__len__"):
        return _to_ragged(name)
    if array is value and array.dtype.kind in "biufO":
        return f": use {name}.astype({wanted!r})"
    return f": use numpy.asarray({name}, {wanted!r})" if array.dtype.kind in "biuf" else ""


def real_array(name, value, wanted):
    """A C-contiguous, aligned array of dtype `wanted`; converted if that loses nothing."""
    return _converted(name, value, plain_array(name, value), wanted)


def _converted(name, value, array, wanted):
    if array.dtype != wanted or not (array.flags.c_contiguous and array.flags.aligned):
        if isinstance(array, OnDevice):
            raise TypeError(
                f"{name} lies on a CUDA device with dtype {array.dtype}, strides {array.strides}; expected "
                f"{wanted}, C-contiguous: convert it there first"
            )
        if array.dtype == np.bool_ or not np.can_cast(array.dtype, wanted, "safe"):
            hint = conversion(name, value, array, wanted.name)
            raise TypeError(
                f"{name} has dtype {array.dtype}; expected {wanted} or what converts to it without loss{hint}"
            )
        with np.errstate(invalid="ignore"):  # padding may hold signalling NaNs
            array = np.require(array, wanted, ["C", "A"])
    return array


def rounded(array, wanted):
    """A C-contiguous copy of floating-point numbers in the dtype `wanted`, each rounded once."""
    with np.errstate(under="ignore"):  # what is too large is for NumPy to tell of, in the way the user chose
        return array.astype(wanted, order="C")


def strided_array(name, value, wanted):
    """An array of dtype `wanted` whose last axis is contiguous, others as they are; else as `real_array`."""
    array = plain_array(name, value)
    if array.ndim > 1 and array.dtype == wanted and array.flags.aligned:
        together = array.strides[-1] == array.itemsize or array.shape[-1] == 1
        if together and not any(stride % array.itemsize for stride in array.strides):
            return array
    return _converted(name, value, array, wanted)
