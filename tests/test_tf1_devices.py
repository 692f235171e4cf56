"""TensorFlow 1's cells and wrappers on arrays of a CUDA device, in Numba's simulator."""

import numpy as np
import on_devices
import pytest
from bits import same
from foreign import Standard
from on_devices import LENGTHS, B, I, T, host, of_kind, simulated, strided

import numbarnn as nr
from numbarnn import tf1

two = on_devices.two  # the fixture
pytestmark = [pytest.mark.cpu, simulated]  # they say themselves where they run
X = np.random.default_rng(0).standard_normal((B, T, I)).astype("f4")


def cell(kind, variational=False):
    inner = {
        "GRU": lambda: tf1.GRUCell(I, seed=1),
        "LSTM": lambda: tf1.LSTMCell(3, use_peepholes=True, num_proj=I, cell_clip=0.4, seed=1),
    }[kind]()
    dropped = tf1.DropoutWrapper(inner, 0.7, 0.6, 0.8, variational_recurrent=variational, seed=2)
    return tf1.ResidualWrapper(dropped)


def flat(state):
    return list(state) if isinstance(state, tuple) else [state]


@pytest.mark.parametrize("kind", ["GRU", "LSTM"])
@pytest.mark.parametrize("variational", [False, True])
def test_wrapped_cells(two, kind, variational):
    """What lies there stays there, views too: the results of the same arrays sent from the host."""
    for view in (X, strided(X, (-3, 2, 1))):
        sent = nr.RNN(cell(kind, variational), True, True, device="cuda")
        wanted = sent(np.ascontiguousarray(X), lengths=LENGTHS)
        y, state = tf1.dynamic_rnn(cell(kind, variational), Standard(view), LENGTHS)
        same(of_kind([y, *flat(state)]), wanted)


def stack():
    below, *cells = tf1.GRUCell(I, seed=3), tf1.LSTMCell(3, seed=4), tf1.GRUCell(I, seed=5)
    residual = tf1.ResidualWrapper(tf1.MultiRNNCell(cells))
    return tf1.MultiRNNCell([below, tf1.DropoutWrapper(residual, 0.7, 0.6, 0.8, seed=2)])


def test_wrapped_stacks(two):
    """As `test_wrapped_cells`; and a step, as the first of a sequence."""
    for view in (X, strided(X, (-3, 2, 1))):
        sent = nr.RNN(stack(), True, True, device="cuda")
        h, (c, h_1), h_2 = (wanted := sent(np.ascontiguousarray(X), lengths=LENGTHS))[1:]
        y, (a, (b, d)) = tf1.dynamic_rnn(stack(), Standard(view), LENGTHS)
        same(of_kind([y, a, *b, d]), [wanted[0], h, c, h_1, h_2])
    made = stack()
    zero, (pair, last) = made.zero_state(B)
    zeros = Standard(zero), (tf1.LSTMStateTuple(*map(Standard, pair)), Standard(last))
    output, (a, (b, d)) = made(Standard(X[:, 0].copy()), zeros)
    y, (h, (both, h_2)) = tf1.dynamic_rnn(stack(), Standard(X[:, :1].copy()))
    same(of_kind([output, a, *b, d]), [host([y])[0][:, 0], *host([h, *both, h_2])])


def test_a_step(two):
    """As the first of a sequence."""
    made, whole = cell("LSTM"), cell("LSTM")
    zeros = tf1.LSTMStateTuple(*map(Standard, made.zero_state(B)))
    output, state = made(Standard(X[:, 0].copy()), zeros)
    y, final = tf1.dynamic_rnn(whole, Standard(X[:, :1].copy()))
    assert type(state) is tf1.LSTMStateTuple
    same(of_kind([output, *state]), [host([y])[0][:, 0], *host(final)])


def test_what_runs_in_host_memory_only(two):
    joined = tf1.LSTMCell(3, state_is_tuple=False, seed=1)
    with pytest.raises(TypeError, match="state is of type Standard, and the cell has state_is_tuple=False"):
        joined(Standard(X[:, 0].copy()), Standard(joined.zero_state(B)))
    with pytest.raises(ValueError, match="which joins arrays in host memory only"):
        tf1.dynamic_rnn(joined, Standard(X))
    with pytest.raises(ValueError, match="inputs lies on a CUDA device; expected an array in host memory"):
        tf1.CudnnGRU(1, 3)(Standard(X))
