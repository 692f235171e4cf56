"""Dropout: the oracle with masks over inputs and over what the recurrent kernel multiplies."""

import copy
import pickle
from contextlib import contextmanager
from unittest.mock import patch

import models
import numpy as np
import oracle
import pytest
from bits import same, take
from directions import BATCHES, LENGTHS, MASK, RESETS, B, H, I, T, inputs
from dropping import INPUTS, RECURRENT, every_rate, make, masks_of, rows_of, with_masks
from models import MODELS, every_model
from tolerance import assert_close

import numbarnn as nr
from numbarnn.dropout import Masks

every_batch = pytest.mark.parametrize("given", BATCHES.values(), ids=BATCHES)


# Against the oracle


@contextmanager
def dropping(model, mask):
    """The oracle's cell, which multiplies by the recurrent kernel everything times `mask`."""

    def step(weights, x, states, act, rec, total):
        def masked(bias, *products):
            return total(bias, *((v if v is x else v * mask, matrix) for v, matrix in products))

        return cell.step(weights, x, states, act, rec, masked)

    cell = models.TOY_LONGHAND if model.name == "toy" else oracle.CELLS[model.name]
    changed = cell._replace(step=step)
    with (
        patch.dict(oracle.CELLS, {model.name: changed}),
        patch.object(models, "TOY_LONGHAND", changed if model.name == "toy" else models.TOY_LONGHAND),
    ):
        yield


def expect(model, weights, x, masks, initial, given, dtype, **options):
    """Row after row, each with its own masks."""
    results = []
    for b in range(len(x)):
        one, rows = slice(b, b + 1), x[b : b + 1].astype(dtype)
        if masks.inputs is not None:
            rows = rows * masks.inputs[b].astype(dtype)
        start = None if initial is None else take(initial, one)
        described = {name: value[one] for name, value in given.items()}
        factors = 1 if masks.recurrent is None else masks.recurrent[b].astype(dtype)
        with dropping(model, factors):
            y, states = model.expect(weights, rows, start, **described, dtype=dtype, **options)
        results.append([y, *states])
    return [np.concatenate(parts) for parts in zip(*results, strict=True)]


@every_model
@every_rate
@every_batch
@pytest.mark.parametrize(("dtype", "wide"), [("float32", np.float64), ("float64", np.longdouble)])
def test_the_oracle(model, rates, given, dtype, wide):
    """One mask for all steps and gates; forward from given states, and backward from the cell's constants."""
    x = inputs(B, T, I, dtype=dtype)
    initial = model.states(B, H, dtype, np.random.default_rng(2))
    ways = {"return_sequences": True}, {"return_sequences": False, "go_backwards": True}
    for options, start in zip(ways, (initial, None), strict=True):
        masks = masks_of(make(model, rates, dtype, **options))
        layer = make(model, rates, dtype, **options)
        results = layer(x, start, **given, training=True)
        call = model, layer.get_weights(), x, masks, start, given
        exact = expect(*call, wide, **options)
        naive = expect(*call, np.dtype(dtype).type, naive=True, **options)
        for k, triple in enumerate(zip(results, exact, naive, strict=True)):
            assert_close(*triple, f"result {k}")


@every_model
@every_batch
def test_masks_of_ones_change_nothing(model, given):
    """Nor any bit, also after a reset, where the cell's constants begin anew."""
    x = inputs(B, T, I)
    for options in ({}, {"go_backwards": True}, {"zero_output_for_mask": True}, {"return_sequences": False}):
        ones = Masks(np.ones((B, I), "f4"), np.ones((B, H), "f4"))
        layer = with_masks(make(model, **options), ones)
        same(layer(x, **given, training=True), layer(x, **given))


def test_a_linear_layer_shows_its_masks():
    """y = x times the mask, at every step; and the final step sees the state times its own."""
    cell = nr.SimpleRNNCell(4, None, use_bias=False, dropout=0.5, recurrent_dropout=0.25, seed=1)
    cell.set_weights([np.eye(4), np.zeros((4, 4))])
    masks = []
    for _ in range(3):
        y = nr.RNN(cell, return_sequences=True)(np.ones((8, 5, 4), "f4"), training=True)
        assert (y == y[:, :1]).all() and set(y.ravel()) == {0.0, 2.0}
        masks.append(y[:, 0])
    assert (masks[0] != masks[1]).any() and (masks[1] != masks[2]).any()
    cell.set_weights([np.zeros((4, 4)), np.eye(4)])
    h = np.exp2(np.arange(32, dtype="f4")).reshape(8, 4)
    y = nr.RNN(cell, return_sequences=True)(np.ones((8, 2, 4), "f4"), h, training=True)
    factors = y[:, 0] / h
    assert set(factors.ravel()) == {np.float32(0), np.float32(4 / 3)}
    np.testing.assert_array_equal(y[:, 1], y[:, 0] * factors)


