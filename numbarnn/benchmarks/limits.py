"""What the machine can do at most: multiply and add, read weights, let threads meet, go on from one step's
output to the next one's. Each loop does one of these and nothing else, in threads that start as our kernels'.
"""

from pathlib import Path

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from ..kernels import cells, emit_cpu, jit, simd, team
from ..kernels.atomics import load_shared
from ..kernels.block import MEMBER
from ..kernels.memory import integer, pointer

(
    REPEATS_AT,
    TEAM_AT,
    MEMBERS_AT,
    SHARE_AT,
    RESULTS_AT,
    VALUES_AT,
    FUNCTION_AT,
    OPERANDS_AT,
    BLOCK_WORDS,
) = range(MEMBER + 1, MEMBER + 10)
# The cache knows of changes in the sources of kernels/ by itself, but not in this file.
SOURCE = Path(__file__).read_text(encoding="utf-8")


class _Loop:
    """Members of a team, of which each runs the function at `address`."""

    def __init__(self):
        if jit.DISABLED:
            raise RuntimeError("NUMBA_DISABLE_JIT=1 is set, so no loop can be compiled; unset it to measure")
        self.target = simd.target()

    def _compiled(self, name, dtype, *key):
        """Address of a member whose body `_emit` fills in."""
        lanes, has_fma = self.target.lanes(dtype), self.target.has_fma

        def build(module, symbol):
            kind = ir.FunctionType(ir.VoidType(), [simd.I64, simd.BYTE_POINTER])
            function = ir.Function(module, kind, symbol)
            builder = ir.IRBuilder(function.append_basic_block("entry"))
            rank, block = function.args

            def of_block(place, kind=simd.BYTE_POINTER):
                return builder.load(builder.gep(builder.bitcast(block, kind.as_pointer()), [simd.I64(place)]))

            self._emit(simd.Vectors(builder, dtype, lanes, has_fma), rank, of_block)
            builder.ret_void()

        return jit.compile_ir(name, (SOURCE, str(np.dtype(dtype)), lanes, has_fma, *key), build)


def _aligned(count, dtype):
    """An array of `count` bytes that begins on a cache line."""
    memory = np.empty(count + 64, np.uint8)
    return memory[-memory.ctypes.data % 64 :][:count].view(dtype)


class _Call:
    """Starts members of a team when it is called, and returns `result`.

    `words` are the call block's by place; arrays stand for their addresses, and live as long as this does.
    """

    def __init__(self, address, threads, words, result):
        self.words, self.result, self.alone = words, result, threads == 1
        self.block = np.zeros(BLOCK_WORDS, np.int64)
        self.block[MEMBER] = address
        for place, value in words.items():
            self.block[place] = value.ctypes.data if isinstance(value, np.ndarray) else value
        self.crew = np.array([(self.block.ctypes.data, number) for number in range(threads)]).ravel()

    def __call__(self):
        if self.alone:
            team.run_alone(self.block)
        else:
            team.launch(self.crew)
        return self.result


