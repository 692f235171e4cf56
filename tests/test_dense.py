"""Dense layers on our kernels, and the layers that masks come from."""

import copy
import pickle

import longhand
import numpy as np
import oracle
import pytest
import tolerance
from bits import same

import numbarnn as nr
from numbarnn.dense import _plan
from numbarnn.kernels import plan
from numbarnn.kernels.activations import ACTIVATIONS

SIZES = [(1, 1, 1), (7, 5, 3), (239, 3, 17), (241, 17, 8), (1000, 9, 33), (481, 0, 4), (0, 6, 2)]


def dense_of(features, units, dtype, activation=None, **options):
    """A layer with random weights, and what they are."""
    rng = np.random.default_rng(features + 100 * units)
    layer = nr.Dense(units, activation, dtype=dtype, **options)
    weights = [rng.uniform(-1, 1, shape).astype(dtype) for shape in [(features, units), (units,)]]
    layer.set_weights(weights if layer.use_bias else weights[:1])
    return layer, weights


def random_rows(rows, features, dtype="float32"):
    return np.random.default_rng(rows).standard_normal((rows, features)).astype(dtype)


def softmaxed(z):
    return np.array([longhand.softmax(row) for row in z], z.dtype).reshape(z.shape)


def longhand_dense(x, weights, activation, use_bias=True):
    """Exact, and as the plain loop."""
    act = softmaxed if activation == "softmax" else oracle.ACTIVATIONS[activation]
    kernel, bias = weights
    bias = bias if use_bias else np.zeros_like(bias)
    wide = [array.astype(np.longdouble) for array in (x, kernel, bias)]
    loop = np.empty((len(x), len(bias)), x.dtype)
    for k, row in enumerate(x):
        loop[k] = oracle.ordered_sum(bias, (row, kernel))
    return act(wide[0] @ wide[1] + wide[2]), act(loop)


@pytest.mark.parametrize("activation", [None, "tanh", "sigmoid", "relu", "exponential"])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows, features, units", SIZES)
@pytest.mark.parametrize("use_bias", [True, False])
def test_equals_the_longhand(rows, features, units, dtype, activation, use_bias):
    layer, weights = dense_of(features, units, dtype, activation, use_bias=use_bias)
    x = random_rows(rows, features, dtype)
    exact, naive = longhand_dense(x, weights, activation, use_bias)
    tolerance.assert_close(layer(x), exact, naive, "dense")


@pytest.mark.cpu
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rows, features, units", SIZES)
def test_softmax_equals_the_longhand(rows, features, units, dtype):
    layer, weights = dense_of(features, units, dtype, "softmax")
    x = random_rows(rows, features, dtype)
    exact, naive = longhand_dense(x, weights, "softmax")
    tolerance.assert_close(layer(x), exact, naive, "softmax")


@pytest.mark.cpu
def test_softmax_of_extremes():
    """No overflow; of an infinity or a NaN it is NaN as in Keras, in that row alone."""
    layer = nr.Dense(3, "softmax", use_bias=False)
    layer.set_weights([np.eye(3, dtype=np.float32)])
    big, inf, nan = 3e38, np.inf, np.nan
    rows = [[big, -big, 0], [-big, -big, -big], [1, nan, 2], [0, 0, 0]]
    third = np.float32(1) / np.float32(3)
    expected = np.array([[1, 0, 0], [third] * 3, [nan] * 3, [third] * 3], np.float32)
    np.testing.assert_array_equal(layer(np.array(rows, np.float32)), expected)
    layer.set_weights([np.array([[inf, -inf, 1]] + [[0, 0, 0]] * 2, np.float32)])
    assert np.isnan(layer(np.array([[1, 0, 0], [0.5, 0, 0]], np.float32))).all()


