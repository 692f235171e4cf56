"""What tests of stacked cells share: layers with random weights, states for them, results laid out flat."""

import numpy as np
import pytest
from directions import B, I
from dropping import CELLS
from models import MODELS

import numbarnn as nr

KINDS = {
    "lstm gru": ("lstm", "gru"),
    "toy simple lstm": ("toy", "simple", "lstm"),
    "gru_before toy": ("gru_before", "toy"),
}
every_stack = pytest.mark.parametrize("kinds", KINDS.values(), ids=KINDS)
SIZES = 5, 4, 7  # units of the cells


def cells(kinds, dtype="float32", features=I):
    """New ones with random weights, the same ones each time."""
    rng, made = np.random.default_rng(8), []
    for kind, units in zip(kinds, SIZES, strict=False):
        cell = CELLS[kind](units, dtype=dtype)
        cell.set_weights(MODELS[kind].weights(features, units, dtype, rng))
        made.append(cell)
        features = units
    return made


def stack(kinds, dtype="float32", **options):
    return nr.RNN(cells(kinds, dtype), **{"return_sequences": True, "return_state": True} | options)


def states(kinds, rows=B, dtype="float32"):
    """Initial states as the layer takes them."""
    rng, made = np.random.default_rng(9), []
    for kind, units in zip(kinds, SIZES, strict=False):
        of_cell = MODELS[kind].states(rows, units, dtype, rng)
        made.append(of_cell if len(of_cell) > 1 else of_cell[0])
    return made


def flat(results):
    return [array for entry in results for array in (entry if isinstance(entry, list) else [entry])]
