"""What `dynamic_rnn` and `bidirectional_dynamic_rnn` refuse, in the names of their own arguments."""

import re

import numpy as np
import pytest
from written_cells import Wrapped

import numbarnn as nr

B, T, I, H = 3, 5, 2, 4  # noqa: E741
X, H_0 = np.zeros((B, T, I), np.float32), np.zeros((B, H), np.float32)
ROWS = nr.Ragged.from_rows([np.zeros((n, I), np.float32) for n in (T, 0, 2)])


class Total:
    """Written in Python; its dtype is that of its inputs."""

    state_size = output_size = I

    def call(self, inputs, states):
        return inputs, [states[0] + inputs]


def gru():
    return nr.GRUCell(H, seed=0)


def lstm():
    return nr.LSTMCell(H, seed=0)


def stack():
    return [lstm(), nr.GRUCell(3, seed=1)]


def built():
    cell = gru()
    cell.build(I)
    return cell


# The cell, arguments in place of (inputs X), error, what it says.
REFUSED = {
    "layer": (
        lambda: nr.GRU(H), {}, TypeError,
        "cell is a layer, <GRU 'gru': <GRUCell gru, 4 units, float32>>; expected a cell: pass its "
        "layer.cell, which has the weights"
    ),
    "class": (
        lambda: nr.GRUCell, {}, TypeError,
        "cell is the class GRUCell; expected a cell made of it: GRUCell(...)"
    ),
    "no cell": (
        lambda: "gru", {}, TypeError,
        "cell is of type str, without a state_size; expected a cell: LSTMCell, GRUCell, SimpleRNNCell, "
        "FusedCell(definition, units), or an object with state_size and call(inputs, states) -> (output, "
        "new_states)"
    ),
    "empty list": (
        list, {}, ValueError,
        "cells is empty; expected at least one cell"
    ),
    "list of others": (
        lambda: [gru(), None], {}, TypeError,
        "cells[1] is of type NoneType, without a state_size; expected a cell: LSTMCell, GRUCell, "
        "SimpleRNNCell, FusedCell(definition, units), or an object with state_size and call(inputs, "
        "states) -> (output, new_states)"
    ),
    "rank": (
        gru, {"inputs": X[0]}, ValueError,
        "inputs has shape (5, 2); expected (batch, time, features)"
    ),
    "rank, time first": (
        gru, {"inputs": X[..., None], "time_major": True}, ValueError,
        "inputs has shape (3, 5, 2, 1); expected (time, batch, features)"
    ),
    "features": (
        built, {"inputs": X[..., :1]}, ValueError,
        "inputs has shape (3, 5, 1), 1 features; expected (batch, time, features) with 2 features"
    ),
    "inputs in float64": (
        gru, {"inputs": X.astype("f8")}, TypeError,
        "inputs has dtype float64; expected float32 or what converts to it without loss: use "
        "inputs.astype('float32')"
    ),
    "whole inputs": (
        gru, {"inputs": X.astype(int)}, TypeError,
        "inputs has dtype int64; expected float32 or what converts to it without loss: use "
        "inputs.astype('float32')"
    ),
    "values of a Ragged": (
        built, {"inputs": nr.Ragged(X[0, :, :1], [0, 2, 5])}, ValueError,
        "inputs.values has shape (5, 1), 1 features; expected (steps, features) with 2 features"
    ),
    "lengths of a Ragged": (
        gru, {"inputs": ROWS, "sequence_length": [5, 0, 2]}, ValueError,
        "sequence_length is given with Ragged inputs, whose rows have their own lengths; expected none: "
        "leave it out"
    ),
    "Ragged, time first": (
        gru, {"inputs": ROWS, "time_major": True}, ValueError,
        "time_major is given with Ragged inputs, whose rows have their own lengths; expected none: leave "
        "it out"
    ),
    "too long": (
        gru, {"sequence_length": [5, 6, 0]}, ValueError,
        "sequence_length[1] = 6 exceeds the 5 steps of inputs; expected 0 <= sequence_length[b] <= 5"
    ),
    "negative": (
        gru, {"sequence_length": [5, 0, -1]}, ValueError,
        "sequence_length[2] = -1 is negative; expected 0 <= sequence_length[b] <= 5"
    ),
    "too few": (
        gru, {"sequence_length": [5, 0]}, ValueError,
        "sequence_length has shape (2,); expected (3,), one length for each row of inputs"
    ),
    "one for all": (
        gru, {"sequence_length": 5}, ValueError,
        "sequence_length has shape (); expected (3,), one length for each row of inputs"
    ),
    "axes": (
        gru, {"sequence_length": [1] * 5}, ValueError,
        "sequence_length has shape (5,); expected (3,), one length for each row of inputs: are the batch "
        "and time axes of inputs swapped? see time_major"
    ),
    "lengths in float": (
        gru, {"sequence_length": np.ones(3)}, TypeError,
        "sequence_length has dtype float64; expected integers: use sequence_length.astype('int64')"
    ),
    "dtype": (
        gru, {"dtype": "float64"}, ValueError,
        "dtype = 'float64'; expected 'float32', as cell has: leave dtype out, or make cell with "
        "dtype='float64'"
    ),
    "no dtype": (
        gru, {"dtype": "real"}, TypeError,
        "dtype = 'real'; expected 'float32', as cell has"
    ),
    "time_major": (
        gru, {"time_major": 1}, TypeError,
        "time_major = 1 is of type int; expected True or False"
    ),
    "n_threads": (
        gru, {"n_threads": 0}, ValueError,
        "n_threads = 0; expected an integer >= 1"
    ),
    "state of two": (
        lstm, {"initial_state": H_0}, TypeError,
        "initial_state is of type ndarray; expected a list of 2 arrays: [h, c]"
    ),
    "too many states": (
        gru, {"initial_state": [H_0, H_0]}, ValueError,
        "initial_state has 2 array(s); expected 1: [h]"
    ),
    "shape of a state": (
        lstm, {"initial_state": [H_0, H_0[:2]]}, ValueError,
        "initial_state[1] (c) has shape (2, 4); expected (3, 4), (batch, units)"
    ),
    "dtype of a state": (
        lstm, {"initial_state": [H_0, H_0.astype("f8")]}, TypeError,
        "initial_state[1] has dtype float64; expected float32 or what converts to it without loss: use "
        "initial_state[1].astype('float32')"
    ),
    "states of a stack": (
        stack, {"initial_state": [H_0] * 3}, ValueError,
        "initial_state has 3 part(s); expected 2, one for each cell"
    ),
    "no list for a stack": (
        stack, {"initial_state": H_0}, TypeError,
        "initial_state is of type ndarray; expected a list of 2, one for each cell"
    ),
    "entry of a stack": (
        stack, {"initial_state": [[H_0, H_0], H_0]}, ValueError,
        "initial_state[1][0] (h) has shape (3, 4); expected (3, 3), (batch, units)"
    ),
    "structure in a stack": (
        stack, {"initial_state": [H_0, H_0]}, TypeError,
        "initial_state[0] is of type ndarray; expected a list of 2 arrays: [h, c]"
    ),
    "extra": (
        gru, {"extra": {"gap": X}}, ValueError,
        "extra has 'gap', which no cell declares; expected None: no cell here declares extra inputs"
    ),
    # Cells written in Python
    "extra for Python": (
        Total, {"extra": {"gap": X}}, ValueError,
        "extra has 'gap', which no cell declares; expected None: no cell here declares extra inputs"
    ),
    "rank of a leaf": (
        Total, {"inputs": {"a": X, "b": X[0]}}, ValueError,
        "inputs['b'] has shape (5, 2); expected three axes or more, (batch, time, ...)"
    ),
    "number": (
        Total, {"inputs": [X, 1.0]}, ValueError,
        "inputs[1] has shape (); expected three axes or more, (batch, time, ...): a list of numbers is a "
        "nest here, make an array of it"
    ),
    "axes of a leaf": (
        Total, {"inputs": (X, X[:, :4]), "time_major": True}, ValueError,
        "inputs[1] has shape (3, 4, 2); expected (time, batch, ...) with (3, 5) first, as inputs[0] has"
    ),
    "no inputs": (
        Total, {"inputs": {}}, ValueError,
        "inputs has no arrays in it; expected at least one of shape (batch, time, ...)"
    ),
    "Ragged in a nest": (
        Total, {"inputs": [ROWS]}, TypeError,
        "inputs[0] is a Ragged inside a nest; expected arrays there, or one Ragged alone"
    ),
    "lengths for Python": (
        Total, {"sequence_length": [5, 6, 0]}, ValueError,
        "sequence_length[1] = 6 exceeds the 5 steps of inputs; expected 0 <= sequence_length[b] <= 5"
    ),
    "dtype of the inputs": (
        Total, {"dtype": np.float64}, ValueError,
        "dtype = 'float64'; expected 'float32', as cell has: leave dtype out, or make cell with "
        "dtype='float64'"
    ),
    "threads for Python": (
        Total, {"n_threads": -1}, ValueError,
        "n_threads = -1; expected an integer >= 1"
    ),
    "state for Python": (
        Total, {"initial_state": [X[:, 0], X[:, 0]]}, ValueError,
        "initial_state has 2 part(s); expected 1, as the cell's state has"
    ),
    "dict for Python": (
        Total, {"initial_state": {"h": X[:, 0]}}, TypeError,
        "initial_state is a dict of 1 part(s); expected a list or tuple, as the cell's state is"
    ),
    "shape for Python": (
        Total, {"initial_state": H_0}, ValueError,
        "initial_state[0] has shape (3, 4); expected (3, 2), (batch, *size) by the cell's state_size"
    ),
}  # fmt: skip


