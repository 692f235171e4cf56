"""The only place that picks device and schedule, allocates, and calls kernels."""

import os
import threading
import time
from collections import deque
from dataclasses import dataclass, field
from functools import lru_cache

import numba
import numpy as np

from . import costs
from .kernels import block, jit, plan, reference, sequence_cpu, team
from .kernels.atomics import DEFAULT_MODE
from .kernels.tile import BLOCKS_LIMIT

WAVE_ROWS = (
    240  # rows a member carries through all steps at a time; from 60 up the speed is the same within 6 %
)
# Up to so many rows, products with the inputs are formed for several steps together. Gain on one thread at
# H = 64, 256, 1024 (float32): 1 row 1.15, 1.34, 2.5; 2 rows 1.0, 1.1, 1.5; 3 rows 1.0, 1.0, 1.4; 4 rows 0.98,
# 0.99, 1.1.
HOIST_ROWS = 3
ENTRY_SECONDS = 0.2  # after about so long a kernel returns, so that an interrupt is heard


class DeviceNotAvailable(RuntimeError):
    """The device asked for is not there; the message says what was looked for."""


def device_of(device):
    """The device to run on; a `device` that cannot be had raises, nothing else is tried in its place."""
    if device == "cuda":
        raise DeviceNotAvailable(
            "device = 'cuda': this version has kernels for the CPU only; use device='cpu' or device='auto'"
        )
    return "cpu"


def empty(shape, dtype):
    """Every array and workspace of the library: uninitialised, aligned to a cache line."""
    dtype = np.dtype(dtype)
    size = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
    raw = np.empty(size + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size].view(dtype).reshape(shape)


KEPT_STEPS = 1 << 14  # a plan of so many steps takes 0.4 MB; longer ones cost less to make than to follow


def dense_plan(B, T, reverse=False, time_major=False, return_sequences=True):
    """The plan of a dense batch; short ones are kept by shape."""
    make = _kept_plan if B * T <= KEPT_STEPS else plan.dense
    return make(B, T, reverse=reverse, time_major=time_major, return_sequences=return_sequences)


_kept_plan = lru_cache(maxsize=64)(plan.dense)


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


@dataclass
class Decision:
    """What a call does, and with ``measure=True`` what it did. Printed, it is a short report.

    Attributes
    ----------
    device : str
    schedule : str
        ``"rows"``: rows split over threads for the whole sequence; ``"units"``: units split over threads,
        which wait for each other in every step; ``"single"``: one thread, no parallel region;
        ``"reference"``: NumPy, when compiling is switched off.
    threads : int
    steps, segments, valid_steps : int
        Of the plan: steps of the longest sequence, sequences, and cell evaluations in all.
    waves, entries : int
        Groups of segments carried through together, and calls of a kernel.
    tile_rows, tile_blocks, wide_blocks : int
        Reach of the tiles, in the first phase with products: rows, unit blocks beside several rows, unit
        blocks beside one.
    workspace_bytes : int
    predicted_seconds : float
    seconds : float or None
        Measured.
    evaluations : int or None
        Counted by the kernel: rows times steps.
    tiles : dict or None
        Counted: (rows, unit blocks) to how many tiles of that shape ran.
    """

    device: str
    schedule: str
    threads: int
    steps: int
    segments: int
    valid_steps: int
    waves: int
    entries: int
    tile_rows: int
    tile_blocks: int
    wide_blocks: int
    workspace_bytes: int
    predicted_seconds: float
    seconds: float | None = None
    evaluations: int | None = None
    tiles: dict | None = None
    capacity: int = field(default=8, repr=False)
    steps_per_entry: int = field(default=1, repr=False)

    def __str__(self):
        lines = [
            f"{self.device}, schedule {self.schedule!r}, {self.threads} thread(s), {self.entries} kernel "
            f"entries in {self.waves} wave(s)"
        ]
        lines.append(f"{self.segments} sequence(s), {self.steps} steps, {self.valid_steps} cell evaluations")
        lines.append(
            f"tiles up to {self.tile_rows} rows x {self.tile_blocks} blocks, 1 row x {self.wide_blocks} "
            "blocks"
        )
        lines.append(f"workspace {self.workspace_bytes} bytes, predicted {self.predicted_seconds:.3g} s")
        if self.seconds is not None:
            shapes = ", ".join(f"{rows}x{blocks}: {count}" for (rows, blocks), count in self.tiles.items())
            lines.append(f"measured {self.seconds:.3g} s, {self.evaluations} evaluations, tiles {shapes}")
        return "\n".join(lines)


SCHEDULES = ("single", "rows", "units")  # those that may be chosen; "single" also where the others cannot be


