"""Passes over rows on the device, for the layers around recurrent ones. All arrays are one-dimensional, and
none overlaps another.
"""

from functools import cache

from .jit_cuda import cuda


@cache
def take_rows(dtype):
    """Kernel: row k of ``y`` becomes row ``ids[k]`` of ``table``."""

    @cuda.jit
    def take_rows(table, ids, y):
        size = y.size // ids.size
        for e in range(cuda.grid(1), y.size, cuda.gridsize(1)):
            y[e] = table[ids[e // size] * size + e % size]

    return take_rows


@cache
def clear_rows(dtype):
    """Kernel: ``y`` becomes ``x``, its rows 0 where all of x is ``value``; ``used`` says where it is not."""

    @cuda.jit
    def clear_rows(x, value, used, y):
        size = x.size // used.size
        for row in range(cuda.grid(1), used.size, cuda.gridsize(1)):
            found = False
            for i in range(size):
                found = found or x[row * size + i] != value
            used[row] = found
            for i in range(size):
                y[row * size + i] = x[row * size + i] if found else dtype(0)

    return clear_rows


@cache
def less_maximum(dtype):
    """Kernel: each of ``rows`` rows of ``y`` less its largest value; NaN if there is one."""

    @cuda.jit
    def less_maximum(y, rows):
        size = y.size // rows
        for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
            largest = y[row * size]
            for i in range(1, size):
                value = y[row * size + i]
                if value > largest or value != value:
                    largest = value
            for i in range(size):
                y[row * size + i] -= largest

    return less_maximum


@cache
def over_sum(dtype):
    """Kernel: ``y`` becomes ``x``, each of ``rows`` rows divided by its sum."""

    @cuda.jit
    def over_sum(x, rows, y):
        size = y.size // rows
        for row in range(cuda.grid(1), rows, cuda.gridsize(1)):
            total = dtype(0)
            for i in range(size):
                total += x[row * size + i]
            for i in range(size):
                y[row * size + i] = x[row * size + i] / total

    return over_sum