def refused(error, message, function, *arguments, **options):
    with pytest.raises((TypeError, ValueError)) as caught:
        function(*arguments, **options)
    assert type(caught.value) is error and str(caught.value) == message


@pytest.mark.parametrize("name", REFUSED)
def test_dynamic_rnn(name):
    make, given, error, message = REFUSED[name]
    refused(error, message, nr.dynamic_rnn, make(), **({"inputs": X} | given))


@pytest.mark.parametrize("way", ["fw", "bw"])
@pytest.mark.parametrize("name", REFUSED)
def test_either_direction(name, way):
    """The same words, with the names of that direction's arguments; what both share the first one tells."""
    make, given, error, message = REFUSED[name]
    told = "fw" if "as cell has" in message else way
    for named in ("^cell(?= is )", "(?<=as )cell(?= has)", "(?<=make )cell", "initial_state"):
        message = re.sub(named, rf"\g<0>_{told}", message)
    options = {"inputs": X} | given
    if "initial_state" in options:
        options[f"initial_state_{way}"] = options.pop("initial_state")
    other = Total() if make is Total else gru()
    pair = [make(), other] if way == "fw" else [other, make()]
    refused(error, message, nr.bidirectional_dynamic_rnn, *pair, **options)


def test_two_dtypes():
    """Refused of two fused cells; a cell written in Python need not be like the other one."""
    wide = nr.GRUCell(H, dtype="float64")
    message = "cell_bw has dtype float64, cell_fw float32; expected one dtype in both"
    refused(ValueError, message, nr.bidirectional_dynamic_rnn, gru(), wide, X)
    called = Wrapped(wide)
    called.dtype = wide.dtype
    (y, other), _ = nr.bidirectional_dynamic_rnn(gru(), called, X)
    assert (y.dtype, other.dtype) == ("float32", "float64")


def test_nothing_else_by_position():
    for function, count in ((nr.dynamic_rnn, 6), (nr.bidirectional_dynamic_rnn, 9)):
        with pytest.raises(TypeError, match="positional arguments"):
            function(*[None] * (count + 1))
