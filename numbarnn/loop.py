"""Cells written in Python, run over sequences: a loop that calls them at every step.

Any object can be the cell of an `RNN` that has ``state_size`` and ``call(inputs, states)``, or is called so
itself; it may take ``training`` too. Inputs, states and outputs are arrays of any rank with the batch first,
or nests of them. The rules (masks, lengths, resets, direction) are those of the fused cells. Beyond them:

* It is slow: one call of Python code for each time step. What can be said in `numbarnn.cell` runs fused.
* As in Keras, each step hands the cell the whole batch, masked and padded rows as they are, since a cell may
  mix rows (batch statistics) or keep arrays with one entry per row. What it returns for such rows is dropped.
  After the longest length it is called no more. Keras calls a cell once more before the first step, to learn
  what it returns; here the first step tells.
* The cell is given copies. It may write into them, and return the same arrays again and again.
"""

import threading
from typing import NamedTuple

import numpy as np

from . import checks, checks_loop
from .nests import Shape, flatten, map_structure, pack_as
from .ragged import Ragged

_BUILDING = threading.RLock()  # threads that share a new cell share one build


class Walk(NamedTuple):
    """Where each row is at each position, in processing order; arrays (positions, B)."""

    time: np.ndarray  # the time step that is fed
    valid: np.ndarray  # whether its results count
    begins: np.ndarray  # whether a new sequence begins here
    inside: np.ndarray  # whether the row has not ended yet


def walk(B, T, lengths=None, mask=None, resets=None, reverse=False):
    """The `Walk` of a batch from arguments already checked, all batch-major: the rules of `kernels.plan`,
    with the rows kept together in time.

    Examples
    --------
    >>> walk(2, 3, lengths=np.array([1, 3]), reverse=True).time.T
    array([[0, 1, 2],
           [2, 1, 0]])
    """
    extents = np.full(B, T) if lengths is None else lengths
    rows, position = np.arange(B), np.arange(extents.max(initial=0))[:, np.newaxis]
    inside = position < extents
    time = np.where(inside, extents - 1 - position, position) if reverse else position + 0 * rows
    valid = inside if mask is None else mask[rows, time]
    begins = np.zeros_like(inside)
    if resets is not None and reverse:  # a reset cuts between its own time and the one before
        begins = np.pad(resets, ((0, 0), (0, 1)))[rows, time + 1] & inside & (position > 0)
    elif resets is not None:
        begins = resets[rows, time] & inside
    return Walk(time, valid, begins, inside)


