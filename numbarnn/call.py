"""A call made ready for the kernels: its call block, its workspace, and the entries that carry it out."""

import ctypes
import time
from collections import deque
from dataclasses import replace

import numpy as np

from . import costs
from .kernels import block, plan, reference, sequence_cpu, team
from .kernels.atomics import DEFAULT_MODE, FLUSH_MODE
from .kernels.tile import BLOCKS_LIMIT

# After about so long a kernel returns, so that an interrupt is heard.
ENTRY_SECONDS = 0.2


def address_of(array):
    """Where an array lies. Of a contiguous, writable one in a fourth of the time of ``.ctypes``."""
    if array.flags.carray and array.size:
        return ctypes.addressof(ctypes.c_char.from_buffer(array))
    return array.ctypes.data


# Used workspaces with their addresses, for the next call; one that runs beside others takes or makes its own.
_workspaces = deque(maxlen=8)
KEPT_BYTES = 1 << 25  # of one: eight of them are what the library holds on to at most


def _take_workspace(size, empty):
    try:
        workspace, address = _workspaces.pop()
    except IndexError:
        workspace = None
    if workspace is None or workspace.nbytes < size:
        workspace = empty(size, np.uint8)
        address = address_of(workspace)
    return workspace, address


class Call:
    """A decided call with its call block: bound to states and a workspace, it is run once or again and again.

    Parameters
    ----------
    program : Program
        Must outlive the call, as the arrays bound to it must.
    steps_plan : Plan
    decision : Decision
    settings : dispatch.Settings
        That it was decided by.
    empty : callable
        Allocates, see `dispatch.empty`.
    """

    def __init__(self, program, steps_plan, decision, settings, empty):
        self.decision, self.plan, self.settings, self._empty = decision, steps_plan, settings, empty
        self.members = members = decision.members
        self.is_alone = members == 1 and decision.is_one_entry
        self.member_bytes = program.member_bytes(decision.capacity)
        crew_at = team.TEAM_WORDS + block.STATE_PLACES
        crew_at += 2 * len(program.cell.states) + len(program.cell.extra)
        counters_at = crew_at + 2 * members
        whole = empty(counters_at + members * block.COUNTER_WORDS, np.int64)
        whole[...] = 0
        # On cache lines of their own, as `empty` has arrays begin on one.
        self._team, self.words = whole[: team.TEAM_WORDS], whole[team.TEAM_WORDS :]
        self._crew, self._counters = whole[crew_at:counters_at], whole[counters_at:]
        at = address_of(whole)
        address = at + self._team.nbytes
        self._crew[:] = [word for rank in range(members) for word in (address, rank)]
        self.words[: block.STATE_PLACES] = self._told(program, at, at + 8 * counters_at)
        plan.note(self.words, *steps_plan[:9])

    def _told(self, program, team_at, counters_at):
        """The words before those of states: a list, which NumPy copies faster than it takes single values."""
        steps_plan, settings, told = self.plan, self.settings, [0] * block.STATE_PLACES
        told[block.PROGRAM], told[block.TEAM], told[block.COUNTERS] = program.address, team_at, counters_at
        told[block.MEMBER] = sequence_cpu.member.address
        itemsize = program.dtype.itemsize
        told[block.X_ROW_BYTES] = itemsize if steps_plan.by_element else program.input_size * itemsize
        told[block.Y_ROW_BYTES] = told[block.Y_PITCH_BYTES] = program.output_size * itemsize
        told[block.Y_STRIDE], told[block.STEPS] = steps_plan.y_stride, self.decision.steps
        told[block.MEMBER_BYTES] = self.member_bytes
        told[block.CAPACITY], told[block.HOIST_LIMIT] = self.decision.capacity, settings.hoist_rows
        last = self.decision.path[-1]  # where rows are few
        shares = last.threads if last.schedule == "units" else 1
        told[block.AHEAD_ROWS] = program.ahead_rows if costs.goes_ahead(program, shares) else 0
        told[block.FLOAT_MODE] = FLUSH_MODE if settings.flush else DEFAULT_MODE
        return told

    def bind(self, initial, final, extra=()):
        """Take a workspace, and per state the rows that segments start from (None: the cell's constants) and
        those that final states are written to (None: nowhere), arrays (rows, size); and the rows of the extra
        inputs, which the plan's input rows number.
        """
        self.workspace, address = _take_workspace(self.decision.workspace_bytes, self._empty)
        self.words[block.WORKSPACE] = address
        self.words[block.VECTOR_ROWS] = address + self.members * self.member_bytes
        place = block.STATE_PLACES
        for start, end in zip(initial, final, strict=True):
            self.words[place] = 0 if start is None else address_of(start)
            self.words[place + 1] = 0 if end is None else address_of(end)
            place += 2
        for k, rows in enumerate(extra, place):
            self.words[k] = address_of(rows)
        self._address = address
        return self

    def bind_rows(self, x, y):
        """Input rows x (read) and output rows y (written), which may be columns of a larger array."""
        self.words[block.X], self.words[block.Y] = address_of(x), address_of(y)
        self.words[block.Y_PITCH_BYTES] = y.strides[0]
        return self

    def release(self):
        """Give the workspace to the next call; this one must be bound again."""
        if self.workspace.nbytes <= KEPT_BYTES:
            _workspaces.append((self.workspace, self._address))
        self.workspace = None

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
            self._team[:] = 0
        return self

    def turn_to_all(self):
        """Make ready for the one entry that has everything in it, if all steps are run in one way."""
        (stretch,) = self.decision.path
        return self.turn_to(0, self.decision.segments, 0, self.decision.steps, *stretch[2:])

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

    @property
    def crew(self):
        """The members of the next entry, as `team.launch` takes them."""
        return self._crew[: 2 * self.threads]

    def run(self):
        """All of it. The number of kernel entries."""
        if not self.decision.is_one_entry:
            return drive([self])
        _enter([self.turn_to_all()])
        return 1

    def step(self, x, y):
        """`run` for one time step, without the detour over Python's addresses; x and y are C-contiguous,
        aligned and writable.
        """
        if self.is_alone:
            team.enter(self.words, x, y)
        else:
            self.bind_rows(x, y).run()

    def measured(self, seconds, entries):
        """The decision with what was counted in a run of so many seconds and entries."""
        counters = self._counters.reshape(-1, block.COUNTER_WORDS)
        evaluations, *by_variant = counters.sum(axis=0).tolist()
        tiles = {
            (variant // BLOCKS_LIMIT + 1, variant % BLOCKS_LIMIT + 1): calls
            for variant, calls in enumerate(by_variant)
            if calls
        }
        return replace(self.decision, seconds=seconds, entries=entries, evaluations=evaluations, tiles=tiles)


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
        team.launch(calls[0].crew if len(calls) == 1 else np.concatenate([call.crew for call in calls]))


def _has_more(turns, seconds):
    try:
        turns.send(seconds)
    except StopIteration:
        return False
    return True


class ReferenceCall:
    """`Call` where compiling is switched off: the same runs in NumPy."""

    members = 1

    def __init__(self, program, steps_plan):
        self.arguments = program, steps_plan

    def bind(self, initial, final, extra=()):
        self.bound = initial, final, extra
        return self

    def step(self, x, y):
        reference.run(*self.arguments, x, y, *self.bound)
