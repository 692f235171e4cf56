"""Problems: what every library is asked to compute, on the same data, and how right its result has to be."""

from typing import NamedTuple

import numpy as np

from .lengths import LAWS, drawn_lengths

GATES = {"lstm": 4, "gru": 3}
SOON = 1 << 28  # bytes of weights that meet rows one product after the other: in a fifth of a second
CHOICES = {
    "cell": tuple(GATES),
    "dtype": ("float32", "float64"),
    "directions": (1, 2),
    "padding": ("none", *LAWS),
}


class Problem(NamedTuple):
    """Layers one upon the other over a batch of sequences.

    Attributes
    ----------
    cell : {"lstm", "gru"}
        The GRU resets after the product: the form that every library has.
    B, T, I, H : int
        Rows, steps of the longest one, features, units.
    dtype : {"float32", "float64"}
    layers, directions : int
        A layer in two directions hands on 2 H features.
    padding : str
        The law of the rows' lengths: "none", "uniform", "log-normal", "one long" (and all others equal),
        "triangular", or "left": as "uniform", with the padding on the left and told by a mask.
    padded : float
        The share of the B * T steps that is to be padding, from 0 up to but not 1.
    resets : float
        The share of steps at which a row begins anew.
    each_step : bool
        One call for each of the T steps, the state carried on from call to call; one such call is timed.
    """

    cell: str
    B: int
    T: int
    I: int  # noqa: E741
    H: int
    dtype: str = "float32"
    layers: int = 1
    directions: int = 1
    padding: str = "none"
    padded: float = 0.0
    resets: float = 0.0
    each_step: bool = False

    @property
    def lengths(self):
        """Steps of each row, an int64 array (B,): always the same, one is T, none 0. None: all are T."""
        return None if self.padding == "none" else drawn_lengths(self.padding, self.B, self.T, self.padded)

    @property
    def valid(self):
        """Which steps are no padding, a bool array (B, T). None: all."""
        if self.padding == "none":
            return None
        from_left = np.arange(self.T) < self.lengths[:, np.newaxis]
        return np.ascontiguousarray(from_left[:, ::-1]) if self.padding == "left" else from_left

    @property
    def useful_steps(self):
        """Of all rows together."""
        return self.B * self.T if self.padding == "none" else int(self.lengths.sum())

    @property
    def inputs(self):
        """Features of each layer's inputs."""
        return [self.I, *[self.H * self.directions] * (self.layers - 1)]

    @property
    def flops(self):
        """Of the matrix products of the useful steps; the equations come on top for everybody."""
        products = sum(inputs + self.H for inputs in self.inputs)
        return 2 * self.useful_steps * self.directions * products * GATES[self.cell] * self.H

    @property
    def call_flops(self):
        """`flops` of what is timed: all of them, or those of one step."""
        return self.flops // self.T if self.each_step else self.flops

    @property
    def weight_bytes(self):
        """All layers and directions, biases included."""
        columns = sum(inputs + self.H + 2 for inputs in self.inputs)
        return self.directions * columns * GATES[self.cell] * self.H * np.dtype(self.dtype).itemsize

    def __str__(self):
        words = [self.cell, *(f"{name}{getattr(self, name)}" for name in "BTIH"), self.dtype]
        words += [
            f"{getattr(self, name)} {name}" for name in ("layers", "directions") if getattr(self, name) > 1
        ]
        if self.padding != "none":
            words.append(f"{self.padding} padding {self.padded:.0%}")
        if self.resets:
            words.append(f"resets {self.resets:.1%}")
        return " ".join(words + ["step by step"] * self.each_step)


class Data(NamedTuple):
    """What a problem is computed from.

    Attributes
    ----------
    x : ndarray, shape (B, T, I)
        Numbers at padding too, which no result may depend on.
    weights : list of list of tuple of ndarray
        By layer and direction: weight_ih, weight_hh, bias_ih, bias_hh in PyTorch's layout, gates i, f, g, o
        or r, z, n.
    lengths : ndarray of int64, shape (B,), or None
    resets : ndarray of bool, shape (B, T), or None
    """

    x: np.ndarray
    weights: list
    lengths: np.ndarray | None
    resets: np.ndarray | None


def check(problem):
    """Refuse what is no problem.

    Raises
    ------
    ValueError
        Naming the field.
    """
    for name, choices in CHOICES.items():
        if getattr(problem, name) not in choices:
            raise ValueError(f"{name} = {getattr(problem, name)!r}; expected one of {choices}")
    for name in (*"BTIH", "layers"):
        if getattr(problem, name) < 1:
            raise ValueError(f"{name} = {getattr(problem, name)}; expected at least 1")
    for name in ("padded", "resets"):
        if not 0 <= getattr(problem, name) < 1:
            raise ValueError(f"{name} = {getattr(problem, name)}; expected a share from 0 up to but not 1")
    if problem.padding == "none" and problem.padded:
        raise ValueError(
            f"padded = {problem.padded} with padding = 'none'; expected 0, or one of {tuple(LAWS)}"
        )
    if problem.resets and problem.directions > 1:
        raise ValueError(
            "resets with directions = 2; expected one direction: where a row begins depends on it"
        )
    for name, usual in (("directions", 1), ("padding", "none"), ("resets", 0)):
        if problem.each_step and getattr(problem, name) != usual:
            raise ValueError(f"{name} = {getattr(problem, name)!r} with each_step; expected {usual!r}")


