"""Checks of what layers and cells are made of: names, functions, definitions, options."""

import inspect

from . import checks_loop
from .checks import flag, whole
from .kernels import halves, jit, simd
from .kernels.activations import ACTIVATIONS
from .kernels.atomics import FLUSH_MODE
from .kernels.cells import TABLE
from .kernels.definition import Cell
from .weights import INITIALIZERS


def one_of(name, value, choices):
    """A member of `choices`."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name} = {value!r}; expected one of {', '.join(map(repr, choices))}")
    return value


def layer_name(value, default):
    """What a layer is called."""
    if value is not None and not isinstance(value, str):
        raise TypeError(f"name = {value!r} is of type {type(value).__name__}; expected a text or None")
    return default if value is None else value


def seed(value):
    """Where the initialisers begin, or None for a new place each time."""
    return None if value is None else whole("seed", value, 0)


def activation(name, value):
    """The function that a Keras name stands for; other functions are taken as they are."""
    if value is None:
        return ACTIVATIONS["linear"]
    if isinstance(value, str):
        return ACTIVATIONS[one_of(name, value, ACTIVATIONS)]
    if not callable(value):
        raise TypeError(f"{name} = {value!r}; expected a name, None or a function written with numbarnn.math")
    return value


def initializer(name, value, none=False):
    """The name of an initialiser, or a function of a shape; None where there may be `none`."""
    return value if callable(value) or (none and value is None) else one_of(name, value, INITIALIZERS)


def weights_dtype(value, dtype):
    """What the matrices are kept in: None for the cell's `dtype`, or one of 16 bits."""
    name = getattr(value, "__name__", getattr(value, "name", value))  # of NumPy's types and dtypes
    if value is not None and (not isinstance(name, str) or name not in halves.DTYPES):
        raise ValueError(f"weights_dtype = {value!r}; expected None, {' or '.join(map(repr, halves.DTYPES))}")
    if value is not None and dtype != "float32":
        raise ValueError(
            f"weights_dtype = {value!r} with dtype = {dtype.name!r}; expected dtype 'float32', or "
            "weights_dtype None, the dtype of all else"
        )
    if name == "float16" and not (jit.DISABLED or simd.widens_float16()):
        raise ValueError(
            f"weights_dtype = {value!r}; the CPU {jit.target_key()[1]!r} that code is generated for has no "
            "instruction that reads float16 (F16C): use 'bfloat16', which needs none, or None"
        )
    return name


def flush_denormals(value):
    """True or False; True where the floating-point mode is known to us."""
    if flag("flush_denormals", value) and not (jit.DISABLED or FLUSH_MODE):
        raise ValueError(
            f"flush_denormals = True; the floating-point mode of {simd.machine()} is not known to numbarnn: "
            "leave it out"
        )
    return bool(value)


def weights_dtype_of(cells):
    """The first 16-bit dtype among those that cells keep their matrices in, or None."""
    return next((cell.weights_dtype for cell in cells if cell.weights_dtype is not None), None)


def sizes(definition, options):
    """The sizes among `options` that a definition names beside its units."""
    for name in definition.sizes:
        if name not in options:
            raise ValueError(
                f"cell {definition.name!r} has vectors of the size {name!r}; expected {name}=..., an integer "
                ">= 1, beside units"
            )
    return {name: whole(name, options[name], 1) for name in definition.sizes}


def definition(value):
    """A cell of the table."""
    if not isinstance(value, Cell):
        raise TypeError(
            f"definition is of type {type(value).__name__}; expected what numbarnn.cell(...) returns"
        )
    return value


def can_drop_recurrent(definition, recurrent_dropout):
    """Recurrent dropout has something to drop, all of one size."""
    multiplied = {s for phase in definition.phases for s in phase.sources if s != "x"}
    if recurrent_dropout > 0 and len({definition.size_of[source] for source in multiplied}) > 1:
        raise ValueError(
            f"recurrent_dropout = {recurrent_dropout}; expected 0.0: cell {definition.name!r} multiplies "
            f"vectors of several sizes, {', '.join(sorted(multiplied))}, and one mask has one"
        )
    if recurrent_dropout > 0 and not multiplied:
        raise ValueError(
            f"recurrent_dropout = {recurrent_dropout}; expected 0.0: cell {definition.name!r} multiplies no "
            "recurrent vector that could be dropped"
        )


def table_cell(name):
    """The entry of the cell table called `name`."""
    if name not in TABLE:
        raise ValueError(f"cell {name!r} is not in the cell table; known: {', '.join(TABLE)}")
    return TABLE[name]


def rnn(name, value):
    """A recurrent layer."""
    from .rnn import RNN

    if not isinstance(value, RNN):
        raise TypeError(
            f"{name} is of type {type(value).__name__}; expected LSTM(units), GRU(units), SimpleRNN(units) "
            "or RNN(cell)"
        )
    return value


def cells(value):
    """A cell, or a stack of cells, and the list of cells that the kernels run one after the other."""
    from .fused import FusedCell
    from .stacked import StackedRNNCells

    if isinstance(value, (list, tuple)):
        value = StackedRNNCells(value)
    if isinstance(value, FusedCell):
        return value, [value]
    if isinstance(value, StackedRNNCells) and value.fused:
        return value, value.cells
    return checks_loop.python_cell(value), None


def extra_of_all(cells):
    """What cells that run one after the other ask of a call's `extra`; they may share one."""
    found = {}
    for cell in cells:
        for name, size in cell.extra_sizes.items():
            if found.setdefault(name, size) != size:
                raise ValueError(
                    f"extra {name!r} has {found[name]} values per row in one cell and {size} in another of "
                    "the same layer; expected one size, or two names"
                )
    return found


def is_written_in_python(value):
    """Whether a cell, or one of those in a list or stack, is run by the loop in Python."""
    from .fused import FusedCell
    from .stacked import StackedRNNCells

    if isinstance(value, (list, tuple, StackedRNNCells)):
        return any(map(is_written_in_python, getattr(value, "cells", value)))
    return not isinstance(value, FusedCell) and checks_loop.is_python_cell(value)


def parameters(function):
    """Names of the arguments that `function` spells out."""
    kinds = inspect.signature(function).parameters.values()
    return [known.name for known in kinds if known.name != "self" and known.kind is not known.VAR_KEYWORD]


def known_options(options, known, owner, named=()):
    """Keyword arguments among those `known` to `owner`, which takes those in `named` beside them."""
    for name in options:
        if name not in known:
            if name.endswith(("_regularizer", "_constraint")):
                raise TypeError(
                    f"{name}: {owner} runs trained weights and has no regularisers or constraints; leave "
                    "it out"
                )
            expected = ", ".join(dict.fromkeys([*known, *named]))
            raise TypeError(f"{owner} got an unexpected argument {name!r}; expected one of {expected}")
    return options
