"""The only place that picks device and schedule, allocates, and calls kernels."""

import math
import os
import threading
import time
from dataclasses import replace
from functools import lru_cache
from typing import NamedTuple

import numba
import numpy as np

from . import costs, schedules
from .call import Call, ReferenceCall, address_of
from .decision import Decision
from .kernels import block, jit, plan, team

WAVE_ROWS = (
    240  # rows a member carries through all steps at a time; from 60 up the speed is the same within 6 %
)
# Up to so many rows, products with the inputs are formed for several steps together. Gain on one thread at
# H = 64, 256, 1024 (float32): 1 row 1.15, 1.34, 2.5; 2 rows 1.0, 1.1, 1.5; 3 rows 1.0, 1.0, 1.4; 4 rows 0.98,
# 0.99, 1.1.
HOIST_ROWS = 3
# The first kernel entry of a wave is cut to so much, by a prediction that may be far off on another machine;
# the following ones are longer, and cut by the clock.
FIRST_ENTRY_SECONDS = 0.02


def empty(shape, dtype):
    """Every array and workspace of the library: uninitialised, aligned to a cache line."""
    dtype = np.dtype(dtype)
    size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    return np.ndarray(shape, dtype, raw, -address_of(raw) % 64)


KEPT_STEPS, KEPT_PLANS = 1 << 17, 16  # a plan of so many steps takes 3 MB; longer ones are made anew


def dense_plan(B, T, **options):
    """The plan of a dense batch (`plan.dense`); the last few are kept by shape."""
    make = _kept_plan if B * T <= KEPT_STEPS else plan.dense
    return make(B, T, **options)


_kept_plan = lru_cache(maxsize=KEPT_PLANS)(plan.dense)


_forked = threading.Event()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked.set)


def may_launch():
    """Whether several threads may be started here: after a fork OpenMP ends the child, and `workqueue` serves
    the main thread only.
    """
    if _forked.is_set():
        return False
    numba.get_num_threads()  # the layer has a name once its threads are started
    return numba.threading_layer() != "workqueue" or threading.current_thread() is threading.main_thread()


SCHEDULES = ("single", "rows", "units")  # those that may be chosen; "single" also where the others cannot be


class Settings(NamedTuple):
    """All that `decide` and the entries go by, beside the program, the plan and the threads there are."""

    n_threads: int | None
    flush: bool
    schedules: tuple
    wave_rows: int
    hoist_rows: int
    first_seconds: float
    worth_seconds: float
    ahead_bytes: tuple


def settings(n_threads=None, flush=False):
    """Those of a call now."""
    chosen = SCHEDULES, WAVE_ROWS, HOIST_ROWS, FIRST_ENTRY_SECONDS
    return Settings(n_threads, flush, *chosen, costs.LAUNCH_WORTH_SECONDS, costs.AHEAD_BYTES)


def usable_threads(n_threads):
    """How many threads a call that is worth them may use."""
    if n_threads == 1 or not may_launch():
        return 1
    return n_threads or numba.get_num_threads()


def worth_seconds(n_threads):
    """For how much work several threads are started: for less where they were asked for."""
    return costs.entry_seconds(n_threads) if n_threads else costs.LAUNCH_WORTH_SECONDS


def seconds_alone(program, steps_plan):
    """Predicted seconds of a call on one thread, as if all its steps had as many rows."""
    steps, valid = len(steps_plan.active), len(steps_plan.x_row)
    return schedules.seconds_alone(program, steps, valid, HOIST_ROWS)


