"""A process that defines a cell where its argument says, runs it, and prints a digest of the results and how
its functions were obtained. All of its cells are the same graph.
"""

import hashlib
import json
import sys

import numpy as np

import numbarnn as nr
from numbarnn.kernels import jit, store
from numbarnn.math import sigmoid, tanh

SLOTS = "f:x+h n:x+h"
NOTEBOOK = """
def half(a):
    "Another text, and helpers of its own, but the same graph."
    return 0.5 * a

def step(f, n, h):
    keep = nr.math.sigmoid(f)
    candidate = nr.math.tanh(half(n))
    return keep * h + (1 - keep) * candidate

cell = nr.cell("from a notebook", states="h", phases=[nr.phase("f:x+h n:x+h", step)])
"""


def step(f, n, h):
    return sigmoid(f) * h + (1.0 - sigmoid(f)) * tanh(0.5 * n)


def in_main():
    return nr.cell("from __main__", states="h", phases=[nr.phase(SLOTS, step)])


def as_a_lambda():
    function = lambda f, n, h: sigmoid(f) * h + (1.0 - sigmoid(f)) * tanh(0.5 * n)  # noqa: E731
    return nr.cell("a lambda", states="h", phases=[nr.phase(SLOTS, function)])


def in_a_notebook():
    """Text without a file, as a notebook's cell is."""
    names = {"nr": nr, "__name__": "__main__"}
    exec(compile(NOTEBOOK, "<ipython-input-1-0123456789ab>", "exec"), names)
    return names["cell"]


def closing_over(factor):
    """Of the same text and code whatever the factor, but not the same graph."""
    return nr.cell(
        "a closure",
        states="h",
        phases=[nr.phase(SLOTS, lambda f, n, h: sigmoid(f) * h + (1.0 - sigmoid(f)) * tanh(factor * n))],
    )


PLACES = {
    "main": in_main,
    "lambda": as_a_lambda,
    "notebook": in_a_notebook,
    "closure": lambda: closing_over(0.5),
    "another closure": lambda: closing_over(0.25),
}


def digest(cell):
    """Of everything that a layer returns, in either dtype."""
    found, rng = hashlib.sha256(), np.random.default_rng(2)
    for dtype in ("float32", "float64"):
        made = nr.FusedCell(cell, 20, dtype=dtype, seed=1)
        layer = nr.RNN(made, return_sequences=True, return_state=True)
        for result in layer(rng.standard_normal((3, 7, 4)).astype(dtype), lengths=[7, 0, 3]):
            found.update(result.tobytes())
    return found.hexdigest()


def main(place):
    result = digest(PLACES[place]())
    how = {how for *_, how in jit.compilations}
    print(json.dumps({"digest": result, "how": sorted(how), "failures": list(store.failures)}))


if __name__ == "__main__":
    main(sys.argv[1])
