"""Cells with weights: an entry of the cell table, a number of units, and the arrays that go with it."""

import copy
import threading
from functools import cached_property

import numpy as np

from . import checks, checks_states, construction, dispatch, dropout, places
from .batch import Batch
from .checks_states import Field
from .dropout import Dropout
from .kernels.dropout import with_recurrent_dropout
from .kernels.program import Program
from .weights import draw

_BUILDING = threading.RLock()  # threads that share a new layer share one draw of its weights
OPTIONS = (
    "kernel_initializer",
    "recurrent_initializer",
    "bias_initializer",
    "dtype",
    "seed",
    "dropout",
    "recurrent_dropout",
)


class FusedCell:
    """A cell of the table, made ready to run: the kernels do its steps.

    Parameters
    ----------
    definition : Cell
        What ``numbarnn.cell(...)`` returns.
    units : int
        H, at least 1.
    use_bias : bool
    kernel_initializer, recurrent_initializer, bias_initializer : str or callable
        ``"glorot_uniform"``, ``"orthogonal"``, ``"zeros"``, ``"ones"``, or a function of a shape.
    dtype : {"float32", "float64"}
    seed : int, optional
        Of the initialisers and of dropout; without it every layer draws anew.
    dropout, recurrent_dropout : float
        Share of the inputs, and of what the recurrent kernel multiplies, that is dropped with
        ``training=True``: at least 0, below 1. One mask (B, I) and one (B, H) per call of a layer, shared by
        all steps and gates; what is kept is divided by 1 - rate (Gal and Ghahramani 2016). The same seed
        gives the same masks, call after call. Keras draws one mask for all gates too, but with
        ``recurrent_dropout`` one for each.
    **options
        Choices that the cell's functions take by keyword. Where the default is a function, a function is
        expected, or the name of an activation, or None for "linear".

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value, a function that cannot be traced.

    Attributes
    ----------
    units, output_size : int
    state_size : int or list of int
        One number per state.

    Examples
    --------
    >>> def step(a, h):
    ...     return h + 0.1 * (nr.math.tanh(a) - h)
    >>> leaky = nr.cell("leaky", states="h", phases=[nr.phase("a:x+h", step)])
    >>> layer = nr.RNN(nr.FusedCell(leaky, 6, seed=1))
    >>> layer(np.ones((2, 3, 4), np.float32)).shape
    (2, 6)
    """

    def __init__(
        self,
        definition,
        units,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        recurrent_initializer="orthogonal",
        bias_initializer="zeros",
        dtype="float32",
        seed=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        **options,
    ):
        self.definition = construction.definition(definition)
        self.units = checks.whole("units", units, 1)
        self.use_bias = checks.flag("use_bias", use_bias)
        self.dtype = checks.dtype(dtype)
        self.initializers = [
            construction.initializer("kernel_initializer", kernel_initializer),
            construction.initializer("recurrent_initializer", recurrent_initializer),
            construction.initializer("bias_initializer", bias_initializer),
        ]
        self.seed = construction.seed(seed)
        self.dropout = checks.rate("dropout", dropout)
        self.recurrent_dropout = checks.rate("recurrent_dropout", recurrent_dropout)
        construction.has_recurrent_products(self.definition, self.recurrent_dropout)
        self.masks = Dropout(self.dropout, self.recurrent_dropout, self.seed)
        named = construction.parameters(type(self).__init__) + construction.parameters(FusedCell.__init__)
        construction.known_options(options, self.definition.options, type(self).__name__, named)
        self.options = {
            name: construction.activation(name, value) if callable(self.definition.options[name]) else value
            for name, value in options.items()
        }
        self.definition.graphs(self.options)  # what cannot be traced is told of here, not at the first call
        self.program = self._training_program = self._drawn = None

    def unbuilt(self, stream=None):
        """A cell like this one, without weights; with `stream`, it draws from that stream of the seed."""
        made = copy.copy(self)
        if stream is not None and self.seed is not None:
            made.seed = [*np.atleast_1d(self.seed).tolist(), stream]
        made.masks = Dropout(self.dropout, self.recurrent_dropout, made.seed)
        made.program = made._training_program = made._drawn = None
        return made

    @cached_property
    def fields(self):
        """The states, in order."""
        return [Field(name, constant, self.units) for name, constant in self.definition.states.items()]

    @property
    def state_size(self):
        return [self.units] * len(self.definition.states) if len(self.definition.states) > 1 else self.units

    @property
    def output_size(self):
        return self.units

    @property
    def input_size(self):
        """I, or None before `build`."""
        return None if self.program is None else self.program.input_size

    def __repr__(self):
        return f"<{type(self).__name__} {self.definition.name}, {self.units} units, {self.dtype}>"

    def shapes(self, input_size):
        """Names and shapes of the weights, in the order of `get_weights`; an unknown `input_size` is None."""
        columns = [len(self.definition.columns(recurrent)) * self.units for recurrent in (False, True)]
        shapes = {"kernel": (input_size, columns[0]), "recurrent_kernel": (self.units, columns[1])}
        if self.use_bias:
            size = len(self.definition.slots) * self.units
            shapes["bias"] = (2, size) if self.definition.two_biases else (size,)
        return shapes

    def build(self, input_size):
        """Draw the weights for inputs of `input_size` features. A second call with the same size changes
        nothing.

        Raises
        ------
        TypeError, ValueError
            `input_size` is no number of features, or weights for another are there already; what an
            initialiser returns has a wrong dtype or shape.
        """
        input_size = checks.whole("input_size", input_size, 0)
        with _BUILDING:
            self._draw(input_size)

    def _draw(self, input_size):
        if self.program is None:
            generator = np.random.default_rng(self.seed)
            shapes = self.shapes(input_size)
            drawn = [
                initializer(shape) if callable(initializer) else draw(initializer, shape, generator)
                for initializer, shape in zip(self.initializers, shapes.values(), strict=False)
            ]
            self.use(self.initial_weights(checks.weights(drawn, shapes, self.dtype)))
        elif self.program.input_size != input_size:
            raise ValueError(
                f"input_size = {input_size}; the cell has weights for {self.program.input_size} "
                "features: make another cell"
            )

    time_major, device = False, "auto"  # of a call of the cell alone

    def initial_weights(self, drawn):
        """What a cell makes of freshly drawn weights; most leave them."""
        return drawn

    def get_weights(self):
        """Kernel, recurrent kernel and, with ``use_bias``, bias: read-only arrays in Keras' layout."""
        if self.program is None:
            return []
        arrays = [self.program.kernel, self.program.recurrent_kernel, self.program.bias]
        return arrays if self.use_bias else arrays[:2]

    def set_weights(self, weights):
        """Take copies of `weights`, a list as `get_weights` returns it; other float dtypes are rounded once
        to the cell's.

        Raises
        ------
        TypeError, ValueError
            Another number of arrays, a wrong shape (a transposed one is named), integers.
        """
        self.use(checks.weights(weights, self.shapes(self.input_size), self.dtype))

    def use(self, arrays):
        """Run with these weights: arrays of its own, in the order of `shapes`."""
        kernel, recurrent_kernel, *bias = arrays
        self.program = Program(
            self.definition, self.options, kernel, recurrent_kernel, bias[0] if bias else None, dispatch.empty
        )
        self._training_program = None

    @property
    def training_program(self):
        """What runs with recurrent dropout: the same weights, and a mask among the states."""
        made, known = self.program, self._training_program
        if known is None or known.kernel is not made.kernel:
            dropped = with_recurrent_dropout(self.definition)
            known = Program(
                dropped, self.options, made.kernel, made.recurrent_kernel, made.bias, dispatch.empty
            )
            self._training_program = known
        return known

    def get_initial_state(self, batch_size, dtype=None):
        """A list of arrays (batch_size, units): the state before any step."""
        dtype = self.dtype if dtype is None else checks.dtype(dtype)
        shape = (checks.whole("batch_size", batch_size, 0), self.units)
        return [np.full(shape, constant, dtype) for constant in self.definition.states.values()]

    def __call__(self, x_t, states, training=False):
        """One step of a batch.

        Parameters
        ----------
        x_t : array_like, shape (B, I)
            Where it lies, in host memory or on a CUDA device, the step is computed.
        states : list of array_like, shape (B, H) each
            LSTM: [h, c]. A one-state cell also takes the array itself.
        training : bool
            Apply dropout, with the same masks until `reset_dropout_mask`, so that a loop over steps has one
            mask for all of them, as in Keras.

        Returns
        -------
        output : ndarray, shape (B, H)
        new_states : as `states`

        Raises
        ------
        TypeError, ValueError
            A wrong dtype or shape.
        """
        checks.flag("training", training)
        x_t = places.adopt("x_t", x_t)
        x_t = checks.step_inputs(x_t, self.input_size, self.dtype)
        shape = (x_t.shape[0], self.units)
        flat = checks_states.flatten("states", states, [[field] for field in self.fields])
        adopted = [(label, field, places.adopt(label, value)) for label, field, value in flat]
        given = checks_states.states(adopted, shape[0], self.dtype)
        for (label, *_), state in zip(flat, given, strict=True):
            checks.same_place(label, state, x_t)
        self.build(x_t.shape[1])
        output, *new = [places.new_like(x_t, shape, self.dtype) for _ in range(1 + len(given))]
        steps, device = dispatch.dense_plan(shape[0], 1), places.device_of("auto", x_t)
        program, x_t, given, final = self._dropped(x_t, given, new, training)
        dispatch.run(program, steps, x_t, output, given, final, device=device)
        output, *new = places.as_given([output, *new])
        if not isinstance(states, (list, tuple)):
            return output, new[0]
        return output, states._make(new) if hasattr(states, "_make") else type(states)(new)

    def _dropped(self, x_t, given, final, training):
        """What one step is run with: program, inputs, initial and final states, under dropout if it
        trains.
        """
        if not training:
            return self.program, x_t, given, final
        if self._drawn is None:
            self._drawn = self.masks.draw(x_t.shape[0], self.input_size, self.units, self.dtype)
        inputs, recurrent = self._drawn
        checks.mask_rows([mask for mask in self._drawn if mask is not None], x_t.shape[0])
        batch = Batch(self, x_t.reshape(x_t.shape[0], 1, x_t.shape[1]), None, None, None)
        program = self.program
        if inputs is not None:
            x_t = dropout.times(batch, x_t, inputs)
        if recurrent is not None:
            program = self.training_program
            given, final = dropout.with_mask(batch, self, given, recurrent), [*final, None]
        return program, x_t, given, final

    def reset_dropout_mask(self):
        """Have the next call with ``training=True`` draw new masks, of inputs and recurrent vectors."""
        self._drawn = None