def decide(program, steps_plan, n_threads=None):
    """The `Decision` for one call: schedule, threads, waves and entries. Nothing is run."""
    segments, steps, valid = len(steps_plan.init_row), len(steps_plan.active), len(steps_plan.x_row)
    alone = costs.seconds(program, valid, steps, 1, 1)
    if jit.DISABLED:
        return Decision("cpu", "reference", 1, steps, segments, valid, 1, 1, 0, 0, 0, 0, alone)
    choices = {}
    if n_threads != 1 and alone > costs.LAUNCH_WORTH_SECONDS and may_launch():
        threads = n_threads or numba.get_num_threads()
        by_rows, by_units = min(threads, segments), min(threads, program.unit_blocks)
        if by_rows > 1 and "rows" in SCHEDULES:
            choices["rows"] = by_rows, costs.seconds(program, valid, steps, by_rows, 1)
        if by_units > 1 and "units" in SCHEDULES:
            choices["units"] = by_units, costs.seconds(program, valid, steps, 1, by_units)
    if "single" in SCHEDULES or not choices:
        choices["single"] = 1, alone
    schedule = min(choices, key=lambda name: choices[name][1])
    threads, predicted = choices[schedule]
    wave = WAVE_ROWS * (threads if schedule == "rows" else 1)
    waves = max(1, -(-segments // wave))
    rows = -(-min(segments, wave) // (threads if schedule == "rows" else 1))
    capacity = max(block.HOISTED_ROWS, -(-rows // 8) * 8)
    reach = program.reach
    decision = Decision(
        "cpu",
        schedule,
        threads,
        steps,
        segments,
        valid,
        waves,
        0,
        reach.rows,
        reach.blocks,
        reach.wide_blocks,
        workspace_bytes=sum(workspace_bytes(program, schedule, threads, capacity)),
        predicted_seconds=predicted,
        capacity=capacity,
        steps_per_entry=max(1, int(ENTRY_SECONDS * steps * waves / predicted)) if steps else 1,
    )
    decision.entries = sum(1 for _ in entries(decision, steps_plan))
    return decision


def workspace_bytes(program, schedule, threads, capacity):
    """What the members have each to themselves, and what their rows of vectors take, together or each."""
    vectors = capacity * program.bytes_per_row
    return threads * program.member_bytes(capacity), vectors * (threads if schedule == "rows" else 1)


def entries(decision, steps_plan):
    """The kernel entries of a call, as (first segment, end, first step, end): waves of segments, cut where an
    interrupt is to be heard.
    """
    wave = WAVE_ROWS * (decision.threads if decision.schedule == "rows" else 1)
    for begin in range(0, max(1, decision.segments), wave):
        end = min(begin + wave, decision.segments)
        steps = int(
            np.searchsorted(-steps_plan.active, -begin)
        )  # those at which more than `begin` segments run
        for step in range(0, max(1, steps), decision.steps_per_entry):
            yield begin, end, step, min(step + decision.steps_per_entry, steps)


# Used workspaces, for the next call; a call that runs beside others takes or makes its own.
_workspaces = deque(maxlen=8)
KEPT_BYTES = 1 << 25  # of one: eight of them are what the library holds on to at most


def _take_workspace(size):
    try:
        workspace = _workspaces.pop()
    except IndexError:
        return empty(size, np.uint8)
    return workspace if workspace.nbytes >= size else empty(size, np.uint8)


class Call:
    """A decided call with its call block and workspace, to be run once or, on other rows of the same number,
    again and again.

    Parameters
    ----------
    program : Program
    steps_plan : Plan
    decision : Decision
    initial, final : sequence of ndarray or None, shape (rows, H)
        Per state: rows that segments start from (None: the cell's constants) and rows that final states are
        written to.
    """

    def __init__(self, program, steps_plan, decision, initial, final):
        self.decision, self.plan, self._keep = decision, steps_plan, (program, initial, final)
        threads, states = decision.threads, len(program.cell.states)
        self.workspace = _take_workspace(decision.workspace_bytes)
        own, _ = workspace_bytes(program, decision.schedule, threads, decision.capacity)
        self.team = empty(team.TEAM_WORDS, np.int64)
        self.words = np.zeros(block.STATE_PLACES + 2 * states + threads * block.COUNTER_WORDS, np.int64)
        self.counters = self.words[block.STATE_PLACES + 2 * states :].reshape(threads, block.COUNTER_WORDS)
        arrays = {
            block.PROGRAM: program.table,
            block.WORKSPACE: self.workspace,
            block.VECTOR_ROWS: self.workspace[own:],
            block.TEAM: self.team,
            block.COUNTERS: self.counters,
            block.ACTIVE: steps_plan.active,
            block.FIRST: steps_plan.first,
            block.X_ROW: steps_plan.x_row,
            block.Y_ROW: steps_plan.y_row,
            block.Y_REPEAT: steps_plan.y_repeat,
            block.INIT_ROW: steps_plan.init_row,
            block.FINAL_ROW: steps_plan.final_row,
            block.ZERO_ROWS: steps_plan.zero_rows,
            block.COPY_ROWS: steps_plan.copy_rows,
        }
        for place, array in arrays.items():
            self.words[place] = array.ctypes.data
        for state, (start, end) in enumerate(zip(initial, final, strict=True)):
            place = block.STATE_PLACES + 2 * state
            self.words[place] = 0 if start is None else start.ctypes.data
            self.words[place + 1] = 0 if end is None else end.ctypes.data
        itemsize = program.dtype.itemsize
        self.words[block.MEMBERS] = threads
        self.words[block.MEMBER] = sequence_cpu.member.address
        self.words[block.X_ROW_BYTES] = program.input_size * itemsize
        self.words[block.Y_ROW_BYTES] = program.units * itemsize
        self.words[block.Y_STRIDE] = steps_plan.y_stride
        self.words[block.STEPS] = decision.steps
        self.words[block.SHARES] = block.UNITS if decision.schedule == "units" else block.ROWS
        self.words[block.MEMBER_BYTES] = own // threads
        self.words[block.VECTOR_ROWS_BYTES] = decision.capacity * program.bytes_per_row
        self.words[block.CAPACITY] = decision.capacity
        self.words[block.HOIST_LIMIT] = HOIST_ROWS
        self.words[block.FLOAT_MODE] = DEFAULT_MODE
        self.entries = list(entries(decision, steps_plan))
        self._enter(self.entries[0])

    def _enter(self, entry):
        """Turn the call block to one entry; the rows nobody computes are seen to in the first."""
        self.words[block.WAVE_BEGIN : block.STEP_END + 1] = entry
        self.team[:] = 0
        first = entry is self.entries[0]
        self.words[block.ZERO_COUNT] = len(self.plan.zero_rows) if first else 0
        self.words[block.COPY_COUNT] = len(self.plan.copy_rows) if first else 0

    def run(self, x, y):
        """All entries, on input rows x (read) and output rows y (written)."""
        self.words[block.X], self.words[block.Y] = x.ctypes.data, y.ctypes.data
        start = team.run_alone if self.decision.threads == 1 else team.launch
        for entry in self.entries:
            self._enter(entry)
            start(self.words)

    def step(self, x, y):
        """`run` for calls of one entry, without the detour over Python's addresses; x and y are C-contiguous,
        aligned and writable.
        """
        if self.decision.threads == 1:
            team.enter(self.words, x, y)
        else:
            self.run(x, y)

    def release(self):
        """Give the workspace to the next call; this one must not run again."""
        if self.workspace.nbytes <= KEPT_BYTES:
            _workspaces.append(self.workspace)


class ReferenceCall:
    """`Call` where compiling is switched off: the same runs in NumPy."""

    def __init__(self, *arguments):
        self.arguments = arguments

    def run(self, x, y):
        program, steps_plan, initial, final = self.arguments
        reference.run(program, steps_plan, x, y, initial, final)

    step = run


def prepare(program, steps_plan, initial, final):
    """A call to be stepped again and again, see `Call`."""
    if jit.DISABLED:
        return ReferenceCall(program, steps_plan, initial, final)
    return Call(program, steps_plan, decide(program, steps_plan), initial, final)


def compile_all(program):
    """Compile or load everything that calls of `program` can need, whatever their shapes and arguments."""
    if jit.DISABLED:
        return
    rows, states = np.zeros((2, max(1, program.input_size)), program.dtype), len(program.cell.states)
    x, y = rows[:, : program.input_size], np.zeros((2, program.units), program.dtype)
    every = plan.build(1, 2, mask=np.array([[True, False]]), resets=np.array([[False, True]]))
    call = Call(program, every, decide(program, every), [None] * states, [None] * states)
    call.run(x, y)
    call.step(x, y)
    if may_launch():
        team.launch(call.words)


def run(program, steps_plan, x, y, initial, final, n_threads=None, measure=False):
    """Run one call.

    Parameters
    ----------
    program : Program
    steps_plan : Plan
    x : ndarray, shape (rows, I)
        C-contiguous, of the program's dtype. Read at the plan's input rows only.
    y : ndarray, shape (rows, H)
        C-contiguous. Written, all of it.
    initial, final : sequence of ndarray or None
        See `Call`; C-contiguous. Final rows are written, all of them.
    n_threads : int, optional
        At most so many. Default: what the work is worth.
    measure : bool
        Fill in the measured part of the decision.

    Returns
    -------
    Decision
    """
    decision = decide(program, steps_plan, n_threads)
    started = time.perf_counter()
    if jit.DISABLED:
        ReferenceCall(program, steps_plan, initial, final).run(x, y)
        decision.evaluations, decision.tiles = decision.valid_steps, {}
    else:
        call = Call(program, steps_plan, decision, initial, final)
        call.run(x, y)
        if measure:
            decision.evaluations = int(call.counters[:, block.EVALUATIONS].sum())
            counted = call.counters[:, block.TILE_CALLS :].sum(axis=0)
            decision.tiles = {
                (v // BLOCKS_LIMIT + 1, v % BLOCKS_LIMIT + 1): int(counted[v])
                for v in np.flatnonzero(counted).tolist()
            }
        call.release()
    if measure:
        decision.seconds = time.perf_counter() - started
    return decision
