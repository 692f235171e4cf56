"""Functions for cells: what a cell's function may call on its values. On numbers and arrays they are their
NumPy references.
"""

from .kernels.mathfn import clip, erf, exp, expm1, linear, log1p, maximum, minimum, relu, sigmoid, tanh
from .kernels.trace import where

__all__ = [
    "clip",
    "erf",
    "exp",
    "expm1",
    "linear",
    "log1p",
    "maximum",
    "minimum",
    "relu",
    "sigmoid",
    "tanh",
    "where",
]
