"""Checks of cells written in Python and of what they return; worded like those in `checks`."""

import inspect
import operator

import numpy as np

from .arrays import plain_array, real_array
from .checks import output, ragged_target
from .checks_states import batch_of
from .device_arrays import is_on_device
from .nests import Shape, flatten, is_nested, named_leaves, pack_as, same_structure
from .ragged import Ragged

# The cell


def is_python_cell(value):
    """Whether a value can be a cell: an object, no class, with a state_size and something to call."""
    runs = callable(value) or callable(getattr(value, "call", None))
    return runs and not isinstance(value, type) and getattr(value, "state_size", None) is not None


def python_cell(value, name="cell"):
    """A cell that the loop in Python can run."""
    kind = type(value).__name__
    if isinstance(value, type):
        raise TypeError(
            f"{name} is the class {value.__name__}; expected a cell made of it: {value.__name__}(...)"
        )
    if not is_python_cell(value):
        missing = "a state_size" if getattr(value, "state_size", None) is None else "a method call"
        raise TypeError(
            f"{name} is of type {kind}, without {missing}; expected a cell: LSTMCell, GRUCell, "
            "SimpleRNNCell, FusedCell(definition, units), or an object with state_size and "
            "call(inputs, states) -> (output, new_states)"
        )
    return value


def cells(value):
    """The cells of a stack, as a list."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"cells is of type {type(value).__name__}; expected a list of cells")
    if not value:
        raise ValueError("cells is empty; expected at least one cell")
    return [python_cell(cell, f"cells[{k}]") for k, cell in enumerate(value)]


def one_dtype(cells, fused):
    """Fused cells of a stack, which hand each other arrays of their dtype."""
    first, *others = [cell for cell in cells if isinstance(cell, fused)] or [None]
    for cell in others:
        if cell.dtype != first.dtype:
            raise ValueError(
                f"cells: {cell!r} has dtype {cell.dtype}, and {first!r} {first.dtype}; expected one dtype"
            )


def parts(name, value, counts):
    """A list divided into lists of `counts` values."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} is of type {type(value).__name__}; expected a list of {sum(counts)} arrays")
    if len(value) != sum(counts):
        raise ValueError(
            f"{name} has {len(value)} array(s); expected {sum(counts)}: "
            f"{' + '.join(map(str, counts))}, cell by cell"
        )
    ends = np.cumsum(counts, dtype=int)
    return [list(value[end - count : end]) for count, end in zip(counts, ends, strict=True)]


def has_weights(cell):
    """A cell that takes weights."""
    if not hasattr(cell, "set_weights"):
        raise TypeError(
            f"set_weights: the cell is of type {type(cell).__name__}, without set_weights(weights); expected "
            "a cell with one: give it one, or set its weights yourself"
        )
    return cell


def entries_of(name, states, count, what="one for each part of the state"):
    """States as a list of `count` entries."""
    if not isinstance(states, (list, tuple)):
        raise TypeError(f"{name} is of type {type(states).__name__}; expected a list of {count}, {what}")
    if len(states) != count:
        raise ValueError(f"{name} has {len(states)} part(s); expected {count}, {what}")
    return states


def sizes(name, value):
    """A nest of sizes with a `Shape` for each."""
    return pack_as(value, [_size(path, size) for path, size in named_leaves(name, value)])


def _size(name, value):
    if isinstance(value, Shape):
        return value
    if hasattr(value, "as_list"):
        return Shape(*value.as_list())
    try:
        size = operator.index(value)
    except TypeError:
        size = None
    if size is None or isinstance(value, (bool, np.bool_)):
        raise TypeError(
            f"{name} is of type {type(value).__name__}; expected a whole number, numbarnn.Shape(...), or "
            "these in lists, tuples and dicts"
        )
    if size < 0:
        raise ValueError(f"{name} = {size}; expected at least 0")
    return Shape(size)


