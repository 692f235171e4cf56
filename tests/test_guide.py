"""The examples of Keras' guides to recurrent layers and to masking, against what Keras made of them."""

import ceiling
import golden.cases
import longhand
import numpy as np
import oracle
import pytest
import tolerance
from bits import same
from golden.make_models import (
    MODELS,
    PARAGRAPHS,
    SOURCE,
    TARGET,
    TEXT,
    make,
    random_weights,
    translator,
    worked,
)

import numbarnn as nr

RECORDED = golden.cases.read("models")


class TemporalSoftmax:
    """The softmax over valid time steps of Keras' guide."""

    supports_masking = True

    def __call__(self, x, mask=None):
        exponentials = np.exp(x) * mask[..., np.newaxis].astype(x.dtype)
        return exponentials / exponentials.sum(axis=1, keepdims=True)


class TemporalSplit:
    """The layer of Keras' guide that computes a mask of its own."""

    def call(self, x):
        return np.split(x, 2, axis=1)

    def compute_mask(self, x, mask=None):
        return None if mask is None else np.split(mask, 2, axis=1)


class Layers:
    """The library with the guide's own layer."""

    def __getattr__(self, kind):
        return TemporalSoftmax if kind == "TemporalSoftmax" else getattr(nr, kind)


def model_of(name):
    """A recorded model, with the inputs it was given."""
    recorded = RECORDED[name]
    model = nr.Sequential([make(Layers(), *layer) for layer in MODELS[name][1]])
    model(recorded["x"])
    model.set_weights(weights_of(recorded))
    return model, recorded["x"]


def weights_of(recorded):
    return [array for key, array in sorted(recorded.items()) if key.startswith("weights")]


def assert_recorded(got, recorded, exact, naive, errors, name):
    """Ours within the bound of the plain loop; theirs within what rounding explains, so no wrong record."""
    assert (np.abs(recorded - exact) <= errors).all()
    tolerance.assert_close(got, exact, naive, name)
    limit = tolerance.bound(naive, exact) + float(np.abs(recorded - exact).max())
    tolerance.assert_within(got, recorded, limit, f"{name} recorded")


@pytest.mark.parametrize("name", MODELS)
def test_agrees_with_keras(name):
    model, x = model_of(name)
    weights = weights_of(RECORDED[name])
    exact = longhand.run(name, x, weights, longhand.Plain(np.longdouble))
    naive = longhand.run(name, x, weights, longhand.Plain(np.float32, naive=True))
    errors = longhand.run(name, x, weights, longhand.WithBounds(np.float32))
    assert_recorded(model(x), RECORDED[name]["y"], exact, naive, errors, name)
    mask = model.compute_mask(x)
    if "mask" in RECORDED[name]:
        np.testing.assert_array_equal(mask, RECORDED[name]["mask"], strict=True)
    else:
        assert mask is None


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("batch_size", [1, 2, 32])
def test_predict_has_the_bits_of_one_call(name, batch_size):
    model, x = model_of(name)
    same([model.predict(x, batch_size)], [model(x)])


def test_final_states_start_a_decoder():
    recorded = RECORDED["translator"]
    layers, translate = translator(nr)
    translate(SOURCE, TARGET)
    weights = rest = weights_of(recorded)
    for layer in layers:
        count = len(layer.get_weights())
        layer.set_weights(rest[:count])
        rest = rest[count:]
    [table], [target_table], encoder, decoder, dense = (
        [weights[k] for k in part] for part in ([0], [1], [2, 3, 4], [5, 6, 7], [8, 9])
    )

    def translated(arithmetic, naive):
        options = {"dtype": arithmetic.dtype, "naive": naive}
        _, states = oracle.run("lstm", encoder, table[SOURCE], **options)
        y, _ = oracle.run("lstm", decoder, target_table[TARGET], states, **options)
        kernel, bias = (arithmetic.array(array) for array in dense)
        return np.array([[arithmetic.total(bias, (vector, kernel)) for vector in row] for row in y])

    exact = translated(longhand.Plain(np.longdouble), False)
    naive = translated(longhand.Plain(np.float32, naive=True), True)
    _, states = oracle.run("lstm", encoder, table[SOURCE])
    _, carried = ceiling.run("lstm", encoder, table[SOURCE], np.float32)
    y, _ = oracle.run("lstm", decoder, target_table[TARGET], states)
    e, _ = ceiling.run("lstm", decoder, target_table[TARGET], np.float32, states, carried)
    total, u = ceiling.bounded_sum(np.finfo(np.float32).eps / 2), np.finfo(np.float32).eps / 2
    errors = [
        [total(dense[1], (ceiling.Bounded(*pair, u), dense[0])).error for pair in zip(*rows, strict=True)]
        for rows in zip(y, e, strict=True)
    ]
    got = translate(SOURCE, TARGET)
    assert_recorded(got, recorded["y"], exact, naive, np.array(errors), "translator")


