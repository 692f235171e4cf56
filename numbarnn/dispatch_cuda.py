"""Calls on a CUDA device: the memory they take, and the kernels that are launched."""

import threading
import time
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from . import schedules_cuda
from .device_arrays import OnDevice
from .kernels import plan as plans
from .kernels import sequence_cuda, step_cuda
from .kernels.jit_cuda import VECTOR_BYTES
from .kernels.program_cuda import prepared
from .schedules_cuda import decide, forming_tile

SIMPLE_THREADS = 128  # of a block that only copies
_UPLOADING = threading.Lock()


def _weights(made, device):
    """The packed weights on a device, uploaded once."""
    with _UPLOADING:
        if device not in made.on_devices:
            made.on_devices[device] = device.upload(made.weights)
        return made.on_devices[device]


class Call:
    """A decided call with its words on the device, to be run once or again and again, when its workspace,
    `values` and `formed`, has been set.

    Parameters
    ----------
    device : Device
    program : Program
    steps_plan : Plan
    decision : DeviceDecision
    state_rows : int
        Rows of the final states.
    y_pitch : int
        Elements from output row to output row.
    first, aligned : int, bool
        Element of the inputs that numbers of the plan count from; whether every row of them can be read by
        vectors.
    """

    def __init__(self, device, program, steps_plan, decision, state_rows, y_pitch, first, aligned):
        self.device, self.program, self.plan = device, program, steps_plan
        self.decision = decision
        self.made = prepared(program, decision.tile)
        self.weights = _weights(self.made, device)
        dtype, starts = program.dtype, np.append(steps_plan.first, len(steps_plan.x_row))
        steps = list(range(0, decision.steps, decision.chunk_steps))
        self.chunks = [(step, min(step + decision.chunk_steps, decision.steps)) for step in steps]
        self.entries = [(int(starts[begin]), int(starts[end])) for begin, end in self.chunks]
        most = max((end - begin for begin, end in self.entries), default=0) if decision.hoisted else 0
        if first:
            steps_plan = steps_plan._replace(x_row=steps_plan.x_row + first)
        words = self.made.words(
            steps_plan, state_rows, y_pitch, aligned, decision.blocks[1], decision.hoisted, most
        )
        self.words = device.upload(words)
        self.capacity, self.state_rows = len(steps_plan.init_row), state_rows
        # Of the workspace of all vectors, and of the sums formed beforehand: for whoever makes them.
        self.room = self.made.places[1] * self.capacity * self.made.stride
        self.forming_room = sum(self.made.formed_elements()) * most
        kept = decision.schedule != "steps"
        self.codes = self.made.codes(decision.hoisted, kept)
        tile = forming_tile(decision.tile, dtype.itemsize)
        self.forming = [
            (p, code)
            for p, code in enumerate(self.made.codes(False, False, tile))
            if decision.hoisted and code.from_inputs[:1] == (True,)
        ]
        self.nothing = device.empty(0, dtype)

    def run(self, x, y, initial, final, extra, stream):
        """All of it, on arrays on the device: x (read), y (written), initial states or None (read), all final
        states one after the other (written; empty: nobody wants them), a tuple of the extra inputs (read).
        """
        self._start(y, initial, final, stream)
        common = self.words, x, self.values, self.weights, self.formed, y, final
        schedule = {"steps": self._steps, "rows": self._rows, "units": self._units}[self.decision.schedule]
        for (begin, end), entries in zip(self.chunks, self.entries, strict=True):
            self._form(x, *entries, stream)
            schedule(common, begin, end, entries[0], extra, stream)

    def _launch(self, kernel, grid, tile_threads, shared_elements, stream, *arguments):
        shared = shared_elements * self.program.dtype.itemsize
        self.device.launch(kernel, grid, tile_threads, shared, stream, *arguments)

    def _copy(self, kernel, rows, units, stream, *arguments):
        """Launch a kernel that passes over so many rows."""
        blocks = max(1, min(self.device.processors * 8, -(-rows * units // SIMPLE_THREADS)))
        self._launch(kernel, (blocks, 1), SIMPLE_THREADS, 0, stream, self.words, *arguments, units)

    def _start(self, y, initial, final, stream):
        program, dtype, final_from = self.program, self.program.dtype.type, 0
        for (name, constant), given in zip(program.cell.states.items(), initial, strict=True):
            given, units = self.nothing if given is None else given, program.depths[name]
            place = self.made.places[0][name][0] * self.capacity * self.made.stride
            self._copy(
                sequence_cuda.start(dtype), max(self.capacity, self.state_rows), units, stream,
                given, dtype(constant), self.values, place, final, final_from,
            )  # fmt: skip
            final_from += self.state_rows * units
        if len(self.plan.zero_rows):
            rows = len(self.plan.zero_rows)
            self._copy(sequence_cuda.clear(dtype), rows, program.output_size, stream, y)

    def _form(self, x, begin, end, stream):
        for p, code in self.forming:
            grid = -(-(end - begin) // code.shape.tile.block_rows), self.made.unit_blocks[p]
            arguments = self.words, x, self.weights, self.formed, begin, end
            self._launch(step_cuda.form(code), grid, code.shape.tile.threads, code.room, stream, *arguments)

    def _steps(self, common, begin, end, formed_from, extra, stream):
        tile, kernels = self.decision.tile, [step_cuda.step(code) for code in self.codes]
        phases = list(zip(kernels, self.codes, self.made.unit_blocks, strict=True))
        for step in range(begin, end):
            row_tiles = -(-int(self.plan.active[step]) // tile.block_rows)
            for kernel, code, blocks in phases:
                self._launch(
                    kernel, (row_tiles, blocks), tile.threads, code.room, stream,
                    *common, step, formed_from, extra,
                )  # fmt: skip

    def _rows(self, common, begin, end, formed_from, extra, stream):
        self._whole(sequence_cuda.rows(self.codes), stream, *common, begin, end, extra)

    def _units(self, common, begin, end, formed_from, extra, stream):
        self._whole(sequence_cuda.units(self.codes), stream, *common, begin, end, formed_from, extra)

    def _whole(self, kernel, stream, *arguments):
        shared = self.decision.shared_bytes // self.program.dtype.itemsize
        self._launch(kernel, self.decision.blocks, self.decision.tile.threads, shared, stream, *arguments)


def run(
    device, program, steps_plan, x, y, initial, final, stream=None, again=False, measure=False, forced=None,
    extra=(),
):  # fmt: skip
    """Run one call on a device.

    Parameters
    ----------
    device : Device
    program : Program
    steps_plan : Plan
    x : ndarray or OnDevice
        Rows (rows, I), C-contiguous; or, on the device, a view where the plan counts elements. Read.
    y : ndarray or OnDevice, shape (rows, size of the output)
        Written, all of it: C-contiguous, or on the device columns of a larger array.
    initial, final : sequence of ndarray, OnDevice or None
        Per state (B, size): what sequences start from (None: the cell's constants), and where their final
        states go (None: nowhere). Final ones may be the initial ones.
    stream : object, optional
        See `Device.stream`. The call returns without waiting for it, unless it writes host arrays.
    again : bool
        This plan will come again: keep what was made ready for it.
    measure : bool
        Wait, and fill in the measured part of the decision.
    forced : (str, Tile), optional
        See `decide`.
    extra : sequence of ndarray or OnDevice
        Rows of the cell's extra inputs, (rows, size) and C-contiguous. Read.

    Returns
    -------
    DeviceDecision
    """
    stream = device.stream(stream)
    dtype = program.dtype
    state_rows = max((array.shape[0] for array in final if array is not None), default=0)
    inputs, first, aligned = _inputs(device, program, steps_plan, x)
    out = y.flat if isinstance(y, OnDevice) else device.empty(y.size, dtype)
    starts = [None if array is None else _on(device, array) for array in initial]
    extra = tuple(_on(device, rows) for rows in extra)
    y_pitch = y.strides[0] // dtype.itemsize
    made = _take(device, program, steps_plan, state_rows, y_pitch, first, aligned, stream, forced)
    started = time.perf_counter()
    for call in made.calls:
        call.run(inputs, out, starts, made.ends, extra, stream)
    at = 0
    for name, target in zip(program.cell.states, final, strict=True):
        if target is not None:
            _hand_over(device, made.ends[at : at + target.size], target, stream)
        at += state_rows * program.depths[name]
    if not isinstance(y, OnDevice):
        device.download(out, y, stream)
    if again:
        program.device_calls.append(made)
    decision = made.calls[0].decision
    if measure:
        device.finish(stream)
        decision = replace(decision, seconds=time.perf_counter() - started)
    return replace(decision, waves=len(made.calls))


def _on(device, array):
    return array.flat if isinstance(array, OnDevice) else device.upload(array)


def _hand_over(device, source, target, stream):
    if isinstance(target, OnDevice):
        device.copy(source, target.flat, stream)
    else:
        device.download(source, target, stream)


def _inputs(device, program, steps_plan, x):
    """The inputs on the device, the element that the plan counts from, and whether rows can be read by
    vectors.
    """
    if isinstance(x, OnDevice):
        return x.flat, x.first if steps_plan.by_element else 0, x.vectors_aligned(VECTOR_BYTES)
    return device.upload(x), 0, program.input_size * program.dtype.itemsize % VECTOR_BYTES == 0


class Made(NamedTuple):
    """What was made ready for a plan: a repeated call only launches kernels."""

    key: tuple
    plan: object
    calls: list  # one for each wave of segments
    ends: object  # room for all final states


def _take(device, program, steps_plan, state_rows, y_pitch, first, aligned, stream, forced):
    """What an earlier call of the kind has left behind, or new."""
    key = device, state_rows, y_pitch, first, aligned, stream, forced, schedules_cuda.settings()
    for _ in range(len(program.device_calls)):
        try:
            made = program.device_calls.popleft()
        except IndexError:  # another thread has taken it
            break
        if made.plan is steps_plan and made.key == key:
            return made
        program.device_calls.append(made)
    decision, segments = decide(device, program, steps_plan, forced), len(steps_plan.init_row)
    waves = [(steps_plan, decision)]
    if decision.waves > 1:
        rows = -(-segments // decision.waves)
        parts = [plans.part(steps_plan, at, min(at + rows, segments)) for at in range(0, segments, rows)]
        waves = [(part, decide(device, program, part, forced)) for part in parts]
    calls = [Call(device, program, *wave, state_rows, y_pitch, first, aligned) for wave in waves]
    values = device.empty(max(call.room for call in calls), program.dtype)
    formed = device.empty(max(call.forming_room for call in calls), program.dtype)
    for call in calls:  # one after the other, on one stream
        call.values, call.formed = values, formed
    sizes = [program.depths[name] for name in program.cell.states]
    ends = device.empty(state_rows * sum(sizes), program.dtype)
    return Made(key, steps_plan, calls, ends)
