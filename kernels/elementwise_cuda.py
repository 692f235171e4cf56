"""Passes over all elements on the device."""

from functools import cache

from .jit_cuda import cuda


@cache
def times_rows(dtype):
    """Kernel: each row of ``x``, that begins where ``starts`` says, times row ``rows[k]`` of ``factors``, to
    row k of ``y``. All one-dimensional; ``y`` overlaps nothing.
    """

    @cuda.jit
    def times_rows(x, starts, factors, rows, y):
        size = y.size // starts.size
        for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
            k, i = e // size, e % size
            y[e] = x[starts[k] + i] * factors[rows[k] * size + i]

    return times_rows


@cache
def merge(dtype, mode):
    """Kernel: ``y`` becomes, element by element, ``y`` merged with ``other``: "sum", "mul" or "ave"."""
    half = dtype(0.5)

    @cuda.jit(device=True, forceinline=True)
    def add(a, b):
        return a + b

    @cuda.jit(device=True, forceinline=True)
    def multiply(a, b):
        return a * b

    @cuda.jit(device=True, forceinline=True)
    def average(a, b):
        return (a + b) * half

    merged = {"sum": add, "mul": multiply, "ave": average}[mode]

    @cuda.jit
    def merge(y, other):
        for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
            y[e] = merged(y[e], other[e])

    return merge
