"""Stacks among the cells of TensorFlow 1's stacks."""

import pytest
from bits import same
from test_tf1_cells import LENGTHS, B, H, P, inputs, loop
from test_tf1_wrapped_stacks import kinds
from test_tf1_wrappers import Counting, flat, flow

from numbarnn import tf1


@pytest.mark.parametrize("is_tuple", [True, False])
@pytest.mark.parametrize("time_major", [False, True])
def test_stacks_in_a_stack(is_tuple, time_major):
    """The bits of the flat stack; states nested as the cells are."""
    a, b, c, d = flow(
        tf1.LSTMCell(H, num_proj=P, state_is_tuple=is_tuple), tf1.GRUCell(5), tf1.GRUCell(6), tf1.GRUCell(2)
    )

    def stack(*cells):
        return tf1.MultiRNNCell(list(cells), state_is_tuple=is_tuple)

    plain, nested, x = stack(a, b, c, d), stack(stack(a, b), stack(stack(c)), d), inputs()
    assert nested.cells == [a, b, c, d]
    if is_tuple:
        assert nested.state_size == ((tf1.LSTMStateTuple(H, P), 5), ((6,),), 2)
    else:
        assert nested.state_size == H + P + 5 + 6 + 2
    given = x.swapaxes(0, 1) if time_major else x
    ways = {"time_major": time_major}
    y, final = tf1.dynamic_rnn(plain, given, LENGTHS, **ways)
    outputs, state = tf1.dynamic_rnn(nested, given, LENGTHS, **ways)
    same([outputs, *flat(state)], [y, *flat(final)])
    again, last = tf1.dynamic_rnn(nested, given, initial_state=state, **ways)
    same([again, *flat(last)], flat(tf1.dynamic_rnn(plain, given, initial_state=final, **ways)))
    stepped, end = loop(nested, x, state)
    same([stepped.swapaxes(0, 1) if time_major else stepped, *flat(end)], [again, *flat(last)])
    for one in (state, nested.zero_state(B), end):
        if is_tuple:
            assert [len(one), len(one[0]), type(one[0][0]), type(one[1][0])] == [
                3, 2, tf1.LSTMStateTuple, tuple,
            ]  # fmt: skip
        else:
            assert one.shape == (B, nested.state_size)


def test_weights_of_stacks_in_a_stack():
    a, b, c = kinds("float32", 3)
    nested, arrays = tf1.MultiRNNCell([a, tf1.MultiRNNCell([b, c])]), []
    for cell in (a, b, c):
        arrays += cell.get_weights()
    same(nested.get_weights(), arrays)
    other = tf1.MultiRNNCell(
        [
            tf1.LSTMCell(H, num_proj=P),
            tf1.MultiRNNCell([tf1.GRUCell(5), tf1.LSTMBlockCell(6, use_peephole=True)]),
        ]
    )
    other.set_weights(arrays)
    x = inputs()
    same(flat(tf1.dynamic_rnn(other, x)), flat(tf1.dynamic_rnn(nested, x)))


@pytest.mark.cpu
def test_a_stack_in_a_stack_with_a_cell_written_in_python():
    """States have the same form; the loop in Python runs it."""
    (cell,) = flow(tf1.LSTMCell(H, num_proj=P))
    nested, x = tf1.MultiRNNCell([cell, tf1.MultiRNNCell([Counting(), Counting()])]), inputs()
    y, final = tf1.dynamic_rnn(nested, x, LENGTHS)
    outputs, state = tf1.dynamic_rnn(cell, x, LENGTHS)
    steps = LENGTHS[:, None].astype("f4")
    same([y, *flat(final)], [outputs, *state, steps, steps])
    assert [len(final), len(final[1])] == [2, 2] and type(final[0]) is tf1.LSTMStateTuple
