"""Layers and cells as objects: what they are made of, what they take, and what they return."""

from collections import namedtuple
from functools import partial
from itertools import combinations

import numpy as np
import oracle
import pytest
from tolerance import assert_close

import numbarnn as nr
from numbarnn.kernels import jit

B, T, I, H = 3, 5, 4, 6  # noqa: E741
BEFORE = {"reset_after": False}
KINDS = {"lstm": nr.LSTM, "gru": nr.GRU, "gru_before": partial(nr.GRU, **BEFORE), "simple": nr.SimpleRNN}
GATES = {"lstm": 4, "gru": 3, "gru_before": 3, "simple": 1}
every_kind = pytest.mark.parametrize("kind", KINDS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
both = partial(pytest.mark.parametrize, argvalues=[False, True])


def inputs(dtype="float32", shape=(B, T, I)):
    return np.random.default_rng(1).standard_normal(shape).astype(dtype)


def random_weights(layer, input_size, seed=2):
    """A built layer with weights that are all different from each other."""
    layer.build(input_size)
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.uniform(-0.5, 0.5, array.shape) for array in layer.get_weights()])
    return layer


def same_bits(got, expected):
    got, expected = (value if isinstance(value, list | tuple) else [value] for value in (got, expected))
    assert [array.dtype for array in got] == [array.dtype for array in expected]
    assert [array.tobytes() for array in got] == [array.tobytes() for array in expected]


# Results


@every_kind
@both("return_sequences")
@both("return_state")
@both("time_major")
@both("given_out")
def test_structure_of_results(kind, return_sequences, return_state, time_major, given_out):
    """`y`, or `(y, *states)`; with `out` the very objects that were passed, whatever they held."""
    flags = {"return_sequences": return_sequences, "return_state": return_state, "time_major": time_major}
    layer = random_weights(KINDS[kind](H, **flags), I)
    x = inputs(shape=(T, B, I) if time_major else (B, T, I))
    shapes = [(*x.shape[:2], H) if return_sequences else (B, H)]
    shapes += [(B, H)] * ((2 if kind == "lstm" else 1) if return_state else 0)
    expected = result = layer(x, lengths=[T, 0, 2])
    if given_out:
        arrays = tuple(np.full(shape, np.nan, np.float32) for shape in shapes)
        result = layer(x, lengths=[T, 0, 2], out=arrays if return_state else arrays[0])
        assert all(a is b for a, b in zip(result if return_state else [result], arrays, strict=True))
    assert type(result) is (tuple if return_state else np.ndarray)
    assert [array.shape for array in (result if return_state else [result])] == shapes
    same_bits(result, expected)


@pytest.mark.parametrize("source", [*"?bBhHiIlLqQefdgFDO", ">f4", ">f8", ">i2"])
@every_dtype
def test_what_converts_without_loss_is_converted(source, dtype):
    """Just what NumPy calls a safe cast, and never a bool, for inputs and states."""
    layer = random_weights(nr.GRU(H, dtype=dtype), I)
    x, h = (np.arange(np.prod(shape)).reshape(shape).astype(source) for shape in ((B, T, I), (B, H)))
    if source != "?" and np.can_cast(source, dtype, "safe"):
        same_bits(layer(x, h), layer(x.astype(dtype), h.astype(dtype)))
    else:
        for arguments in ((x,), (inputs(dtype), h)):
            with pytest.raises(TypeError, match=r"expected float|\.astype"):
                layer(*arguments)


@every_kind
def test_training_and_unroll_change_nothing(kind):
    x, plain = inputs(), random_weights(KINDS[kind](H), I)
    same_bits(plain(x, training=True), plain(x))
    same_bits(random_weights(KINDS[kind](H, unroll=True), I)(x), plain(x))


@pytest.mark.parametrize("name", ["relu", "sigmoid", "tanh", "linear", "exponential", None])
def test_activations_by_name_and_as_functions(name):
    function = {"exponential": nr.math.exp, None: nr.math.linear}.get(name) or getattr(nr.math, name)
    layers = [nr.LSTM(H, activation=a, recurrent_activation=a) for a in (name, function)]
    same_bits(*(random_weights(layer, I)(inputs() / 4) for layer in layers))


