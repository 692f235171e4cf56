"""What TensorFlow 1's cells have in common: their variables, the form of their states, their defaults."""

from typing import Any, NamedTuple

import numpy as np

from .. import checks, construction, dispatch
from ..fused import FusedCell
from ..kernels.program import Program
from ..weights import draw
from . import checks as tf1_checks

GLOROT = "glorot_uniform"  # how TensorFlow's variables begin by default, each drawn as a whole


class LSTMStateTuple(NamedTuple):
    """The state of TensorFlow 1's LSTM cells.

    Parameters
    ----------
    c : ndarray, shape (B, num_units)
        Cell state.
    h : ndarray, shape (B, output_size)
        Hidden state, which is the output.

    Examples
    --------
    >>> state = nr.tf1.LSTMCell(4).zero_state(2)
    >>> state.c.shape, state.h.shape
    ((2, 4), (2, 4))
    """

    c: Any
    h: Any


class Variable(NamedTuple):
    """How one of TensorFlow's variables begins."""

    shape: tuple
    initializer: object  # a name, or a function of a shape


class TF1Cell(FusedCell):
    """A cell whose weights are TensorFlow's variables, in the order in which TensorFlow creates them.

    What inherits says which `variables` it has, and which of the definition's `arrays` they make.
    """

    def __init__(self, entry, num_units, activation, dtype, seed, name, reuse, **options):
        checks.only_default("reuse", reuse, None)
        num_units = checks.whole("num_units", num_units, 1)
        if activation is not None:  # as in TensorFlow, None is the cell's own: tanh
            options["activation"] = activation
        super().__init__(
            construction.table_cell(entry), num_units, dtype=tf1_checks.dtype(dtype), seed=seed, **options
        )
        self.name = construction.layer_name(name, type(self).__name__.lower())

    def shapes(self, input_size):
        """Names and shapes of the variables, in the order of `get_weights`; an unknown `input_size` is
        None.
        """
        return {name: variable.shape for name, variable in self.variables(input_size).items()}

    def _first(self, name, shape, generator):
        """What a variable begins with; TensorFlow draws each as a whole."""
        initializer = self.variables(None)[name].initializer
        return initializer(shape) if callable(initializer) else draw(initializer, shape, generator)

    def inputs_of(self, variables):
        """The number of features that variables are for."""
        return tf1_checks.inputs_of(variables[0], next(iter(self.shapes(None))), self.output_size)

    def get_weights(self):
        """TensorFlow's variables in the order of their creation: read-only arrays."""
        return [] if self.program is None else list(self._variables)

    def checked_weights(self, weights, input_size):
        arrays = checks.weights(weights, self.shapes(input_size), self.dtype)
        if input_size is None:
            arrays = checks.weights(arrays, self.shapes(self.inputs_of(arrays)), self.dtype)
        return arrays

    def use(self, variables):
        """Run with these weights: arrays of its own, in the order of `shapes`."""
        for variable in variables:
            variable.flags.writeable = False
        arrays = self.arrays(dict(zip(self.shapes(None), variables, strict=True)))
        self.program = Program(self.definition, self.options, self.sizes, arrays, dispatch.empty)
        self._variables, self._training_program = tuple(variables), None

    def pack_state(self, states):
        """A state as users know it, from the list of its arrays."""
        return states[0]

    def flat_state(self, state):
        """The list of arrays of a state as users give it."""
        if isinstance(state, (list, tuple)):
            return list(tf1_checks.parts("state", state, 1))
        return [state]

    def zero_state(self, batch_size, dtype=None):
        """The state before any step.

        Parameters
        ----------
        batch_size : int
        dtype : dtype, optional
            Default: the cell's.

        Returns
        -------
        ndarray, shape (batch_size, state_size), or LSTMStateTuple of such
        """
        dtype = self.dtype if dtype is None else tf1_checks.dtype(dtype)
        return self.pack_state(super().get_initial_state(batch_size, dtype))

    def __call__(self, x_t, state, training=False):
        """One step of a batch.

        Parameters
        ----------
        x_t : array_like, shape (B, I)
        state : array_like or LSTMStateTuple
            As `zero_state` gives it.
        training : bool
            Accepted, as of every cell; changes nothing.

        Returns
        -------
        output : ndarray, shape (B, output_size)
        state : as `state`

        Raises
        ------
        TypeError, ValueError
            A wrong dtype, shape or structure.
        """
        output, states = super().__call__(x_t, self.flat_state(state), training)
        return output, self.pack_state(states)


def rows(input_size, others):
    """The rows of a kernel over the inputs and `others` more; None for an unknown number."""
    return None if input_size is None else input_size + others


def over_and_under(kernel, size):
    """The two parts of TensorFlow's kernels: what multiplies the inputs, and the last `size` rows, which
    multiply the recurrent vector. Views.
    """
    inputs = len(kernel) - size
    return kernel[:inputs], kernel[inputs:]


def beside(*kernels):
    """Kernels as one."""
    return np.concatenate(kernels, axis=-1)
