"""Matrices in 16 bits against float32: the time of a call, and how far its outputs lie from float32's."""

import numpy as np
import pytest
from points import ALL, point

import numbarnn as nr
from numbarnn import timing

# B, T, I = H
SIZES = ((1, 100, 128), (1, 100, 256), (1, 100, 512), (1, 100, 1024), (4, 50, 512), (16, 50, 512))
QUICK = {(1, 100, 256), (1, 100, 1024)}
CELLS = {"lstm": nr.LSTM, "gru": nr.GRU}
KINDS = {"float32": None, "float16": "float16", "bfloat16": "bfloat16"}

GRID = [
    point(
        cell,
        size,
        name="-".join(map(str, (cell, *size))),
        quick=size in QUICK,
    )
    for cell in CELLS
    for size in SIZES
]


@pytest.mark.parametrize("cell, size", GRID)
def test_weights(record, alternating, cell, size):
    """All outputs lie between -1 and 1."""
    B, T, H = size
    x = np.random.default_rng(B * T).standard_normal((B, T, H), dtype=np.float32)
    layers = {
        kind: CELLS[cell](H, return_sequences=True, seed=0, weights_dtype=weights_dtype)
        for kind, weights_dtype in KINDS.items()
    }
    outputs = {kind: layer(x, n_threads=ALL) for kind, layer in layers.items()}
    calls = {kind: lambda layer=layer: layer(x, n_threads=ALL) for kind, layer in layers.items()}
    took = timing.alternate(calls, **alternating)
    halves = [kind for kind in KINDS if kind != "float32"]
    record(
        took["bfloat16"].tolist(),
        group=f"{cell} B{B} T{T} H{H}, {ALL} thread(s), weights",
        suite="weights",
        point={"cell": cell, "B": B, "T": T, "H": H, "threads": ALL},
        median={kind: float(np.median(seconds)) for kind, seconds in took.items()},
        found={kind: float(np.median(took["float32"] / took[kind])) for kind in halves}
        | {f"error, {kind}": 1e3 * float(abs(outputs[kind] - outputs["float32"]).max()) for kind in halves},
    )
