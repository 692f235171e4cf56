"""A tile on the device: sums of products of a block's rows times a block's units, in the registers of its
threads.

Neighbouring threads compute neighbouring units; each holds all sums of its unit for a few rows. Values, and
weights unless they stay in shared memory, pass through shared memory `DEPTH` of k at a time, while the next
are on their way. Every sum starts at its bias and adds its products in the CPU's order, k = 0, 1, .. of the
inputs, then of the recurrent vectors, fused: a sum has the same bits whatever the batch, the tile, the
schedule or the device.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .jit_cuda import SIMULATED, VECTOR_BYTES, cuda, libdevice, load_vector, store_vector

DEPTH = 16


class Tile(NamedTuple):
    """How a block divides its work: into units, groups of threads, and rows of each thread. Neighbouring rows
    belong to different groups, so that few rows keep all of them at work.
    """

    units: int
    groups: int
    rows: int

    @property
    def threads(self):
        return self.units * self.groups

    @property
    def block_rows(self):
        return self.groups * self.rows


class TileShape(NamedTuple):
    """What a tile's code depends on."""

    sums: int
    feeds: tuple  # per source: indices of the sums that it feeds
    tile: Tile
    dtype: str

    @property
    def itemsize(self):
        return np.dtype(self.dtype).itemsize

    @property
    def vector(self):
        """Elements that one load brings."""
        return VECTOR_BYTES // self.itemsize

    def group(self, source):
        """Weights of one source for as many k as a vector holds."""
        return len(self.feeds[source]) * self.tile.units * self.vector

    def stage(self, source):
        """Weights of one source that are staged at a time."""
        return DEPTH // self.vector * self.group(source)

    def room(self, resident):
        """Elements of shared memory that staging takes: two stages of values, and two of weights unless they
        stay there.
        """
        if not self.feeds:
            return 0
        weights = 0 if resident else max(map(self.stage, range(len(self.feeds))))
        return 2 * (weights + self.tile.block_rows * DEPTH)