def set_weights(stacks, weights):
    """`FusedCell.set_weights` of all cells of stacks that have the same inputs; all of them or none."""
    cells = [cell for stack in stacks for cell in stack]
    if len(cells) == 1 or not isinstance(weights, (list, tuple)):
        cells[0].set_weights(weights)
        return
    rest = checks.count("weights", weights, sum(len(cell.shapes(None)) for cell in cells))
    inputs, parts = cells[0].input_size, []
    for stack in stacks:
        features = inputs
        for cell in stack:
            named = cell.shapes(features)
            parts.append(checks.weights(rest[: len(named)], named, cell.dtype))
            rest, features = rest[len(named) :], cell.units
            inputs = len(parts[0][0])
    for cell, arrays in zip(cells, parts, strict=True):
        cell.use(arrays)


class SimpleRNNCell(FusedCell):
    """One step of `SimpleRNN`: h' = activation(x W + h U + b). Weights (I, H), (H, H), (H,).

    Parameters
    ----------
    units, activation, use_bias
        As of `SimpleRNN`.
    **options
        As of `FusedCell`.

    Examples
    --------
    >>> cell = nr.SimpleRNNCell(4, seed=0)
    >>> output, [h] = cell(np.ones((2, 3), np.float32), cell.get_initial_state(2))
    >>> output.shape
    (2, 4)
    """

    def __init__(self, units, activation="tanh", use_bias=True, **options):
        super().__init__(
            construction.table_cell("simple_rnn"), units, use_bias, activation=activation, **options
        )


