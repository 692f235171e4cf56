"""A phase's graph as vector code: the *epilogue*, which turns finished sums into states and results.

One epilogue serves every tile height, schedule and caller, so that none of them can change a bit.
"""

from llvmlite import ir
from numba.core import cgutils

from . import jit
from .lowering import lower
from .simd import BYTE_POINTER, I64, Vectors

# So many vectors go through the equations side by side: their operations wait for each other, divisions and
# exponentials in turn, but not for those of another vector. 16 units of a row take 31, 27, 23, 23 ns (LSTM)
# and 20, 18, 16, 15 ns (GRU) with 1, 2, 3, 4 side by side; on 16 registers as much is gained.
TOGETHER = 3


def epilogue(graph, sums, dtype, target, per_row=()):
    """Address of the compiled epilogue ``void f(accumulators, operands, row, rows, unit, blocks)``.

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
    ``accumulators`` holds, unit block by unit block and in each row by row, one vector per sum: of ``rows``
    rows from ``row`` on, ``blocks`` unit blocks from unit ``unit`` on. ``operands`` holds, for each other
    input and then each output, its base pointer and the bytes from row to row; the vector of (row, unit) is
    read or written whole, so operands are padded workspaces; of an input in `per_row` one value is read. A
    vector's inputs are read before its outputs are written: an output may be an input.
    """
    lanes = target.lanes(dtype)
    read = [name for name in graph.inputs if name not in sums]
    single = [name for name in read if name in per_row]
    key = (graph.text, tuple(sums), tuple(single), str(dtype), lanes, target.has_fma)
    lowered = lower(graph, dtype)

    def build(module, name):
        kind = ir.FunctionType(ir.VoidType(), [BYTE_POINTER, BYTE_POINTER, I64, I64, I64, I64])
        function = ir.Function(module, kind, name)
        function.attributes.alignstack = 64  # vectors put there must not lie across two cache lines
        accumulators, operands, row, rows, unit, blocks = function.args
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        vectors = Vectors(builder, dtype, lanes, target.has_fma)
        constants = Constants(vectors, lowered, module, name)
        places = _places(builder, operands, len(read) + len(graph.outputs))
        sums_base = builder.bitcast(accumulators, vectors.type.as_pointer())

        def pointers(number):
            """To all that is read and written for vector `number`, counted as the accumulators are."""
            block = builder.udiv(number, rows)
            at = builder.add(row, builder.sub(number, builder.mul(block, rows)))
            column = builder.mul(builder.add(unit, builder.mul(block, I64(lanes))), I64(vectors.itemsize))
            columns = [I64(0) if name in single else column for name in (*read, *graph.outputs)]
            return [
                builder.gep(base, [builder.add(builder.mul(at, stride), column)])
                for (base, stride), column in zip(places, columns, strict=True)
            ]

        def inputs(number, found):
            first = builder.mul(number, I64(len(sums)))
            for a, name in enumerate(sums):
                yield name, vectors.load(builder.gep(sums_base, [builder.add(first, I64(a))]))
            for name, pointer in zip(read, found, strict=False):
                yield name, vectors.load_one(pointer) if name in single else vectors.load(pointer)

        def compute(first, width):
            """Vectors `first` to `first` + `width`, operation by operation."""
            numbers = [builder.add(first, I64(k)) for k in range(width)]
            found = [pointers(number) for number in numbers]
            given = [dict(inputs(*each)) for each in zip(numbers, found, strict=True)]
            known = constants.loaded()
            outputs = lowered.interpret(
                {name: [values[name] for values in given] for name in graph.inputs},
                lambda value: [known[repr(value)]] * width,
                lambda op, *arguments: [
                    vectors.primitive(op, *each) for each in zip(*arguments, strict=True)
                ],
            )
            for k, pointers_of_one in enumerate(found):
                for output, pointer in zip(outputs, pointers_of_one[len(read) :], strict=True):
                    vectors.store(output[k], pointer)

        count = builder.mul(rows, blocks)
        groups = builder.udiv(count, I64(TOGETHER))
        with cgutils.for_range(builder, groups, intp=I64) as loop:
            compute(builder.mul(loop.index, I64(TOGETHER)), TOGETHER)
        begin = builder.mul(groups, I64(TOGETHER))
        with cgutils.for_range(builder, builder.sub(count, begin), intp=I64) as loop:
            compute(builder.add(begin, loop.index), 1)
        builder.ret_void()

    return jit.compile_ir("epilogue", key, build)


class Constants:
    """The constants of a graph, in memory.

    The compiler must load them where they are used, since for all it knows the epilogue's stores change them.
    Told their values, it loads them all into registers before the loop, and since they are too many, onto the
    stack: up to 100 ns in a call.
    """

    def __init__(self, vectors, lowered, module, name):
        values = {repr(node.value): node.value for node in lowered.nodes if node.op == "const"}
        self.vectors, self.names = vectors, list(values)
        kind = ir.ArrayType(vectors.element, len(values))
        self.table = ir.GlobalVariable(module, kind, f"{name}_constants")
        self.table.initializer = ir.Constant(kind, [ir.Constant(vectors.element, v) for v in values.values()])

    def loaded(self):
        """Each in a vector, by its repr, which tells 0.0 from -0.0."""
        places = (self.vectors.builder.gep(self.table, [I64(0), I64(k)]) for k in range(len(self.names)))
        return dict(zip(self.names, map(self.vectors.load_one, places), strict=True))


def _places(builder, operands, count):
    """Base pointer and row stride of each operand; loaded as a pointer so that its origin stays known."""
    places = []
    for k in range(count):
        entry = builder.gep(operands, [I64(16 * k)])
        base = builder.load(builder.bitcast(entry, BYTE_POINTER.as_pointer()))
        stride = builder.load(builder.bitcast(builder.gep(entry, [I64(8)]), I64.as_pointer()))
        places.append((base, stride))
    return places
