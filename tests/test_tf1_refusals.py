"""What TensorFlow 1's cells and wrappers refuse, and what they say."""

import numpy as np
import pytest
from test_tf1_cells import H, I, ready

import numbarnn as nr
from numbarnn import tf1

CELLS = {
    "units": (lambda: tf1.GRUCell(0), ValueError, "num_units = 0; expected an integer >= 1"),
    "activation": (lambda: tf1.BasicRNNCell(4, "tan"), ValueError, "activation = 'tan'"),
    "reuse": (lambda: tf1.GRUCell(4, reuse=True), ValueError, "reuse = True; expected None"),
    "dtype": (lambda: tf1.GRUCell(4, dtype="float16"), TypeError, "dtype = 'float16'; expected"),
    "forget": (lambda: tf1.BasicLSTMCell(4, "1"), TypeError, "forget_bias = '1' is of type str"),
    "forget nan": (lambda: tf1.LSTMCell(4, forget_bias=np.nan), ValueError, "forget_bias = nan; expected"),
    "clip": (lambda: tf1.LSTMCell(4, cell_clip=True), TypeError, "cell_clip = True is of type bool"),
    "clip inf": (lambda: tf1.LSTMBlockCell(4, cell_clip=np.inf), ValueError, "cell_clip = inf; expected"),
    "projection": (lambda: tf1.LSTMCell(4, num_proj=0), ValueError, "num_proj = 0; expected an"),
    "shards": (lambda: tf1.LSTMCell(4, num_unit_shards=2), ValueError, "num_unit_shards = 2; expected None"),
    "tuple": (lambda: tf1.LSTMCell(4, state_is_tuple=1), TypeError, "state_is_tuple = 1 is of type int"),
    "orthogonal": (
        lambda: tf1.LSTMCell(4, use_peepholes=True, initializer="orthogonal"),
        ValueError,
        "initializer = 'orthogonal'; expected another with use_peepholes=True",
    ),
    "two sizes": (lambda: tf1.GRUBlockCell(4, 4), ValueError, "num_units = 4 and cell_size = 4"),
    "no size": (lambda: tf1.GRUBlockCellV2(), ValueError, "num_units = None and cell_size = None"),
    "rows": (
        lambda: tf1.LSTMCell(4).set_weights([np.ones((3, 16)), np.ones(16)]),
        ValueError,
        r"kernel has shape \(3, 16\); expected 4 rows or more",
    ),
    "candidate": (
        lambda: tf1.GRUCell(4).set_weights([np.ones((7, 8)), np.ones(8), np.ones((6, 4)), np.ones(4)]),
        ValueError,
        r"candidate/kernel has shape \(6, 4\); expected \(7, 4\)",
    ),
    "count": (lambda: ready("GRU").set_weights([]), ValueError, r"weights has 0 array\(s\); expected"),
    "built": (lambda: ready("GRU").build(I + 1), ValueError, f"input_size = {I + 1}; the cell has"),
    "state": (
        lambda: ready("LSTM")(np.ones((2, I), "f4"), np.ones((2, H), "f4")),
        TypeError,
        r"state is of type ndarray; expected a tuple of 2: LSTMStateTuple\(c, h\)",
    ),
    "states": (
        lambda: ready("LSTM")(np.ones((2, I), "f4"), (1, 2, 3)),
        ValueError,
        r"state has 3 part\(s\); expected 2",
    ),
    "matrix": (
        lambda: tf1.LSTMCell(4, state_is_tuple=False, seed=0)(np.ones((2, I), "f4"), np.ones((2, 4), "f4")),
        ValueError,
        r"state has shape \(2, 4\); expected \(batch, 8\)",
    ),
    "tuple for a matrix": (
        lambda: tf1.LSTMCell(4, state_is_tuple=False)(np.ones((2, I), "f4"), tf1.LSTMCell(4).zero_state(2)),
        TypeError,
        "state is of type LSTMStateTuple, and the cell has state_is_tuple=False",
    ),
}

GRU = tf1.GRUCell(4, seed=0)


class Plain:
    state_size = output_size = 4

    def call(self, inputs, states):
        return inputs, states


