"""TensorFlow 1's wrappers of cells. A wrapper rewrites its cell's definition and the inputs of its steps, so
that what it adds runs in the kernels; weights stay those of the cell.
"""

import copy

import numpy as np

from .. import checks, construction, dropout
from ..fused import FusedCell
from ..kernels import wrappers
from ..stacked import StackedRNNCells
from . import checks as tf1_checks
from . import noise as tf1_noise
from .noise import Noise
from .stack import MultiRNNCell, flat, packed

_STREAM = 3  # of a seed: not that of initial weights, nor that of a cell's own dropout


class Wrapper(FusedCell):
    """A cell with a definition of its own, and the weights of another, `cell`.

    Attributes
    ----------
    cell : FusedCell
        Runs without what the wrapper adds, with the same weights.
    """

    is_arranged = True
    wants_rows = False  # whether `inputs` wants them as rows also where no kernel reads extra inputs

    def __init__(self, cell):
        self.cell = _wrappable(cell)
        self.definition, self.own_extra = cell.definition, frozenset(cell.own_extra)
        self.units, self.sizes, self.options, self.use_bias = (
            cell.units,
            cell.sizes,
            cell.options,
            cell.use_bias,
        )
        self.dtype, self.dropout, self.recurrent_dropout = cell.dtype, cell.dropout, cell.recurrent_dropout
        self.weights_dtype, self._made = cell.weights_dtype, None

    def rewrite(self, definition, input_name):
        """Take a definition with one more input, that the wrapper makes."""
        self.definition, self.own_extra = definition, self.own_extra | {input_name}

    def unbuilt(self, stream=None):
        made = copy.copy(self)
        made.cell, made._made = self.cell.unbuilt(stream), None
        return made

    @property
    def program(self):
        arranged, made = self.cell.program, self._made
        if arranged is not None and (made is None or made.weights.arrays is not arranged.weights.arrays):
            arrays = arranged.weights.arrays
            made = self._made = self._program_of(self.definition, arrays)
        return None if arranged is None else made

    @property
    def undropped(self):
        """States that `DropoutWrapper` leaves."""
        return getattr(self.cell, "undropped", ())

    @property
    def state_size(self):
        return self.cell.state_size

    def shapes(self, input_size):
        return self.cell.shapes(input_size)

    def inputs_of(self, weights):
        return self.cell.inputs_of(weights)

    def checked_weights(self, weights, input_size):
        return self.cell.checked_weights(weights, input_size)

    def build(self, input_size):
        """Draw the cell's weights; see `FusedCell.build`."""
        self.cell.build(input_size)

    def get_weights(self):
        """The cell's."""
        return self.cell.get_weights()

    def set_weights(self, weights):
        """Take copies of `weights`, as the cell does."""
        self.cell.set_weights(weights)

    def use(self, arrays):
        self.cell.use(arrays)

    def pack_state(self, states):
        """A state as users of the cell know it, from the list of its arrays."""
        return packed(self.cell, states)

    def flat_state(self, state):
        """The list of arrays of a state as users of the cell give it."""
        return flat(self.cell, state)

    def zero_state(self, batch_size, dtype=None):
        """The state before any step; see `state_size`."""
        dtype = None if dtype is None else tf1_checks.dtype(dtype)
        return self.pack_state(super().get_initial_state(batch_size, dtype))

    def get_initial_state(self, batch_size, dtype=None):
        """A list of arrays, as `state_size` has it: the state before any step."""
        return self.cell.get_initial_state(batch_size, dtype)

    def reset_dropout_mask(self):
        """Have the next call draw new masks where one is kept for a loop over steps."""
        self.cell.reset_dropout_mask()

    def __call__(self, x_t, state, training=False, *, extra=None):
        """One step of a batch; see the cell's own."""
        output, states = super().__call__(x_t, self.flat_state(state), training, extra=extra)
        return output, self.pack_state(states)

    def kept_masks(self, batch, training):
        """What `arrange` is to use in a loop over steps: own masks, and the cell's."""
        return None, self.cell.kept_masks(batch, training)

    def arrange(self, batch, x, initial, final, training, stream, extra, masks=None):
        own, of_cell = masks or (None, None)
        own_rows = False
        if x.ndim == 3 and (self.definition.extra or self.wants_rows):
            x, own_rows = dropout.as_rows(batch, x, stream), True
        x, rows, multiplied = self.inputs(batch, x, stream, own)
        run = self.cell.arrange(batch, x, initial, final, training, stream, extra, of_cell)
        return run._replace(
            program=self.program, own_rows=own_rows or multiplied or run.own_rows, extra=[*run.extra, *rows]
        )


