"""All layouts: shapes of their arrays, their equations, and the library's ways from and to each."""

from collections.abc import Callable
from typing import Any, NamedTuple

import weights_equations as equations
from weights_equations import HEADS, D, H, I, P

from numbarnn import weights as w


class System(NamedTuple):
    """One layout of one cell: shapes of its arrays, one step on them, and the library's two ways.

    `step(arrays, x, h, c)` returns the new h and c; an array of None is left out.
    """

    name: str
    cell: str
    shapes: dict[str, tuple[int, ...]]
    step: Callable[..., Any]
    take: Callable[..., w.Weights]
    give: Callable[..., Any]
    projected: bool = False
    peepholes: bool = False
    merged: bool = False  # one bias for each of a GRU's gates z and r, where we have two

    def __str__(self):
        return self.name


def keras(name, cell, shapes, step):
    return System(
        name,
        cell,
        dict(zip(("kernel", "recurrent_kernel", "bias"), shapes, strict=True)),
        step,
        lambda a: w.from_keras_cudnn(cell, list(a.values())),
        lambda weights: dict(
            zip(("kernel", "recurrent_kernel", "bias"), w.to_keras_cudnn(weights), strict=True)
        ),
    )


def tf1(class_name, cell, shapes, step, forget_bias=None, label="", **flags):
    return System(
        class_name + label,
        cell,
        shapes,
        step,
        lambda a: w.from_tf1(class_name, list(a.values()), forget_bias),
        lambda weights: dict(zip(shapes, w.to_tf1(class_name, weights, forget_bias), strict=True)),
        **flags,
    )


def block(op, step):
    shapes = {"w": (I + H, 4 * H), "b": (4 * H,)} | dict.fromkeys(("wci", "wcf", "wco"), (H,))
    return System(
        op,
        "lstm",
        shapes,
        step,
        lambda a: w.from_block_lstm(op, **{"use_peephole": True} | a),
        lambda weights: w.to_block_lstm(op, weights),
        peepholes=True,
    )


def torch(name, cell, gates, step, P=None):
    shapes = {"weight_ih": (gates * H, I), "weight_hh": (gates * H, P or H)}
    shapes |= dict.fromkeys(("bias_ih", "bias_hh"), (gates * H,)) | ({"weight_hr": (P, H)} if P else {})
    return System(
        name,
        cell,
        shapes,
        step,
        lambda a: w.from_torch_layer(cell, **a),
        w.to_torch_layer,
        projected=P is not None,
    )


def cudnn(name, cell, gates, step, P=None):
    shapes = {f"m{k}": (H, I if k < gates else P or H) for k in range(2 * gates)}
    shapes |= ({"m8": (P, H)} if P else {}) | {f"b{k}": (H,) for k in range(2 * gates)}

    def take(a):
        matrices, biases = ([a[key] for key in a if key[0] == kind] for kind in "mb")
        return w.from_cudnn(cell, matrices, biases or None)

    def give(weights):
        matrices, biases = w.to_cudnn(weights)
        return dict(zip(shapes, matrices + (biases or []), strict=False))

    return System(name, cell, shapes, step, take, give, projected=P is not None)


def onnx(name, cell, gates, step, peepholes=False):
    shapes = {"W": (1, gates * H, I), "R": (1, gates * H, H), "B": (1, 2 * gates * H)}
    shapes |= {"P": (1, 3 * H)} if peepholes else {}
    return System(
        name,
        cell,
        shapes,
        step,
        lambda a: w.from_onnx(cell, **a)[0],
        lambda weights: w.to_onnx([weights]),
        peepholes=peepholes,
    )


def onednn(name, cell, gates, biases, step, P=None, peepholes=False, merged=False):
    shapes = {"weights_layer": (1, 1, I, gates, H), "weights_iter": (1, 1, P or H, gates, H)}
    shapes |= {"bias": (1, 1, biases, H)} | ({"weights_peephole": (1, 1, 3, H)} if peepholes else {})
    shapes |= {"weights_projection": (1, 1, H, P)} if P else {}
    return System(
        name,
        cell,
        shapes,
        step,
        lambda a: w.from_onednn(cell, **a)[0][0],
        lambda weights: w.to_onednn([[weights]]),
        projected=P is not None,
        peepholes=peepholes,
        merged=merged,
    )


def haste(name, cell, gates, step):
    shapes = {"kernel": (I, gates * H), "recurrent_kernel": (H, gates * H), "bias": (gates * H,)}
    shapes |= {"recurrent_bias": (gates * H,)} if cell == "gru" else {}
    return System(name, cell, shapes, step, lambda a: w.from_haste(cell, **a), w.to_haste)


def flashrnn(name, cell, gates, biases, step, merged=False):
    shapes = {"kernel": (I, gates, HEADS, D), "R": (gates, HEADS, D, D), "b": (biases, HEADS, D)}
    return System(
        name,
        cell,
        shapes,
        step,
        lambda a: w.from_flashrnn(cell, **a),
        lambda weights: w.to_flashrnn(weights, HEADS),
        merged=merged,
    )


