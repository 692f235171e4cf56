"""Weights of cuDNN, from and to: matrices and biases by their ids, and the buffer that holds all of them."""

import math

import numpy as np

from ..checks import flag, whole
from ..checks_layouts import checked_stack, listed, one_dtype, real
from . import Arrays, layout_of
from .conversion import canonical, laid_out


def from_cudnn(cell, matrices, biases=None):
    """Weights of one pseudo-layer (one layer in one direction) of cuDNN.

    Parameters
    ----------
    cell : str
        ``"lstm"``, ``"gru"`` (reset after the product, cuDNN's only form) or ``"simple_rnn"``.
    matrices : list of array_like
        By linear-layer id: those of the inputs, (H, I) each, then those of the recurrence, (H, H) each. LSTM
        i, f, g, o, then with a projection, whose recurrent matrices are (H, P), id 8, (P, H). GRU r, z, n.
    biases : list of array_like, shape (H,) each, optional
        By the same ids, of double bias; of a single bias, zeros for the others.

    Returns
    -------
    Weights
        Exact, but for LSTM and simple RNN: the sum of two biases, rounded once.

    Raises
    ------
    TypeError, ValueError
        Another cell, or arrays that do not fit together.

    Examples
    --------
    >>> nr.weights.from_cudnn("gru", [np.ones((2, 3))] * 3 + [np.ones((2, 2))] * 3).kernel.shape
    (3, 6)
    """
    layout = layout_of("cuDNN", cell)
    gates = len(layout.gates.split())
    counts = (2 * gates, 2 * gates + 1) if layout.projection else (2 * gates,)
    matrices = listed("matrices", matrices, counts, f"{' or '.join(map(str, counts))}, one for each id")
    matrices = _alike("matrices[{}]", matrices, gates, 2)
    projection = matrices.pop() if len(matrices) % 2 else None
    if biases is not None:
        biases = listed("biases", biases, (2 * gates,), f"{2 * gates}, one for each id")
        biases = np.concatenate(_alike("biases[{}]", biases, 2 * gates, 1))
    halves = np.concatenate(matrices[:gates]), np.concatenate(matrices[gates:])
    names = Arrays("matrices of the inputs", "recurrent matrices", "biases", None, "matrices[8]")
    return canonical("cuDNN", cell, Arrays(*halves, biases, None, projection), names)


def to_cudnn(weights):
    """Matrices and biases of one pseudo-layer of cuDNN; exact.

    Parameters
    ----------
    weights : Weights

    Returns
    -------
    matrices, biases : list of ndarray
        By linear-layer id, as `from_cudnn` takes them; biases None for weights without. The recurrent biases
        of LSTM and simple RNN are 0.

    Raises
    ------
    ValueError
        Peepholes, or a GRU that resets before the product: cuDNN has neither.

    Examples
    --------
    >>> weights = nr.weights.from_keras("simple_rnn", [np.ones((3, 2)), np.ones((2, 2)), np.ones(2)])
    >>> matrices, biases = nr.weights.to_cudnn(weights)
    >>> [array.shape for array in matrices + biases]
    [(2, 3), (2, 2), (2,), (2,)]
    """
    kernel, recurrent_kernel, bias, _, projection = laid_out("cuDNN", weights)
    gates = len(layout_of("cuDNN", weights.cell).gates.split())
    matrices = [*np.split(kernel, gates), *np.split(recurrent_kernel, gates)]
    matrices += [] if projection is None else [projection]
    return matrices, None if bias is None else np.split(bias, 2 * gates)