def _wrappable(cell):
    if isinstance(cell, StackedRNNCells):
        raise TypeError(
            f"cell is of type {type(cell).__name__}; expected one cell, or a stack that is a "
            "numbarnn.tf1.MultiRNNCell: make that of its cells"
        )
    if not isinstance(cell, FusedCell):
        raise TypeError(
            f"cell is of type {type(cell).__name__}; expected a cell that the kernels run, such as "
            "numbarnn.tf1.LSTMCell(4)"
        )
    if cell.recurrent_dropout > 0:
        raise ValueError(
            f"cell has recurrent_dropout = {cell.recurrent_dropout}; expected 0.0: DropoutWrapper has "
            "state_keep_prob"
        )
    return cell


class ResidualWrapper(Wrapper):
    """A cell to whose output its input is added, ``tf.nn.rnn_cell.ResidualWrapper``; the state is the cell's.

    Parameters
    ----------
    cell : FusedCell or MultiRNNCell
        With as many output features as input features. Of a stack, whose own inputs are added to the outputs
        of its last cell, it makes a `MultiRNNCell` of wrapped cells.
    residual_fn : callable, optional
        In place of the sum: ``residual_fn(input, output)`` of one unit, written with `numbarnn.math`.

    Raises
    ------
    TypeError, ValueError
        Something that is no fused cell, nor a stack of such, or a function that cannot be traced.

    Attributes
    ----------
    cell : FusedCell or MultiRNNCell

    Examples
    --------
    >>> cell = nr.tf1.GRUCell(3, seed=0)
    >>> x = np.ones((2, 5, 3), np.float32)
    >>> outputs, state = nr.dynamic_rnn(nr.tf1.ResidualWrapper(cell), x)
    >>> bool((outputs == x + nr.dynamic_rnn(cell, x)[0]).all())
    True
    """

    def __new__(cls, cell=None, residual_fn=None):
        if isinstance(cell, MultiRNNCell):
            from .wrapped_stack import with_residual

            return with_residual(cell, residual_fn)
        return object.__new__(cls)

    def __init__(self, cell, residual_fn=None):
        super().__init__(cell)
        if residual_fn is not None and not callable(residual_fn):
            raise TypeError(
                f"residual_fn is of type {type(residual_fn).__name__}; expected a function of an input and "
                "an output, or None"
            )
        self.rewrite(*wrappers.with_output(self.definition, "residual", residual_fn or wrappers.plus))
        self.definition.graphs(self.options)  # what cannot be traced is told of here

    def build(self, input_size):
        """Draw the cell's weights, for as many features as the cell puts out; see `FusedCell.build`."""
        tf1_checks.can_be_added(input_size, self.output_size)
        super().build(input_size)

    def inputs(self, batch, x, stream, masks):
        """The cell's inputs and the rows of the wrapper's own; whether it made the former."""
        return x, [x], False


