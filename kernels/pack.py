"""Weights, once, in the order in which tiles read them.

A *panel* holds all that one block of units (one vector wide) needs for a phase, as vectors: the bias of each
sum, then for every k of the inputs one vector per sum they feed, then the same for each further source. A
tile reads it from front to back. Units beyond the last are zero.
"""

from .tile import Shape


def shape(phase):
    """The phase's `Shape`: which sums each of its sources feeds."""
    feeds = tuple(
        tuple(a for a, total in enumerate(phase.sums) if source in total.sources) for source in phase.sources
    )
    return Shape(len(phase.sums), feeds, "x" in phase.sources)


def panel_vectors(phase, depths):
    """Vectors in one panel; `depths` maps a source to its number of k."""
    feeds = zip(phase.sources, shape(phase).feeds, strict=True)
    return len(phase.sums) + sum(depths[source] * len(fed) for source, fed in feeds)


def pack(weights, p, lanes, out):
    """Write the panels of phase `p` into `out`.

    Parameters
    ----------
    weights : Weights
    lanes : int
        Units of one block.
    out : ndarray, shape (blocks, panel_vectors, lanes)
        Written, all of it.
    """
    out[...] = 0.0
    phase = weights.cell.phases[p]
    for a, total in enumerate(phase.sums):
        bias = weights.bias(p, total)
        if bias is not None:
            _by_block(out, a, bias, lanes)
    at = len(phase.sums)
    for source, feeds in zip(phase.sources, shape(phase).feeds, strict=True):
        for j, a in enumerate(feeds):
            block = weights.block(p, source, a)
            for_sum = slice(at + j, at + len(block) * len(feeds), len(feeds))
            _by_block(out, for_sum, block, lanes)
        at += len(block) * len(feeds)


def _by_block(out, rows, values, lanes):
    """Spread the last axis of `values`, the units, over blocks of `lanes`."""
    for block, first in enumerate(range(0, values.shape[-1], lanes)):
        part = values[..., first : first + lanes]
        out[block, rows, : part.shape[-1]] = part
