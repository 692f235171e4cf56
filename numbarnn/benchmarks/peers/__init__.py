"""The libraries that numbarnn is measured against, one module each, and what a benchmark sees of them.

Every library gets the same inputs, weights and number of threads, each array in the layout that this library
takes without copying, and is called in the fastest way that it documents. `timing` says how they are timed.
"""

from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np

PEERS = {
    "numbarnn": "ours",
    "torch": "torch_whole",
    "torch_packed": "torch_packed",
    "torch_cells": "torch_cells",
    "onnxruntime": "onnx_runtime",
    "openvino": "openvino_cpu",
    "keras_tensorflow": "keras_tensorflow",
    "keras_jax": "keras_jax",
    "keras_torch": "keras_torch",
    "numpy": "plain_numpy",
}
NEEDS = {
    "numbarnn": (),
    "torch": ("torch",),
    "torch_packed": ("torch",),
    "torch_cells": ("torch",),
    "onnxruntime": ("onnxruntime", "onnx"),
    "openvino": ("openvino", "onnx"),
    "keras_tensorflow": ("keras", "tensorflow"),
    "keras_jax": ("keras", "jax"),
    "keras_torch": ("keras", "torch"),
    "numpy": (),
}


class Unsupported(ValueError):
    """A library cannot do a problem; the message says why."""


def nothing():
    """What most peers do when they are closed."""


class Peer(NamedTuple):
    """A library, ready to run a problem.

    Attributes
    ----------
    run : callable
        The call to be timed, without arguments: all outputs of the sequence, or one step. A method ``burst``
        of it, if it has one, measures several where the library runs; see `timing.interleave`.
    result : callable
        Runs from the start, and returns all outputs as an array (B, T, H * directions), 0 at padding.
    timed : callable or None
        The seconds of one call, measured where the library runs, if that is another process.
    close : callable
        Ends what the peer has started.
    """

    run: Callable
    result: Callable
    timed: Callable | None = None
    close: Callable = nothing


def missing(name):
    """The packages that peer `name` needs and that are not installed."""
    return [package for package in NEEDS[name] if find_spec(package) is None]


def prepare(name, problem, data, threads):
    """Peer `name` of `PEERS`, ready to run `problem` on `threads` threads.

    Returns
    -------
    Peer

    Raises
    ------
    ImportError
        The library is not installed.
    Unsupported
        The library cannot do this problem.
    ValueError
        No such peer.

    Examples
    --------
    >>> from numbarnn.benchmarks import Problem, draw
    >>> problem = Problem("lstm", 2, 5, 3, 4)
    >>> prepare("numpy", problem, draw(problem), 1).result().shape
    (2, 5, 4)
    """
    if name not in PEERS:
        raise ValueError(f"name = {name!r}; expected one of {', '.join(PEERS)}")
    if absent := missing(name):
        raise ImportError(f"{name} needs {', '.join(absent)}; install it, or leave {name} out")
    return import_module(f"{__name__}.{PEERS[name]}").prepare(problem, data, threads)


def refuse(problem, reasons):
    """Raise for the first property of the problem that a library does not have.

    `reasons` holds, by property, why: "float64", "resets", "padding", "left" (padding on the left), "backward
    padding" (in two directions), "each_step".
    """
    has = {
        "float64": problem.dtype == "float64",
        "resets": problem.resets > 0,
        "padding": problem.padding != "none",
        "left": problem.padding == "left",
        "backward padding": problem.padding != "none" and problem.directions > 1,
        "each_step": problem.each_step,
    }
    for name, reason in reasons.items():
        if has[name]:
            raise Unsupported(reason)


def time_major(array):
    """Swap the first two axes, and copy."""
    return np.ascontiguousarray(array.swapaxes(0, 1))


def without_padding(problem, y):
    """`y` (B, T, units) with 0 at padding."""
    return y if problem.padding == "none" else np.where(problem.valid[..., np.newaxis], y, y.dtype.type(0))
