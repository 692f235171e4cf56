"""One row of a step, and beside it products with the inputs of later steps.

A single row's step waits for the recurrent weights, which come from a cache at half the speed of the
multiply-adds or less. What those steps multiply with the inputs depends on no step before and has all its
numbers near: done in the same loop, it fills the gaps. Orders of additions are those of `tile`.
"""

import itertools

from llvmlite import ir
from numba.core import cgutils

from . import jit
from .block import AHEAD_TILES, HOISTED_ROWS
from .simd import BYTE_POINTER, I64, Vectors
from .tile import fed, pointers_to

# With fewer sums the row's own additions would wait for each other; with fewer later steps the weights of the
# inputs would be read too often.
LEAST_SUMS = LEAST_ROWS = 3


def rows(shape, target):
    """How many later steps one tile takes beside the row: as many as the registers hold beside the row's
    sums, the weights and two broadcast values, and as there is room for in memory. 0 where the two do not go
    side by side.
    """
    if not shape.gathers or len(shape.feeds) < 2 or shape.sums < LEAST_SUMS:
        return 0
    held = (target.registers - shape.sums - len(shape.feeds[0]) - 2) // shape.sums
    return min(held, HOISTED_ROWS // AHEAD_TILES) if held >= LEAST_ROWS else 0


def tile(shape, dtype, target):
    """Address of ``void f(panel, sources, start, out, later_start, later_start_row, later_out, weights,
    inputs, begin, count)``.

    Notes
    -----
    ``panel``, ``sources``, ``start`` and ``out`` are those of `tile.tiles` for one row and one unit block, of
    all sources but the inputs. Of `rows` later steps, products of ``count`` inputs from number ``begin`` on
    are added, whose weights lie at ``weights``; ``inputs`` point to the input rows, step by step. Their
    sums start from the vectors at ``later_start``, ``later_start_row`` bytes from step to step, and are
    written to ``later_out``, step by step, which may be where they start from.
    """
    together, lanes = rows(shape, target), target.lanes(dtype)

    def build(module, name):
        kind = ir.FunctionType(ir.VoidType(), [BYTE_POINTER] * 5 + [I64] + [BYTE_POINTER] * 3 + [I64, I64])
        function = ir.Function(module, kind, name)
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        _tile(Vectors(builder, dtype, lanes, target.has_fma), shape, together, *function.args)
        builder.ret_void()

    return jit.compile_ir("ahead", (shape, str(dtype), lanes, together, target.has_fma), build)


def _tile(
    vectors,
    shape,
    together,
    panel,
    sources,
    start,
    out,
    later_start,
    later_start_row,
    later_out,
    weights,
    inputs,
    begin,
    count,
):
    builder, vector_bytes = vectors.builder, vectors.lanes * vectors.itemsize
    element_pointer = vectors.element.as_pointer()

    def place(base, row, a):
        return builder.gep(base, [builder.add(row, I64(a * vector_bytes))])

    def started(base, row_bytes, count):
        """Sums in registers, by unit block, row and number."""
        found = {}
        for m, a in itertools.product(range(count), range(shape.sums)):
            found[0, m, a] = cgutils.alloca_once(builder, vectors.type)
            builder.store(vectors.load(place(base, builder.mul(row_bytes, I64(m)), a)), found[0, m, a])
        return found

    own, later = started(start, I64(0), 1), started(later_start, later_start_row, together)
    table = builder.bitcast(inputs, BYTE_POINTER.as_pointer())
    rows = [builder.load(builder.gep(table, [I64(m)])) for m in range(together)]
    rows = [builder.gep(builder.bitcast(row, element_pointer), [begin]) for row in rows]
    later_weights = [builder.bitcast(weights, element_pointer)]
    done = I64(0)
    for s, feeds in list(enumerate(shape.feeds))[1:]:
        value, _, depth, offset = pointers_to(builder, sources, s)
        values = [builder.bitcast(value, element_pointer)]
        own_weights = [builder.bitcast(builder.gep(panel, [offset]), element_pointer)]
        # One input of every later step has as many products as so many values of the row itself.
        both, left = builder.udiv(depth, I64(together)), builder.sub(count, done)
        both = builder.select(builder.icmp_signed("<", left, both), left, both)
        with cgutils.for_range(builder, both, intp=I64) as loop:
            fed(vectors, None, shape.feeds[0], rows, later_weights, builder.add(done, loop.index), later)
            k = builder.mul(loop.index, I64(together))
            for j in range(together):
                fed(vectors, None, feeds, values, own_weights, builder.add(k, I64(j)), own)
        with cgutils.for_range(builder, depth, start=builder.mul(both, I64(together)), intp=I64) as loop:
            fed(vectors, None, feeds, values, own_weights, loop.index, own)
        done = builder.add(done, both)
    with cgutils.for_range(builder, count, start=done, intp=I64) as loop:
        fed(vectors, None, shape.feeds[0], rows, later_weights, loop.index, later)
    for base, sums in (out, own), (later_out, later):
        for (_, m, a), total in sums.items():
            vectors.store(builder.load(total), place(base, I64(m * shape.sums * vector_bytes), a))
