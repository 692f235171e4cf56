"""The activations that have a name, each written once as a scalar function, from which kernels, derivatives
and references come.

None turns a NaN into a number, and none computes inf / inf or inf * 0. What only one side of a `where` may
take is limited before it, since both sides are computed and differentiated.
"""

import math

from .mathfn import clip, exp, expm1, linear, log1p, normal_cdf, relu, sigmoid, tanh
from .trace import where

HUGE = 1e30  # beyond it every activation is its limit, in either dtype


def relu6(x):
    """relu up to 6."""
    return clip(x, 0.0, 6.0)


def leaky_relu(x):
    """0.2 x below 0, which is Keras 3's slope, else x."""
    return where(x < 0.0, 0.2 * x, x)


def hard_sigmoid(x):
    """relu6(x + 3) / 6, as in Keras 3."""
    return relu6(x + 3.0) * (1.0 / 6.0)


def hard_sigmoid_keras2(x):
    """0.2 x + 0.5 between 0 and 1, as in Keras 2."""
    return clip(0.2 * x + 0.5, 0.0, 1.0)


def hard_tanh(x):
    """x between -1 and 1."""
    return clip(x, -1.0, 1.0)


def softsign(x):
    """x / (1 + |x|)."""
    limited = clip(x, -HUGE, HUGE)
    return limited / (1.0 + abs(limited))


def softplus(x):
    """log(1 + e^x)."""
    return relu(x) + log1p(exp(-abs(x)))


def elu(x):
    """e^x - 1 below 0, else x (arXiv:1511.07289, with alpha = 1)."""
    return where(x > 0.0, x, expm1(_not_above_zero(x)))


def selu(x):
    """A multiple of x above 0, of e^x - 1 below, which keeps mean 0 and variance 1 (arXiv:1706.02515)."""
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    return scale * where(x > 0.0, x, alpha * expm1(_not_above_zero(x)))


def silu(x):
    """x sigmoid(x), also called swish (arXiv:1702.03118)."""
    return _limited_below(x) * sigmoid(x)


def gelu(x):
    """x times the probability that a normal variable is below x (arXiv:1606.08415)."""
    return _limited_below(x) * normal_cdf(x)


def gelu_tanh(x):
    """x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, with sigmoid, which is accurate below 0 too."""
    limited = _limited_below(x)
    return limited * sigmoid(limited * (1.0 + 0.044715 * (x * x)) * math.sqrt(8.0 / math.pi))


def mish(x):
    """x tanh(softplus(x)) (arXiv:1908.08681); the tanh is n / (n + 2) with n = e^x (e^x + 2)."""
    e = exp(where(x > 40.0, 40.0, x))
    n = e * (e + 2.0)
    return _limited_below(x) * (n / (n + 2.0))


def _not_above_zero(x):
    return where(x > 0.0, 0.0, x)


def _limited_below(x):
    return where(x < -HUGE, -HUGE, x)


ACTIVATIONS = {
    "linear": linear,
    "tanh": tanh,
    "sigmoid": sigmoid,
    "relu": relu,
    "relu6": relu6,
    "leaky_relu": leaky_relu,
    "elu": elu,
    "selu": selu,
    "exponential": exp,
    "softplus": softplus,
    "softsign": softsign,
    "hard_sigmoid": hard_sigmoid,
    "hard_sigmoid_keras2": hard_sigmoid_keras2,
    "hard_tanh": hard_tanh,
    "silu": silu,
    "swish": silu,
    "gelu": gelu,
    "gelu_tanh": gelu_tanh,
    "mish": mish,
}
