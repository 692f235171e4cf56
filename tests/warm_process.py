"""A process of its own that warms layers up and then calls them in every way: what did it compile, and when?

Prints one JSON line for each cell and dtype: the functions that `warmup` obtained, those among them that were
compiled, and those that calls obtained after it. Its arguments name models, without any it takes all.
"""

import json
import sys
from unittest.mock import patch

import numpy as np
from models import MODELS
from numba.core import event

import numbarnn as nr
from numbarnn import costs
from numbarnn.kernels import jit

B, T, I = 6, 5, 3  # noqa: E741
LENGTHS = np.array([5, 0, 3, 1, 5, 2])
MASK = np.arange(T) >= T - LENGTHS[:, None]
RESETS = np.arange(B * T).reshape(B, T) % 4 == 0


def frozen(array):
    array.flags.writeable = False
    return array


def unaligned(array):
    moved = np.empty(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
    moved[...] = array
    return moved


def call_in_every_way(model, dtype):
    """Other sizes, batches, flags, kinds of arrays, threads, steppers, cells; the cell and dtype stay."""
    rng = np.random.default_rng(0)
    for options in ({}, {"use_bias": False}, {"return_sequences": True, "return_state": True},
                    {"go_backwards": True, "stateful": True},
                    {"time_major": True, "zero_output_for_mask": True, "return_sequences": True}):
        layer = model.make(I, 20, dtype, **options)
        x, mask, resets = rng.standard_normal((B, T, I)).astype(dtype), MASK, RESETS
        if "time_major" in options:
            x, mask, resets = np.ascontiguousarray(x.swapaxes(0, 1)), MASK.T, RESETS.T
        initial = model.states(B, 20, dtype, rng)
        for given in ({}, {"lengths": LENGTHS}, {"lengths": LENGTHS.astype(np.int8)},
                      {"lengths": LENGTHS.tolist()}, {"lengths": frozen(unaligned(LENGTHS))}, {"mask": mask},
                      {"mask": frozen(mask.copy()), "resets": resets}, {"resets": np.asfortranarray(resets)}):
            for threads in (1, 3):
                layer(x, initial, n_threads=threads, **given)
        for other in (frozen(x.copy()), np.asfortranarray(x), x[:, ::-1], unaligned(x),
                      x.astype(x.dtype.newbyteorder(">"))):
            layer(other, [frozen(state.copy()) for state in initial])
        layer.explain(x, measure=True)
        if "time_major" not in options:
            layer(nr.Ragged(x[MASK], np.concatenate([[0], np.cumsum(LENGTHS)])), initial)
    sizes = (0, 3, 2, 4), (3, 0, 2, 4), (2, 3, 0, 1), (1, 9, 4, 70), (40, 2, 1, 130)
    for rows, steps, features, units in sizes:
        layer, x = model.make(features, units, dtype), np.zeros((rows, steps, features), dtype)
        layer(x, out=np.empty((rows, units), dtype))
        if rows and steps:
            stepper = layer.stepper(rows)
            stepper(x[:, 0])
            stepper(frozen(x[:, 0].copy()), out=np.empty((rows, units), dtype))
            stepper(np.ascontiguousarray(x[:, 0]))
            layer.cell(x[:, 0], layer.cell.get_initial_state(rows))


def main():
    with event.install_recorder("numba:compile") as compiled_by_numba:
        for model in [MODELS[name] for name in sys.argv[1:] or MODELS]:
            for dtype in ("float32", "float64"):
                begin = len(jit.compilations)
                nr.warmup(model.make(I, 20, dtype))
                warm, compiled = len(jit.compilations), len(compiled_by_numba.buffer)
                with patch.object(costs, "LAUNCH_WORTH_SECONDS", 0.0):  # so that parallel regions run too
                    call_in_every_way(model, dtype)
                print(json.dumps({
                    "cell": model.name,
                    "dtype": dtype,
                    "by_warmup": [name for name, *_ in jit.compilations[begin:warm]],
                    "compiled": [name for name, _, how in jit.compilations[begin:warm] if how == "compiled"],
                    "by_calls": [name for name, *_ in jit.compilations[warm:]],
                    "compiled_by_numba": len(compiled_by_numba.buffer) - compiled,
                }))


if __name__ == "__main__":
    main()