class DropoutWrapper(Wrapper):
    """A cell with dropout, ``tf.nn.rnn_cell.DropoutWrapper``: of its inputs, of the state that it keeps and
    of its outputs, each with masks of its own. What is kept is multiplied by 1 / keep_prob.

    It drops in every call, as in TensorFlow, `training` or not: for results without dropout run `cell`, which
    has the same weights.

    Parameters
    ----------
    cell : FusedCell or MultiRNNCell
        Of a stack, it makes a `MultiRNNCell` of wrapped cells: dropped are the inputs of the stack, its
        outputs, and the states that each cell keeps, not what one cell hands to the next.
    input_keep_prob, output_keep_prob, state_keep_prob : float
        Share that is kept, from 0 to 1; with 1.0 that stage is left out. The state c of an LSTMStateTuple is
        never dropped.
    variational_recurrent : bool
        One mask for all rows and steps of a call (arXiv:1512.05287); in a loop over steps, until
        `reset_dropout_mask`. Otherwise each step and row has its own.
    input_size : int, optional
        I, as TensorFlow needs it with `variational_recurrent`; here it is checked, if given.
    dtype : dtype, optional
        As TensorFlow needs it with `variational_recurrent`; here it is checked, if given.
    seed : int, optional
        The same seed gives the same masks, call after call, also to a loop over steps (of a Ragged other
        ones); not TensorFlow's.
    dropout_state_filter_visitor
        None: which states are dropped cannot be chosen.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.

    Attributes
    ----------
    cell : FusedCell or MultiRNNCell

    Examples
    --------
    >>> cell = nr.tf1.DropoutWrapper(nr.tf1.LSTMCell(4, seed=0), output_keep_prob=0.5, seed=1)
    >>> x = np.ones((2, 50, 3), np.float32)
    >>> outputs, state = nr.dynamic_rnn(cell, x)
    >>> kept = nr.dynamic_rnn(cell.cell, x)[0] * np.float32(2)
    >>> bool(((outputs == 0) | (outputs == kept)).all())
    True
    """

    def __new__(cls, cell=None, *choices, **named):
        if isinstance(cell, MultiRNNCell):
            from .wrapped_stack import with_dropout

            return with_dropout(cell, *choices, **named)
        return object.__new__(cls)

    def __init__(
        self,
        cell,
        input_keep_prob=1.0,
        output_keep_prob=1.0,
        state_keep_prob=1.0,
        variational_recurrent=False,
        input_size=None,
        dtype=None,
        seed=None,
        dropout_state_filter_visitor=None,
    ):
        super().__init__(cell)
        checks.only_default("dropout_state_filter_visitor", dropout_state_filter_visitor, None)
        self.keep_probs = {
            "input": tf1_checks.share("input_keep_prob", input_keep_prob),
            "state": tf1_checks.share("state_keep_prob", state_keep_prob),
            "output": tf1_checks.share("output_keep_prob", output_keep_prob),
        }
        self.variational_recurrent = checks.flag("variational_recurrent", variational_recurrent)
        self._input_size = None if input_size is None else checks.whole("input_size", input_size, 0)
        tf1_checks.own_dtype(dtype, self.dtype)
        self.seed = construction.seed(seed)
        self._stages = {}  # what is dropped by an input of the steps: name of the input -> which probability
        if self.keep_probs["state"] < 1:
            for state in [name for name in self.definition.states if name not in self.undropped]:
                self._drop("state", wrappers.with_state, state, f"dropout_of_{state}")
        if self.keep_probs["output"] < 1:
            self._drop("output", wrappers.with_output, "dropout_of_output")
        self._seeded()

    def _drop(self, stage, rewriting, *names):
        definition, given = rewriting(self.definition, *names, wrappers.times)
        self.rewrite(definition, given)
        self._stages[given] = stage

    def _seeded(self):
        """Begin to draw where the seed says, with a stream for each stage."""
        stages = {"input": "input"} | self._stages if self.keep_probs["input"] < 1 else self._stages
        self._kept, self._noise = None, {}
        for k, (name, stage) in enumerate(stages.items()):
            seed = None if self.seed is None else [*np.atleast_1d(self.seed).tolist(), k, _STREAM]
            self._noise[name] = Noise(self.keep_probs[stage], self.variational_recurrent, seed)

    def unbuilt(self, stream=None):
        made = super().unbuilt(stream)
        return made.of_stream(*([] if stream is None else [stream]))

    def of_stream(self, *stream):
        """Itself, made to draw from that stream of its seed."""
        if self.seed is not None:
            self.seed = [*np.atleast_1d(self.seed).tolist(), *stream]
        self._seeded()
        return self

    def build(self, input_size):
        """Draw the cell's weights; see `FusedCell.build`."""
        if self._input_size not in (None, input_size):
            raise ValueError(
                f"input_size = {input_size}; expected {self._input_size}, as DropoutWrapper was told"
            )
        super().build(input_size)

    def reset_dropout_mask(self):
        """Have the next step draw new masks, of which a loop over steps keeps those of
        `variational_recurrent`.
        """
        self._kept = None
        super().reset_dropout_mask()

    def kept_masks(self, batch, training):
        _, of_cell = super().kept_masks(batch, training)
        if self.variational_recurrent and self._kept is None:
            self._kept = self._draw(batch, self.input_size)
        return self._kept, of_cell

    def _draw(self, batch, features):
        sizes = {"input": features} | {name: self._size(name) for name in self._stages}
        return {name: noise.draw(batch, sizes[name], self.dtype) for name, noise in self._noise.items()}

    def inputs(self, batch, x, stream, masks):
        """The cell's inputs and the rows of the wrapper's own; whether it made the former."""
        factors = self._draw(batch, x.shape[-1]) if masks is None else masks
        rows = [tf1_noise.as_extra(batch, factors[name]) for name in self._stages]
        if "input" not in factors:
            return x, rows, False
        return tf1_noise.times(batch, x, factors["input"], stream), rows, True
