"""Weights in 16 bits: rounded once when they are packed, widened without loss when a tile loads them.

A float16 is widened by the CPU's own instruction. A bfloat16 is the upper half of a float32; two vectors of
them that are read together are packed lane by lane into one, of which a shift gives the first and a mask the
second: half the loads, and one operation for each.
"""

import numpy as np
from llvmlite import ir

from .simd import I64

DTYPES = ("float16", "bfloat16")
BITS = 16


def to_bits(values, dtype):
    """The nearest numbers of a 16-bit `dtype` to float32 `values`, ties to even, as uint16. A NaN stays one;
    what is too large becomes infinite.
    """
    if dtype == "float16":
        with np.errstate(all="ignore"):
            return values.astype(np.float16).view(np.uint16)
    bits = np.array(values, np.float32, order="C").view(np.uint32)
    upper = bits >> BITS
    nearest = (bits + (0x7FFF + (upper & 1))) >> BITS
    return np.where(np.isnan(values), upper | 0x40, nearest).astype(np.uint16)


def from_bits(bits, dtype):
    """The float32 numbers that these are; exact."""
    if dtype == "float16":
        return bits.view(np.float16).astype(np.float32)
    return (bits.astype(np.uint32) << BITS).view(np.float32)


def rounded(values, dtype):
    """float32 `values` rounded to a 16-bit `dtype`, as float32; with None as they are."""
    return values if dtype is None else from_bits(to_bits(values, dtype), dtype)


def arrange(vectors, dtype):
    """Put vectors that are read together, shape (.., how many, lanes), into the order of `load`, in place."""
    if dtype != "bfloat16":
        return
    *outer, count, lanes = vectors.shape
    paired = vectors[..., : count // 2 * 2, :]
    halves = paired.reshape(*outer, count // 2, 2, lanes).swapaxes(-1, -2)
    paired[...] = halves.reshape(paired.shape)


def load(vectors, dtype, pointer, count):
    """Emit the loads of `count` vectors of weights that begin at an element; as float32."""
    places = [vectors.builder.gep(pointer, [I64(k * vectors.lanes)]) for k in range(count)]
    if dtype == "float16":
        return [vectors.builder.fpext(_read(vectors, at, ir.HalfType()), vectors.type) for at in places]
    loaded = [half for at in places[: count - 1 : 2] for half in _pair(vectors, at)]
    return loaded + [_single(vectors, at) for at in places[len(loaded) :]]


def _read(vectors, pointer, element):
    kind = ir.VectorType(element, vectors.lanes)
    loaded = vectors.builder.load(vectors.builder.bitcast(pointer, kind.as_pointer()))
    loaded.align = BITS // 8
    return loaded


def _pair(vectors, pointer):
    """Two vectors of bfloat16, in the halves of one of integers."""
    both = _read(vectors, pointer, vectors.integer)
    mask = ir.Constant(vectors.integers, [vectors.integer(0xFFFF0000)] * vectors.lanes)
    return _upper(vectors, both), vectors.builder.bitcast(vectors.builder.and_(both, mask), vectors.type)


def _single(vectors, pointer):
    """One vector of bfloat16."""
    bits = _read(vectors, pointer, ir.IntType(BITS))
    return _upper(vectors, vectors.builder.zext(bits, vectors.integers))


def _upper(vectors, integers):
    """The lower halves of integers, as the upper halves of float32 numbers."""
    by = ir.Constant(vectors.integers, [vectors.integer(BITS)] * vectors.lanes)
    return vectors.builder.bitcast(vectors.builder.shl(integers, by), vectors.type)