def softsign(a):
    return a / (1.0 + abs(a))


def test_an_activation_of_the_users_own():
    x, layer = inputs(), random_weights(nr.GRU(H, activation=softsign), I)
    options = {"activation": softsign, "return_sequences": False}
    exact, _ = oracle.run("gru", layer.get_weights(), x, **options)
    naive, _ = oracle.run("gru", layer.get_weights(), x, dtype=np.float32, naive=True, **options)
    assert_close(layer(x), exact, naive)


@every_kind
@both("converted")
def test_nothing_given_is_written_and_nothing_returned_is_shared(kind, converted):
    """By layers on arrays and on Ragged, by cells and by steppers; two results never share memory either."""
    layer = random_weights(KINDS[kind](H, return_sequences=True, return_state=True), I)
    x, h = inputs(), inputs(shape=(B, H))
    if converted:
        x, h = np.asfortranarray(x.astype(np.float16)), h[::-1]
    states, lengths, resets = (
        [h] * len(layer.cell.definition.states),
        np.array([T, 0, 2]),
        np.ones((B, T), bool),
    )
    ragged, stepper, x_t = nr.Ragged(x.reshape(-1, I), [0, T, T, B * T]), layer.stepper(B), x[:, 0]
    given = [x, h, lengths, resets, ragged.values, ragged.offsets, *layer.get_weights()]
    before = [array.tobytes() for array in given]
    results = []
    for _ in range(3):  # a stepper has two places for its states
        results += layer(x, states, lengths=lengths, resets=resets)
        y, *final = layer(ragged, states)
        output, moved = layer.cell(x_t, states)
        results += [y.values, *final, output, *moved, stepper(x_t), *stepper.states]
    assert [array.tobytes() for array in given] == before
    for one, other in combinations([*results, *given[:4], *given[6:]], 2):
        assert not np.shares_memory(one, other)


# Weights


@every_kind
@every_dtype
@both("use_bias")
def test_weights(kind, dtype, use_bias):
    """Shapes in Keras' layout; arrays that cannot be written, and copies of what was set, rounded once."""
    layer, G = KINDS[kind](H, dtype=dtype, use_bias=use_bias), GATES[kind]
    assert layer.get_weights() == []
    layer.build(I)
    shapes = [(I, G * H), (H, G * H), (2, G * H) if kind == "gru" else (G * H,)][: 2 + use_bias]
    assert [array.shape for array in layer.get_weights()] == shapes
    given = [np.random.default_rng(3).standard_normal(shape) for shape in shapes]
    layer.set_weights(given)
    expected = [array.astype(dtype) for array in given]
    for array in given:
        array[...] = np.nan
    same_bits(layer.get_weights(), expected)
    for array in layer.get_weights():
        assert not array.flags.writeable
        with pytest.raises(ValueError, match="read-only"):
            array[...] = 0
    unbuilt = KINDS[kind](H, dtype=dtype, use_bias=use_bias)
    unbuilt.set_weights(tuple(np.asfortranarray(array) for array in expected))
    same_bits(unbuilt.get_weights(), expected)
    same_bits(unbuilt(inputs(dtype)), layer(inputs(dtype)))


@every_kind
def test_without_bias_is_with_a_bias_of_zero(kind):
    without = random_weights(KINDS[kind](H, use_bias=False), I)
    zero = KINDS[kind](H, bias_initializer="zeros", **({"unit_forget_bias": False} if kind == "lstm" else {}))
    zero.build(I)
    zero.set_weights([*without.get_weights(), zero.get_weights()[2]])
    same_bits(without(inputs()), zero(inputs()))


