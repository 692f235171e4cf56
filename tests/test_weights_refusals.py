"""What no weights can express raises and says why; so do arrays that do not fit together."""

import numpy as np
import pytest

from numbarnn import weights as w

I, H, P = 5, 4, 3  # noqa: E741


def ones(*shape, dtype="float32"):
    return np.ones(shape, dtype)


LSTM = w.Weights("lstm", ones(I, 4 * H), ones(H, 4 * H), ones(4 * H))
PEEPHOLES = LSTM._replace(peepholes=(ones(H),) * 3)
PROJECTED = LSTM._replace(recurrent_kernel=ones(P, 4 * H), projection=ones(H, P))
GRU = w.Weights("gru", ones(I, 3 * H), ones(H, 3 * H), ones(2, 3 * H))
BEFORE = GRU._replace(cell="gru_reset_before", bias=ones(3 * H))
SIMPLE = w.Weights("simple_rnn", ones(I, H), ones(H, H), ones(H))
NO_WEIGHTS = "no weights turn one into the other"

INEXPRESSIBLE = {
    "peepholes, Keras": (lambda: w.to_keras(PEEPHOLES), "Keras has no peepholes"),
    "peepholes, PyTorch": (lambda: w.to_torch_layer(PEEPHOLES), "PyTorch has no peepholes"),
    "peepholes, cuDNN": (lambda: w.to_cudnn(PEEPHOLES), "cuDNN has no peepholes"),
    "peepholes, Haste": (lambda: w.to_haste(PEEPHOLES), "Haste has no peepholes"),
    "peepholes, FlashRNN": (lambda: w.to_flashrnn(PEEPHOLES), "FlashRNN has no peepholes"),
    "peepholes, BasicLSTMCell": (lambda: w.to_tf1("BasicLSTMCell", PEEPHOLES), "BasicLSTMCell has no peep"),
    "projection, Keras": (lambda: w.to_keras(PROJECTED), "Keras has no projection"),
    "projection, ONNX": (lambda: w.to_onnx([PROJECTED]), "ONNX has no projection"),
    "projection, block": (lambda: w.to_tf1("LSTMBlockCell", PROJECTED), "LSTMBlockCell has no projection"),
    "projection, operator": (lambda: w.to_block_lstm("BlockLSTMV2", PROJECTED), "BlockLSTMV2 has no proj"),
    "before, PyTorch": (lambda: w.to_torch_layer(BEFORE), NO_WEIGHTS),
    "before, cuDNN": (lambda: w.to_cudnn(BEFORE), NO_WEIGHTS),
    "before, Haste": (lambda: w.to_haste(BEFORE), NO_WEIGHTS),
    "before, FlashRNN": (lambda: w.to_flashrnn(BEFORE), NO_WEIGHTS),
    "before, CuDNNGRU": (lambda: w.to_keras_cudnn(BEFORE), NO_WEIGHTS),
    "before, compatible": (lambda: w.to_tf1("CudnnCompatibleGRUCell", BEFORE), NO_WEIGHTS),
    "after, GRUCell": (lambda: w.to_tf1("GRUCell", GRU), NO_WEIGHTS),
    "before from PyTorch": (lambda: w.from_torch("gru_reset_before", *ones(4, 6, 2)), NO_WEIGHTS),
    "LSTM, GRUCell": (lambda: w.to_tf1("GRUCell", LSTM), "expected 'gru_reset_before' for GRUCell"),
    "simple, BlockLSTM": (lambda: w.to_block_lstm("BlockLSTM", SIMPLE), "expected 'lstm' for BlockLSTM"),
    "proj_clip": (lambda: w.from_tf1("LSTMCell", [], proj_clip=3.0), "proj_clip = 3.0; expected None"),
    "cell_clip of 0": (lambda: w.from_tf1("LSTMCell", [], cell_clip=0.0), "cell_clip = 0.0; expected None"),
    "cell_clip, operator": (
        lambda: w.from_block_lstm("BlockLSTM", ones(I + H, 4 * H), ones(4 * H), cell_clip=3.0),
        "cell_clip = 3.0; expected None",
    ),
    "forget bias, V2": (lambda: w.to_block_lstm("BlockLSTMV2", LSTM, 1.0), "BlockLSTMV2 adds none"),
    "forget bias, GRU": (lambda: w.to_tf1("GRUCell", BEFORE, 1.0), "GRUCell adds none"),
    "clip": (lambda: w.from_onnx("lstm", ones(1, 4, 1), ones(1, 4, 1), clip=2.0), "clip = 2.0"),
    "input_forget": (lambda: w.from_onnx("lstm", ones(1, 4, 1), ones(1, 4, 1), input_forget=1), "couple"),
    "between heads": (lambda: w.to_flashrnn(GRU, 2), "not 0 between 2 heads"),
    "heads": (lambda: w.to_flashrnn(GRU, 3), "heads = 3; expected a divisor of 4 units"),
    "complement": (lambda: w.complemented_update(LSTM), "no other cell has an update gate"),
}
SHAPES = {
    "cell": (lambda: w.from_keras("LSTM", []), "cell = 'LSTM'; expected one of 'simple_rnn'"),
    "class": (lambda: w.from_tf1("LSTM", []), "class_name = 'LSTM'; expected one of"),
    "operator": (lambda: w.from_block_lstm("LSTM", ones(9, 16), ones(16)), "op = 'LSTM'"),
    "count": (lambda: w.from_keras("lstm", [ones(I, 16)]), "arrays has 1 arrays; expected kernel"),
    "kernel": (
        lambda: w.from_keras("lstm", [ones(I, 12), ones(H, 16)]),
        r"arrays\[0\] has shape \(5, 12\); expected \(5, 16\) for 4 units",
    ),
    "blocks": (lambda: w.from_keras("lstm", [ones(I, 15), ones(4, 15)]), "expected 4 blocks of equally many"),
    "square": (
        lambda: w.from_torch("gru", ones(12, 5), ones(12, 5)),
        r"weight_hh has shape \(12, 5\); expected \(12, 4\)",
    ),
    "bias": (lambda: w.from_keras("gru", [ones(I, 12), ones(H, 12), ones(12)]), r"expected \(2, 12\)"),
    "one bias": (lambda: w.from_torch("gru", ones(12, 5), ones(12, 4), ones(12)), "expected both or neither"),
    "two biases": (
        lambda: w.from_torch("gru", ones(12, 5), ones(12, 4), ones(11), ones(13)),
        "bias_ih and bias_hh have shapes",
    ),
    "rows": (lambda: w.from_tf1("BasicRNNCell", [ones(3, 4), ones(4)]), "expected at least 4 rows"),
    "gates": (
        lambda: w.from_tf1("GRUCell", [ones(9, 8), ones(8), ones(8, 4), ones(4)]),
        "expected equally many rows",
    ),
    "variables": (
        lambda: w.from_tf1("GRUCell", [ones(9, 8)]),
        "has 1 arrays; expected gates/kernel",
    ),
    "peepholes": (
        lambda: w.from_tf1("BasicLSTMCell", [ones(9, 16), ones(16), *[ones(4)] * 3]),
        "variables has 5 arrays; expected kernel and bias",
    ),
    "id": (lambda: w.from_cudnn("gru", [ones(4, 5)] * 6 + [ones(2, 4)]), "matrices has 7 arrays"),
    "matrix": (
        lambda: w.from_cudnn("simple_rnn", [ones(4, 5), ones(4, 3)]),
        r"recurrent matrices has shape \(4, 3\); expected \(4, 4\)",
    ),
    "alike": (
        lambda: w.from_cudnn("gru", [ones(4, 5)] * 2 + [ones(4, 6)] + [ones(4, 4)] * 3),
        r"matrices\[2\] has shape \(4, 6\); expected \(4, 5\), as matrices\[0\]",
    ),
    "buffer": (lambda: w.from_cudnn_buffer("gru", ones(99), 5, 4), "buffer has 99 numbers; expected 132"),
    "directions": (
        lambda: w.from_onnx("gru", ones(2, 12, 5), ones(1, 12, 4)),
        r"R has shape \(1, 12, 4\); expected 2 directions",
    ),
    "P": (
        lambda: w.from_onnx("lstm", ones(1, 16, 5), ones(1, 16, 4), None, ones(1, 9)),
        r"P has shape \(1, 9\); expected \(1, 12\)",
    ),
    "P of a GRU": (
        lambda: w.from_onnx("gru", ones(1, 12, 5), ones(1, 12, 4), None, ones(1, 12)),
        "P is given; expected None for cell 'gru'",
    ),
    "lbr": (
        lambda: w.from_onednn("gru", ones(1, 1, 5, 3, 4), ones(1, 1, 4, 3, 4), ones(1, 1, 3, 4)),
        r"bias\[0, 0\] has shape \(12,\); expected \(16,\)",
    ),
    "ldigo": (
        lambda: w.from_onednn("gru", ones(1, 1, 5, 4, 3), ones(1, 1, 4, 3, 4), ones(1, 1, 4, 4)),
        "weights_layer has shape",
    ),
    "R": (lambda: w.from_flashrnn("lstm", ones(5, 4, 2, 2), ones(4, 2, 2, 3), ones(4, 2, 2)), "R has shape"),
    "weights": (lambda: w.to_keras(LSTM._replace(bias=ones(5))), r"weights.bias has shape \(5,\)"),
    "peepholes of a GRU": (
        lambda: w.to_onnx([GRU._replace(peepholes=(ones(4),) * 3)]),
        "expected 'lstm'",
    ),
    "two peepholes": (lambda: w.to_onnx([LSTM._replace(peepholes=(ones(4),) * 2)]), "expected three arrays"),
    "state_dict": (
        lambda: w.from_torch_state_dict("gru", {"rnn.weight_ih_l0": ones(12, 5)}),
        "'rnn.weight_ih_l0'; expected names as weight_ih_l0",
    ),
    "missing": (
        lambda: w.from_torch_state_dict(
            "gru", {"weight_ih_l0_reverse": ones(12, 5), "weight_hh_l0_reverse": ones(12, 4)}
        ),
        "lacks weight_ih_l0, weight_hh_l0",
    ),
    "stack": (lambda: w.to_torch_state_dict([[LSTM], [LSTM]]), r"layers\[1\]\[0\] has cell 'lstm'"),
    "uneven": (lambda: w.to_cudnn_buffer([[SIMPLE], [SIMPLE] * 2]), r"layers have \[1, 2\] directions"),
    "mixed": (
        lambda: w.to_onnx([LSTM, LSTM._replace(bias=None)]),
        "expected one cell and the same",
    ),
    "three": (lambda: w.to_onednn([[SIMPLE] * 3]), "expected 1 or 2"),
}
TYPES = {
    "integers": (lambda: w.from_keras("lstm", [ones(I, 16, dtype=int), ones(H, 16)]), "has dtype int64"),
    "dtypes": (
        lambda: w.from_keras("lstm", [ones(I, 16), ones(H, 16, dtype="float64")]),
        r"arrays\[0\] has dtype float32, another array float64",
    ),
    "dtypes of gates": (
        lambda: w.from_cudnn("simple_rnn", [ones(4, 5), ones(4, 4, dtype="float64")]),
        "expected one dtype",
    ),
    "dtypes of variables": (
        lambda: w.from_tf1("GRUCell", [ones(9, 8), ones(8), ones(9, 4, dtype="float64"), ones(4)]),
        "expected one dtype",
    ),
    "no Weights": (
        lambda: w.to_keras([ones(I, 16), ones(H, 16)]),
        "type list; expected numbarnn",
    ),
    "no list": (lambda: w.from_keras("lstm", ones(3, 4, 4)), "arrays is of type ndarray; expected a list"),
    "no nest": (lambda: w.to_torch_state_dict(LSTM), "layers: expected a list of layers"),
    "one layer": (lambda: w.to_cudnn_buffer([LSTM]), "layers: expected a list of layers"),
    "forget bias": (lambda: w.to_tf1("LSTMCell", LSTM, "1"), "forget_bias = '1' is of type str"),
}


@pytest.mark.parametrize("case", INEXPRESSIBLE.values(), ids=INEXPRESSIBLE)
def test_what_no_weights_can_express(case):
    call, message = case
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("case", SHAPES.values(), ids=SHAPES)
def test_arrays_that_do_not_fit(case):
    call, message = case
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("case", TYPES.values(), ids=TYPES)
def test_other_types(case):
    call, message = case
    with pytest.raises(TypeError, match=message):
        call()
