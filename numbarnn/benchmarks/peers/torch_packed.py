"""PyTorch's module over packed sequences: sorting, packing and unpacking are part of the call, as users who
have a padded batch and want one must do them; so is shifting rows that are padded on the left. Threads: see
`torch_whole`.
"""

import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from . import Peer, refuse, time_major
from .torch_whole import module_of

REASONS = {
    "resets": "packed sequences take no resets inside of them; torch_cells does",
    "each_step": "a single step has nothing to pack",
}


def prepare(problem, data, threads):
    refuse(problem, REASONS)
    torch.set_num_threads(threads)
    module, x = module_of(problem, data), torch.from_numpy(time_major(data.x))
    lengths = torch.full((problem.B,), problem.T) if data.lengths is None else torch.from_numpy(data.lengths)
    steps = torch.arange(problem.T)[:, None]

    def packed(x):
        y, _ = module(pack_padded_sequence(x, lengths, enforce_sorted=False))
        return pad_packed_sequence(y, total_length=problem.T)[0]

    def shifted(x, count):
        """Row b from step count[b] on, what comes before it at the end."""
        places = (steps + count) % problem.T
        return x.gather(0, places[:, :, None].expand(x.shape))

    def run():
        with torch.inference_mode():
            if problem.padding == "left":
                return shifted(packed(shifted(x, problem.T - lengths)), lengths)
            return packed(x)

    return Peer(run, lambda: time_major(run().numpy()))