def decide(program, steps_plan, n_threads=None):
    """The `Decision` for one call: schedules, threads and waves. Nothing is run."""
    segments, steps, valid = len(steps_plan.init_row), len(steps_plan.active), len(steps_plan.x_row)
    alone = seconds_alone(program, steps_plan)
    if jit.DISABLED:
        counts = steps, segments, valid, 1, 0, 0, 0, 0
        return Decision("cpu", "reference", 1, *counts, alone, weights=program.weights_dtype)
    usable = usable_threads(n_threads) if alone > worth_seconds(n_threads) else 0
    choices = {"rows": min(usable, segments), "units": min(usable, program.unit_blocks)}
    choices = {name: threads for name, threads in choices.items() if threads > 1 and name in SCHEDULES}
    if "single" in SCHEDULES or not choices:
        choices["single"] = 1
    path, predicted = (schedules.Stretch(0, steps, "single", 1),), alone
    if steps and (len(choices) > 1 or "single" not in choices):
        path, predicted = schedules.stretches(program, steps_plan.active, HOIST_ROWS, choices)
    schedule, threads = max(path, key=lambda stretch: stretch.end - stretch.begin)[2:]
    wave = WAVE_ROWS * max(one.threads if one.schedule == "rows" else 1 for one in path)
    waves = max(1, -(-segments // wave))
    capacity = max(block.HOISTED_ROWS, -(-min(segments, wave) // 8) * 8)
    first_steps = int(FIRST_ENTRY_SECONDS * steps * waves / predicted) if steps else 0
    members = max(one.threads for one in path)
    return Decision(
        "cpu",
        schedule,
        threads,
        steps,
        segments,
        valid,
        waves,
        *program.reach,
        workspace_bytes=members * program.member_bytes(capacity) + capacity * program.bytes_per_row,
        predicted_seconds=predicted,
        path=tuple(path),
        members=members,
        wave=wave,
        weights=program.weights_dtype,
        capacity=capacity,
        first_steps=max(1, min(steps, first_steps)),
        usable=usable,
    )


def make_call(program, steps_plan, chosen):
    """A decided call."""
    return Call(program, steps_plan, decide(program, steps_plan, chosen.n_threads), chosen, empty)


def prepare(program, steps_plan, initial, final, n_threads, flush):
    """A call to be stepped again and again, see `Call`."""
    if jit.DISABLED:
        return ReferenceCall(program, steps_plan).bind(initial, final)
    return make_call(program, steps_plan, settings(n_threads, flush)).bind(initial, final).turn_to_all()


def may_run(call):
    """Whether the threads that a call was decided for may be started where it is run now."""
    return call.members == 1 or may_launch()


def serves(call, steps_plan, chosen):
    """Whether this call is what a call of that plan with such settings would decide on again."""
    if call.plan is not steps_plan or call.settings != chosen:
        return False
    return call.decision.usable == 0 or call.decision.usable == usable_threads(chosen.n_threads)


def take_call(program, steps_plan, n_threads, flush, again=True):
    """A call for this plan that another one has left behind, if it comes `again`, or a new one."""
    chosen = settings(n_threads, flush)
    for _ in range(len(program.calls) if again else 0):
        try:
            call = program.calls.popleft()
        except IndexError:  # another thread has taken it
            break
        if serves(call, steps_plan, chosen):
            return call
        program.calls.append(call)
    return make_call(program, steps_plan, chosen)


def compile_all(program):
    """Compile or load everything that calls of `program` can need, whatever their shapes and arguments."""
    if jit.DISABLED:
        return
    rows, states = np.zeros((2, max(1, program.input_size)), program.dtype), len(program.cell.states)
    x, y = rows[:, : program.input_size], np.zeros((2, program.output_size), program.dtype)
    extra = [np.zeros((2, program.depths[name]), program.dtype) for name in program.cell.extra]
    every = plan.build(1, 2, mask=np.array([[True, False]]), resets=np.array([[False, True]]))
    call = make_call(program, every, settings()).bind([None] * states, [None] * states, extra)
    call.bind_rows(x, y).run()
    team.enter(call.words, x, y)
    schedules.stretches(program, every.active, HOIST_ROWS, {"single": 1})
    if may_launch():
        team.launch(call.crew)


def explain(program, steps_plan, n_threads, device):
    """The decision that `run` would execute."""
    if device is None:
        return decide(program, steps_plan, n_threads)
    from . import dispatch_cuda

    return dispatch_cuda.decide(device, program, steps_plan)


def run(
    program,
    steps_plan,
    x,
    y,
    initial,
    final,
    n_threads=None,
    again=False,
    measure=False,
    device=None,
    stream=None,
    extra=(),
    flush=False,
):
    """Run one call.

    Parameters
    ----------
    program : Program
    steps_plan : Plan
    x : ndarray, shape (..., I)
        Rows, of the program's dtype, and C-contiguous unless the plan counts elements. Read at the plan's
        input rows only.
    y : ndarray, shape (rows, H)
        Written, all of it. C-contiguous, or columns of such an array.
    initial, final : sequence of ndarray or None
        See `Call.bind`; C-contiguous. Final rows are written, all of them.
    n_threads : int, optional
        At most so many. Default: what the work is worth.
    again : bool
        This plan will come again, since `dense_plan` keeps it: keep the prepared call too.
    measure : bool
        Fill in the measured part of the decision.
    device : Device, optional
        Default: the CPU. The arrays may then be on that device.
    stream : object, optional
        See `Device.stream`.
    extra : sequence of ndarray
        Rows of the inputs that the cell's functions read, numbered as those of x, in the order of
        ``program.cell.extra``. C-contiguous, where x is.
    flush : bool
        Take numbers below the normal ones for 0; on the CPU, where it is compiled.

    Returns
    -------
    Decision or DeviceDecision
    """
    if device is not None:
        from . import dispatch_cuda

        return dispatch_cuda.run(
            device, program, steps_plan, x, y, initial, final, stream, again, measure, extra=extra
        )
    started = time.perf_counter()
    if jit.DISABLED:
        decision = decide(program, steps_plan)
        ReferenceCall(program, steps_plan).bind(initial, final, extra).step(x, y)
        seconds = time.perf_counter() - started
        return replace(decision, seconds=seconds, entries=1, evaluations=decision.valid_steps, tiles={})
    call = take_call(program, steps_plan, n_threads, flush, again and not measure)
    entries = call.bind(initial, final, extra).bind_rows(x, y).run()
    call.release()
    if measure:
        return call.measured(time.perf_counter() - started, entries)
    if again and call.decision.valid_steps <= KEPT_STEPS:
        program.calls.append(call)
    return call.decision
