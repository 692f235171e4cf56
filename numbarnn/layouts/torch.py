"""Weights of PyTorch's modules, from and to."""

import re

import numpy as np

from ..checks_layouts import checked_stack, real
from . import Arrays, layout_of
from .conversion import canonical, laid_out
from .keras import to_keras

NAMES = Arrays("weight_ih", "weight_hh", "bias_ih and bias_hh", None, "weight_hr")


def from_torch(cell, weight_ih, weight_hh, bias_ih=None, bias_hh=None):
    """The list for ``set_weights`` from one layer and direction of a PyTorch module.

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
    TypeError, ValueError
        An unknown cell, one bias without the other, arrays that do not fit together.

    Examples
    --------
    >>> import numpy as np
    >>> [array.shape for array in from_torch("gru", np.ones((6, 3)), np.ones((6, 2)), np.ones(6), np.ones(6))]
    [(3, 6), (2, 6), (2, 6)]
    """
    return to_keras(from_torch_layer(cell, weight_ih, weight_hh, bias_ih, bias_hh))


def from_torch_layer(cell, weight_ih, weight_hh, bias_ih=None, bias_hh=None, weight_hr=None):
    """`Weights` of one layer and direction of a PyTorch module, projection and all.

    Parameters
    ----------
    cell, weight_ih, weight_hh, bias_ih, bias_hh
        As of `from_torch`.
    weight_hr : array_like, shape (P, H), optional
        The projection of an LSTM with ``proj_size``, whose weight_hh is (4 * H, P).

    Returns
    -------
    Weights
        Exact, but for LSTM and simple RNN: the sum of two biases, rounded once.

    Raises
    ------
    TypeError, ValueError
        An unknown cell, one bias without the other, arrays that do not fit together.

    Examples
    --------
    >>> projection = np.ones((1, 2))
    >>> nr.weights.from_torch_layer("lstm", np.ones((8, 3)), np.ones((8, 1)), weight_hr=projection).projection
    array([[1.],
           [1.]])
    """
    layout_of("PyTorch", cell)
    bias = joined_biases("bias_ih", bias_ih, "bias_hh", bias_hh)
    return canonical("PyTorch", cell, Arrays(weight_ih, weight_hh, bias, None, weight_hr), NAMES)


def to_torch_layer(weights):
    """The parameters of one layer and direction of a PyTorch module; exact.

    Parameters
    ----------
    weights : Weights

    Returns
    -------
    dict
        ``weight_ih``, ``weight_hh``, and if there are such ``bias_ih``, ``bias_hh``, ``weight_hr``. The bias
        of an LSTM or simple RNN is bias_ih; bias_hh is 0.

    Raises
    ------
    ValueError
        Peepholes, or a GRU that resets before the product: PyTorch has neither.

    Examples
    --------
    >>> weights = nr.weights.from_keras("lstm", [np.ones((3, 8)), np.ones((2, 8)), np.ones(8)])
    >>> nr.weights.to_torch_layer(weights)["bias_hh"]
    array([0., 0., 0., 0., 0., 0., 0., 0.])
    """
    kernel, recurrent_kernel, bias, _, projection = laid_out("PyTorch", weights)
    arrays = {"weight_ih": kernel, "weight_hh": recurrent_kernel}
    if bias is not None:
        arrays["bias_ih"], arrays["bias_hh"] = np.split(bias, 2)
    return arrays | ({} if projection is None else {"weight_hr": projection})


def from_torch_state_dict(cell, state_dict):
    """Weights of a whole LSTM, GRU or RNN module of PyTorch: all layers, in one direction or both.

    Parameters
    ----------
    cell : str
        As of `from_torch`.
    state_dict : dict
        Of array_like: what ``module.state_dict()`` returns, for tensors on the CPU; names as weight_ih_l0 and
        weight_ih_l0_reverse.

    Returns
    -------
    list of list of Weights
        For each layer, the forward direction and, if there is one, the backward. Exact as `from_torch_layer`.

    Raises
    ------
    TypeError, ValueError
        Names that are no parameters of such a module, missing ones, arrays that do not fit together.

    Examples
    --------
    >>> arrays = {"weight_ih_l0": np.ones((6, 3)), "weight_hh_l0": np.ones((6, 2))}
    >>> [[weights]] = nr.weights.from_torch_state_dict("gru", arrays)
    >>> nr.weights.to_keras(weights)[0].shape
    (3, 6)
    """
    layout_of("PyTorch", cell)
    found = {}
    for name, array in state_dict.items():
        parsed = re.fullmatch(r"(weight_ih|weight_hh|bias_ih|bias_hh|weight_hr)_l(\d+)(_reverse)?", name)
        if parsed is None:
            raise ValueError(
                f"state_dict has {name!r}; expected names as weight_ih_l0, weight_hh_l1_reverse, bias_ih_l0: "
                "those of one LSTM, GRU or RNN module without its prefix"
            )
        place = int(parsed[2]), bool(parsed[3])
        found.setdefault(place, {})[parsed[1]] = array
    directions = range(1 + any(reverse for _, reverse in found))
    layers = range(1 + max((k for k, _ in found), default=0))
    for k in layers:
        for reverse in directions:
            _need_kernels(found.get((k, bool(reverse)), {}), f"_l{k}{'_reverse' if reverse else ''}")
    stack = [[from_torch_layer(cell, **found[k, bool(reverse)]) for reverse in directions] for k in layers]
    return checked_stack(stack)


def to_torch_state_dict(layers):
    """What ``module.load_state_dict`` takes, as NumPy arrays; exact.

    Parameters
    ----------
    layers : list of list of Weights
        For each layer one `Weights` per direction; each layer reads all directions of the one below.

    Returns
    -------
    dict
        Parameters by name, in PyTorch's order; turn each into a tensor with ``torch.from_numpy``.

    Raises
    ------
    TypeError, ValueError
        Layers that do not fit together; peepholes, or a GRU that resets before the product.

    Examples
    --------
    >>> weights = nr.weights.from_keras("simple_rnn", [np.ones((3, 2)), np.ones((2, 2))])
    >>> list(nr.weights.to_torch_state_dict([[weights]]))
    ['weight_ih_l0', 'weight_hh_l0']
    """
    return {
        f"{name}_l{k}{'_reverse' if reverse else ''}": array
        for k, own in enumerate(checked_stack(layers))
        for reverse, weights in enumerate(own)
        for name, array in to_torch_layer(weights).items()
    }


def joined_biases(input_name, input_bias, recurrent_name, recurrent_bias):
    """The input bias, then the recurrent one, or None for neither."""
    if (input_bias is None) != (recurrent_bias is None):
        raise ValueError(f"{input_name} and {recurrent_name}: one is None; expected both or neither")
    if input_bias is None:
        return None
    first, second = real(input_name, input_bias, 1), real(recurrent_name, recurrent_bias, 1)
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        raise ValueError(
            f"{input_name} and {recurrent_name} have shapes {first.shape} and {second.shape}, dtypes "
            f"{first.dtype} and {second.dtype}; expected the same"
        )
    return np.concatenate([first, second])


def _need_kernels(parameters, suffix):
    missing = [name + suffix for name in ("weight_ih", "weight_hh") if name not in parameters]
    if missing:
        raise ValueError(f"state_dict lacks {', '.join(missing)}; expected every layer in every direction")
