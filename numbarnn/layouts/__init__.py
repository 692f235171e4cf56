"""Where each system keeps the weights of a recurrent layer: one table.

Blocks have the names that the cell table gives the sums: i f g o (LSTM), z r n (GRU), a (simple RNN). Gate
orders of other systems stand here and nowhere else.
"""

from typing import Any, NamedTuple

import numpy as np


class Weights(NamedTuple):
    """One layer in one direction, in this library's form: Keras' arrays, and what Keras does not have.

    Parameters
    ----------
    cell : str
        ``"lstm"``, ``"gru"`` (reset after the product), ``"gru_reset_before"`` or ``"simple_rnn"``.
    kernel : ndarray, shape (I, gates * H)
        Gates in Keras' order: LSTM i, f, g, o; GRU z, r, n.
    recurrent_kernel : ndarray, shape (H, gates * H)
        (P, gates * H) with a projection.
    bias : ndarray or None, shape (gates * H,)
        (2, gates * H) for ``"gru"``: what is added to the input's product, and to the recurrent one.
    peepholes : tuple of three ndarray or None, shape (H,) each
        p_i, p_f, p_o of an LSTM.
    projection : ndarray or None, shape (H, P)
        The recurrent state of an LSTM is its output times this matrix.

    Examples
    --------
    >>> nr.weights.Weights("simple_rnn", np.ones((3, 2)), np.ones((2, 2))).bias is None
    True
    """

    cell: str
    kernel: np.ndarray
    recurrent_kernel: np.ndarray
    bias: np.ndarray | None = None
    peepholes: tuple[np.ndarray, np.ndarray, np.ndarray] | None = None
    projection: np.ndarray | None = None


class Layout(NamedTuple):
    """The blocks of each array of one cell, in order.

    A block of the bias named like a gate is added once or, where there is a second one named h + gate, to the
    input's product, the second to the recurrent one. ``hn`` of a GRU stands inside the reset product.
    """

    gates: str
    bias: str
    peepholes: str = ""
    projection: bool = False
    units_first: bool = False  # (gates * H, I): every matrix is the transpose of ours
    recurrent_gates: str = ""  # where the recurrent kernel has another order
    needs_bias: bool = False  # a layer without one has zeros


class Arrays(NamedTuple):
    """The arrays of one layer in some layout, or their names; the biases flat, peepholes in order."""

    kernel: Any
    recurrent_kernel: Any
    bias: Any = None
    peepholes: Any = None
    projection: Any = None


def _both(gates):
    """One bias for each gate's input product, then one for each recurrent product."""
    return " ".join([*gates.split(), *("h" + gate for gate in gates.split())])


def _units_first(**layouts):
    return {cell: layout._replace(units_first=True) for cell, layout in layouts.items()}


OURS = {
    "simple_rnn": Layout("a", "a"),
    "lstm": Layout("i f g o", "i f g o", peepholes="i f o", projection=True),
    "gru": Layout("z r n", _both("z r n")),
    "gru_reset_before": Layout("z r n", "z r n"),
}
_TF1_LSTM = Layout("i g f o", "i g f o", needs_bias=True)
_TF1_GRU = Layout("r z n", "r z n", needs_bias=True)
_TORCH = _units_first(
    simple_rnn=Layout("a", _both("a")),
    lstm=Layout("i f g o", _both("i f g o"), projection=True),
    gru=Layout("r z n", _both("r z n")),
)
TF1 = {  # by class
    "BasicRNNCell": {"simple_rnn": Layout("a", "a", needs_bias=True)},
    "BasicLSTMCell": {"lstm": _TF1_LSTM},
    "LSTMCell": {"lstm": _TF1_LSTM._replace(peepholes="f i o", projection=True)},
    "LSTMBlockCell": {"lstm": _TF1_LSTM._replace(peepholes="i f o")},
    "LSTMBlockFusedCell": {"lstm": _TF1_LSTM._replace(peepholes="i f o")},
    "CudnnCompatibleLSTMCell": {"lstm": _TF1_LSTM},
    "GRUCell": {"gru_reset_before": _TF1_GRU},
    "GRUBlockCell": {"gru_reset_before": _TF1_GRU},
    "GRUBlockCellV2": {"gru_reset_before": _TF1_GRU},
    "CudnnCompatibleGRUCell": {"gru": Layout("r z n", "r z n hn", needs_bias=True)},
}
LAYOUTS = TF1 | {
    "Keras": {cell: layout._replace(peepholes="", projection=False) for cell, layout in OURS.items()},
    "Keras' CuDNNLSTM and CuDNNGRU": {
        "lstm": Layout("i f g o", _both("i f g o"), needs_bias=True),
        "gru": Layout("z r n", _both("z r n"), needs_bias=True),
    },
    "BlockLSTM": {"lstm": Layout("i g f o", "i g f o", peepholes="i f o", needs_bias=True)},
    "BlockLSTMV2": {"lstm": Layout("i f g o", "i f g o", peepholes="i f o", needs_bias=True)},
    "PyTorch": _TORCH,
    "cuDNN": _TORCH,
    "ONNX": _units_first(
        simple_rnn=Layout("a", _both("a")),
        lstm=Layout("i o f g", _both("i o f g"), peepholes="i o f"),
        gru=Layout("z r n", _both("z r n")),
        gru_reset_before=Layout("z r n", _both("z r n")),
    ),
    "oneDNN": {
        "simple_rnn": Layout("a", "a", needs_bias=True),
        "lstm": Layout("i f g o", "i f g o", peepholes="i f o", projection=True, needs_bias=True),
        "gru": Layout("z r n", "z r n hn", needs_bias=True),
        "gru_reset_before": Layout("z r n", "z r n", needs_bias=True),
    },
    "Haste": {
        "lstm": Layout("i g f o", "i g f o", needs_bias=True),
        "gru": Layout("z r n", _both("z r n"), needs_bias=True),
    },
    "FlashRNN": {
        "simple_rnn": Layout("a", "a", needs_bias=True),
        "lstm": Layout("i f g o", "i f g o", needs_bias=True),
        "gru": Layout("r z n", "hn r z n", recurrent_gates="n r z", needs_bias=True),
    },
}


def layout_of(system, cell):
    """Where the system keeps the weights of the cell."""
    if not isinstance(cell, str) or cell not in OURS:
        raise ValueError(f"cell = {cell!r}; expected one of {', '.join(map(repr, OURS))}")
    known = LAYOUTS[system]
    if cell not in known:
        reason = ""
        if cell.startswith("gru") and any(name.startswith("gru") for name in known):
            reason = (
                ": a GRU that resets before the product computes another function than one that resets after "
                "it, and no weights turn one into the other"
            )
        raise ValueError(f"cell = {cell!r}; expected {' or '.join(map(repr, known))} for {system}{reason}")
    return known[cell]