def test_a_stateful_layer_is_fed_paragraphs():
    """Three of them, then from the start again."""
    recorded = RECORDED["paragraphs"]
    model = nr.Sequential([nr.LSTM(5, stateful=True)])
    model.build((2, None, 4))
    model.set_weights(weights_of(recorded))
    got = np.stack([model(paragraph) for paragraph in PARAGRAPHS])
    model.reset_states()
    again = model(PARAGRAPHS[0])
    same([again], [got[0]])
    x, ends = np.concatenate(PARAGRAPHS, axis=1), [2, 5, 8]
    weights = weights_of(recorded)
    exact, naive, errors = (
        y[:, ends].swapaxes(0, 1)
        for y, _ in (
            oracle.run("lstm", weights, x, dtype=np.longdouble),
            oracle.run("lstm", weights, x, dtype=np.float32, naive=True),
            ceiling.run("lstm", weights, x, np.float32),
        )
    )
    assert_recorded(got, recorded["y"], exact, naive, errors, "paragraphs")
    assert_recorded(again, recorded["again"], exact[0], naive[0], errors[0], "paragraphs, again")


def test_a_long_sequence_in_pieces():
    """s1 to s16 of Keras' guide: the bits of the whole."""
    x = np.random.default_rng(3).standard_normal((3, 16 * 5, 4)).astype(np.float32)
    whole = nr.LSTM(6, return_sequences=True, seed=0)
    pieces = nr.Sequential([nr.LSTM(6, return_sequences=True, stateful=True, seed=0)])
    expected = whole(x)
    same([np.concatenate([pieces(piece) for piece in np.split(x, 16, axis=1)], axis=1)], [expected])
    pieces.reset_states()
    same([pieces(x)], [expected])


PLAIN = [[-6, -50, -156, -272.7276, -475.833624], [-1.2876, -9.8628, -69.314, -213.942, -373.54668]]
HELD = [[-6, -50, -156, -156, -156], [0, -6, -50, -156, -156]]
ZEROS = [[-6, -50, -156, 0, 0], [0, -6, -50, -156, 0]]


@pytest.mark.parametrize("kind, expected", [("plain", PLAIN), ("masked", HELD), ("masked-zero", ZEROS)])
def test_the_worked_example(kind, expected):
    """Numbers that can be checked by hand: token 1 maps h to 3 h - 6, 2 to 5 h - 20, 0 to 1.74 h - 1.2876.

    Whole numbers are exact. Else there are five steps of at most 6 roundings of numbers below 500, which the
    steps after multiply by 3 * 5 * 3 * 1.74 * 1.74 < 150 at most.
    """
    limit = 0 if kind != "plain" else 5 * 6 * 500 * 150 * np.finfo(np.float32).eps / 2
    for got in (worked(nr, kind), RECORDED["worked"][kind]):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got[..., 0], expected, rtol=0, atol=limit)


def test_the_worked_example_with_lengths():
    layer = nr.GRU(1, None, None, reset_after=False, return_sequences=True, dtype="float64")
    layer.set_weights([np.ones((2, 3)), np.zeros((1, 3)), np.ones(3)])
    table = np.array([[0.37, 0.37], [1, 1], [2, 2]])
    embedded = nr.Embedding(3, 2, weights=table, dtype="float64")([[1, 2, 1, 0, 0], [0, 1, 2, 1, 0]])
    np.testing.assert_array_equal(layer(nr.Masking(0.37)(embedded), lengths=[3, 4])[..., 0], ZEROS)
    limit = 5 * 6 * 500 * 150 * np.finfo(float).eps / 2
    np.testing.assert_allclose(layer(embedded)[..., 0], PLAIN, rtol=0, atol=limit)


def test_a_layer_computes_its_own_mask():
    model = nr.Sequential([nr.Embedding(11, 3, mask_zero=True, seed=0), TemporalSplit()])
    halves, whole = model(TEXT[:, :6]), model.layers[0](TEXT[:, :6])
    same(halves, [whole[:, :3], whole[:, 3:]])
    same(model.compute_mask(TEXT[:, :6]), [TEXT[:, :3] != 0, TEXT[:, 3:6] != 0])
    same(nr.Sequential([model]).compute_mask(TEXT[:, :6]), model.compute_mask(TEXT[:, :6]))
    same(model.predict(TEXT[:, :6], batch_size=2), halves)


def test_the_maker_draws_what_is_recorded():
    for name in MODELS:
        drawn = random_weights(name, [array.shape for array in weights_of(RECORDED[name])])
        same(drawn, weights_of(RECORDED[name]))