def run(
    cell,
    x,
    initial_state=None,
    mask=None,
    lengths=None,
    resets=None,
    *,
    training=False,
    go_backwards=False,
    return_sequences=False,
    zero_output_for_mask=False,
    time_major=False,
    kept=None,
):
    """Run a cell written in Python over a batch of sequences.

    Parameters
    ----------
    cell : object
        See `checks_loop.python_cell`.
    x : nest of array_like, shape (B, T, ...) each, or (T, B, ...) with `time_major`; or Ragged
        A list is a nest here. A Ragged is padded for the loop, and its outputs are cut again.
    initial_state : nest of array_like, optional
        As the cell's state. Default: `kept`, or else what `initial_states` gives.
    mask, lengths, resets, go_backwards, return_sequences, zero_output_for_mask, time_major
        As of `RNN`; the same for every leaf.
    training : bool
        Handed to a cell whose call takes it.
    kept : nest of ndarray, optional
        What an earlier call returned: a stateful layer's states.

    Returns
    -------
    outputs : nest of ndarray or Ragged
        Nested as the cell's outputs, of the dtypes that it returns.
    final_states : nest of ndarray
        Nested as the cell's state.

    Raises
    ------
    TypeError, ValueError
        A wrong argument, or something wrong with what the cell returned. Nothing of the caller's has changed.

    Examples
    --------
    >>> class Sum:
    ...     state_size = 3
    ...     def call(self, inputs, states):
    ...         total = states[0] + inputs
    ...         return total, [total]
    >>> outputs, [total] = run(Sum(), np.ones((2, 5, 3), np.float32), lengths=[4, 0])
    >>> outputs[:, 0], total[:, 0]
    (array([4., 0.], dtype=float32), array([4., 0.], dtype=float32))
    """
    checks.exclusive(lengths, mask)
    checks.flag("training", training)
    checks_loop.python_cell(cell)
    cut = None
    if isinstance(x, Ragged):
        checks.dense_only(lengths, mask, time_major)
        x, cut, lengths, resets = _padded(x, resets)
    leaves = checks_loop.sequences(x, time_major)
    axes, shape = leaves[0].shape[:2], leaves[0].shape
    T, B = axes if time_major else axes[::-1]
    given = {
        "lengths": None if lengths is None else checks.lengths(lengths, B, T, shape),
        "mask": None if mask is None else checks.step_flags("mask", mask, axes, time_major),
        "resets": None if resets is None else checks.step_flags("resets", resets, axes, time_major),
    }
    x = pack_as(x, [leaf if time_major else leaf.swapaxes(0, 1) for leaf in leaves])
    build(cell, map_structure(lambda leaf: Shape(B, *leaf.shape[2:]), x))
    constants = initial_states(cell, B, _floating(leaves))
    states = constants if kept is None else checks_loop.kept_states(kept, B)
    if initial_state is not None:
        states = checks_loop.states("initial_state", initial_state, constants)
    steps = walk(B, T, **given, reverse=go_backwards)
    outputs = _Outputs(axes if return_sequences else None, time_major)
    written = steps.valid if zero_output_for_mask else steps.inside
    reset_dropout(cell)
    try:
        final = _follow(steps, step_function(cell, training), x, states, constants, outputs, written)
    finally:
        reset_dropout(cell)
    results = outputs.results(cell, axes if return_sequences else (B,), constants)
    if zero_output_for_mask and mask is not None and len(written) and not return_sequences:
        for last in flatten(results):
            last[~written[-1]] = 0
    if cut is not None and return_sequences:
        results = map_structure(cut, results)
    return results, final


def _follow(steps, step, x, states, constants, outputs, written):
    """Take the steps on time-first inputs; return the final states."""
    state, constant = flatten(map_structure(np.array, states)), flatten(constants)
    rows = np.arange(steps.time.shape[1])
    for p, (time, valid, begins) in enumerate(zip(steps.time, steps.valid, steps.begins, strict=True)):
        for array, start in zip(state, constant, strict=True):
            array[begins] = start[begins]
        x_t = map_structure(lambda leaf: np.array(leaf[time, rows], order="C"), x)  # noqa: B023
        output, new = step(x_t, pack_as(constants, [array.copy() for array in state]))
        new = checks_loop.new_states(new, pack_as(constants, state))
        for array, value in zip(state, new, strict=True):
            np.copyto(array, value, where=_over(valid, array))
        outputs.take(p, output, valid, begins, written[p])
    return pack_as(constants, state)


class _Outputs:
    """What the steps return, each row's last one held.

    `axes` are the first two of the arrays to collect, or None where only the last output is wanted.
    """

    def __init__(self, axes, time_major):
        self.axes, self.time_major = axes, time_major
        self.structure = None  # of the first step's output, with arrays like it

    def take(self, p, output, valid, begins, written):
        leaves = checks_loop.outputs(output, len(valid), self.structure)
        if self.structure is None:
            self.held = [np.zeros_like(leaf, order="C", subok=False) for leaf in leaves]
            self.structure = pack_as(output, self.held)
            self.all = [np.zeros((*self.axes, *leaf.shape[1:]), leaf.dtype) for leaf in leaves if self.axes]
        for held, leaf in zip(self.held, leaves, strict=True):
            held[begins] = 0
            np.copyto(held, leaf, where=_over(valid, held))
        for y, held in zip(self.all, self.held if self.axes else [], strict=True):
            np.copyto(y[p] if self.time_major else y[:, p], held, where=_over(written, held))

    def results(self, cell, leading, constants):
        """Nested as the cell's outputs; where there was no step, as its output_size."""
        if self.structure is None:
            sizes = checks_loop.sizes("output_size", checks_loop.has_output_size(cell))
            dtype = next((state.dtype for state in flatten(constants)), np.float32)
            return map_structure(lambda size: np.zeros((*leading, *size), dtype), sizes)
        return pack_as(self.structure, self.all) if self.axes else self.structure


