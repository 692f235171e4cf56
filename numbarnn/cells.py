"""The cells by name: each an entry of the cell table with its own choices."""

from . import checks, construction
from .fused import FusedCell


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
