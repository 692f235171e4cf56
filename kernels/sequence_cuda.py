"""Whole sequences on the device, and what comes before the first step; see `step_cuda` for the arguments.

* `rows`: a block keeps all weights in shared memory and takes its rows to their own ends, waiting for nobody
  else.
* `units`: each block keeps the recurrent weights of its units in shared memory; all blocks meet after each
  phase that others read.
* Without either, `step_cuda.step` is launched for each phase and step.
"""

from functools import cache

import numpy as np

from .block_cuda import (
    ACTIVE,
    COPY_COUNT,
    COPY_ROWS,
    INIT_ROW,
    KEPT_AT,
    KEPT_ELEMENTS,
    PANEL_ELEMENTS,
    PANELS,
    SEGMENTS,
    STRIDE,
    UNITS,
    Y_PITCH,
    ZERO_COUNT,
    ZERO_ROWS,
)  # fmt: skip
from .jit_cuda import cuda, load_vector, store_vector
from .step_cuda import tile


def _types(codes):
    """Of a block's shared memory: the elements that staging takes, and their type."""
    return max(code.room for code in codes), np.dtype(codes[0].shape.dtype).type


@cache
def _keep(codes, first=0):
    """Device function: the weights of this block's share of the blocks of units into shared memory, of the
    phases from `first` on: all that products multiply, of the recurrent vectors only where the inputs'
    products are formed beforehand.
    """
    code, room = codes[first], _types(codes)[0]
    shape, first_word, first_depth = code.shape, code.words, code.depths
    threads, vector, units = shape.tile.threads, shape.vector, shape.tile.units
    biases, skipped = shape.sums * units, shape.group(0) if code.takes_hoisted else 0
    more = _keep(codes, first + 1) if first + 1 < len(codes) else None

    @cuda.jit(device=True, forceinline=True)
    def one(words, weights, shared):
        kept, size = room + words[first_word + KEPT_AT], words[first_word + KEPT_ELEMENTS]
        blocks = (words[first_word + UNITS] + units - 1) // units
        skip = biases + (words[first_depth] + vector - 1) // vector * skipped
        for block in range(cuda.blockIdx.y, blocks, cuda.gridDim.y):
            panel = words[first_word + PANELS] + block * words[first_word + PANEL_ELEMENTS] + skip
            for e in range(cuda.threadIdx.x * vector, size, threads * vector):
                store_vector(shared, kept + e, load_vector(weights, panel + e))
            kept += size

    @cuda.jit(device=True, forceinline=True)
    def several(words, weights, shared):
        one(words, weights, shared)
        more(words, weights, shared)

    return several if more else one


@cache
def _phases(codes, meet, first=0):
    """Device function: the phases from `first` on of one step, for a share of the tiles of rows and of the
    blocks of units: every so many-th. ``meet`` says who wait for each other where one reads what another
    computed: the threads of a block, or all blocks.
    """
    code, room = codes[first], _types(codes)[0]
    phase, awaited, units, first_word = tile(code), code.awaited, code.shape.tile.units, code.words
    more = _phases(codes, meet, first + 1) if first + 1 < len(codes) else None
    all_blocks = meet == "grid"

    @cuda.jit(device=True, forceinline=True)
    def one(
        words, x, values, weights, hoisted, y, final, s, first_row, last_row, apart, formed_from, shared,
        extra
    ):  # fmt: skip
        running, kept = min(last_row, words[words[ACTIVE] + s]), room + words[first_word + KEPT_AT]
        blocks = (words[first_word + UNITS] + units - 1) // units
        for block in range(cuda.blockIdx.y, blocks, cuda.gridDim.y):
            for row in range(first_row, running, apart):
                phase(
                    words, x, values, weights, hoisted, y, final, s, row, running, block, formed_from, kept,
                    shared, extra
                )  # fmt: skip
            kept += words[first_word + KEPT_ELEMENTS]
        if awaited:
            if all_blocks:
                cuda.cg.this_grid().sync()
            else:
                cuda.syncthreads()

    @cuda.jit(device=True, forceinline=True)
    def several(
        words, x, values, weights, hoisted, y, final, s, first_row, last_row, apart, formed_from, shared,
        extra
    ):  # fmt: skip
        one(
            words, x, values, weights, hoisted, y, final, s, first_row, last_row, apart, formed_from, shared,
            extra
        )  # fmt: skip
        more(
            words, x, values, weights, hoisted, y, final, s, first_row, last_row, apart, formed_from, shared,
            extra
        )  # fmt: skip

    return several if more else one


