"""TensorFlow 1's layers over whole sequences: the fused LSTM, and those of ``tf.contrib.cudnn_rnn``."""

import numpy as np

from .. import checks_dynamic
from ..cells import GRUCell, LSTMCell, SimpleRNNCell
from ..rnn import RNN
from . import checks as tf1_checks
from .base import LSTMStateTuple
from .cudnn import CudnnLayer
from .lstm import LSTMBlockCell


class LSTMBlockFusedCell:
    """``tf.contrib.rnn.LSTMBlockFusedCell``: `LSTMBlockCell` over whole sequences, time-major.

    Parameters
    ----------
    num_units, forget_bias, cell_clip, use_peephole, reuse, dtype, name, seed
        As of `LSTMBlockCell`, whose variables it has.

    Attributes
    ----------
    cell : LSTMBlockCell
        The same weights, for single steps and for `dynamic_rnn`.

    Examples
    --------
    >>> layer = nr.tf1.LSTMBlockFusedCell(4, seed=0)
    >>> outputs, (c, h) = layer(np.ones((5, 2, 3), np.float32), sequence_length=[5, 2])
    >>> outputs.shape, float(abs(outputs[2:, 1]).max()), bool((outputs[1, 1] == h[1]).all())
    ((5, 2, 4), 0.0, True)
    """

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        cell_clip=None,
        use_peephole=False,
        reuse=None,
        dtype=None,
        name="lstm_fused_cell",
        *,
        seed=None,
    ):
        self.cell = LSTMBlockCell(
            num_units, forget_bias, cell_clip, use_peephole, dtype, reuse, name, seed=seed
        )
        self._layer = RNN(self.cell, return_sequences=True, return_state=True, time_major=True)

    def __repr__(self):
        return f"<{type(self).__name__} {self.num_units} units, {self.dtype}>"

    @property
    def num_units(self):
        """H."""
        return self.cell.units

    @property
    def dtype(self):
        return self.cell.dtype

    def build(self, input_size):
        """Draw the weights; see `FusedCell.build`."""
        self.cell.build(input_size)

    def compile_kernels(self):
        """What `numbarnn.warmup` does."""
        self._layer.compile_kernels()

    def get_weights(self):
        """TensorFlow's variables in the order of their creation: read-only arrays."""
        return self.cell.get_weights()

    def set_weights(self, weights):
        """Take copies of `weights`; see `LSTMBlockCell.set_weights`."""
        self.cell.set_weights(weights)

    def __call__(self, inputs, initial_state=None, dtype=None, sequence_length=None, *, n_threads=None):
        """Run the layer.

        Parameters
        ----------
        inputs : array_like, shape (T, B, I), or list of T arrays (B, I)
        initial_state : tuple of array_like, shape (B, H) each, optional
            (c, h). Default: zeros.
        dtype : dtype, optional
            Nothing but the layer's own is taken; TensorFlow asks for it where `initial_state` is not given.
        sequence_length : array_like of int, shape (B,), optional
            Valid steps of each row, 0 to T.
        n_threads : int, optional

        Returns
        -------
        outputs : ndarray, shape (T, B, H), or list of T arrays
            0 past a row's length, whatever the inputs hold there (TensorFlow computes on, and multiplies by
            0).
        state : LSTMStateTuple
            After each row's last valid step.

        Raises
        ------
        TypeError, ValueError
            A wrong argument.
        """
        listed = isinstance(inputs, list)
        given = np.stack(inputs) if listed and inputs else tf1_checks.dense("inputs", inputs)
        x = checks_dynamic.fused_inputs(given, self.cell, True)
        tf1_checks.own_dtype(dtype, self.dtype)
        _, lengths = checks_dynamic.rows_and_lengths(x, sequence_length, True)
        if initial_state is not None:
            initial_state = list(tf1_checks.parts("initial_state", initial_state, 2, ": (c, h)"))
        outputs, *states = self._layer(x, initial_state, lengths=lengths, n_threads=n_threads)
        return list(outputs) if listed else outputs, LSTMStateTuple(*states)


