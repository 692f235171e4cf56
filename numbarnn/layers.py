"""The layers by name: each a cell of the table in an `RNN`."""

from . import cells, construction, fused
from .rnn import LAYER_OPTIONS, RNN


def _parts(options, layer):
    """Keyword arguments of a layer, divided into its cell's and its own."""
    known = [*construction.parameters(type(layer).__init__), *fused.OPTIONS, *LAYER_OPTIONS]
    construction.known_options(options, known, type(layer).__name__)
    for_cell = {name: value for name, value in options.items() if name in fused.OPTIONS}
    return for_cell, {name: value for name, value in options.items() if name not in fused.OPTIONS}


class SimpleRNN(RNN):
    """A fully connected recurrent layer (Elman 1990): h' = activation(x W + h U + b).

    Parameters
    ----------
    units : int
        H.
    activation : str, callable or None
        "tanh", "sigmoid", "relu", "exponential", "linear" (also None), or a function written with
        `numbarnn.math`.
    use_bias : bool
    **options
        Of the cell: ``kernel_initializer``, ``recurrent_initializer``, ``bias_initializer``, ``dtype``,
        ``seed``, ``weights_dtype`` (see `FusedCell`). Of the layer: see `RNN`.

    Examples
    --------
    >>> nr.SimpleRNN(4, seed=0)(np.ones((2, 3, 5), np.float32)).shape
    (2, 4)
    """

    def __init__(self, units, activation="tanh", use_bias=True, **options):
        for_cell, own = _parts(options, self)
        super().__init__(cells.SimpleRNNCell(units, activation, use_bias, **for_cell), **own)


class LSTM(RNN):
    """Long short-term memory (Hochreiter and Schmidhuber 1997, forget gate of Gers et al. 2000), as Keras
    computes it.

    Weights in Keras' layout, gates i, f, g, o: kernel (I, 4H), recurrent kernel (H, 4H), bias (4H,). States
    h, c.

    Parameters
    ----------
    units : int
        H.
    activation, recurrent_activation : str, callable or None
        Of the candidate and the output, and of the gates; see `SimpleRNN`.
    use_bias : bool
    unit_forget_bias : bool
        Start the forget gate's bias at 1.
    **options
        As of `SimpleRNN`.

    Examples
    --------
    >>> layer = nr.LSTM(4, return_state=True, seed=0)
    >>> y, h, c = layer(np.ones((2, 3, 5), np.float32))
    >>> bool((y == h).all())
    True
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
        for_cell, own = _parts(options, self)
        super().__init__(
            cells.LSTMCell(units, activation, recurrent_activation, use_bias, unit_forget_bias, **for_cell),
            **own,
        )


class GRU(RNN):
    """Gated recurrent unit (Cho et al. 2014), as Keras computes it.

    Weights in Keras' layout, gates z, r, n: kernel (I, 3H), recurrent kernel (H, 3H), bias (2, 3H), or (3H,)
    with ``reset_after=False``.

    Parameters
    ----------
    units : int
        H.
    activation, recurrent_activation : str, callable or None
        Of the candidate, and of the gates; see `SimpleRNN`.
    use_bias : bool
    reset_after : bool
        Apply the reset gate after the recurrent product (as PyTorch and cuDNN do) or before it (as TensorFlow
        1 does).
    **options
        As of `SimpleRNN`.

    Examples
    --------
    >>> nr.GRU(4, return_sequences=True, seed=0)(np.ones((2, 3, 5), np.float32)).shape
    (2, 3, 4)
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
        for_cell, own = _parts(options, self)
        super().__init__(
            cells.GRUCell(units, activation, recurrent_activation, use_bias, reset_after, **for_cell), **own
        )
