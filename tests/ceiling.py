"""The largest error that rounding can explain, carried with the oracle along a whole run.

Every quantity is a value and a bound of its error in a computation with unit roundoff u:

* A pre-activation of n products: (n + 4) u (|b| + sum |w x| + sum |u h|), for every order of summation, one
  bias or two of the same sign, and second-order terms; plus sum |u| e for the error e of h.
* An activation: its Lipschitz constant times the error of its argument, plus 8 u (4 units in the last place
  of 1) for its approximation, since libraries saturate tanh and sigmoid with absolute errors of that size.
* Sums and products: the errors of both sides, plus u times the result. Another way to write
  z h + (1 - z) n, as (h - n) z + n, loses at most 2 u |n| more, which the 8 u of z covers.
"""

from dataclasses import dataclass

import numpy as np
import oracle

LIPSCHITZ = {"tanh": 1.0, "sigmoid": 0.25}
EXACT = ("relu", "linear", None)


@dataclass
class Bounded:
    """A value, the bound of its error, and u."""

    value: np.ndarray
    error: np.ndarray
    u: float

    __array_ufunc__ = None

    def __add__(self, other):
        return self._rounded(self.value + other.value, self.error + other.error)

    def __mul__(self, other):
        error = abs(self.value) * other.error + abs(other.value) * self.error + self.error * other.error
        return self._rounded(self.value * other.value, error)

    def __rsub__(self, constant):
        return self._rounded(constant - self.value, self.error)

    def _rounded(self, value, error):
        return Bounded(value, error + self.u * (abs(value) + error), self.u)


def bounded_activation(name):
    """The named activation of Bounded values."""
    def apply(a):
        value = oracle.ACTIVATIONS[name](a.value)
        if name in EXACT:
            return Bounded(value, a.error, a.u)
        if name == "exponential":
            return Bounded(value, value * (np.expm1(a.error) + 8 * a.u * np.exp(a.error)), a.u)
        return Bounded(value, LIPSCHITZ[name] * a.error + 8 * a.u, a.u)

    return apply


def bounded_sum(u):
    """The sum of a bias and products whose vectors are exact arrays or Bounded."""
    def total(bias, *products):
        pairs = [(v if isinstance(v, Bounded) else Bounded(v, np.zeros_like(v), u), m) for v, m in products]
        value = oracle.matrix_sum(bias, *((v.value, m) for v, m in pairs))
        terms = oracle.matrix_sum(abs(bias), *((abs(v.value) + v.error, abs(m)) for v, m in pairs))
        carried = sum(v.error @ abs(m) for v, m in pairs)
        return Bounded(value, carried + (sum(len(m) for _, m in pairs) + 4) * u * terms, u)

    return total


def run(cell, weights, x, dtype, initial_state=None, initial_error=None, activation="tanh",
        recurrent_activation="sigmoid", **options):
    """Bounds of the errors of `oracle.run` computed in `dtype` by anyone: `(y, [states])`, shaped alike."""
    cell, u = oracle.CELLS[cell], float(np.finfo(dtype).eps) / 2

    def step(weights, x, states, act, rec, total):
        values, errors = states[:cell.states], states[cell.states:]
        states = [Bounded(value, error, u) for value, error in zip(values, errors, strict=True)]
        output, states = cell.step(weights, x, states, act, rec, bounded_sum(u))
        return output.error, [s.value for s in states] + [s.error for s in states]

    if initial_state is not None:
        initial_state = [*initial_state, *(initial_error or map(np.zeros_like, initial_state))]
    y, states = oracle.run(
        oracle.Cell(step, 2 * cell.states, cell.biases), weights, x, initial_state,
        activation=bounded_activation(activation),
        recurrent_activation=bounded_activation(recurrent_activation), **options)
    return y, states[cell.states:]
