"""TensorFlow 1's layers over whole sequences: the fused LSTM, and those of cuDNN by the equations that its
documentation prints.
"""

import copy
import pickle

import numpy as np
import oracle
import pytest
import tf1_longhand as longhand
from bits import same
from oracle import sigmoid
from test_tf1_cells import LENGTHS, B, H, I, T, draw, inputs, states
from tolerance import assert_close

import numbarnn as nr
from numbarnn import tf1, weights

# cuDNN's layers


def lstm(total, W, R, b, d, x, states):
    h, c = states
    i, f, g, o = (total(b[k] + d[k], (x, W[k].T), (h, R[k].T)) for k in range(4))  # the ids 0 to 3 and 4 to 7
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    h = sigmoid(o) * np.tanh(c)
    return h, [h, c]


def gru(total, W, R, b, d, x, states):
    [h] = states
    r, u = (sigmoid(total(b[k] + d[k], (x, W[k].T), (h, R[k].T))) for k in range(2))
    n = np.tanh(total(b[2], (x, W[2].T)) + r * total(d[2], (h, R[2].T)))
    h = (1.0 - u) * n + u * h
    return h, [h]


def simple(act):
    def step(total, W, R, b, d, x, states):
        h = act(total(b[0] + d[0], (x, W[0].T), (states[0], R[0].T)))
        return h, [h]

    return step


KINDS = {
    "lstm": (tf1.CudnnLSTM, lstm, 4, 2),
    "gru": (tf1.CudnnGRU, gru, 3, 1),
    "rnn_tanh": (tf1.CudnnRNNTanh, simple(np.tanh), 1, 1),
    "rnn_relu": (tf1.CudnnRNNRelu, simple(oracle.relu), 1, 1),
}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_direction = pytest.mark.parametrize("direction", ["unidirectional", "bidirectional"])


def expect(kind, layer, x, initial, lengths, dtype, naive=False):
    """Outputs (B, T, directions * H) and final states, from cuDNN's arrays; x is (B, T, I)."""
    _, step, gates, count = KINDS[kind]
    total = oracle.ordered_sum if naive else oracle.matrix_sum
    matrices, biases = ([np.asarray(a, dtype) for a in arrays] for arrays in layer.canonical_weights())
    y, final = np.asarray(x, dtype), [np.array(state, dtype) for state in initial]
    for k in range(layer.num_layers):
        outputs = []
        for d in range(layer.num_dirs):
            p = k * layer.num_dirs + d
            W = [np.eye(layer.num_units, dtype=dtype)] * gates
            if k or not layer.skips_input:
                W, matrices = matrices[:gates], matrices[gates:]
            R, matrices = matrices[:gates], matrices[gates:]
            (b, c), biases = (biases[:gates], biases[gates : 2 * gates]), biases[2 * gates :]
            output = np.zeros((B, T, layer.num_units), dtype)
            for row, n in enumerate(lengths):
                state = [final[s][p, row] for s in range(count)]
                for t in range(n)[:: -1 if d else 1]:
                    output[row, t], state = step(total, W, R, b, c, y[row, t], state)
                for s in range(count):
                    final[s][p, row] = state[s]
            outputs.append(output)
        y = np.concatenate(outputs, axis=2)
    return [y, *final]


def ready(kind, num_layers=2, direction="bidirectional", units=H, features=I, **options):
    """A layer with random weights."""
    layer = KINDS[kind][0](num_layers, units, direction=direction, **options)
    layer.build(features)
    layer.set_canonical_weights(
        draw(layer.canonical_weight_shapes, layer.dtype, 1), draw(layer.canonical_bias_shapes, layer.dtype, 2)
    )
    return layer


def random_states(layer):
    return tuple(draw(layer.state_shape(B), layer.dtype, seed=7))


