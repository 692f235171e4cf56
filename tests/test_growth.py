"""Memory: what a call takes beside its results, what the library keeps, and that neither grows."""

import gc
import itertools
import os
import sys
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from models import MODELS, every_model
from numba.core.runtime import _nrt_python, rtsys

import numbarnn as nr
from numbarnn import call, dispatch
from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="told of compiled code; NUMBA_DISABLE_JIT=1 is set")

STATM = Path("/proc/self/statm")
ARRAYS = np.lib.tracemalloc_domain
OBJECTS = 8192  # bytes: Python's own objects in a call, the heads of arrays among them
# The same in a call (measured: 7,800), and in a step, for which everything is there. The smallest arrays that
# such a call could make, those of its plan, take 2,400 more.
AGAIN = 8500, 2000
LENGTHS = np.array([4, 0, 6, 1])


def resident_bytes():
    """Memory of this process, or 0 where the system does not tell."""
    return int(STATM.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if STATM.exists() else 0


@pytest.fixture(scope="module", autouse=True)
def counted_by_numba():
    """Numba counts what compiled code allocates."""
    enabled = _nrt_python.memsys_stats_enabled()
    _nrt_python.memsys_enable_stats()
    yield
    if not enabled:
        _nrt_python.memsys_disable_stats()


def numba_allocations():
    """What compiled code has allocated and not freed."""
    stats = rtsys.get_allocation_stats()
    return stats.alloc - stats.free, stats.mi_alloc - stats.mi_free


WINDOWS = 5


def no_growth(call, count, blocks=40, resident=1 << 20):
    """Fail if each fifth of `count` calls leaves more than so many objects, or all of them so many bytes.

    Python fills stores of its own for a while: ten thousand calls left 215 objects, the next ones 25, 3 and
    7. A leak leaves as much in every window, so the least of them decides: 40 are 2 in a thousand of the
    longest window's calls, and 4 in ten of the shortest's.
    """
    for _ in range(count // 10):
        call()
    gc.collect()
    before, left = (numba_allocations(), resident_bytes()), []
    for _ in range(WINDOWS):
        objects = sys.getallocatedblocks()
        for _ in range(count // WINDOWS):
            call()
        gc.collect()
        left.append(sys.getallocatedblocks() - objects)
    more = resident_bytes() - before[1]
    print(f"{count} calls: {left} objects, {more} bytes more")
    assert numba_allocations() == before[0]
    assert min(left) <= blocks
    assert more <= resident


@contextmanager
def traced():
    """The memory that Python and NumPy take is counted."""
    tracemalloc.start()
    try:
        yield
    finally:
        tracemalloc.stop()


def peak_of(call):
    """The most bytes that `call` had taken at any one time, its results included, and the results."""
    gc.collect()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    results = call()
    return tracemalloc.get_traced_memory()[1] - before, results


def arrays_now():
    """How many arrays' data there are, and their bytes."""
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.DomainFilter(True, ARRAYS)])
    return len(snapshot.traces), sum(trace.size for trace in snapshot.traces)


# Growth


@every_model
def test_a_hundred_thousand_steps(model):
    layer, x, _ = model.batch(2, 1, 3, 5)
    for out in (None, np.empty((2, 5), np.float32)):
        stepper, x_t = layer.stepper(2), np.ascontiguousarray(x[:, 0])
        no_growth(lambda stepper=stepper, x_t=x_t, out=out: stepper(x_t, out=out), 100_000)


def test_a_hundred_thousand_calls():
    """A quarter of them each: dense into given arrays, dense, of lengths, ragged."""
    layer, x, _ = MODELS["lstm"].batch(4, 6, 3, 5)
    out = layer(x)
    ragged = nr.Ragged.from_rows([row[:length] for row, length in zip(x, LENGTHS, strict=True)])
    calls = [
        lambda: layer(x, out=out),
        lambda: layer(x),
        lambda: layer(x, lengths=LENGTHS),
        lambda: layer(ragged),
    ]

    def each():
        for one in calls:
            one()

    no_growth(each, 25_000)


def test_calls_of_ever_other_shapes():
    """More shapes than are kept, again and again; the largest of them first."""
    layer = nr.GRU(5, seed=0)
    x = np.zeros((40, 30, 3), np.float32)
    shapes = itertools.cycle([(b, t) for b in range(40, 0, -3) for t in range(30, 0, -4)])

    def call():
        b, t = next(shapes)
        layer(x[:b, :t])

    no_growth(call, 5000)


def test_calls_that_are_refused():
    layer, x = nr.LSTM(5, stateful=True, seed=0), np.zeros((4, 6, 3), np.float32)
    layer(x)

    def call():
        for wrong in ({"lengths": LENGTHS + 1}, {"out": np.empty((4, 6), np.float32)}, {"n_threads": 0}):
            with pytest.raises(ValueError):
                layer(x, **wrong)

    no_growth(call, 1000)


@every_model
def test_layers_come_and_go(model):
    """With all they hold: weights, packed weights, prepared calls, states, steppers."""
    x = np.zeros((4, 6, 3), np.float32)

    def one():
        layer = model.make(3, 20, stateful=True)
        layer(x)
        layer.reset_states()
        layer(x, lengths=LENGTHS)
        layer.stepper(4)(x[:, 0])

    no_growth(one, 500)


def test_new_weights_take_the_place_of_the_old():
    layer, x = nr.LSTM(48, seed=0), np.zeros((4, 6, 3), np.float32)
    layer(x)
    stepper, weights = layer.stepper(4), layer.get_weights()

    def call():
        layer.set_weights(weights)
        layer(x)
        stepper(x[:, 0])

    no_growth(call, 600)


# Calls that go on as before


@every_model
@pytest.mark.parametrize("sizes", [(2, 50, 20, 60), (1, 100, 200, 200), (64, 20, 33, 70)])
def test_a_repeated_call_into_given_arrays_makes_none(model, sizes):
    """Any copy, plan or workspace it could make is larger than what Python's objects take."""
    layer, x, initial = model.batch(*sizes)
    y = tuple(np.empty_like(array) for array in layer(x, initial))
    with traced():
        for given in ([x], [x, initial]):
            for _ in range(3):
                layer(*given, out=y)
            before = arrays_now()
            peak, _ = peak_of(lambda given=given: layer(*given, out=y))
            assert peak <= AGAIN[0]
            assert arrays_now() == before
            for _ in range(1000 if sizes[0] == 2 else 20):
                layer(*given, out=y)
            assert arrays_now() == before


@every_model
def test_a_repeated_step_makes_no_array(model):
    layer, x, _ = model.batch(40, 2, 70, 80)
    stepper, out = layer.stepper(40), np.empty((40, 80), np.float32)
    x_t = np.ascontiguousarray(x[:, 0])
    for _ in range(3):
        stepper(x_t, out=out)
    with traced():
        before = arrays_now()
        peak, _ = peak_of(lambda: stepper(x_t, out=out))
        assert peak <= AGAIN[1]
        for _ in range(1000):
            stepper(x_t, out=out)
        assert arrays_now() == before


# The most that a call takes


BATCHES = {
    "dense": lambda B, T: {},
    "lengths": lambda B, T: {"lengths": np.arange(B) % (T + 1)},
    "mask": lambda B, T: {"mask": np.random.default_rng(0).random((B, T)) < 0.6},
    "resets": lambda B, T: {"resets": np.random.default_rng(0).random((B, T)) < 0.1},
}


def cold_peak(layer, x, batch):
    """The most that a first call of this shape takes, and its results."""
    nr.warmup(layer)
    layer(x[:1, :1])
    call._workspaces.clear()
    dispatch._kept_plan.cache_clear()
    with traced():
        return peak_of(lambda: layer(x, **batch))


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("converted", [False, True])
@pytest.mark.parametrize("sizes", [(3, 700, 40, 50), (300, 20, 30, 20), (40, 200, 1, 3), (1, 20_000, 1, 2)])
def test_the_most_that_a_call_takes(sizes, converted, batch):
    """Results, the workspace, a converted copy of inputs, the plan: six integers for each step at most."""
    B, T, features, units = sizes
    layer, given = nr.LSTM(units, return_sequences=True, return_state=True, seed=0), BATCHES[batch](B, T)
    x = np.zeros((B, T, features), np.float16 if converted else np.float32)
    decision = layer.explain(x, **given)
    peak, results = cold_peak(layer, x, given)
    made = sum(result.nbytes for result in results)
    copied = 2 * x.nbytes if converted else 0
    planned = peak - made - copied - decision.workspace_bytes
    print(f"{peak} bytes, {made} results, {decision.workspace_bytes} workspace, {copied} copied; ", end="")
    print(f"{(planned - OBJECTS) / (B * T):.1f} a step")
    assert planned <= 48 * B * T + 120 * (B + decision.segments) + OBJECTS


def test_workspaces_that_are_kept(monkeypatch):
    """Eight at most, none larger than 32 MiB, however many calls ran at once and however large."""
    call._workspaces.clear()
    small, x = nr.GRU(64, seed=0), np.zeros((20, 30, 8), np.float32)
    with ThreadPoolExecutor(16) as pool:
        list(pool.map(small, [x] * 200))
    sizes = [workspace.nbytes for workspace, _ in call._workspaces]
    assert 0 < len(sizes) <= 8
    assert call.KEPT_BYTES == 1 << 25
    monkeypatch.setattr(call, "KEPT_BYTES", min(sizes) - 1)
    call._workspaces.clear()
    small(x)
    assert not call._workspaces
