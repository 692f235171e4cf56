"""One phase of one step on the device: a tile's sums, the cell's equations, the stores of states and outputs.

Kernels follow the words of a call (`block_cuda`) and know plans and phases, not cells. All take ``words``,
``x`` (the inputs), ``values`` (the workspace of all vectors), ``weights``, ``hoisted`` (sums of products with
the inputs, formed beforehand), ``y`` and ``final`` (outputs and final states); all one-dimensional, none
overlapping another. Last comes ``extra``, a tuple of such arrays: the extra inputs of the cell, mostly none.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .block_cuda import (
    ACTIVE,
    FINAL_ROW,
    FINALS,
    FIRST,
    FORMED_AT,
    PANEL_ELEMENTS,
    PANELS,
    PLACES,
    STRIDE,
    UNITS,
    X_ALIGNED,
    X_ROW,
    X_STRIDE,
    Y_PITCH,
    Y_REPEAT,
    Y_ROW,
    Y_STRIDE,
)  # fmt: skip
from .emit_cuda import epilogue
from .jit_cuda import cuda
from .tile_cuda import DEPTH, TileShape, accumulator, fetched

STAGED, KEPT = range(2)  # weights pass through shared memory, or stay there


class PhaseCode(NamedTuple):
    """What a phase's code depends on."""

    shape: TileShape
    graph: object
    sums: tuple  # names
    from_inputs: tuple  # per source: whether it is the inputs
    words: int  # where its words begin
    reads: tuple  # kinds of what its function reads beside sums, see `emit_cuda.epilogue`
    operands: int  # how many it reads and computes
    output: int  # which of the operands is the cell's output, or -1
    states: tuple  # (operand, state) of each state it computes
    awaited: bool  # whether other units read its results
    hoisted: bool  # whether products with the inputs have been formed beforehand
    weights: int  # STAGED or KEPT

    @property
    def places(self):
        """Words for either parity."""
        return len(self.from_inputs) + self.operands

    @property
    def depths(self):
        """The word that the depths of its sources begin with."""
        return self.words + PLACES + 2 * self.places

    @property
    def room(self):
        """Elements of shared memory that staging takes."""
        return self.shape.room(self.weights == KEPT)

    @property
    def takes_hoisted(self):
        return self.hoisted and self.from_inputs[:1] == (True,)


@cache
def _source(code, source):
    """Device function: the products of one source for the rows of a tile. Where the next one's weights
    begin.
    """
    shape, from_inputs, depth_word = code.shape, code.from_inputs[source], code.depths + source
    add = accumulator(shape, source, code.weights == KEPT)
    each, threads, row_vectors = fetched(shape), shape.tile.threads, DEPTH // shape.vector
    group, vector, block_rows = shape.group(source), shape.vector, shape.tile.block_rows

    @cuda.jit(device=True, forceinline=True)
    def add_source(sums, words, place, values, weights, panel, entry, row, running, shared):
        starts = cuda.local.array(each, np.int64)
        for n in range(each):
            mine = (n * threads + cuda.threadIdx.x) // row_vectors
            starts[n] = -1
            if mine < block_rows and row + mine < running:
                if from_inputs:
                    starts[n] = words[words[X_ROW] + entry + row + mine] * words[X_STRIDE]
                else:
                    starts[n] = place + (row + mine) * words[STRIDE]
        depth, aligned = words[depth_word], True
        if from_inputs:
            aligned = words[X_ALIGNED] != 0
        add(sums, values, starts, aligned, depth, weights, panel, shared)
        return panel + (depth + vector - 1) // vector * group

    return add_source


@cache
def _sources(code, source):
    """Device function: the products of all sources from `source` on."""
    one, from_inputs = _source(code, source), code.from_inputs[source]
    more = _sources(code, source + 1) if source + 1 < len(code.from_inputs) else None

    @cuda.jit(device=True, forceinline=True)
    def last(sums, words, places, x, values, weights, panel, entry, row, running, shared):
        vectors = x if from_inputs else values
        one(sums, words, places[source], vectors, weights, panel, entry, row, running, shared)

    @cuda.jit(device=True, forceinline=True)
    def several(sums, words, places, x, values, weights, panel, entry, row, running, shared):
        vectors = x if from_inputs else values
        panel = one(sums, words, places[source], vectors, weights, panel, entry, row, running, shared)
        more(sums, words, places, x, values, weights, panel, entry, row, running, shared)

    return several if more else last


