"""Register-blocked tiles: the sums of products of a few rows times a few unit blocks, held in registers over
all k.

Every sum starts at its bias and adds its products in one fixed order, the inputs' k = 0, 1, .. and then the
recurrent k = 0, 1, ..; a tile widens over units and rows only. So a sum has the same bits in every tile.
"""

from typing import NamedTuple

from llvmlite import ir
from numba.core import cgutils

from . import jit
from .simd import BYTE_POINTER, I64, Vectors

BLOCKS_LIMIT = 8  # unit blocks side by side, at most; also the radix of variant numbers


class Shape(NamedTuple):
    """What a phase's products look like, apart from sizes: how many sums, and which of them each source
    feeds.
    """

    sums: int
    feeds: tuple  # per source, x first: indices of sums


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
    instead, and so does a single row, whose additions would else wait for each other.
    """
    vectors, rows = (24, 6) if target.registers >= 32 else (12, 3)
    rows = max(1, min(rows, vectors // sums))
    return Heights(rows, max(1, vectors // (rows * sums)), max(1, min(BLOCKS_LIMIT, vectors // sums)))


def variants(reach):
    """All (rows, blocks) that `tiles` can compute."""
    tall = {(rows, blocks) for rows in range(1, reach.rows + 1) for blocks in range(1, reach.blocks + 1)}
    return sorted(tall | {(1, blocks) for blocks in range(1, reach.wide_blocks + 1)})


def tiles(shape, dtype, target):
    """Address of the compiled tiles ``void f(variant, panel, panel_bytes, sources, row, accumulators)``.

    Notes
    -----
    ``variant`` is (rows - 1) * BLOCKS_LIMIT + blocks - 1. ``panel`` is the first unit block's weights
    and ``panel_bytes`` the distance to the next block's (see `pack`). ``sources`` holds per source a pointer
    to the rows' pointers, of which those from ``row`` on are taken, and the number of k. Written are
    ``accumulators``, as ``[block][row][sum]`` vectors; nothing else is.
    """
    lanes = target.lanes(dtype)
    cases = variants(heights(shape.sums, target))

    def build(module, name):
        kind = ir.FunctionType(ir.VoidType(), [I64, BYTE_POINTER, I64, BYTE_POINTER, I64, BYTE_POINTER])
        function = ir.Function(module, kind, name)
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        unknown = function.append_basic_block("unknown")
        switch = builder.switch(function.args[0], unknown)
        for rows, blocks in cases:
            case = function.append_basic_block(f"tile_{rows}x{blocks}")
            switch.add_case(I64((rows - 1) * BLOCKS_LIMIT + blocks - 1), case)
            builder.position_at_end(case)
            _tile(Vectors(builder, dtype, lanes, target.has_fma), shape, rows, blocks, *function.args[1:])
            builder.ret_void()
        builder.position_at_end(unknown)
        builder.unreachable()

    return jit.compile_ir("tiles", (shape, str(dtype), lanes, target.registers, target.has_fma), build)


def _tile(vectors, shape, rows, blocks, panel, panel_bytes, sources, row, accumulators):
    builder = vectors.builder
    element_pointer = vectors.element.as_pointer()
    weights = [
        builder.bitcast(builder.gep(panel, [builder.mul(panel_bytes, I64(b))]), element_pointer)
        for b in range(blocks)
    ]
    sums = {}
    for b in range(blocks):
        for a in range(shape.sums):
            bias = vectors.load(builder.gep(weights[b], [I64(a * vectors.lanes)]))
            for m in range(rows):
                sums[b, m, a] = cgutils.alloca_once(builder, vectors.type)
                builder.store(bias, sums[b, m, a])
    weights = [builder.gep(base, [I64(shape.sums * vectors.lanes)]) for base in weights]
    for s, feeds in enumerate(shape.feeds):
        entry = builder.bitcast(builder.gep(sources, [I64(16 * s)]), BYTE_POINTER.as_pointer())
        pointers = builder.bitcast(builder.load(entry), element_pointer.as_pointer())
        depth = builder.load(builder.bitcast(builder.gep(entry, [I64(1)]), I64.as_pointer()))
        values = [builder.load(builder.gep(pointers, [builder.add(row, I64(m))])) for m in range(rows)]
        _products(vectors, feeds, values, weights, depth, sums)
        taken = builder.mul(depth, I64(len(feeds) * vectors.lanes))
        weights = [builder.gep(base, [taken]) for base in weights]
    out = builder.bitcast(accumulators, vectors.type.as_pointer())
    for (b, m, a), total in sums.items():
        place = (b * rows + m) * shape.sums + a
        vectors.store(builder.load(total), builder.gep(out, [I64(place)]))


def _products(vectors, feeds, values, weights, depth, sums):
    """sums += value[k] * weight[k] for k in range(depth), the sums staying in registers."""
    builder = vectors.builder
    with cgutils.for_range(builder, depth, intp=I64) as loop:
        at = builder.mul(loop.index, I64(len(feeds) * vectors.lanes))
        loaded = {
            (b, a): vectors.load(builder.gep(base, [builder.add(at, I64(j * vectors.lanes))]))
            for b, base in enumerate(weights)
            for j, a in enumerate(feeds)
        }
        for m, row in enumerate(values):
            value = vectors.splat(builder.load(builder.gep(row, [loop.index])))
            for (b, a), weight in loaded.items():
                total = sums[b, m, a]
                builder.store(vectors.fma(value, weight, builder.load(total)), total)
