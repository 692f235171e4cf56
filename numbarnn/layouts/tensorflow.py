"""Weights of TensorFlow 1's cells and of its LSTM operators, from and to."""

import numbers

import numpy as np

from ..checks_layouts import checked_weights, listed, one_dtype, real
from . import OURS, TF1, Arrays, layout_of
from .conversion import canonical, laid_out

FORGET_BIASES = {"CudnnCompatibleLSTMCell": 0.0, "BlockLSTMV2": 0.0}  # of every other LSTM, 1.0


def from_tf1(class_name, variables, forget_bias=None, *, cell_clip=None, proj_clip=None):
    """Weights of a cell of TensorFlow 1.

    Parameters
    ----------
    class_name : str
        ``"BasicRNNCell"``, ``"BasicLSTMCell"``, ``"LSTMCell"``, ``"LSTMBlockCell"``,
        ``"LSTMBlockFusedCell"``, ``"CudnnCompatibleLSTMCell"``, ``"GRUCell"``, ``"GRUBlockCell"``,
        ``"GRUBlockCellV2"`` or ``"CudnnCompatibleGRUCell"``.
    variables : list of array_like
        In the order in which TensorFlow creates them. LSTM: kernel (I + H, 4 * H), bias (4 * H,), then with
        peepholes w_f_diag, w_i_diag, w_o_diag (``LSTMCell``) or w_i_diag, w_f_diag, w_o_diag (block cells),
        (H,) each, then with a projection projection/kernel (H, P), whose kernel is (I + P, 4 * H). GRU:
        gates/kernel (I + H, 2 * H), gates/bias, candidate/kernel (I + H, H), candidate/bias; of the
        cuDNN-compatible one gates/kernel, gates/bias, candidate/input_projection/kernel,
        candidate/hidden_projection/kernel and the biases of these two.
    forget_bias : float, optional
        What the LSTM adds to its forget gate; None stands for the default of the class, 1.0 or, of
        ``"CudnnCompatibleLSTMCell"``, 0.0. It becomes part of the bias.
    cell_clip, proj_clip : None
        Clips that the cell was made with. No weights can stand for them: anything but None raises.

    Returns
    -------
    Weights
        Exact, but for the forget gate's bias: a sum, rounded once; exact with ``forget_bias=0``.

    Raises
    ------
    TypeError, ValueError
        An unknown class, arrays that do not fit together, a clip.

    Examples
    --------
    >>> nr.weights.from_tf1("BasicLSTMCell", [np.ones((5, 8)), np.zeros(8)]).bias
    array([0., 0., 1., 1., 0., 0., 0., 0.])
    """
    cell = _tf1_cell(class_name)
    _no_clip(cell_clip=cell_clip, proj_clip=proj_clip)
    take = {"lstm": _tf1_lstm, "simple_rnn": _tf1_simple, "gru": _tf1_cudnn_gru, "gru_reset_before": _tf1_gru}
    arrays, names = take[cell](class_name, variables)
    amount = _forget_bias(class_name, cell, forget_bias)
    return _add_forget_bias(canonical(class_name, cell, arrays, names), amount)


def to_tf1(class_name, weights, forget_bias=None):
    """The variables of a cell of TensorFlow 1.

    Parameters
    ----------
    class_name : str
        As of `from_tf1`.
    weights : Weights
    forget_bias : float, optional
        What the cell will add to its forget gate, as in `from_tf1`: it is subtracted here.

    Returns
    -------
    list of ndarray
        In the order in which TensorFlow creates them; biases of 0 for weights without. Exact, but for the
        forget gate's bias: a difference, rounded once, so that going there and back may change it by the
        rounding of two sums; exact with ``forget_bias=0``. The z and r biases of ``"CudnnCompatibleGRUCell"``
        are sums of two, rounded once.

    Raises
    ------
    ValueError
        An unknown class, the cell of another class, or peepholes or a projection that the class does not
        have.

    Examples
    --------
    >>> weights = nr.weights.from_keras("gru_reset_before", [np.ones((3, 6)), np.ones((2, 6)), np.ones(6)])
    >>> [array.shape for array in nr.weights.to_tf1("GRUCell", weights)]
    [(5, 4), (4,), (5, 2), (2,)]
    """
    cell, weights = _tf1_cell(class_name), checked_weights(weights)
    amount = _forget_bias(class_name, cell, forget_bias)
    layout_of(class_name, weights.cell)
    kernel, recurrent, bias, peepholes, projection = laid_out(class_name, _add_forget_bias(weights, -amount))
    if not cell.startswith("gru"):
        projections = [] if projection is None else [projection]
        return [np.concatenate([kernel, recurrent]), bias, *(peepholes or ()), *projections]
    both, units = np.concatenate([kernel, recurrent]), recurrent.shape[0]
    gates, candidate = (np.ascontiguousarray(part) for part in np.split(both, [2 * units], 1))
    biases = np.split(bias, [2 * units])
    if cell == "gru_reset_before":
        return [gates, biases[0], candidate, biases[1]]
    return [gates, biases[0], *np.split(candidate, [len(kernel)]), *np.split(biases[1], 2)]