# What is drawn


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rate", [0.1, 1 / 3, 0.5, 0.9, np.float32(0.25)])
def test_masks(rate, dtype):
    """0 or 1 / (1 - rate), rounded once; the share of zeros within five standard deviations of a binomial."""
    cell = nr.GRUCell(150, dtype=dtype, seed=0, dropout=rate, recurrent_dropout=rate)
    for mask, size in zip(cell.masks.draw(200, 100, 150, cell.dtype), (100, 150), strict=True):
        assert mask.shape == (200, size) and mask.dtype == dtype
        assert set(mask.ravel()) == {0.0, np.dtype(dtype).type(1 / (1 - float(rate)))}
        zeros, n, p = np.count_nonzero(mask == 0), mask.size, float(rate)
        assert abs(zeros - n * p) <= 5 * np.sqrt(n * p * (1 - p))


@every_model
@every_rate
def test_the_same_seed_gives_the_same_masks_call_after_call(model, rates):
    x, layer, twin = inputs(B, T, I), make(model, rates), make(model, rates)
    first, second = layer(x, training=True), layer(x, training=True)
    same(twin(x, training=True), first)
    twin(x), twin(x, training=False), twin.explain(x)
    same(twin(x, training=True), second)
    assert (first[0] != second[0]).any() and (first[0] != layer(x)[0]).any()
    same(layer(x), make(model, {})(x))


def test_weights_and_masks_come_from_different_streams():
    """Of one seed: what drops is not what has been drawn as a weight."""
    cell = nr.GRUCell(H, seed=5, kernel_initializer="glorot_uniform", dropout=0.5)
    uniform = np.random.default_rng(5).random((B, I))
    assert ((cell.masks.draw(B, I, H, cell.dtype).inputs == 0) != (uniform < 0.5)).any()
    plain, dropped = nr.GRU(H, seed=5), nr.GRU(H, seed=5, dropout=0.5)
    for layer in (plain, dropped):
        layer.build(I)
    same(plain.get_weights(), dropped.get_weights())


def test_without_a_seed():
    x, layers = inputs(B, T, I), [nr.GRU(H, dropout=0.5) for _ in range(2)]
    layers[1].set_weights((layers[0](x), layers[0].get_weights())[1])
    assert (layers[0](x, training=True) != layers[1](x, training=True)).any()


@pytest.mark.parametrize("layer", [nr.LSTM, nr.GRU, nr.SimpleRNN])
def test_layers_take_rates(layer):
    """As their cells do."""
    options, x = INPUTS | RECURRENT | {"seed": 2}, inputs(B, T, I)
    made = layer(H, return_sequences=True, **options)
    assert (made.cell.dropout, made.cell.recurrent_dropout) == (0.4, 0.3)
    cell = {nr.LSTM: nr.LSTMCell, nr.GRU: nr.GRUCell, nr.SimpleRNN: nr.SimpleRNNCell}[layer](H, **options)
    same([made(x, training=True)], [nr.RNN(cell, return_sequences=True)(x, training=True)])


@pytest.mark.parametrize("name", ["dropout", "recurrent_dropout"])
@pytest.mark.parametrize("value", [1, 1.0, -0.1, 2, np.inf, np.nan])
def test_rates_out_of_range(name, value):
    for make_one in (nr.LSTMCell, nr.GRU):
        with pytest.raises(ValueError, match=rf"^{name} = .*; expected a share of at least 0 and below 1"):
            make_one(H, **{name: value})


@pytest.mark.parametrize("value", [True, "0.5", None, [0.5], 0.5j])
def test_rates_of_another_type(value):
    with pytest.raises(TypeError, match=r"^dropout = .* is of type .*; expected a number"):
        nr.SimpleRNN(H, dropout=value)


# Kinds of batches


@every_model
@every_rate
def test_layouts(model, rates):
    """Views, time-major inputs and rows without padding: the same bits, given the same masks."""
    x, initial = inputs(B, T, I), model.states(B, H, "float32", np.random.default_rng(2))
    views = (
        np.repeat(x, 2, axis=1)[:, ::2],
        np.insert(x, I, np.nan, axis=2)[:, :, :-1],
        x[:, ::-1].copy()[:, ::-1],
        np.asfortranarray(x),
    )
    for given in BATCHES.values():
        wanted = make(model, rates)(x, initial, **given, training=True)
        for view in views:
            same(make(model, rates)(view, initial, **given, training=True), wanted)
        swapped = {name: v if name == "lengths" else v.swapaxes(0, 1) for name, v in given.items()}
        for time_first in (x.swapaxes(0, 1), x.swapaxes(0, 1).copy()):
            y, *final = make(model, rates, time_major=True)(time_first, initial, **swapped, training=True)
            same([y.swapaxes(0, 1), *final], wanted)
    valid = np.arange(T) < LENGTHS[:, np.newaxis]
    ragged = nr.Ragged(x[valid], np.cumsum([0, *LENGTHS]))
    for resets in (None, RESETS):
        flat = None if resets is None else resets[valid]
        y, *final = make(model, rates)(ragged, initial, resets=flat, training=True)
        wanted = make(model, rates)(x, initial, lengths=LENGTHS, resets=resets, training=True)
        same([y.values, *final], [wanted[0][valid], *wanted[1:]])


