"""Dense layers and models on arrays of a CUDA device, in Numba's simulator."""

import numpy as np
import on_devices
import pytest
from bits import same
from foreign import Standard
from on_devices import of_kind, simulated, strided, unchanged

import numbarnn as nr

two = on_devices.two  # the fixture
pytestmark = [pytest.mark.cpu, simulated]  # they say themselves where they run

X = np.random.default_rng(0).standard_normal((3, 4, 5)).astype(np.float32)


def pair(activation="tanh", units=7):
    """A layer that runs where its inputs are, and the same one that sends everything to a device."""
    layer, sent = (nr.Dense(units, activation, seed=0, device=device) for device in ("auto", "cuda"))
    return layer, sent


def test_a_dense_layer_answers_in_kind(two):
    layer, sent = pair()
    before = layer(X)
    [got] = of_kind(unchanged(layer, Standard(X)))
    same([got, layer(X)], [sent(X), before])
    assert got.shape == (3, 4, 7)


def test_rows_do_not_depend_on_each_other(two):
    layer, sent = pair()
    y = sent(X)
    same([sent(X[1:2])], [y[1:2]])
    same([sent(X.reshape(12, 5)[::-1])], [y.reshape(12, 7)[::-1]])
    [got] = of_kind(unchanged(layer, Standard(X, 1), stream=7), Standard, 1)
    same([got], [y])


def test_a_model_of_recurrent_and_dense_layers(two):
    model, sent = (
        nr.Sequential(
            [
                nr.GRU(6, return_sequences=True, seed=0, device=device),
                nr.Dense(4, "relu", seed=1, device=device),
                nr.Bidirectional(nr.LSTM(3, seed=2, device=device)),
                nr.Dense(2, seed=3, device=device),
            ]
        )
        for device in ("auto", "cuda")
    )
    mask = np.arange(4) < np.array([[4], [0], [2]])
    expected = sent(X, mask=mask)
    same(of_kind(unchanged(model, Standard(X), mask=mask)), [expected])
    same([sent.predict(X, batch_size=2)], [sent(X)])


def test_time_steps_on_a_device(two):
    """Reshaped by their library."""

    class Shaped(Standard):
        def reshape(self, shape):
            return Shaped(self.host.reshape(shape), self.number)

    layer, sent = pair()
    got = nr.TimeDistributed(lambda x: Shaped(layer(x).host))(Shaped(X))
    same([got.host], [nr.TimeDistributed(sent)(X)])


def test_softmax(two):
    """An error of what goes into exp is a relative one of its result. Either side's is at most eps / 2 of the
    sum of absolute terms for each of 6 operations, and 2 eps of the largest value that is subtracted; exp,
    the sum of 7 and the division add at most 12 eps.
    """
    layer, sent = pair("softmax")
    expected, x = layer(X), 40 * X
    [got] = of_kind(unchanged(layer, Standard(X)))
    kernel, eps = np.abs(layer.get_weights()[0]), np.finfo(np.float32).eps
    for values, ours, theirs in ((X, got, expected), (x, sent(x), layer(x))):
        terms = (np.abs(values) @ kernel).max()
        limit = 2 * (2 * (3 + 2) * terms + 12) * eps
        np.testing.assert_allclose(ours, theirs, rtol=limit, atol=np.finfo(np.float32).tiny)
    same([sent(X), sent(X[1:2])], [got, got[1:2]])
    x[0, 0, 0], x[1, 1, 1] = np.nan, np.inf
    np.testing.assert_array_equal(np.isnan(sent(x)), np.isnan(layer(x)))


def test_embedding(two):
    layer, ids = nr.Embedding(9, 5, mask_zero=True, seed=0), np.array([[1, 8, 0], [0, 3, 2]])
    expected = layer(ids)
    for dtype in (np.int64, np.int32, np.uint8):
        [got] = of_kind(unchanged(layer, Standard(ids.astype(dtype))))
        same([got, layer.compute_mask(Standard(ids))], [expected, ids != 0])
    layer.set_weights([2 * layer.get_weights()[0]])
    [got] = of_kind([layer(Standard(ids))])
    same([got], [2 * expected])
    with pytest.raises(ValueError, match=r"ids\[1, 0\] = 9; expected from 0 to 8"):
        layer(Standard(np.array([[1, 2], [9, 0]])))
    assert layer(Standard(ids[:0])).host.shape == (0, 3, 5)


def test_masking(two):
    x = X.copy()
    x[0, 1], x[2] = 0.5, 0.5
    layer = nr.Masking(0.5)
    [got] = of_kind(unchanged(layer, Standard(x)))
    same([got, layer.compute_mask(Standard(x))], [layer(x), layer.compute_mask(x)])
    with pytest.raises(TypeError, match="expected a C-contiguous array: copy it"):
        layer(Standard(strided(x, (1, 2, 1))))
    model = nr.Sequential([layer, nr.GRU(4, seed=0)])
    [got] = of_kind([model(Standard(x))])
    same([got], [nr.Sequential([layer, nr.GRU(4, seed=0, device="cuda")])(x)])


def test_what_a_device_does_not_do(two):
    with pytest.raises(TypeError, match="C-contiguous: convert it there first"):
        pair()[0](Standard(strided(X, (1, 2, 1))))
    with pytest.raises(ValueError, match="device = 'cpu'"):
        nr.Dense(2, device="cpu")(Standard(X))
    with pytest.raises(TypeError, match="in host memory: copy"):
        nr.Sequential([nr.Dense(2)]).predict(Standard(X))