def _over(flags, array):
    """One flag for each row, spread over the other axes of `array`."""
    return flags.reshape(-1, *[1] * (array.ndim - 1))


def _padded(ragged, resets):
    """A Ragged as a dense batch: x, the function that cuts outputs again, lengths and resets."""
    values = Ragged(checks_loop.ragged_values(ragged.values), ragged.offsets)
    x = values.to_padded()
    inside = np.arange(x.shape[1]) < values.lengths[:, np.newaxis]
    if resets is not None:
        resets = Ragged(checks.step_flags("resets", resets, (len(values.values),)), values.offsets)
        resets = resets.to_padded(False)
    return x, lambda y: Ragged(y[inside], values.offsets), values.lengths, resets


def _floating(leaves):
    """The dtype of states that nothing else tells: of the first input, if it is floating-point."""
    return leaves[0].dtype if leaves[0].dtype.kind == "f" else np.dtype(np.float32)


def step_function(cell, training):
    """``step(inputs, states)`` of a cell; `training` goes to those that take it."""
    function = cell if callable(cell) else cell.call
    told = getattr(cell, "call", function)
    options = {"training": training} if "training" in checks_loop.arguments(told) else {}
    return lambda inputs, states: checks_loop.result(function(inputs, states, **options))


def reset_dropout(cell):
    """Have a cell that keeps dropout masks draw new ones, as Keras does around every call of a layer."""
    for name in ("reset_dropout_mask", "reset_recurrent_dropout_mask"):
        if hasattr(cell, name):
            getattr(cell, name)()


def build(cell, shapes):
    """Have a cell make its weights, as Keras does: once, if it has ``build(input_shape)`` and is not built.

    `shapes` are those of one step's inputs, (B, ...), nested as these are.
    """
    if callable(getattr(cell, "build", None)) and not checks_loop.builds_itself(cell):
        with _BUILDING:
            if not getattr(cell, "built", False):
                cell.build(shapes)
                cell.built = True


def build_for(cell, inputs):
    """`build` for one step's inputs themselves."""
    if not getattr(cell, "built", False):
        build(cell, map_structure(lambda leaf: Shape(*np.shape(leaf)), inputs))


def initial_states(cell, batch_size, dtype=None):
    """New arrays: the state of a cell before any step.

    What ``get_initial_state(batch_size=...)`` returns (Keras 3; `inputs` and `dtype` go to one that takes
    them, as in Keras 2), or zeros of the state_size. One state alone comes as a list of one.

    Parameters
    ----------
    cell : object
    batch_size : int
    dtype : dtype, optional
        Of a cell that has none of its own. Default: float32.
    """
    sizes = checks_loop.as_states(checks_loop.sizes("state_size", cell.state_size))
    dtype = checks_loop.dtype_of(cell) or np.dtype(dtype or np.float32)
    if not callable(getattr(cell, "get_initial_state", None)):
        return map_structure(lambda size: np.zeros((batch_size, *size), dtype), sizes)
    known = checks_loop.arguments(cell.get_initial_state)
    options = {name: value for name, value in (("inputs", None), ("dtype", dtype)) if name in known}
    given = cell.get_initial_state(batch_size=batch_size, **options)
    return checks_loop.first_states(given, sizes, batch_size)


def entries(states):
    """Final states as they follow the output with ``return_state``: the parts of a list or tuple, or all."""
    return [states] if isinstance(states, dict) else list(states)