@cache
def rows(codes):
    """Kernel: all steps from ``begin`` to ``end``; a block takes every so many-th tile of rows. Grid (blocks,
    1).
    """
    keep, phases = _keep(codes), _phases(codes, "block")
    block_rows, dtype = codes[0].shape.tile.block_rows, _types(codes)[1]

    @cuda.jit
    def rows(words, x, values, weights, hoisted, y, final, begin, end, extra):
        shared = cuda.shared.array(0, dtype, 16)
        keep(words, weights, shared)
        for row in range(cuda.blockIdx.x * block_rows, words[SEGMENTS], cuda.gridDim.x * block_rows):
            for s in range(begin, end):
                if row >= words[words[ACTIVE] + s]:
                    break
                phases(
                    words, x, values, weights, hoisted, y, final, s, row, row + block_rows, block_rows, 0,
                    shared, extra
                )  # fmt: skip

    return rows


@cache
def units(codes):
    """Kernel, all of whose blocks run at once: all steps from ``begin`` to ``end``; blocks (., j) take every
    so many-th block of units, blocks (i, .) every so many-th tile of rows.
    """
    keep, phases = _keep(codes), _phases(codes, "grid")
    block_rows, dtype = codes[0].shape.tile.block_rows, _types(codes)[1]

    @cuda.jit
    def units_kernel(words, x, values, weights, hoisted, y, final, begin, end, formed_from, extra):
        shared = cuda.shared.array(0, dtype, 16)
        keep(words, weights, shared)
        first_row, apart = cuda.blockIdx.x * block_rows, cuda.gridDim.x * block_rows
        for s in range(begin, end):
            phases(
                words, x, values, weights, hoisted, y, final, s, first_row, words[SEGMENTS], apart,
                formed_from, shared, extra
            )  # fmt: skip

    return units_kernel


@cache
def start(dtype):
    """Kernel: one state of so many ``units`` before the first step, from ``place`` on in the workspace; and
    the final one of rows whose state stays as it was. ``initial`` may be empty: all rows then begin with
    ``constant``.
    """

    @cuda.jit
    def start(words, initial, constant, values, place, final, final_from, units):
        thread, threads = cuda.grid(1), cuda.gridsize(1)
        for e in range(thread, words[SEGMENTS] * units, threads):
            origin, value = words[words[INIT_ROW] + e // units], constant
            if origin >= 0 and initial.size > 0:
                value = initial[origin * units + e % units]
            values[place + e // units * words[STRIDE] + e % units] = value
        if final.size > 0:
            for e in range(thread, words[COPY_COUNT] * units, threads):
                row, origin = (
                    words[words[COPY_ROWS] + e // units * 2],
                    words[words[COPY_ROWS] + e // units * 2 + 1],
                )
                value = constant
                if origin >= 0 and initial.size > 0:
                    value = initial[origin * units + e % units]
                final[final_from + row * units + e % units] = value

    return start


@cache
def clear(dtype):
    """Kernel: zeros in the output rows, of so many ``units``, that no step writes."""

    @cuda.jit
    def clear(words, y, units):
        for e in range(cuda.grid(1), words[ZERO_COUNT] * units, cuda.gridsize(1)):
            y[words[words[ZERO_ROWS] + e // units] * words[Y_PITCH] + e % units] = dtype(0)

    return clear
