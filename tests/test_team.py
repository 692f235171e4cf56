"""Members of a team: however they run, and however the work is divided, every bit is that of one thread."""

import ctypes
import itertools
import os
import subprocess
import sys
import threading
import time

import models
import numpy as np
import pytest
from bits import same
from processes import printed

import numbarnn as nr
from numbarnn import call, costs, dispatch
from numbarnn.kernels import atomics, jit, sequence_cpu
from numbarnn.kernels.jit import njit

compiled = pytest.mark.skipif(jit.DISABLED, reason="schedules are those of the compiled loops")
every_model = pytest.mark.parametrize("model", models.MODELS.values(), ids=models.MODELS)
bound = pytest.mark.skipif(
    not hasattr(os, "sched_setaffinity"), reason="needs a way to bind a process to one core"
)
# Units of one block and a part of one, of several blocks, of more blocks than there are members
SIZES = [(1, 13, 3, 7), (2, 11, 5, 17), (3, 8, 4, 40), (7, 5, 9, 33), (5, 9, 6, 130)]  # B, T, I, H


@pytest.fixture
def schedule(monkeypatch):
    """Choose a schedule whatever it costs: ``schedule(name, hoisted rows)``."""

    def choose(name, hoist=dispatch.HOIST_ROWS):
        monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
        monkeypatch.setattr(dispatch, "SCHEDULES", (name,))
        monkeypatch.setattr(dispatch, "HOIST_ROWS", hoist)

    return choose


def problem(model, B, T, I, H, dtype):  # noqa: E741
    """A layer, inputs, initial states, and arguments in turn: none, lengths with 0, 1 and T, a mask,
    resets.
    """
    rng = np.random.default_rng(B + T + H)
    layer = model.make(I, H, dtype=dtype, return_sequences=True, return_state=True)
    x = rng.standard_normal((B, T, I)).astype(dtype)
    initial = [rng.standard_normal((B, H)).astype(dtype) for _ in layer.cell.definition.states]
    lengths = np.resize([T, 0, 1, T - 2], B)
    batches = [
        {},
        {"lengths": lengths},
        {"mask": rng.random((B, T)) < 0.7},
        {"resets": rng.random((B, T)) < 0.2},
    ]
    return layer, x, initial, batches


@compiled
@every_model
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("size", SIZES, ids=str)
def test_all_schedules_and_hoists_have_the_same_bits(model, dtype, size, schedule, monkeypatch):
    """Rows or units divided among 1, 2 or 3 members, inputs hoisted or not, in waves and many entries or
    not.
    """
    layer, x, initial, batches = problem(model, *size, dtype)
    for given in batches:
        schedule("single", 0)
        expected = layer(x, initial, **given)
        for name, threads, hoist, (wave, seconds) in itertools.product(
            ("single", "rows", "units"), (2, 3), (0, 1, 3), ((240, 0.2), (2, 1e-9))
        ):
            schedule(name, hoist)
            monkeypatch.setattr(dispatch, "WAVE_ROWS", wave)
            monkeypatch.setattr(dispatch, "FIRST_ENTRY_SECONDS", seconds)
            monkeypatch.setattr(call, "ENTRY_SECONDS", seconds)
            same(layer(x, initial, **given, n_threads=threads), expected)


@compiled
@every_model
def test_units_are_divided(model, schedule):
    """The decision says so, and every step is counted once."""
    layer, x, initial, batches = problem(model, 2, 40, 5, 64, "float32")
    schedule("units")
    decision = layer.explain(x, initial, **batches[2], n_threads=2, measure=True)
    assert (decision.schedule, decision.threads) == ("units", 2)
    assert decision.evaluations == decision.valid_steps == batches[2]["mask"].sum()


@compiled
@every_model
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), "together"], ids=str)
def test_members_in_any_order(model, order, schedule, monkeypatch):
    """One after the other in one thread, as a pool with too few threads runs them, or in three threads on any
    number of cores.
    """
    layer, x, initial, batches = problem(model, 3, 9, 4, 50, "float32")
    expected = layer(x, initial, **batches[1], n_threads=1)
    member = ctypes.CFUNCTYPE(None, ctypes.c_int64, ctypes.c_void_p)(sequence_cpu.member.address)

    def launch(crew):
        members = [(number, call) for call, number in crew.reshape(-1, 2).tolist()]
        assert len(members) > 1  # fewer than three where fewer rows have a step
        if order != "together":
            for number in (number for number in order if number < len(members)):
                member(*members[number])
        else:
            threads = [threading.Thread(target=member, args=who) for who in members]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    monkeypatch.setattr(dispatch.team, "launch", launch)
    for name in ("rows", "units"):
        schedule(name)
        for _ in range(20 if order == "together" else 1):
            same(layer(x, initial, **batches[1], n_threads=3), expected)


if not jit.DISABLED:

    @njit
    def exchange(mode):
        return atomics.exchange_float_mode(mode)


