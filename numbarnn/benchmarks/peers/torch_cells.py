"""PyTorch's LSTMCell or GRUCell in a loop in Python, which is what resets and single steps need there.
Padding holds the states and outputs 0. Threads: see `torch_whole`.
"""

import torch

from . import Peer, time_major

KINDS = {"lstm": torch.nn.LSTMCell, "gru": torch.nn.GRUCell}


def prepare(problem, data, threads):
    torch.set_num_threads(threads)
    layers = [[_cell(problem, weights) for weights in layer] for layer in data.weights]
    x = torch.from_numpy(time_major(data.x))
    if problem.each_step:
        return _stepping(problem, [cell for [cell] in layers], x)
    valid, resets = (
        None if array is None else torch.from_numpy(time_major(array))[..., None]
        for array in (problem.valid, data.resets)
    )

    def run():
        y = x
        with torch.inference_mode():
            for cells in layers:
                directions = [_loop(problem, cell, y, valid, resets, k) for k, cell in enumerate(cells)]
                y = torch.cat(directions, 2) if len(directions) > 1 else directions[0]
        return y

    return Peer(run, lambda: time_major(run().numpy()))


def _cell(problem, weights):
    cell = KINDS[problem.cell](weights[0].shape[1], problem.H, dtype=getattr(torch, problem.dtype))
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    cell.load_state_dict({name: torch.from_numpy(array) for name, array in zip(names, weights, strict=True)})
    return cell


def _zeros(problem):
    """The states of a layer: h, and of an LSTM c."""
    dtype = getattr(torch, problem.dtype)
    return tuple(torch.zeros(problem.B, problem.H, dtype=dtype) for _ in range(1 + (problem.cell == "lstm")))


def _step(cell, x_t, states):
    if len(states) == 2:
        return cell(x_t, states)
    return (cell(x_t, states[0]),)


def _loop(problem, cell, x, valid, resets, backward):
    """One layer in one direction, (T, B, H)."""
    states, outputs = _zeros(problem), [None] * problem.T
    for t in range(problem.T)[:: -1 if backward else 1]:
        if resets is not None:
            states = tuple(state.masked_fill(resets[t], 0) for state in states)
        new = _step(cell, x[t], states)
        if valid is None:
            states, outputs[t] = new, new[0]
        else:
            states = tuple(torch.where(valid[t], *pair) for pair in zip(new, states, strict=True))
            outputs[t] = new[0] * valid[t]
    return torch.stack(outputs)


def _stepping(problem, cells, x):
    states, first = [_zeros(problem) for _ in cells], x[0]

    def step(x_t=first):
        with torch.inference_mode():
            for k, cell in enumerate(cells):
                states[k] = _step(cell, x_t, states[k])
                x_t = states[k][0]
        return x_t

    def result():
        states[:] = [_zeros(problem) for _ in cells]
        return torch.stack([step(x_t) for x_t in x], 1).numpy()

    return Peer(step, result)
