"""How rivals are timed fairly, and what the machine itself can do at most."""

import gc
import time
from itertools import count
from pathlib import Path

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from .kernels import jit, simd, team
from .kernels.block import MEMBER

QUIET_LIMIT_SECONDS = 2.0


def settle():
    """Wait until no thread of this process computes.

    Threads of a pool go on spinning after their work is done, to be ready for more: OpenMP's for 10 ms, ONNX
    Runtime's for 40 ms, OpenBLAS's for 100 ms (measured as here, on two cores). They would take a core from
    whoever is timed next.

    Raises
    ------
    RuntimeError
        It does not become quiet within `QUIET_LIMIT_SECONDS`.
    """
    limit = time.perf_counter() + QUIET_LIMIT_SECONDS
    while time.perf_counter() < limit:
        before = time.process_time()
        time.sleep(0.002)
        if time.process_time() - before < 0.0005:
            return
    raise RuntimeError(
        f"a thread of this process has been computing for {QUIET_LIMIT_SECONDS} s; rivals can be timed while "
        "nothing else runs: stop it first"
    )


def interleave(calls, seconds, rounds=5, burst_seconds=0.005):
    """Time rivals in turn, so that a change in the machine's speed meets them all.

    Parameters
    ----------
    calls : dict of callable
        By name. Every round takes them all, each time beginning with another one.
    seconds : float
        Of all rounds together; after it no new one is begun.
    rounds : int
        At least so many, however long they take.
    burst_seconds : float
        A call shorter than this is repeated, when its turn comes, until so much time has passed.

    Returns
    -------
    dict of list of float
        By name, the seconds of every call but those that woke up threads for others to follow at once.

    Examples
    --------
    >>> durations = interleave({"short": lambda: sum(range(10)), "long": lambda: sum(range(10_000))}, 0.05)
    >>> min(durations["short"]) < min(durations["long"])
    True
    """
    durations = {name: [] for name in calls}
    for call in calls.values():
        call()
    names, end = list(calls), time.perf_counter() + seconds
    collecting = gc.isenabled()
    gc.disable()
    try:
        for done in count():
            if done >= rounds and time.perf_counter() >= end:
                return durations
            for name in names:
                settle()
                durations[name] += _burst(calls[name], burst_seconds)
            names.append(names.pop(0))
    finally:
        if collecting:
            gc.enable()


def _burst(call, seconds):
    """The seconds of calls one right after the other; of the first, which wakes threads up, only if alone."""
    durations, end = [], time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        call()
        stop = time.perf_counter()
        durations.append(stop - start)
        if stop >= end:
            return durations[1:] or durations


class FmaLoop:
    """Multiply-adds in registers and nothing else: the most that cores can do, started as our kernels are.

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
    >>> loop = FmaLoop()
    >>> durations = interleave({"1": loop.on(1), "2": loop.on(2)}, 0.1)
    >>> gain = 2 * min(durations["1"]) / min(durations["2"])
    """

    REPEATS = 1 << 19  # about 2 ms, to which starting threads adds nothing
    REPEATS_AT, VALUES_AT, BLOCK_WORDS = MEMBER + 1, MEMBER + 2, MEMBER + 3

    def __init__(self, dtype="float32"):
        if jit.DISABLED:
            raise RuntimeError("NUMBA_DISABLE_JIT=1 is set, so no loop can be compiled; unset it to measure")
        self.dtype, target = np.dtype(dtype), simd.target()
        self.lanes = target.lanes(dtype)
        self.sums = 24 if target.registers >= 32 else 12  # as many as hide the latency and still fit
        self.flops = 2 * self.lanes * self.sums * self.REPEATS
        # The cache knows of changes in the sources of kernels/ by itself, but not in this file.
        key = (Path(__file__).read_text(encoding="utf-8"), dtype, self.lanes, self.sums, target.has_fma)
        self.address = jit.compile_ir("fma_loop", key, lambda *where: self._build(target.has_fma, *where))

    def on(self, threads):
        """A call without arguments that runs the loop once in each of `threads` threads."""
        values = np.full((threads, 2, self.lanes), 0.5, self.dtype)
        block = np.zeros(self.BLOCK_WORDS, np.int64)
        block[[MEMBER, self.REPEATS_AT]] = self.address, self.REPEATS
        block[self.VALUES_AT] = values.ctypes.data
        crew = np.array([(block.ctypes.data, number) for number in range(threads)]).ravel()

        def run():
            if threads == 1:
                team.run_alone(block)
            else:
                team.launch(crew)
            return values

        return run

    def _build(self, has_fma, module, symbol):
        """A member of a team: sums = sums * v + v, again and again; v is read, the total put beside it."""
        word, byte_pointer = simd.I64, simd.BYTE_POINTER
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [word, byte_pointer]), symbol)
        builder = ir.IRBuilder(function.append_basic_block("entry"))
        vectors = simd.Vectors(builder, self.dtype, self.lanes, has_fma)
        rank, block = function.args

        def of_block(place, kind):
            return builder.load(builder.gep(builder.bitcast(block, kind.as_pointer()), [word(place)]))

        repeats, row = of_block(self.REPEATS_AT, word), 2 * self.lanes * self.dtype.itemsize
        values = builder.gep(of_block(self.VALUES_AT, byte_pointer), [builder.mul(rank, word(row))])
        v = vectors.load(values)
        sums = [cgutils.alloca_once(builder, vectors.type) for _ in range(self.sums)]
        for number, total in enumerate(sums):  # all different, or the compiler would keep only one
            builder.store(builder.fmul(v, vectors.constant(number)), total)
        with cgutils.for_range(builder, repeats, intp=word):
            for total in sums:
                builder.store(vectors.fma(builder.load(total), v, v), total)
        result = builder.load(sums[0])
        for total in sums[1:]:
            result = builder.fadd(result, builder.load(total))
        vectors.store(result, builder.gep(values, [word(row // 2)]))
        builder.ret_void()
