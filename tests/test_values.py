"""Unusual numbers: not finite, too large, too small, zeros with a sign; callers who want to hear of them."""

import warnings

import numpy as np
import pytest
import tolerance
from bits import same
from models import MODELS, every_dtype, every_model

import numbarnn as nr
from numbarnn.kernels import jit

B, T, I, H = 13, 4, 5, 18  # noqa: E741


def assert_agrees(model, layer, dtype, x, initial=None, **options):
    """The class of the naive loop's numbers everywhere, and finite values as close as that loop's are."""
    y, *states = layer(x, initial)
    with np.errstate(all="ignore"):
        exact, naive = (
            model.expect(layer.get_weights(), x, initial, dtype=kind, naive=True, **options)
            for kind in (np.longdouble, np.dtype(dtype))
        )
    for k, got in enumerate([y, *states]):
        wanted, plain = [exact[0], *exact[1]][k], [naive[0], *naive[1]][k]
        # What overflows does so in the layer's dtype, which the exact numbers do not know of.
        tolerance.assert_close(got, np.where(np.isfinite(plain), wanted, plain), plain, f"result {k}")


def ready(model, dtype, **options):
    """A layer that returns all it can, inputs and initial states."""
    rng = np.random.default_rng(4)
    layer = model.make(I, H, dtype, return_sequences=True, return_state=True, **options)
    return layer, rng.standard_normal((B, T, I)).astype(dtype), model.states(B, H, dtype, rng)


