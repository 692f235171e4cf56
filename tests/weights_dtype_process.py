"""Print, for each kind of weights in 16 bits, whether layers have the bits of rounded float32 ones, or why
there are none; and the bits of a vector: the environment says for which CPU code is made.
"""

import json

import numpy as np
from bits import same
from test_weights_dtype import ALL, MADE, given_to, pair

from numbarnn.kernels import halves, jit, simd


def compare(kind):
    for make in MADE.values():
        for B, T, features, units in ((1, 3, 2, 21), (5, 2, 3, 10)):
            try:
                layer, plain = pair(make, kind, features, units, **ALL)
            except ValueError as error:
                return str(error)
            x, extra = given_to(layer, B, T, features)
            with np.errstate(all="ignore"):
                same(layer(x, extra=extra), plain(x, extra=extra))
    return "same"


bits = None if jit.DISABLED else simd.target().vector_bits
print(json.dumps({"bits": bits} | {kind: compare(kind) for kind in halves.DTYPES}))
