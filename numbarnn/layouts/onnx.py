"""Weights of ONNX' operators and of oneDNN's primitives, from and to."""

import numpy as np

from ..checks_layouts import checked_weights, is_list_of_directions, real
from . import Arrays, layout_of
from .conversion import canonical, laid_out


def from_onnx(cell, W, R, B=None, P=None, *, clip=None, input_forget=0):
    """Weights of an LSTM, GRU or RNN node.

    Parameters
    ----------
    cell : str
        ``"lstm"``, ``"gru"`` (``linear_before_reset`` not 0), ``"gru_reset_before"`` (0) or ``"simple_rnn"``.
    W, R : array_like, shape (D, gates * H, I), (D, gates * H, H)
        Gates in ONNX' order: LSTM i, o, f, g; GRU z, r, n. D directions.
    B : array_like, shape (D, 2 * gates * H), optional
        The input biases, then the recurrent ones.
    P : array_like, shape (D, 3 * H), optional
        Peepholes i, o, f of an LSTM.
    clip : None
    input_forget : int
        The node's attributes. Clipped pre-activations and coupled gates are other functions than those of any
        weights: anything but None and 0 raises.

    Returns
    -------
    list of Weights
        One for each direction. Exact, but for other cells than ``"gru"``: the sum of two biases, rounded
        once.

    Raises
    ------
    TypeError, ValueError
        Arrays that do not fit together; ``clip`` or ``input_forget``.

    Examples
    --------
    >>> [weights] = nr.weights.from_onnx("gru", np.ones((1, 6, 3)), np.ones((1, 6, 2)))
    >>> weights.kernel.shape
    (3, 6)
    """
    layout_of("ONNX", cell)
    if clip is not None:
        raise ValueError(f"clip = {clip!r}; expected None: no weights compute what clipped gates do")
    if input_forget:
        raise ValueError(f"input_forget = {input_forget!r}; expected 0: no weights couple the gates i and f")
    W, R = real("W", W, 3), real("R", R, 3)
    B = None if B is None else real("B", B, 2)
    P = None if P is None else real("P", P, 2)
    for name, array in (("R", R), ("B", B), ("P", P)):
        if array is not None and len(array) != len(W):
            raise ValueError(f"{name} has shape {array.shape}; expected {len(W)} directions, as W")
    if P is not None and P.shape[1] != 3 * R.shape[2]:
        raise ValueError(f"P has shape {P.shape}; expected {(len(W), 3 * R.shape[2])} for {R.shape[2]} units")
    if P is not None and cell != "lstm":
        raise ValueError(f"P is given; expected None for cell {cell!r}")
    found = []
    for d in range(len(W)):
        bias = None if B is None else B[d]
        peepholes = None if P is None else np.split(P[d], 3)
        names = Arrays(f"W[{d}]", f"R[{d}]", f"B[{d}]", f"P[{d}]")
        found.append(canonical("ONNX", cell, Arrays(W[d], R[d], bias, peepholes), names))
    return found


def to_onnx(directions):
    """Inputs of an LSTM, GRU or RNN node; exact.

    Parameters
    ----------
    directions : list of Weights
        One, or forward and backward. A GRU's node needs ``linear_before_reset=1`` for cell ``"gru"`` and 0
        for ``"gru_reset_before"``.

    Returns
    -------
    dict
        ``W``, ``R``, and if there are such ``B`` and ``P``, as `from_onnx` takes them. The recurrent biases
        of other cells than ``"gru"`` are 0.

    Raises
    ------
    TypeError, ValueError
        Directions of other sizes or parts than the first; a projection.

    Examples
    --------
    >>> weights = nr.weights.from_keras("gru_reset_before", [np.ones((3, 6)), np.ones((2, 6)), np.ones(6)])
    >>> {name: array.shape for name, array in nr.weights.to_onnx([weights, weights]).items()}
    {'W': (2, 6, 3), 'R': (2, 6, 2), 'B': (2, 12)}
    """
    [directions] = _grid([directions], "directions")
    arrays = [laid_out("ONNX", weights) for weights in directions]
    kernels, recurrent_kernels, biases, peepholes, _ = zip(*arrays, strict=True)
    called = {"W": np.stack(kernels), "R": np.stack(recurrent_kernels)}
    called |= {} if biases[0] is None else {"B": np.stack(biases)}
    return called | ({} if peepholes[0] is None else {"P": np.stack([np.concatenate(p) for p in peepholes])})


ONEDNN_NAMES = ("weights_layer", "weights_iter", "bias", "weights_peephole", "weights_projection")