def dtype_of(cell):
    """The dtype that a cell says it has, or None."""
    value = getattr(cell, "dtype", None)
    if value is None:
        return None
    try:
        return np.dtype(getattr(value, "as_numpy_dtype", value))
    except TypeError as error:
        raise TypeError(f"cell.dtype = {value!r}; expected a dtype of NumPy's, or none") from error


def arguments(function):
    """Names of the arguments that a function of the user's spells out."""
    kinds = inspect.signature(function).parameters.values()
    return {known.name for known in kinds if known.kind in (known.POSITIONAL_OR_KEYWORD, known.KEYWORD_ONLY)}


def builds_itself(cell):
    """Cells of this library make their weights at their first step."""
    from .fused import FusedCell
    from .stacked import StackedRNNCells

    return isinstance(cell, (FusedCell, StackedRNNCells))


def on_host(device):
    """What is written in Python for NumPy arrays runs on no device."""
    if device == "cuda":
        raise ValueError(
            "device = 'cuda'; the cell is written in Python, and the loop that calls it runs on the CPU: "
            "expected 'auto' or 'cpu', or a cell made with numbarnn.cell, which runs on either"
        )


def has_output_size(cell):
    """Where no step is taken, nothing else tells what the outputs would be."""
    if getattr(cell, "output_size", None) is None:
        raise ValueError(
            "no step is taken, and the cell has no output_size; expected one, which then tells the shape of "
            "the outputs: a whole number, numbarnn.Shape(...), or a nest of these"
        )
    return cell.output_size


# Arrays


def _in_host_memory(name, value):
    if isinstance(value, Ragged):
        raise TypeError(f"{name} is a Ragged inside a nest; expected arrays there, or one Ragged as x alone")
    if is_on_device(value):
        raise ValueError(
            f"{name} lies on a CUDA device, and the cell is written in Python, which runs on the CPU; "
            "expected an array in host memory: copy it there first"
        )
    array = plain_array(name, value)
    if array.dtype.kind not in "biufc":
        raise TypeError(f"{name} has dtype {array.dtype}; expected numbers or bool")
    return array


def sequences(x, time_major):
    """The leaves of x as arrays (B, T, ...), or (T, B, ...) with `time_major`: of one B and one T."""
    axes = "(time, batch, ...)" if time_major else "(batch, time, ...)"
    found = {path: _in_host_memory(path, leaf) for path, leaf in named_leaves("x", x)}
    if not found:
        raise ValueError(f"x has no arrays in it; expected at least one of shape {axes}")
    first, begun = next((path, array.shape[:2]) for path, array in found.items())
    for path, array in found.items():
        if array.ndim < 3:
            hint = ": a list of numbers is a nest here, make an array of it" if array.ndim == 0 else ""
            hint = hint or f": {path}[..., None] has one feature" if array.ndim == 2 else hint
            raise ValueError(
                f"{path} has shape {array.shape}; expected three axes or more, {axes}, the others of your "
                f"choice{hint}"
            )
        if array.shape[:2] != begun:
            raise ValueError(
                f"{path} has shape {array.shape}; expected {axes} with {begun} first, as {first} has"
            )
    return list(found.values())


def ragged_values(values):
    """The values of a Ragged as an array (steps, ...) of at least two axes."""
    array = _in_host_memory("x.values", values)
    if array.ndim < 2:
        raise ValueError(f"x.values has shape {array.shape}; expected (steps, ...), two axes or more")
    return array


def kept_states(value, B):
    """The states of a stateful layer, of the batch size of its first call."""
    for array in flatten(value):
        batch_of(B, len(array))
    return value


def kept_already(states):
    """A stateful layer whose cell is written in Python has a batch size after its first call only."""
    if states is not None:
        raise ValueError(
            "states are given, and the layer has none yet; expected a call first, which fixes the batch "
            "size: pass them to that call as initial_state"
        )


def as_states(value):
    """Keras' form of states: one alone stands for a list of one."""
    return value if is_nested(value) else [value]


