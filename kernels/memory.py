"""Pointers inside compiled loops: tables of 64-bit words, rows of bytes, and calls through addresses.

Pointers are loaded as pointers and moved by `advance`; none is made from an integer, so the optimiser always
knows where one came from.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .operation import ARRAY, Operation, operation
from .simd import BYTE_POINTER, I64


def _word(builder, table, index, kind):
    return builder.gep(builder.bitcast(table, kind.as_pointer()), [index])


@operation("int64(voidptr, int64)")
def integer(builder, table, index):
    """Word `index` of `table`."""
    return builder.load(_word(builder, table, index, I64))


@operation("voidptr(voidptr, int64)")
def pointer(builder, table, index):
    """Word `index` of `table` as a pointer."""
    return builder.load(_word(builder, table, index, BYTE_POINTER))


@operation("void(voidptr, int64, int64)")
def put_integer(builder, table, index, value):
    """Set word `index` of `table`."""
    builder.store(value, _word(builder, table, index, I64))


@operation("void(voidptr, int64, voidptr)")
def put_pointer(builder, table, index, value):
    """Set word `index` of `table` to a pointer."""
    builder.store(value, _word(builder, table, index, BYTE_POINTER))


@operation("void(voidptr, int64, int64)")
def count(builder, table, index, more):
    """Add `more` to word `index` of `table`."""
    place = _word(builder, table, index, I64)
    builder.store(builder.add(builder.load(place), more), place)


@operation("int64(int64, int64)")
def smaller(builder, one, other):
    """The smaller of two integers: `min`, which Numba would compile by itself for each kind of literal."""
    return builder.select(builder.icmp_signed("<", one, other), one, other)


@operation("int64(int64, int64)")
def larger(builder, one, other):
    """The larger of two integers."""
    return builder.select(builder.icmp_signed(">", one, other), one, other)


@operation("voidptr(voidptr, int64)")
def advance(builder, start, count):
    """The pointer `count` bytes after `start`."""
    return builder.gep(start, [count])


def _data(context, builder, signature, arguments):
    """Where the elements of an array lie."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    return builder.bitcast(array.data, BYTE_POINTER)


data = Operation("data", types.voidptr, [ARRAY], _data)


@operation("void(voidptr, voidptr, int64)")
def copy(builder, target, source, count):
    """Copy exactly `count` bytes; the two do not overlap."""
    cgutils.raw_memcpy(builder, target, source, count, 1)


@operation("void(voidptr, int64)")
def clear(builder, target, count):
    """Set exactly `count` bytes to 0."""
    cgutils.memset(builder, target, count, 0)


def _call(builder, function, arguments):
    """Call the function at an address."""
    kind = ir.FunctionType(ir.VoidType(), [argument.type for argument in arguments])
    builder.call(builder.bitcast(function, kind.as_pointer()), arguments)


@operation("void(voidptr, int64, voidptr, int64, voidptr, int64, voidptr, int64, int64, voidptr, int64)")
def call_tile(builder, function, *arguments):
    """Call a function made by `tile.tiles`: variant, panel, panel_bytes, sources, row, start, start_row,
    start_block, out, out_block.
    """
    _call(builder, function, arguments)


@operation("void(voidptr, voidptr, voidptr, int64, int64, int64, int64)")
def call_epilogue(builder, function, *arguments):
    """Call a function made by `emit_cpu.epilogue`: accumulators, operands, row, rows, unit, blocks."""
    _call(builder, function, arguments)


@operation(f"void({6 * 'voidptr, '}int64, {3 * 'voidptr, '}int64, int64)")
def call_ahead(builder, function, *arguments):
    """Call a function made by `ahead.tile`: panel, sources, start, out, later_start, later_start_row,
    later_out, weights, inputs, begin, count.
    """
    _call(builder, function, arguments)


@operation("void(voidptr, int64, voidptr)")
def call_member(builder, function, *arguments):
    """Call a member of a team, see `sequence_cpu`: rank, block."""
    _call(builder, function, arguments)
