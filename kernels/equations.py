"""The equations of the cells, written once: what one unit does in one step.

Arguments are the pre-activations of the unit's slots, then what it reads (states, results of an earlier
phase); the activations are options. Every kernel, derivative and reference is derived from these functions.
Gates: i input, f forget, g candidate, o output (LSTM); z update, r reset, n candidate (GRU).
"""

from .mathfn import maximum, minimum, sigmoid, tanh


def simple_rnn(a, *, activation=tanh):
    """h' = activation(x W + h U + b) (Elman 1990)."""
    return activation(a)


def lstm(i, f, g, o, c, *, activation=tanh, recurrent_activation=sigmoid):
    """Hochreiter and Schmidhuber 1997 with the forget gate of Gers et al. 2000: c' = f c + i g, h' = o
    activation(c').
    """
    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
    return recurrent_activation(o) * activation(c), c


def gru(z, r, n_x, n_h, h, *, activation=tanh, recurrent_activation=sigmoid):
    """arXiv:1406.1078v1, reset after the product: n = activation(x W_n + b_x + r (h U_n + b_h)), h' = z h +
    (1 - z) n.
    """
    n = activation(n_x + recurrent_activation(r) * n_h)
    return _mix(recurrent_activation(z), h, n)


def gru_gates(z, r, h, *, recurrent_activation=sigmoid):
    """arXiv:1406.1078v3, reset before the product, first phase: the gates, and r h for the candidate's
    product.
    """
    return recurrent_activation(z), recurrent_activation(r) * h


def gru_candidate(n, z, h, *, activation=tanh):
    """arXiv:1406.1078v3, second phase: n = activation(x W_n + (r h) U_n + b), h' = z h + (1 - z) n."""
    return _mix(z, h, activation(n))


def tf1_lstm(i, g, f, o, c, *, activation=tanh, forget_bias=1.0, cell_clip=None):
    """TensorFlow 1's LSTM: `lstm` with a constant more in the forget gate, and c' clipped to -cell_clip ..
    cell_clip.
    """
    c = _clip(sigmoid(f + forget_bias) * c + sigmoid(i) * activation(g), cell_clip)
    return c, sigmoid(o) * activation(c)


def tf1_lstm_peephole(
    i, g, f, o, c, w_f_diag, w_i_diag, w_o_diag, *, activation=tanh, forget_bias=1.0, cell_clip=None
):
    """Gers and Schmidhuber 2000: the gates see the cell state too, the output gate the new one."""
    i, f = i + w_i_diag * c, f + forget_bias + w_f_diag * c
    c = _clip(sigmoid(f) * c + sigmoid(i) * activation(g), cell_clip)
    return c, sigmoid(o + w_o_diag * c) * activation(c)


def projection(p, *, proj_clip=None):
    """Sak et al. 2014: the output is a product of what the LSTM computes."""
    return _clip(p, proj_clip)


def gru_block_candidate(n, z, h):
    """`gru_candidate` with the mix rounded otherwise, h' = z (h - n) + n, as TensorFlow 1's block cell has
    it.
    """
    n = tanh(n)
    return z * (h - n) + n


def _clip(value, limit):
    """As TensorFlow clips: from above, then from below, so that a negative limit gives -limit everywhere."""
    return value if limit is None else maximum(-limit, minimum(limit, value))


def _mix(z, h, n):
    return z * h + (1.0 - z) * n
