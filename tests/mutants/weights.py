"""Faults of gate orders, layouts and biases."""

from .mutation import Mutation

PACK, MATRICES = "kernels/pack.py", "kernels/matrices.py"

MUTATIONS = [
    Mutation(
        "LSTM: gates in the order i f o g",
        "kernels/cells.py",
        'phase("i:x+h f:x+h g:x+h o:x+h", equations.lstm)',
        'phase("i:x+h f:x+h o:x+h g:x+h", equations.lstm)',
    ),
    Mutation(
        "GRU: gates in the order r z n",
        "kernels/cells.py",
        'phase("z:x+h r:x+h n:x|h", equations.gru)',
        'phase("r:x+h z:x+h n:x|h", equations.gru)',
    ),
    Mutation(
        "GRU: recurrent bias outside the reset",
        MATRICES,
        "return part[rows[0]] if len(rows) == 1 else part[0] + part[1]",
        "return part[0] + part[1] if 0 in rows else 0 * part[1]",
    ),
    Mutation(
        "GRU: recurrent bias dropped inside the reset",
        MATRICES,
        "return part[rows[0]] if len(rows) == 1 else part[0] + part[1]",
        "return sum(part[row] for row in rows) if 0 in rows else 0 * part[1]",
    ),
    Mutation(
        "the bias counts twice",
        MATRICES,
        """        if not self.cell.two_biases:
            return part
""",
        """        if not self.cell.two_biases:
            return part + part
""",
    ),
    Mutation(
        "the recurrent kernel is transposed",
        PACK,
        "            block = weights.block(p, source, a)\n",
        "            block = weights.block(p, source, a)\n"
        "            block = block if source == \"x\" else block.T\n",
    ),
    Mutation(
        "gates stand features apart, not units",
        MATRICES,
        "end = at + self.sizes[self.cell.phases[p].units]",
        "end = at + len(self.arrays[name])",
    ),
    Mutation(
        "recurrent weights are looked for units after the bias, not features",
        "kernels/program.py",
        "offset += self.depths[source] * len(feeds) * lanes * self.panel_dtype.itemsize",
        "offset += self.phase_units[p] * len(feeds) * lanes * self.panel_dtype.itemsize",
    ),
    Mutation(
        "units beyond the last whole vector have no weights",
        PACK,
        "for block, first in enumerate(range(0, values.shape[-1], lanes)):",
        "for block, first in enumerate(range(0, values.shape[-1] - lanes + 1, lanes)):",
    ),
    Mutation(
        "PyTorch's GRU keeps PyTorch's order of gates",
        "numbarnn/layouts/__init__.py",
        'gru=Layout("r z n", _both("r z n")),',
        'gru=Layout("z r n", _both("r z n")),',
        ("golden",),
    ),
    Mutation(
        "of PyTorch's two biases one is dropped",
        "numbarnn/layouts/conversion.py",
        "named[name] + named[second] if second in named",
        "named[name] if second in named",
        ("golden",),
    ),
    Mutation(
        "LSTM: the forget gate's bias starts at 0",
        "numbarnn/cells.py",
        "drawn[2][self.units : 2 * self.units] = 1.0",
        "drawn[2][self.units : 2 * self.units] = 0.0",
        ("golden", "layers"),
    ),
    Mutation(
        "the caller's weights are kept, not copied",
        "numbarnn/checks.py",
        "arrays.append(rounded(array, wanted))",
        'arrays.append(np.asarray(array, wanted, order="C").view())',
        ("layers",),
    ),
]
