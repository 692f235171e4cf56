"""TensorFlow 1's wrappers around a stack: the stack of its cells, each with its share of what is added, so
that every cell still runs in the kernels over whole sequences.
"""

import inspect
from collections import deque

from .. import checks, checks_dynamic, construction, dispatch, places
from ..batch import Batch
from . import checks as tf1_checks
from .stack import MultiRNNCell
from .wrappers import DropoutWrapper, ResidualWrapper, Wrapper

_STACK = 4  # of a seed: with the number of a cell, that cell's


def with_residual(stack, residual_fn=None):
    """A stack whose inputs are added to its outputs; see `ResidualWrapper`."""
    first, *others = tf1_checks.fused_stack(stack).cells
    if not others:
        return WrappedStack(stack, [ResidualWrapper(first, residual_fn)])
    *between, last = others
    key = _Key()
    first = _Noting(first, key, last.output_size)
    return WrappedStack(stack, [first, *between, _AddingNoted(last, residual_fn, key)])


def with_dropout(stack, *choices, **named):
    """A stack with dropout of its inputs, of its outputs, and of the states that its cells keep; see
    `DropoutWrapper`.
    """
    bound = inspect.signature(DropoutWrapper.__init__).bind(None, stack, *choices, **named)
    options = {name: value for name, value in bound.arguments.items() if name not in ("self", "cell")}
    cells, wrapped = tf1_checks.fused_stack(stack).cells, []
    for k, cell in enumerate(cells):
        own = dict(options)
        if k:
            own |= {"input_keep_prob": 1.0, "input_size": None}
        if k < len(cells) - 1:
            own["output_keep_prob"] = 1.0
        made = DropoutWrapper(cell, **own)
        wrapped.append(made.of_stream(k, _STACK) if k else made)
    return WrappedStack(stack, wrapped)


class WrappedStack(MultiRNNCell):
    """A stack of wrapped cells, with the weights of another, `cell`, and states as that has them.

    Parameters
    ----------
    cell : MultiRNNCell
        Runs without what the wrapper adds, with the same weights.
    cells : list of FusedCell
        Its cells, some of them wrapped.
    """

    time_major, device = False, "auto"  # of a call of the cell alone

    def __init__(self, cell, cells):
        self.cell, self.cells = cell, cells

    def __repr__(self):
        return f"<{type(self).__name__} of {self.cells!r}>"

    @property
    def state_size(self):
        return self.cell.state_size

    @property
    def weights_dtype(self):
        """As of `RNN`."""
        return construction.weights_dtype_of(self.cells)

    @property
    def extra_sizes(self):
        """What the cells ask of `extra`, see `FusedCell`."""
        return construction.extra_of_all(self.cells)

    def pack_state(self, states):
        """A state as users know it, from the list of all its arrays."""
        return self.cell.pack_state(states)

    def flat_state(self, state):
        """The list of all arrays of a state as users give it."""
        return self.cell.flat_state(state)

    def zero_state(self, batch_size, dtype=None):
        """The state before any step; see `state_size`."""
        return self.cell.zero_state(batch_size, dtype)

    def get_initial_state(self, batch_size, dtype=None):
        """As `zero_state`; one matrix in a list."""
        return self.cell.get_initial_state(batch_size, dtype)

    def __call__(self, x_t, state, training=False, *, extra=None):
        """One step of a batch through all cells.

        Parameters
        ----------
        x_t : array_like, shape (B, I)
        state : tuple, or array_like
            As `zero_state` gives it.
        training : bool
            Apply the cells' own dropout.
        extra : dict, optional
            Inputs of this step that definitions declare: name -> array (B, size), or (B,).

        Returns
        -------
        output : ndarray
            The last cell's.
        state : as `state`
        """
        checks.flag("training", training)
        x_t = checks.step_inputs(places.adopt("x_t", x_t), self.input_size, self.dtype)
        batch = Batch(self, x_t, extra=extra, one_step=True)
        initial = checks_dynamic.fused_states("state", state, self, x_t, batch.B)
        self.build(x_t.shape[1])
        fields, values, at = checks_dynamic.fields(self), batch.rows, 0
        final = [places.new_like(x_t, (batch.B, field.units), self.dtype) for field in fields]
        for cell in self.cells:
            states = slice(at, at + len(cell.fields))
            masks = cell.kept_masks(batch, training)
            given = initial[states], final[states], training, None, batch.extra, masks
            run = cell.arrange(batch, values, *given)
            values, at = places.new_like(x_t, (batch.B, cell.output_size), self.dtype), states.stop
            dispatch.run(
                run.program, dispatch.dense_plan(batch.B, 1), run.x, values, run.initial, run.final,
                device=batch.device, extra=run.extra,
            )  # fmt: skip
        output, *new = places.as_given([values, *final])
        return output, self.pack_state(new)


class _Key:
    """Under which a stack's first cell leaves its inputs for the last one, among the extra inputs of a call:
    in a queue, since two directions that share a call may pass through the same cells one behind the other.
    """


class _Noting(Wrapper):
    """The first cell of a stack with a residual connection: it leaves its inputs for the last one."""

    wants_rows = True

    def __init__(self, cell, key, output_size):
        super().__init__(cell)
        self.key, self.size_added_to = key, output_size

    def build(self, input_size):
        """Draw the cell's weights, for as many features as the stack puts out; see `FusedCell.build`."""
        tf1_checks.can_be_added(input_size, self.size_added_to)
        super().build(input_size)

    def inputs(self, batch, x, stream, masks):
        """The cell's inputs and the rows of the wrapper's own; whether it made the former."""
        batch.extra.setdefault(self.key, deque()).append(x)
        return x, [], False


class _AddingNoted(ResidualWrapper):
    """The last cell of such a stack, to whose output the inputs of the first are added."""

    def __new__(cls, *_):
        return object.__new__(cls)

    def __init__(self, cell, residual_fn, key):
        super().__init__(cell, residual_fn)
        self.key = key

    def build(self, input_size):
        """Draw the cell's weights; see `FusedCell.build`."""
        Wrapper.build(self, input_size)

    def inputs(self, batch, x, stream, masks):
        """The cell's inputs and the rows of the wrapper's own; whether it made the former."""
        return x, [batch.extra[self.key].popleft()], False
