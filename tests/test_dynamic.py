"""`dynamic_rnn` and `bidirectional_dynamic_rnn`: TensorFlow's numbers, the layers' bits, any kind of cell."""

from collections import namedtuple

import numpy as np
import pytest
from bits import same
from directions import LENGTHS, B, H, I, T, inputs, turned
from golden.cases import dynamic_rnn_cases, read, reverse_rows
from models import every_dtype, every_model
from stacks import cells, every_stack, flat, states
from test_golden import LAYERS, assert_recorded
from written_cells import Wrapped

import numbarnn as nr
from numbarnn import beside, costs, dispatch, dynamic, nests
from numbarnn.bidirectional import Bidirectional
from numbarnn.kernels import jit

every_axis = pytest.mark.parametrize("time_major", [False, True], ids=["batch first", "time first"])
every_length = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["dense", "lengths"])

PADDING = np.arange(T) >= LENGTHS[:, None]


def spoilt(x):
    """With NaN wherever nothing may be read."""
    return np.where(PADDING[..., None], np.nan, x).astype(x.dtype)


def swapped(array, time_major):
    return array.swapaxes(0, 1) if time_major else array


def listed(state):
    return nests.flatten(state)


# TensorFlow's numbers


@every_dtype
def test_the_published_example(dtype):
    """stackoverflow.com/questions/54989442: the last of its three variants, whole numbers in both dtypes."""
    embedding = np.array([[0.37, 0.37], [1, 1], [2, 2]], dtype)
    x = embedding[[[1, 2, 1, 0, 0], [0, 1, 2, 1, 0]]]
    ones = {"kernel_initializer": "ones", "recurrent_initializer": "zeros", "bias_initializer": "ones"}
    layer = nr.GRU(1, None, None, reset_after=False, dtype=dtype, **ones)
    y, h = nr.dynamic_rnn(layer.cell, nr.Masking(0.37)(x), sequence_length=[3, 4])
    assert y.tolist() == [[[-6], [-50], [-156], [0], [0]], [[0], [-6], [-50], [-156], [0]]]
    assert h.tolist() == [[-156], [-156]]


CASES = {case.name.removeprefix("dynamic_rnn-"): case for case in dynamic_rnn_cases()}


def recorded_cell(case):
    make, own = LAYERS[case.cell]
    cell = make(len(case.weights[1]), dtype=case.y.dtype.name, **own).cell
    cell.set_weights(case.weights)
    return cell


@pytest.mark.parametrize("name", [name for name in read("dynamic_rnn") if name])
def test_what_tensorflow_recorded(name):
    """The cells of TensorFlow 1 by our own equations; their conventions are tested elsewhere."""
    pair = [CASES[f"{name}-{way}"] for way in ("fw", "bw") if f"{name}-{way}" in CASES]
    x, lengths = pair[0].x, pair[0].inputs.get("lengths")
    if len(pair) == 1:
        y, state = nr.dynamic_rnn(recorded_cell(pair[0]), x, dtype=x.dtype, time_major=True)
        assert_recorded(pair[0], y, listed(state))
        return
    starts = [case.inputs["initial_state"] for case in pair]
    outputs, final = nr.bidirectional_dynamic_rnn(*map(recorded_cell, pair), x, lengths, *starts)
    outputs = outputs[0], reverse_rows(outputs[1], lengths)  # recorded in processing order
    for case, y, state in zip(pair, outputs, final, strict=True):
        assert_recorded(case, y, listed(state))


# Fused cells


@every_model
@every_dtype
@every_axis
@every_length
def test_the_bits_of_the_layer(model, dtype, time_major, lengths):
    layer, x, initial = model.batch(B, T, I, H, dtype, time_major=time_major)
    x = swapped(spoilt(x) if lengths is not None else x, time_major)
    for start in (None, initial):
        y, state = nr.dynamic_rnn(layer.cell, x, lengths, start, time_major=time_major)
        same([y, *listed(state)], layer(x, start, lengths=lengths))
    assert type(state) is (np.ndarray if len(initial) == 1 else list)
    if lengths is not None:
        past = swapped(y, time_major)[PADDING]
        assert not past.any() and not np.signbit(past).any()
        same([array[1:2] for array in listed(state)], [array[1:2] for array in initial])  # of length 0
    if len(initial) == 1:  # the array itself is its state
        same([nr.dynamic_rnn(layer.cell, x, lengths, initial[0], time_major=time_major)[1]], [state])


@every_stack
@every_length
def test_stacks(kinds, lengths):
    """An entry for each cell; a list of cells is a stack; the weights are theirs."""
    x, initial = inputs(B, T, I), states(kinds)
    x = spoilt(x) if lengths is not None else x
    layer = nr.RNN(cells(kinds), return_sequences=True, return_state=True)
    expected = flat(layer(x, initial, lengths=lengths))
    for cell in (layer.cell, layer.cells):
        y, state = nr.dynamic_rnn(cell, x, lengths, initial)
        assert [type(entry) for entry in state] == [type(entry) for entry in initial]
        same([y, *listed(state)], expected)


