"""PyTorch's module over the whole padded batch. Its count of threads is one for the process: the peer made
last sets it.
"""

import torch

from . import Peer, refuse, time_major, without_padding

REASONS = {
    "resets": "PyTorch's modules take no resets inside a sequence; torch_cells does",
    "left": "the module would run on through padding on the left: the states after it would be other ones",
    "backward padding": "the backward direction would begin in the padding; torch_packed begins at the ends",
}


def module_of(problem, data):
    """torch.nn.LSTM or GRU with the weights of `data`."""
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[problem.cell]
    module = kind(
        problem.I,
        problem.H,
        problem.layers,
        bidirectional=problem.directions == 2,
        dtype=getattr(torch, problem.dtype),
    )
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    module.load_state_dict(
        {
            f"{name}_l{layer}{suffix}": torch.from_numpy(array)
            for layer, directions in enumerate(data.weights)
            for suffix, weights in zip(("", "_reverse"), directions, strict=False)
            for name, array in zip(names, weights, strict=True)
        }
    )
    return module


def prepare(problem, data, threads):
    refuse(problem, REASONS)
    torch.set_num_threads(threads)
    module, x = module_of(problem, data), torch.from_numpy(time_major(data.x))
    if problem.each_step:
        return _stepping(module, x)

    def run():
        with torch.inference_mode():
            return module(x)[0]

    return Peer(run, lambda: without_padding(problem, time_major(run().numpy())))


def _stepping(module, x):
    """The module on sequences of one step."""
    states, first = None, x[:1]

    def step(x_t=first):
        nonlocal states
        with torch.inference_mode():
            y, states = module(x_t, states)
        return y

    def result():
        nonlocal states
        states = None
        return torch.stack([step(x_t[None])[0] for x_t in x], 1).numpy()

    return Peer(step, result)
