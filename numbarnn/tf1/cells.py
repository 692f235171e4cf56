"""TensorFlow 1's simple and gated recurrent cells: each an entry of the cell table with the variables that
TensorFlow has for it.
"""

import numpy as np

from .. import construction
from .base import GLOROT, TF1Cell, Variable, beside, over_and_under, rows


class BasicRNNCell(TF1Cell):
    """The simple cell, ``tf.nn.rnn_cell.BasicRNNCell``: h' = activation([x, h] kernel + bias).

    Variables: kernel (I + H, H), bias (H,).

    Parameters
    ----------
    num_units : int
        H.
    activation : str or callable, optional
        None: tanh.
    reuse
        None: weights are shared by using one cell twice.
    name : str, optional
    dtype : dtype, optional
        None: float32.
    seed : int, optional
        Of the initial weights.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.

    Examples
    --------
    >>> cell = nr.tf1.BasicRNNCell(4, seed=0)
    >>> output, h = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> [array.shape for array in cell.get_weights()]
    [(7, 4), (4,)]
    """

    def __init__(self, num_units, activation=None, reuse=None, name=None, dtype=None, *, seed=None):
        super().__init__("simple_rnn", num_units, activation, dtype, seed, name, reuse)

    def variables(self, input_size):
        return {
            "kernel": Variable((rows(input_size, self.units), self.units), GLOROT),
            "bias": Variable((self.units,), "zeros"),
        }

    def arrays(self, variables):
        kernel, recurrent_kernel = over_and_under(variables["kernel"], self.units)
        return {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": variables["bias"]}


class _GRU(TF1Cell):
    """Gates r, u; the reset before the product."""

    names = "gates/kernel", "gates/bias", "candidate/kernel", "candidate/bias"

    def __init__(self, entry, num_units, activation, kernel_initializer, bias_initializer, *others):
        self._kernel = construction.initializer("kernel_initializer", kernel_initializer or GLOROT)
        self._bias = bias_initializer
        if bias_initializer is not None:
            construction.initializer("bias_initializer", bias_initializer)
        super().__init__(entry, num_units, activation, *others)

    def variables(self, input_size):
        inputs, H = rows(input_size, self.units), self.units
        made = [
            Variable((inputs, 2 * H), self._kernel),
            Variable((2 * H,), self._bias or "ones"),
            Variable((inputs, H), self._kernel),
            Variable((H,), self._bias or "zeros"),
        ]
        return dict(zip(self.names, made, strict=True))

    def arrays(self, variables):
        gates, gates_bias, candidate, candidate_bias = variables.values()
        kernel, recurrent_kernel = over_and_under(beside(gates, candidate), self.units)
        bias = beside(gates_bias, candidate_bias)
        return {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": bias}


class GRUCell(_GRU):
    """Gated recurrent unit, ``tf.nn.rnn_cell.GRUCell`` (arXiv:1406.1078v3): the reset gate multiplies the
    state before the product.

    r, u = sigmoid([x, h] gates), n = activation([x, r h] candidate), h' = u h + (1 - u) n. Variables:
    gates/kernel (I + H, 2H) with columns r, u, gates/bias (2H,), candidate/kernel (I + H, H), candidate/bias
    (H,).

    Parameters
    ----------
    num_units : int
        H.
    activation : str or callable, optional
        Of the candidate; None: tanh.
    reuse
        None: weights are shared by using one cell twice.
    kernel_initializer, bias_initializer : str or callable, optional
        None: "glorot_uniform" for each kernel as a whole; 1 for the gates' bias and 0 for the candidate's. A
        given `bias_initializer` is that of both.
    name : str, optional
    dtype : dtype, optional
        None: float32.
    seed : int, optional
        Of the initial weights.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.

    Examples
    --------
    >>> cell = nr.tf1.GRUCell(4, seed=0)
    >>> output, h = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> [array.shape for array in cell.get_weights()]
    [(7, 8), (8,), (7, 4), (4,)]
    """

    def __init__(
        self,
        num_units,
        activation=None,
        reuse=None,
        kernel_initializer=None,
        bias_initializer=None,
        name=None,
        dtype=None,
        *,
        seed=None,
    ):
        initializers = kernel_initializer, bias_initializer
        super().__init__("tf1_gru", num_units, activation, *initializers, dtype, seed, name, reuse)


class GRUBlockCell(_GRU):
    """``tf.contrib.rnn.GRUBlockCell``: `GRUCell` with tanh, and the mix rounded as h' = u (h - n) + n.

    Variables as of `GRUCell`, called w_ru, b_ru, w_c, b_c.

    Parameters
    ----------
    num_units : int, optional
        H.
    cell_size : int, optional
        TensorFlow's old name for `num_units`; exactly one of the two.
    reuse, name, dtype, seed
        As of `GRUCell`.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value; both sizes, or neither.

    Examples
    --------
    >>> cell = nr.tf1.GRUBlockCell(4, seed=0)
    >>> output, h = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> bool((output == h).all())
    True
    """

    names = "w_ru", "b_ru", "w_c", "b_c"

    def __init__(self, num_units=None, cell_size=None, reuse=None, dtype=None, name="gru_cell", *, seed=None):
        if (num_units is None) == (cell_size is None):
            raise ValueError(
                f"num_units = {num_units!r} and cell_size = {cell_size!r}; expected one of them: num_units"
            )
        units = cell_size if num_units is None else num_units
        super().__init__("tf1_gru_block", units, None, None, None, dtype, seed, name, reuse)


class GRUBlockCellV2(GRUBlockCell):
    """``tf.contrib.rnn.GRUBlockCellV2``: `GRUBlockCell` with `GRUCell`'s names of the variables.

    Parameters
    ----------
    num_units, cell_size, reuse, dtype, name, seed
        As of `GRUBlockCell`.

    Examples
    --------
    >>> cell = nr.tf1.GRUBlockCellV2(4, seed=0)
    >>> output, h = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> list(cell.shapes(3))
    ['gates/kernel', 'gates/bias', 'candidate/kernel', 'candidate/bias']
    """

    names = GRUCell.names


class CudnnCompatibleGRUCell(_GRU):
    """``tf.contrib.cudnn_rnn.CudnnCompatibleGRUCell``: what `CudnnGRU` computes (arXiv:1406.1078v1), step by
    step: the reset gate multiplies the product and its bias.

    r, u = sigmoid([x, h] gates), n = tanh(x W + b + r (h U + d)), h' = (1 - u) n + u h. Variables:
    gates/kernel (I + H, 2H) with columns r, u, gates/bias (2H,), candidate/input_projection/kernel (I, H),
    candidate/hidden_projection/kernel (H, H), then the biases (H,) of these two.

    Parameters
    ----------
    num_units : int
        H.
    reuse
        None: weights are shared by using one cell twice.
    kernel_initializer : str or callable, optional
        None: "glorot_uniform". The gates' bias begins with 1.
    dtype, name, seed
        As of `GRUCell`.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.

    Examples
    --------
    >>> cell = nr.tf1.CudnnCompatibleGRUCell(4, seed=0)
    >>> output, h = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> [array.shape for array in cell.get_weights()]
    [(7, 8), (8,), (3, 4), (4, 4), (4,), (4,)]
    """

    def __init__(self, num_units, reuse=None, kernel_initializer=None, dtype=None, name=None, *, seed=None):
        initializers = kernel_initializer, None
        super().__init__("tf1_gru_after", num_units, None, *initializers, dtype, seed, name, reuse)

    def variables(self, input_size):
        gates, H = super().variables(input_size), self.units
        return {
            "gates/kernel": gates["gates/kernel"],
            "gates/bias": gates["gates/bias"],
            "candidate/input_projection/kernel": Variable((input_size, H), self._kernel),
            "candidate/hidden_projection/kernel": Variable((H, H), self._kernel),
            "candidate/input_projection/bias": Variable((H,), "zeros"),
            "candidate/hidden_projection/bias": Variable((H,), "zeros"),
        }

    def arrays(self, variables):
        gates, gates_bias, kernel, recurrent_kernel, bias, recurrent_bias = variables.values()
        of_inputs, of_state = over_and_under(gates, self.units)
        biases = beside(gates_bias, bias), beside(np.zeros_like(gates_bias), recurrent_bias)
        return {
            "kernel": beside(of_inputs, kernel),
            "recurrent_kernel": beside(of_state, recurrent_kernel),
            "bias": np.stack(biases),
        }