@every_kind
@every_direction
@pytest.mark.parametrize("num_layers", [1, 3])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_equations(kind, direction, num_layers, dtype):
    """With lengths, from given states; and both forms of the axes, bit for bit."""
    layer, x = ready(kind, num_layers, direction, dtype=dtype), inputs(dtype)
    initial = random_states(layer)
    y, final = layer(x.swapaxes(0, 1), initial, LENGTHS)
    wide = np.float64 if dtype == "float32" else np.longdouble
    exact = expect(kind, layer, x, initial, LENGTHS, wide)
    naive = expect(kind, layer, x, initial, LENGTHS, np.dtype(dtype).type, naive=True)
    for k, triple in enumerate(zip([y.swapaxes(0, 1), *final], exact, naive, strict=True)):
        assert_close(*triple, f"result {k}")
    turned = tuple(state.swapaxes(0, 1) for state in initial)
    outputs, states = layer(x, turned, LENGTHS, time_major=False)
    same([outputs.swapaxes(0, 1), *(state.swapaxes(0, 1) for state in states)], [y, *final])
    assert type(states) is type(final) is tuple and len(final) == KINDS[kind][3]
    for state, start in zip(final, initial, strict=True):
        same([state[:, LENGTHS == 0]], [start[:, LENGTHS == 0]])


@every_kind
@every_direction
def test_without_states_and_lengths(kind, direction):
    """Zeros, and all steps; the last outputs are the states of the last layer."""
    layer, x = ready(kind, 2, direction), inputs().swapaxes(0, 1)
    y, final = layer(x)
    zeros = tuple(np.zeros(shape, "f4") for shape in layer.state_shape(B))
    outputs, states = layer(x, zeros, np.full(B, T))
    same([y, *final], [outputs, *states])
    same([y[-1, :, :H]], [final[0][-layer.num_dirs]])
    if direction == "bidirectional":
        same([y[0, :, H:]], [final[0][-1]])


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_the_compatible_cell_computes_the_same(kind):
    """Bit for bit, from the same weights in TensorFlow's form: biases summed, but for the candidate's."""
    layer, x = ready(kind, 1, "unidirectional"), inputs()
    matrices, biases = layer.canonical_weights()
    gates = KINDS[kind][2]
    (W, R), (b, d) = ((arrays[:gates], arrays[gates:]) for arrays in (matrices, biases))
    if kind == "lstm":
        cell, order = tf1.CudnnCompatibleLSTMCell(H), (0, 2, 1, 3)
        kernel = np.concatenate([np.concatenate([W[k], R[k]], axis=1) for k in order]).T
        cell.set_weights([kernel, np.concatenate([b[k] + d[k] for k in order])])
    else:
        cell = tf1.CudnnCompatibleGRUCell(H)
        kernel = np.concatenate([np.concatenate([W[k], R[k]], axis=1) for k in (0, 1)]).T
        cell.set_weights([kernel, np.concatenate([b[0] + d[0], b[1] + d[1]]), W[2].T, R[2].T, b[2], d[2]])
    y, final = layer(x, time_major=False)
    outputs, state = tf1.dynamic_rnn(cell, x)
    same([y, final[0][:, 0]], [outputs, state.h if kind == "lstm" else state])


def test_a_notebook_ends_with_these_layers():
    """Time-major, with the defaults."""
    x = inputs().swapaxes(0, 1)
    outputs, (h,) = tf1.CudnnGRU(1, H)(x)
    assert outputs.shape == (T, B, H) and h.shape == (1, B, H)
    same([outputs[-1]], [h[0]])
    outputs, (c, h) = tf1.LSTMBlockFusedCell(H)(x, dtype=np.float32)
    assert outputs.shape == (T, B, H) and c.shape == h.shape == (B, H)
    same([outputs[-1]], [h])


# Their weights


@every_kind
@every_direction
def test_shapes_and_first_weights(kind, direction):
    """Every matrix is drawn by itself; biases begin with 0."""
    make, _, gates, count = KINDS[kind]
    layer = make(2, 30, direction=direction, seed=3)
    D = layer.num_dirs
    assert (layer.rnn_mode, layer.direction, D) == (kind, direction, 1 + (direction == "bidirectional"))
    assert layer.state_shape(5) == ([2 * D, 5, 30],) * count
    assert layer.get_weights() == [] and layer.input_size is None
    layer.build(20)
    first, second = [[(30, 20)] * gates, [(30, 30)] * gates], [[(30, D * 30)] * gates, [(30, 30)] * gates]
    assert layer.canonical_weight_shapes == [s for group in first * D + second * D for s in group]
    matrices, biases = layer.canonical_weights()
    assert [array.shape for array in matrices] == layer.canonical_weight_shapes
    assert [array.shape for array in biases] == layer.canonical_bias_shapes == [(30,)] * (4 * D * gates)
    assert not any(array.any() for array in biases)
    for matrix in matrices:
        limit = np.sqrt(6 / sum(matrix.shape))
        assert 0.97 * limit < abs(matrix).max() <= np.float32(limit)
    again = make(2, 30, direction=direction, seed=3)
    again.build(20)
    same(again.get_weights(), layer.get_weights())


