"""Record PyTorch's LSTM, GRU and RNN in torch.npz, beside this file.

Run: python tests/golden/make_torch.py        (needs torch and numpy)

Every case is one bidirectional layer with its parameters under PyTorch's names; its two directions are two
cases of the tests. `padded` runs the full batch from zero states, and so does `wide`, which has more rows and
units than one tile; `saturated` has inputs that drive the gates to their limits; `packed` is a PackedSequence
of unsorted lengths from given states.
"""

from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

MODULES = {
    "lstm": (torch.nn.LSTM, {}),
    "gru": (torch.nn.GRU, {}),
    "rnn_tanh": (torch.nn.RNN, {"nonlinearity": "tanh"}),
    "rnn_relu": (torch.nn.RNN, {"nonlinearity": "relu"}),
}
SIZES = {"padded": (2, 5, 7, 3), "packed": (6, 8, 4, 9), "wide": (13, 2, 3, 17), "saturated": (3, 5, 6, 4)}
LENGTHS = np.array([3, 8, 1, 5, 8, 2])


def parameters(module, rng):
    """Random parameters; two biases of a gate have one sign, which ceiling.py relies on."""
    scale = module.hidden_size ** -0.5
    drawn = {name: rng.uniform(-scale, scale, tuple(p.shape)) for name, p in module.named_parameters()}
    for name, value in drawn.items():
        if name.startswith("bias_hh"):
            drawn[name] = np.copysign(value, drawn[name.replace("_hh", "_ih")])
    return drawn


def record(kind, scope, dtype, rng):
    """The arrays of one case."""
    B, T, features, H = SIZES[scope]
    make, options = MODULES[kind]
    module = make(features, H, batch_first=True, bidirectional=True, dtype=dtype, **options)
    arrays = {name: torch.tensor(value, dtype=dtype) for name, value in parameters(module, rng).items()}
    module.load_state_dict(arrays)
    x = rng.standard_normal((B, T, features)) * (40 if scope == "saturated" else 1)
    arrays["x"] = inputs = torch.tensor(x, dtype=dtype)
    states = None
    if scope == "packed":
        h_0, c_0 = torch.tensor(rng.uniform(-1, 1, (2, 2, B, H)), dtype=dtype)
        arrays |= {"h_0": h_0, "c_0": c_0} if kind == "lstm" else {"h_0": h_0}
        states = (h_0, c_0) if kind == "lstm" else h_0
        arrays["lengths"] = lengths = torch.tensor(LENGTHS)
        inputs = pack_padded_sequence(inputs, lengths, batch_first=True, enforce_sorted=False)
    output, final = module(inputs, states)
    if scope == "packed":
        output, _ = pad_packed_sequence(output, batch_first=True, total_length=T)
    arrays["output"] = output
    arrays |= dict(zip(("h_n", "c_n"), final, strict=True)) if kind == "lstm" else {"h_n": final}
    return {name: array.numpy() for name, array in arrays.items()}


def main():
    torch.set_num_threads(1)
    rng = np.random.default_rng(20240601)
    file = {"versions": np.array(f"torch {torch.__version__}, numpy {np.__version__}")}
    for kind in MODULES:
        for scope in SIZES:
            for dtype in (torch.float32, torch.float64):
                case = f"{kind}-{scope}-{str(dtype).removeprefix('torch.')}"
                file |= {f"{case}/{name}": array for name, array in record(kind, scope, dtype, rng).items()}
    np.savez_compressed(Path(__file__).with_name("torch.npz"), **file)


if __name__ == "__main__":
    with torch.no_grad():
        main()
