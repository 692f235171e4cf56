"""Workloads, and the libraries that numbarnn is measured against.

Every library gets the same inputs, weights and number of threads, each array in the layout that this library
takes without copying. `timing` says how they are timed.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import NamedTuple

import numba
import numpy as np

from . import layers
from .weights import from_torch

GATES = {"lstm": 4, "gru": 3}


class Problem(NamedTuple):
    """One layer over one dense batch."""

    cell: str  # "lstm" or "gru" (reset after the product: the form that every library has)
    B: int
    T: int
    I: int  # noqa: E741
    H: int
    dtype: str = "float32"

    @property
    def flops(self):
        """Of the matrix products; the equations come on top for everybody."""
        return 2 * self.B * self.T * (self.I + self.H) * GATES[self.cell] * self.H

    def __str__(self):
        return f"{self.cell} B{self.B} T{self.T} I{self.I} H{self.H} {self.dtype}"


class Data(NamedTuple):
    """Inputs (B, T, I) and weights, those in PyTorch's layout: gates i, f, g, o or r, z, n."""

    x: np.ndarray
    weight_ih: np.ndarray
    weight_hh: np.ndarray
    bias_ih: np.ndarray
    bias_hh: np.ndarray


def draw(problem, seed=0):
    """Standard normal inputs, and weights as PyTorch draws them: uniform within 1 / sqrt(H)."""
    generator = np.random.default_rng(seed)
    B, T, I, H = problem[1:5]  # noqa: E741
    rows, limit = GATES[problem.cell] * H, H**-0.5
    x = generator.standard_normal((B, T, I))
    weights = [generator.uniform(-limit, limit, shape) for shape in ((rows, I), (rows, H), rows, rows)]
    return Data(*(np.ascontiguousarray(array, problem.dtype) for array in (x, *weights)))


class Peer(NamedTuple):
    """A library, ready to run a problem."""

    run: Callable  # no arguments: the call to be timed, all outputs of the sequence made anew
    result: Callable  # no arguments: runs, and returns the outputs as an array (B, T, H)


def _numbarnn(problem, data, threads):
    kind = {"lstm": layers.LSTM, "gru": layers.GRU}[problem.cell]
    layer = kind(problem.H, return_sequences=True, dtype=problem.dtype)
    layer.set_weights(from_torch(problem.cell, *data[1:]))
    x = data.x

    def on_all():
        return layer(x)

    def on_some():
        return layer(x, n_threads=threads)

    run = on_all if threads == numba.get_num_threads() else on_some
    return Peer(run, run)


def _torch(problem, data, threads):
    """PyTorch's count of threads is one for the process: the peer made last sets it."""
    import torch

    torch.set_num_threads(threads)
    kind = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}[problem.cell]
    weights = {f"{name}_l0": torch.from_numpy(array) for name, array in data._asdict().items() if name != "x"}
    module = kind(problem.I, problem.H).to(weights["bias_ih_l0"].dtype)
    module.load_state_dict(weights)
    x = torch.from_numpy(_time_major(data.x))

    def run():
        with torch.inference_mode():
            return module(x)[0]

    return Peer(run, lambda: _time_major(run().numpy()))


ONNX_OPERATORS = {  # from PyTorch's order of gates
    "lstm": ("LSTM", (0, 3, 1, 2), {}),
    "gru": ("GRU", (1, 0, 2), {"linear_before_reset": 1}),
}


def _onnxruntime(problem, data, threads):
    import onnxruntime

    if problem.dtype != "float32":
        raise ValueError(f"dtype = {problem.dtype!r}: ONNX Runtime's operators take 'float32' only")
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = _onnx_model(problem, data).SerializeToString()
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    feed = {"x": _time_major(data.x)}

    def run():
        return session.run(None, feed)[0]

    return Peer(run, lambda: _time_major(run()[:, 0]))


def _onnx_model(problem, data):
    """A model of one operator whose weights are constants."""
    from onnx import TensorProto, helper, numpy_helper

    operator, order, attributes = ONNX_OPERATORS[problem.cell]
    w, r, b_w, b_r = (
        np.concatenate([np.split(array, len(order))[gate] for gate in order]) for array in data[1:]
    )
    constants = {"W": w[None], "R": r[None], "B": np.concatenate([b_w, b_r])[None]}
    node = helper.make_node(operator, ["x", *constants], ["y"], hidden_size=problem.H, **attributes)
    x_shape, y_shape = [problem.T, problem.B, problem.I], [problem.T, 1, problem.B, problem.H]
    graph = helper.make_graph(
        [node],
        str(problem),
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x_shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, y_shape)],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    # ONNX Runtime refuses versions newer than itself, which is what `onnx` would write by default.
    return helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 14)])


def _numpy(problem, data, threads):
    """Runs on as many threads as NumPy's matrix product takes: `threads` is not in our hands."""

    def run():
        return plain_loop(problem, data)

    return Peer(run, run)


PEERS = {"numbarnn": _numbarnn, "torch": _torch, "onnxruntime": _onnxruntime, "numpy": _numpy}
NEEDS = {"numbarnn": (), "torch": ("torch",), "onnxruntime": ("onnxruntime", "onnx"), "numpy": ()}


def missing(name):
    """The packages that peer `name` needs and that are not installed."""
    return [package for package in NEEDS[name] if find_spec(package) is None]


def prepare(name, problem, data, threads):
    """Peer `name` of `PEERS`, ready to run `problem` on `threads` threads.

    Raises
    ------
    ImportError
        The library is not installed.
    """
    return PEERS[name](problem, data, threads)


def plain_loop(problem, data, dtype=None):
    """The layer in plain NumPy, the inputs' product before the loop; in `dtype`, by default the problem's."""
    dtype = dtype or problem.dtype
    x, weight_ih, weight_hh, bias_ih, bias_hh = (array.astype(dtype, copy=False) for array in data)
    from_inputs = x @ weight_ih.T + bias_ih
    y = np.empty((problem.B, problem.T, problem.H), x.dtype)
    h = c = np.zeros((problem.B, problem.H), x.dtype)
    for t in range(problem.T):
        a, u = from_inputs[:, t], h @ weight_hh.T + bias_hh
        if problem.cell == "lstm":
            i, f, g, o = np.split(a + u, 4, axis=1)
            c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
            h = _sigmoid(o) * np.tanh(c)
        else:
            (a_r, a_z, a_n), (u_r, u_z, u_n) = np.split(a, 3, axis=1), np.split(u, 3, axis=1)
            z = _sigmoid(a_z + u_z)
            h = z * h + (1 - z) * np.tanh(a_n + _sigmoid(a_r + u_r) * u_n)
        y[:, t] = h
    return y


def _sigmoid(a):
    return 1 / (1 + np.exp(-a))


def _time_major(array):
    """Swap the first two axes, and copy."""
    return np.ascontiguousarray(array.swapaxes(0, 1))


def reference(problem, data):
    """What every peer is held against.

    Returns
    -------
    exact : ndarray, shape (B, T, H)
        By the plain loop, in a wider type.
    bound : float
        How far a result may be from it: twice as far as the plain loop in the problem's dtype, and 4 eps of
        the largest output more. Libraries sum in different orders and approximate the activations, so none
        is exact, but none may be much worse than plain code.
    """
    exact = plain_loop(problem, data, {"float32": np.float64, "float64": np.longdouble}[problem.dtype])
    error = np.abs(plain_loop(problem, data) - exact).max(initial=0)
    return exact, float(2 * error + 4 * np.finfo(problem.dtype).eps * np.abs(exact).max(initial=0))
