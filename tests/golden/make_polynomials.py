"""Print the polynomials of kernels/polynomials.py: the best of their length, in relative error of the
function that they are part of, found by Remez' exchange in 50 digits.
"""

from typing import NamedTuple

import mpmath
import numpy as np
from mpmath import mp, mpf

GRID = 600


class Wanted(NamedTuple):
    """`function` on [low, high] by `lengths` coefficients (float32, float64); its errors count `weight`."""

    function: object
    weight: object
    low: object
    high: object
    lengths: tuple


def wanted(dtype):
    """What `Real` holds; called with mp.dps set."""
    half_ln2 = mp.log(2) / 2 * mpf("1.0001")  # a rounded quotient may lie on the other side of one half
    erf_high = {np.float32: 4, np.float64: 6}[dtype] - mpf("0.75")
    least = mpf(10) ** -12  # instead of 0, where the quotients are undefined

    def bend(r):
        return (mp.expm1(r) - r) / r**2

    def erfc(x):
        return mp.erfc(x + mpf("0.75"))

    def mills(v):
        x = 4 * (1 + v) / (1 - v)
        return mp.erfc(x / mp.sqrt(2)) * mp.exp(x**2 / 2) / 2 * (x + 4)

    cdf_high = mpf({np.float32: "14.3", np.float64: "38.7"}[dtype])
    return {
        "exp": Wanted(bend, lambda r: r**2 / mp.exp(r), -half_ln2, half_ln2, (5, 10)),
        "expm1": Wanted(bend, lambda r: r**2 / mp.expm1(r), -half_ln2, half_ln2, (6, 11)),
        "log1p": Wanted(
            lambda m: (mp.log1p(m) - m) / m**2, lambda m: m**2 / mp.log1p(m), mpf(-0.25), mpf(0.5), (9, 20)
        ),
        "tanh": Wanted(
            lambda z: (mp.tanh(mp.sqrt(z)) / mp.sqrt(z) - 1) / z,
            lambda z: z * mp.sqrt(z) / mp.tanh(mp.sqrt(z)),
            least, mpf(0.625) ** 2, (5, 11),
        ),
        "erf": Wanted(
            lambda z: mp.erf(mp.sqrt(z)) / mp.sqrt(z) - 1,
            lambda z: mp.sqrt(z) / mp.erf(mp.sqrt(z)),
            least, mpf(0.75) ** 2, (6, 11),
        ),
        "erfc": Wanted(
            lambda v: -mp.log(erfc(v)), lambda v: erfc(v) / (1 - erfc(v)), 0, erf_high, (7, 19)
        ),
        "mills": Wanted(
            mills, lambda v: 1 / mills(v), -1, (cdf_high - 4) / (cdf_high + 4), (10, 24)
        ),
    }  # fmt: skip


def best(want, length):
    """Coefficients, lowest power first, whose weighted errors are equal at `length` + 1 points, with
    alternating signs.
    """
    low, high = mpf(want.low), mpf(want.high)
    middle, radius = (low + high) / 2, (high - low) / 2
    points = [middle - radius * mp.cos(mp.pi * (k + mpf(1) / 3) / GRID) for k in range(GRID)]
    values = [(z, want.function(z), abs(want.weight(z))) for z in points]
    extremes = [round(k * (GRID - 1) / length) for k in range(length + 1)]
    while True:
        found = _level(values, extremes, length, max(abs(low), abs(high)))
        errors = [weight * (value - _at(found, z)) for z, value, weight in values]
        moved = _largest_of_each_sign(errors, length + 1)
        if moved == extremes:
            return found
        extremes = moved


def _at(coefficients, z):
    total = mpf(0)
    for coefficient in reversed(coefficients):
        total = total * z + coefficient
    return total


def _level(values, extremes, length, scale):
    """The polynomial whose errors at the extremes are equal with alternating signs."""
    rows, right = mp.matrix(length + 1, length + 1), mp.matrix(length + 1, 1)
    for i, at in enumerate(extremes):
        z, value, weight = values[at]
        for k in range(length):
            rows[i, k] = weight * (z / scale) ** k
        rows[i, length], right[i] = (-1) ** i, weight * value
    solved = mp.lu_solve(rows, right)
    return [solved[k] / scale**k for k in range(length)]


def _largest_of_each_sign(errors, count):
    """Where, in each run of errors of one sign, the largest lies; `count` of them."""
    runs = []
    for at, error in enumerate(errors):
        if not runs or (error > 0) != (errors[runs[-1]] > 0):
            runs.append(at)
        elif abs(error) > abs(errors[runs[-1]]):
            runs[-1] = at
    while len(runs) > count:
        runs.pop(0 if abs(errors[runs[0]]) < abs(errors[runs[-1]]) else -1)
    return runs


def polynomials(dtype):
    """Name to coefficients, rounded to `dtype`."""
    with mpmath.workdps(50):
        return {
            name: tuple(float(dtype(mp.nstr(c, 30))) for c in best(want, want.lengths[dtype is np.float64]))
            for name, want in wanted(dtype).items()
        }


if __name__ == "__main__":
    for dtype in (np.float32, np.float64):
        print(dtype.__name__)
        for name, coefficients in polynomials(dtype).items():
            print(f"    {name}={coefficients},")
