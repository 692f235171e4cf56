"""Weights: how they are first drawn, and the layouts of other systems. Ours is Keras': kernel (I, gates * H),
recurrent kernel, bias.
"""

import numpy as np


def _glorot_uniform(shape, generator):
    limit = np.sqrt(6.0 / (shape[0] + shape[-1]))
    return generator.uniform(-limit, limit, shape)


def _orthogonal(shape, generator):
    """Rows or columns, whichever are fewer, orthonormal (Saxe et al. 2013); signs such that the draw is
    uniform.
    """
    rows, columns = shape
    q, r = np.linalg.qr(generator.standard_normal((max(shape), min(shape))))
    q = q * np.sign(np.diag(r))
    return q if rows >= columns else q.T


INITIALIZERS = {
    "glorot_uniform": _glorot_uniform,
    "orthogonal": _orthogonal,
    "zeros": lambda shape, generator: np.zeros(shape),
    "ones": lambda shape, generator: np.ones(shape),
}


def draw(initializer, shape, generator):
    """A new float64 array from the initialiser of that name."""
    return INITIALIZERS[initializer](shape, generator)


# Columns of our gates in PyTorch's order of blocks
TORCH_ORDERS = {"simple_rnn": (0,), "lstm": (0, 1, 2, 3), "gru": (1, 0, 2)}


def from_torch(cell, weight_ih, weight_hh, bias_ih=None, bias_hh=None):
    """Weights of one PyTorch layer and direction in our layout.

    Parameters
    ----------
    cell : str
        ``"lstm"``, ``"gru"`` (reset after the product, PyTorch's only form) or ``"simple_rnn"``.
    weight_ih, weight_hh : array_like, shape (gates * H, I), (gates * H, H)
        Gates in PyTorch's order: LSTM i, f, g, o; GRU r, z, n.
    bias_ih, bias_hh : array_like, shape (gates * H,), optional

    Returns
    -------
    list of ndarray
        For ``set_weights``: kernel, recurrent kernel, and the bias if there is one. Exact, but for LSTM and
        SimpleRNN, which have one bias where PyTorch adds two: their sum, rounded once.

    Raises
    ------
    ValueError
        An unknown cell, or one bias without the other.

    Examples
    --------
    >>> import numpy as np
    >>> [array.shape for array in from_torch("gru", np.ones((6, 3)), np.ones((6, 2)), np.ones(6), np.ones(6))]
    [(3, 6), (2, 6), (2, 6)]
    """
    if cell not in TORCH_ORDERS:
        raise ValueError(f"cell = {cell!r}; expected one of {', '.join(map(repr, TORCH_ORDERS))}")
    if (bias_ih is None) != (bias_hh is None):
        raise ValueError("bias_ih and bias_hh: one is None; expected both or neither")
    order = TORCH_ORDERS[cell]

    def reorder(array):
        """Blocks along the first axis in our order."""
        array = np.asarray(array)
        return np.concatenate([np.split(array, len(order))[gate] for gate in order])

    weights = [np.ascontiguousarray(reorder(array).T) for array in (weight_ih, weight_hh)]
    if bias_ih is not None:
        biases = [reorder(bias_ih), reorder(bias_hh)]
        weights.append(np.stack(biases) if cell == "gru" else biases[0] + biases[1])
    return weights
