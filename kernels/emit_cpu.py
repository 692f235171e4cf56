"""A phase's graph as vector code: the *epilogue*, which turns finished sums into states and results.

One epilogue serves every tile height, schedule and caller, so that none of them can change a bit.
"""

from llvmlite import ir
from numba.core import cgutils

from . import jit
from .mathfn import lower
from .simd import BYTE_POINTER, I64, Vectors


def epilogue(graph, sums, dtype, target, per_row=()):
    """Address of the compiled epilogue ``void f(accumulators, operands, row, rows, unit)``.

    Parameters
    ----------
    graph : Graph
    sums : sequence of str
        Names of the accumulators, in their order; those that the graph does not read are passed over.
    dtype : dtype
    target : Target
    per_row : sequence of str
        Names of inputs that have one value for all units of a row.

    Notes
    -----
    ``accumulators`` holds, row by row, one vector per sum. ``operands`` holds, for each other input and
    then each output, its base pointer and the bytes from row to row; the vector of (row, unit) is read or
    written whole, so operands are padded workspaces; of an input in `per_row` one value is read. A row's
    inputs are read before its outputs are written: an output may be an input.
    """
    lanes = target.lanes(dtype)
    read = [name for name in graph.inputs if name not in sums]
    single = [name for name in read if name in per_row]
    key = (graph.text, tuple(sums), tuple(single), str(dtype), lanes, target.has_fma)
    lowered = lower(graph, dtype)

    def build(module, name):
        kind = ir.FunctionType(ir.VoidType(), [BYTE_POINTER, BYTE_POINTER, I64, I64, I64])
        function = ir.Function(module, kind, name)
        accumulators, operands, row, rows, unit = function.args
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        vectors = Vectors(builder, dtype, lanes, target.has_fma)
        column = builder.mul(unit, I64(vectors.itemsize))
        columns = [I64(0) if name in single else column for name in (*read, *graph.outputs)]
        places = _places(builder, operands, columns)
        sums_base = builder.bitcast(accumulators, vectors.type.as_pointer())

        with cgutils.for_range(builder, rows, intp=I64) as loop:
            at = builder.add(row, loop.index)
            pointers = [builder.gep(base, [builder.mul(at, stride)]) for base, stride in places]
            first = builder.mul(loop.index, I64(len(sums)))
            inputs = {
                name: vectors.load(builder.gep(sums_base, [builder.add(first, I64(a))]))
                for a, name in enumerate(sums)
            }
            for name, pointer in zip(read, pointers, strict=False):
                inputs[name] = vectors.load_one(pointer) if name in single else vectors.load(pointer)
            outputs = lowered.interpret(inputs, vectors.constant, vectors.primitive)
            for output, pointer in zip(outputs, pointers[len(read) :], strict=True):
                vectors.store(output, pointer)
        builder.ret_void()

    return jit.compile_ir("epilogue", key, build)


def _places(builder, operands, columns):
    """Base pointer, as many bytes on as `columns` says, and row stride of each operand; loaded as a pointer
    so that its origin stays known.
    """
    places = []
    for k, column in enumerate(columns):
        entry = builder.gep(operands, [I64(16 * k)])
        base = builder.load(builder.bitcast(entry, BYTE_POINTER.as_pointer()))
        stride = builder.load(builder.bitcast(builder.gep(entry, [I64(8)]), I64.as_pointer()))
        places.append((builder.gep(base, [column]), stride))
    return places
