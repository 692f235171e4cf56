"""The only place that picks device and schedule, allocates, and calls kernels."""

import ctypes
import math
import os
import threading
import time
from collections import deque
from dataclasses import replace
from functools import cached_property, lru_cache

import numba
import numpy as np

from . import costs, schedules
from .decision import Decision
from .kernels import block, jit, plan, reference, sequence_cpu, team
from .kernels.atomics import DEFAULT_MODE, FLUSH_MODE
from .kernels.tile import BLOCKS_LIMIT

WAVE_ROWS = (
    240  # rows a member carries through all steps at a time; from 60 up the speed is the same within 6 %
)
# Up to so many rows, products with the inputs are formed for several steps together. Gain on one thread at
# H = 64, 256, 1024 (float32): 1 row 1.15, 1.34, 2.5; 2 rows 1.0, 1.1, 1.5; 3 rows 1.0, 1.0, 1.4; 4 rows 0.98,
# 0.99, 1.1.
HOIST_ROWS = 3
# After about so long a kernel returns, so that an interrupt is heard. The first entry of a wave is cut
# shorter, by a prediction that may be far off on another machine; the following ones are cut by the clock.
ENTRY_SECONDS, FIRST_ENTRY_SECONDS = 0.2, 0.02


def empty(shape, dtype):
    """Every array and workspace of the library: uninitialised, aligned to a cache line."""
    dtype = np.dtype(dtype)
    size = math.prod(shape if isinstance(shape, tuple) else (shape,)) * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    return np.ndarray(shape, dtype, raw, -address_of(raw) % 64)


def address_of(array):
    """Where a contiguous, writable array lies; 0 if it is empty. In a fourth of the time of ``.ctypes``."""
    return ctypes.addressof(ctypes.c_char.from_buffer(array)) if array.size else 0


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


def settings(n_threads, flush):
    """All that `decide` and the entries go by, beside the program, the plan and the threads there are."""
    return n_threads, flush, SCHEDULES, WAVE_ROWS, HOIST_ROWS, FIRST_ENTRY_SECONDS, costs.LAUNCH_WORTH_SECONDS


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
    steps = len(steps_plan.active)
    rows = len(steps_plan.x_row) / steps if steps else 0.0
    return steps * costs.step_seconds(program, rows, HOIST_ROWS)


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
    if len(choices) > 1 or "single" not in choices:
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


# Used workspaces with their addresses, for the next call; one that runs beside others takes or makes its own.
_workspaces = deque(maxlen=8)
KEPT_BYTES = 1 << 25  # of one: eight of them are what the library holds on to at most


def _take_workspace(size):
    try:
        workspace, address = _workspaces.pop()
    except IndexError:
        workspace = None
    if workspace is None or workspace.nbytes < size:
        workspace = empty(size, np.uint8)
        address = workspace.ctypes.data
    return workspace, address


