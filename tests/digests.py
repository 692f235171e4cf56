"""What layers compute from fixed inputs, as digests; run as a process, prints them with what was compiled."""

import hashlib
import json

import numpy as np
from models import MODELS

from numbarnn.kernels import jit

LENGTHS = np.array([5, 0, 9, 1, 7, 3, 9])
MASK, RESETS = np.random.default_rng(0).random((2, 7, 9)) < np.array([0.6, 0.3])[:, None, None]
KINDS = (("lstm", "float32"), ("gru", "float64"), ("toy", "float32"))


def digests():
    """The SHA-256 of every result of dense, ragged and masked calls and of a stepper, for some layers."""
    found = {}
    for name, dtype in KINDS:
        layer, x, initial = MODELS[name].batch(7, 9, 5, 35, dtype)
        stepper = layer.stepper(7)
        results = [
            *layer(x, initial),
            *layer(x[:1], [state[:1] for state in initial]),
            *layer(x, initial, lengths=LENGTHS),
            *layer(x, initial, mask=MASK, resets=RESETS, n_threads=2),
            *(stepper(x[:, t]) for t in range(9)),
        ]
        found[f"{name} {dtype}"] = [hashlib.sha256(array.tobytes()).hexdigest() for array in results]
    return found


if __name__ == "__main__":
    found = digests()
    how = sorted({how for _, _, how in jit.compilations})
    print(json.dumps({"digests": found, "how": how, "failures": jit.failures}))
