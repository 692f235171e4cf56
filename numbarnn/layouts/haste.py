"""Weights of Haste's and FlashRNN's layers, from and to."""

import numpy as np

from ..checks import whole
from ..checks_layouts import real
from . import Arrays, layout_of
from .conversion import canonical, laid_out
from .torch import joined_biases


def from_haste(cell, kernel, recurrent_kernel, bias, recurrent_bias=None):
    """Weights of a Haste LSTM or GRU.

    Parameters
    ----------
    cell : str
        ``"lstm"``, or ``"gru"``, which resets after the product.
    kernel, recurrent_kernel : array_like, shape (I, gates * H), (H, gates * H)
        Gates in Haste's order: LSTM i, g, f, o; GRU z, r, n.
    bias : array_like, shape (gates * H,)
        The forget bias of an LSTM is part of it.
    recurrent_bias : array_like, shape (gates * H,), optional
        Of the GRU, which needs it.

    Returns
    -------
    Weights
        Exact.

    Raises
    ------
    TypeError, ValueError
        Another cell, or arrays that do not fit together.

    Examples
    --------
    >>> bias = np.repeat([1.0, 2.0, 3.0, 4.0], 2)
    >>> nr.weights.from_haste("lstm", np.ones((3, 8)), np.ones((2, 8)), bias).bias
    array([1., 1., 3., 3., 2., 2., 4., 4.])
    """
    layout_of("Haste", cell)
    name = "bias"
    if cell == "gru":
        bias, name = joined_biases("bias", bias, "recurrent_bias", recurrent_bias), "bias and recurrent_bias"
    elif recurrent_bias is not None:
        raise ValueError(f"recurrent_bias is given; expected None for cell {cell!r}")
    names = Arrays("kernel", "recurrent_kernel", name)
    return canonical("Haste", cell, Arrays(kernel, recurrent_kernel, bias), names)


def to_haste(weights):
    """Parameters of a Haste LSTM or GRU; exact.

    Parameters
    ----------
    weights : Weights

    Returns
    -------
    dict
        ``kernel``, ``recurrent_kernel``, ``bias`` and, of a GRU, ``recurrent_bias``; 0 for weights without.

    Raises
    ------
    ValueError
        Another cell; peepholes or a projection.

    Examples
    --------
    >>> weights = nr.weights.from_keras("gru", [np.ones((3, 6)), np.ones((2, 6))])
    >>> nr.weights.to_haste(weights)["recurrent_bias"]
    array([0., 0., 0., 0., 0., 0.])
    """
    arrays = laid_out("Haste", weights)
    called = {"kernel": arrays.kernel, "recurrent_kernel": arrays.recurrent_kernel, "bias": arrays.bias}
    if weights.cell == "gru":
        called["bias"], called["recurrent_bias"] = np.split(arrays.bias, 2)
    return called


def from_flashrnn(cell, kernel, R, b):
    """Weights of a FlashRNN layer, whose recurrent matrices act within each of N heads of D units.

    Parameters
    ----------
    cell : str
        ``"lstm"``, ``"gru"`` (reset after the product) or ``"simple_rnn"`` (elman). FlashRNN's slstm is
        another cell.
    kernel : array_like, shape (I, gates, N, D)
        What the inputs were multiplied by, since FlashRNN takes products: LSTM i, f, g, o; GRU r, z, n.
    R : array_like, shape (gates, N, D, D)
        From the last axis to the one before; a GRU's are n, r, z.
    b : array_like, shape (gates, N, D)
        A GRU's are (4, N, D): what is inside the reset product, r, z, n.

    Returns
    -------
    Weights
        Exact, with H = N * D; the recurrent kernel is 0 between heads.

    Raises
    ------
    TypeError, ValueError
        Another cell, or arrays that do not fit together.

    Examples
    --------
    >>> R = np.array([[[[1.0, 2.0], [3.0, 4.0]], [[5.0, 6.0], [7.0, 8.0]]]])
    >>> nr.weights.from_flashrnn("simple_rnn", np.ones((3, 1, 2, 2)), R, np.ones((1, 2, 2))).recurrent_kernel
    array([[1., 3., 0., 0.],
           [2., 4., 0., 0.],
           [0., 0., 5., 7.],
           [0., 0., 6., 8.]])
    """
    layout = layout_of("FlashRNN", cell)
    kernel, R, b = real("kernel", kernel, 4), real("R", R, 4), real("b", b, 3)
    gates, heads, size, _ = R.shape
    wanted = {
        "kernel": (len(kernel), len(layout.gates.split()), heads, size),
        "R": (len(layout.gates.split()), heads, size, size),
        "b": (len(layout.bias.split()), heads, size),
    }
    for name, array in (("R", R), ("kernel", kernel), ("b", b)):
        if array.shape != wanted[name]:
            raise ValueError(f"{name} has shape {array.shape}; expected {wanted[name]} for cell {cell!r}")
    full = np.zeros((heads, size, gates, heads, size), R.dtype)
    for head in range(heads):
        full[head, :, :, head] = R[:, head].transpose(2, 0, 1)
    arrays = Arrays(kernel.reshape(len(kernel), -1), full.reshape(heads * size, -1), b.reshape(-1))
    return canonical("FlashRNN", cell, arrays, Arrays("kernel", "R", "b"))


def to_flashrnn(weights, heads=1):
    """Parameters of a FlashRNN layer.

    Parameters
    ----------
    weights : Weights
    heads : int, optional
        N, of H / N units each.

    Returns
    -------
    dict
        ``kernel``, ``R`` and ``b``, as `from_flashrnn` takes them; biases of 0 for weights without. Exact,
        but for the z and r biases of ``"gru"``: the sum of two, rounded once.

    Raises
    ------
    ValueError
        Units that do not make that many heads, a recurrent kernel that is not 0 between heads, another cell,
        peepholes or a projection.

    Examples
    --------
    >>> weights = nr.weights.from_keras("lstm", [np.ones((3, 16)), np.ones((4, 16))])
    >>> nr.weights.to_flashrnn(weights)["R"].shape
    (4, 1, 4, 4)
    """
    arrays = laid_out("FlashRNN", weights)
    layout = layout_of("FlashRNN", weights.cell)
    units, gates = len(arrays.recurrent_kernel), len(layout.gates.split())
    size, rest = divmod(units, whole("heads", heads, 1))
    if rest:
        raise ValueError(f"heads = {heads}; expected a divisor of {units} units")
    full = arrays.recurrent_kernel.reshape(heads, size, gates, heads, size)
    R = np.stack([full[head, :, :, head].transpose(1, 2, 0) for head in range(heads)], 1)
    if np.count_nonzero(full) != np.count_nonzero(R):
        raise ValueError(
            f"weights.recurrent_kernel is not 0 between {heads} heads; FlashRNN multiplies within each head"
        )
    kernel, b = arrays.kernel.reshape(-1, gates, heads, size), arrays.bias.reshape(-1, heads, size)
    return {"kernel": kernel, "R": np.ascontiguousarray(R), "b": b}