class LSTMCell(FusedCell):
    """One step of `LSTM`; states [h, c]. Weights (I, 4H), (H, 4H), (4H,), gates in Keras' order i, f, g
    (candidate), o.

    With ``unit_forget_bias`` the forget gate's bias starts at 1, as in Keras (Jozefowicz et al. 2015).

    Parameters
    ----------
    units, activation, recurrent_activation, use_bias, unit_forget_bias
        As of `LSTM`.
    **options
        As of `FusedCell`.

    Examples
    --------
    >>> cell = nr.LSTMCell(4, seed=0)
    >>> output, [h, c] = cell(np.ones((2, 3), np.float32), cell.get_initial_state(2))
    >>> output.shape
    (2, 4)
    """

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        unit_forget_bias=True,
        **options,
    ):
        self.unit_forget_bias = checks.flag("unit_forget_bias", unit_forget_bias)
        activations = {"activation": activation, "recurrent_activation": recurrent_activation}
        super().__init__(construction.table_cell("lstm"), units, use_bias, **activations, **options)

    def initial_weights(self, drawn):
        if self.use_bias and self.unit_forget_bias:
            drawn[2][self.units : 2 * self.units] = 1.0
        return drawn


class GRUCell(FusedCell):
    """One step of `GRU`; gates in Keras' order z, r, n (candidate).

    ``reset_after=True`` (arXiv:1406.1078v1, PyTorch, cuDNN): weights (I, 3H), (H, 3H), (2, 3H), the bias'
    rows for the inputs and the recurrent products. ``reset_after=False`` (v3, TensorFlow 1): one bias (3H,).

    Parameters
    ----------
    units, activation, recurrent_activation, use_bias, reset_after
        As of `GRU`.
    **options
        As of `FusedCell`.

    Examples
    --------
    >>> cell = nr.GRUCell(4, seed=0)
    >>> output, [h] = cell(np.ones((2, 3), np.float32), cell.get_initial_state(2))
    >>> output.shape
    (2, 4)
    """

    def __init__(
        self,
        units,
        activation="tanh",
        recurrent_activation="sigmoid",
        use_bias=True,
        reset_after=True,
        **options,
    ):
        self.reset_after = checks.flag("reset_after", reset_after)
        activations = {"activation": activation, "recurrent_activation": recurrent_activation}
        name = "gru" if reset_after else "gru_reset_before"
        super().__init__(construction.table_cell(name), units, use_bias, **activations, **options)
