"""What tests of dropout share: layers that draw the same masks again, and layers that are given theirs."""

from functools import partial

import numpy as np
import pytest
from directions import B, H, I
from models import TOY, squash

import numbarnn as nr
from numbarnn.dropout import Masks

CELLS = {
    "lstm": nr.LSTMCell,
    "gru": nr.GRUCell,
    "gru_before": partial(nr.GRUCell, reset_after=False),
    "simple": nr.SimpleRNNCell,
    "toy": partial(nr.FusedCell, TOY, activation=squash),
}
INPUTS, RECURRENT = {"dropout": 0.4}, {"recurrent_dropout": 0.3}
every_rate = pytest.mark.parametrize("rates", [INPUTS, RECURRENT, INPUTS | RECURRENT], ids=["x", "h", "x h"])


def make(model, rates=INPUTS | RECURRENT, dtype="float32", features=I, units=H, **options):
    """A layer with random weights; two of them draw the same masks."""
    cell = CELLS[model.name](units, dtype=dtype, seed=3, **rates)
    cell.set_weights(model.weights(features, units, dtype, np.random.default_rng(4)))
    return nr.RNN(cell, **{"return_sequences": True, "return_state": True} | options)


def masks_of(layer, rows=B):
    """What its next call draws; the layer is spent by that."""
    cell = layer.cell
    return cell.masks.draw(rows, cell.input_size, cell.units, cell.dtype)


class Given:
    """In place of what draws."""

    def __init__(self, masks):
        self.masks = masks

    def draw(self, B, I, H, dtype):  # noqa: E741
        for mask, size in zip(self.masks, (I, H), strict=True):
            assert mask is None or (mask.shape, mask.dtype) == ((B, size), dtype)
        return self.masks


def with_masks(layer, masks):
    """The layer, which draws these."""
    layer.cell.masks = Given(masks)
    return layer


def rows_of(masks, rows):
    return Masks(*(mask if mask is None else mask[rows] for mask in masks))