def test_a_stack_of_one():
    x = inputs(B, T, I)
    for cell in (nr.LSTMCell(H, seed=1), nr.GRUCell(H, seed=1)):
        y, state = nr.dynamic_rnn(cell, x)
        stacked, [entry] = nr.dynamic_rnn(nr.StackedRNNCells([cell]), x)
        assert type(entry) is type(state)
        same([stacked, *listed(entry)], [y, *listed(state)])
        same(listed(nr.dynamic_rnn([cell], x, initial_state=[state])[1]),
             listed(nr.dynamic_rnn(cell, x, initial_state=state)[1]))  # fmt: skip


Pair = namedtuple("Pair", "c h")


class PairedLSTMCell(nr.LSTMCell):
    """Knows its state as (c, h), as TensorFlow 1 does."""

    def flat_state(self, state):
        return [state.h, state.c]

    def pack_state(self, states):
        h, c = states
        return Pair(c, h)


def test_cells_that_know_their_state_in_another_way():
    """Alone, in stacks and in either direction."""
    paired, plain = PairedLSTMCell(H, seed=1), nr.LSTMCell(H, seed=1)
    gru, upper = nr.GRUCell(3, seed=2), nr.GRUCell(3, seed=3)
    x, start = inputs(B, T, I), [inputs(B, H, seed=8), inputs(B, H, seed=9)]
    given = Pair(*start[::-1])
    y, (h, c) = nr.dynamic_rnn(plain, x, LENGTHS, start)
    got, state = nr.dynamic_rnn(paired, x, LENGTHS, given)
    assert type(state) is Pair
    same([got, state.c, state.h], [y, c, h])
    _, ((h, c), g) = nr.dynamic_rnn([plain, upper], x, LENGTHS, [start, start[0][:, :3].copy()])
    _, (state, last) = nr.dynamic_rnn([paired, upper], x, LENGTHS, [given, start[0][:, :3].copy()])
    assert type(state) is Pair
    same([state.c, state.h, last], [c, h, g])
    _, (forward, (h, c)) = nr.bidirectional_dynamic_rnn(gru, plain, x, LENGTHS, initial_state_bw=start)
    _, (other, state) = nr.bidirectional_dynamic_rnn(gru, paired, x, LENGTHS, initial_state_bw=given)
    assert type(state) is Pair
    same([other, state.c, state.h], [forward, c, h])


def test_cells_are_built_at_their_first_run():
    cell = nr.GRUCell(H, seed=3)
    y, _ = nr.dynamic_rnn(cell, inputs(B, T, I))
    built = nr.GRU(H, seed=3, return_sequences=True)
    same([y], [built(inputs(B, T, I))])
    assert cell.input_size == I


@pytest.mark.parametrize("model", ["lstm", "stack"])
def test_one_call_of_the_kernels_for_each_cell(model, monkeypatch):
    """Whatever the number of steps."""
    made = [nr.LSTMCell(H, seed=1)] if model == "lstm" else cells(("lstm", "gru"))
    calls, run = [], dispatch.run
    monkeypatch.setattr(dispatch, "run", lambda *a, **k: (calls.append(a), run(*a, **k))[1])
    nr.dynamic_rnn(made, inputs(B, 50, I))
    assert len(calls) == len(made)


@every_length
def test_no_steps_and_no_rows(lengths):
    cell, start = nr.LSTMCell(H, seed=1), [inputs(B, H, seed=8), inputs(B, H, seed=9)]
    lengths = None if lengths is None else np.zeros(B, int)
    y, state = nr.dynamic_rnn(cell, inputs(B, 0, I), lengths, start)
    assert y.shape == (B, 0, H)
    same(state, start)
    assert not any(np.shares_memory(got, given) for got, given in zip(state, start, strict=True))
    y, state = nr.dynamic_rnn(cell, inputs(0, T, I), None if lengths is None else [])
    assert y.shape == (0, T, H) and [array.shape for array in state] == [(0, H)] * 2
    (y, other), _ = nr.bidirectional_dynamic_rnn(cell, cell, inputs(B, 0, I), lengths)
    assert y.shape == other.shape == (B, 0, H)


def rows_of(x, lengths=LENGTHS):
    return nr.Ragged.from_rows([row[:n] for row, n in zip(x, lengths, strict=True)])