class Call:
    """A decided call with its call block: bound to states and a workspace, it is run once or again and again.

    Parameters
    ----------
    program : Program
        Must outlive the call, as the arrays bound to it must.
    steps_plan : Plan
    n_threads : int, optional
    flush : bool
        Take numbers below the normal ones for 0.
    """

    def __init__(self, program, steps_plan, n_threads=None, flush=False):
        self.settings = settings(n_threads, flush)
        self.decision, self.plan = decide(program, steps_plan, n_threads), steps_plan
        states, members = len(program.cell.states), self.decision.members
        self.member_bytes = program.member_bytes(self.decision.capacity)
        self.team = empty(team.TEAM_WORDS if members > 1 else 0, np.int64)
        counters_at = block.STATE_PLACES + 2 * states + len(program.cell.extra)
        self.words = np.zeros(counters_at + members * block.COUNTER_WORDS, np.int64)
        self.counters = self.words[counters_at:].reshape(members, block.COUNTER_WORDS)
        self.words[: block.STATE_PLACES] = self._told(program, steps_plan)

    def _told(self, program, steps_plan):
        """The words before those of states: a list, which NumPy copies faster than it takes single values."""
        decision, itemsize, told = self.decision, program.dtype.itemsize, [0] * block.STATE_PLACES
        for place, array in zip(block.OF_PLAN, steps_plan, strict=False):
            told[place] = address_of(array)
        told[block.PROGRAM], told[block.TEAM] = address_of(program.table), address_of(self.team)
        told[block.COUNTERS] = address_of(self.counters)
        told[block.MEMBER] = sequence_cpu.member.address
        told[block.X_ROW_BYTES] = itemsize if steps_plan.by_element else program.input_size * itemsize
        told[block.Y_ROW_BYTES] = told[block.Y_PITCH_BYTES] = program.output_size * itemsize
        told[block.Y_STRIDE], told[block.STEPS] = steps_plan.y_stride, decision.steps
        told[block.MEMBER_BYTES] = self.member_bytes
        told[block.CAPACITY], told[block.HOIST_LIMIT] = decision.capacity, HOIST_ROWS
        told[block.FLOAT_MODE] = FLUSH_MODE if self.settings[1] else DEFAULT_MODE
        return told

    def serves(self, steps_plan, n_threads, flush):
        """Whether this call is what such a call would decide on again."""
        if self.plan is not steps_plan or self.settings != settings(n_threads, flush):
            return False
        return self.decision.usable == 0 or self.decision.usable == usable_threads(n_threads)

    @cached_property
    def crew(self):
        """The members, as `team.launch` takes them."""
        return np.array([(self.words.ctypes.data, rank) for rank in range(self.decision.members)]).ravel()

    def bind(self, initial, final, extra=()):
        """Take a workspace, and per state the rows that segments start from (None: the cell's constants) and
        those that final states are written to (None: nowhere), arrays (rows, size); and the rows of the extra
        inputs, which the plan's input rows number.
        """
        self.workspace, address = _take_workspace(self.decision.workspace_bytes)
        self.words[block.WORKSPACE] = address
        self.words[block.VECTOR_ROWS] = address + self.decision.members * self.member_bytes
        place = block.STATE_PLACES
        for start, end in zip(initial, final, strict=True):
            self.words[place] = 0 if start is None else start.ctypes.data
            self.words[place + 1] = 0 if end is None else end.ctypes.data
            place += 2
        for k, rows in enumerate(extra, place):
            self.words[k] = rows.ctypes.data
        self._address = address
        return self

    def turn_to(self, begin, end, step, last, schedule, threads):
        """Make ready for one entry: segments from `begin`, steps from `step`. The first sees to the rows that
        nobody computes.
        """
        words, first = self.words, begin == step == 0
        words[block.WAVE_BEGIN], words[block.WAVE_END] = begin, end
        words[block.STEP_BEGIN], words[block.STEP_END] = step, last
        words[block.ZERO_COUNT] = len(self.plan.zero_rows) if first else 0
        words[block.COPY_COUNT] = len(self.plan.copy_rows) if first else 0
        words[block.SHARES], words[block.MEMBERS] = schedule == "units", threads
        self.threads = threads
        if threads > 1:
            self.team[:] = 0
        return self

    def turn_to_all(self):
        """Make ready for one entry with everything in it."""
        return self.turn_to(0, self.decision.segments, 0, self.decision.steps, "single", 1)

    def bind_rows(self, x, y):
        """Input rows x (read) and output rows y (written), which may be columns of a larger array."""
        self.words[block.X], self.words[block.Y] = x.ctypes.data, y.ctypes.data
        self.words[block.Y_PITCH_BYTES] = y.strides[0]
        return self

    def run(self):
        """All of it. The number of kernel entries."""
        decision = self.decision
        if decision.members == decision.waves == 1 and decision.steps <= decision.first_steps:
            team.run_alone(self.turn_to_all().words)
            return 1
        return drive([self])

    def turns(self):
        """Make ready for one kernel entry after the other; sent back is how many seconds it took."""
        wave, segments, steps = self.decision.wave, self.decision.segments, self.decision.first_steps
        for begin in range(0, max(1, segments), wave):
            end = min(begin + wave, segments)
            for stretch in self._path(begin, end):
                step = stretch.begin
                while step < stretch.end or step == 0:
                    last = min(step + steps, stretch.end)
                    self.turn_to(begin, end, step, last, stretch.schedule, stretch.threads)
                    seconds = yield
                    step, taken = max(last, 1), max(1, last - step)
                    # At most 16 times as long as the one before: a clock may stand still, as in tests.
                    steps = max(1, int(taken * ENTRY_SECONDS / max(seconds, ENTRY_SECONDS / 16)))
            steps = self.decision.first_steps

    def _path(self, begin, end):
        """The stretches of a wave's steps: those decided on, as far as it has steps."""
        # Steps at which more than `begin` segments run.
        last = self.decision.steps if begin == 0 else int(np.searchsorted(-self.plan.active, -begin))
        return [one._replace(end=min(one.end, last)) for one in self.decision.path if one.begin <= last]

    def may_run(self):
        """Whether the threads it was decided for may be started where it is called now."""
        return self.decision.members == 1 or may_launch()

    def step(self, x, y):
        """`run` for one time step, without the detour over Python's addresses; x and y are C-contiguous,
        aligned and writable.
        """
        if self.decision.members == self.decision.waves == 1:
            team.enter(self.words, x, y)
        else:
            self.bind_rows(x, y).run()

    def measured(self, seconds, entries):
        """The decision with what was counted in a run of so many seconds and entries."""
        evaluations, *by_variant = self.counters.sum(axis=0).tolist()
        tiles = {
            (variant // BLOCKS_LIMIT + 1, variant % BLOCKS_LIMIT + 1): calls
            for variant, calls in enumerate(by_variant)
            if calls
        }
        return replace(self.decision, seconds=seconds, entries=entries, evaluations=evaluations, tiles=tiles)

    def release(self):
        """Give the workspace to the next call; this one must be bound again."""
        if self.workspace.nbytes <= KEPT_BYTES:
            _workspaces.append((self.workspace, self._address))
        self.workspace = None


def drive(calls):
    """Run bound calls side by side. The number of kernel entries."""
    entries, running = 0, [(call, call.turns()) for call in calls]
    for _, turns in running:
        next(turns)
    while running:
        started = time.perf_counter()
        _enter([call for call, _ in running])
        seconds = time.perf_counter() - started
        running = [(call, turns) for call, turns in running if _has_more(turns, seconds)]
        entries += 1
    return entries


def _enter(calls):
    """One kernel entry of each call: all in one parallel region, or one by itself."""
    if len(calls) == 1 and calls[0].threads == 1:
        team.run_alone(calls[0].words)
    else:
        crews = [call.crew[: 2 * call.threads] for call in calls]
        team.launch(crews[0] if len(crews) == 1 else np.concatenate(crews))


def _has_more(turns, seconds):
    try:
        turns.send(seconds)
    except StopIteration:
        return False
    return True


class ReferenceCall:
    """`Call` where compiling is switched off: the same runs in NumPy."""

    def __init__(self, program, steps_plan):
        self.arguments = program, steps_plan

    def bind(self, initial, final, extra=()):
        self.bound = initial, final, extra
        return self

    def step(self, x, y):
        reference.run(*self.arguments, x, y, *self.bound)

    def may_run(self):
        return True


def prepare(program, steps_plan, initial, final, flush):
    """A call to be stepped again and again, see `Call`."""
    if jit.DISABLED:
        return ReferenceCall(program, steps_plan).bind(initial, final)
    return Call(program, steps_plan, flush=flush).bind(initial, final).turn_to_all()


def take_call(program, steps_plan, n_threads, flush, again=True):
    """A call for this plan that another one has left behind, if it comes `again`, or a new one."""
    for _ in range(len(program.calls) if again else 0):
        try:
            call = program.calls.popleft()
        except IndexError:  # another thread has taken it
            break
        if call.serves(steps_plan, n_threads, flush):
            return call
        program.calls.append(call)
    return Call(program, steps_plan, n_threads, flush)


def compile_all(program):
    """Compile or load everything that calls of `program` can need, whatever their shapes and arguments."""
    if jit.DISABLED:
        return
    rows, states = np.zeros((2, max(1, program.input_size)), program.dtype), len(program.cell.states)
    x, y = rows[:, : program.input_size], np.zeros((2, program.output_size), program.dtype)
    extra = [np.zeros((2, program.depths[name]), program.dtype) for name in program.cell.extra]
    every = plan.build(1, 2, mask=np.array([[True, False]]), resets=np.array([[False, True]]))
    call = Call(program, every).bind([None] * states, [None] * states, extra)
    call.bind_rows(x, y).run()
    team.enter(call.words, x, y)
    if may_launch():
        team.launch(call.crew)


def run_again(program, steps_plan, x, y, n_threads, flush):
    """`run` on the CPU from the cell's constants, where `dense_plan` keeps the plan and both arrays are
    C-contiguous and writable: in half the time in Python.
    """
    call = take_call(program, steps_plan, n_threads, flush).bind(*program.no_states)
    words = call.words
    words[block.X], words[block.Y] = address_of(x), address_of(y)
    words[block.Y_PITCH_BYTES] = words[block.Y_ROW_BYTES]
    call.run()
    call.release()
    if call.decision.valid_steps <= KEPT_STEPS:
        program.calls.append(call)


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
    x : ndarray, shape (rows, I)
        Of the program's dtype, and C-contiguous unless the plan counts elements. Read at the plan's input
        rows only.
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