@pytest.mark.parametrize("special", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", [0, 1, 2])
@every_dtype
@every_model
def test_weights_that_are_not_finite(model, dtype, which, special):
    """They are taken as they are; also beside zeros of the first step, whose product with infinity is NaN."""
    layer, x, initial = ready(model, dtype)
    weights = [array.copy() for array in layer.get_weights()]
    weights[which].reshape(-1)[weights[which].size // 3] = special
    layer.set_weights(weights)
    assert_agrees(model, layer, dtype, x)
    assert_agrees(model, layer, dtype, x, initial)


@pytest.mark.parametrize("activations", [("tanh", "sigmoid"), ("relu", "sigmoid"), ("linear", "sigmoid")])
@every_dtype
@every_model
def test_sums_that_overflow(model, dtype, activations):
    """Terms of one sign, up to the largest number there is: infinite in the first step, and what follows."""
    named = dict(zip(("activation", "recurrent_activation"), activations, strict=True))
    layer, x, _ = ready(model, dtype, **named)
    rng = np.random.default_rng(5)
    kernel, *others = layer.get_weights()
    layer.set_weights([rng.uniform(0.5, 1.5, kernel.shape) * rng.choice([-1, 1], kernel.shape[1]), *others])
    shares = np.array([0.3, 1.0, -1.0, -0.3, 1e-4, -1e-8])
    x[:] = (np.finfo(dtype).max * np.resize(shares, B))[:, np.newaxis, np.newaxis]
    x[:, 2:] = 0
    assert_agrees(model, layer, dtype, x, **named)


@every_dtype
@every_model
def test_infinite_inputs_and_states(model, dtype):
    layer, x, initial = ready(model, dtype)
    x[0, 0, 1], x[1, 0, 2], x[2, 3, 0], x[3, 1, 4] = np.inf, -np.inf, np.inf, np.nan
    x[4, 0, :2] = np.inf, -np.inf
    for state in initial:
        state[5, 3], state[6, 3], state[7, 17] = np.inf, -np.inf, np.nan
    assert_agrees(model, layer, dtype, x, initial)


# Exact results


def linear(kernel, recurrent_kernel, **options):
    layer = nr.SimpleRNN(H, activation="linear", dtype=kernel.dtype.name, return_sequences=True, **options)
    layer.set_weights([kernel, recurrent_kernel, np.zeros(H)])
    return layer


@pytest.mark.parametrize("factor", [1.0, 0.5, -0.25, 3.0])
@every_dtype
def test_subnormal_numbers_are_rounded_to_nearest_even(dtype, factor):
    """Inputs, states and products, down to half of the smallest."""
    numbers, factor = np.finfo(dtype), np.asarray(factor, dtype)
    values = np.array([1, -1, 2, 3, -5, 7, 1001, 2**20 + 1, 0], dtype) * numbers.smallest_subnormal
    values = np.resize(np.append(values, numbers.smallest_normal), (B, 1, H))
    expected, unit, none = values * factor, np.eye(H, dtype=dtype), np.zeros((H, H), dtype)
    assert np.abs(expected[expected != 0]).min() == numbers.smallest_subnormal * max(1, abs(factor))
    np.testing.assert_array_equal(linear(unit * factor, none)(values), expected)
    np.testing.assert_array_equal(linear(none, unit * factor)(0 * values, values[:, 0]), expected)


@pytest.mark.parametrize("activation", ["linear", "relu", "tanh"])
@every_dtype
def test_signs_of_zeros(dtype, activation):
    """Small whole numbers make sums exact, so that even the zeros among them have one right sign."""
    rng, model = np.random.default_rng(6), MODELS["simple"]
    numbers = np.array([0.0, -0.0, 1.0, -1.0], dtype)
    x, kernel, recurrent, bias, state = (
        rng.choice(numbers, shape) for shape in ((B, 2, I), (I, H), (H, H), H, (B, H))
    )
    layer = nr.SimpleRNN(H, activation=activation, dtype=dtype, return_sequences=True)
    for zeros in (False, True):
        weights = [kernel, recurrent, bias if not zeros else np.copysign(np.zeros_like(bias), bias)]
        inputs, initial = (np.copysign(np.zeros_like(a), a) if zeros else a for a in (x, state))
        layer.set_weights(weights)
        wanted, _ = model.expect(
            weights, inputs, [initial], dtype=np.dtype(dtype), naive=True, activation=activation
        )
        got = layer(inputs, initial)
        np.testing.assert_array_equal(np.signbit(got), np.signbit(wanted))
        np.testing.assert_array_equal(got == 0, wanted == 0)


@pytest.mark.parametrize("name", ["lstm", "gru", "gru_before"])
@every_dtype
def test_signs_of_zeros_behind_gates(name, dtype):
    """All that is added and multiplied is a zero of some sign, save for the gates."""
    model, rng = MODELS[name], np.random.default_rng(7)
    zeros = np.array([0.0, -0.0], dtype)
    layer = model.make(I, H, dtype, return_sequences=True, return_state=True)
    weights = [rng.choice(zeros, array.shape) for array in layer.get_weights()]
    layer.set_weights(weights)
    x, initial = rng.choice(zeros, (B, T, I)), [rng.choice(zeros, (B, H)) for _ in model.constants]
    y, *states = layer(x, initial)
    wanted, final = model.expect(weights, x, initial, dtype=np.dtype(dtype), naive=True)
    for got, exact in zip([y, *states], [wanted, *final], strict=True):
        assert not got.any()
        np.testing.assert_array_equal(np.signbit(got), np.signbit(exact))


@every_dtype
def test_weights_of_zero_halve_the_state(dtype):
    """Gates are 1/2 and candidates 0, so after t steps a state is the first one divided by 2 to the t."""
    steps = 40
    x = np.random.default_rng(8).standard_normal((B, steps, I)).astype(dtype)
    shares = np.ldexp(1.0, -np.arange(1, steps + 1))[:, np.newaxis]
    for name in ("lstm", "gru", "gru_before", "simple"):
        model = MODELS[name]
        layer = model.make(I, H, dtype, return_sequences=True, return_state=True)
        layer.set_weights([np.zeros_like(array) for array in layer.get_weights()])
        initial = model.states(B, H, dtype, np.random.default_rng(9))
        y, *final = layer(x, initial)
        if name == "simple":
            assert not y.any()
            continue
        halved = (initial[-1][:, np.newaxis] * shares).astype(dtype)
        same([final[-1]], [halved[:, -1]])
        if name == "lstm":
            exact = 0.5 * np.tanh(halved.astype(np.longdouble))
            assert (np.abs(y - exact) <= 2.5 * np.spacing(np.abs(exact.astype(dtype)))).all()
        else:
            same([y], [halved])


@every_dtype
def test_a_cell_state_that_grows_over_a_hundred_thousand_steps(dtype):
    """By one with each step, and by a factor up to 1e30, each step rounded once; its tanh saturates."""
    steps = 1000 if jit.DISABLED else 100_000
    x = np.zeros((2, steps, 1), dtype)
    counting = nr.LSTM(1, dtype=dtype, return_sequences=True, return_state=True)
    counting.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), np.full(4, 200.0)])
    y, _, c = counting(x)
    np.testing.assert_array_equal(c, steps)
    assert (y[:, 20:] == 1).all()

    factor = np.asarray(1 + np.log(1e30) / steps, dtype)
    growing = nr.LSTM(1, recurrent_activation="linear", dtype=dtype, return_state=True)
    growing.set_weights([np.zeros((1, 4)), np.zeros((1, 4)), [0.0, factor, 0.0, 0.75]])
    start = np.array([[1.0], [-1.0]], dtype)
    y, h, c = growing(x, [0 * start, start])
    product = np.multiply.accumulate(np.full(steps, factor))[-1]
    assert 1e29 < product < 1e31
    same([c, y, h], [start * product, start * np.asarray(0.75, dtype), y])


