"""Weights, once, in the order in which tiles read them.

A *panel* holds all that one block of units (one vector wide) needs for a phase, as vectors: the bias of each
sum, then for every k of the inputs one vector per sum they feed, then the same for each further source. A
tile reads it from front to back. Units beyond the last are zero. Weights in 16 bits stand in vectors half as
wide; the biases before them stay as they are.
"""

import numpy as np

from . import halves
from .tile import Shape


def shape(phase):
    """The phase's `Shape`: which sums each of its sources feeds."""
    feeds = tuple(
        tuple(a for a, total in enumerate(phase.sums) if source in total.sources) for source in phase.sources
    )
    return Shape(len(phase.sums), feeds, "x" in phase.sources)


def panel_vectors(phase, depths, weights_dtype=None):
    """Vectors of weights that fill one panel; `depths` maps a source to its number of k. Of those in 16 bits
    a bias fills two, and there are as many as keep the biases of the next panel aligned.
    """
    feeds = zip(phase.sources, shape(phase).feeds, strict=True)
    products = sum(depths[source] * len(fed) for source, fed in feeds)
    if weights_dtype is None:
        return len(phase.sums) + products
    return 2 * len(phase.sums) + products + products % 2


def pack(weights, p, lanes, out):
    """Write the panels of phase `p` into `out`.

    Parameters
    ----------
    weights : Weights
    lanes : int
        Units of one block.
    out : ndarray, shape (blocks, panel_vectors, lanes)
        Written, all of it. Of the weights' dtype, or uint16 for those in 16 bits.
    """
    out[...] = 0
    phase, dtype = weights.cell.phases[p], weights.dtype
    at = len(phase.sums) if dtype is None else 2 * len(phase.sums)
    biases = out[:, :at] if dtype is None else _biases(out[:, :at])
    for a, total in enumerate(phase.sums):
        bias = weights.bias(p, total)
        if bias is not None:
            _by_block(biases, a, bias, lanes)
    for source, feeds in zip(phase.sources, shape(phase).feeds, strict=True):
        for j, a in enumerate(feeds):
            block = weights.block(p, source, a)
            for_sum = slice(at + j, at + len(block) * len(feeds), len(feeds))
            _by_block(out, for_sum, block if dtype is None else halves.to_bits(block, dtype), lanes)
        end = at + len(block) * len(feeds)
        if dtype is not None and end > at:
            together = out[:, at:end].reshape(len(out), len(block), len(feeds), lanes)
            halves.arrange(together, dtype)
        at = end


def _biases(vectors):
    """A view of pairs of 16-bit vectors as float32 vectors."""
    blocks, count, lanes = vectors.shape
    return vectors.reshape(blocks, count * lanes).view(np.float32).reshape(blocks, count // 2, lanes)


def _by_block(out, rows, values, lanes):
    """Spread the last axis of `values`, the units, over blocks of `lanes`."""
    for block, first in enumerate(range(0, values.shape[-1], lanes)):
        part = values[..., first : first + lanes]
        out[block, rows, : part.shape[-1]] = part
