"""The functions of `numbarnn.math` to 25 digits and more: what the self-test measures errors with, since how
exact the machine's own C library is nobody knows.

Python's own `Decimal.exp` and `Decimal.ln` are correctly rounded, to 50 digits here. What follows them loses
at most 20: where 1 is taken away or added, arguments below 1e-20 go through the first terms of a series.
"""

import math
from decimal import Context, Decimal, localcontext

import numpy as np

DIGITS = Context(prec=50)
SMALL = Decimal("1e-20")


def exp(x):
    return x.exp()


def expm1(x):
    return x + x * x / 2 + x * x * x / 6 if abs(x) < SMALL else x.exp() - 1


def log1p(x):
    return x - x * x / 2 + x * x * x / 3 if abs(x) < SMALL else (1 + x).ln()


def sigmoid(x):
    return 1 / (1 + (-x).exp())


def tanh(x):
    e = expm1(2 * x)
    return e / (e + 2)


def erf(x):
    """2 / sqrt(pi) e^(-x^2) times the sum of 2^k x^(2k+1) / (1 3 5 ... (2k+1)), of which no terms cancel.

    Beyond 7 it differs from 1 by less than a thousandth of float64's last place.
    """
    if abs(x) > 7:
        return Decimal(1).copy_sign(x)
    total = term = x
    k = 1
    while abs(term) > abs(total) * Decimal("1e-30"):
        term = term * 2 * x * x / (2 * k + 1)
        total += term
        k += 1
    return total * 2 * (-x * x).exp() / PI.sqrt()


PI = Decimal("3.14159265358979323846264338327950288419716939937510582")

CURVED = {  # where the results in float32 and in float64 are neither x nor constant
    "exp": ((-103.9, 88.7), (-745.1, 709.7)),
    "expm1": ((-17.4, 88.7), (-37.5, 709.7)),
    "log1p": ((-1.0, 20.0), (-1.0, 20.0)),
    "sigmoid": ((-103.9, 17.0), (-745.1, 37.0)),
    "tanh": ((-9.1, 9.1), (-19.1, 19.1)),
    "erf": ((-4.0, 4.0), (-6.0, 6.0)),
}
ODD_TO_ONE = {math.inf: 1.0, -math.inf: -1.0, 0.0: 0.0}
SPECIAL = {
    "exp": {math.inf: math.inf, -math.inf: 0.0, 0.0: 1.0},
    "expm1": {math.inf: math.inf, -math.inf: -1.0, 0.0: 0.0},
    "log1p": {math.inf: math.inf, -1.0: -math.inf, -2.0: math.nan, -math.inf: math.nan, 0.0: 0.0},
    "sigmoid": {math.inf: 1.0, -math.inf: 0.0, 0.0: 0.5},
    "tanh": ODD_TO_ONE,
    "erf": ODD_TO_ONE,
}
FUNCTIONS = {function.__name__: function for function in (exp, expm1, log1p, sigmoid, tanh, erf)}


def special(name, dtype):
    """Arguments and results: the table, NaN, and -0 where 0 gives 0."""
    pairs = SPECIAL[name] | {math.nan: math.nan}
    arguments, results = list(pairs), list(pairs.values())
    arguments.append(-0.0)
    results.append(-0.0 if pairs[0.0] == 0.0 else pairs[0.0])
    return np.array(arguments, dtype), np.array(results, dtype)


def samples(name, dtype, count):
    """Random arguments: half where the function bends, a quarter around 0, a quarter of all sizes."""
    rng = np.random.default_rng(count)
    limits = np.finfo(dtype)
    low, high = CURVED[name][limits.bits == 64]
    low, high = np.nextafter(dtype(low), dtype(0)), dtype(high)
    parts = [rng.uniform(low, high, count - count // 4 * 2), rng.uniform(max(low, -2.0), 2.0, count // 4)]
    sizes = np.exp2(rng.uniform(limits.minexp - limits.nmant, math.log2(high), count // 4))
    parts.append(rng.choice([-1.0, 1.0], count // 4) * sizes)
    return np.clip(np.concatenate(parts).astype(dtype), low, high)


def error(name, x, y):
    """The largest error of `y` as the function of `x`, in units in the last place of its dtype, and where."""
    worst, at = 0.0, 0.0
    with localcontext(DIGITS):
        truths = [FUNCTIONS[name](Decimal(value)) for value in x.tolist()]
        units = np.spacing(np.abs(np.array([float(truth) for truth in truths], y.dtype)))
        for argument, got, truth, unit in zip(x.tolist(), y.tolist(), truths, units.tolist(), strict=True):
            off = float(abs(truth - Decimal(got)) / Decimal(unit)) if math.isfinite(got) else math.inf
            if off > worst:
                worst, at = off, argument
    return worst, at
