"""Weights: how they are first drawn, and those of other systems, which the functions from_... take and to_...
give. Ours are Keras': kernel (I, gates * H), recurrent kernel, bias.
"""

import numpy as np

from .checks_layouts import checked_weights
from .layouts import Weights, layout_of
from .layouts.cudnn import from_cudnn, from_cudnn_buffer, to_cudnn, to_cudnn_buffer
from .layouts.haste import from_flashrnn, from_haste, to_flashrnn, to_haste
from .layouts.keras import from_keras, from_keras_cudnn, to_keras, to_keras_cudnn
from .layouts.onnx import from_onednn, from_onnx, to_onednn, to_onnx
from .layouts.tensorflow import from_block_lstm, from_tf1, to_block_lstm, to_tf1
from .layouts.torch import (
    from_torch,
    from_torch_layer,
    from_torch_state_dict,
    to_torch_layer,
    to_torch_state_dict,
)

__all__ = [
    "INITIALIZERS",
    "Weights",
    "complemented_update",
    "draw",
    "from_block_lstm",
    "from_cudnn",
    "from_cudnn_buffer",
    "from_flashrnn",
    "from_haste",
    "from_keras",
    "from_keras_cudnn",
    "from_onednn",
    "from_onnx",
    "from_tf1",
    "from_torch",
    "from_torch_layer",
    "from_torch_state_dict",
    "to_block_lstm",
    "to_cudnn",
    "to_cudnn_buffer",
    "to_flashrnn",
    "to_haste",
    "to_keras",
    "to_keras_cudnn",
    "to_onednn",
    "to_onnx",
    "to_tf1",
    "to_torch_layer",
    "to_torch_state_dict",
]


def _glorot_uniform(shape, generator):
    limit = np.sqrt(6.0 / (shape[0] + shape[-1]))
    return generator.uniform(-limit, limit, shape)


def _orthogonal(shape, generator):
    """Rows or columns, whichever are fewer, orthonormal (Saxe et al. 2013); signs such that the draw is
    uniform.
    """
    if len(shape) != 2:
        raise ValueError(
            f"initializer 'orthogonal' is for matrices; expected another one for an array of shape {shape}, "
            "such as 'zeros'"
        )
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


def complemented_update(weights):
    """A GRU written with h' = (1 - z) h + z n, as one written with h' = z h + (1 - z) n, or back; exact.

    The numbers of the update gate change their signs. This is right where 1 - z is the gate of the negative
    argument: for sigmoid and hard_sigmoid.

    Parameters
    ----------
    weights : Weights

    Returns
    -------
    Weights

    Raises
    ------
    ValueError
        Another cell than a GRU.

    Examples
    --------
    >>> weights = nr.weights.from_keras("gru", [np.ones((1, 3)), np.ones((1, 3))])
    >>> nr.weights.complemented_update(weights).kernel
    array([[-1.,  1.,  1.]])
    """
    weights = checked_weights(weights)
    gates = layout_of("Keras", weights.cell).gates.split()
    if "z" not in gates:
        raise ValueError(f"weights.cell = {weights.cell!r}; expected a GRU: no other cell has an update gate")

    def turned(array):
        blocks = np.split(array, len(gates), -1)
        blocks[gates.index("z")] = -blocks[gates.index("z")]
        return np.concatenate(blocks, -1)

    bias = None if weights.bias is None else turned(weights.bias)
    return Weights(weights.cell, turned(weights.kernel), turned(weights.recurrent_kernel), bias)
