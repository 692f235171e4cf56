"""The loops on the device: steps, phases, tiles of rows, blocks of units. They know plans and phases, not cells.

* `begin`: before the first step: initial states, and what no step computes.
* `step`: one phase of one step; its tiles are divided over the grid (schedule *streamed*: a launch per phase and step).
* `rows`: a block runs its rows through all steps and waits for nobody else (*row-owned*).
* `units`: the blocks divide the units for the whole sequence and meet after each phase (*grid-persistent*).
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .emit_cuda import epilogue
from .jit_cuda import cuda
from .tile_cuda import UNITS, TileShape, accumulator

# Words of a call (int64), all in one array: sizes, where among them each array of the plan begins; then where each
# state begins in the workspace, the words of each phase, the plan.
(
    INPUTS, H, X_STRIDE, SEGMENTS, STATE_ROWS, Y_STRIDE, STEPS,
    ACTIVE, FIRST, X_ROW, Y_ROW, Y_REPEAT, INIT_ROW, FINAL_ROW,
    ZERO_ROWS, ZERO_COUNT, COPY_ROWS, COPY_COUNT, CALL_WORDS,
) = range(19)  # fmt: skip
# Words of a phase: its panels' start and size, then for either parity of the step where its sources and operands begin.
PANELS, PANEL_ELEMENTS, PLACES = range(3)


class PhaseCode(NamedTuple):
    """What a phase's code depends on."""

    shape: TileShape
    graph: object
    sums: tuple  # names
    from_inputs: tuple  # per source: whether it is the inputs
    words: int  # where its words begin
    operands: int  # how many it reads and computes
    output: int  # which of the operands is the cell's output, or -1
    states: tuple  # (operand, state) of each state it computes
    awaited: bool  # whether other units read its results

    @property
    def places(self):
        """Words for either parity."""
        return len(self.from_inputs) + self.operands


@cache
def _add_source(shape, source, from_inputs):
    """Device function: the block's rows of one source are found, their products added. Where the next panel begins."""
    add, block_rows = accumulator(shape, source), shape.block_rows
    group = len(shape.feeds[source]) * UNITS * 4

    @cuda.jit(device=True, inline=True)
    def add_source(sums, words, first, x, values, weights, panel, entry, row, running, starts, shared):
        cuda.syncthreads()
        mine = row + cuda.threadIdx.x
        if cuda.threadIdx.x < block_rows:
            starts[cuda.threadIdx.x] = -1
            if mine < running:
                if from_inputs:
                    starts[cuda.threadIdx.x] = words[words[X_ROW] + entry + mine] * words[X_STRIDE]
                else:
                    starts[cuda.threadIdx.x] = first + mine * words[H]
        cuda.syncthreads()
        depth = words[INPUTS] if from_inputs else words[H]
        add(sums, x if from_inputs else values, starts, depth, weights, panel, shared)
        return panel + (depth + 3) // 4 * group

    return add_source


@cache
def _products(shape, from_inputs, source=0):
    """Device function: the products of all sources from `source` on."""
    one = _add_source(shape, source, from_inputs[source])
    if source + 1 == len(from_inputs):
        more = None
    else:
        more = _products(shape, from_inputs, source + 1)

    @cuda.jit(device=True, inline=True)
    def last(sums, words, places, x, values, weights, panel, entry, row, running, starts, shared):
        one(sums, words, places[source], x, values, weights, panel, entry, row, running, starts, shared)

    if more is None:
        return last

    @cuda.jit(device=True, inline=True)
    def several(sums, words, places, x, values, weights, panel, entry, row, running, starts, shared):
        panel = one(sums, words, places[source], x, values, weights, panel, entry, row, running, starts, shared)
        more(sums, words, places, x, values, weights, panel, entry, row, running, starts, shared)

    return several


