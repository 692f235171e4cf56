"""Cells whose units take the inputs as they are, one feature each, without a product: what cuDNN's
"skip_input" makes of a first layer.
"""

import numpy as np

from .. import dropout
from ..fused import FusedCell
from ..kernels import equations
from ..kernels.declaration import phase
from ..kernels.definition import UNITS, Cell, Parameter
from ..kernels.mathfn import sigmoid, tanh


def simple_rnn(a, feature, *, activation=tanh):
    """h' = activation(x + h U + b)."""
    return equations.simple_rnn(a + feature, activation=activation)


def lstm(i, f, g, o, c, feature, *, activation=tanh, recurrent_activation=sigmoid):
    """The feature is added to the sum of every gate."""
    return equations.lstm(
        i + feature,
        f + feature,
        g + feature,
        o + feature,
        c,
        activation=activation,
        recurrent_activation=recurrent_activation,
    )


def gru(z, r, n, h, feature, bias_of_n, *, activation=tanh, recurrent_activation=sigmoid):
    """Of the candidate, the bias of the inputs stands outside the product that the reset gate multiplies."""
    return equations.gru(
        z + feature,
        r + feature,
        bias_of_n + feature,
        n,
        h,
        activation=activation,
        recurrent_activation=recurrent_activation,
    )


def _cell(states, slots, function, parameters=()):
    named = {name: Parameter(UNITS, 0.0) for name in parameters}
    made = phase(slots, function, results=states)
    name = f"{function.__name__} without input matrix"
    return Cell(name, dict.fromkeys(states.split(), 0.0), "h", (made,), named, {"feature": UNITS})


CELLS = {
    "simple_rnn": _cell("h", "a:h", simple_rnn),
    "lstm": _cell("h c", "i:h f:h g:h o:h", lstm),
    "gru": _cell("h", "z:h r:h n:h", gru, ["bias_of_n"]),
}


class SkippingCell(FusedCell):
    """A cell of `CELLS`, which makes the inputs of its functions from the inputs of its steps."""

    own_extra = frozenset({"feature"})

    def __init__(self, entry, units, activation, dtype):
        super().__init__(CELLS[entry], units, activation=activation, dtype=dtype)

    def set_arrays(self, recurrent_kernel, bias):
        """Take weights as the cell with a product has them."""
        arrays, H = [np.empty((self.units, 0), self.dtype), recurrent_kernel], self.units
        if bias.ndim == 1:
            self.set_weights([*arrays, bias])
        else:
            of_inputs, of_n = bias[0, 2 * H :], bias[1, 2 * H :]
            gates = bias[0, : 2 * H] + bias[1, : 2 * H]
            self.set_weights([*arrays, np.concatenate([gates, of_n]), of_inputs])

    def arrange(self, batch, x, initial, final, training, stream, extra, masks=None):
        own_rows = x.ndim == 3
        if own_rows:
            x = dropout.as_rows(batch, x, stream)
        run = super().arrange(batch, x, initial, final, training, stream, extra | {"feature": x}, masks)
        return run._replace(own_rows=own_rows or run.own_rows)
