"""Cells with weights: an entry of the cell table, a number of units, and the arrays that go with it."""

import copy
import threading
from functools import cached_property

import numpy as np

from . import checks, checks_states, construction, dispatch, dropout, places
from .arranged import Arranged
from .batch import Batch
from .checks_states import Field
from .dropout import Dropout
from .kernels import matrices
from .kernels.definition import PER_ROW
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
    "parameter_initializer",
    "weights_dtype",
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
    parameter_initializer : str or callable, optional
        Of the definition's parameters; default: the constants it declares for them.
    weights_dtype : {None, "float16", "bfloat16"}
        What the kernels keep the matrices in: half of float32's bytes, so that steps of few rows, which
        take as long as reading them, take less. Each number is rounded once, to the nearest, ties to even;
        results are, bit for bit, those of a float32 cell with matrices so rounded beforehand. Biases and
        parameters are not rounded, and ``get_weights`` gives what was set. bfloat16 is the faster one and
        keeps 8 significant bits, float16 keeps 11. On the CPU and with float32 only; float16 where the CPU
        has an instruction that reads it (F16C, AVX-512, ARMv8). Default: `dtype`.
    **options
        Sizes that the definition names beside its units, such as ``projection=5``; and choices that the
        cell's functions take by keyword. Where the default is a function, a function is expected, or the name
        of an activation, or None for "linear".

    Notes
    -----
    Weights are, in this order: kernel (I, columns), recurrent kernel (size of what it multiplies, columns), a
    further one for each other size, ``kernel_of_<vector>``, bias, parameters as declared.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value, a function that cannot be traced; weights too large for
        `weights_dtype`; a call on a CUDA device with it.

    Attributes
    ----------
    units, output_size : int
    sizes : dict
        All sizes by name.
    state_size : int or list of int
        One number per state.
    extra_sizes : dict
        What a call's `extra` must hold: names, and values per row, 0 standing for one without an axis.

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
        parameter_initializer=None,
        weights_dtype=None,
        **options,
    ):
        self.definition = construction.definition(definition)
        self.units = checks.whole("units", units, 1)
        named = construction.sizes(self.definition, options)
        self.sizes = matrices.sizes_of(self.units, **named)
        self.use_bias = checks.flag("use_bias", use_bias)
        self.dtype = checks.dtype(dtype)
        self.weights_dtype = construction.weights_dtype(weights_dtype, self.dtype)
        self.initializers = [
            construction.initializer("kernel_initializer", kernel_initializer),
            construction.initializer("recurrent_initializer", recurrent_initializer),
            construction.initializer("bias_initializer", bias_initializer),
        ]
        self.parameter_initializer = construction.initializer(
            "parameter_initializer", parameter_initializer, none=True
        )
        self.seed = construction.seed(seed)
        self.dropout = checks.rate("dropout", dropout)
        self.recurrent_dropout = checks.rate("recurrent_dropout", recurrent_dropout)
        construction.can_drop_recurrent(self.definition, self.recurrent_dropout)
        self.masks = Dropout(self.dropout, self.recurrent_dropout, self.seed)
        named = construction.parameters(type(self).__init__) + construction.parameters(FusedCell.__init__)
        known = [*self.definition.options, *self.definition.sizes]
        construction.known_options(options, known, type(self).__name__, named)
        self.options = {
            name: construction.activation(name, value) if callable(self.definition.options[name]) else value
            for name, value in options.items()
            if name not in self.definition.sizes
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
        return [Field(name, constant, self._size(name)) for name, constant in self.definition.states.items()]

    def _size(self, vector):
        return self.sizes[self.definition.size_of[vector]]

    @property
    def state_size(self):
        sizes = [field.units for field in self.fields]
        return sizes if len(sizes) > 1 else sizes[0]

    @property
    def output_size(self):
        return self._size(self.definition.output)

    @property
    def is_arranged(self):
        """Whether a call without training is more than its program: see `arrange`."""
        return bool(self.definition.extra) or type(self).arrange is not FusedCell.arrange

    own_extra = frozenset()  # of the definition's extra inputs, those that the cell makes itself

    @property
    def extra_sizes(self):
        return {
            name: 0 if size == PER_ROW else self.sizes[size]
            for name, size in self.definition.extra.items()
            if name not in self.own_extra
        }

    @property
    def input_size(self):
        """I, or None before `build`."""
        return None if self.program is None else self.program.input_size

    def __repr__(self):
        kept = f", weights in {self.weights_dtype}" if self.weights_dtype else ""
        return f"<{type(self).__name__} {self.definition.name}, {self.units} units, {self.dtype}{kept}>"

    def shapes(self, input_size):
        """Names and shapes of the weights, in the order of `get_weights`; an unknown `input_size` is None."""
        shapes = matrices.shapes(self.definition, self.sizes, input_size)
        return {name: shape for name, shape in shapes.items() if self.use_bias or name != "bias"}

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
            shapes, generator = self.shapes(input_size), np.random.default_rng(self.seed)
            drawn = [self._first(name, shape, generator) for name, shape in shapes.items()]
            self.use(self.initial_weights(self._taken(drawn, shapes)))
        elif self.program.input_size != input_size:
            raise ValueError(
                f"input_size = {input_size}; the cell has weights for {self.program.input_size} "
                "features: make another cell"
            )

    def _first(self, name, shape, generator):
        """What the weights of that name begin with."""
        of_kernel, of_recurrent, of_bias = self.initializers
        initializer = {"kernel": of_kernel, "bias": of_bias}.get(name, of_recurrent)
        if name in self.definition.parameters:
            initializer = self.parameter_initializer
            if initializer is None:
                return np.full(shape, self.definition.parameters[name].constant)
        return initializer(shape) if callable(initializer) else draw(initializer, shape, generator)

    time_major, device = False, "auto"  # of a call of the cell alone

    def initial_weights(self, drawn):
        """What a cell makes of freshly drawn weights; most leave them."""
        return drawn

    def get_weights(self):
        """Kernel, recurrent kernel, with ``use_bias`` bias, parameters: read-only arrays in Keras' layout."""
        return [] if self.program is None else list(self.program.weights.arrays.values())

    def set_weights(self, weights):
        """Take copies of `weights`, a list as `get_weights` returns it; other float dtypes are rounded once
        to the cell's.

        Raises
        ------
        TypeError, ValueError
            Another number of arrays, a wrong shape (a transposed one is named), integers; a number too large
            for `weights_dtype`.
        """
        self.use(self.checked_weights(weights, self.input_size))

    def checked_weights(self, weights, input_size):
        """Copies of `weights` for inputs of `input_size` features, of any number with None."""
        return self._taken(weights, self.shapes(input_size))

    def _taken(self, weights, shapes):
        """Weights as arrays of our own."""
        arrays = checks.weights(weights, shapes, self.dtype)
        named = dict(zip(shapes, arrays, strict=True))
        checks.within_range(named, matrices.matrices(self.definition), self.weights_dtype)
        return arrays

    def inputs_of(self, weights):
        """The number of features that weights are for."""
        return len(weights[0])

    def use(self, arrays):
        """Run with these weights: arrays of its own, in the order of `shapes`."""
        named = dict(zip(self.shapes(None), arrays, strict=True))
        self.program = self._program_of(self.definition, named)
        self._training_program = None

    def _program_of(self, definition, arrays):
        """A program of this cell's sizes and options."""
        return Program(definition, self.options, self.sizes, arrays, dispatch.empty, self.weights_dtype)

    @property
    def training_program(self):
        """What runs with recurrent dropout: the same weights, and a mask among the states."""
        arrays, known = self.program.weights.arrays, self._training_program
        if known is None or known.weights.arrays is not arrays:
            dropped = with_recurrent_dropout(self.definition)
            known = self._program_of(dropped, arrays)
            self._training_program = known
        return known

    def arrange(self, batch, x, initial, final, training, stream, extra, masks=None):
        """What is run for a call: once for all its steps.

        Parameters
        ----------
        batch : Batch
        x : ndarray or OnDevice
            The inputs, as ``batch.rows`` or rows of our own.
        initial, final : list
            States, see `dispatch.run`.
        training : bool
        stream : object, optional
        extra : dict
            Name -> rows of the inputs in `extra_sizes`.
        masks : Masks, optional
            Of dropout; default: drawn for this call.

        Returns
        -------
        Arranged
        """
        program, own_rows, options = self.program, False, {}
        if self.definition.extra and x.ndim == 3:
            x, own_rows = dropout.as_rows(batch, x, stream), True
        if training:
            masks = masks or self._masks_of(batch)
            if masks.inputs is not None:
                x, own_rows = dropout.times(batch, x, masks.inputs, stream), True
            if masks.recurrent is not None:
                program, options = self.training_program, {"own_constants": True}
                initial, final = dropout.with_mask(batch, self, initial, masks.recurrent), [*final, None]
        rows = [extra[name] for name in self.definition.extra]
        return Arranged(program, x, own_rows, initial, final, rows, options)

    @cached_property
    def recurrent(self):
        """A vector that the recurrent kernel multiplies, or None."""
        return next((s for phase in self.definition.phases for s in phase.sources if s != "x"), None)

    def get_initial_state(self, batch_size, dtype=None):
        """A list of arrays (batch_size, size): the state before any step."""
        dtype = self.dtype if dtype is None else checks.dtype(dtype)
        rows = checks.whole("batch_size", batch_size, 0)
        return [np.full((rows, size), constant, dtype) for _, constant, size in self.fields]

    def __call__(self, x_t, states, training=False, *, extra=None):
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
        extra : dict, optional
            Inputs of this step that the definition declares: name -> array (B, size), or (B,).

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
        flat = checks_states.flatten("states", states, [[field] for field in self.fields])
        adopted = [(label, field, places.adopt(label, value)) for label, field, value in flat]
        given = checks_states.states(adopted, x_t.shape[0], self.dtype)
        for (label, *_), state in zip(flat, given, strict=True):
            checks.same_place(label, state, x_t)
        self.build(x_t.shape[1])
        shapes = [(x_t.shape[0], size) for size in (self.output_size, *(f.units for f in self.fields))]
        output, *new = [places.new_like(x_t, shape, self.dtype) for shape in shapes]
        self._step(x_t, output, given, new, training, extra)
        output, *new = places.as_given([output, *new])
        if not isinstance(states, (list, tuple)):
            return output, new[0]
        return output, states._make(new) if hasattr(states, "_make") else type(states)(new)

    def _step(self, x_t, output, initial, final, training, extra):
        """One step on checked arrays: x_t and `initial` are read, `output` and `final` written."""
        plan = dispatch.dense_plan(x_t.shape[0], 1)
        if not (training or self.is_arranged or extra is not None):
            device = places.device_of(self.device, x_t)
            checks.weights_for(device, self.weights_dtype)
            dispatch.run(self.program, plan, x_t, output, initial, final, again=True, device=device)
            return
        batch = Batch(self, x_t, extra=extra, one_step=True)
        masks = self.kept_masks(batch, training)
        run = self.arrange(batch, batch.rows, initial, final, training, None, batch.extra, masks)
        dispatch.run(
            run.program, plan, run.x, output, run.initial, run.final, device=batch.device, extra=run.extra
        )

    def kept_masks(self, batch, training):
        """Masks of dropout for a step: the same in a loop over steps."""
        if not training:
            return None
        if self._drawn is None:
            self._drawn = self._masks_of(batch)
        checks.mask_rows([mask for mask in self._drawn if mask is not None], batch.B)
        return self._drawn

    def _masks_of(self, batch):
        """Masks of dropout for a call."""
        size = self._size(self.recurrent) if self.recurrent else 0
        return self.masks.draw(batch.B, self.input_size, size, self.dtype)

    def reset_dropout_mask(self):
        """Have the next call with ``training=True`` draw new masks, of inputs and recurrent vectors."""
        self._drawn = None