@cache
def _begin(code):
    """Device function: the sums of a tile before any product: biases, or what was formed beforehand."""
    shape, first_word = code.shape, code.words
    (units, groups, rows), count = shape.tile, shape.sums
    feeds = shape.feeds[0] if code.takes_hoisted else (0,)
    formed = len(feeds) if code.takes_hoisted else 0

    @cuda.jit(device=True, forceinline=True)
    def begin(sums, words, weights, hoisted, entry, row, running, block):
        lane, formed_at = cuda.threadIdx.x % units, words[first_word + FORMED_AT]
        panel = words[first_word + PANELS] + block * words[first_word + PANEL_ELEMENTS]
        for a in range(count):
            bias = weights[panel + a * units + lane]
            for r in range(rows):
                sums[r, a] = bias
        unit = block * units + lane
        if unit < words[first_word + UNITS]:
            for r in range(rows):
                mine = row + cuda.threadIdx.x // units + r * groups
                if mine < running:
                    for j in range(formed):
                        sums[r, feeds[j]] = hoisted[
                            formed_at + ((entry + mine) * formed + j) * words[first_word + UNITS] + unit
                        ]
        return panel + count * units

    return begin


@cache
def tile(code):
    """Device function: a phase for the rows and units of one tile at one step.

    ``formed_from`` is the entry of the plan that ``hoisted`` begins with. ``kept`` is where in ``shared`` the
    phase's weights of this block of units begin that stay there.
    """
    shape, per_parity, count = code.shape, code.places, len(code.from_inputs)
    units, first_word, weights_kept = shape.tile.units, code.words, code.weights == KEPT
    dtype, held = np.dtype(shape.dtype).type, (shape.tile.rows, max(1, shape.sums))
    first_source = int(code.takes_hoisted)
    begin = _begin(code)
    products = _sources(code, first_source) if count > first_source else None
    skipped = shape.group(0) if code.takes_hoisted else 0
    vector, first_depth = shape.vector, code.depths
    finish = _finish(code)

    @cuda.jit(device=True, forceinline=True)
    def tile(
        words, x, values, weights, hoisted, y, final, step, row, running, block, formed_from, kept, shared,
        extra
    ):  # fmt: skip
        entry = words[words[FIRST] + step]
        at_places = first_word + PLACES + (step & 1) * per_parity
        places = words[at_places : at_places + per_parity]
        sums = cuda.local.array(held, dtype)
        if count > 0:
            panel = begin(sums, words, weights, hoisted, entry - formed_from, row, running, block)
            if count > first_source:
                if weights_kept:
                    products(sums, words, places, x, values, shared, kept, entry, row, running, shared)
                else:
                    panel += (words[first_depth] + vector - 1) // vector * skipped
                    products(sums, words, places, x, values, weights, panel, entry, row, running, shared)
        unit = block * units + cuda.threadIdx.x % units
        following = words[words[ACTIVE] + step + 1]
        if unit < words[first_word + UNITS]:
            finish(
                sums, words, places[count:], values, weights, y, final, entry, row, running, following, unit,
                extra
            )  # fmt: skip

    return tile


