"""Every activation by name, as compiled vector code: against its formula as published, in many digits; in
layers; its derivative; NaN, infinities and zeros; and functions of users.
"""

import math
from functools import cache, partial

import mpmath
import numpy as np
import oracle
import pytest
import ulp
from mpmath import mpf
from tolerance import assert_close

import numbarnn as nr
from numbarnn.kernels.activations import ACTIVATIONS
from numbarnn.kernels.trace import evaluate, trace, vjp

B, T, I, H = 3, 5, 4, 6  # noqa: E741


def sigmoid(x):
    return 1 / (1 + mpmath.exp(-x))


def softplus(x):
    return mpmath.log(1 + mpmath.exp(x))


def elu(x):
    return x if x > 0 else mpmath.exp(x) - 1


def selu(x):
    scale, alpha = mpf("1.0507009873554804934193349853"), mpf("1.6732632423543772848170429917")
    return scale * (x if x > 0 else alpha * elu(x))


def bend(x):
    return x + mpf("0.044715") * x**3


FORMULAS = {  # Keras' documentation, and the papers that it names
    "linear": lambda x: x,
    "tanh": lambda x: (mpmath.exp(2 * x) - 1) / (mpmath.exp(2 * x) + 1),
    "sigmoid": sigmoid,
    "relu": lambda x: max(x, 0),
    "relu6": lambda x: min(max(x, 0), 6),
    "leaky_relu": lambda x: x if x > 0 else mpf("0.2") * x,
    "elu": elu,
    "selu": selu,
    "exponential": mpmath.exp,
    "softplus": softplus,
    "softsign": lambda x: x / (abs(x) + 1),
    "hard_sigmoid": lambda x: min(max(x + 3, 0), 6) / mpf(6),
    "hard_sigmoid_keras2": lambda x: min(max(mpf("0.2") * x + 0.5, 0), 1),
    "hard_tanh": lambda x: min(max(x, -1), 1),
    "silu": lambda x: x * sigmoid(x),
    "swish": lambda x: x * sigmoid(x),
    "gelu": lambda x: x * mpmath.erfc(-x / mpmath.sqrt(2)) / 2,
    "gelu_tanh": lambda x: x / 2 * (1 + mpmath.tanh(mpmath.sqrt(2 / mpmath.pi) * bend(x))),
    "mish": lambda x: x * mpmath.tanh(softplus(x)),
}  # fmt: skip
# Roundings of constants, sums and products, each eps / 2 of a value at most. A function of ulp.py counts
# twice its bound, rounded up, normal_cdf 12.
ROUNDINGS = {
    "linear": 0, "relu": 0, "relu6": 0, "hard_tanh": 0, "leaky_relu": 2, "softsign": 2, "hard_sigmoid": 3,
    "hard_sigmoid_keras2": 3, "exponential": 2, "elu": 2, "selu": 6, "sigmoid": 4, "tanh": 3, "softplus": 7,
    "silu": 5, "swish": 5, "gelu": 13, "mish": 14, "gelu_tanh": 5,
}  # fmt: skip
LIMITS = {  # at -inf and inf
    "linear": (-math.inf, math.inf), "relu": (0, math.inf), "relu6": (0, 6), "hard_tanh": (-1, 1),
    "leaky_relu": (-math.inf, math.inf), "softsign": (-1, 1), "hard_sigmoid": (0, 1),
    "hard_sigmoid_keras2": (0, 1), "exponential": (0, math.inf), "elu": (-1, math.inf),
    "selu": (-1.0507009873554805 * 1.6732632423543772, math.inf), "sigmoid": (0, 1), "tanh": (-1, 1),
    "softplus": (0, math.inf), "silu": (0, math.inf), "swish": (0, math.inf), "gelu": (0, math.inf),
    "gelu_tanh": (0, math.inf), "mish": (0, math.inf),
}  # fmt: skip
SIGN_OF_ZERO = {"linear", "tanh", "softsign", "hard_tanh", "elu", "selu", "leaky_relu", "silu", "swish",
                "gelu", "gelu_tanh", "mish", "relu6"}  # fmt: skip

