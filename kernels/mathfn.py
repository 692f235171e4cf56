"""The functions a cell may call: for each its NumPy reference, its derivative and its polynomial, once for
every emitter.

`exp`, `sigmoid` and `tanh` are lowered to the primitives of `trace`, in the working dtype, around one
reduction: x = n ln 2 + r with n whole and |r| <= ln(2)/2, e^r = 1 + r + r^2 q(r). Nothing clamps a NaN away:
limits are compare-and-select with the comparison false for NaN.
"""

from typing import NamedTuple

import numpy as np

from .trace import Expr, apply, expressions, graph, where


class Real(NamedTuple):
    """Constants of one dtype. `q` interpolates (e^r - 1 - r) / r^2 at Chebyshev nodes of |r| <= ln(2)/2,
    lowest power first.
    """

    q: tuple
    ln2_high: float  # few enough bits that n * ln2_high is exact, so the reduction needs no fused operation
    ln2_low: float
    exp_low: float  # e^x is below half of the least subnormal number
    exp_high: float  # e^x is above the greatest number
    tanh_high: float  # tanh(x) rounds to 1


REALS = {
    # q is off by 1.5e-9 of e^r - 1 in float32, 9e-19 in float64: under 3 % of half a unit in the last place
    np.dtype(np.float32): Real(
        q=(0.5, 0.1666666716337204, 0.04166646674275398, 0.00833331048488617, 0.0013933649752289057,
           0.00019890991097781807),
        ln2_high=0.693359375, ln2_low=-2.12194440054690583e-4,
        exp_low=-105.0, exp_high=89.0, tanh_high=10.0,
    ),
    np.dtype(np.float64): Real(
        q=(0.5, 0.1666666666666667, 0.04166666666666667, 0.008333333333326136, 0.0013888888888883748,
           0.00019841269874820627, 2.4801587325547743e-05, 2.7557255400206422e-06, 2.75572736431103e-07,
           2.5105217004720745e-08, 2.0914686968086876e-09),
        ln2_high=6.93145751953125e-1, ln2_low=1.42860682030941723212e-6,
        exp_low=-746.0, exp_high=710.0, tanh_high=20.0,
    ),
}  # fmt: skip

LOG2_E = 1.4426950408889634


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


def _reduce(x, real):
    """x as n ln 2 + r: returns n and e^r - 1."""
    n = apply("rint", x * LOG2_E)
    r = apply("fma", n, -real.ln2_low, apply("fma", n, -real.ln2_high, x))
    q = real.q[-1]
    for coefficient in real.q[-2::-1]:
        q = apply("fma", q, r, coefficient)
    return n, apply("fma", r * r, q, r)


def _exp(x, real):
    x = where(x < real.exp_low, real.exp_low, x)
    x = where(x > real.exp_high, real.exp_high, x)
    n, e = _reduce(x, real)
    half = apply("rint", n * 0.5)  # two factors, since 2**n alone leaves the normal numbers before e^x does
    return (e + 1.0) * apply("pow2", half) * apply("pow2", n - half)


def _sigmoid(x, real):
    e = _exp(-abs(x), real)  # <= 1: neither branch below cancels or overflows
    return where(x < 0.0, e, 1.0) / (1.0 + e)


def _tanh(x, real):
    a = abs(x)
    a = where(a > real.tanh_high, real.tanh_high, a)
    n, e = _reduce(a + a, real)
    power = apply("pow2", n)
    e = apply("fma", power, e, power - 1.0)  # e^2a - 1, exact in its large part
    return apply("copysign", e / (e + 2.0), x)


def _relu(x):
    return where(x <= 0.0, 0.0, x)


def _sigmoid_reference(x):
    e = np.exp(-np.abs(x))
    return np.where(x < 0.0, e, e.dtype.type(1.0)) / (1.0 + e)


FUNCTIONS = {
    function.name: function
    for function in (
        Function("exp", np.exp, lambda x, y: y, _exp),
        Function("sigmoid", _sigmoid_reference, lambda x, y: y * (1.0 - y), _sigmoid),
        Function("tanh", np.tanh, lambda x, y: 1.0 - y * y, _tanh),
        Function("relu", _relu, lambda x, y: where(x <= 0.0, 0.0, 1.0), lambda x, real: _relu(x)),
        Function("linear", lambda x: x, lambda x, y: 1.0, lambda x, real: x),
    )
}

exp, sigmoid, tanh = FUNCTIONS["exp"], FUNCTIONS["sigmoid"], FUNCTIONS["tanh"]
relu, linear = FUNCTIONS["relu"], FUNCTIONS["linear"]


def lower(source, dtype):
    """`source` with its functions replaced by their polynomials for `dtype`: primitives only."""
    real = REALS[np.dtype(dtype)]
    inputs, _ = expressions(source)

    def primitive(op, *values):
        return FUNCTIONS[op].lower(*values, real) if op in FUNCTIONS else Expr(op, *values)

    return graph(source.inputs, source.interpret(inputs, lambda value: Expr("const", value=value), primitive))
