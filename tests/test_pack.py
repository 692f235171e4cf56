"""Packed weights against formulas written out by hand, one per cell and phase.

H units stand in blocks of `lanes`; the table below says which row of which array each vector of a panel is.
"""

import numpy as np
import pytest

from numbarnn.kernels import cells, declaration, definition, matrices
from numbarnn.kernels.pack import pack, panel_vectors, shape

I, H = 3, 10  # noqa: E741


def both(gates):
    """Vectors of a phase whose sums all take x and h: biases, I times the gates, H times the gates."""
    columns = range(gates)
    return [
        *(("bias", 0, g) for g in columns),
        *(("kernel", k, g) for k in range(I) for g in columns),
        *(("recurrent", k, g) for k in range(H) for g in columns),
    ]


# Per vector of a panel: the array, its row, its block of H columns. Columns of lstm: i f g o; of gru: z r n.
VECTORS = {
    ("simple_rnn", 0): both(1),
    ("lstm", 0): both(4),
    ("gru", 0): [
        ("both biases", None, 0), ("both biases", None, 1), ("bias", 0, 2), ("bias", 1, 2),
        *(("kernel", k, g) for k in range(I) for g in (0, 1, 2)),
        *(("recurrent", k, g) for k in range(H) for g in (0, 1, 2)),
    ],
    ("gru_reset_before", 0): both(2),
    ("gru_reset_before", 1): [
        ("bias", 0, 2),
        *(("kernel", k, 2) for k in range(I)),
        *(("recurrent", k, 2) for k in range(H)),
    ],
}  # fmt: skip
GATES = {"simple_rnn": 1, "lstm": 4, "gru": 3, "gru_reset_before": 3}
phases = pytest.mark.parametrize(("name", "p"), VECTORS)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def weights(name, dtype):
    """Random weights; two rows of biases for the cell that keeps two."""
    rng, columns = np.random.default_rng(6), GATES[name] * H
    rows = 2 if name == "gru" else 1
    return [rng.normal(size=(n, columns)).astype(dtype) for n in (I, H, rows)]


def longhand(name, p, dtype, vector, unit, with_bias):
    """One element of a panel."""
    kernel, recurrent, bias = weights(name, dtype)
    kind, row, gate = VECTORS[name, p][vector]
    column = gate * H + unit
    if kind == "kernel":
        return kernel[row, column]
    if kind == "recurrent":
        return recurrent[row, column]
    if not with_bias:
        return 0.0
    return bias[0, column] + bias[1, column] if kind == "both biases" else bias[row, column]


def arranged(cell, units, *arrays):
    """The cell's weights by name."""
    names = matrices.shapes(cell, matrices.sizes_of(units), I)
    return matrices.Weights(cell, matrices.sizes_of(units), dict(zip(names, arrays, strict=False)))


def packed(name, p, dtype, lanes, with_bias=True):
    cell = cells.TABLE[name]
    kernel, recurrent, bias = weights(name, dtype)
    bias = [bias if name == "gru" else bias[0]] if with_bias else []
    vectors = panel_vectors(cell.phases[p], {"x": I, "h": H, "rh": H})
    out = np.full((-(-H // lanes), vectors, lanes), np.nan, dtype)
    pack(arranged(cell, H, kernel, recurrent, *bias), p, lanes, out)
    return out


@phases
@dtypes
@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no_bias"])
@pytest.mark.parametrize("lanes", [2, 4, 8, 16])
def test_every_element(name, p, dtype, lanes, with_bias):
    """Units that fill their blocks and units that do not; what is beyond the last is zero."""
    out = packed(name, p, dtype, lanes, with_bias)
    assert out.shape[1] == len(VECTORS[name, p])
    for block, vector, lane in np.ndindex(out.shape):
        unit = block * lanes + lane
        right = longhand(name, p, dtype, vector, unit, with_bias) if unit < H else 0.0
        assert out[block, vector, lane] == right, f"block {block}, vector {vector}, lane {lane}"


def test_weights_may_be_views():
    """Transposed or every second element: only values count."""
    kernel, recurrent, bias = weights("lstm", np.float32)
    spread = np.zeros((2 * H, 2 * GATES["lstm"] * H), np.float32)
    spread[::2, ::2] = recurrent
    out = np.full_like(packed("lstm", 0, np.float32, 8), np.nan)
    pack(arranged(cells.LSTM, H, np.asfortranarray(kernel), spread[::2, ::2], bias[0]), 0, 8, out)
    np.testing.assert_array_equal(out, packed("lstm", 0, np.float32, 8))


@phases
def test_the_shape_says_what_feeds_which_sum(name, p):
    """Sums, then per source the sums it feeds: all that the tiles know of a cell."""
    right = {
        ("simple_rnn", 0): (1, ((0,), (0,)), True),
        ("lstm", 0): (4, ((0, 1, 2, 3), (0, 1, 2, 3)), True),
        ("gru", 0): (4, ((0, 1, 2), (0, 1, 3)), True),
        ("gru_reset_before", 0): (2, ((0, 1), (0, 1)), True),
        ("gru_reset_before", 1): (1, ((0,), (0,)), True),
    }
    assert shape(cells.TABLE[name].phases[p]) == right[name, p]


def test_biases_of_a_cell_with_two():
    """A sum over x takes the first row, one over h the second, one over both adds them in their dtype."""
    _, _, bias = made = weights("gru", np.float32)
    named = {total.name: arranged(cells.GRU, H, *made).bias(0, total) for total in cells.GRU.phases[0].sums}
    z, r, n = (bias[:, g * H : (g + 1) * H] for g in range(3))
    for name, right in {"z": z[0] + z[1], "r": r[0] + r[1], "n_x": n[0], "n_h": n[1]}.items():
        assert named[name].dtype == np.float32
        np.testing.assert_array_equal(named[name], right)


def test_sources_and_sums_in_any_order():
    """A user's cell: h named before x, a sum of x alone, the columns in the order of the sums."""
    made = declaration.phase("a:h+x b:x c:h", lambda a, b, c: a + b + c, results="h")
    cell = definition.Cell("listed otherwise", {"h": 0.0}, "h", (made,))
    rng = np.random.default_rng(7)
    kernel, recurrent, bias = (rng.normal(size=(n, columns * H)) for n, columns in ((I, 2), (H, 2), (1, 3)))
    out = np.full((2, panel_vectors(made, {"x": I, "h": H}), 8), np.nan)
    pack(arranged(cell, H, kernel, recurrent, bias[0]), 0, 8, out)
    rows = [*bias[0].reshape(3, H)]
    rows += [kernel[k, g * H : (g + 1) * H] for k in range(I) for g in range(2)]  # a, b
    rows += [recurrent[k, g * H : (g + 1) * H] for k in range(H) for g in range(2)]  # a, c
    padded = np.pad(rows, ((0, 0), (0, 6))).reshape(len(rows), 2, 8)
    np.testing.assert_array_equal(out, padded.swapaxes(0, 1))