class FmaLoop(_Loop):
    """Multiply-adds in registers: the most that cores can do.

    Parameters
    ----------
    dtype : {"float32", "float64"}

    Attributes
    ----------
    flops : int
        Of one thread in one call.

    Raises
    ------
    RuntimeError
        With NUMBA_DISABLE_JIT=1: nothing is compiled then, so there is nothing to measure.

    Examples
    --------
    >>> from numbarnn.timing import interleave
    >>> loop = FmaLoop()
    >>> durations = interleave({"1": loop.on(1), "2": loop.on(2)}, 0.1)
    >>> gain = 2 * min(durations["1"]) / min(durations["2"])
    """

    REPEATS = 1 << 17  # about 1 ms: starting threads adds nothing, and several calls fit a turn

    def __init__(self, dtype="float32"):
        super().__init__()
        self.dtype, self.lanes = np.dtype(dtype), self.target.lanes(dtype)
        self.sums = 24 if self.target.registers >= 32 else 12  # as many as hide the latency and still fit
        self.flops = 2 * self.lanes * self.sums * self.REPEATS
        self.address = self._compiled("fma_loop", dtype, self.sums)

    def on(self, threads):
        """A call without arguments that runs the loop once in each of `threads` threads; it returns, by
        thread, the factor and the total, which is `sums` in the end.
        """
        values = np.full((threads, 2, self.lanes), 0.5, self.dtype)
        return _Call(self.address, threads, {REPEATS_AT: self.REPEATS, VALUES_AT: values}, values)

    def _emit(self, vectors, rank, of_block):
        """sums = sums * v + v, again and again; v is read, the total put beside it."""
        builder, word = vectors.builder, simd.I64
        row = 2 * self.lanes * self.dtype.itemsize
        values = builder.gep(of_block(VALUES_AT), [builder.mul(rank, word(row))])
        v = vectors.load(values)
        sums = [cgutils.alloca_once(builder, vectors.type) for _ in range(self.sums)]
        for number, total in enumerate(sums):  # all different, or the compiler would keep only one
            builder.store(builder.fmul(v, vectors.constant(number)), total)
        with cgutils.for_range(builder, of_block(REPEATS_AT, word), intp=word):
            for total in sums:
                builder.store(vectors.fma(builder.load(total), v, v), total)
        result = builder.load(sums[0])
        for total in sums[1:]:
            result = builder.fadd(result, builder.load(total))
        vectors.store(result, builder.gep(values, [word(row // 2)]))


class ReadLoop(_Loop):
    """Reads of the same bytes, over and over, each thread its share in the order of the addresses: as kernels
    read weights that are divided among the threads.

    Parameters
    ----------
    size : int
        Bytes that are gone through; rounded up to whole turns of the loop in each thread.

    Attributes
    ----------
    size : int
    repeats : int
        How often one call reads all of them: so often that starting threads adds little.

    Raises
    ------
    RuntimeError
        As `FmaLoop`.

    Examples
    --------
    >>> from numbarnn.timing import interleave
    >>> loop = ReadLoop(1 << 20)
    >>> durations = interleave({"1": loop.on(1), "2": loop.on(2)}, 0.1)
    >>> bytes_per_second = loop.repeats * loop.size / min(durations["2"])
    """

    CALL_BYTES = 1 << 26  # about 1 ms
    SUMS = 8  # so that no addition waits for another one

    def __init__(self, size):
        super().__init__()
        self.turn_bytes = self.SUMS * self.target.vector_bits // 8
        self.size = -(-size // self.turn_bytes) * self.turn_bytes
        self.repeats = -(-self.CALL_BYTES // self.size)
        self.address = self._compiled("read_loop", "float32", self.SUMS)

    def on(self, threads):
        """A call without arguments that reads all bytes `repeats` times, in `threads` threads; it returns, by
        thread and lane, the sums of the 32-bit words that it has read, which are numbered. They wrap around.
        """
        turns = -(-self.size // (threads * self.turn_bytes))
        share = turns * self.turn_bytes
        words = _aligned(threads * share, np.int32)
        words[:] = np.arange(len(words))
        totals = np.zeros((threads, self.target.lanes("float32")), np.int32)
        block = {REPEATS_AT: self.repeats, SHARE_AT: share, VALUES_AT: words, RESULTS_AT: totals}
        return _Call(self.address, threads, block, totals)

    def _emit(self, vectors, rank, of_block):
        """Sums of what is read, as integers: they are exact, and no number is slower than another."""
        builder, word = vectors.builder, simd.I64
        share, step = of_block(SHARE_AT, word), vectors.lanes * vectors.itemsize
        start = builder.gep(of_block(VALUES_AT), [builder.mul(rank, share)])
        sums = [cgutils.alloca_once(builder, vectors.integers) for _ in range(self.SUMS)]
        for total in sums:
            builder.store(ir.Constant(vectors.integers, None), total)
        turns = builder.udiv(share, word(self.turn_bytes))
        with cgutils.for_range(builder, of_block(REPEATS_AT, word), intp=word):
            with cgutils.for_range(builder, turns, intp=word) as loop:
                at = builder.gep(start, [builder.mul(loop.index, word(self.turn_bytes))])
                for number, total in enumerate(sums):
                    found = vectors.load(builder.gep(at, [word(number * step)]))
                    found = builder.bitcast(found, vectors.integers)
                    builder.store(builder.add(builder.load(total), found), total)
        result = builder.load(sums[0])
        for total in sums[1:]:
            result = builder.add(result, builder.load(total))
        place = builder.gep(of_block(RESULTS_AT), [builder.mul(rank, word(step))])
        vectors.store(builder.bitcast(result, vectors.type), place)


@jit.cfunc("void(int64, voidptr)")
def _meet(number, block):
    """A member that does nothing but wait for the others."""
    words = pointer(block, TEAM_AT)
    if team.join(words, integer(block, MEMBERS_AT)) >= 0:
        size = load_shared(words, team.SIZE)
        for _ in range(integer(block, REPEATS_AT)):
            team.barrier(words, size)


class BarrierLoop(_Loop):
    """Threads that meet, again and again, as those that divide a layer's units do in every step.

    Attributes
    ----------
    repeats : int
        Meetings of one call.

    Raises
    ------
    RuntimeError
        As `FmaLoop`.

    Examples
    --------
    >>> from numbarnn.timing import interleave
    >>> loop = BarrierLoop()
    >>> durations = interleave({"2": loop.on(2)}, 0.1)
    >>> seconds = min(durations["2"]) / loop.repeats
    """

    repeats = 10_000  # 0.4 ms

    def on(self, threads):
        """A call without arguments in which `threads` threads meet `repeats` times; it returns how many came,
        since a team does not wait for ever for a thread that the machine does not run.
        """
        words = _aligned(8 * team.TEAM_WORDS, np.int64)
        block = {REPEATS_AT: self.repeats, TEAM_AT: words, MEMBERS_AT: threads}
        meet = _Call(_meet.address, threads, block, words)

        def run():
            words[:] = 0
            return int(meet()[team.SIZE])

        return run


class EquationsLoop(_Loop):
    """The shortest steps that a cell can make: one vector of units, each of which sees a bias and its own
    output times a weight. Every step waits for the one before, through a multiply-add and the equations: what
    is timed is not how many are done at a time, but how long one takes.

    Parameters
    ----------
    cell : {"lstm", "gru"}
    dtype : {"float32", "float64"}

    Attributes
    ----------
    repeats : int
        Steps of one call.

    Raises
    ------
    RuntimeError
        As `FmaLoop`.

    Examples
    --------
    >>> from numbarnn.timing import interleave
    >>> loop = EquationsLoop("gru")
    >>> durations = interleave({"steps": loop.on(1)}, 0.1)
    >>> seconds_of_a_step = min(durations["steps"]) / loop.repeats
    """

    repeats = 10_000  # 0.4 ms
    WEIGHT = BIAS = 0.5  # states become neither large nor denormal

    def __init__(self, cell, dtype="float32"):
        super().__init__()
        self.cell, self.dtype, self.lanes = cells.TABLE[cell], np.dtype(dtype), self.target.lanes(dtype)
        [phase], [graph] = self.cell.phases, self.cell.graphs(self.cell.options)
        self.sums = [total.name for total in phase.sums]
        self.operands = [*(name for name in graph.inputs if name not in self.sums), *phase.results]
        self.equations = emit_cpu.epilogue(graph, self.sums, self.dtype, self.target)
        self.vectors = [self.cell.output, *(name for name in self.cell.states if name != self.cell.output)]
        self.address = self._compiled("equations_loop", dtype, *self.vectors, *self.sums, *self.operands)

    def on(self, threads):
        """A call without arguments that makes `repeats` steps in each of `threads` threads, from states of 0;
        it returns the states: by thread, the output and then the others.
        """
        row, vector = len(self.vectors) + len(self.sums), self.lanes * self.dtype.itemsize
        values = _aligned(threads * row * vector, self.dtype).reshape(threads, row, self.lanes)
        places = values.ctypes.data + vector * np.array([self.vectors.index(name) for name in self.operands])
        operands = np.zeros(
            (threads, len(self.operands), 2), np.int64
        )  # addresses, and no bytes between rows
        operands[:, :, 0] = places + row * vector * np.arange(threads)[:, np.newaxis]
        words = {REPEATS_AT: self.repeats, VALUES_AT: values, OPERANDS_AT: operands}
        steps = _Call(self.address, threads, words | {FUNCTION_AT: self.equations}, values)

        def run():
            values[:, : len(self.vectors)] = 0
            return steps()[:, : len(self.vectors)]

        return run

    def _emit(self, vectors, rank, of_block):
        """From the output all sums, from these the equations make the next output."""
        builder, word, vector = vectors.builder, simd.I64, vectors.lanes * vectors.itemsize
        row = (len(self.vectors) + len(self.sums)) * vector
        output = builder.gep(of_block(VALUES_AT), [builder.mul(rank, word(row))])
        sums = builder.gep(output, [word(len(self.vectors) * vector)])
        operands = builder.mul(rank, word(16 * len(self.operands)))
        operands = builder.gep(of_block(OPERANDS_AT), [operands])
        kind = ir.FunctionType(ir.VoidType(), [simd.BYTE_POINTER, simd.BYTE_POINTER, word, word, word, word])
        equations = of_block(FUNCTION_AT, kind.as_pointer())
        weight, bias = vectors.constant(self.WEIGHT), vectors.constant(self.BIAS)
        with cgutils.for_range(builder, of_block(REPEATS_AT, word), intp=word):
            total = vectors.fma(vectors.load(output), weight, bias)
            for number in range(len(self.sums)):
                vectors.store(total, builder.gep(sums, [word(number * vector)]))
            builder.call(equations, [sums, operands, word(0), word(1), word(0), word(1)])