@cache
def _tile(code):
    """Device function: a phase for the rows and units of one tile at one step."""
    shape, per_parity, count = code.shape, code.places, len(code.from_inputs)
    rows, accumulators, first_word = shape.rows, shape.sums, code.words
    dtype, held = np.dtype(shape.dtype).type, (shape.rows, max(1, shape.sums))
    products = _products(shape, code.from_inputs) if count else None
    finish = epilogue(code.graph, code.sums, shape.dtype)
    leave = _leave(code.output, code.states)

    @cuda.jit(device=True, inline=True)
    def tile(words, x, values, weights, y, final, step, row, running, block, starts, shared):
        lane, warp = cuda.threadIdx.x % UNITS, cuda.threadIdx.x // UNITS
        entry = words[words[FIRST] + step]
        at_places = first_word + PLACES + (step & 1) * per_parity
        places = words[at_places : at_places + per_parity]
        sums = cuda.local.array(held, dtype)
        if count > 0:
            panel = words[first_word + PANELS] + block * words[first_word + PANEL_ELEMENTS]
            for a in range(accumulators):
                bias = weights[panel + a * UNITS + lane]
                for r in range(rows):
                    sums[r, a] = bias
            panel += accumulators * UNITS
            products(sums, words, places, x, values, weights, panel, entry, row, running, starts, shared)
        unit = block * UNITS + lane
        following = words[words[ACTIVE] + step + 1]
        for r in range(rows):
            mine = row + warp * rows + r
            if mine < running and unit < words[H]:
                finish(sums, r, values, places[count:], mine * words[H] + unit)
                leave(words, places[count:], values, y, final, entry, mine, following, unit)

    return tile


@cache
def _leave(output, states):
    """Device function: to the caller's rows, the output of a row and unit, its repeats, and the states of rows that
    end: those from `following` on.
    """
    count = len(states)
    operands, numbers = zip(*states, strict=True) if states else ((0,), (0,))

    @cuda.jit(device=True, inline=True)
    def leave(words, places, values, y, final, entry, row, following, unit):
        units = words[H]
        if output >= 0:
            place = words[words[Y_ROW] + entry + row]
            if place >= 0:
                value = values[places[output] + row * units + unit]
                repeat = words[words[Y_REPEAT] + entry + row]
                apart = words[Y_STRIDE] if repeat > 0 else -words[Y_STRIDE]
                for k in range(abs(repeat) + 1):
                    y[(place + k * apart) * units + unit] = value
        if row >= following:
            last = words[words[FINAL_ROW] + row]
            if last >= 0:
                for k in range(count):
                    value = values[places[operands[k]] + row * units + unit]
                    final[(numbers[k] * words[STATE_ROWS] + last) * units + unit] = value

    return leave


def _types(shape):
    """Scratch of a block: its elements, the rows it has room to find, and the element type."""
    return shape.room, shape.block_rows, np.dtype(shape.dtype).type


@cache
def step(code):
    """Kernel: one phase at step `s`, a tile per block: grid (tiles of rows, blocks of units)."""
    tile = _tile(code)
    room, block_rows, dtype = _types(code.shape)

    @cuda.jit
    def step(words, x, values, weights, y, final, s):
        shared = cuda.shared.array(room, dtype, 16)
        starts = cuda.shared.array(block_rows, np.int64)
        row, running = cuda.blockIdx.x * block_rows, words[words[ACTIVE] + s]
        if row < running:
            tile(
                words, x, values, weights, y, final, s, row, running, cuda.blockIdx.y, starts, shared
            )  # fmt: skip

    return step


