"""Layers of every kind of cell, with random weights: what the other files parametrise over.

Beside the built-in cells there is a toy, made here by the public calls alone: two phases, the first without a
product, the second multiplying what the first made; two states that do not start at 0; a slot with two sums;
an activation of its own. It runs wherever the built-in cells run.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from unittest.mock import patch

import ceiling
import numpy as np
import oracle
import pytest

import numbarnn as nr


def squash(a):
    """An activation that the library does not have; on arrays it is its own reference."""
    return a / (1.0 + abs(a))


def fade(h, m):
    keep = nr.math.sigmoid(h)
    return keep * h, keep * m + (1.0 - keep) * h


def blend(g, n_x, n_h, m, *, activation=squash):
    g = nr.math.sigmoid(g)
    return g * m + (1.0 - g) * activation(n_x + g * n_h)


TOY = nr.cell(
    "toy",
    states="h=-0.25 m=0.5",
    phases=[nr.phase("", fade, results="d m"), nr.phase("g:x+d+m n:x|h", blend)],
)


# All kinds are made alike: each takes a `recurrent_activation`. The toy's is always the sigmoid.


def toy_layer(units, activation=squash, recurrent_activation=None, use_bias=True, dtype="float32", **options):
    return nr.RNN(nr.FusedCell(TOY, units, use_bias, dtype=dtype, activation=activation), **options)


def simple_layer(units, activation="tanh", recurrent_activation=None, **options):
    return nr.SimpleRNN(units, activation, **options)


def reset_before(units, activation="tanh", recurrent_activation="sigmoid", **options):
    return nr.GRU(units, activation, recurrent_activation, reset_after=False, **options)


def toy_longhand(weights, x, states, act, rec, total):
    """The toy in matrix form, for the oracle."""
    W, U, bias = weights
    h, m = states
    keep = rec(h)
    d, m = keep * h, keep * m + (1.0 - keep) * h
    (Wg, bg, cg), (Wn, bn, cn) = oracle.gates(2, W, bias[0], bias[1])
    Ud, Um, Uh = np.split(U, 3, axis=-1)
    g = rec(total(bg + cg, (x, Wg), (d, Ud), (m, Um)))
    h = g * m + (1.0 - g) * act(total(bn, (x, Wn)) + g * total(cn, (h, Uh)))
    return h, [h, m]


def starting_from(constants, step):
    """`step` for the oracle, which starts from zeros: where one more state is 0, `constants` are meant."""

    def starting(weights, x, states, *functions):
        *states, begun = states
        if not np.any(getattr(begun, "value", begun)):
            states = [state + (constant - begun) for state, constant in zip(states, constants, strict=True)]
            begun = 1.0 - begun
        output, states = step(weights, x, states, *functions)
        return output, [*states, begun]

    return starting


CONSTANTS = tuple(TOY.states.values())
TOY_LONGHAND = oracle.Cell(starting_from(CONSTANTS, toy_longhand), states=3, biases=2)


class Model(NamedTuple):
    """A kind of layer: how it is made, the blocks of H columns of its weights, its states before any step."""

    name: str
    layer: Callable[..., Any]
    columns: tuple  # of the kernel, of the recurrent kernel, of the bias
    biases: int = 1
    constants: tuple = (0.0,)

    def weights(self, I, H, dtype, rng, use_bias=True, scale=1.0):  # noqa: E741
        """Random weights that keep long sequences from growing, so that errors do not either."""
        limit = scale * (I + H + 1) ** -0.5
        kernel, recurrent, bias = (H * count for count in self.columns)
        drawn = [rng.uniform(-limit, limit, (I, kernel)), rng.uniform(-limit, limit, (H, recurrent))]
        if use_bias:
            b = rng.uniform(-scale, scale, (self.biases, bias))
            # Two biases of one sign: the ceiling does not count what their sum would lose by cancellation.
            drawn.append(np.copysign(b, b[0]) if self.biases == 2 else b[0])
        return [array.astype(dtype) for array in drawn]

    def make(self, I, H, dtype="float32", seed=0, use_bias=True, scale=1.0, **options):  # noqa: E741
        """A built layer with random weights."""
        layer = self.layer(H, dtype=dtype, use_bias=use_bias, **options)
        layer.set_weights(self.weights(I, H, dtype, np.random.default_rng(seed), use_bias, scale))
        return layer

    def states(self, B, H, dtype, rng):
        """Random initial states, one (B, H) array each."""
        return [rng.uniform(-1, 1, (B, H)).astype(dtype) for _ in self.constants]

    def batch(self, B, T, I, H, dtype="float32", **options):  # noqa: E741
        """A layer that returns all it can, unless told otherwise, with inputs and initial states for it."""
        layer = self.make(I, H, dtype, **{"return_sequences": True, "return_state": True} | options)
        rng = np.random.default_rng(7)
        return layer, rng.standard_normal((B, T, I)).astype(dtype), self.states(B, H, dtype, rng)

    def expect(self, weights, x, initial_state=None, run=oracle.run, **options):
        """`oracle.run`, or with run=ceiling.run the bounds of errors, for this model: `(y, [states])`."""
        if len(weights) == 2:
            size = self.columns[2] * len(weights[1])
            weights = [*weights, np.zeros((2, size) if self.biases == 2 else size)]
        if self.name == "toy":
            options = {"activation": "squash"} | options | {"recurrent_activation": "sigmoid"}
            if initial_state is not None:
                initial_state = [*initial_state, np.ones_like(initial_state[0])]
        with (
            patch.dict(oracle.CELLS, toy=TOY_LONGHAND),
            patch.dict(oracle.ACTIVATIONS, squash=squash),
            patch.dict(ceiling.LIPSCHITZ, squash=1.0),
        ):
            y, states = run(self.name, weights, x, initial_state=initial_state, **options)
        if self.name == "toy":
            *states, begun = states
            if run is oracle.run:
                states = [
                    np.where(begun == 0, state.dtype.type(constant), state)
                    for state, constant in zip(states, self.constants, strict=True)
                ]
        return y, states


MODELS = {
    model.name: model
    for model in (
        Model("lstm", nr.LSTM, (4, 4, 4), constants=(0.0, 0.0)),
        Model("gru", nr.GRU, (3, 3, 3), biases=2),
        Model("gru_before", reset_before, (3, 3, 3)),
        Model("simple", simple_layer, (1, 1, 1)),
        Model("toy", toy_layer, (2, 3, 2), biases=2, constants=CONSTANTS),
    )
}

every_model = pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
every_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