WRAPPERS = {
    "tuples": (
        lambda: tf1.MultiRNNCell([tf1.LSTMCell(4)], state_is_tuple=False),
        ValueError,
        r"cells\[0\] has the state_size LSTMStateTuple\(c=4, h=4\), and state_is_tuple is False",
    ),
    "parts": (
        lambda: tf1.MultiRNNCell([GRU])(np.ones((2, 3), "f4"), GRU.zero_state(2)),
        TypeError,
        "state is of type ndarray; expected a tuple of 1, one for each cell",
    ),
    "stack": (
        lambda: tf1.ResidualWrapper(nr.StackedRNNCells([GRU])),
        TypeError,
        "cell is of type StackedRNNCells; expected one cell, or a stack that is a numbarnn.tf1.MultiRNNCell",
    ),
    "stack in Python": (
        lambda: tf1.DropoutWrapper(tf1.MultiRNNCell([GRU, Plain()]), 0.5),
        TypeError,
        "cell is a MultiRNNCell with cells that the kernels do not run; expected fused cells only",
    ),
    "stack's recurrent": (
        lambda: tf1.DropoutWrapper(tf1.MultiRNNCell([GRU, nr.GRUCell(4, recurrent_dropout=0.5)]), 0.5),
        ValueError,
        "cell has recurrent_dropout = 0.5; expected 0.0",
    ),
    "stack's sizes": (
        lambda: tf1.dynamic_rnn(
            tf1.ResidualWrapper(tf1.MultiRNNCell([tf1.GRUCell(3), tf1.GRUCell(4)])), np.ones((2, 3, 5), "f4")
        ),
        ValueError,
        "input_size = 5; expected 4, the size of the outputs that ResidualWrapper adds the inputs to",
    ),
    "stack's input size": (
        lambda: tf1.DropoutWrapper(tf1.MultiRNNCell([tf1.GRUCell(4)] * 2), 0.5, input_size=5).build(3),
        ValueError,
        "input_size = 3; expected 5, as DropoutWrapper was told",
    ),
    "stack's option": (
        lambda: tf1.DropoutWrapper(tf1.MultiRNNCell([GRU]), keep_prob=0.5),
        TypeError,
        "unexpected keyword argument 'keep_prob'",
    ),
    "stack's parts": (
        lambda: tf1.MultiRNNCell([GRU, tf1.MultiRNNCell([GRU, GRU])])(
            np.ones((2, 4), "f4"), (GRU.zero_state(2),) * 3
        ),
        ValueError,
        r"state has 3 part\(s\); expected 2, one for each cell",
    ),
    "nested matrix": (
        lambda: tf1.MultiRNNCell([tf1.MultiRNNCell([GRU])], state_is_tuple=False),
        ValueError,
        r"cells\[0\] has the state_size \(4,\), and state_is_tuple is False",
    ),
    "nested dtype": (
        lambda: tf1.MultiRNNCell([GRU, tf1.MultiRNNCell([tf1.GRUCell(4, dtype="float64")])]),
        ValueError,
        "expected one dtype",
    ),
    "class": (
        lambda: tf1.DropoutWrapper(tf1.GRUCell),
        TypeError,
        "cell is of type type; expected a cell that",
    ),
    "recurrent": (
        lambda: tf1.DropoutWrapper(nr.GRUCell(4, recurrent_dropout=0.5)),
        ValueError,
        "cell has recurrent_dropout = 0.5; expected 0.0",
    ),
    "probability": (
        lambda: tf1.DropoutWrapper(GRU, output_keep_prob=1.1),
        ValueError,
        "output_keep_prob = 1.1; expected a probability, from 0 to 1",
    ),
    "no number": (
        lambda: tf1.DropoutWrapper(GRU, state_keep_prob="0.5"),
        TypeError,
        "state_keep_prob = '0.5' is of type str; expected a number",
    ),
    "dtype": (
        lambda: tf1.DropoutWrapper(GRU, dtype="float64"),
        ValueError,
        "dtype = 'float64'; expected 'float32', which the weights have",
    ),
    "visitor": (
        lambda: tf1.DropoutWrapper(GRU, dropout_state_filter_visitor=lambda state: True),
        ValueError,
        "dropout_state_filter_visitor = .*; expected None",
    ),
    "input size": (
        lambda: tf1.DropoutWrapper(tf1.GRUCell(4), input_size=5).build(3),
        ValueError,
        "input_size = 3; expected 5, as DropoutWrapper was told",
    ),
    "sizes": (
        lambda: tf1.dynamic_rnn(tf1.ResidualWrapper(tf1.GRUCell(4)), np.ones((2, 3, 5), "f4")),
        ValueError,
        "input_size = 5; expected 4, the size of the outputs that ResidualWrapper adds the inputs to",
    ),
    "function": (
        lambda: tf1.ResidualWrapper(GRU, "sum"),
        TypeError,
        "residual_fn is of type str; expected a function of an input and an output, or None",
    ),
    "branch": (
        lambda: tf1.ResidualWrapper(GRU, lambda given, output: max(given, output)),
        TypeError,
        "a cell may not branch on data",
    ),
}


@pytest.mark.parametrize(
    ("call", "error", "message"), [*CELLS.values(), *WRAPPERS.values()], ids=[*CELLS, *WRAPPERS]
)
def test_refusals(call, error, message):
    with pytest.raises(error, match=message):
        call()
