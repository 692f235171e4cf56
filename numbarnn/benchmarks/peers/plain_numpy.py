"""Plain NumPy, a loop over the steps. Its threads are those of NumPy's matrix product, which cannot be told
how many they are once NumPy is imported.
"""

import numpy as np

from ..problems import plain, plain_step
from . import Peer


def prepare(problem, data, threads):
    if problem.each_step:
        return _stepping(problem, data)

    def run():
        return plain(problem, data)

    return Peer(run, run)


def _stepping(problem, data):
    layers, states = [weights for [weights] in data.weights], []

    def reset():
        states[:] = [(np.zeros((problem.B, problem.H), problem.dtype),) * 2 for _ in layers]

    def step(x_t=data.x[:, 0]):
        for k, (weight_ih, weight_hh, bias_ih, bias_hh) in enumerate(layers):
            states[k] = plain_step(problem.cell, x_t @ weight_ih.T + bias_ih, *states[k], weight_hh, bias_hh)
            x_t = states[k][0]
        return x_t

    def result():
        reset()
        return np.stack([step(data.x[:, t]) for t in range(problem.T)], axis=1)

    reset()
    return Peer(step, result)
