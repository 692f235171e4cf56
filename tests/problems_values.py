"""A quantity carried three times: the truth, what a plain loop makes of it, how far rounding may take it.

The truth is in long double; the plain loop in the dtype asked for adds term by term; the largest error has
the rules of ceiling.py. A constant of the equations may itself be rounded.
"""

import numpy as np


class Value:
    """A quantity three times: `exact`, `naive` (whose dtype is the one asked for) and `error`."""

    __array_ufunc__ = None

    def __init__(self, exact, naive, error):
        self.exact, self.naive, self.error = exact, naive, error

    @classmethod
    def given(cls, array, dtype):
        return cls(array.astype(np.longdouble), array.astype(dtype), np.zeros(array.shape))

    @property
    def u(self):
        return float(np.finfo(self.naive.dtype).eps) / 2

    def constant(self, number):
        """A number of the equations, which a dtype may not have."""
        if isinstance(number, Value):
            return number
        return Value(np.longdouble(number), self.naive.dtype.type(number), abs(number) * self.u)

    def rounded(self, exact, naive, error):
        return Value(exact, naive, (error + self.u * (abs(exact) + error)).astype(np.float64))

    def __add__(self, other):
        other = self.constant(other)
        return self.rounded(self.exact + other.exact, self.naive + other.naive, self.error + other.error)

    def __sub__(self, other):
        other = self.constant(other)
        return self.rounded(self.exact - other.exact, self.naive - other.naive, self.error + other.error)

    def __rsub__(self, number):
        return self.constant(number) - self

    def __mul__(self, other):
        other = self.constant(other)
        error = abs(self.exact) * other.error + abs(other.exact) * self.error + self.error * other.error
        return self.rounded(self.exact * other.exact, self.naive * other.naive, error)

    __radd__, __rmul__ = __add__, __mul__

    def __getitem__(self, index):
        return self.each(lambda array: array[index])

    def each(self, function, *others):
        """`function`, which rounds nothing, of the values and of their errors."""
        parts = ("exact", "naive", "error")
        return Value(*(function(*(getattr(v, part) for v in (self, *others))) for part in parts))

    def clip(self, low, high):
        """Limits are constants; as TensorFlow takes them: the lower one wins where they cross."""
        low, high = self.constant(low), self.constant(high)

        def limited(array, low, high):
            return np.maximum(np.minimum(array, high), low)

        error = np.maximum(self.error, np.maximum(low.error, high.error))
        return Value(
            limited(self.exact, low.exact, high.exact), limited(self.naive, low.naive, high.naive), error
        )

    def smooth(self, function, slope, scale=1.0):
        """A function with a bounded slope, which systems approximate with errors of 8 u `scale`."""
        with np.errstate(over="ignore"):
            return Value(function(self.exact), function(self.naive), slope * self.error + 8 * self.u * scale)


def total(biases, *products):
    """The biases, and the vectors times their matrices, which are exact."""
    K, u = sum(len(m.exact) for _, m in products), products[0][0].u
    exact = sum(bias.exact for bias in biases) + sum(v.exact @ m.exact for v, m in products)
    naive = sum(bias.naive for bias in biases)
    for v, m in products:
        for k in range(len(m.naive)):
            naive = naive + v.naive[:, k, None] * m.naive[k]
    terms = sum(abs(bias.exact) for bias in biases)
    terms = terms + sum((abs(v.exact) + v.error) @ abs(m.exact) for v, m in products)
    carried = sum(v.error @ abs(m.exact) for v, m in products) + sum(bias.error for bias in biases)
    return Value(exact, naive, (carried + (K + len(biases) + 3) * u * terms).astype(np.float64))


def sigmoid(a):
    return a.smooth(lambda a: 1 / (1 + np.exp(-a)), 0.25)


def tanh(a):
    return a.smooth(np.tanh, 1.0)


def relu(a):
    return a.each(lambda a: np.maximum(a, 0))


def affine(a, alpha, beta):
    return alpha * a + beta


def scaled_tanh(a, alpha, beta):
    return alpha * tanh(beta * a)


def hard_sigmoid(a, alpha=0.2, beta=0.5):
    return affine(a, alpha, beta).clip(0.0, 1.0)


def leaky_relu(a, alpha):
    return select(a.exact >= 0, a, alpha * a)


def thresholded_relu(a, alpha):
    """Where rounding may cross the threshold, all of the value is the error."""
    passed = a.each(lambda array: array)
    near = abs(a.exact - alpha) <= a.error
    error = np.where(near, abs(a.exact) + a.error, np.where(a.exact > alpha, a.error, 0))
    return Value(
        np.where(passed.exact > alpha, passed.exact, 0),
        np.where(passed.naive > alpha, passed.naive, passed.naive.dtype.type(0)),
        error.astype(np.float64),
    )


def elu(a, alpha):
    return select(a.exact >= 0, a, alpha * a.each(lambda a: np.minimum(a, 0)).smooth(np.expm1, 1.0))


def softsign(a):
    return a.smooth(lambda a: a / (1 + abs(a)), 1.0)


def softplus(a):
    return a.smooth(lambda a: np.maximum(a, 0) + np.log1p(np.exp(-abs(a))), 1.0, 1 + abs(a.exact))


ACTIVATIONS = {
    "tanh": tanh,
    "relu": relu,
    "sigmoid": sigmoid,
    "Tanh": tanh,
    "Relu": relu,
    "Sigmoid": sigmoid,
    "Affine": affine,
    "ScaledTanh": scaled_tanh,
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky_relu,
    "ThresholdedRelu": thresholded_relu,
    "Elu": elu,
    "Softsign": softsign,
    "Softplus": softplus,
}


def select(where, one, other):
    return one.each(lambda a, b: np.where(where, a, b).astype(a.dtype), other)
