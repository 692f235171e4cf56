"""The cell table: what each cell keeps, multiplies and computes. Gate orders stand here and nowhere else.
See `definition` for how an entry is read.
"""

from . import definition, equations
from .declaration import cell, phase
from .definition import TABLE

SIMPLE_RNN = cell("simple_rnn", states="h", phases=[phase("a:x+h", equations.simple_rnn)])
LSTM = cell("lstm", states="h c", phases=[phase("i:x+h f:x+h g:x+h o:x+h", equations.lstm)])
GRU = cell("gru", states="h", phases=[phase("z:x+h r:x+h n:x|h", equations.gru)])
GRU_BEFORE = cell(
    "gru_reset_before",
    states="h",
    phases=[
        phase("z:x+h r:x+h", equations.gru_gates, results="z rh"),
        phase("n:x+rh", equations.gru_candidate),
    ],
)

# TensorFlow 1's, in its order of gates and states
_GATES, _PEEPHOLES = "i:x+h g:x+h f:x+h o:x+h", "w_f_diag w_i_diag w_o_diag"
_PROJECTION = phase("p:m", equations.projection, results="h", units="projection", use_bias=False)
TF1_LSTM = cell("tf1_lstm", states="c h", output="h", phases=[phase(_GATES, equations.tf1_lstm)])
TF1_LSTM_PROJECTION = cell(
    "tf1_lstm_projection",
    states="c h:projection",
    output="h",
    phases=[phase(_GATES, equations.tf1_lstm, results="c m"), _PROJECTION],
)
TF1_LSTM_PEEPHOLE = cell(
    "tf1_lstm_peephole",
    states="c h",
    output="h",
    phases=[phase(_GATES, equations.tf1_lstm_peephole)],
    parameters=_PEEPHOLES,
)
TF1_LSTM_PEEPHOLE_PROJECTION = cell(
    "tf1_lstm_peephole_projection",
    states="c h:projection",
    output="h",
    phases=[phase(_GATES, equations.tf1_lstm_peephole, results="c m"), _PROJECTION],
    parameters=_PEEPHOLES,
)
TF1_GRU = cell(
    "tf1_gru",
    states="h",
    phases=[
        phase("r:x+h z:x+h", equations.gru_gates, results="z rh"),
        phase("n:x+rh", equations.gru_candidate),
    ],
)
TF1_GRU_BLOCK = cell(
    "tf1_gru_block",
    states="h",
    phases=[
        phase("r:x+h z:x+h", equations.gru_gates, results="z rh"),
        phase("n:x+rh", equations.gru_block_candidate),
    ],
)
TF1_GRU_AFTER = cell("tf1_gru_after", states="h", phases=[phase("r:x+h z:x+h n:x|h", equations.gru)])

DENSE = cell("dense", states="y", phases=[phase("a:x", equations.simple_rnn)])  # no step knows of another

definition.BUILT_IN |= TABLE
BUILT_IN = tuple(TABLE.values())
