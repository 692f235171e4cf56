"""Keras' layers, cells for single steps, in the fastest way that each backend documents.

The backend is chosen once per process, so a peer lives in a child: `start` is the parent's side, `prepare`
what the child calls. Padding is told by the `mask` argument.
"""

import os

import numpy as np

from ...weights import from_torch
from . import Peer, child, refuse, without_padding
from .keras_backends import BACKENDS

REASONS = {"resets": "Keras' layers take no resets inside a sequence"}
NOT_ON_TENSORFLOW = {"float64": "on this backend Keras rounds what it computes from float64 to float32"}


def start(backend, problem, data, threads, environment, processors=None):
    refuse(problem, REASONS if backend == "tensorflow" else REASONS | NOT_ON_TENSORFLOW)
    environment = environment | {"KERAS_BACKEND": backend, "CUDA_VISIBLE_DEVICES": ""}
    return child.start(__name__, problem, data, threads, environment, processors)


def prepare(problem, data, threads):
    """In the child."""
    backend = BACKENDS[os.environ["KERAS_BACKEND"]](threads)
    import keras  # only now: the backend has been told its threads

    keras.backend.clear_session()  # of an earlier problem
    keras.config.set_floatx(problem.dtype)
    keras.config.set_dtype_policy(problem.dtype)  # or wrappers would round what layers return
    lists = [[from_torch(problem.cell, *weights) for weights in layer] for layer in data.weights]
    return (_steps if problem.each_step else _whole)(keras.layers, problem, data, lists, backend)


def _whole(keras_layers, problem, data, lists, backend):
    kind = {"lstm": keras_layers.LSTM, "gru": keras_layers.GRU}[problem.cell]
    layers = [kind(problem.H, return_sequences=True, dtype=problem.dtype) for _ in lists]
    if problem.directions == 2:
        layers = [keras_layers.Bidirectional(layer) for layer in layers]
    for layer, inputs, directions in zip(layers, problem.inputs, lists, strict=True):
        layer.build((problem.B, problem.T, inputs))
        layer.set_weights([array for arrays in directions for array in arrays])

    def forward(call, x, mask=None):
        for k in range(len(layers)):
            x = call(k, x, **({} if mask is None else {"mask": mask}))
        return x

    function = backend.compiled(layers, forward)
    given = [backend.to_tensor(array) for array in (data.x, problem.valid) if array is not None]

    def run():
        return function(*given)

    return Peer(run, lambda: without_padding(problem, backend.to_numpy(run())))


def _steps(keras_layers, problem, data, lists, backend):
    kind = {"lstm": keras_layers.LSTMCell, "gru": keras_layers.GRUCell}[problem.cell]
    cells = [kind(problem.H, dtype=problem.dtype) for _ in lists]
    for cell, inputs, [arrays] in zip(cells, problem.inputs, lists, strict=True):
        cell.build((problem.B, inputs))
        cell.set_weights(arrays)

    def forward(call, x_t, states):
        new = []
        for k, of_cell in enumerate(states):
            x_t, of_cell = call(k, x_t, of_cell)
            new.append(of_cell)
        return x_t, new

    function = backend.compiled(cells, forward)
    steps = [backend.to_tensor(x_t) for x_t in np.ascontiguousarray(data.x.swapaxes(0, 1))]
    zeros = np.zeros((problem.B, problem.H), problem.dtype)
    states = None

    def reset():
        nonlocal states
        states = [[backend.to_tensor(zeros) for _ in range(1 + (problem.cell == "lstm"))] for _ in cells]

    def step(x_t=steps[0]):
        nonlocal states
        y, states = function(x_t, states)
        return y

    def result():
        reset()
        return np.stack([backend.to_numpy(step(x_t)) for x_t in steps], axis=1)

    reset()
    return Peer(step, result)