LSTM_VARIABLES = {"kernel": (I + H, 4 * H), "bias": (4 * H,)}
LSTM_CELL = dict.fromkeys(("w_f_diag", "w_i_diag", "w_o_diag"), (H,))
BLOCK_CELL = dict.fromkeys(("w_i_diag", "w_f_diag", "w_o_diag"), (H,))
PROJECTED = {"kernel": (I + P, 4 * H), "bias": (4 * H,)}
PROJECTION = {"projection/kernel": (H, P)}
GRU_VARIABLES = {
    "gates/kernel": (I + H, 2 * H),
    "gates/bias": (2 * H,),
    "candidate/kernel": (I + H, H),
    "candidate/bias": (H,),
}
COMPATIBLE_VARIABLES = {
    "gates/kernel": (I + H, 2 * H),
    "gates/bias": (2 * H,),
    "input/kernel": (I, H),
    "hidden/kernel": (H, H),
    "input/bias": (H,),
    "hidden/bias": (H,),
}
SYSTEMS = [
    keras("CuDNNLSTM", "lstm", [(I, 4 * H), (H, 4 * H), (8 * H,)], equations.legacy_lstm),
    keras("CuDNNGRU", "gru", [(I, 3 * H), (H, 3 * H), (6 * H,)], equations.legacy_gru),
    tf1("BasicRNNCell", "simple_rnn", {"kernel": (I + H, H), "bias": (H,)}, equations.basic_rnn),
    tf1("BasicLSTMCell", "lstm", LSTM_VARIABLES, equations.tf1_lstm(1.0)),
    tf1("LSTMCell", "lstm", LSTM_VARIABLES, equations.tf1_lstm(1.0)),
    tf1("LSTMCell", "lstm", LSTM_VARIABLES, equations.tf1_lstm(0.375), 0.375, "-0.375"),
    tf1(
        "LSTMCell",
        "lstm",
        LSTM_VARIABLES | LSTM_CELL,
        equations.tf1_lstm(1.0),
        None,
        "-peepholes",
        peepholes=True,
    ),
    tf1(
        "LSTMCell",
        "lstm",
        PROJECTED | PROJECTION,
        equations.tf1_lstm(1.0),
        None,
        "-projected",
        projected=True,
    ),
    tf1(
        "LSTMCell",
        "lstm",
        PROJECTED | LSTM_CELL | PROJECTION,
        equations.tf1_lstm(0.0),
        0.0,
        "-all",
        peepholes=True,
        projected=True,
    ),
    tf1("LSTMBlockCell", "lstm", LSTM_VARIABLES | BLOCK_CELL, equations.tf1_lstm(1.0), peepholes=True),
    tf1("LSTMBlockFusedCell", "lstm", LSTM_VARIABLES | BLOCK_CELL, equations.tf1_lstm(1.0), peepholes=True),
    tf1("CudnnCompatibleLSTMCell", "lstm", LSTM_VARIABLES, equations.tf1_lstm(0.0)),
    tf1("GRUCell", "gru_reset_before", GRU_VARIABLES, equations.tf1_gru),
    tf1("GRUBlockCell", "gru_reset_before", GRU_VARIABLES, equations.tf1_gru),
    tf1("GRUBlockCellV2", "gru_reset_before", GRU_VARIABLES, equations.tf1_gru),
    tf1("CudnnCompatibleGRUCell", "gru", COMPATIBLE_VARIABLES, equations.cudnn_compatible_gru, merged=True),
    block("BlockLSTM", equations.block_lstm),
    block("BlockLSTMV2", equations.block_lstm_v2),
    torch("torch-lstm", "lstm", 4, equations.torch_lstm),
    torch("torch-projected", "lstm", 4, equations.torch_lstm, P),
    torch("torch-gru", "gru", 3, equations.torch_gru),
    torch("torch-rnn", "simple_rnn", 1, equations.torch_rnn),
    cudnn("cudnn-lstm", "lstm", 4, equations.cudnn_lstm),
    cudnn("cudnn-projected", "lstm", 4, equations.cudnn_lstm, P),
    cudnn("cudnn-gru", "gru", 3, equations.cudnn_gru),
    cudnn("cudnn-rnn", "simple_rnn", 1, equations.cudnn_rnn),
    onnx("onnx-lstm", "lstm", 4, equations.onnx_lstm, peepholes=True),
    onnx("onnx-gru", "gru", 3, equations.onnx_gru(1)),
    onnx("onnx-gru-before", "gru_reset_before", 3, equations.onnx_gru(0)),
    onnx("onnx-rnn", "simple_rnn", 1, equations.onnx_rnn),
    onednn("vanilla_lstm", "lstm", 4, 4, equations.onednn_lstm),
    onednn("vanilla_lstm-all", "lstm", 4, 4, equations.onednn_lstm, P, peepholes=True),
    onednn("vanilla_gru", "gru_reset_before", 3, 3, equations.onednn_gru),
    onednn("lbr_gru", "gru", 3, 4, equations.onednn_lbr_gru, merged=True),
    onednn("vanilla_rnn", "simple_rnn", 1, 1, equations.onednn_rnn),
    haste("haste-lstm", "lstm", 4, equations.haste_lstm),
    haste("haste-gru", "gru", 3, equations.haste_gru),
    flashrnn("flashrnn-elman", "simple_rnn", 1, 1, equations.flashrnn_elman),
    flashrnn("flashrnn-lstm", "lstm", 4, 4, equations.flashrnn_lstm),
    flashrnn("flashrnn-gru", "gru", 3, 4, equations.flashrnn_gru, merged=True),
]
