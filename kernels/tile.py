"""Register-blocked tiles: the sums of products of a few rows times a few unit blocks, held in registers over
all k.

Every sum starts at its bias and adds its products in one fixed order, the inputs' k = 0, 1, .. and then the
recurrent k = 0, 1, ..; a tile widens over units and rows only. So a sum has the same bits in every tile.
"""

import itertools
from typing import NamedTuple

from llvmlite import ir
from numba.core import cgutils

from . import halves, jit
from .simd import BYTE_POINTER, I64, Vectors

SOURCE_BYTES = 32  # of one source in a tile's table of them
BLOCKS_LIMIT = 8  # unit blocks side by side, at most; also the radix of variant numbers


class Shape(NamedTuple):
    """What a phase's products look like, apart from sizes: how many sums, and which of them each source
    feeds.
    """

    sums: int
    feeds: tuple  # per source: indices of sums
    gathers: bool  # whether the first source is the inputs, whose rows lie anywhere


class Heights(NamedTuple):
    """How far a tile may reach on a target: rows, unit blocks beside several rows, unit blocks beside a
    single row.
    """

    rows: int
    blocks: int
    wide_blocks: int


def heights(sums, target):
    """Six rows by four vectors of sums where there are 32 registers, three by four where there are 16: sums,
    one row of weights and a broadcast value just fit. A phase of fewer sums takes several unit blocks
    instead, and so does a single row, whose additions would else wait for each other: of twelve vectors of
    sums none waits.
    """
    vectors, rows = (24, 6) if target.registers >= 32 else (12, 3)
    rows = max(1, min(rows, vectors // sums))
    return Heights(rows, max(1, vectors // (rows * sums)), max(1, min(BLOCKS_LIMIT, 12 // sums)))


def variants(reach):
    """All (rows, blocks) that `tiles` can compute."""
    tall = {(rows, blocks) for rows in range(1, reach.rows + 1) for blocks in range(1, reach.blocks + 1)}
    return sorted(tall | {(1, blocks) for blocks in range(1, reach.wide_blocks + 1)})


def tiles(shape, dtype, target, weights_dtype=None):
    """Address of the compiled tiles ``void f(variant, panel, panel_bytes, sources, row, start,
    start_row_bytes, start_block_bytes, out, out_block_bytes)``.

    Notes
    -----
    ``variant`` is (rows - 1) * BLOCKS_LIMIT + blocks - 1. ``panel`` is the first unit block's weights
    and ``panel_bytes`` the distance to the next block's (see `pack`). ``sources`` holds per source its first
    row and the bytes from row to row (of inputs: a table of pointers to the rows, and nothing), the number of
    k, and where in the panel its weights begin; rows from ``row`` on are taken. Sums start from the vectors
    at ``start``: the panel's own bias, the same for every row, or what another call has summed over other
    sources; the order of additions, and so every bit, is the same. Written are one vector per (row, sum) at
    ``out``, block by block; nothing else is. With a 16-bit `weights_dtype` (see
    `halves`) that is what the panel's weights are in; all else is in `dtype`.
    """
    lanes = target.lanes(dtype)
    cases = variants(heights(shape.sums, target))

    def build(module, name):
        kind = ir.FunctionType(
            ir.VoidType(),
            [I64, BYTE_POINTER, I64, BYTE_POINTER, I64, BYTE_POINTER, I64, I64, BYTE_POINTER, I64],
        )
        function = ir.Function(module, kind, name)
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        unknown = function.append_basic_block("unknown")
        switch = builder.switch(function.args[0], unknown)
        for rows, blocks in cases:
            case = function.append_basic_block(f"tile_{rows}x{blocks}")
            switch.add_case(I64((rows - 1) * BLOCKS_LIMIT + blocks - 1), case)
            builder.position_at_end(case)
            vectors = Vectors(builder, dtype, lanes, target.has_fma)
            _tile(vectors, shape, weights_dtype, rows, blocks, *function.args[1:])
            builder.ret_void()
        builder.position_at_end(unknown)
        builder.unreachable()

    key = shape, str(dtype), str(weights_dtype), lanes, target.registers, target.has_fma
    return jit.compile_ir("tiles", key, build)


def _tile(
    vectors,
    shape,
    weights_dtype,
    rows,
    blocks,
    panel,
    panel_bytes,
    sources,
    row,
    start,
    start_row,
    start_block,
    out,
    out_block,
):
    builder = vectors.builder
    element_pointer = vectors.element.as_pointer()
    vector_bytes = vectors.lanes * vectors.itemsize

    def place(base, block_bytes, b, row_bytes, m, a):
        at = builder.add(builder.mul(block_bytes, I64(b)), builder.mul(row_bytes, I64(m)))
        return builder.gep(base, [builder.add(at, I64(a * vector_bytes))])

    sums = {}
    for b, m, a in itertools.product(range(blocks), range(rows), range(shape.sums)):
        sums[b, m, a] = cgutils.alloca_once(builder, vectors.type)
        builder.store(vectors.load(place(start, start_block, b, start_row, m, a)), sums[b, m, a])
    for s, feeds in enumerate(shape.feeds):
        first, stride, depth, offset = pointers_to(builder, sources, s)
        numbers = [builder.add(row, I64(m)) for m in range(rows)]
        if s == 0 and shape.gathers:
            table = builder.bitcast(first, BYTE_POINTER.as_pointer())
            values = [builder.load(builder.gep(table, [number])) for number in numbers]
        else:
            values = [builder.gep(first, [builder.mul(number, stride)]) for number in numbers]
        values = [builder.bitcast(value, element_pointer) for value in values]
        places = [builder.add(builder.mul(panel_bytes, I64(b)), offset) for b in range(blocks)]
        weights = [builder.gep(panel, [at]) for at in places]
        _products(vectors, weights_dtype, feeds, values, weights, depth, sums)
    row_bytes = I64(shape.sums * vector_bytes)
    for (b, m, a), total in sums.items():
        vectors.store(builder.load(total), place(out, out_block, b, row_bytes, m, a))


def pointers_to(builder, sources, s):
    """Of source `s` of a table: its first row, the bytes from row to row, the number of k, and where in the
    panel its weights begin.
    """
    entry = builder.bitcast(builder.gep(sources, [I64(SOURCE_BYTES * s)]), BYTE_POINTER.as_pointer())
    words = builder.bitcast(entry, I64.as_pointer())
    return builder.load(entry), *(builder.load(builder.gep(words, [I64(word)])) for word in (1, 2, 3))


def _products(vectors, weights_dtype, feeds, values, weights, depth, sums):
    """sums += value[k] * weight[k] for k in range(depth), the sums staying in registers."""
    builder = vectors.builder
    element = ir.IntType(halves.BITS) if weights_dtype else vectors.element
    weights = [builder.bitcast(base, element.as_pointer()) for base in weights]
    with cgutils.for_range(builder, depth, intp=I64) as loop:
        fed(vectors, weights_dtype, feeds, values, weights, loop.index, sums)


def fed(vectors, weights_dtype, feeds, values, weights, k, sums):
    """sums += value[k] * weight[k], for every row of values and every block of weights."""
    builder = vectors.builder
    at, loaded = builder.mul(k, I64(len(feeds) * vectors.lanes)), {}
    for b, base in enumerate(weights):
        read = _weights(vectors, weights_dtype, builder.gep(base, [at]), len(feeds))
        loaded |= {(b, a): weight for a, weight in zip(feeds, read, strict=True)}
    for m, row in enumerate(values):
        value = vectors.splat(builder.load(builder.gep(row, [k])))
        for (b, a), weight in loaded.items():
            total = sums[b, m, a]
            builder.store(vectors.fma(value, weight, builder.load(total)), total)


def _weights(vectors, dtype, pointer, count):
    """`count` vectors of weights."""
    if dtype is not None:
        return halves.load(vectors, dtype, pointer, count)
    return [vectors.load(vectors.builder.gep(pointer, [I64(j * vectors.lanes)])) for j in range(count)]
