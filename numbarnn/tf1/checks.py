"""Checks of what `numbarnn.tf1` is given; worded like those in `checks`."""

import math

import numpy as np

from .. import checks
from ..device_arrays import OnDevice, is_on_device
from ..ragged import Ragged


def dtype(value):
    """float32 or float64; TensorFlow's own are taken too, and None is float32."""
    return checks.dtype("float32" if value is None else getattr(value, "as_numpy_dtype", value))


def number(name, value):
    """A finite number."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.floating, np.integer)):
        raise TypeError(f"{name} = {value!r} is of type {type(value).__name__}; expected a number")
    if not math.isfinite(value):
        raise ValueError(f"{name} = {value!r}; expected a finite number")
    return float(value)


def limit(name, value):
    """A number to clip to, or None."""
    return None if value is None else number(name, value)


def share(name, value):
    """A probability: a number from 0 to 1."""
    value = number(name, value)
    if not 0 <= value <= 1:
        raise ValueError(f"{name} = {value}; expected a probability, from 0 to 1")
    return value


def parts(name, value, count, names=""):
    """A list or tuple of `count` parts."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(f"{name} is of type {type(value).__name__}; expected a tuple of {count}{names}")
    if len(value) != count:
        raise ValueError(f"{name} has {len(value)} part(s); expected {count}{names}")
    return value


def one_matrix(name, value, sizes):
    """A state given as one matrix, divided into matrices of `sizes` columns."""
    if isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, tuple) or is_on_device(value):
        raise TypeError(
            f"{name} is of type {type(value).__name__}, and the cell has state_is_tuple=False; expected one "
            f"array in host memory, of shape (batch, {sum(sizes)}): make the cell with state_is_tuple=True"
        )
    array = np.asarray(value)
    if array.ndim != 2 or array.shape[1] != sum(sizes):
        raise ValueError(f"{name} has shape {array.shape}; expected (batch, {sum(sizes)})")
    ends = np.cumsum(sizes)
    return [array[:, end - size : end] for size, end in zip(sizes, ends, strict=True)]


def own_dtype(value, own):
    """Nothing, or the dtype that the weights have anyway."""
    if value is not None and dtype(value) != own:
        raise ValueError(f"dtype = {value!r}; expected {own.name!r}, which the weights have: leave it out")


def on_host(name, array):
    """An array in host memory, the only place where layers of cuDNN's kind run here."""
    if isinstance(array, OnDevice):
        raise ValueError(
            f"{name} lies on a CUDA device; expected an array in host memory: copy it there first, or run "
            "the layers one by one, as numbarnn.LSTM or numbarnn.GRU"
        )
    return array


def dense(name, value):
    """No Ragged."""
    if isinstance(value, Ragged):
        raise TypeError(
            f"{name} is a Ragged; expected an array: value.to_padded(), and the lengths beside it"
        )
    return value


def joined(states):
    """States as one matrix, side by side."""
    states = list(states)
    for state in states:
        if not isinstance(state, np.ndarray):
            raise ValueError(
                f"the state is of type {type(state).__name__}, where the inputs lie, and the cell has "
                "state_is_tuple=False, which joins arrays in host memory only; expected a cell made with "
                "state_is_tuple=True"
            )
    return np.concatenate(states, axis=1)


def inputs_of(kernel, name, recurrent):
    """The number of features of a kernel whose last `recurrent` rows are for something else."""
    if len(kernel) < recurrent:
        raise ValueError(
            f"{name} has shape {kernel.shape}; expected {recurrent} rows or more: those of the inputs, then "
            f"{recurrent} of the recurrent vector"
        )
    return len(kernel) - recurrent


def fits_matrices(initializer, has_vectors):
    """An initialiser of kernels that is also used for peepholes."""
    if initializer == "orthogonal" and has_vectors:
        raise ValueError(
            "initializer = 'orthogonal'; expected another with use_peepholes=True, whose weights are vectors"
            ": 'glorot_uniform', or a function of a shape"
        )
    return initializer


def can_be_added(input_size, output_size):
    """As many inputs as outputs of a cell with a residual connection."""
    if checks.whole("input_size", input_size, 0) != output_size:
        raise ValueError(
            f"input_size = {input_size}; expected {output_size}, the size of the outputs that "
            "ResidualWrapper adds the inputs to"
        )


def fused_stack(cell):
    """A stack of cells that can be wrapped."""
    if not cell.fused:
        raise TypeError(
            f"cell is a {type(cell).__name__} with cells that the kernels do not run; expected fused cells "
            "only, such as numbarnn.tf1.LSTMCell(4): wrap those before they are stacked"
        )
    return cell
