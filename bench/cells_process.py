"""What a user's new cell costs in a process that has run an LSTM, as JSON: its definition and its first call.

Run by `bench_cells.py`, several times over; whether the cache is cold is its decision.
"""

import json
import sys
from time import perf_counter

import numpy as np

import numbarnn as nr
from numbarnn.kernels.jit import compilations
from numbarnn.math import sigmoid, tanh

x = np.ones((32, 50, 128), np.float32)
nr.LSTM(128, seed=0)(x)


def peephole(i, f, g, o, c, p_i, p_f, p_o):
    new = sigmoid(f + p_f * c) * c + sigmoid(i + p_i * c) * tanh(g)
    return sigmoid(o + p_o * new) * tanh(new), new


seconds, started = {}, perf_counter()
phases = [nr.phase("i:x+h f:x+h g:x+h o:x+h", peephole)]
cell = nr.cell("peephole", states="h c", parameters="p_i p_f p_o", phases=phases)
seconds["define"] = perf_counter() - started
layer = nr.RNN(nr.FusedCell(cell, 128, seed=0))
layer.build(128)
before, started = len(compilations), perf_counter()
layer(x)
seconds["first call"] = perf_counter() - started
json.dump(
    {"seconds": seconds, "functions": [[name, how] for name, _, how in compilations[before:]]}, sys.stdout
)
