"""Where among a cell's weights stands what: blocks of its matrices, biases, parameters.

`kernel` multiplies the inputs, `recurrent_kernel` the other vectors; those of another size than the first of
these have a matrix ``kernel_of_<vector>`` for themselves. The columns of each are blocks of a phase's units,
phase after phase and sum after sum; the bias has a block for each slot.
"""

from functools import cached_property

from . import halves
from .definition import PER_ROW, UNITS


def sizes_of(units, **named):
    """All sizes by name, but the number of inputs."""
    return {UNITS: units, PER_ROW: 1} | named


def matrices(cell):
    """Every matrix of `cell` by name: the blocks of its columns, each (phase, source, index of the sum)."""
    found, by_size = {"kernel": [], "recurrent_kernel": []}, {}
    for p, phase in enumerate(cell.phases):
        for a, total in enumerate(phase.sums):
            for source in total.sources:
                size = cell.size_of[source]
                own = f"kernel_of_{source}" if by_size else "recurrent_kernel"
                name = "kernel" if source == "x" else by_size.setdefault(size, own)
                found.setdefault(name, []).append((p, source, a))
    return found


def biased(cell):
    """The slots that have biases, in order: (phase, slot)."""
    return tuple(
        dict.fromkeys(
            (p, total.slot) for p, phase in enumerate(cell.phases) if phase.use_bias for total in phase.sums
        )
    )


def shapes(cell, sizes, inputs):
    """Name -> shape of all arrays of weights, in the order users see; `inputs` may be None."""
    found = {}
    for name, blocks in matrices(cell).items():
        rows = inputs if name == "kernel" else sizes[cell.size_of[blocks[0][1]] if blocks else UNITS]
        found[name] = (rows, sum(sizes[cell.phases[p].units] for p, *_ in blocks))
    slots = sum(sizes[cell.phases[p].units] for p, _ in biased(cell))
    found["bias"] = (2, slots) if cell.two_biases else (slots,)
    return found | {name: (sizes[size],) for name, (size, _) in cell.parameters.items()}


class Weights:
    """The arrays of a cell's weights, by what they are for.

    Parameters
    ----------
    cell : Cell
    sizes : dict
        See `sizes_of`.
    arrays : dict of str to ndarray
        See `shapes`; without ``bias`` all biases are 0. Not writable from now on.
    dtype : str, optional
        One of `halves.DTYPES`, which the matrices are rounded to; biases and parameters are not.
    """

    def __init__(self, cell, sizes, arrays, dtype=None):
        self.cell, self.sizes, self.arrays, self.dtype = cell, sizes, arrays, dtype
        for array in arrays.values():
            array.flags.writeable = False

    @cached_property
    def _places(self):
        """Of every block of a matrix: the matrix, its first column, the column after its last."""
        found = {}
        for name, blocks in matrices(self.cell).items():
            at = 0
            for p, source, a in blocks:
                end = at + self.sizes[self.cell.phases[p].units]
                found[p, source, a] = self.arrays[name], at, end
                at = end
        return found

    def block(self, p, source, a):
        """What sum `a` of phase `p` multiplies `source` by (size of the source, phase's units): a view, or
        rounded.
        """
        matrix, at, end = self._places[p, source, a]
        return halves.rounded(matrix[:, at:end], self.dtype)

    def bias(self, p, total):
        """The bias of one sum (units of the phase,): of its slot; with two biases, of the kinds of sources it
        adds up. None where it has none.
        """
        slots, units = biased(self.cell), [self.sizes[phase.units] for phase in self.cell.phases]
        if "bias" not in self.arrays or (p, total.slot) not in slots:
            return None
        at = sum(units[q] for q, _ in slots[: slots.index((p, total.slot))])
        part = self.arrays["bias"][..., at : at + units[p]]
        if not self.cell.two_biases:
            return part
        rows = sorted({int(source != "x") for source in total.sources})
        return part[rows[0]] if len(rows) == 1 else part[0] + part[1]