def from_onednn(cell, weights_layer, weights_iter, bias, weights_peephole=None, weights_projection=None):
    """Weights of a primitive of oneDNN, in its plain formats ldigo, ldgo and ldio.

    Parameters
    ----------
    cell : str
        ``"lstm"`` (vanilla_lstm), ``"gru"`` (lbr_gru), ``"gru_reset_before"`` (vanilla_gru) or
        ``"simple_rnn"`` (vanilla_rnn).
    weights_layer, weights_iter : array_like, shape (L, D, I, gates, H), (L, D, H, gates, H)
        L layers, D directions. LSTM i, f, g, o; GRU z, r, n (oneDNN's u, r, o). Weights_iter is
        (L, D, P, gates, H) with a projection.
    bias : array_like, shape (L, D, gates, H)
        Of ``"gru"`` (L, D, 4, H): z, r, n and what is inside the reset product.
    weights_peephole : array_like, shape (L, D, 3, H), optional
        i, f, o.
    weights_projection : array_like, shape (L, D, H, P), optional

    Returns
    -------
    list of list of Weights
        For each layer one per direction, exact. With two directions and several layers, a layer of oneDNN
        reads its own direction of the layer below, where Keras, PyTorch and cuDNN read both.

    Raises
    ------
    TypeError, ValueError
        Arrays that do not fit together.

    Examples
    --------
    >>> [[weights]] = nr.weights.from_onednn(
    ...     "gru", np.ones((1, 1, 3, 3, 2)), np.ones((1, 1, 2, 3, 2)), np.ones((1, 1, 4, 2)))
    >>> weights.bias
    array([[1., 1., 1., 1., 1., 1.],
           [0., 0., 0., 0., 1., 1.]])
    """
    layout_of("oneDNN", cell)
    given = (weights_layer, weights_iter, bias, weights_peephole, weights_projection)
    axes = dict(zip(ONEDNN_NAMES, (5, 5, 4, 4, 4), strict=True))
    arrays = {
        name: real(name, array, axes[name])
        for name, array in zip(ONEDNN_NAMES, given, strict=True)
        if array is not None or name in ONEDNN_NAMES[:3]
    }
    L, D = arrays["weights_layer"].shape[:2]
    gates = len(layout_of("oneDNN", cell).gates.split())
    for name, array in arrays.items():
        if array.shape[:2] != (L, D) or (axes[name] == 5 and array.shape[3] != gates):
            shape = f"({L}, {D}, ..., {gates}, H)" if axes[name] == 5 else f"({L}, {D}, ...)"
            raise ValueError(f"{name} has shape {array.shape}; expected {shape}")
    if cell != "lstm" and len(arrays) > 3:
        raise ValueError(f"{list(arrays)[3]} is given; expected None for cell {cell!r}")
    return [[_onednn(cell, arrays, k, d) for d in range(D)] for k in range(L)]


def _onednn(cell, arrays, k, d):
    own = {name: array[k, d] for name, array in arrays.items()}
    for name in ONEDNN_NAMES[:2]:
        own[name] = own[name].reshape(len(own[name]), -1)
    own["bias"] = own["bias"].reshape(-1)
    if "weights_peephole" in own:
        own["weights_peephole"] = list(own["weights_peephole"])
    names = Arrays(*(f"{name}[{k}, {d}]" for name in ONEDNN_NAMES))
    return canonical("oneDNN", cell, Arrays(*map(own.get, ONEDNN_NAMES)), names)


def to_onednn(layers):
    """Tensors of a primitive of oneDNN, in its plain formats ldigo, ldgo and ldio.

    Parameters
    ----------
    layers : list of list of Weights
        For each layer one per direction, all of the same sizes.

    Returns
    -------
    dict
        ``weights_layer``, ``weights_iter``, ``bias``, and if there are such ``weights_peephole`` and
        ``weights_projection``, as `from_onednn` takes them. Exact, but for the z and r biases of ``"gru"``:
        the sum of two, rounded once.

    Raises
    ------
    TypeError, ValueError
        Layers that differ in size.

    Examples
    --------
    >>> weights = nr.weights.from_keras("lstm", [np.ones((3, 8)), np.ones((2, 8)), np.ones(8)])
    >>> nr.weights.to_onednn([[weights]])["weights_layer"].shape
    (1, 1, 3, 4, 2)
    """
    layers = _grid(layers, "layers")
    arrays = [[laid_out("oneDNN", weights) for weights in own] for own in layers]
    gates = len(layout_of("oneDNN", layers[0][0].cell).gates.split())
    units = arrays[0][0].kernel.shape[1] // gates
    called = {}
    for name, field in zip(ONEDNN_NAMES, Arrays._fields, strict=True):
        if getattr(arrays[0][0], field) is not None:
            called[name] = np.stack(
                [np.stack([np.stack(getattr(one, field)) for one in own]) for own in arrays]
            )
    for name in ONEDNN_NAMES[:2]:
        called[name] = called[name].reshape(*called[name].shape[:3], gates, units)
    called["bias"] = called["bias"].reshape(*called["bias"].shape[:2], -1, units)
    return called


def _grid(layers, name):
    """Layers of directions, all of one cell, of the same sizes and parts."""
    if not isinstance(layers, (list, tuple)) or not all(map(is_list_of_directions, layers)):
        raise TypeError(f"{name}: expected lists of Weights, one per direction")
    layers = [[checked_weights(weights) for weights in own] for own in layers]
    if not layers or {len(own) for own in layers} not in ({1}, {2}):
        raise ValueError(
            f"{name}: {[len(own) for own in layers]} directions; expected 1 or 2, everywhere the same"
        )
    kinds = {(weights.cell, *map(_kind, weights[1:])) for own in layers for weights in own}
    if len(kinds) > 1:
        raise ValueError(
            f"{name}: expected one cell and the same shapes, dtype, bias and peepholes everywhere"
        )
    return layers


def _kind(array):
    return None if array is None else (np.shape(array), np.asarray(array).dtype)