def draw(problem, seed=0):
    """Standard normal inputs, and weights as PyTorch draws them: uniform within 1 / sqrt(H).

    Returns
    -------
    Data

    Raises
    ------
    ValueError
        A field of the problem that is out of its range, or two that exclude each other.

    Examples
    --------
    >>> data = draw(Problem("gru", 3, 9, 5, 4, layers=2, padding="uniform", padded=0.5))
    >>> data.x.shape, data.lengths.tolist(), [weight_ih.shape for [(weight_ih, *_)] in data.weights]
    ((3, 9, 5), [3, 1, 9], [(12, 5), (12, 4)])
    """
    check(problem)
    generator = np.random.default_rng(seed)
    B, T, I, H = problem[1:5]  # noqa: E741
    rows, limit = GATES[problem.cell] * H, H**-0.5

    def uniform(inputs):
        shapes = (rows, inputs), (rows, H), rows, rows
        return tuple(generator.uniform(-limit, limit, shape).astype(problem.dtype) for shape in shapes)

    x = generator.standard_normal((B, T, I)).astype(problem.dtype)
    weights = [[uniform(inputs) for _ in range(problem.directions)] for inputs in problem.inputs]
    resets = None
    if problem.resets:
        resets = generator.random((B, T)) < problem.resets
        resets[:, 0] = False  # every row begins there anyway
    return Data(x, weights, problem.lengths, resets)


def blocked(x, weights, bias):
    """NumPy's product, the bias added to it."""
    return x @ weights + bias


def one_by_one(x, weights, bias):
    """The same, products added to the bias one after the other: no order in use rounds worse."""
    total = np.broadcast_to(bias, (*x.shape[:-1], len(bias))).copy()
    for k, row in enumerate(np.ascontiguousarray(weights)):
        total += x[..., k, np.newaxis] * row
    return total


def plain(problem, data, dtype=None, product=blocked, rows=None, steps=None):
    """The layers in plain NumPy, the inputs' product before the loop.

    Parameters
    ----------
    problem : Problem
    data : Data
    dtype : dtype, optional
        To compute in. Default: the problem's.
    product : callable
        `blocked` or `one_by_one`.
    rows, steps : int, optional
        Compute so many of the first ones, as if there were no others. Default: all.

    Returns
    -------
    ndarray, shape (B, T, H * directions)
        0 at padding.
    """
    y = data.x[:rows, :steps].astype(dtype or problem.dtype, copy=False)
    flags = problem.valid, data.resets
    valid, resets = (None if which is None else which[:rows, :steps] for which in flags)
    for layer in data.weights:
        y = np.concatenate(
            [
                _plain_loop(problem.cell, y, weights, valid, resets, backward, product)
                for backward, weights in enumerate(layer)
            ],
            axis=2,
        )
    return y


def _plain_loop(cell, x, weights, valid, resets, backward, product):
    """One layer in one direction."""
    weight_ih, weight_hh, bias_ih, bias_hh = (array.astype(x.dtype, copy=False) for array in weights)
    (B, T, _), H = x.shape, weight_hh.shape[1]
    from_inputs = product(x, weight_ih.T, bias_ih)
    y = np.empty((B, T, H), x.dtype)
    h, c = np.zeros((2, B, H), x.dtype)
    for t in range(T)[:: -1 if backward else 1]:
        if resets is not None:
            kept = ~resets[:, t, np.newaxis]
            h, c = h * kept, c * kept
        new_h, new_c = plain_step(cell, from_inputs[:, t], h, c, weight_hh, bias_hh, product)
        if valid is None:
            y[:, t], h, c = new_h, new_h, new_c
        else:
            here = valid[:, t, np.newaxis]
            h, c = np.where(here, new_h, h), np.where(here, new_c, c)
            y[:, t] = new_h * here
    return y


def plain_step(cell, from_inputs, h, c, weight_hh, bias_hh, product=blocked):
    """The states (h, c) after one step on ``x @ weight_ih.T + bias_ih``; a GRU hands `c` on as it is."""
    a, u = from_inputs, product(h, weight_hh.T, bias_hh)
    if cell == "lstm":
        i, f, g, o = np.split(a + u, 4, axis=1)
        c = _sigmoid(f) * c + _sigmoid(i) * np.tanh(g)
        return _sigmoid(o) * np.tanh(c), c
    (a_r, a_z, a_n), (u_r, u_z, u_n) = np.split(a, 3, axis=1), np.split(u, 3, axis=1)
    z = _sigmoid(a_z + u_z)
    return z * h + (1 - z) * np.tanh(a_n + _sigmoid(a_r + u_r) * u_n), c


def _sigmoid(a):
    return 1 / (1 + np.exp(-a))


def reference(problem, data):
    """What every peer is held against.

    Returns
    -------
    exact : ndarray, shape (B, T, H * directions)
        By the plain loop, in a wider type.
    bound : float
        How far a result may be from it: twice as far as the plain loop in the problem's dtype, with NumPy's
        products or `one_by_one` (of those rows and steps that are soon computed so), and for each layer 8 eps
        of the largest output more: the product of two activations, each within 4 eps. Libraries sum in
        different orders and approximate the activations, so none is exact, but none may be much worse than
        plain code.
    """
    wider = {"float32": np.float64, "float64": np.longdouble}[problem.dtype]
    exact = plain(problem, data, wider)
    # Of fewer rows and steps the largest error is not found.
    few = {"rows": max(4, SOON // (problem.T * problem.weight_bytes))}
    few["steps"] = max(8, SOON // problem.weight_bytes)
    in_turn = plain(problem, data, product=one_by_one, **few) - plain(problem, data, wider, **few)
    error = max(np.abs(found).max(initial=0) for found in (plain(problem, data) - exact, in_turn))
    more = 8 * problem.layers * np.finfo(problem.dtype).eps * np.abs(exact).max(initial=0)
    return exact, float(2 * error + more)