@every_kind
def test_seeds(kind):
    """The same seed draws the same weights, none draws anew; building again changes nothing."""
    first, again, other, *unseeded = (KINDS[kind](H, seed=seed) for seed in (7, 7, 8, None, None))
    for layer in (first, again, other, *unseeded):
        layer.build(I)
        before = layer.get_weights()
        layer.build(I)
        same_bits(layer.get_weights(), before)
    same_bits(first.get_weights(), again.get_weights())
    for a, b in ((first, other), unseeded):
        assert all((u != v).any() for u, v in zip(a.get_weights()[:2], b.get_weights()[:2], strict=True))
    with pytest.raises(ValueError, match=r"input_size = 5.*4 features"):
        first.build(I + 1)


@every_dtype
def test_initializers(dtype):
    """Glorot and Bengio 2010: uniform within sqrt(6 / (fan in + fan out)). Saxe et al. 2013: orthonormal."""
    layer = nr.LSTM(40, seed=0, dtype=dtype)
    layer.build(60)
    kernel, recurrent, bias = layer.get_weights()
    limit = np.sqrt(6 / (60 + 160))
    assert abs(kernel).max() <= limit * (1 + np.finfo(dtype).eps) and abs(kernel).max() > 0.99 * limit
    # A uniform number within 1 has variance 1/3, its square 4/45; means of many lie within five deviations.
    assert abs(np.mean(kernel / limit)) < 5 * np.sqrt(1 / 3 / kernel.size)
    assert abs(np.mean((kernel / limit) ** 2) - 1 / 3) < 5 * np.sqrt(4 / 45 / kernel.size)
    rows = recurrent.astype(np.float64)
    assert abs(rows @ rows.T - np.eye(40)).max() < 4 * 160 * np.finfo(dtype).eps
    np.testing.assert_array_equal(bias, np.repeat([0.0, 1.0, 0.0, 0.0], 40))
    plain = nr.LSTM(H, unit_forget_bias=False, recurrent_initializer="ones", dtype=dtype)
    plain.build(I)
    assert set(plain.get_weights()[1].ravel()) == {1.0} and set(plain.get_weights()[2]) == {0.0}
    tall = nr.SimpleRNN(H, kernel_initializer="orthogonal", seed=0, dtype=dtype)
    tall.build(9)
    columns = tall.get_weights()[0].astype(np.float64)
    assert abs(columns.T @ columns - np.eye(H)).max() < 4 * 9 * np.finfo(dtype).eps