def pack_source(weights, units, shape, source):
    """Weights of one source, (feeds, depth, H), as [unit block][k // vector][feed][unit][k % vector], zeros
    beyond the ends: threads of neighbouring units read neighbouring vectors.
    """
    feeds, depth, _ = weights.shape
    width, vector = shape.tile.units, shape.vector
    blocks, groups = -(-units // width), -(-depth // vector)
    padded = np.zeros((feeds, vector * groups, width * blocks), weights.dtype)
    padded[:, :depth, :units] = weights
    return padded.reshape(feeds, groups, vector, blocks, width).transpose(3, 1, 0, 4, 2).reshape(blocks, -1)


if SIMULATED:

    def fma(a, b, c):
        return a * b + c

    FMA = {4: fma, 8: fma}
else:
    FMA = {4: libdevice.fmaf_rn, 8: libdevice.fma_rn}


@cache
def _chain(itemsize):
    """Device function ``f(total, x, w)``: the products of two vectors added one after the other."""
    fma = FMA[itemsize]

    @cuda.jit(device=True, forceinline=True)
    def four(total, x, w):
        return fma(x[3], w[3], fma(x[2], w[2], fma(x[1], w[1], fma(x[0], w[0], total))))

    @cuda.jit(device=True, forceinline=True)
    def two(total, x, w):
        return fma(x[1], w[1], fma(x[0], w[0], total))

    return {4: four, 8: two}[itemsize]


@cache
def _multiply(shape, source, first=0, by_vector=True):
    """Device function ``f(sums, shared, weights, values)``: products of as many k as a vector holds, or of
    one, for the sums that the source feeds, from its `first` on. Each sum has code of its own: a number that
    the compiler does not know would move all sums from registers to memory.
    """
    fed, rows, apart = shape.feeds[source][first], shape.tile.rows, shape.tile.units * shape.vector
    next_row = shape.tile.groups * DEPTH
    more = _multiply(shape, source, first + 1, by_vector) if first + 1 < len(shape.feeds[source]) else None
    fma, chain = FMA[shape.itemsize], _chain(shape.itemsize)

    @cuda.jit(device=True, forceinline=True)
    def by_vectors(sums, shared, weights, values):
        w = load_vector(shared, weights)
        for r in range(rows):
            sums[r, fed] = chain(sums[r, fed], load_vector(shared, values + r * next_row), w)

    @cuda.jit(device=True, forceinline=True)
    def one_by_one(sums, shared, weights, values):
        w = shared[weights]
        for r in range(rows):
            sums[r, fed] = fma(shared[values + r * next_row], w, sums[r, fed])

    one = by_vectors if by_vector else one_by_one

    @cuda.jit(device=True, forceinline=True)
    def several(sums, shared, weights, values):
        one(sums, shared, weights, values)
        more(sums, shared, weights + apart, values)

    return several if more else one


@cache
def _vector_of(itemsize):
    """Device function ``f(array, n)``: the n-th row of a local array as the tuple that `store_vector`
    takes.
    """

    @cuda.jit(device=True, forceinline=True)
    def four(array, n):
        return array[n, 0], array[n, 1], array[n, 2], array[n, 3]

    @cuda.jit(device=True, forceinline=True)
    def two(array, n):
        return array[n, 0], array[n, 1]

    return {4: four, 8: two}[itemsize]


@cache
def accumulator(shape, source, resident):
    """Device function ``f(sums, values, starts, aligned, depth, weights, panel, shared)`` adding a source's
    products.

    ``sums`` is the thread's (rows, sums) array. ``starts[n]`` is where in ``values`` the row begins of which
    the thread fetches its n-th vector (-1: no such row), see `fetched`; ``aligned``: all of them are
    multiples of a vector. ``weights`` from ``panel`` on are the source's, as `pack_source` makes them: in
    global memory, or in shared memory (``resident``). ``shared`` begins with scratch of `TileShape.room`
    elements, which is free when the block meets again. All threads of the block must call it together.
    """
    dtype, tile, vector, feeds = np.dtype(shape.dtype).type, shape.tile, shape.vector, shape.feeds[source]
    units, threads, block_rows = tile.units, tile.threads, tile.block_rows
    multiply, multiply_one = _multiply(shape, source), _multiply(shape, source, by_vector=False)
    vector_of, count = _vector_of(shape.itemsize), len(feeds)
    group, stage = shape.group(source), shape.stage(source)
    weight_vectors = 0 if resident else stage // vector
    value_vectors, row_vectors = block_rows * DEPTH // vector, DEPTH // vector
    values_at = shape.room(resident) - 2 * block_rows * DEPTH
    weights_each, values_each = max(1, -(-weight_vectors // threads)), fetched(shape)

    @cuda.jit(device=True, forceinline=True)
    def accumulate(sums, values, starts, aligned, depth, weights, panel, shared):
        thread = cuda.threadIdx.x
        lane, group_row = thread % units, thread // units
        panel_end = panel + (depth + vector - 1) // vector * group
        next_weights = cuda.local.array((weights_each, vector), dtype)
        next_values = cuda.local.array((values_each, vector), dtype)
        cuda.syncthreads()
        for first in range(-DEPTH, depth, DEPTH):
            odd = first // DEPTH & 1
            stage_values = values_at + odd * block_rows * DEPTH
            if first >= 0:
                for n in range(weights_each):
                    e = n * threads + thread
                    if e < weight_vectors:
                        store_vector(shared, odd * stage + vector * e, vector_of(next_weights, n))
                for n in range(values_each):
                    e = n * threads + thread
                    if e < value_vectors:
                        at = stage_values + e // row_vectors * DEPTH + e % row_vectors * vector
                        store_vector(shared, at, vector_of(next_values, n))
                cuda.syncthreads()
            following = first + DEPTH
            if following < depth:
                for n in range(weights_each):
                    at = panel + following // vector * group + vector * (n * threads + thread)
                    if n * threads + thread < weight_vectors and at < panel_end:
                        fetched_weights = load_vector(weights, at)
                        for j in range(vector):
                            next_weights[n, j] = fetched_weights[j]
                for n in range(values_each):
                    e = n * threads + thread
                    k = following + e % row_vectors * vector
                    for j in range(vector):
                        next_values[n, j] = dtype(0)
                    if e < value_vectors and starts[n] >= 0:
                        if aligned and k + vector <= depth:
                            fetched_values = load_vector(values, starts[n] + k)
                            for j in range(vector):
                                next_values[n, j] = fetched_values[j]
                        else:
                            for j in range(vector):
                                if k + j < depth:
                                    next_values[n, j] = values[starts[n] + k + j]
            if first >= 0:
                here = min(DEPTH, depth - first)
                if resident:
                    at_weights = panel + first // vector * group + lane * vector
                else:
                    at_weights = odd * stage + lane * vector
                at_values = stage_values + group_row * DEPTH
                for k in range(0, here - vector + 1, vector):
                    multiply(sums, shared, at_weights + k * count * units, at_values + k)
                for k in range(here // vector * vector, here):
                    at = at_weights + k // vector * count * units * vector + k % vector
                    multiply_one(sums, shared, at, at_values + k)

    return accumulate


def fetched(shape):
    """Vectors of values that each thread fetches at a time: its n-th is of row ``(n * threads + thread) //
    (DEPTH // vector)`` of the block.
    """
    return -(-shape.tile.block_rows * DEPTH // shape.vector // shape.tile.threads)