def first_states(value, expected, B):
    """What a cell's get_initial_state returned: a nest of new arrays as the state_size `expected` tells."""
    name, value = "get_initial_state's result", as_states(value)
    same_structure(name, value, "state_size", expected)
    arrays = []
    for (path, leaf), size in zip(named_leaves(name, value), flatten(expected), strict=True):
        arrays.append(np.array(_in_host_memory(path, leaf), order="C"))
        _shape(path, arrays[-1], (B, *size), ", (batch, *size) by state_size")
    return pack_as(value, arrays)


def states(name, value, like):
    """States that a caller gives: arrays of the shapes and dtypes of `like`, and nested so."""
    value = as_states(value)
    same_structure(name, value, "the cell's state", like)
    pairs = zip(named_leaves(name, value), flatten(like), strict=True)
    arrays = [
        real_array(path, _in_host_memory(path, leaf), expected.dtype) for (path, leaf), expected in pairs
    ]
    for (path, _), array, expected in zip(named_leaves(name, value), arrays, flatten(like), strict=True):
        _shape(path, array, expected.shape, ", (batch, *size) by the cell's state_size")
    return pack_as(like, arrays)


def result(value):
    """The two things that a cell returns."""
    if not isinstance(value, (tuple, list)) or len(value) != 2:
        kind = f"{len(value)} values" if isinstance(value, (tuple, list)) else type(value).__name__
        raise TypeError(f"the cell returned {kind}; expected (output, new_states)")
    return value


def new_states(value, like):
    """The new states of a cell as a list of arrays, in the order of the leaves of `like`, the old ones."""
    value = as_states(value)
    same_structure("new_states", value, "states", like)
    return _alike("new_states", value, flatten(like), "as the state has")


def outputs(value, B, like=None):
    """The outputs of a cell as a list of arrays (B, ...), alike at every step (`like`: a nest of others)."""
    if like is not None:
        same_structure("output", value, "the first step's output", like)
        return _alike("output", value, flatten(like), "as at the first step")
    arrays = [_in_host_memory(path, leaf) for path, leaf in named_leaves("output", value)]
    for (path, _), array in zip(named_leaves("output", value), arrays, strict=True):
        if array.shape[:1] != (B,):
            raise ValueError(f"the cell's {path} has shape {array.shape}; expected ({B}, ...), (batch, ...)")
    return arrays


def write(name, out, results):
    """Copy results into `out`, arrays of their shapes and dtypes, nested alike; return these."""
    same_structure(name, out, "the result", results)
    targets, made = [], []
    for (path, target), result in zip(named_leaves(name, out), flatten(results), strict=True):
        ragged = isinstance(result, Ragged)
        values, array = (result.values, ragged_target(target, result.offsets)) if ragged else (result, target)
        output(array, values.shape, values.dtype, *targets, label=path)
        targets.append(array)
        made.append(Ragged(array, result.offsets) if ragged and array is target else target)
    for target, result in zip(targets, flatten(results), strict=True):
        target[...] = result.values if isinstance(result, Ragged) else result
    return pack_as(results, made)


def _alike(name, value, expected, why):
    arrays = []
    for (path, leaf), other in zip(named_leaves(name, value), expected, strict=True):
        array = _in_host_memory(path, leaf)
        _shape(f"the cell's {path}", array, other.shape, f", {why}")
        if array.dtype != other.dtype:
            raise TypeError(
                f"the cell's {path} has dtype {array.dtype}; expected {other.dtype}, {why}: give the cell a "
                "dtype, or have it return one dtype always"
            )
        arrays.append(array)
    return arrays


def _shape(name, array, expected, why):
    if array.shape != expected:
        raise ValueError(f"{name} has shape {array.shape}; expected {expected}{why}")


def mergeable(y, other, merge_mode):
    """Outputs of two directions that are merged element by element."""
    if y.shape != other.shape:
        raise ValueError(
            f"the forward layer's outputs have shape {y.shape}, the backward layer's {other.shape}; expected "
            f"the same with merge_mode = {merge_mode!r}: use 'concat' or None"
        )
