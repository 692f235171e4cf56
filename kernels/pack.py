"""Weights, once, in the order in which tiles read them.

A *panel* holds all that one block of units (one vector wide) needs for a phase, as vectors: the bias of each
sum, then for every k of the inputs one vector per sum they feed, then the same for each further source. A
tile reads it from front to back. Units beyond the last are zero.
"""

import numpy as np

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


def pack(cell, p, kernel, recurrent_kernel, bias, units, lanes, out):
    """Write the panels of phase `p` of `cell` into `out`.

    Parameters
    ----------
    kernel, recurrent_kernel : ndarray, shape (I, columns * H), (H, columns * H)
        In the order of `Cell.columns`.
    bias : ndarray or None
        Shape (slots * H,), or (2, slots * H) where the cell keeps two: row 0 for the inputs, row 1 for the
        recurrent products.
    out : ndarray, shape (blocks, panel_vectors, lanes)
        Written, all of it.
    """
    out[...] = 0.0
    phase = cell.phases[p]
    for a, total in enumerate(phase.sums):
        _by_block(out, a, bias_of(cell, p, total, bias, units), units, lanes)
    at = len(phase.sums)
    for source, feeds in zip(phase.sources, shape(phase).feeds, strict=True):
        recurrent = source != "x"
        weights = recurrent_kernel if recurrent else kernel
        columns = cell.columns(recurrent)
        for j, a in enumerate(feeds):
            column = columns.index((p, source, a)) * units
            for_sum = slice(at + j, at + weights.shape[0] * len(feeds), len(feeds))
            _by_block(out, for_sum, weights[:, column : column + units], units, lanes)
        at += weights.shape[0] * len(feeds)


def _by_block(out, rows, values, units, lanes):
    """Spread the last axis of `values`, the units, over blocks of `lanes`."""
    for block, first in enumerate(range(0, units, lanes)):
        part = values[..., first : first + lanes]
        out[block, rows, : part.shape[-1]] = part


def bias_of(cell, p, total, bias, units):
    """The bias of one sum: of its slot; with two biases, of the kinds of sources it adds up."""
    if bias is None:
        return np.zeros(units, np.float32)
    column = cell.slots.index((p, total.slot)) * units
    part = bias[..., column : column + units]
    if not cell.two_biases:
        return part
    rows = sorted({int(source != "x") for source in total.sources})
    return part[rows[0]] if len(rows) == 1 else part[0] + part[1]
