"""What layers, cells and definitions of cells refuse to be made of, in words that name the argument."""

import re

import numpy as np
import pytest

import numbarnn as nr

LAYERS, CELLS = (nr.LSTM, nr.GRU, nr.SimpleRNN), (nr.LSTMCell, nr.GRUCell, nr.SimpleRNNCell)
LSTMS, GRUS = (nr.LSTM, nr.LSTMCell), (nr.GRU, nr.GRUCell)
ALL = LAYERS + CELLS
UNKNOWN = "expected.* activation.* use_bias.* seed"
FLAG = "{} .*expected True or False"

# Who takes the argument, wrong values, error, what its message says beside the name; {} is the value.
ARGUMENTS = [
    ("units", ALL, [0, -5], ValueError, "{}; expected an integer >= 1"),
    ("units", ALL, [5.0, True, "5", None], TypeError, "{} .*expected an integer >= 1"),
    ("activation", ALL, ["softmax"], ValueError, "{}; expected one of .*'tanh'"),
    ("activation", ALL, [3, ["tanh"]], TypeError, "{}.*expected"),
    ("recurrent_activation", LSTMS + GRUS, ["hard"], ValueError, "{}; expected one of .*'sigmoid'"),
    ("recurrent_activation", LSTMS + GRUS, [3], TypeError, "{}.*expected"),
    ("use_bias", ALL, [1, None, "no"], TypeError, FLAG),
    ("unit_forget_bias", LSTMS, [1], TypeError, FLAG),
    ("reset_after", GRUS, ["yes"], TypeError, FLAG),
    ("kernel_initializer", ALL, ["he", None, 3], ValueError, "{}; expected one of .*'glorot_uniform'"),
    ("recurrent_initializer", ALL, ["he", ["zeros"]], ValueError, "{}; expected one of .*'orthogonal'"),
    ("bias_initializer", ALL, [0.0], ValueError, "{}; expected one of .*'zeros'"),
    ("dtype", ALL, ["float16", "int64", "real", None, 32], TypeError, "{}; expected 'float32' or 'float64'"),
    ("seed", ALL, ["one", 1.5, True], TypeError, "{}.*expected"),
    ("seed", ALL, [-1], ValueError, "{}.*expected"),
    ("kernel_regularizer", ALL, ["l2", None], TypeError, "leave it out"),
    ("recurrent_constraint", ALL, ["max_norm"], TypeError, "leave it out"),
    ("unitz", ALL, [5], TypeError, UNKNOWN),
    ("cell", ALL, [5], TypeError, UNKNOWN),
    ("unit_forget_bias", GRUS, [True], TypeError, UNKNOWN),
    ("reset_after", LSTMS, [True], TypeError, UNKNOWN),
    ("return_sequences", CELLS, [True], TypeError, UNKNOWN),
    ("dropout", ALL, [-0.1, 1.0, float("nan")], ValueError, "{}; expected .* at least 0 and below 1"),
    ("recurrent_dropout", ALL, [1.5, 1], ValueError, "{}; expected .* at least 0 and below 1"),
    ("dropout", ALL, ["0", None, True, np.zeros(2)], TypeError, "{}.*expected a number"),
    ("flush_denormals", LAYERS, [1, "yes", None], TypeError, FLAG),
    ("weights_dtype", ALL, ["float32", "half", 16], ValueError, "{}; expected None, 'float16' or 'bfloat16'"),
    ("device", LAYERS, ["gpu", None, np.zeros(2)], ValueError, "{}; expected one of 'auto', 'cpu', 'cuda'"),
    ("device", LAYERS, ["cuda"], nr.DeviceNotAvailable, "{}.*device='cpu'"),
    ("name", LAYERS, [3], TypeError, "{}.*expected"),
    ("return_sequences", LAYERS, [1, None], TypeError, FLAG),
    ("return_state", LAYERS, [1, None], TypeError, FLAG),
    ("go_backwards", LAYERS, [1, None], TypeError, FLAG),
    ("stateful", LAYERS, [1, None], TypeError, FLAG),
    ("unroll", LAYERS, [1, None], TypeError, FLAG),
    ("zero_output_for_mask", LAYERS, [1, None], TypeError, FLAG),
    ("time_major", LAYERS, [1, None], TypeError, FLAG),
]
ROWS = [
    pytest.param(made, argument, wrong, error, message, id=f"{made.__name__} {argument} {wrong!r}")
    for argument, takers, wrongs, error, message in ARGUMENTS
    for wrong in wrongs
    for made in takers
]


