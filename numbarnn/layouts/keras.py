"""Weights of Keras' layers, from and to."""

import numpy as np

from ..checks_layouts import checked_weights, listed
from . import Arrays, Weights, layout_of
from .conversion import canonical, laid_out


def from_keras(cell, arrays):
    """Weights of a Keras LSTM, GRU or SimpleRNN, or of a layer of this library.

    Parameters
    ----------
    cell : str
        ``"lstm"``, ``"gru"`` (``reset_after=True``), ``"gru_reset_before"`` or ``"simple_rnn"``.
    arrays : list of array_like
        What ``get_weights()`` returns: kernel (I, gates * H), recurrent kernel (H, gates * H) and, with
        ``use_bias``, the bias: (gates * H,), or (2, gates * H) of ``"gru"``.

    Returns
    -------
    Weights
        Exact copies.

    Raises
    ------
    TypeError, ValueError
        Arrays that do not fit together or are not of one real dtype.

    Examples
    --------
    >>> layer = nr.GRU(2)
    >>> layer.build(3)
    >>> nr.weights.from_keras("gru", layer.get_weights()).bias.shape
    (2, 6)
    """
    layout_of("Keras", cell)
    arrays = listed("arrays", arrays, (2, 3), "kernel, recurrent_kernel and, if there is one, bias")
    weights = checked_weights(Weights(cell, *arrays), Arrays("arrays[0]", "arrays[1]", "arrays[2]"))
    return Weights(cell, *(None if array is None else array.copy() for array in weights[1:]))


def to_keras(weights):
    """The list for ``set_weights`` of a Keras layer, or of a layer of this library; exact copies.

    Parameters
    ----------
    weights : Weights

    Returns
    -------
    list of ndarray
        Kernel, recurrent kernel, and the bias if there is one.

    Raises
    ------
    ValueError
        Peepholes or a projection, which Keras' LSTM does not have.

    Examples
    --------
    >>> weights = nr.weights.from_onnx("lstm", np.ones((1, 8, 3)), np.ones((1, 8, 2)))[0]
    >>> layer = nr.LSTM(2, use_bias=False)
    >>> layer.build(3)
    >>> layer.set_weights(nr.weights.to_keras(weights))
    """
    arrays = laid_out("Keras", weights)
    bias = arrays.bias
    if bias is not None and weights.cell == "gru":
        bias = bias.reshape(2, -1)
    return [*arrays[:2], *([] if bias is None else [bias])]


LEGACY = "Keras' CuDNNLSTM and CuDNNGRU"


def from_keras_cudnn(cell, arrays):
    """Weights of Keras' old CuDNNLSTM or CuDNNGRU layer.

    Parameters
    ----------
    cell : str
        ``"lstm"`` or ``"gru"``.
    arrays : list of array_like
        Kernel (I, gates * H), recurrent kernel (H, gates * H), bias (2 * gates * H,): the input biases, then
        the recurrent ones. Gates in Keras' order; the block of a gate holds the numbers of its transpose,
        row after row.

    Returns
    -------
    Weights
        Exact, but for the LSTM's bias: the sum of two, rounded once.

    Raises
    ------
    TypeError, ValueError
        Another cell, or arrays that do not fit together.

    Examples
    --------
    >>> nr.weights.from_keras_cudnn("lstm", [np.ones((3, 8)), np.ones((2, 8)), np.ones(16)]).bias
    array([2., 2., 2., 2., 2., 2., 2., 2.])
    """
    gates = len(layout_of(LEGACY, cell).gates.split())
    names = Arrays("arrays[0]", "arrays[1]", "arrays[2]")
    kernel, recurrent_kernel, bias = listed("arrays", arrays, (3,), "kernel, recurrent_kernel and bias")
    plain = canonical(LEGACY, cell, Arrays(kernel, recurrent_kernel, bias), names)

    def turned(array):
        return _each_gate(array, gates, lambda block: block.reshape(block.shape[::-1]).T)

    return plain._replace(kernel=turned(plain.kernel), recurrent_kernel=turned(plain.recurrent_kernel))


def to_keras_cudnn(weights):
    """The list for ``set_weights`` of Keras' old CuDNNLSTM or CuDNNGRU layer; exact.

    Parameters
    ----------
    weights : Weights
        Of an LSTM or of a GRU that resets after the product.

    Returns
    -------
    list of ndarray
        As `from_keras_cudnn` takes them; the recurrent biases of an LSTM are 0.

    Raises
    ------
    ValueError
        Another cell; peepholes or a projection.

    Examples
    --------
    >>> weights = nr.weights.from_keras("lstm", [np.ones((3, 8)), np.ones((2, 8)), np.ones(8)])
    >>> [array.shape for array in nr.weights.to_keras_cudnn(weights)]
    [(3, 8), (2, 8), (16,)]
    """
    arrays = laid_out(LEGACY, weights)
    gates = len(layout_of(LEGACY, weights.cell).gates.split())

    def turned(array):
        return _each_gate(array, gates, lambda block: block.T.reshape(block.shape))

    return [turned(arrays.kernel), turned(arrays.recurrent_kernel), arrays.bias]


def _each_gate(array, gates, turned):
    """The blocks of the gates, each turned, side by side."""
    return np.ascontiguousarray(np.concatenate([turned(block) for block in np.split(array, gates, 1)], 1))
