"""Checks of the extra inputs that a call's `extra` holds."""

from .arrays import real_array
from .checks import has_shape, same_place
from .ragged import Ragged


def named(extra, sizes):
    """All arrays that cells ask for, and no others.

    Parameters
    ----------
    extra : dict or None
    sizes : dict
        See `FusedCell.extra_sizes`.
    """
    if extra is None and not sizes:
        return {}
    if extra is not None and not isinstance(extra, dict):
        raise TypeError(f"extra is of type {type(extra).__name__}; expected {_expected(sizes)}")
    given = extra or {}
    for name in given:
        if name not in sizes:
            raise ValueError(f"extra has {name!r}, which no cell declares; expected {_expected(sizes)}")
    for name in sizes:
        if name not in given:
            raise ValueError(f"extra has no {name!r}, which the cell declares; expected {_expected(sizes)}")
    return given


def _expected(sizes):
    if not sizes:
        return "None: no cell here declares extra inputs"
    return "a dict {" + ", ".join(f"{name!r}: array {_shape(size)}" for name, size in sizes.items()) + "}"


def _shape(size):
    return f"(batch, time, {size})" if size else "(batch, time)"


def rows(name, value, size, batch, axes):
    """One array as rows (steps, size), the steps in the order of `axes`; `size` 0 is one value per row."""
    label = f"extra[{name!r}]"
    array = real_array(label, value.values if isinstance(value, Ragged) else value, batch.x.dtype)
    same_place(label, array, batch.x)
    if size == 0 and array.shape != (*axes, 1):
        has_shape(label, array, axes, ", one value for each step of x")
    elif size:
        has_shape(label, array, (*axes, size), f", {size} values for each step of x")
    return array.reshape(-1, max(1, size))
