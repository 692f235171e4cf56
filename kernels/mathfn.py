"""The functions a cell may call: for each its NumPy reference, its derivative and its polynomial, once for
every emitter.

They are lowered to the primitives of `trace`, in the working dtype, mostly around one reduction: e^x = 2^n
(1 + p) with n whole and p small. Where 1 is added, p is added to the exact sum of 1 and the power of two: one
rounding, and a result that never falls while x rises. Nothing clamps a NaN away: limits are
compare-and-select with the comparison false for NaN.
"""

import math

import numpy as np

from .polynomials import ERF_NEAR, LOG2_E, TANH_NEAR
from .trace import Expr, apply, where


class Function:
    """A function of one real value. On symbols it makes a line of the graph, on numbers and arrays it is its
    reference.
    """

    def __init__(self, name, reference, derivative, lower):
        self.name, self.reference, self.derivative, self.lower = name, reference, derivative, lower
        self.__name__ = name

    def __call__(self, x):
        return apply(self.name, x) if isinstance(x, Expr) else self.reference(x)

    def __repr__(self):
        return f"<numbarnn function {self.name}>"

    def __reduce__(self):
        return function_named, (self.name,)


def function_named(name):
    """The function of that name: what a pickled one becomes again."""
    return FUNCTIONS[name]


def fma(a, b, c):
    """a b + c, rounded once where the target can."""
    return apply("fma", a, b, c)


def _pow2(n, real):
    return apply("pow2", n + real.shift)


def _at_least(low, x):
    return where(x < low, low, x)


def _at_most(high, x):
    return where(x > high, high, x)


def _polynomial(coefficients, x):
    total = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        total = fma(total, x, coefficient)
    return total


def _whole(x, real, more=0.0):
    """The whole number next to x / ln(2), and `more` added to it as `pow2` takes it: `shift` pushes the
    fraction out of the mantissa.
    """
    shifted = fma(x, LOG2_E, real.shift + more)
    return shifted - (real.shift + more), shifted


def _rest(x, n, real, coefficients):
    """p of e^x = 2^n (1 + p)."""
    r = fma(n, -real.ln2_low, fma(n, -real.ln2_high, x))
    return fma(r * r, _polynomial(coefficients, r), r)


def _reduce(x, real, coefficients, scale=1.0):
    """2^n `scale` and p of e^x = 2^n (1 + p)."""
    n, shifted = _whole(x, real, math.log2(scale))
    return apply("pow2", shifted), _rest(x, n, real, coefficients)


def _exp(x, real):
    limited = _at_most(real.exp_high, _at_least(real.exp_low, x))
    n, _ = _whole(limited, real)
    p = _rest(limited, n, real, real.expm1)
    half = apply("rint", n * 0.5)  # two factors, since 2^n alone leaves the normal numbers before e^x does
    return (p + 1.0) * _pow2(half, real) * _pow2(n - half, real)


def _expm1(x, real):
    """The sum 2^n - 1 + 2^n p with the rounding errors of its parts, half of it, since 2^n may overflow."""
    limited = _at_most(real.exp_high, _at_least(real.one_low, x))
    n, shifted = _whole(limited, real)
    high = fma(n, -real.ln2_high, limited)
    r = fma(n, -real.ln2_low, high)
    bent = r * r * _polynomial(real.expm1, r)
    p = r + bent
    p_low = (bent - (p - r)) + fma(n, -real.ln2_low, high - r)
    power = apply("pow2", shifted - 1.0)
    whole = power - 0.5
    total = fma(power, p, whole)
    half = total + fma(power, p_low, fma(power, p, whole - total) + ((power - whole) - 0.5))
    return where(abs(x) < real.tiny, x, half + half)


def _log1p(x, real):
    """log(1 + x) = k ln 2 + log(1 + m) with m, almost always exact, from -1/4 to 1/2."""
    k = apply("exponent", (x + 1.0) * (2.0 / 3.0))
    scale = _pow2(2.0 - k, real)  # four times 2^-k, which may be too small
    m = fma(0.25 * x, scale, fma(0.25, scale, -1.0))
    whole = k * real.ln2_high
    total = whole + m
    rest = fma(m * m, _polynomial(real.log1p, m), k * real.ln2_low)
    y = where(abs(x) < real.tiny, x, total + ((m - (total - whole)) + rest))
    return where(x < math.inf, where(x > -1.0, y, where(x < -1.0, math.nan, -math.inf)), x)


def falling(x, low, real, coefficients, scale=1.0):
    """2^n `scale` and p of e^-|x| = 2^n (1 + p); where -|x| is below `low`, of e^low."""
    return _reduce(_at_least(low, apply("copysign", x, -1.0)), real, coefficients, scale)