def from_block_lstm(
    op, w, b, wci=None, wcf=None, wco=None, *, forget_bias=None, use_peephole=False, cell_clip=0.0
):
    """Weights of TensorFlow's operator BlockLSTM or BlockLSTMV2.

    Parameters
    ----------
    op : str
        ``"BlockLSTM"`` (columns i, g, f, o) or ``"BlockLSTMV2"`` (columns i, f, g, o).
    w, b : array_like, shape (I + H, 4 * H), (4 * H,)
    wci, wcf, wco : array_like, shape (H,), optional
        Peepholes, read only with ``use_peephole``.
    forget_bias : float, optional
        What ``"BlockLSTM"`` adds to its forget gate, by default 1.0; the other operator adds nothing.
    use_peephole : bool, optional
    cell_clip : float, optional
        No weights can stand for a clip: a number above 0 raises. The default of ``"BlockLSTM"`` is 3.0.

    Returns
    -------
    Weights
        Exact, but for the forget gate's bias: a sum, rounded once.

    Raises
    ------
    TypeError, ValueError
        An unknown operator, arrays that do not fit together, a clip.

    Examples
    --------
    >>> nr.weights.from_block_lstm("BlockLSTM", np.ones((5, 8)), np.zeros(8)).bias
    array([0., 0., 1., 1., 0., 0., 0., 0.])
    """
    amount = _forget_bias(_operator(op), "lstm", forget_bias)
    if cell_clip > 0:
        _no_clip(cell_clip=cell_clip)
    kernel, recurrent, split = _split_rows("w", w, len(real("b", b, 1)) // 4)
    peepholes = (wci, wcf, wco) if use_peephole else None
    names = Arrays(*split, "b", "wci, wcf, wco")
    weights = canonical(op, "lstm", Arrays(kernel, recurrent, b, peepholes), names)
    return _add_forget_bias(weights, amount)


def to_block_lstm(op, weights, forget_bias=None):
    """Arguments of TensorFlow's operator BlockLSTM or BlockLSTMV2.

    Parameters
    ----------
    op : str
        ``"BlockLSTM"`` or ``"BlockLSTMV2"``.
    weights : Weights
    forget_bias : float, optional
        As in `from_block_lstm`; it is subtracted from the bias.

    Returns
    -------
    dict
        ``w``, ``b``, ``wci``, ``wcf``, ``wco`` (zeros without peepholes), ``use_peephole``, ``cell_clip``
        (off) and, for ``"BlockLSTM"``, ``forget_bias``. Exact but for the forget gate's bias, as of `to_tf1`.

    Raises
    ------
    ValueError
        An unknown operator, another cell than ``"lstm"``, a projection.

    Examples
    --------
    >>> weights = nr.weights.from_keras("lstm", [np.ones((3, 8)), np.ones((2, 8))])
    >>> list(nr.weights.to_block_lstm("BlockLSTMV2", weights))
    ['w', 'b', 'wci', 'wcf', 'wco', 'use_peephole', 'cell_clip']
    """
    amount = _forget_bias(_operator(op), "lstm", forget_bias)
    layout_of(op, checked_weights(weights).cell)
    arrays = laid_out(op, _add_forget_bias(weights, -amount))
    zeros = np.zeros(len(arrays.recurrent_kernel), arrays.kernel.dtype)
    peepholes = dict(zip(("wci", "wcf", "wco"), arrays.peepholes or (zeros,) * 3, strict=True))
    called = {"w": np.concatenate(arrays[:2]), "b": arrays.bias, **peepholes}
    called |= {"use_peephole": arrays.peepholes is not None, "cell_clip": 0.0}
    return called | ({"forget_bias": amount} if op == "BlockLSTM" else {})


def _tf1_lstm(class_name, variables):
    layout = layout_of(class_name, "lstm")
    counts = {2} | ({5} if layout.peepholes else set()) | ({3, 6} if layout.projection else set())
    kinds = ["kernel and bias", *(["three peepholes"] if layout.peepholes else [])]
    kinds += ["projection/kernel"] if layout.projection else []
    kernel, bias, *more = listed("variables", variables, counts, ", then if there are ".join(kinds))
    projection = more.pop() if len(more) in (1, 4) else None
    depth = len(real("variables[1]", bias, 1)) // 4
    if projection is not None:
        depth = real(f"variables[{len(variables) - 1}]", projection, 2).shape[1]
    kernel, recurrent, split = _split_rows("variables[0]", kernel, depth)
    names = Arrays(*split, "variables[1]", "variables[2:5]", f"variables[{len(variables) - 1}]")
    return Arrays(kernel, recurrent, bias, more or None, projection), names


def _tf1_simple(class_name, variables):
    kernel, bias = listed("variables", variables, (2,), "kernel and bias")
    kernel, recurrent, split = _split_rows("variables[0]", kernel, len(real("variables[1]", bias, 1)))
    return Arrays(kernel, recurrent, bias), Arrays(*split, "variables[1]")


def _tf1_gru(class_name, variables):
    wanted = "gates/kernel, gates/bias, candidate/kernel, candidate/bias"
    parts = listed("variables", variables, (4,), wanted)
    gates, gates_bias, candidate, bias = _numbered(parts, (2, 1, 2, 1))
    if len(gates) != len(candidate):
        raise ValueError(
            f"variables[0] and variables[2] have shapes {gates.shape} and {candidate.shape}; expected "
            "equally many rows, one for each of the inputs and the units"
        )
    both = np.concatenate([gates, candidate], 1)
    kernel, recurrent, split = _split_rows("variables[0] beside variables[2]", both, len(bias))
    names = Arrays(*split, "variables[1] and variables[3]")
    return Arrays(kernel, recurrent, np.concatenate([gates_bias, bias])), names


def _tf1_cudnn_gru(class_name, variables):
    wanted = "gates/kernel, gates/bias, candidate/input_projection/kernel, "
    wanted += "candidate/hidden_projection/kernel and the biases of these two"
    parts = listed("variables", variables, (6,), wanted)
    gates, gates_bias, inputs, hidden, *biases = _numbered(parts, (2, 1, 2, 2, 1, 1))
    if len(gates) != len(inputs) + len(hidden):
        raise ValueError(
            f"variables[0], [2] and [3] have shapes {gates.shape}, {inputs.shape} and {hidden.shape}; "
            "expected the rows of the first to be those of the others, one after the other"
        )
    upper, lower = np.split(gates, [len(inputs)])
    kernel, recurrent = np.concatenate([upper, inputs], 1), np.concatenate([lower, hidden], 1)
    names = Arrays("variables[0] beside variables[2]", "variables[0] beside variables[3]", "the biases")
    return Arrays(kernel, recurrent, np.concatenate([gates_bias, *biases])), names


def _numbered(variables, axes):
    pairs = enumerate(zip(variables, axes, strict=True))
    return one_dtype({f"variables[{k}]": real(f"variables[{k}]", *pair) for k, pair in pairs})


def _split_rows(name, kernel, depth):
    """The rows for the inputs and the last `depth`, for the recurrent vector; what errors call the two."""
    kernel = real(name, kernel, 2)
    if len(kernel) < depth:
        raise ValueError(f"{name} has shape {kernel.shape}; expected at least {depth} rows, those of h")
    first = len(kernel) - depth
    return kernel[:first], kernel[first:], (f"{name}[:{first}]", f"{name}[{first}:]")


def _tf1_cell(class_name):
    if not isinstance(class_name, str) or class_name not in TF1:
        raise ValueError(f"class_name = {class_name!r}; expected one of {', '.join(map(repr, TF1))}")
    [cell] = TF1[class_name]
    return cell


def _operator(op):
    if op not in ("BlockLSTM", "BlockLSTMV2"):
        raise ValueError(f"op = {op!r}; expected 'BlockLSTM' or 'BlockLSTMV2'")
    return op


def _no_clip(**clips):
    for name, value in clips.items():
        if value is not None:
            raise ValueError(
                f"{name} = {value!r}; expected None: no weights of another layer compute what a clip does"
            )


def _forget_bias(system, cell, value):
    default = FORGET_BIASES.get(system, 1.0 if cell == "lstm" else 0.0)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(
            f"forget_bias = {value!r} is of type {type(value).__name__}; expected a number or None"
        )
    if value and (cell != "lstm" or system in FORGET_BIASES):
        raise ValueError(f"forget_bias = {value!r}; expected None: {system} adds none")
    return float(value)


def _add_forget_bias(weights, amount):
    """`amount` more in the bias of the forget gate, rounded once."""
    if not amount:
        return weights
    gates = OURS["lstm"].bias.split()
    width = weights.kernel.shape[1]
    bias = np.zeros(width, weights.kernel.dtype) if weights.bias is None else np.array(weights.bias)
    bias.reshape(len(gates), -1)[gates.index("f")] += bias.dtype.type(amount)
    return weights._replace(bias=bias)
