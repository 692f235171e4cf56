"""Checks of what `dynamic_rnn` and `bidirectional_dynamic_rnn` are given, told by the names it has there."""

import numpy as np

from . import checks, checks_loop, checks_states, places
from .arrays import plain_array, strided_array
from .device_arrays import is_on_device
from .fused import FusedCell
from .nests import flatten, named_leaves, pack_as
from .ragged import Ragged
from .recurrent import Recurrent
from .stacked import StackedRNNCells

# The cell


def cell(name, value):
    """A cell; cells in a list are a stack."""
    if isinstance(value, Recurrent):
        raise TypeError(
            f"{name} is a layer, {value!r}; expected a cell: pass its layer.cell, which has the weights"
        )
    if isinstance(value, (list, tuple)):
        return StackedRNNCells(value)
    return checks_loop.python_cell(value, name)


def is_fused(cell):
    """Whether the kernels run it."""
    return isinstance(cell, FusedCell) or (isinstance(cell, StackedRNNCells) and cell.fused)


def dtype(value, cell, name, x):
    """Nothing, or the dtype that the cell's states have anyway; TensorFlow's dtypes are known too."""
    if value is None:
        return
    known = dtype_of_states(cell, x)
    try:
        asked = np.dtype(getattr(value, "as_numpy_dtype", value))
    except TypeError as error:
        raise TypeError(f"dtype = {value!r}; expected {known.name!r}, as {name} has") from error
    if asked != known:
        raise ValueError(
            f"dtype = {asked.name!r}; expected {known.name!r}, as {name} has: leave dtype out, or make "
            f"{name} with dtype={asked.name!r}"
        )


def dtype_of_states(cell, x):
    """The cell's dtype; where it has none, that of the (first) inputs, if they are floating-point."""
    own = checks_loop.dtype_of(cell)
    if own is not None:
        return own
    first = flatten(x)[0]
    found = np.dtype((first.values if isinstance(first, Ragged) else first).dtype)
    return found if found.kind == "f" else np.dtype(np.float32)


def same_dtype(cell_fw, cell_bw):
    """Two fused cells that run side by side."""
    if cell_fw.dtype != cell_bw.dtype:
        raise ValueError(
            f"cell_bw has dtype {cell_bw.dtype}, cell_fw {cell_fw.dtype}; expected one dtype in both"
        )


# Inputs


def fused_inputs(value, cell, time_major):
    """Inputs of a fused cell, wherever they lie: an array of three axes, or a Ragged as it is."""
    ragged = isinstance(value, Ragged)
    name, given = ("inputs.values", value.values) if ragged else ("inputs", value)
    array = strided_array(name, places.adopt(name, given), cell.dtype)
    axes = "(steps, features)" if ragged else _axes(time_major, "features")
    if array.ndim != axes.count(",") + 1:
        raise ValueError(f"{name} has shape {array.shape}; expected {axes}")
    if cell.input_size not in (None, array.shape[-1]):
        raise ValueError(
            f"{name} has shape {array.shape}, {array.shape[-1]} features; expected {axes} with "
            f"{cell.input_size} features"
        )
    return value if ragged else array


def nested_inputs(value, cell, time_major):
    """Inputs of a cell written in Python: arrays of one batch size and one number of steps, nested in any
    way, or a Ragged as it is.
    """
    if isinstance(value, Ragged):
        return value
    axes, arrays = _axes(time_major, "..."), {}
    for path, leaf in named_leaves("inputs", value):
        arrays[path] = _nested_input(path, leaf, axes)
        first = next(iter(arrays))
        if arrays[path].shape[:2] != arrays[first].shape[:2]:
            raise ValueError(
                f"{path} has shape {arrays[path].shape}; expected {axes} with {arrays[first].shape[:2]} "
                f"first, as {first} has"
            )
    if not arrays:
        raise ValueError(f"inputs has no arrays in it; expected at least one of shape {axes}")
    return pack_as(value, arrays.values())


def _nested_input(path, leaf, axes):
    if isinstance(leaf, Ragged):
        raise TypeError(f"{path} is a Ragged inside a nest; expected arrays there, or one Ragged alone")
    if is_on_device(leaf):
        raise ValueError(
            f"{path} lies on a CUDA device, and the cell is written in Python, which runs on the CPU; "
            "expected an array in host memory: copy it there first"
        )
    array = plain_array(path, leaf)
    if array.ndim < 3:
        hint = ": a list of numbers is a nest here, make an array of it" if array.ndim == 0 else ""
        raise ValueError(f"{path} has shape {array.shape}; expected three axes or more, {axes}{hint}")
    return array


def _axes(time_major, others):
    return f"(time, batch, {others})" if time_major else f"(batch, time, {others})"


def rows_and_lengths(x, sequence_length, time_major, name="sequence_length"):
    """B, and the valid steps of each row, (B,), or None; `name` is what the caller calls them."""
    if isinstance(x, Ragged):
        for which, given in ((name, sequence_length is not None), ("time_major", time_major)):
            if given:
                raise ValueError(
                    f"{which} is given with Ragged inputs, whose rows have their own lengths; expected none"
                    ": leave it out"
                )
        return len(x), None
    axes = flatten(x)[0].shape[:2]
    T, B = axes if time_major else axes[::-1]
    return B, None if sequence_length is None else _lengths(name, sequence_length, B, T)


def _lengths(name, value, B, T):
    array = checks.integers(name, value)
    swapped = ": are the batch and time axes of inputs swapped? see time_major" if array.shape == (T,) else ""
    checks.has_shape(name, array, (B,), f", one length for each row of inputs{swapped}")
    wrong = ((array < 0) | (array > T)).nonzero()[0]
    if wrong.size:
        b = wrong[0]
        comparison = "is negative" if array[b] < 0 else f"exceeds the {T} steps of inputs"
        raise ValueError(f"{name}[{b}] = {array[b]} {comparison}; expected 0 <= {name}[b] <= {T}")
    return array


# States


def fused_states(name, value, cell, x, B):
    """The states that a fused cell is to start from, as a list of arrays."""
    x = x.values if isinstance(x, Ragged) else x
    adopted = [
        (label, field, places.adopt(label, state)) for label, field, state in flat_states(name, value, cell)
    ]
    arrays = checks_states.states(adopted, B, cell.dtype)
    for (label, *_), array in zip(adopted, arrays, strict=True):
        checks.same_place(label, array, places.adopt("inputs", x))
    return arrays


def flat_states(name, value, cell):
    """The state of a fused cell, as its user knows it, as a list of triples (label, field, array).

    A cell that knows its state in another way than as an array or a list of arrays has two methods:
    ``flat_state(state)`` returns that list, ``pack_state(list)`` the state.
    """
    if hasattr(cell, "flat_state"):
        pairs = zip(fields(cell), cell.flat_state(value), strict=True)
        return [(f"{name}'s {field.name}", field, state) for field, state in pairs]
    if isinstance(cell, StackedRNNCells):
        entries = checks_loop.entries_of(name, value, len(cell.cells), "one for each cell")
        pairs = zip(entries, cell.cells, strict=True)
        parts = [flat_states(f"{name}[{k}]", entry, one) for k, (entry, one) in enumerate(pairs)]
        return [triple for part in parts for triple in part]
    return checks_states.flatten(name, value, [[field] for field in cell.fields])


def fields(cell):
    """The states of a fused cell; those of a stack one cell after the other."""
    return [field for one in getattr(cell, "cells", [cell]) for field in one.fields]