# A caller who wants to hear of every floating-point exception


@every_dtype
@every_model
def test_floating_point_exceptions_are_not_heard(model, dtype):
    """Of numbers that overflow, underflow and are none, in any kind of call; the bits stay the same."""
    layer, x, initial = ready(model, dtype)
    numbers = np.finfo(dtype)
    x[1:5] = np.array([numbers.max, numbers.smallest_subnormal, np.nan, np.inf])[:, np.newaxis, np.newaxis]
    kinds = [{}, {"lengths": np.arange(B) % (T + 1)}, {"mask": np.arange(B * T).reshape(B, T) % 3 > 0}]

    def every_call():
        results = [array for given in kinds for array in layer(x, initial, **given)]
        results += layer(nr.Ragged.from_rows(x))[1:]
        results.append(layer.cell(x[:, 0], initial)[0])
        stepper = layer.stepper(B)
        results += [stepper(x[:, t]) for t in range(T)]
        return [*results, *stepper.states]

    expected = every_call()
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        same(every_call(), expected)


@pytest.mark.parametrize("kind", [nr.LSTM, nr.GRU, nr.SimpleRNN])
def test_a_weight_too_small_is_rounded_and_one_too_large_is_told_of(kind):
    """By NumPy, in the way that the caller chose; then nothing has changed."""
    with np.errstate(all="raise"):
        layer = kind(H, seed=1, stateful=True)
        layer.build(I)
        wide = [array.astype(np.float64) for array in layer.get_weights()]
        wide[0][0, :2] = 1e-300, -1e-42
        layer.set_weights(wide)
        before = layer.get_weights()
        assert [*before[0][0, :2]] == [0.0, np.float32(-1e-42)]
        states = [np.full((B, H), 1e-42) for _ in layer.cell.definition.states]
        layer.reset_states(states)
        same(layer.states, [np.full((B, H), np.float32(1e-42)) for _ in states])
        wide[-1][..., 3] = states[-1][2, 3] = 1e300
        for change in (lambda: layer.set_weights(wide), lambda: layer.reset_states(states)):
            with pytest.raises(FloatingPointError, match="overflow"):
                change()
        same(layer.get_weights(), before)
        assert np.isfinite(layer.states).all()
    with pytest.warns(RuntimeWarning, match="overflow"):
        layer.set_weights(wide)
    assert np.isposinf(layer.get_weights()[-1][..., 3]).all()