@pytest.mark.parametrize("activation", [None, "tanh", pytest.param("softmax", marks=pytest.mark.cpu)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_row_does_not_depend_on_the_others(activation, dtype):
    """Alone, among fewer, in another order, with another number of threads, in other axes."""
    layer, _ = dense_of(13, 21, dtype, activation)
    x = random_rows(1203, 13, dtype)
    y, order = layer(x), np.random.default_rng(0).permutation(len(x))
    same([layer(x[order])], [y[order]])
    for begin, end in [(0, 1), (5, 8), (100, 341), (3, 1203)]:
        same([layer(x[begin:end])], [y[begin:end]])
    for n_threads in (1, 2):
        same([layer(x, n_threads=n_threads)], [y])
    same([layer(x.reshape(3, 401, 13))], [y.reshape(3, 401, 21)])
    same([layer(x[::2])], [y[::2]])
    same([layer(np.asfortranarray(x))], [y])
    x[1::2] = np.nan
    same([layer(x)[::2]], [y[::2]])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_every_activation_of_the_kernels(name):
    """As a recurrent layer without its recurrent product applies it."""
    layer, [kernel, bias] = dense_of(4, 3, "float32", name)
    cell = nr.SimpleRNN(3, name, return_sequences=True)
    cell.set_weights([kernel, np.zeros((3, 3), np.float32), bias])
    x = random_rows(40, 4)
    same([layer(x)], [cell(x[:, np.newaxis])[:, 0]])


def test_an_activation_of_ones_own():
    layer, weights = dense_of(4, 3, "float64", lambda a: a / (1.0 + abs(a)))
    z = nr.Dense(3, dtype="float64")
    z.set_weights(weights)
    x = random_rows(9, 4, "float64")
    same([layer(x)], [z(x) / (1.0 + abs(z(x)))])


@pytest.mark.cpu
@pytest.mark.parametrize("rows", [0, 1, 5, 240, 241, 1000])
def test_rows_are_the_steps_of_few_sequences(rows):
    """Every row once, in and out; and a plan is kept."""
    steps, kept = _plan(rows, None)
    assert kept and _plan(rows, None)[0] is steps
    assert len(steps.init_row) == min(rows, 240)
    assert len(steps.active) == -(-rows // 240)
    for numbers in (steps.x_row, steps.y_row):
        np.testing.assert_array_equal(np.sort(numbers), np.arange(rows))
    np.testing.assert_array_equal(steps.x_row, steps.y_row)
    assert isinstance(steps, plan.Plan) and not steps.zero_rows.size


def test_weights_of_a_dense_layer():
    layer = nr.Dense(5, seed=0)
    assert layer.get_weights() == [] and layer.input_size is None
    layer.build(4)
    kernel, bias = layer.get_weights()
    assert kernel.shape == (4, 5) and not bias.any() and not kernel.flags.writeable
    assert 0 < np.abs(kernel).max() <= np.sqrt(6 / 9)
    again = nr.Dense(5, seed=0)
    again(np.zeros((2, 4), np.float32))
    same(again.get_weights(), layer.get_weights())
    assert nr.Dense(5, use_bias=False, kernel_initializer="ones").compute_output_shape((None, 4)) == (None, 5)


@pytest.mark.parametrize("activation", ["tanh", pytest.param("softmax", marks=pytest.mark.cpu)])
def test_copies_have_the_same_bits(activation):
    layer, _ = dense_of(4, 3, "float32", activation)
    x = random_rows(9, 4)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        same([other(x)], [layer(x)])


def test_ragged_rows():
    layer, _ = dense_of(4, 3, "float32", "tanh")
    values = random_rows(6, 4)
    got = layer(nr.Ragged(values, [0, 4, 4, 6]))
    same([got.values, got.offsets], [layer(values), np.array([0, 4, 4, 6])])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_masking_as_in_keras_3(dtype):
    """NaN is a value, -0.0 is 0; masked steps become 0, others keep their bits."""
    x = np.array([[[np.nan, 0], [-0.0, 0.0], [0, -0.0], [-0.0, 2], [-3, 1]]], dtype)
    layer = nr.Masking()
    used = np.array([[True, False, False, True, True]])
    same([layer.compute_mask(x)], [used])
    got = layer(x)
    same([got[used]], [x[used]])
    same([got[~used]], [np.zeros((2, 2), dtype)])
    assert np.signbit(got[0, 3, 0]) and got is not x


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_masking_of_a_value(dtype):
    value = 3 if dtype == "int32" else 0.37
    x = np.array([[[value, value], [value, 1], [0, 0]]], dtype)
    layer = nr.Masking(value)
    same([layer.compute_mask(x, mask=np.zeros((1, 3), bool))], [np.array([[False, True, True]])])
    same([layer(x)], [np.array([[[0, 0], [value, 1], [0, 0]]], dtype)])


@pytest.mark.parametrize("ids", [
    [[1, 0, 4], [2, 2, 0]], 3, [], np.zeros((2, 0, 3), np.int8), np.array([[4, 1]], np.uint64),
    np.arange(5, dtype=np.int16)[::-2], np.ones((2, 1, 2, 1), np.uint8),
], ids=str)  # fmt: skip
def test_embedding_of_any_integers(ids):
    table = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    layer, numbers = nr.Embedding(5, 3, mask_zero=True, weights=table), np.asarray(ids, int)
    same([layer(ids)], [table[numbers]])
    same([np.asarray(layer.compute_mask(ids))], [np.asarray(numbers != 0)])
    assert nr.Embedding(5, 3, weights=[table]).compute_mask(ids) is None


def test_the_table_of_an_embedding():
    layer = nr.Embedding(50, 4, seed=0)
    assert layer.get_weights() == []
    layer([[1]])
    [table] = layer.get_weights()
    assert table.shape == (50, 4) and not table.flags.writeable
    assert 0.03 < np.abs(table).max() <= 0.05  # Keras' limits
    same(nr.Embedding(50, 4, weights=table.astype("f8")).get_weights(), [table])
    ones = nr.Embedding(2, 3, embeddings_initializer=lambda shape: np.ones(shape), dtype="float64")
    same([ones(1)], [np.ones(3)])
    layer.set_weights([np.zeros((50, 4))])
    assert not layer([7]).any()


class Cuda:
    """An array in the memory of a device."""

    shape = (2, 3)

    @property
    def __cuda_array_interface__(self):
        return {"data": (1, False), "shape": self.shape, "typestr": "<f4", "version": 3}


FLOATS = np.ones((2, 3), np.float32)
ERRORS = {
    "units": (ValueError, "units = 0", lambda: nr.Dense(0)),
    "activation": (ValueError, "activation = 'softmaxx'", lambda: nr.Dense(2, "softmaxx")),
    "device": (ValueError, "device = 'gpu'", lambda: nr.Dense(2, device="gpu")),
    "one axis": (ValueError, r"x\[None\] is one row", lambda: nr.Dense(2)(FLOATS[0])),
    "dtype": (TypeError, "x has dtype float64", lambda: nr.Dense(2)(FLOATS.astype("f8"))),
    "threads": (ValueError, "n_threads = 0", lambda: nr.Dense(2)(FLOATS, n_threads=0)),
    "stream": (ValueError, "stream = 0", lambda: nr.Dense(2)(FLOATS, stream=0)),
    "kernel": (ValueError, r"kernel has shape", lambda: nr.Dense(4).set_weights([FLOATS, FLOATS[0]])),
    "one weight": (ValueError, r"weights has 1 array", lambda: nr.Dense(3).set_weights([FLOATS])),
    "mask value": (TypeError, "mask_value = None", lambda: nr.Masking(None)),
    "no numbers": (TypeError, "x has dtype bool", lambda: nr.Masking()(FLOATS > 0)),
    "few axes": (ValueError, r"x has shape \(3,\)", lambda: nr.Masking()(FLOATS[0])),
    "device x": (nr.DeviceNotAvailable, "x lies on a CUDA device", lambda: nr.Masking()(Cuda())),
    "input_dim": (ValueError, "input_dim = 0", lambda: nr.Embedding(0, 1)),
    "initializer": (ValueError, "embeddings_initializer = 'x'", lambda: nr.Embedding(
        1, 1, embeddings_initializer="x")),
    "table": (ValueError, r"embeddings has shape \(2, 3\)", lambda: nr.Embedding(3, 2, weights=FLOATS)),
    "float ids": (TypeError, "ids has dtype float32", lambda: nr.Embedding(3, 2)(FLOATS)),
    "bool ids": (TypeError, "ids has dtype bool", lambda: nr.Embedding(3, 2)(FLOATS > 0)),
    "high id": (ValueError, r"ids\[1, 0\] = 3; expected from 0 to 2", lambda: nr.Embedding(3, 2)(
        [[0, 2], [3, 7]])),
    "negative id": (ValueError, r"ids\[0\] = -1", lambda: nr.Embedding(3, 2)([-1])),
    "one id": (ValueError, "ids = 3", lambda: nr.Embedding(3, 2)(3)),
    "masked id": (ValueError, "ids = 5", lambda: nr.Embedding(3, 2, mask_zero=True).compute_mask(5)),
    "device ids": (nr.DeviceNotAvailable, "ids lies on a CUDA device", lambda: nr.Embedding(3, 2)(Cuda())),
}  # fmt: skip


@pytest.mark.parametrize("error, message, call", ERRORS.values(), ids=ERRORS)
def test_errors_say_what_came(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_another_number_of_features():
    layer, _ = dense_of(4, 3, "float32")
    with pytest.raises(ValueError, match="3 features; expected 4"):
        layer(FLOATS)