class CudnnLSTM(CudnnLayer):
    """``tf.contrib.cudnn_rnn.CudnnLSTM``: stacked LSTM layers. States h, c: h first, other than the cells
    have it.

    cuDNN is closed; this follows the equations that its documentation prints: i, f, o = sigmoid(W x + R h +
    b_W + b_R) and g = tanh(..) likewise, c' = f c + i g, h' = o tanh(c'), no forget bias. The two biases are
    added once, ahead of all steps.

    Parameters
    ----------
    num_layers : int
    num_units : int
        H, of each layer and direction.
    input_mode : {"linear_input", "skip_input", "auto_select"}
        "skip_input" has no matrices over the inputs in the first layer: each unit takes its own feature, so
        there must be H. "auto_select" is that where there are H features.
    direction : {"unidirectional", "bidirectional"}
        With two, a layer's inputs are the outputs of both directions of the one below, side by side.
    dropout : float
        Share dropped between layers with ``training=True``, at least 0 and below 1; what is kept is divided
        by 1 - dropout. The masks are not cuDNN's.
    seed : int, optional
        Of the initial weights and of dropout.
    dtype : dtype
        float32 or float64.
    kernel_initializer, bias_initializer : str or callable, optional
        Of each of cuDNN's matrices and biases. None: "glorot_uniform", "zeros".
    name : str, optional

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.

    Attributes
    ----------
    rnn_mode : str
    num_layers, num_units, num_dirs, input_size, input_mode, direction
        `input_size` is None before `build`.

    Notes
    -----
    The weights are one variable, ``opaque_kernel``. Its layout, which cuDNN does not promise, is the one
    observed: all matrices, then all biases, for each layer and direction those of the inputs before the
    recurrent ones, gates i, f, g, o.

    Examples
    --------
    >>> layer = nr.tf1.CudnnLSTM(2, 4, direction="bidirectional", seed=0)
    >>> outputs, (h, c) = layer(np.ones((5, 3, 6), np.float32), sequence_lengths=[5, 1, 2])
    >>> outputs.shape, h.shape, layer.state_shape(3)[0]
    ((5, 3, 8), (4, 3, 4), [4, 3, 4])
    """

    rnn_mode = _entry = "lstm"
    gates, _states = 4, ("h", "c")

    def _cell(self):
        return LSTMCell(self.num_units, dtype=self.dtype)


class CudnnGRU(CudnnLayer):
    """``tf.contrib.cudnn_rnn.CudnnGRU``: stacked GRU layers, whose reset gate multiplies the product and its
    bias (arXiv:1406.1078v1).

    cuDNN is closed; this follows the equations that its documentation prints: r, u = sigmoid(W x + R h +
    b_W + b_R), n = tanh(W x + r (R h + b_R) + b_W), h' = (1 - u) n + u h.

    Parameters
    ----------
    num_layers, num_units, input_mode, direction, dropout, seed, dtype, kernel_initializer, bias_initializer,
    name
        As of `CudnnLSTM`.

    Notes
    -----
    Weights as of `CudnnLSTM`, gates r, u, n.

    Examples
    --------
    >>> layer = nr.tf1.CudnnGRU(1, 4, seed=0)
    >>> outputs, (h,) = layer(np.ones((5, 3, 6), np.float32))
    >>> bool((outputs[-1] == h[0]).all()), layer.rnn_mode
    (True, 'gru')
    """

    rnn_mode = _entry = "gru"
    gates = 3

    def _cell(self):
        return GRUCell(self.num_units, dtype=self.dtype)


class CudnnRNNTanh(CudnnLayer):
    """``tf.contrib.cudnn_rnn.CudnnRNNTanh``: stacked simple layers, as cuDNN's documentation prints them: h'
    = tanh(W x + R h + b_W + b_R).

    Parameters
    ----------
    num_layers, num_units, input_mode, direction, dropout, seed, dtype, kernel_initializer, bias_initializer,
    name
        As of `CudnnLSTM`.

    Examples
    --------
    >>> layer = nr.tf1.CudnnRNNTanh(1, 4, seed=0)
    >>> outputs, (h,) = layer(np.ones((5, 3, 6), np.float32))
    >>> bool((outputs[-1] == h[0]).all()), layer.rnn_mode
    (True, 'rnn_tanh')
    """

    rnn_mode = "rnn_tanh"

    def _cell(self):
        return SimpleRNNCell(self.num_units, "tanh", dtype=self.dtype)


class CudnnRNNRelu(CudnnLayer):
    """``tf.contrib.cudnn_rnn.CudnnRNNRelu``: stacked simple layers, as cuDNN's documentation prints them: h'
    = relu(W x + R h + b_W + b_R).

    Parameters
    ----------
    num_layers, num_units, input_mode, direction, dropout, seed, dtype, kernel_initializer, bias_initializer,
    name
        As of `CudnnLSTM`.

    Examples
    --------
    >>> layer = nr.tf1.CudnnRNNRelu(1, 4, seed=0)
    >>> outputs, (h,) = layer(np.ones((5, 3, 6), np.float32))
    >>> bool((outputs >= 0).all()), layer.rnn_mode
    (True, 'rnn_relu')
    """

    rnn_mode, _activation = "rnn_relu", "relu"

    def _cell(self):
        return SimpleRNNCell(self.num_units, "relu", dtype=self.dtype)