names = pytest.mark.parametrize("name", ACTIVATIONS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
targets = pytest.mark.parametrize("target", [None, ulp.PLAIN], ids=["target", "plain"])


def values(dtype):
    """Random values, small and large ones, and the neighbourhood of every kink."""
    rng = np.random.default_rng(1)
    kinks = np.array([-3.0, -2.5, -1.0, 0.0, 1.0, 2.5, 3.0, 6.0, 40.0], dtype)
    kinks = np.concatenate([kinks, np.nextafter(kinks, dtype(-100)), np.nextafter(kinks, dtype(100))])
    sizes = rng.choice([-1.0, 1.0], 100) * np.exp2(rng.uniform(-30.0, 6.5, 100))
    spread = rng.normal(0.0, 3.0, 200), rng.uniform(-80.0, 80.0, 100)
    return np.concatenate([kinks, sizes, *spread]).astype(dtype)


@cache
def exact_values(name, dtype):
    """The formula in enough digits for what it cancels, down to the least float64."""
    with mpmath.workdps(360):
        return [mpf(FORMULAS[name](mpf(x))) for x in values(dtype).tolist()]


def tolerance_of(name, x, exact, dtype):
    """Roundings times eps / 2 times the value, or the larger term of its sum; more for the large exponents of
    gelu_tanh, and for underflow the least numbers.
    """
    scale = abs(exact)
    if name.startswith("hard_sigmoid"):
        scale = max(scale, 0.5)
    if name == "gelu_tanh":
        scale *= 1 + abs(bend(x))  # its argument has three times 2 / 5 of the roundings
    underflow = (abs(x) + 2) * mpf(float(np.finfo(dtype).smallest_subnormal))
    return ROUNDINGS[name] * float(np.finfo(dtype).eps) / 2 * scale + underflow


@names
@dtypes
@targets
def test_values(name, dtype, target):
    """All the accuracy that the roundings leave, the tails included."""
    x = values(dtype)
    y = ulp.Compiled(ACTIVATIONS[name], dtype, target)(x)
    for value, got, exact in zip(x.tolist(), y.tolist(), exact_values(name, dtype), strict=True):
        with mpmath.workdps(40):
            error, allowed = abs(got - exact), tolerance_of(name, mpf(value), exact, dtype)
        assert error <= allowed, f"{value!r}: {got!r}, expected {exact}, {error / allowed} times the bound"


@names
@dtypes
@targets
def test_special_values(name, dtype, target):
    """The limits at infinity and far out, NaN for NaN, and at 0 the sign of 0 where the function keeps it."""
    function = ulp.Compiled(ACTIVATIONS[name], dtype, target)
    largest = np.finfo(dtype).max
    below, above, far_below, far_above = function(np.array([-np.inf, np.inf, -largest, largest], dtype))
    np.testing.assert_allclose([below, above], LIMITS[name], rtol=4 * np.finfo(dtype).eps)
    assert math.isnan(far_below) is math.isnan(far_above) is False
    if math.isfinite(LIMITS[name][0]):
        np.testing.assert_array_equal(far_below, below)
    if math.isfinite(LIMITS[name][1]):
        np.testing.assert_array_equal(far_above, above)
    assert np.isnan(function(np.array([np.nan, -np.nan], dtype))).all()
    at_zero = function(np.array([0.0, -0.0], dtype))
    with mpmath.workdps(60):
        np.testing.assert_allclose(at_zero, float(FORMULAS[name](mpf(0))), rtol=4 * np.finfo(dtype).eps)
    if name in SIGN_OF_ZERO:
        assert np.signbit(at_zero).tolist() == [False, True]


@names
def test_derivatives(name):
    """Against differences in 60 digits, away from kinks: thirty roundings of terms that 1 bounds."""
    graph = trace(ACTIVATIONS[name], ["a"], ["y"])
    for x in (-40.3, -4.1, -2.7, -0.7, -0.01, 0.02, 0.6, 1.7, 2.8, 5.5, 43.0):
        (got,) = evaluate(vjp(graph), {"a": x, "d_0": 1.0})
        with mpmath.workdps(60):
            expected = mpmath.diff(FORMULAS[name], mpf(x))
        assert abs(got - expected) <= 30 * 2.0**-53 * max(1.0, abs(expected)), (x, got, expected)


@names
def test_derivatives_far_out(name):
    """No inf * 0 comes from the side that is not taken."""
    graph = trace(ACTIVATIONS[name], ["a"], ["y"])
    for x in (-1e4, -90.0, 90.0, 1e4):
        with np.errstate(over="ignore", under="ignore"):
            (got,) = evaluate(vjp(graph), {"a": np.float32(x), "d_0": np.float32(1.0)}, np.float32)
        assert not np.isnan(got)


@names
@dtypes
def test_references(name, dtype):
    """Called on arrays and numbers, each is its own reference, in the dtype given."""
    x = values(dtype)[:40]
    with np.errstate(all="ignore"):
        y = ACTIVATIONS[name](x)
        assert y.dtype == np.asarray(ACTIVATIONS[name](x[3])).dtype == dtype
    np.testing.assert_allclose(y, ulp.Compiled(ACTIVATIONS[name], dtype)(x), rtol=64 * np.finfo(dtype).eps,
                               atol=64 * np.finfo(dtype).eps)


def in_numpy(name, a):
    """The formula on an array of the oracle, in its dtype."""
    with mpmath.workdps(40):
        rounded = [float(FORMULAS[name](mpf(float(value)))) for value in a.ravel()]
    return np.array(rounded, a.dtype).reshape(a.shape)


@names
@dtypes
@pytest.mark.parametrize("kind", ["simple", "lstm", "gru"])
def test_layers(name, dtype, kind):
    """As `activation` and as `recurrent_activation`, named or given as a function."""
    make = {"simple": nr.SimpleRNN, "lstm": nr.LSTM, "gru": nr.GRU}[kind]
    rng = np.random.default_rng(3)
    x = rng.standard_normal((B, T, I)).astype(dtype)
    roles = ["activation"] if kind == "simple" else ["activation", "recurrent_activation"]
    for role in roles:
        layer = make(H, dtype=dtype, return_sequences=True, **{role: name})
        layer.build(I)
        layer.set_weights([rng.uniform(-0.4, 0.4, array.shape) for array in layer.get_weights()])
        weights, options = layer.get_weights(), {role: partial(in_numpy, name)}
        exact, _ = oracle.run(kind, weights, x, **options)
        naive, _ = oracle.run(kind, weights, x, dtype=np.dtype(dtype), naive=True, **options)
        assert_close(layer(x), exact, naive, f"{kind} {role}={name}")


@dtypes
def test_none_is_linear(dtype):
    given, named = (nr.SimpleRNN(H, activation=name, dtype=dtype, seed=1) for name in (None, "linear"))
    x = np.random.default_rng(4).standard_normal((B, T, I)).astype(dtype)
    assert given(x).tobytes() == named(x).tobytes()


@dtypes
def test_a_function_of_the_user(dtype):
    """Of all that numbarnn.math has."""
    math_ = nr.math

    def squash(a):
        bent = math_.maximum(math_.minimum(a, 0.7), -0.3 * a) + math_.clip(a, -0.5, 0.5)
        return math_.where(a < 0.1, math_.expm1(bent) * math_.erf(a), math_.log1p(abs(bent)) - math_.relu(a))

    rng = np.random.default_rng(5)
    x = rng.standard_normal((B, 1, I)).astype(dtype)
    layer = nr.SimpleRNN(H, activation=squash, dtype=dtype)
    layer.build(I)
    layer.set_weights([rng.uniform(-1.0, 1.0, array.shape) for array in layer.get_weights()])
    kernel, _, bias = (array.astype(np.float64) for array in layer.get_weights())
    for row, got in zip(x[:, 0].astype(np.float64), layer(x), strict=True):
        for a, y in zip(row @ kernel + bias, got, strict=True):
            bent = max(min(a, 0.7), -0.3 * a) + min(max(a, -0.5), 0.5)
            expected = math.expm1(bent) * math.erf(a) if a < 0.1 else math.log1p(abs(bent)) - max(a, 0.0)
            assert abs(y - expected) <= 32 * np.finfo(dtype).eps


@pytest.mark.parametrize(("function", "numpy_function"), [
    (nr.math.minimum, np.minimum), (nr.math.maximum, np.maximum),
])
def test_minimum_and_maximum(function, numpy_function):
    """NaN if either is, compiled and on arrays; of zeros the second."""
    numbers = np.array([-math.inf, -1.5, -0.0, 0.0, 2.0, math.inf, math.nan])
    for constant in numbers:
        expected = numpy_function(numbers, constant)
        np.testing.assert_array_equal(function(numbers, constant), expected)
        got = ulp.Compiled(lambda a, c=float(constant): function(a, c), np.float64)(numbers)
        np.testing.assert_array_equal(got, expected)
        np.testing.assert_array_equal(function(constant, numbers), numpy_function(constant, numbers))
    assert math.copysign(1.0, function(0.0, -0.0)) == -1.0
    assert math.copysign(1.0, function(-0.0, 0.0)) == 1.0
