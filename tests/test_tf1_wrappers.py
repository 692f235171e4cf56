"""Stacks, residual connections and dropout of TensorFlow 1: the cells inside, put together in NumPy."""

import numpy as np
import pytest
from bits import same
from test_tf1_cells import LENGTHS, B, H, I, P, T, draw, inputs, listed, loop, states

import numbarnn as nr
from numbarnn import tf1


def flow(*cells):
    """Cells with random weights, each of its own for the inputs of the one before."""
    features = I
    for k, cell in enumerate(cells):
        cell.set_weights(draw(cell.shapes(features).values(), cell.dtype, seed=10 + k))
        features = cell.output_size
    return list(cells)


def flat(state):
    return [array for part in state for array in flat(part)] if isinstance(state, list | tuple) else [state]


# Stacks


def cells_of_a_stack():
    return flow(tf1.LSTMCell(H, use_peepholes=True, num_proj=P), tf1.GRUCell(5), tf1.LSTMBlockCell(6))


@pytest.mark.parametrize("time_major", [False, True])
def test_a_stack_is_its_cells_one_after_the_other(time_major):
    cells, x = cells_of_a_stack(), inputs()
    state = tuple(states(cell, seed=20 + k)[1] for k, cell in enumerate(cells))
    y, final = x, []
    for cell, start in zip(cells, state, strict=True):
        y, end = tf1.dynamic_rnn(cell, y, LENGTHS, start)
        final.append(end)
    stack = tf1.MultiRNNCell(cells)
    given = x.swapaxes(0, 1) if time_major else x
    outputs, new = tf1.dynamic_rnn(stack, given, LENGTHS, state, time_major=time_major)
    same([outputs.swapaxes(0, 1) if time_major else outputs, *flat(new)], [y, *flat(final)])
    assert [type(part) for part in new] == [tf1.LSTMStateTuple, np.ndarray, tf1.LSTMStateTuple]
    assert stack.state_size == (tf1.LSTMStateTuple(H, P), 5, tf1.LSTMStateTuple(6, 6))


@pytest.mark.parametrize("is_tuple", [True, False])
def test_a_stack_step_by_step(is_tuple):
    """The bits of the sequence; the state a tuple, or one matrix."""
    cells = flow(tf1.LSTMCell(H, num_proj=P, state_is_tuple=is_tuple), tf1.GRUCell(5))
    stack, x = tf1.MultiRNNCell(cells, state_is_tuple=is_tuple), inputs()
    outputs, state = loop(stack, x, stack.zero_state(B))
    y, final = tf1.dynamic_rnn(stack, x)
    same([outputs, *flat(state)], [y, *flat(final)])
    assert is_tuple or (final.shape == (B, stack.state_size) and stack.state_size == H + P + 5)
    again, last = tf1.dynamic_rnn(stack, x, initial_state=final)
    expected, end = loop(stack, x, final)
    same([again, *flat(last)], [expected, *flat(end)])


class Counting:
    """Written in Python: its outputs are its inputs, its state the number of steps."""

    state_size, output_size = 1, P

    def call(self, inputs, states):
        return inputs, [states[0] + 1]


@pytest.mark.parametrize("is_tuple", [True, False])
@pytest.mark.cpu
def test_a_stack_with_a_cell_written_in_python(is_tuple):
    """States have the same form; the loop in Python runs it."""
    cells = flow(tf1.LSTMCell(H, num_proj=P, state_is_tuple=is_tuple))
    stack, x = tf1.MultiRNNCell([*cells, Counting()], state_is_tuple=is_tuple), inputs()
    y, final = tf1.dynamic_rnn(stack, x, LENGTHS)
    outputs, state = tf1.dynamic_rnn(cells[0], x, LENGTHS)
    steps = LENGTHS[:, None].astype("f4")
    expected = (state, steps) if is_tuple else np.concatenate([state, steps], axis=1)
    same([y, *flat(final)], [outputs, *flat(expected)])
    assert type(final) is type(expected) is type(stack.zero_state(B)) is type(stack(x[:, 0], final)[1])


def test_weights_of_a_stack():
    cells = cells_of_a_stack()
    stack = tf1.MultiRNNCell(cells)
    arrays = stack.get_weights()
    same(arrays, [array for cell in cells for array in cell.get_weights()])
    stack.set_weights([2 * array for array in arrays])
    same(stack.get_weights(), [2 * array for array in arrays])


