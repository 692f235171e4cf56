"""The loops that show what the machine can do do what they say: nothing is left out or optimised away."""

import numpy as np
import pytest

from numbarnn.benchmarks import limits
from numbarnn.benchmarks.limits import BarrierLoop, EquationsLoop, FmaLoop, ReadLoop
from numbarnn.benchmarks.problems import GATES, plain_step
from numbarnn.kernels import jit, simd

needs_compiler = pytest.mark.skipif(jit.DISABLED, reason="compiling is switched off: NUMBA_DISABLE_JIT=1")


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_fma_loop_computes(dtype, threads):
    """Every thread's sums converge to 1, so their total counts them."""
    loop = FmaLoop(dtype)
    values = loop.on(threads)()
    assert values.dtype == dtype and len(values) == threads
    np.testing.assert_array_equal(values[:, 0], 0.5)
    np.testing.assert_array_equal(values[:, 1], loop.sums)
    assert loop.flops == 2 * loop.lanes * loop.sums * loop.REPEATS


@needs_compiler
def test_sums_of_the_fma_loop_differ(monkeypatch):
    """Before the first round, or the compiler would keep only one of them."""
    monkeypatch.setattr(FmaLoop, "REPEATS", 0)
    loop = FmaLoop()
    np.testing.assert_array_equal(loop.on(1)()[:, 1], 0.5 * sum(range(loop.sums)))


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 40_000, 1 << 20])
def test_read_loop_reads(monkeypatch, size, threads):
    """Each thread all words of its share, each as often as is said: their sums tell."""
    monkeypatch.setattr(ReadLoop, "CALL_BYTES", 1 << 22)
    loop = ReadLoop(size)
    assert size <= loop.size < size + loop.turn_bytes
    assert loop.repeats * loop.size >= 1 << 22 > (loop.repeats - 1) * loop.size
    call = loop.on(threads)
    totals, words = call(), call.words[limits.VALUES_AT]
    np.testing.assert_array_equal(words, np.arange(len(words)))
    assert loop.size <= words.nbytes < loop.size + threads * loop.turn_bytes
    lanes = totals.shape[1]
    expected = loop.repeats * words.reshape(threads, -1, lanes).sum(axis=1, dtype=np.int64)
    np.testing.assert_array_equal(totals, expected.astype(np.int32))  # which wraps around too


@needs_compiler
def test_read_loop_reads_whole_cache_lines():
    """From the beginning of one: or some vectors would lie across two."""
    call = ReadLoop(5000).on(2)
    assert call.words[limits.VALUES_AT].ctypes.data % 64 == 0
    assert call.words[limits.SHARE_AT] % 64 == 0
    assert simd.target().vector_bits // 8 <= 64


@needs_compiler
def test_threads_meet():
    """Each of them every time, however often it is called: the last count of meetings tells."""
    loop = BarrierLoop()
    meet = loop.on(2)
    sizes = [meet() for _ in range(5)]
    assert set(sizes) <= {1, 2}  # a team does not wait for ever for a thread that has no core
    assert loop.on(1)() == 1


@needs_compiler
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_equations_loop_makes_steps(monkeypatch, cell, dtype, threads):
    """One after the other, each from the output before: those of a layer of one unit that sees itself."""
    monkeypatch.setattr(EquationsLoop, "repeats", 7)
    call = EquationsLoop(cell, dtype).on(threads)
    h = c = np.zeros((1, 1))
    for _ in range(7):
        parts = np.full((1, GATES[cell]), EquationsLoop.BIAS), np.full((GATES[cell], 1), EquationsLoop.WEIGHT)
        bias = np.zeros(GATES[cell])
        if cell == "gru":  # whose candidate has its recurrent part, bias and all, apart
            parts[0][0, 2] += EquationsLoop.WEIGHT * h[0, 0]
            bias[2] = EquationsLoop.BIAS
        h, c = plain_step(cell, parts[0], h, c, parts[1], bias)
    expected = np.array([h, c][: 1 + (cell == "lstm")]).reshape(-1, 1)
    for _ in range(2):  # from states of 0 every time
        states = call()
        assert states.dtype == dtype and states.shape == (threads, len(expected), simd.target().lanes(dtype))
        np.testing.assert_allclose(states, np.broadcast_to(expected, states.shape), 40 * np.finfo(dtype).eps)


@needs_compiler
@pytest.mark.parametrize("loop", [FmaLoop, lambda: ReadLoop(4096), BarrierLoop, lambda: EquationsLoop("gru")])
def test_arrays_live_as_long_as_the_call(loop):
    """The loops know their arrays by address alone."""
    call = loop().on(1)
    first = np.copy(call())
    filler = [np.full(5000, -1) for _ in range(100)]
    np.testing.assert_array_equal(call(), first)
    assert len(filler) == 100


@pytest.mark.parametrize("loop", [FmaLoop, lambda: ReadLoop(4096), BarrierLoop, lambda: EquationsLoop("gru")])
def test_loops_need_the_compiler(monkeypatch, loop):
    monkeypatch.setattr(jit, "DISABLED", True)
    with pytest.raises(RuntimeError, match="NUMBA_DISABLE_JIT=1"):
        loop()
