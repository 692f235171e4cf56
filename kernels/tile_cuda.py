"""A tile on the device: the sums of products of a few rows times the units of a warp, in one block's registers.

A block computes `WARPS * rows` rows by `UNITS` units: each thread all sums of one unit for `rows` rows. Weights and
values pass through shared memory, `DEPTH` of k at a time, while the next ones are on their way. Every sum starts at
its bias and adds its products in the CPU's order, k = 0, 1, .. of the inputs, then of the recurrent vectors, fused, so
a sum has the same bits whatever the batch, the schedule or the device.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from .jit_cuda import SIMULATED, cuda, libdevice, load4, store4

UNITS, WARPS, DEPTH = 32, 8, 16
THREADS = UNITS * WARPS


class TileShape(NamedTuple):
    """What a tile's code depends on."""

    sums: int
    feeds: tuple  # per source: indices of the sums that it feeds
    rows: int  # of each warp
    dtype: str

    @property
    def block_rows(self):
        return WARPS * self.rows

    def staged(self, feeds):
        """Weights staged at a time for one source."""
        return DEPTH * len(feeds) * UNITS

    @property
    def room(self):
        """Elements of shared memory: two stages of weights, two of values."""
        return 2 * (max(map(self.staged, self.feeds), default=0) + self.block_rows * DEPTH)


def panel_elements(shape, depths):
    """Elements of one unit block's weights: its biases, then per source groups of four k, padded with zeros."""
    padded = (-(-depth // 4) * 4 for depth in depths)
    return UNITS * (shape.sums + sum(len(feeds) * n for feeds, n in zip(shape.feeds, padded, strict=True)))


def pack_source(weights, units):
    """Weights of one source, (feeds, depth, H), as [unit block][k // 4][feed][unit][k % 4]; zeros beyond the ends."""
    feeds, depth, _ = weights.shape
    blocks, groups = -(-units // UNITS), -(-depth // 4)
    padded = np.zeros((feeds, 4 * groups, UNITS * blocks), weights.dtype)
    padded[:, :depth, :units] = weights
    return padded.reshape(feeds, groups, 4, blocks, UNITS).transpose(3, 1, 0, 4, 2).reshape(blocks, -1)


if SIMULATED:

    def fma(a, b, c):
        return a * b + c

    FMA = {4: fma, 8: fma}
else:
    FMA = {4: libdevice.fmaf_rn, 8: libdevice.fma_rn}


@cache
def accumulator(shape, source):
    """Device function ``f(sums, values, starts, depth, weights, panel, shared)`` that adds one source's products.

    ``sums`` is the thread's (rows, sums) array. ``values`` holds the block's rows from ``starts`` on (shared; -1: no
    such row). ``weights`` from ``panel`` on are the source's, as `pack_source` makes them. ``shared`` is scratch of
    `TileShape.room` elements. All threads of the block must call it together; scratch is free when they meet again.
    """
    dtype = np.dtype(shape.dtype).type
    feeds, rows, block_rows = shape.feeds[source], shape.rows, shape.block_rows
    fma = FMA[np.dtype(shape.dtype).itemsize]
    count = len(feeds)
    staged, values_at = shape.staged(feeds), 2 * max(map(shape.staged, shape.feeds))
    vectors = staged // 4  # of weights to fetch
    fetched_weights, fetched_values = -(-vectors // THREADS), -(-block_rows * DEPTH // THREADS)
    group = count * UNITS * 4

    @cuda.jit(device=True, inline=True)
    def accumulate(sums, values, starts, depth, weights, panel, shared):
        thread = cuda.threadIdx.x
        lane, warp = thread % UNITS, thread // UNITS
        panel_end = panel + (depth + 3) // 4 * group
        next_weights = cuda.local.array((fetched_weights, 4), dtype)
        next_values = cuda.local.array(fetched_values, dtype)
        for first in range(-DEPTH, depth, DEPTH):
            stage = first // DEPTH & 1
            if first >= 0:
                for n in range(fetched_weights):
                    e = n * THREADS + thread
                    if e < vectors:
                        four = next_weights[n, 0], next_weights[n, 1], next_weights[n, 2], next_weights[n, 3]
                        store4(shared, stage * staged + 4 * e, four)
                for n in range(fetched_values):
                    e = n * THREADS + thread
                    if e < block_rows * DEPTH:
                        shared[values_at + stage * block_rows * DEPTH + e] = next_values[n]
                cuda.syncthreads()
            following = first + DEPTH
            if following < depth:
                for n in range(fetched_weights):
                    at = panel + following // 4 * group + 4 * (n * THREADS + thread)
                    if n * THREADS + thread < vectors and at < panel_end:
                        four = load4(weights, at)
                        for j in range(4):
                            next_weights[n, j] = four[j]
                for n in range(fetched_values):
                    e = n * THREADS + thread
                    k = following + e % DEPTH
                    next_values[n] = dtype(0)
                    if e < block_rows * DEPTH and k < depth:
                        start = starts[e // DEPTH]
                        if start >= 0:
                            next_values[n] = values[start + k]
            if first >= 0:
                here = min(DEPTH, depth - first)
                at_weights = stage * staged + lane * 4
                at_values = values_at + (stage * block_rows + warp * rows) * DEPTH
                for k in range(0, here - 3, 4):
                    for j in range(count):
                        w0, w1, w2, w3 = load4(shared, at_weights + (k // 4 * count + j) * UNITS * 4)
                        for r in range(rows):
                            x0, x1, x2, x3 = load4(shared, at_values + r * DEPTH + k)
                            a = feeds[j]
                            total = fma(x1, w1, fma(x0, w0, sums[r, a]))
                            sums[r, a] = fma(x3, w3, fma(x2, w2, total))
                for k in range(here // 4 * 4, here):
                    for j in range(count):
                        w = shared[at_weights + (k // 4 * count + j) * UNITS * 4 + k % 4]
                        for r in range(rows):
                            a = feeds[j]
                            sums[r, a] = fma(shared[at_values + r * DEPTH + k], w, sums[r, a])

    return accumulate