@pytest.mark.parametrize("both", [False, True], ids=["stack", "two directions"])
def test_weights_before_the_first_call(both):
    """They tell the number of features; and none is taken where one does not fit."""

    def make():
        stack = tf1.MultiRNNCell([tf1.LSTMCell(H, num_proj=P), tf1.ResidualWrapper(tf1.GRUCell(P))])
        return nr.Bidirectional(nr.RNN(stack, True)) if both else stack

    made, other = make(), make()
    made.build(I)
    arrays = made.get_weights()
    with pytest.raises(ValueError, match=r"candidate/kernel has shape \(\d, 4\); expected \(8, 4\)"):
        other.set_weights([*arrays[:-2], arrays[-2][1:], arrays[-1]])
    assert other.get_weights() == []
    other.set_weights(arrays)
    same(other.get_weights(), arrays)
    assert other.input_size == I


def test_one_cell_twice_shares_its_weights():
    (cell,) = flow(tf1.BasicRNNCell(I))
    x = inputs()
    once, first = tf1.dynamic_rnn(cell, x)
    twice, second = tf1.dynamic_rnn(cell, once)
    y, final = tf1.dynamic_rnn(tf1.MultiRNNCell([cell, cell]), x)
    same([y, *final], [twice, first, second])


# Residual connections


@pytest.mark.parametrize("cell", [tf1.LSTMCell(I, num_proj=I, seed=1), tf1.GRUCell(I, seed=1)])
@pytest.mark.parametrize("function", [None, lambda given, output: output - 2.0 * given], ids=["sum", "own"])
def test_the_inputs_are_added_to_the_outputs(cell, function):
    """In one rounding; states are the cell's."""
    wrapped, x = tf1.ResidualWrapper(cell, function), inputs()
    y, final = tf1.dynamic_rnn(cell, x, LENGTHS)
    outputs, state = tf1.dynamic_rnn(wrapped, x, LENGTHS)
    valid = np.arange(T) < LENGTHS[:, None]
    expected = x + y if function is None else y - 2 * x
    same([outputs, *listed(state)], [np.where(valid[..., None], expected, 0), *listed(final)])
    stepped, last = loop(wrapped, x, wrapped.zero_state(B))
    again, final = tf1.dynamic_rnn(wrapped, x)
    same([stepped, *listed(last)], [again, *listed(final)])
    assert type(last) is type(cell.zero_state(1)) and wrapped.state_size == cell.state_size


def test_a_residual_connection_of_inputs_that_lie_anyhow():
    """Views, time-major, Ragged, backward and in pieces: the same bits."""
    wrapped = tf1.ResidualWrapper(tf1.GRUCell(I, seed=1))
    x = inputs()
    y, final = tf1.dynamic_rnn(wrapped, x, LENGTHS)
    padded = np.full((B, 2 * T, I + 2), np.nan, "f4")
    padded[:, ::2, 1:-1] = x
    same(tf1.dynamic_rnn(wrapped, padded[:, ::2, 1:-1], LENGTHS), [y, final])
    turned, state = tf1.dynamic_rnn(wrapped, x.swapaxes(0, 1), LENGTHS, time_major=True)
    same([turned.swapaxes(0, 1), state], [y, final])
    rows = nr.Ragged.from_rows([row[:n] for row, n in zip(x, LENGTHS, strict=True)])
    layer = nr.RNN(wrapped, return_sequences=True, return_state=True)
    ragged, state = layer(rows)
    same([ragged.to_padded(time=T), state], [y, final])
    kept = nr.RNN(wrapped, return_sequences=True, stateful=True)
    y, _ = tf1.dynamic_rnn(wrapped, x)
    same([np.concatenate([kept(x[:, :2]), kept(x[:, 2:])], axis=1)], [y])
    stepper = nr.RNN(wrapped).stepper(B)
    same([np.stack([stepper(x[:, t]) for t in range(T)], axis=1)], [y])


def test_residual_layers_in_a_stack():
    """As translation models have them: the first layer plain, the others with a residual connection."""
    cells = flow(tf1.LSTMCell(5), tf1.LSTMCell(5), tf1.LSTMCell(5))
    stack = tf1.MultiRNNCell([cells[0], *map(tf1.ResidualWrapper, cells[1:])])
    x = inputs()
    y, first = tf1.dynamic_rnn(cells[0], x)
    final = [first]
    for cell in cells[1:]:
        output, state = tf1.dynamic_rnn(cell, y)
        y, final = y + output, [*final, state]
    outputs, state = tf1.dynamic_rnn(stack, x)
    same([outputs, *flat(state)], [y, *flat(final)])