def refused(error, message, call, *arguments, **options):
    with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
        call(*arguments, **options)
    assert caught.type is error, repr(caught.value)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)


@pytest.mark.parametrize(("made", "argument", "wrong", "error", "message"), ROWS)
def test_arguments(made, argument, wrong, error, message):
    message = f"{argument}.*{message.format(re.escape(repr(wrong)))}"
    refused(error, message, made, **{"units": 5, argument: wrong})


@pytest.mark.parametrize("made", ALL)
def test_every_right_value_is_taken(made):
    """The other side of the table: what it calls wrong is wrong by its value, not by its name."""
    options = {"units": np.int64(5), "activation": "relu", "use_bias": np.True_, "kernel_initializer": "ones"}
    options |= {"recurrent_initializer": "glorot_uniform", "bias_initializer": np.zeros, "seed": np.int32(3)}
    if made in LAYERS:
        options |= {"dropout": 0, "recurrent_dropout": 0.0, "flush_denormals": False}
        options |= {"device": "cpu", "unroll": True, "name": "first"}
    for dtype in ("float32", np.float64, np.dtype("f4")):
        assert made(**options, dtype=dtype).dtype == np.dtype(dtype)
    for weights_dtype in (None, "bfloat16"):
        assert made(**options, weights_dtype=weights_dtype).weights_dtype == weights_dtype


@pytest.mark.parametrize("cell", [None, nr.LSTM(5), [nr.LSTMCell(5), "gru"], [[nr.LSTMCell(5)]], "lstm"])
def test_rnn_wants_a_cell(cell):
    refused(TypeError, r"cell.*expected a cell: LSTMCell.*FusedCell", nr.RNN, cell)


def test_rnn_wants_no_class():
    refused(TypeError, r"cell.*class LSTMCell.*expected.*LSTMCell\(", nr.RNN, nr.LSTMCell)
    refused(ValueError, "cells is empty; expected at least one", nr.RNN, [])


def test_recurrent_dropout_wants_recurrent_products():
    still = nr.kernels.cells.DENSE
    refused(ValueError, "recurrent_dropout = 0.5.*'dense'", nr.FusedCell, still, 3, recurrent_dropout=0.5)
    assert nr.FusedCell(still, 3, dropout=0.5).dropout == 0.5


def test_rnn_leaves_the_cell_its_own_arguments():
    refused(TypeError, "'activation'.*expected.* return_sequences", nr.RNN, nr.LSTMCell(5), activation="relu")


@pytest.mark.parametrize("definition", ["lstm", None, nr.LSTMCell])
def test_fused_cell_wants_a_definition(definition):
    refused(TypeError, r"definition.*expected .*numbarnn\.cell\(", nr.FusedCell, definition, 5)


@pytest.mark.parametrize("layer", [None, nr.LSTM, nr.LSTMCell(5)])
def test_warmup_wants_a_layer(layer):
    refused(TypeError, "layer.*expected", nr.warmup, layer)


def test_warmup_wants_weights():
    refused(ValueError, r"build\(input_size\)", nr.warmup, nr.LSTM(5))


@pytest.mark.parametrize(("draw", "error", "message"), [
    (lambda shape: np.zeros(3), ValueError, r"bias.*\(3,\); expected \(20,\)"),
    (lambda shape: np.zeros(shape, int), TypeError, "bias.*int64; expected"),
    (lambda shape: None, TypeError, "bias.*expected"),
])  # fmt: skip
def test_initializers_draw_what_is_asked_for(draw, error, message):
    layer = nr.LSTM(5, bias_initializer=draw)
    refused(error, message, layer.build, 4)
    assert layer.get_weights() == []


# Definitions of cells


def half(h):
    return 0.5 * h


def product(a):
    return nr.math.tanh(a)