@cache
def _finish(code, r=0):
    """Device function: the equations and stores of a thread's rows from its `r`-th on. Each has code of its
    own, as in `tile_cuda`: of eight rows the compiler unrolled no loop, and moved all sums to memory.
    """
    units, groups, rows = code.shape.tile
    compute, leave = epilogue(code.graph, code.sums, code.reads, code.shape.dtype), _leave(code)
    more = _finish(code, r + 1) if r + 1 < rows else None

    @cuda.jit(device=True, forceinline=True)
    def one(
        sums, words, places, values, weights, y, final, entry, row, running, following, unit, extra
    ):  # fmt: skip
        mine = row + cuda.threadIdx.x // units + r * groups
        if mine < running:
            x_row = words[words[X_ROW] + entry + mine]
            compute(sums, r, values, places, mine * words[STRIDE] + unit, weights, extra, x_row, unit)
            leave(words, places, values, y, final, entry, mine, following, unit)

    @cuda.jit(device=True, forceinline=True)
    def several(
        sums, words, places, values, weights, y, final, entry, row, running, following, unit, extra
    ):  # fmt: skip
        one(sums, words, places, values, weights, y, final, entry, row, running, following, unit, extra)
        more(sums, words, places, values, weights, y, final, entry, row, running, following, unit, extra)

    return several if more else one


@cache
def _leave(code):
    """Device function: to the caller's rows, the output of a row and unit, its repeats, and the states of
    rows that end: those from `following` on.
    """
    output, count, units_word = code.output, len(code.states), code.words + UNITS
    operands, numbers = zip(*code.states, strict=True) if code.states else ((0,), (0,))

    @cuda.jit(device=True, forceinline=True)
    def leave(words, places, values, y, final, entry, row, following, unit):
        units = words[units_word]
        if output >= 0:
            place = words[words[Y_ROW] + entry + row]
            if place >= 0:
                value = values[places[output] + row * words[STRIDE] + unit]
                repeat = words[words[Y_REPEAT] + entry + row]
                apart = words[Y_STRIDE] if repeat > 0 else -words[Y_STRIDE]
                for k in range(abs(repeat) + 1):
                    y[(place + k * apart) * words[Y_PITCH] + unit] = value
        if row >= following and final.size > 0:
            last = words[words[FINAL_ROW] + row]
            if last >= 0:
                for k in range(count):
                    value = values[places[operands[k]] + row * words[STRIDE] + unit]
                    final[words[FINALS + numbers[k]] + last * units + unit] = value

    return leave


@cache
def step(code):
    """Kernel: one phase at step ``s``, a tile per block: grid (tiles of rows, blocks of units)."""
    phase, block_rows, dtype = tile(code), code.shape.tile.block_rows, np.dtype(code.shape.dtype).type

    @cuda.jit
    def step(words, x, values, weights, hoisted, y, final, s, formed_from, extra):
        shared = cuda.shared.array(0, dtype, 16)
        row, running = cuda.blockIdx.x * block_rows, words[words[ACTIVE] + s]
        if row < running:
            phase(
                words, x, values, weights, hoisted, y, final, s, row, running, cuda.blockIdx.y, formed_from,
                0, shared, extra
            )  # fmt: skip

    return step


@cache
def form(code):
    """Kernel: bias and products with the inputs of the plan's entries from ``begin`` to ``end``, into
    ``hoisted``: grid (tiles of entries, blocks of units). The sums that the inputs feed lie one after the
    other, each by units.
    """
    shape = code.shape
    (units, groups, rows), block_rows = shape.tile, shape.tile.block_rows
    feeds, count, dtype = shape.feeds[0], len(shape.feeds[0]), np.dtype(shape.dtype).type
    held, first_word = (rows, shape.sums), code.words
    begin_sums, add = _begin(code), _source(code, 0)

    @cuda.jit
    def form(words, x, weights, hoisted, begin, end):
        shared = cuda.shared.array(0, dtype, 16)
        sums = cuda.local.array(held, dtype)
        row, block = begin + cuda.blockIdx.x * block_rows, cuda.blockIdx.y
        panel = begin_sums(sums, words, weights, hoisted, 0, row, end, block)
        add(sums, words, 0, x, weights, panel, 0, row, end, shared)
        unit, formed_at = block * units + cuda.threadIdx.x % units, words[first_word + FORMED_AT]
        for r in range(rows):
            mine = row + cuda.threadIdx.x // units + r * groups
            if mine < end and unit < words[first_word + UNITS]:
                for j in range(count):
                    at = formed_at + ((mine - begin) * count + j) * words[first_word + UNITS] + unit
                    hoisted[at] = sums[r, feeds[j]]

    return form