@compiled
@pytest.mark.skipif(not atomics.FLUSH_MODE, reason="this machine's floating-point mode is not known to us")
@every_model
def test_a_callers_floating_point_mode_changes_nothing(model, schedule):
    """Denormals are kept and sums are rounded to nearest, whatever another library has set; its mode is as
    before after the call.
    """
    _, x, initial, _ = problem(model, 2, 6, 3, 20, "float32")
    layer = model.make(3, 20, use_bias=False, return_sequences=True, return_state=True)
    x, initial = x * np.float32(1e-39), [state * np.float32(1e-39) for state in initial]
    for name in ("single", "rows", "units"):
        schedule(name)
        expected = layer(x, initial, n_threads=2)
        assert 0 < abs(expected[0]).max() < np.finfo(np.float32).smallest_normal
        before = exchange(atomics.FLUSH_MODE)
        try:
            got = layer(x, initial, n_threads=2)
        finally:
            after = exchange(before)
        # the low bits record exceptions that have happened
        assert after & ~0x3F == atomics.FLUSH_MODE & ~0x3F
        same(got, expected)


@compiled
@pytest.mark.parametrize(
    ("arguments", "environment", "pool"),
    [
        ([], {"NUMBA_THREADING_LAYER": "omp"}, None),
        ([], {"NUMBA_THREADING_LAYER": "tbb"}, None),
        ([], {"NUMBA_THREADING_LAYER": "workqueue"}, None),
        ([], {"NUMBA_THREADING_LAYER": "omp", "OMP_THREAD_LIMIT": "1"}, None),
        ([], {"NUMBA_THREADING_LAYER": "omp", "OMP_WAIT_POLICY": "passive"}, None),
        ([], {"NUMBA_NUM_THREADS": "1"}, 1),
        ([], {"NUMBA_NUM_THREADS": "8"}, 8),
        ([], {"NUMBA_THREADING_LAYER": "tbb", "NUMBA_NUM_THREADS": "8"}, 8),
        pytest.param(["one-core"], {}, 1, marks=bound),
        pytest.param(["one-core-later"], {"NUMBA_NUM_THREADS": "8"}, 8, marks=bound),
        pytest.param(
            ["one-core-later"], {"NUMBA_THREADING_LAYER": "tbb", "NUMBA_NUM_THREADS": "8"}, 8, marks=bound
        ),
    ],
    ids=str,
)
def test_other_pools_have_the_same_bits(arguments, environment, pool):
    """Threading layers; fewer threads than members, more than cores. One core or thread starts no team."""
    found = printed("process_bits.py", *arguments, **environment)
    assert set(found["digests"].values()) == set(printed("process_bits.py")["digests"].values())
    assert len(set(found["digests"].values())) == 1
    assert found["layer"] == environment.get("NUMBA_THREADING_LAYER", found["layer"])
    assert found["pool"] == (pool or found["pool"])
    if pool == 1:
        assert (found["threads"], found["schedule"]) == (1, "single")


@compiled
@bound
def test_on_one_core_members_wait_politely(schedule):
    """Two members on one core, hundreds of barriers: the bits of one thread, and no standstill."""
    layer, x, initial, _ = problem(models.MODELS["lstm"], 2, 300, 8, 64, "float32")
    schedule("single")
    expected = layer(x, initial)
    schedule("units")
    cores = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(cores)})
        same(layer(x, initial, n_threads=2), expected)
    finally:
        os.sched_setaffinity(0, cores)


@compiled
def test_sixteen_threads_on_one_layer(schedule):
    """Python threads that each start a team of two."""
    layer = nr.LSTM(40, seed=2, return_sequences=True)
    x = np.random.default_rng(4).standard_normal((3, 20, 10)).astype(np.float32)
    expected = layer(x)
    for name in ("rows", "units"):
        schedule(name)
        wrong = []

        def call(wrong=wrong):
            for _ in range(20):
                if layer(x, n_threads=2).tobytes() != expected.tobytes():
                    wrong.append(threading.current_thread().name)

        threads = [threading.Thread(target=call) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not wrong


@compiled
def test_busy_neighbours_do_not_stop_a_team(schedule):
    """With another process on every core, two threads with barriers keep at least half the speed of one.

    Calls take turns and are compared pair by pair, so that what others do meanwhile falls on both.
    """
    layer, x, initial, _ = problem(models.MODELS["lstm"], 1, 3000, 16, 256, "float32")

    def seconds(name):
        schedule(name)
        started = time.perf_counter()
        layer(x, initial, n_threads=2)
        return time.perf_counter() - started

    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    seconds("units"), seconds("single")
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(cores)]
    try:
        pairs = [(seconds("single"), seconds("units")) for _ in range(9)]
    finally:
        for process in busy:
            process.kill()
            process.wait()
    assert np.median([alone / together for alone, together in pairs]) > 0.5, pairs
