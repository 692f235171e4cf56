"""Faults of gate orders, layouts and biases."""

from .mutation import Mutation

PACK = "kernels/pack.py"

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
        PACK,
        "return part[rows[0]] if len(rows) == 1 else part[0] + part[1]",
        "return part[0] + part[1] if 0 in rows else 0 * part[1]",
    ),
    Mutation(
        "GRU: recurrent bias dropped inside the reset",
        PACK,
        "return part[rows[0]] if len(rows) == 1 else part[0] + part[1]",
        "return sum(part[row] for row in rows) if 0 in rows else 0 * part[1]",
    ),
    Mutation(
        "the bias counts twice",
        PACK,
        """    if not cell.two_biases:
        return part
""",
        """    if not cell.two_biases:
        return part + part
""",
    ),
    Mutation(
        "the recurrent kernel is transposed",
        PACK,
        "            _by_block(out, for_sum, weights[:, column : column + units], units, lanes)\n",
        """            columns_of_sum = weights[:, column : column + units]
            _by_block(out, for_sum, columns_of_sum.T if recurrent else columns_of_sum, units, lanes)
""",
    ),
    Mutation(
        "gates stand features apart, not units",
        PACK,
        "column = columns.index((p, source, a)) * units",
        "column = columns.index((p, source, a)) * weights.shape[0]",
    ),
    Mutation(
        "recurrent weights are looked for units after the bias, not features",
        "kernels/program.py",
        "offset += self.depths[source] * len(feeds) * vector_bytes",
        "offset += self.units * len(feeds) * vector_bytes",
    ),
    Mutation(
        "units beyond the last whole vector have no weights",
        PACK,
        "for block, first in enumerate(range(0, units, lanes)):",
        "for block, first in enumerate(range(0, units - lanes + 1, lanes)):",
    ),
    Mutation(
        "PyTorch's GRU keeps PyTorch's order of gates",
        "numbarnn/weights.py",
        '"gru": (1, 0, 2)',
        '"gru": (0, 1, 2)',
        ("golden",),
    ),
    Mutation(
        "of PyTorch's two biases one is dropped",
        "numbarnn/weights.py",
        "biases[0] + biases[1]",
        "biases[0]",
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