@cache
def _phases(codes, first=0):
    """Device function: the phases from `first` on for one tile of rows and all units, the block meeting after each."""
    tile = _tile(codes[first])
    more = _phases(codes, first + 1) if first + 1 < len(codes) else None

    @cuda.jit(device=True, inline=True)
    def one(words, x, values, weights, y, final, s, row, running, starts, shared):
        for block in range((words[H] + UNITS - 1) // UNITS):
            tile(words, x, values, weights, y, final, s, row, running, block, starts, shared)
        cuda.syncthreads()

    if more is None:
        return one

    @cuda.jit(device=True, inline=True)
    def several(words, x, values, weights, y, final, s, row, running, starts, shared):
        one(words, x, values, weights, y, final, s, row, running, starts, shared)
        more(words, x, values, weights, y, final, s, row, running, starts, shared)

    return several


@cache
def rows(codes):
    """Kernel: all steps from `begin` to `end`; a block takes every so many-th tile of rows to its own end."""
    phases = _phases(codes)
    room, block_rows, dtype = _types(codes[0].shape)
    room = max(code.shape.room for code in codes)

    @cuda.jit
    def rows(words, x, values, weights, y, final, begin, end):
        shared = cuda.shared.array(room, dtype, 16)
        starts = cuda.shared.array(block_rows, np.int64)
        for row in range(cuda.blockIdx.x * block_rows, words[SEGMENTS], cuda.gridDim.x * block_rows):
            for s in range(begin, end):
                running = words[words[ACTIVE] + s]
                if row >= running:
                    break
                phases(words, x, values, weights, y, final, s, row, running, starts, shared)

    return rows


@cache
def _shares(codes, first=0):
    """Device function: the phases from `first` on for a block's share of the units and rows, all blocks meeting where
    one reads what another computed.
    """
    tile, awaited = _tile(codes[first]), codes[first].awaited
    block_rows = codes[first].shape.block_rows
    more = _shares(codes, first + 1) if first + 1 < len(codes) else None

    @cuda.jit(device=True, inline=True)
    def one(words, x, values, weights, y, final, s, running, starts, shared, grid):
        for block in range(cuda.blockIdx.y, (words[H] + UNITS - 1) // UNITS, cuda.gridDim.y):
            for row in range(cuda.blockIdx.x * block_rows, running, cuda.gridDim.x * block_rows):
                tile(words, x, values, weights, y, final, s, row, running, block, starts, shared)
        if awaited:
            grid.sync()

    if more is None:
        return one

    @cuda.jit(device=True, inline=True)
    def several(words, x, values, weights, y, final, s, running, starts, shared, grid):
        one(words, x, values, weights, y, final, s, running, starts, shared, grid)
        more(words, x, values, weights, y, final, s, running, starts, shared, grid)

    return several


@cache
def units(codes):
    """Kernel, launched with all its blocks at once: all steps from `begin` to `end`, units (and rows) divided."""
    shares = _shares(codes)
    room, block_rows, dtype = _types(codes[0].shape)
    room = max(code.shape.room for code in codes)

    @cuda.jit
    def units(words, x, values, weights, y, final, begin, end):
        shared = cuda.shared.array(room, dtype, 16)
        starts = cuda.shared.array(block_rows, np.int64)
        grid = cuda.cg.this_grid()
        for s in range(begin, end):
            shares(
                words, x, values, weights, y, final, s, words[words[ACTIVE] + s], starts, shared, grid
            )  # fmt: skip

    return units


@cache
def begin(states, dtype):
    """Kernel: initial states, the rows that no step writes, and those whose state stays as it was."""

    @cuda.jit
    def begin(words, initial, constants, values, y, final):
        units, thread, threads = words[H], cuda.grid(1), cuda.gridsize(1)
        for e in range(thread, states * words[SEGMENTS] * units, threads):
            unit, row, state = e % units, e // units % words[SEGMENTS], e // units // words[SEGMENTS]
            origin = words[words[INIT_ROW] + row]
            value = constants[state]
            if origin >= 0 and initial.size > 0:
                value = initial[(state * words[STATE_ROWS] + origin) * units + unit]
            values[words[CALL_WORDS + state] + row * units + unit] = value
        for e in range(thread, words[ZERO_COUNT] * units, threads):
            y[words[words[ZERO_ROWS] + e // units] * units + e % units] = dtype(0)
        for e in range(thread, states * words[COPY_COUNT] * units, threads):
            unit, k, state = e % units, e // units % words[COPY_COUNT], e // units // words[COPY_COUNT]
            row, origin = words[words[COPY_ROWS] + 2 * k], words[words[COPY_ROWS] + 2 * k + 1]
            value = constants[state]
            if origin >= 0 and initial.size > 0:
                value = initial[(state * words[STATE_ROWS] + origin) * units + unit]
            final[(state * words[STATE_ROWS] + row) * units + unit] = value

    return begin
