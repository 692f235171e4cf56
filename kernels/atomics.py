"""What threads need to meet: shared words, waiting, and a floating-point mode of their own."""

from llvmlite import ir
from numba import types
from numba.core import cgutils

from .jit import intrinsic
from .simd import BYTE_POINTER, I32, I64, machine

DEFAULT_MODE, FLUSH_MODE = {
    "x86_64": (0x1F80, 0x9FC0),  # all exceptions masked, round to nearest; the second flushes denormals
    "aarch64": (0, 1 << 24),
}.get(machine(), (0, 0))


def _word(builder, table, index):
    return builder.gep(builder.bitcast(table, I64.as_pointer()), [index])


def _call(builder, result, name, *arguments):
    kind = ir.FunctionType(result, [argument.type for argument in arguments])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, name), arguments)


@intrinsic
def fetch_add(typing_context, table, index, more):
    """Add to a word that threads share; returns what it was."""

    def codegen(context, builder, signature, arguments):
        table, index, more = arguments
        return builder.atomic_rmw("add", _word(builder, table, index), more, "acq_rel")

    return types.int64(types.voidptr, types.int64, types.int64), codegen


@intrinsic
def load_shared(typing_context, table, index):
    """A word that threads share; what was written before it was set is seen after it is read."""

    def codegen(context, builder, signature, arguments):
        return builder.load_atomic(_word(builder, *arguments), "acquire", 8)

    return types.int64(types.voidptr, types.int64), codegen


@intrinsic
def store_shared(typing_context, table, index, value):
    """Set a word that threads share, after all that was written before."""

    def codegen(context, builder, signature, arguments):
        table, index, value = arguments
        builder.store_atomic(value, _word(builder, table, index), "release", 8)
        return context.get_dummy_value()

    return types.void(types.voidptr, types.int64, types.int64), codegen


@intrinsic
def replace_shared(typing_context, table, index, old, new):
    """Set a word that threads share to `new` if it still is `old`; returns 1 if it was."""

    def codegen(context, builder, signature, arguments):
        table, index, old, new = arguments
        outcome = builder.cmpxchg(_word(builder, table, index), old, new, "acq_rel", "acquire")
        return builder.zext(builder.extract_value(outcome, 1), I64)

    return types.int64(types.voidptr, types.int64, types.int64, types.int64), codegen


@intrinsic
def pause(typing_context):
    """Tell the core that it is waiting."""

    def codegen(context, builder, signature, arguments):
        if machine() == "x86_64":
            _call(builder, ir.VoidType(), "llvm.x86.sse2.pause")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def yield_core(typing_context):
    """Let another thread have the core."""

    def codegen(context, builder, signature, arguments):
        _call(builder, I32, "SwitchToThread" if "windows" in builder.module.triple else "sched_yield")
        return context.get_dummy_value()

    return types.void(), codegen


@intrinsic
def exchange_float_mode(typing_context, mode):
    """Set the thread's floating-point mode; returns what it was.

    Another library may have set it for the whole thread, and results are to depend on none.
    """

    def codegen(context, builder, signature, arguments):
        if machine() == "x86_64":
            slot = cgutils.alloca_once(builder, I32)
            address = builder.bitcast(slot, BYTE_POINTER)
            _call(builder, ir.VoidType(), "llvm.x86.sse.stmxcsr", address)
            before = builder.zext(builder.load(slot), I64)
            builder.store(builder.trunc(arguments[0], I32), slot)
            _call(builder, ir.VoidType(), "llvm.x86.sse.ldmxcsr", address)
            return before
        if machine() == "aarch64":
            before = _call(builder, I64, "llvm.aarch64.get.fpcr")
            _call(builder, ir.VoidType(), "llvm.aarch64.set.fpcr", arguments[0])
            return before
        return arguments[0]

    return types.int64(types.int64), codegen
