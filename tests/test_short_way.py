"""The short way of a call on an array: the bits, arrays and refusals of the long one."""

import numpy as np
import pytest
from bits import same
from models import MODELS, every_model

import numbarnn as nr
from numbarnn import recurrent, rnn
from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set: there is one way")
I, H = 3, 21  # noqa: E741
OPTIONS = [
    {},
    {"return_sequences": True},
    {"go_backwards": True, "return_sequences": True},
    {"time_major": True},
]


@pytest.fixture
def ways(monkeypatch):
    """`ways(call)`: what a call gives by the long way, and by the short one, which it must take."""

    def both(call):
        with monkeypatch.context() as patch:
            patch.setattr(rnn.RNN, "_shorter", recurrent.Recurrent._shorter)
            long = call()
        with monkeypatch.context() as patch:
            patch.delattr(recurrent, "Batch")
            return long, call()

    return both


@every_model
@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_both_ways(model, options, dtype, ways):
    """On different shapes in turn, with one thread and as many as there are, with and without `out`."""
    layer = model.make(I, H, dtype=dtype, **options)
    rng = np.random.default_rng(0)
    batches = [rng.standard_normal((*shape, I)).astype(dtype) for shape in ((4, 7), (1, 1), (7, 4), (4, 7))]
    for x in batches:
        for threads in (None, 1, 2):
            long, short = ways(lambda x=x, threads=threads: layer(x, n_threads=threads))
            same(short, long)
            out = np.full_like(long, np.nan)
            given = ways(lambda x=x, out=out, threads=threads: layer(x, out=out, n_threads=threads))
            assert given[1] is out
            same(out, long)


GIVEN = {
    "lengths": {"lengths": np.array([6, 0, 7, 1])},
    "mask": {"mask": np.random.default_rng(1).random((4, 7)) < 0.6},
    "resets": {"resets": np.random.default_rng(2).random((4, 7)) < 0.3},
    "lengths and resets": {"lengths": [7, 2, 3, 0], "resets": np.eye(4, 7, 2, bool)},
    "mask and resets": {"mask": np.eye(4, 7, dtype=bool), "resets": np.eye(4, 7, 1, bool)},
}


@every_model
@pytest.mark.parametrize("options", [*OPTIONS, {"zero_output_for_mask": True}], ids=str)
def test_both_ways_of_described_steps(model, options, ways):
    layer = model.make(I, H, **options)
    x = np.random.default_rng(0).standard_normal((4, 7, I), dtype=np.float32)
    swap = options.get("time_major", False)
    x = np.ascontiguousarray(x.swapaxes(0, 1)) if swap else x
    for given in GIVEN.values():
        told = {name: value.T if swap and name != "lengths" else value for name, value in given.items()}
        for threads in (None, 2):
            long, short = ways(lambda told=told, threads=threads: layer(x, **told, n_threads=threads))
            same(short, long)


def test_new_weights():
    layer, x = nr.LSTM(H, seed=0), np.ones((2, 3, I), np.float32)
    layer(x), layer(x)
    weights = [np.negative(array) for array in layer.get_weights()]
    layer.set_weights(weights)
    other = nr.LSTM(H, seed=1)
    other.build(I)
    other.set_weights(weights)
    same(layer(x), other(x, lengths=[3, 3]))


def test_refusals_are_those_of_the_long_way(monkeypatch):
    """The same error with the same words, whichever way is tried first."""
    layer, x = nr.GRU(H, return_sequences=True, seed=0), np.ones((2, 3, I), np.float32)
    y = layer(x)
    calls = [
        lambda: layer(x[..., :2].copy()),
        lambda: layer(x.astype(np.int64)),
        lambda: layer(x[0]),
        lambda: layer(x, out=y[:1].copy()),
        lambda: layer(x, out=y.astype(np.float64)),
        lambda: layer(x, out=np.broadcast_to(y[:1], y.shape)),
        lambda: layer(x, out=x[..., :0]),
        lambda: layer(x, out=[y]),
        lambda: layer(x, training=1),
        lambda: layer(x, n_threads=0),
        lambda: layer(x, lengths=[3, 4]),
        lambda: layer(x, lengths=[3, -1]),
        lambda: layer(x, lengths=[3]),
        lambda: layer(x, lengths=[3, 3], mask=np.ones((2, 3), bool)),
        lambda: layer(x, mask=np.ones((3, 2), bool)),
        lambda: layer(x, resets=np.ones((2, 3))),
        lambda: layer(x, lengths=[3, 4], out=y[:1].copy()),
    ]
    square = nr.GRU(I, return_sequences=True, seed=0)
    square(x)
    calls += [lambda: square(x, out=x)]

    def told():
        found = []
        for call in calls:
            with pytest.raises((TypeError, ValueError)) as caught:
                call()
            found.append((caught.type, str(caught.value)))
        return found

    short = told()
    monkeypatch.setattr(rnn.RNN, "_shorter", recurrent.Recurrent._shorter)
    assert short == told()


def test_what_is_not_for_the_short_way():
    """Read-only and strided inputs, other dtypes, no rows: right, by the long way."""
    layer = MODELS["lstm"].make(I, H)
    x = np.random.default_rng(0).standard_normal((4, 6, I), dtype=np.float32)
    fixed, strided = x.copy(), np.repeat(x, 2, axis=1)[:, ::2]
    fixed.flags.writeable = False
    expected = layer(x, lengths=[6] * 4)
    for given in (fixed, strided, np.asfortranarray(x)):
        same(layer(given), expected)
    half = x.astype(np.float16)
    same(layer(half), layer(half.astype(np.float32)))
    assert layer(x[:0]).shape == (0, H) and not layer(x[:, :0]).any()
