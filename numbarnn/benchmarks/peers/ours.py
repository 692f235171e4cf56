"""numbarnn: a layer, cells one upon the other, or layers in two directions; a stepper for single steps.

A stepper takes as many threads as Numba's count says when it is first called, a layer what its call says.
"""

from functools import partial

import numba
import numpy as np

from ... import cells
from ...bidirectional import Bidirectional
from ...rnn import RNN
from ...weights import from_torch
from . import Peer

CELLS = {"lstm": cells.LSTMCell, "gru": cells.GRUCell}


def prepare(problem, data, threads):
    """A padded batch is told by `lengths`, or by a mask where the padding is on the left."""
    layers = _layers(problem, data)
    if problem.each_step:
        return _stepping(layers[0].stepper(problem.B), problem, data, threads)
    ways = {"n_threads": threads}
    if problem.padding == "left":
        ways["mask"] = problem.valid
    elif problem.padding != "none":
        ways["lengths"] = data.lengths
    if data.resets is not None:
        ways["resets"] = data.resets

    def several():
        y = data.x
        for layer in layers:
            y = layer(y, **ways)
        return y

    run = partial(layers[0], data.x, **ways) if len(layers) == 1 else several
    return Peer(run, run)


def _layers(problem, data):
    """Cells that run in one direction are stacked in one layer."""

    def layer(cells):
        return RNN(cells, return_sequences=True, zero_output_for_mask=True)

    def cell():
        return CELLS[problem.cell](problem.H, dtype=problem.dtype)

    lists = [[from_torch(problem.cell, *weights) for weights in layer] for layer in data.weights]
    if problem.directions == 1:
        layers = [layer([cell() for _ in lists])] if len(lists) > 1 else [layer(cell())]
        layers[0].set_weights([array for [arrays] in lists for array in arrays])
        return layers
    layers = [Bidirectional(layer(cell())) for _ in lists]
    for one, (forward, backward) in zip(layers, lists, strict=True):
        one.set_weights([*forward, *backward])
    return layers


def _stepping(stepper, problem, data, threads):
    steps = np.ascontiguousarray(data.x.swapaxes(0, 1))
    y = np.empty((problem.B, problem.H), problem.dtype)
    before = numba.get_num_threads()
    numba.set_num_threads(threads)
    stepper(steps[0], out=y)
    numba.set_num_threads(before)

    def result():
        stepper.reset()
        return np.stack([stepper(x_t) for x_t in steps], axis=1)

    return Peer(partial(stepper, steps[0], out=y), result)
