"""Pointers inside compiled loops: tables of 64-bit words, rows of bytes, and calls through addresses.

Pointers are loaded as pointers and moved by `advance`; none is made from an integer, so the optimiser always
knows where one came from.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .jit import intrinsic
from .simd import BYTE_POINTER, I64

VOID = ir.VoidType()


def _word(builder, table, index, kind):
    return builder.gep(builder.bitcast(table, kind.as_pointer()), [index])


@intrinsic
def integer(typing_context, table, index):
    """Word `index` of `table`."""

    def codegen(context, builder, signature, arguments):
        return builder.load(_word(builder, *arguments, I64))

    return types.int64(types.voidptr, types.int64), codegen


@intrinsic
def pointer(typing_context, table, index):
    """Word `index` of `table` as a pointer."""

    def codegen(context, builder, signature, arguments):
        return builder.load(_word(builder, *arguments, BYTE_POINTER))

    return types.voidptr(types.voidptr, types.int64), codegen


@intrinsic
def put_integer(typing_context, table, index, value):
    """Set word `index` of `table`."""

    def codegen(context, builder, signature, arguments):
        table, index, value = arguments
        builder.store(value, _word(builder, table, index, I64))
        return context.get_dummy_value()

    return types.void(types.voidptr, types.int64, types.int64), codegen


@intrinsic
def put_pointer(typing_context, table, index, value):
    """Set word `index` of `table` to a pointer."""

    def codegen(context, builder, signature, arguments):
        table, index, value = arguments
        builder.store(value, _word(builder, table, index, BYTE_POINTER))
        return context.get_dummy_value()

    return types.void(types.voidptr, types.int64, types.voidptr), codegen


@intrinsic
def count(typing_context, table, index, more):
    """Add `more` to word `index` of `table`."""

    def codegen(context, builder, signature, arguments):
        table, index, more = arguments
        place = _word(builder, table, index, I64)
        builder.store(builder.add(builder.load(place), more), place)
        return context.get_dummy_value()

    return types.void(types.voidptr, types.int64, types.int64), codegen


@intrinsic
def advance(typing_context, start, count):
    """The pointer `count` bytes after `start`."""

    def codegen(context, builder, signature, arguments):
        return builder.gep(arguments[0], [arguments[1]])

    return types.voidptr(types.voidptr, types.int64), codegen


@intrinsic
def data(typing_context, array):
    """Where the elements of `array` lie."""

    def codegen(context, builder, signature, arguments):
        return builder.bitcast(
            context.make_array(signature.args[0])(context, builder, arguments[0]).data, BYTE_POINTER
        )

    return types.voidptr(array), codegen


@intrinsic
def copy(typing_context, target, source, count):
    """Copy exactly `count` bytes; the two do not overlap."""

    def codegen(context, builder, signature, arguments):
        cgutils.raw_memcpy(builder, *arguments, 1)
        return context.get_dummy_value()

    return types.void(types.voidptr, types.voidptr, types.int64), codegen


@intrinsic
def clear(typing_context, target, count):
    """Set exactly `count` bytes to 0."""

    def codegen(context, builder, signature, arguments):
        cgutils.memset(builder, *arguments, 0)
        return context.get_dummy_value()

    return types.void(types.voidptr, types.int64), codegen


def _call(*kinds):
    """An intrinsic's signature and code: call the function at the first argument's address with the
    others.
    """
    signature = types.void(types.voidptr, *kinds)

    def codegen(context, builder, signature, arguments):
        kind = ir.FunctionType(VOID, [argument.type for argument in arguments[1:]])
        builder.call(builder.bitcast(arguments[0], kind.as_pointer()), arguments[1:])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def call_tile(
    typing_context,
    function,
    variant,
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
    """Call a function made by `tile.tiles`."""
    p, n = types.voidptr, types.int64
    return _call(n, p, n, p, n, p, n, n, p, n)


@intrinsic
def call_ahead(
    typing_context,
    function,
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
    """Call a function made by `ahead.tile`."""
    p, n = types.voidptr, types.int64
    return _call(p, p, p, p, p, n, p, p, p, n, n)


@intrinsic
def call_epilogue(typing_context, function, accumulators, operands, row, rows, unit, blocks):
    """Call a function made by `emit_cpu.epilogue`."""
    p, n = types.voidptr, types.int64
    return _call(p, p, n, n, n, n)


@intrinsic
def call_member(typing_context, function, rank, block):
    """Call a member of a team, see `sequence_cpu`."""
    return _call(types.int64, types.voidptr)
