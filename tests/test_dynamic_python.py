"""`dynamic_rnn` and `bidirectional_dynamic_rnn` over cells written in Python, with nests of any kind."""

import numpy as np
import pytest
from bits import same
from directions import LENGTHS, B, H, I, T, inputs
from models import every_model
from test_dynamic import every_axis, every_length, listed, rows_of, swapped
from written_cells import Nested, Wrapped, batch

import numbarnn as nr
from numbarnn import nests

pytestmark = pytest.mark.cpu  # where cells written in Python run


def taken(nest, *places):
    """The same part of every leaf."""
    return nests.map_structure(lambda leaf: leaf[places], nest)


def step_by_step(cell, x, state):
    """The rule in its plainest form, for rows without padding: the outputs step by step, and the state."""
    outputs = []
    for t in range(nests.flatten(x)[0].shape[1]):
        output, new = cell.call(taken(x, slice(None), t), state)
        state = nests.pack_as(state, nests.flatten(new))
        outputs.append(output)
    return outputs, state


@every_axis
@pytest.mark.parametrize("back", [False, True])
def test_nested_inputs_outputs_and_states(time_major, back):
    """A dict in, a named tuple of states, a tuple out: each row is that row alone, and zeros."""
    rng, lengths, cell = np.random.default_rng(4), np.array([0, 6, 3, 1, 4]), Nested()
    x, past = batch(rng), np.arange(6) >= lengths[:, None]
    for leaf in x.values():
        leaf[past] = np.nan
    constants = cell.get_initial_state(5)
    start = nests.map_structure(lambda a: rng.standard_normal(a.shape).astype(a.dtype), constants)
    given = nests.map_structure(lambda leaf: swapped(leaf, time_major), x)
    if back:
        (_, y), (_, state) = nr.bidirectional_dynamic_rnn(
            cell, cell, given, lengths, initial_state_bw=start, time_major=time_major
        )
    else:
        y, state = nr.dynamic_rnn(cell, given, lengths, start, time_major=time_major)
    assert type(state) is type(start) and type(y) is tuple and list(y[1]) == ["grid", "count"]
    y = nests.map_structure(lambda leaf: swapped(leaf, time_major), y)
    assert not any(leaf[past].any() for leaf in listed(y))
    for b, n in enumerate(lengths):
        row, times = slice(b, b + 1), slice(None, None, -1 if back else 1)
        valid = taken(taken(x, row, slice(n)), slice(None), times)
        outputs, final = step_by_step(cell, valid, taken(start, row))
        same(listed(taken(state, row)), listed(final))
        for t, output in enumerate(outputs[times]):
            same(listed(taken(y, row, t)), listed(output))


class Product:
    """Inputs in a tuple; one state, whose size is a number."""

    state_size = output_size = I

    def call(self, inputs, states):
        a, b = inputs
        new = states[0] + a * b
        return new, [new]


@every_length
def test_inputs_in_a_tuple(lengths):
    pair = inputs(B, T, I), inputs(B, T, I, seed=8)
    y, state = nr.dynamic_rnn(Product(), pair, lengths)
    same([state], nr.RNN(Product(), return_state=True)(pair, lengths=lengths)[1:])
    assert type(state) is np.ndarray
    start = inputs(B, I, seed=3)
    same([nr.dynamic_rnn(Product(), pair, lengths, start)[1]],
         [nr.dynamic_rnn(Product(), pair, lengths, [start])[1]])  # fmt: skip
    y, state = nr.dynamic_rnn(Product(), tuple(leaf[:, :0] for leaf in pair), initial_state=start)
    assert y.shape == (B, 0, I)
    same([state], [start])


class Scaled:
    """Its first state is made of its weights, so that these come first."""

    state_size = output_size = I

    def build(self, input_shape):
        self.scale = np.full(input_shape[-1], 0.5, np.float32)

    def get_initial_state(self, batch_size):
        return np.tile(self.scale, (batch_size, 1))

    def call(self, inputs, states):
        new = self.scale * (states[0] + inputs)
        return new, [new]


def test_weights_come_before_states():
    x, start = inputs(B, T, I), inputs(B, I, seed=3)
    for given in (x, rows_of(x)):
        for lengths in (None, LENGTHS)[: 1 + (given is x)]:
            y, state = nr.dynamic_rnn(Scaled(), given, lengths, start)
            expected = nr.RNN(Scaled(), return_sequences=True, return_state=True)(
                given, start, lengths=lengths
            )
            values = [getattr(one, "values", one) for one in (y, state, *expected)]
            same(values[:2], values[2:])


class Called(Wrapped):
    """A fused cell called from Python, from its own constants."""

    def get_initial_state(self, batch_size):
        return self.cell.get_initial_state(batch_size)


@every_model
@every_length
def test_a_fused_cell_called_from_python(model, lengths):
    """The loop in Python gives the bits of the kernels: alone, backward, in a stack, beside a fused one."""
    layer, x, initial = model.batch(B, T, I, H)
    cell, wrapped = layer.cell, Called(layer.cell)
    gru, upper = nr.GRUCell(3, seed=2), nr.GRUCell(3, seed=3)
    y, state = nr.dynamic_rnn(cell, x, lengths, initial)
    same(listed(nr.dynamic_rnn(wrapped, x, lengths, initial)), [y, *listed(state)])
    same(
        listed(nr.dynamic_rnn([wrapped, upper], x, lengths)),
        listed(nr.dynamic_rnn([cell, upper], x, lengths)),
    )
    starts = {"initial_state_bw": initial}
    expected = listed(nr.bidirectional_dynamic_rnn(gru, cell, x, lengths, **starts))
    same(listed(nr.bidirectional_dynamic_rnn(gru, wrapped, x, lengths, **starts)), expected)
    expected = listed(nr.bidirectional_dynamic_rnn(cell, gru, x, lengths, initial))
    same(listed(nr.bidirectional_dynamic_rnn(wrapped, gru, x, lengths, initial)), expected)


def test_ragged_for_a_cell_written_in_python():
    cell, x = nr.LSTMCell(H, seed=1), rows_of(inputs(B, T, I))
    start = [inputs(B, H, seed=8), inputs(B, H, seed=9)]
    for initial in (None, start):
        expected, state = nr.dynamic_rnn(cell, x, initial_state=initial)
        y, final = nr.dynamic_rnn(Wrapped(cell), x, initial_state=initial)
        same([y.values, *final], [expected.values, *state])
    (_, expected), (_, state) = nr.bidirectional_dynamic_rnn(cell, cell, x)
    (_, y), (_, final) = nr.bidirectional_dynamic_rnn(cell, Wrapped(cell), x)
    same([y.values, *final], [expected.values, *state])