@every_kind
@every_direction
def test_the_opaque_kernel(kind, direction):
    """All matrices, then all biases, as given; the library's other way through the same layout."""
    layer = ready(kind, 3, direction)
    (opaque,) = layer.get_weights()
    arrays = [array for group in layer.canonical_weights() for array in group]
    same([opaque], [np.concatenate([array.ravel() for array in arrays])])
    assert not opaque.flags.writeable
    other, x = KINDS[kind][0](3, H, direction=direction), inputs()
    other.build(I)
    other.set_weights([opaque.astype("float64")])
    same(other.get_weights(), [opaque])
    y, _ = layer(x, time_major=False)
    same([other(x, time_major=False)[0]], [y])
    cell = kind if kind in ("lstm", "gru") else "simple_rnn"
    found = weights.from_cudnn_buffer(
        cell, opaque, I, H, layers=3, bidirectional=direction == "bidirectional"
    )
    for made, own in zip((w for pair in found for w in pair), layer._cells(), strict=True):
        same([made.kernel, made.recurrent_kernel, made.bias], own.get_weights())


def test_copies_and_pickles():
    layer, x = ready("lstm"), inputs()
    y, _ = layer(x, time_major=False)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        same([other(x, time_major=False)[0]], [y])
        same(other.get_weights(), layer.get_weights())


# Their dropout


def test_dropout_lies_between_the_layers():
    """Layers that give back their inputs: ones come out as 0 or 1 / (1 - dropout), and not in inference."""

    def passing(num_layers, seed=1):
        layer = tf1.CudnnRNNRelu(num_layers, 50, dropout=0.2, seed=seed)
        layer.build(50)
        matrices = [np.eye(50), np.zeros((50, 50))] * num_layers
        layer.set_canonical_weights(matrices, [np.zeros(50)] * (2 * num_layers))
        return layer

    x = np.ones((30, 20, 50), "f4")
    two = passing(2)
    y, (h,) = two(x)
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / 0.8)}
    assert abs(np.count_nonzero(y) - 0.8 * y.size) <= 5 * np.sqrt(y.size * 0.8 * 0.2)
    same([h[0], h[1]], [x[0], y[-1]])  # nothing is dropped before the first layer
    same([passing(2)(x)[0]], [y])
    assert (two(x)[0] != y).any() and (passing(2, seed=2)(x)[0] != y).any()
    same([two(x, training=False)[0], passing(1)(x)[0]], [x, x])
    y, _ = passing(3)(x)
    same([np.unique(y)], [np.array([0, np.float32(1 / 0.8) * np.float32(1 / 0.8)], "f4")])
    assert abs(np.count_nonzero(y) - 0.64 * y.size) <= 5 * np.sqrt(y.size * 0.64 * 0.36)


# The fused LSTM


