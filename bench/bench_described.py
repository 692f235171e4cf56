"""Masks, resets, reversal and layouts against a dense batch with as many steps; two directions against one
after the other.
"""

import numpy as np
import pytest
from points import ALL, point

import numbarnn as nr
from numbarnn import timing

POINTS = ((1, 100, 64), (1, 100, 256), (16, 50, 128), (32, 50, 256), (64, 40, 512))  # B, T, I = H
CELLS = {"lstm": nr.LSTM, "gru": nr.GRU}
QUICK = {(1, 100, 256), (16, 50, 128)}
MASKED_SHARE = 0.3  # of the time axis, in every row: as many steps as the dense batch remain
RESET_SHARE = 0.05

GRID = [
    point(
        cell,
        sizes,
        name="-".join(map(str, (cell, *sizes))),
        quick=sizes in QUICK,
    )
    for cell in CELLS
    for sizes in POINTS
]


def masks(B, T, generator):
    """Two masks with T valid steps in every row: gaps anywhere, and all of them on the left."""
    time = round(T / (1 - MASKED_SHARE))
    order = np.argsort(generator.random((B, time)), axis=1)
    return {"gaps": order < T, "left padding": np.broadcast_to(np.arange(time) >= time - T, (B, time))}


@pytest.mark.parametrize("cell, sizes", GRID)
def test_described(record, alternating, cell, sizes):
    B, T, H = sizes
    generator, make = np.random.default_rng(B * T), CELLS[cell]
    layers = {
        kind: make(H, return_sequences=True, seed=0, **options)
        for kind, options in {
            "plain": {},
            "reversed": {"go_backwards": True},
            "time-major": {"time_major": True},
        }.items()
    }
    x = generator.standard_normal((B, T, H), dtype=np.float32)
    masked = masks(B, T, generator)
    time = masked["gaps"].shape[1]
    wide = generator.standard_normal((B, time, H), dtype=np.float32)
    resets = generator.random((B, T)) < RESET_SHARE
    upright, held = np.ascontiguousarray(x.swapaxes(0, 1)), np.empty((B * (time - T), H), np.float32)
    calls = {
        "dense": lambda: layers["plain"](x, n_threads=ALL),
        "resets": lambda: layers["plain"](x, resets=resets, n_threads=ALL),
        "reversed": lambda: layers["reversed"](x, n_threads=ALL),
        "time-major": lambda: layers["time-major"](upright, n_threads=ALL),
        "other rows": lambda: np.copyto(held, x[0, 0]),
    }
    for kind, mask in masked.items():
        calls[kind] = lambda mask=mask: layers["plain"](wide, mask=mask, n_threads=ALL)
    took = timing.alternate(calls, **alternating)
    median = {name: float(np.median(values)) for name, values in took.items()}
    written = {kind: median["other rows"] if kind in masked else 0.0 for kind in calls}
    record(
        took["gaps"].tolist(),
        group=f"{cell} B{B} T{T} H{H}, {ALL} thread(s)",
        suite="described",
        point={"cell": cell, "B": B, "T": T, "H": H, "threads": ALL},
        median=median,
        cost={
            kind: float(np.median((took[kind] - written[kind]) / took["dense"]))
            for kind in ("gaps", "left padding", "resets", "reversed", "time-major")
        },
    )


@pytest.mark.parametrize("cell, sizes", GRID)
def test_two_directions(record, alternating, cell, sizes):
    """Both as a user without `Bidirectional` would run them: in turn, the second's outputs turned round."""
    B, T, H = sizes
    make = CELLS[cell]
    x = np.random.default_rng(B * T).standard_normal((B, T, H), dtype=np.float32)
    layers = {
        mode: nr.Bidirectional(make(H, return_sequences=True, seed=0), merge_mode=mode)
        for mode in ("concat", "sum")
    }
    one = layers["concat"].forward_layer
    one.build(H)
    other = layers["concat"].backward_layer
    other.build(H)

    def in_turn():
        forward, backward = one(x, n_threads=ALL), other(x, n_threads=ALL)
        return np.concatenate([forward, backward[:, ::-1]], axis=-1)

    assert (layers["concat"](x, n_threads=ALL) == in_turn()).all()
    calls = {mode: lambda layer=layer: layer(x, n_threads=ALL) for mode, layer in layers.items()}
    calls |= {"in turn": in_turn, "forward": lambda: one(x, n_threads=ALL)}
    took = timing.alternate(calls, **alternating)
    median = {name: float(np.median(values)) for name, values in took.items()}
    record(
        took["concat"].tolist(),
        group=f"{cell} B{B} T{T} H{H}, {ALL} thread(s), two directions",
        suite="directions",
        point={"cell": cell, "B": B, "T": T, "H": H, "threads": ALL},
        median=median,
        ratio={mode: float(np.median(took["in turn"] / took[mode])) for mode in layers},
    )