def test_an_initializer_of_the_users_own():
    """It gets the shape; what it returns is copied, also where the forget gate's ones come on top."""
    given = np.arange(4.0 * H)
    layer = nr.LSTM(H, kernel_initializer=np.ones, bias_initializer=lambda shape: given.reshape(shape))
    layer.build(I)
    np.testing.assert_array_equal(given, np.arange(4.0 * H))
    kernel, _, bias = layer.get_weights()
    assert kernel.shape == (I, 4 * H) and (kernel == 1).all()
    np.testing.assert_array_equal(bias, np.where(np.arange(4 * H) // H == 1, 1.0, given))


# Names and masks


def test_names():
    layer = nr.GRU(H, name="encoder")
    assert layer.name == "encoder" and nr.GRU(H).name == "gru" and nr.SimpleRNN(H).name == "simplernn"
    for part in ("GRU", "encoder", str(H), "float32"):
        assert part in repr(layer)
    assert "lstm" in repr(nr.LSTMCell(H)) and str(H) in repr(nr.LSTMCell(H))
    assert layer.units == H and layer.dtype == np.float32


def test_masks_are_handed_on_with_sequences():
    mask = np.ones((B, T), bool)
    assert nr.LSTM(H).supports_masking
    assert nr.LSTM(H, return_sequences=True).compute_mask(inputs(), mask) is mask
    assert nr.LSTM(H).compute_mask(inputs(), mask) is None
    assert nr.LSTM(H, return_sequences=True).compute_mask(inputs()) is None


# Cells


@every_kind
@every_dtype
def test_rnn_of_a_cell_is_the_layer(kind, dtype):
    flags = {"return_sequences": True, "return_state": True, "go_backwards": True}
    layer = random_weights(KINDS[kind](H, dtype=dtype, **flags), I)
    make = {"lstm": nr.LSTMCell, "gru": nr.GRUCell, "gru_before": partial(nr.GRUCell, **BEFORE)}
    cell = make.get(kind, nr.SimpleRNNCell)(H, dtype=dtype)
    cell.build(I)
    cell.set_weights(layer.get_weights())
    same_bits(nr.RNN(cell, **flags)(inputs(dtype)), layer(inputs(dtype)))


class States(list):
    """A caller's own list."""


@every_kind
def test_cells_step_as_layers_do(kind):
    """Step by step through the cell: the layer's bits, in the structure in which the states came."""
    layer = random_weights(KINDS[kind](H, return_sequences=True, return_state=True), I)
    x, cell = inputs(), layer.cell
    states = cell.get_initial_state(B)
    y, *final = layer(x)
    for t in range(T):
        output, states = cell(x[:, t], states)
        assert type(states) is list
        same_bits(output, y[:, t].copy())
    same_bits(states, final)
    for structure in (tuple, States):
        assert type(cell(x[:, 0], structure(states))[1]) is structure
    if len(states) == 1:
        same_bits(cell(x[:, 0], states[0])[1], cell(x[:, 0], states)[1][0])
    same_bits(cell(x[:, 0], states, training=True)[0], cell(x[:, 0], states)[0])
    assert cell.state_size == ([H, H] if kind == "lstm" else H) and cell.output_size == H


@every_dtype
def test_initial_states(dtype):
    """The constants that the definition declares."""
    states = nr.LSTMCell(H, dtype=dtype).get_initial_state(B)
    assert type(states) is list
    same_bits(states, [np.zeros((B, H), dtype)] * 2)
    assert nr.GRUCell(H, dtype=dtype).get_initial_state(0, "float64")[0].dtype == np.float64
    kept = nr.cell("kept", states="h=0.5 m=-1.0", phases=[nr.phase("a:x+h", lambda a, m: (a, m))])
    cell = nr.FusedCell(kept, H, dtype=dtype)
    same_bits(cell.get_initial_state(B), [np.full((B, H), value, dtype) for value in (0.5, -1.0)])
    same_bits(nr.RNN(cell, return_state=True)(inputs(dtype))[2], np.full((B, H), -1.0, dtype))


def test_a_named_tuple_of_states_stays_one():
    Memory = namedtuple("Memory", "h c")
    cell = nr.LSTMCell(H)
    assert type(cell(inputs(shape=(B, I)), Memory(*cell.get_initial_state(B)))[1]) is Memory


# The decision that is executed


@pytest.mark.cpu
@both("return_sequences")
def test_explain(return_sequences):
    """It counts what the plan says and, measured, what ran; no state changes, nothing else is needed."""
    layer = nr.GRU(H, return_sequences=return_sequences, stateful=True)
    x, lengths = inputs(), [T, 0, 2]
    decision = layer.explain(x, lengths=lengths)
    assert (decision.steps, decision.segments, decision.valid_steps) == (T, 2, T + 2)
    assert decision.device == "cpu" and decision.threads >= 1 and repr(decision.schedule) in str(decision)
    assert decision.seconds is decision.evaluations is decision.tiles is None
    assert decision.predicted_seconds > 0 and layer.states is None
    measured = layer.explain(x, lengths=lengths, measure=True)
    assert measured.evaluations == T + 2 and measured.seconds > 0
    if not jit.DISABLED:
        assert sum(rows * count for (rows, _), count in measured.tiles.items()) >= T + 2
    assert layer.states is None
    for number in (decision.segments, decision.steps, decision.valid_steps, decision.workspace_bytes):
        assert str(number) in str(decision)
    assert "measured" in str(measured) and "measured" not in str(decision)
    resets = np.zeros((B, T), bool)
    resets[:, 2] = True
    assert layer.explain(x, resets=resets).segments == 2 * B
    assert layer.explain(x[:, :0]).valid_steps == layer.explain(x[:0]).valid_steps == 0