@pytest.mark.parametrize("options", [{}, {"use_peephole": True, "cell_clip": 0.4, "forget_bias": 0.3}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_fused_lstm(options, dtype):
    layer, x = tf1.LSTMBlockFusedCell(H, dtype=dtype, **options), inputs(dtype)
    layer.set_weights(draw(layer.cell.shapes(I).values(), dtype))
    arrays, state = states(layer.cell)
    y, final = layer(x.swapaxes(0, 1), state, sequence_length=LENGTHS)
    plain = {name: value for name, value in options.items() if name != "use_peephole"}
    plain["peepholes"] = "ifo" if options else ""
    given = longhand.lstm, layer.get_weights(), x, arrays
    expected = longhand.both(dtype, *given, lengths=LENGTHS, **plain)
    for k, (got, (exact, naive)) in enumerate(zip([y.swapaxes(0, 1), *final], expected, strict=True)):
        assert_close(got, exact, naive, f"result {k}")
    outputs, last = tf1.dynamic_rnn(layer.cell, x, LENGTHS, state)
    same([y.swapaxes(0, 1), *final], [outputs, *last])
    assert type(final) is tf1.LSTMStateTuple and layer.num_units == H


def test_the_fused_lstm_takes_steps_in_a_list():
    """And gives them in one; what lies past a length reaches nothing."""
    layer, x = tf1.LSTMBlockFusedCell(H, seed=1), inputs().swapaxes(0, 1).copy()
    y, final = layer(x, dtype="float32", sequence_length=LENGTHS)
    for b, n in enumerate(LENGTHS):
        x[n:, b] = np.nan
    listed, state = layer(list(x), sequence_length=LENGTHS)
    assert type(listed) is list and len(listed) == T
    same([*listed, *state], [*y, *final])


# Refusals

LAYER = tf1.CudnnLSTM(1, H, seed=0)
LAYER.build(I)
X = np.ones((T, B, I), "f4")
FUSED = tf1.LSTMBlockFusedCell(H, seed=0)
REFUSALS = {
    "layers": (lambda: tf1.CudnnGRU(0, 4), ValueError, "num_layers = 0; expected an integer >= 1"),
    "mode": (
        lambda: tf1.CudnnGRU(1, 4, "skip"),
        ValueError,
        "input_mode = 'skip'; expected one of 'linear_in",
    ),
    "direction": (
        lambda: tf1.CudnnGRU(1, 4, direction="both"),
        ValueError,
        "direction = 'both'; expected one",
    ),
    "dropout": (lambda: tf1.CudnnGRU(1, 4, dropout=1.0), ValueError, "dropout = 1.0; expected a share"),
    "dtype": (lambda: tf1.CudnnGRU(1, 4, dtype="float16"), TypeError, "dtype = 'float16'; expected"),
    "skip": (
        lambda: tf1.CudnnGRU(1, 4, "skip_input").build(3),
        ValueError,
        "input_size = 3 and input_mode = 'skip_input'; expected 4",
    ),
    "size": (lambda: LAYER.build(I + 1), ValueError, f"input_size = {I + 1}; the layer has weights for {I}"),
    "features": (lambda: LAYER(X[..., 1:]), ValueError, rf"inputs has shape .*; expected .*{I}"),
    "axes": (lambda: LAYER(X[0]), ValueError, r"inputs has shape .*; expected \(time, batch, features\)"),
    "opaque": (
        lambda: LAYER.set_weights([np.ones(5)]),
        ValueError,
        r"opaque_kernel has shape \(5,\); expected",
    ),
    "unbuilt": (
        lambda: tf1.CudnnGRU(1, 4).set_weights([np.ones(5)]),
        ValueError,
        "the layer knows no input size yet",
    ),
    "matrices": (
        lambda: LAYER.set_canonical_weights([], LAYER.canonical_weights()[1]),
        ValueError,
        r"weights has 0 part\(s\); expected 8",
    ),
    "one state": (
        lambda: LAYER(X, (np.zeros((1, B, H), "f4"),)),
        ValueError,
        r"initial_state has 1 part\(s\); expected 2: \(h, c\)",
    ),
    "no tuple": (
        lambda: LAYER(X, np.zeros((1, B, H), "f4")),
        TypeError,
        "initial_state is of type ndarray; expected a tuple of 2",
    ),
    "state": (
        lambda: LAYER(X, (np.zeros((B, H), "f4"),) * 2),
        ValueError,
        rf"initial_state\[0\] \(h\) has shape \({B}, {H}\); expected \(1, {B}, {H}\)",
    ),
    "state, batch-major": (
        lambda: LAYER(X, (np.zeros((1, T, H), "f4"),) * 2, time_major=False),
        ValueError,
        rf"initial_state\[0\] \(h\) has shape \(1, {T}, {H}\); expected \({T}, 1, {H}\)",
    ),
    "length": (
        lambda: LAYER(X, sequence_lengths=[T + 1] * B),
        ValueError,
        r"sequence_lengths\[0\] = 7 exceeds",
    ),
    "ragged": (
        lambda: LAYER(nr.Ragged.from_rows([X[0]])),
        TypeError,
        "inputs is a Ragged; expected an array",
    ),
    "fused dtype": (lambda: FUSED(X, dtype="float64"), ValueError, "dtype = 'float64'; expected 'float32'"),
    "fused state": (
        lambda: FUSED(X, np.zeros((B, H), "f4")),
        TypeError,
        r"initial_state is of type ndarray; expected a tuple of 2: \(c, h\)",
    ),
    "fused axes": (
        lambda: FUSED(X[0]),
        ValueError,
        r"inputs has shape .*; expected \(time, batch",
    ),
    "fused length": (lambda: FUSED(X, sequence_length=[1] * T), ValueError, "sequence_length has shape"),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, error, message = REFUSALS[name]
    with pytest.raises(error, match=message):
        call()
