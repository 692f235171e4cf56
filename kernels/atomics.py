"""What threads need to meet: shared words, waiting, and a floating-point mode of their own."""

from llvmlite import ir
from numba.core import cgutils

from .operation import operation
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


@operation("int64(voidptr, int64, int64)")
def fetch_add(builder, table, index, more):
    """Add to a word that threads share; returns what it was."""
    return builder.atomic_rmw("add", _word(builder, table, index), more, "acq_rel")


@operation("int64(voidptr, int64)")
def load_shared(builder, table, index):
    """A word that threads share; what was written before it was set is seen after it is read."""
    return builder.load_atomic(_word(builder, table, index), "acquire", 8)


@operation("void(voidptr, int64, int64)")
def store_shared(builder, table, index, value):
    """Set a word that threads share, after all that was written before."""
    builder.store_atomic(value, _word(builder, table, index), "release", 8)


@operation("int64(voidptr, int64, int64, int64)")
def replace_shared(builder, table, index, old, new):
    """Set a word that threads share to `new` if it still is `old`; returns 1 if it was."""
    outcome = builder.cmpxchg(_word(builder, table, index), old, new, "acq_rel", "acquire")
    return builder.zext(builder.extract_value(outcome, 1), I64)


@operation("void()")
def pause(builder):
    """Tell the core that it is waiting."""
    if machine() == "x86_64":
        _call(builder, ir.VoidType(), "llvm.x86.sse2.pause")


@operation("void()")
def yield_core(builder):
    """Let another thread have the core."""
    _call(builder, I32, "SwitchToThread" if "windows" in builder.module.triple else "sched_yield")


@operation("int64(int64)")
def exchange_float_mode(builder, mode):
    """Set the thread's floating-point mode; returns what it was.

    Another library may have set it for the whole thread, and results are to depend on none.
    """
    if machine() == "x86_64":
        slot = cgutils.alloca_once(builder, I32)
        address = builder.bitcast(slot, BYTE_POINTER)
        _call(builder, ir.VoidType(), "llvm.x86.sse.stmxcsr", address)
        before = builder.zext(builder.load(slot), I64)
        builder.store(builder.trunc(mode, I32), slot)
        _call(builder, ir.VoidType(), "llvm.x86.sse.ldmxcsr", address)
        return before
    if machine() == "aarch64":
        before = _call(builder, I64, "llvm.aarch64.get.fpcr")
        _call(builder, ir.VoidType(), "llvm.aarch64.set.fpcr", mode)
        return before
    return mode