DEFINITIONS = {
    "slots": [
        *[(text, ValueError, re.escape(repr(text)) + ".*expected name:source")
          for text in ("a", "a:", "a:x+", ":x", "a:x||h", "1a:x")],
        ("a:x+h a:x", ValueError, "'a:x[+]h a:x'.*twice"),
        ("b_h:x b:x|h", ValueError, "twice"),
        ("a:x+h+x", ValueError, "'x'.*twice"),
        ("a:y", ValueError, "'y'; known here: x, h"),
        ("h:x+h", ValueError, "'h'"),
        (3, TypeError, "slots.*int.*expected"),
    ],
    "fn": [
        (None, TypeError, "fn.*expected"),
        ("tanh", TypeError, "fn.*expected"),
        (lambda *sums: sums[0], ValueError, "sums.*expected"),
        (lambda a, b=3: a, ValueError, "'b'; known here: a, h"),
        (lambda a, *, act: act(a), ValueError, "act.*default"),
        (lambda a: (a, a), ValueError, "returns 2 .*expected 1: h"),
        (lambda a: a if a > 0 else 0.0, TypeError, "where"),
        (lambda a: max(a, 0.0), TypeError, "where"),
        (lambda a: a == 1, TypeError, "equality"),
        (lambda a: a > 0, TypeError, "condition.*where"),
        (lambda a: float(a), TypeError, "numbarnn.math"),
        (lambda a: np.tanh(a), TypeError, "numpy.tanh.*numbarnn.math"),
        (lambda a: np.array(a), TypeError, "numbarnn.math"),
        (lambda a: a**0.5, TypeError, "exponent = 0.5.*whole powers"),
        (lambda a: a + 1j, TypeError, "1j.*complex.*expected a number"),
        (lambda a: None, TypeError, "None.*expected a number"),
        (lambda a: nr.math.where(a, 1.0, 2.0), TypeError, "where.*expected a condition"),
        (lambda a: nr.math.tanh(a > 0), TypeError, "condition.*where"),
    ],
    "results": [
        ("x", ValueError, "'x'"),
        ("h h", ValueError, "'h' is computed twice"),
        ("y", ValueError, "no phase computes 'h'"),
        (3, TypeError, "results.*int.*expected"),
    ],
    "states": [
        ("", ValueError, "''; expected at least one"),
        ("x", ValueError, "'x'; expected"),
        ("h h", ValueError, "'h h'.*twice"),
        ("h=one", ValueError, "states.*'one'|states.*h=one"),
        ("h c", ValueError, "returns 1 .*expected 2: h, c"),
        (["h"], TypeError, "states.*list.*expected"),
    ],
    "output": [("y", ValueError, "no phase computes 'y'")],
    "phases": [
        ([], ValueError, "no phase computes 'h'"),
        (None, TypeError, "phases.*NoneType.*expected"),
        (["a:x+h"], TypeError, r"phases\[0\].*str.*expected.*phase\("),
        (nr.phase("a:x+h", product), TypeError, "phases.*expected a list"),
        ([nr.phase("a:x+h", product)] * 2, ValueError, "phase 2.*'h' is computed twice"),
    ],
    "name": [("lstm", ValueError, "'lstm' is a built-in"), (3, TypeError, "name.*3.*expected")],
}  # fmt: skip


@pytest.mark.parametrize(("argument", "wrong", "error", "message"), [
    pytest.param(argument, *fault, id=f"{argument} {number}")
    for argument, faults in DEFINITIONS.items() for number, fault in enumerate(faults)
])  # fmt: skip
def test_definitions(argument, wrong, error, message):
    """A definition is refused where it is made, by `phase` or by `cell`, and does not enter the table."""

    def define(name="refused", states="h", output=None, phases=None, slots="a:x+h", fn=product, results=None):
        function = half if argument == "slots" else fn
        given = [nr.phase(slots, function, results)] if argument != "phases" else phases
        nr.cell(name, states=states, phases=given, output=output)

    before = dict(nr.kernels.cells.TABLE)
    refused(error, message, define, **{argument: wrong})
    assert before == nr.kernels.cells.TABLE


def test_phases_agree_on_the_defaults_of_their_options():
    """One name, one default: which of two would hold is nobody's guess."""

    def first(a, *, activation=nr.math.tanh):
        return activation(a)

    def second(d, *, activation=nr.math.sigmoid):
        return activation(d)

    phases = [nr.phase("a:x+h", first, results="d"), nr.phase("", second)]
    with pytest.raises(ValueError, match=r"'activation' the defaults .*tanh.* and .*sigmoid.*expected one"):
        nr.cell("two minds", states="h", phases=phases)