def _sigmoid(x, real):
    """1 / (1 + 2^n (1 + p)), both sides of the division scaled down, since 2^n may overflow."""
    one = 1.0 / real.scale
    limited = _at_most(-real.one_low, _at_least(real.exp_low, x))
    power, p = _reduce(-limited, real, real.exp, one)
    total = power + one
    return one / (total + fma(power, p, one - (total - power)))


def _tanh(x, real):
    """1 - 2 / (1 + e^2|x|), but a polynomial near 0, where this would cancel."""
    a = abs(x)
    square = a * a
    near = fma(square * _polynomial(real.tanh, square), a, a)
    power, p = _reduce(_at_most(-real.one_low, a + a), real, real.exp)
    far = 1.0 - 2.0 / fma(power, p, 1.0 + power)
    return apply("copysign", where(a < TANH_NEAR, near, far), x)


def _erf(x, real):
    """1 - 2^n (1 + p) with the logarithm of the tail as a polynomial, but another one near 0."""
    a = _at_most(real.erf_high, abs(x))
    near = fma(_polynomial(real.erf, a * a), a, a)
    power, p = _reduce(-_polynomial(real.erfc, a - ERF_NEAR), real, real.exp)
    return apply("copysign", where(a < ERF_NEAR, near, fma(-power, p, 1.0 - power)), x)


def _normal_cdf(x, real):
    """e^(-x^2 / 2) times Mills' ratio below 0. The square is split into h^2, exactly, and the rest, since its
    rounding would count |x| times.
    """
    a = _at_most(real.cdf_high, abs(x))
    h = apply("rint", a * 64.0) * (1.0 / 64.0)
    square, rest = h * h * -0.5, (h - a) * (h + a) * 0.5
    n, _ = _whole(square + rest, real)
    r = fma(n, -real.ln2_high, square) + fma(n, -real.ln2_low, rest)
    p = fma(r * r, _polynomial(real.exp, r), r)
    quotient = 1.0 / (a + 4.0)
    mills = _polynomial(real.mills, fma(-8.0, quotient, 1.0)) * quotient
    half = apply("rint", n * 0.5)
    tail = fma(p, mills, mills) * _pow2(half, real) * _pow2(n - half, real)
    return where(x > 0.0, 1.0 - tail, tail)


def _relu(x):
    return where(x <= 0.0, 0.0, x)


def minimum(a, b):
    """The lesser of two values, NaN if one of them is; of equal ones the second."""
    return where(a < b, a, where(a <= a, b, a))


def maximum(a, b):
    """The greater of two values, NaN if one of them is; of equal ones the second."""
    return where(a > b, a, where(a <= a, b, a))


def clip(x, low, high):
    """`x` between the numbers `low` and `high`; NaN stays NaN."""
    return where(x < low, low, where(x > high, high, x))


def _sigmoid_reference(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0.0, e, e.dtype.type(1.0)) / (1.0 + e)


def _one_by_one(function):
    """A function of Python's floats on arrays, since NumPy has neither erf nor erfc."""

    def reference(x):
        x = np.asarray(x)
        dtype = x.dtype if x.dtype.kind == "f" else np.float64
        return np.array([function(value) for value in x.ravel().tolist()], dtype).reshape(x.shape)[()]

    return reference


FUNCTIONS = {
    function.name: function
    for function in (
        Function("exp", np.exp, lambda x, y: y, _exp),
        Function("expm1", np.expm1, lambda x, y: exp(x), _expm1),
        Function("log1p", np.log1p, lambda x, y: 1.0 / (1.0 + x), _log1p),
        Function("sigmoid", _sigmoid_reference, lambda x, y: y * (1.0 - y), _sigmoid),
        Function("tanh", np.tanh, lambda x, y: 1.0 - y * y, _tanh),
        Function("erf", _one_by_one(math.erf), lambda x, y: 2.0 / math.sqrt(math.pi) * exp(-(x * x)), _erf),
        Function(
            "normal_cdf",
            _one_by_one(lambda x: 0.5 * math.erfc(-x * math.sqrt(0.5))),
            lambda x, y: 1.0 / math.sqrt(2.0 * math.pi) * exp(-0.5 * (x * x)),
            _normal_cdf,
        ),
        Function("relu", _relu, lambda x, y: where(x <= 0.0, 0.0, 1.0), lambda x, real: _relu(x)),
        Function("linear", lambda x: x, lambda x, y: 1.0, lambda x, real: x),
    )
}

exp, expm1, log1p = FUNCTIONS["exp"], FUNCTIONS["expm1"], FUNCTIONS["log1p"]
sigmoid, tanh = FUNCTIONS["sigmoid"], FUNCTIONS["tanh"]
erf, normal_cdf = FUNCTIONS["erf"], FUNCTIONS["normal_cdf"]
relu, linear = FUNCTIONS["relu"], FUNCTIONS["linear"]
