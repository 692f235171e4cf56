"""Checks of states that callers pass, and of what concerns them.

The *layout* of a layer's states is a list of groups of `Field`, one for each entry that users see: a group of
one is an array, a larger one a list of arrays. A layer of one cell has a group for each state, [[h], [c]]; a
stack of cells one for each cell, [[h, c], [h]].
"""

from typing import NamedTuple

import numpy as np

from .arrays import plain_array, real_array, rounded
from .checks import has_shape, integers


class Field(NamedTuple):
    """One state of a cell."""

    name: str
    constant: float  # what it begins with
    units: int


def expected(layout):
    """How the states of a layout are written down, such as ``[h, c]`` or ``[[h, c], h]``."""
    groups = [", ".join(field.name for field in group) for group in layout]
    return ", ".join(
        f"[{names}]" if len(group) > 1 else names for group, names in zip(layout, groups, strict=True)
    )


def flatten(name, value, layout):
    """States as given, in the order of the layout's fields, each with what it is called: triples (label,
    field, value).
    """
    if len(layout) == len(layout[0]) == 1 and not isinstance(value, (list, tuple)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        raise TypeError(
            f"{name} is of type {type(value).__name__}; expected a list of {len(layout)} arrays: "
            f"[{expected(layout)}]"
        )
    if len(value) != len(layout):
        raise ValueError(f"{name} has {len(value)} array(s); expected {len(layout)}: [{expected(layout)}]")
    flat = []
    for k, (entry, group) in enumerate(zip(value, layout, strict=True)):
        if len(group) == 1:
            flat.append((f"{name}[{k}]", group[0], entry))
        elif isinstance(entry, (list, tuple)) and len(entry) == len(group):
            flat += [(f"{name}[{k}][{j}]", field, entry[j]) for j, field in enumerate(group)]
        else:
            size = f" of {len(entry)}" if isinstance(entry, (list, tuple)) else ""
            raise ValueError(
                f"{name}[{k}] is a {type(entry).__name__}{size}; expected a list of {len(group)} arrays: "
                f"[{expected([group])}]".replace("[[", "[").replace("]]", "]")
            )
    return flat


def nested(flat, layout):
    """Values in the order of the layout's fields as users see them: one entry for each group."""
    values = iter(flat)
    entries = [[next(values) for _ in group] for group in layout]
    return [entry if len(entry) > 1 else entry[0] for entry in entries]


def states(flat, B, wanted):
    """States, as `flatten` returns them, as arrays (B, units) of dtype `wanted`."""
    arrays = [real_array(label, value, wanted) for label, _, value in flat]
    for (label, field, _), array in zip(flat, arrays, strict=True):
        has_shape(f"{label} ({field.name})", array, (B, field.units), ", (batch, units)")
    return arrays


def float_states(flat, B, wanted):
    """States to be stored: as `states`, but any float dtype is rounded once."""
    plain = [(label, field, plain_array(label, value)) for label, field, value in flat]
    return states(
        [
            (label, field, rounded(array, wanted) if array.dtype.kind == "f" else array)
            for label, field, array in plain
        ],
        B,
        wanted,
    )


def rows(value, B):
    """Row numbers from indices or a bool mask."""
    array = plain_array("rows", value)
    if array.dtype == np.bool_:
        has_shape("rows", array, (B,), ", one flag for each row of the batch")
        return np.flatnonzero(array)
    array = np.atleast_1d(integers("rows", value))
    if array.ndim != 1:
        raise ValueError(f"rows has shape {array.shape}; expected row numbers, or one flag for each row")
    outside = np.flatnonzero((array < -B) | (array >= B))
    if outside.size:
        k = outside[0]
        raise ValueError(f"rows[{k}] = {array[k]}; expected row numbers from 0 to {B - 1}")
    return array


def batch_of(B, expected_size):
    """A stateful layer's batch size, which its first call fixed."""
    if B != expected_size:
        raise ValueError(
            f"x has batch size {B}; the layer's states were made for batch size {expected_size}: "
            "keep the batch size, or call reset_states(states) with states of the new one, or make "
            "another layer"
        )


def is_stateful(stateful):
    """The layer keeps states."""
    if not stateful:
        raise ValueError(
            "reset_states: the layer has stateful=False and keeps no states; make it with stateful=True, "
            "or use stepper()"
        )


def no_rows_yet(rows):
    """Rows can be reset once the first call has fixed how many there are."""
    if rows is not None:
        raise ValueError(
            f"rows = {rows!r}; the layer has no states yet: its first call, or reset_states(states), "
            "fixes the batch size"
        )