def test_ragged():
    """Ragged in, Ragged out, with the bits of the padded batch."""
    x, start = inputs(B, T, I), [inputs(B, H, seed=8), inputs(B, H, seed=9)]
    made = nr.LSTMCell(H, seed=1), nr.GRUCell(3, seed=2)
    y, state = nr.dynamic_rnn(made[0], x, LENGTHS, start)
    got, final = nr.dynamic_rnn(made[0], rows_of(x), initial_state=start)
    same([got.values, *final], [rows_of(y).values, *state])
    outputs, final = nr.bidirectional_dynamic_rnn(*made, x, LENGTHS, initial_state_fw=start)
    got, ends = nr.bidirectional_dynamic_rnn(*made, rows_of(x), initial_state_fw=start)
    same([y.values for y in got], [rows_of(y).values for y in outputs])
    same(listed(ends), listed(final))


@pytest.mark.parametrize("dtype", ["float32", np.float32, np.dtype("f4"), namedtuple("Type", "as_numpy_dtype")(np.float32)], ids=str)  # fmt: skip  # noqa: E501
def test_a_dtype_may_be_told(dtype):
    for cell in (nr.GRUCell(H, seed=1), Wrapped(nr.GRUCell(H, seed=1))):
        y, _ = nr.dynamic_rnn(cell, inputs(B, T, I), dtype=dtype)
        same([y], [nr.dynamic_rnn(cell, inputs(B, T, I))[0]])


# Two directions


def each_alone(pair, x, lengths, starts):
    """The outputs of both at the times of the inputs, and their states, by one layer for each."""
    outputs, final = [], []
    for cell, start, back in zip(pair, starts, (False, True), strict=True):
        layer = nr.RNN(cell, return_sequences=True, return_state=True, go_backwards=back)
        y, *ends = layer(x, start, lengths=lengths)
        outputs.append(turned(y, lengths) if back else y)
        final += flat(ends)
    return [*outputs, *final]


STARTS = {"none": (0, 0), "forward": (1, 0), "backward": (0, 1), "both": (1, 1)}


@every_model
@every_axis
@every_length
@pytest.mark.parametrize("given", STARTS.values(), ids=STARTS)
def test_two_directions(model, time_major, lengths, given):
    """Each from a state of its own, if any; an LSTM's cell goes the other way."""
    layer, x, initial = model.batch(B, T, I, H)
    pair = layer.cell, nr.LSTMCell(5, seed=4)
    x = spoilt(x) if lengths is not None else x
    other = [inputs(B, 5, seed=8), inputs(B, 5, seed=9)]
    starts = [start if there else None for start, there in zip((initial, other), given, strict=True)]
    outputs, final = nr.bidirectional_dynamic_rnn(
        *pair, swapped(x, time_major), lengths, *starts, time_major=time_major
    )
    assert type(outputs) is type(final) is tuple
    got = [*(swapped(y, time_major) for y in outputs), *listed(final)]
    same(got, each_alone(pair, x, lengths, starts))


@every_length
def test_stacks_in_two_directions(lengths):
    x, starts = inputs(B, T, I), [states(("lstm", "gru")), states(("toy", "simple", "lstm"))]
    stacks = cells(("lstm", "gru")), cells(("toy", "simple", "lstm"))
    outputs, final = nr.bidirectional_dynamic_rnn(*stacks, x, lengths, *starts)
    assert [[type(entry) for entry in part] for part in final] == [
        [list, np.ndarray],
        [list, np.ndarray, list],
    ]
    same([*outputs, *listed(final)], each_alone(stacks, x, lengths, starts))


def test_the_cells_themselves_run():
    """Not copies: their weights, also when these are set anew, also of one cell in both directions."""
    cell, x = nr.GRUCell(H, seed=1), inputs(B, T, I)
    for _ in range(2):
        outputs, final = nr.bidirectional_dynamic_rnn(cell, cell, x, LENGTHS)
        same([*outputs, *final], each_alone([cell, cell], x, LENGTHS, [None, None]))
        cell.set_weights([2 * array for array in cell.get_weights()])


@pytest.mark.cpu
def test_side_by_side(monkeypatch):
    """With threads to share, the library's own path for two directions is taken; the bits stay."""
    pair, x, pairs = (nr.LSTMCell(40, seed=1), nr.GRUCell(33, seed=2)), inputs(17, T, I), []
    expected = each_alone(pair, x, None, [None, None])
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(beside, "drive", _noting(beside.drive, pairs))
    for n_threads in (1, 2, 3, None):
        outputs, final = nr.bidirectional_dynamic_rnn(*pair, x, n_threads=n_threads)
        same([*outputs, *listed(final)], expected)
    assert issubclass(dynamic._Pair, Bidirectional)
    assert jit.DISABLED or not dispatch.may_launch() or 2 in map(len, pairs)


def _noting(function, notes):
    def noting(calls):
        notes.append(calls)
        return function(calls)

    return noting