def from_cudnn_buffer(
    cell, buffer, input_size, units, *, layers=1, bidirectional=False, projection=None, use_bias=True
):
    """Weights in cuDNN's flat buffer: the matrices of every pseudo-layer, then the biases of every one.

    cuDNN promises no layout; this is the one that it uses, without gaps. Where it has gaps, take the arrays
    that ``cudnnGetRNNWeightParams`` finds to `from_cudnn`.

    Parameters
    ----------
    cell : str
        As of `from_cudnn`.
    buffer : array_like, one axis
    input_size, units : int
        I and H.
    layers : int, optional
    bidirectional : bool, optional
        Each layer has a backward pseudo-layer after the forward one and reads both of the layer below.
    projection : int, optional
        P, of an LSTM.
    use_bias : bool, optional
        Double bias, or none.

    Returns
    -------
    list of list of Weights
        For each layer one per direction. Exact as `from_cudnn`.

    Raises
    ------
    TypeError, ValueError
        Another cell, or a buffer of another size.

    Examples
    --------
    >>> nr.weights.from_cudnn_buffer("simple_rnn", np.arange(12.0), 2, 2)[0][0].kernel
    array([[0., 2.],
           [1., 3.]])
    """
    cells = layout_of("cuDNN", cell)
    sizes = [whole("input_size", input_size, 1), whole("units", units, 1)]
    directions = 1 + flag("bidirectional", bidirectional)
    if projection is not None:
        if not cells.projection:
            raise ValueError(f"projection = {projection!r}; expected None for cell {cell!r}")
        sizes.append(whole("projection", projection, 1))
    depth = whole("layers", layers, 1)
    gates = len(cells.gates.split())
    shapes = [_shapes(k, directions, gates, *sizes) for k in range(depth) for _ in range(directions)]
    bias_shapes = [[(units,)] * (2 * gates)] * len(shapes) if flag("use_bias", use_bias) else []
    wanted = [shape for own in shapes + bias_shapes for shape in own]
    buffer = real("buffer", buffer, 1)
    total = sum(map(math.prod, wanted))
    if len(buffer) != total:
        raise ValueError(f"buffer has {len(buffer)} numbers; expected {total} for these sizes")
    ends = np.cumsum([math.prod(shape) for shape in wanted])[:-1]
    parts = iter(part.reshape(shape) for part, shape in zip(np.split(buffer, ends), wanted, strict=True))
    matrices, biases = ([[next(parts) for _ in own] for own in group] for group in (shapes, bias_shapes))
    found = [from_cudnn(cell, *pair) for pair in zip(matrices, biases or [None] * len(shapes), strict=True)]
    return [found[k : k + directions] for k in range(0, len(found), directions)]


def to_cudnn_buffer(layers):
    """cuDNN's flat buffer of all matrices, then all biases; exact.

    Parameters
    ----------
    layers : list of list of Weights
        For each layer one `Weights` per direction; each layer reads all directions of the one below.

    Returns
    -------
    ndarray, one axis

    Raises
    ------
    TypeError, ValueError
        Layers that do not fit together; what `to_cudnn` refuses.

    Examples
    --------
    >>> [[weights]] = nr.weights.from_cudnn_buffer("simple_rnn", np.arange(6.0), 1, 2, use_bias=False)
    >>> nr.weights.to_cudnn_buffer([[weights]])
    array([0., 1., 2., 3., 4., 5.])
    """
    pairs = [to_cudnn(weights) for own in checked_stack(layers) for weights in own]
    arrays = [array for matrices, _ in pairs for array in matrices]
    arrays += [array for _, biases in pairs for array in biases or ()]
    return np.concatenate([array.reshape(-1) for array in arrays])


def _shapes(layer, directions, gates, input_size, units, projection=None):
    """The matrices of one pseudo-layer."""
    output = projection or units
    features = directions * output if layer else input_size
    shapes = [(units, features)] * gates + [(units, output)] * gates
    return shapes + ([(projection, units)] if projection else [])


def _alike(name, arrays, group, axes):
    """Arrays, in which the first `group`, and the next, have one shape each."""
    arrays = one_dtype({name.format(k): real(name.format(k), array, axes) for k, array in enumerate(arrays)})
    for k, array in enumerate(arrays[: 2 * group]):
        first = k - k % group
        if array.shape != arrays[first].shape:
            raise ValueError(
                f"{name.format(k)} has shape {array.shape}; expected {arrays[first].shape}, as "
                f"{name.format(first)}"
            )
    return arrays