@every_model
@every_rate
def test_a_row_depends_on_its_own_masks_alone(model, rates):
    x, order = inputs(B, T, I), [4, 2, 0, 3, 1]
    masks, layer = masks_of(make(model, rates)), make(model, rates)
    for given in BATCHES.values():
        wanted = with_masks(layer, masks)(x, **given, training=True)
        for rows in (*(slice(b, b + 1) for b in range(B)), order):
            described = {name: value[rows] for name, value in given.items()}
            with_masks(layer, rows_of(masks, rows))
            same(layer(x[rows], **described, training=True), take(wanted, rows))
        spoilt = x.copy()
        spoilt[1::2] = np.nan
        got = with_masks(layer, masks)(spoilt, **given, training=True)
        same(take(got, slice(0, B, 2)), take(wanted, slice(0, B, 2)))


@every_model
@pytest.mark.parametrize("padding", [np.nan, np.inf, -np.inf, 3e38])
def test_padding_is_not_read(model, padding):
    """Nor does it warn."""
    for given, unread in (
        ({"lengths": LENGTHS}, np.arange(T) >= LENGTHS[:, np.newaxis]),
        ({"mask": MASK, "resets": RESETS}, ~MASK),
    ):
        x = inputs(B, T, I)
        wanted = make(model)(x, **given, training=True)
        x[unread] = padding
        same(make(model)(x, **given, training=True), wanted)


@pytest.mark.parametrize("shape", [(0, T), (B, 0), (0, 0)], ids=str)
def test_no_rows_and_no_steps(shape):
    for model in (MODELS["lstm"], MODELS["toy"]):
        for resets in (None, np.zeros(shape, bool)):
            x, initial = inputs(*shape, I), model.states(shape[0], H, "float32", np.random.default_rng(2))
            y, *final = make(model)(x, initial, resets=resets, training=True)
            assert y.shape == (*shape, H)
            same(final, initial)


@every_model
def test_states_that_stay(model):
    """Each call has masks of its own and starts from the states that the last one left."""
    stateful, plain, kept = make(model, stateful=True), make(model), None
    for k, part in enumerate(np.split(inputs(B, 12, I), 3, axis=1)):
        given = [{}, {"lengths": np.array([2, 0, 4, 1, 3])}, {"resets": RESETS[:, :4]}][k]
        wanted = plain(part, kept, **given, training=True)
        same(stateful(part, **given, training=True), wanted)
        kept = list(wanted[1:])
        same(stateful.states, kept)


def test_nothing_given_is_written():
    layer, x = make(MODELS["lstm"]), inputs(B, T, I)
    initial = MODELS["lstm"].states(B, H, "float32", np.random.default_rng(2))
    given = [x, *initial, LENGTHS, RESETS, *layer.get_weights()]
    before = [array.copy() for array in given]
    out = tuple(np.full(shape, np.nan, "f4") for shape in [(B, T, H), (B, H), (B, H)])
    results = layer(x, initial, lengths=LENGTHS, resets=RESETS, training=True, out=out)
    assert all(a is b for a, b in zip(results, out, strict=True))
    same(results, make(MODELS["lstm"])(x, initial, lengths=LENGTHS, resets=RESETS, training=True))
    same(given, before)


def test_new_weights():
    """Reach calls that train too."""
    layer, other, x = make(MODELS["gru"]), make(MODELS["gru"]), inputs(B, T, I)
    layer(x, training=True)
    halves = [array / 2 for array in layer.get_weights()]
    layer.set_weights(halves)
    masks = masks_of(other)
    other.set_weights(halves)
    same(with_masks(layer, masks)(x, training=True), with_masks(other, masks)(x, training=True))
    assert (layer(x, training=True)[0] != with_masks(make(MODELS["gru"]), masks)(x, training=True)[0]).any()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies_draw_what_the_original_draws(copied):
    layer, x = make(MODELS["toy"]), inputs(B, T, I)
    layer(x, training=True)
    twin = copied(layer)
    for _ in range(2):
        same(twin(x, training=True), layer(x, training=True))
