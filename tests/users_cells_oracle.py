"""The cells of `users_cells` with random weights and inputs, and what they should compute."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import oracle
import pytest
import users_cells as written

import numbarnn as nr
from numbarnn import nests

B, T, I, H = 7, 6, 3, 19  # noqa: E741  # H: a vector of 16 units and a tail
LENGTHS = np.array([3, 0, T, 1, 4, T, 2])
MASK = np.random.default_rng(0).random((B, T)) < 0.6
MASK[0], MASK[1], MASK[2] = [True, False, False, True, False, True], False, True
RESETS = np.random.default_rng(1).random((B, T)) < 0.3
RESETS[0, 0] = True
BATCHES = {
    "dense": {},
    "lengths": {"lengths": LENGTHS},
    "mask": {"mask": MASK},
    "lengths and resets": {"lengths": LENGTHS, "resets": RESETS},
    "mask and resets": {"mask": MASK, "resets": RESETS},
}
ALL = {"return_sequences": True, "return_state": True}


class Users(NamedTuple):
    """A user's cell: its longhand ``step(weights, x, states, extra, total) -> states``, whose first is the
    output; how its extra inputs are drawn, by name; its states that are never below 1, once begun.
    """

    definition: Any
    longhand: Callable[..., Any]
    options: dict = {}  # noqa: RUF012
    drawn: dict = {}  # noqa: RUF012
    at_least_1: str = ""

    def cell(self, units, features, dtype="float32", draw=3, **options):
        """With random weights; parameters are around their constants."""
        made = nr.FusedCell(self.definition, units, dtype=dtype, **self.options, **options)
        rng, drawn = np.random.default_rng(draw), []
        for name, shape in made.shapes(features).items():
            around = self.definition.parameters.get(name)
            limit = (features + units + 1) ** -0.5 if name.startswith(("kernel", "recurrent")) else 0.5
            drawn.append(rng.uniform(-limit, limit, shape) + (around.constant if around else 0))
        made.set_weights(drawn)
        return made

    @property
    def options_of_functions(self):
        """Without the sizes."""
        return {name: value for name, value in self.options.items() if name in self.definition.options}

    def extra(self, cell, axes, seed=4):
        """Random extra inputs for the steps of a batch."""
        rng, sizes = np.random.default_rng(seed), cell.extra_sizes
        shapes = {name: (*axes, size) if size else axes for name, size in sizes.items()}
        return {name: self.drawn[name](rng, shape).astype(cell.dtype) for name, shape in shapes.items()}

    def states(self, cell, rows, seed=5):
        """Random initial states."""
        rng = np.random.default_rng(seed)
        drawn = {field.name: rng.uniform(-1, 1, (rows, field.units)) for field in cell.fields}
        for name in self.at_least_1:
            drawn[name] = 1 + abs(drawn[name])
        return [array.astype(cell.dtype) for array in drawn.values()]


def share(rng, shape):
    return rng.uniform(0, 1, shape)


def gap(rng, shape):
    return rng.exponential(2.0, shape)


def flags(rng, shape):
    return rng.random(shape) < 0.3


USERS = {
    "lstm": Users(written.LSTM, written.lstm_longhand),
    "peephole": Users(written.PEEPHOLE, written.peephole_longhand),
    "coupled": Users(written.COUPLED, written.coupled_longhand),
    "minimal": Users(written.MINIMAL, written.minimal_longhand),
    "augru": Users(written.AUGRU, written.augru_longhand, drawn={"attention": share}),
    "grud": Users(written.GRUD, written.grud_longhand, drawn={"gap": gap}),
    "slstm": Users(written.SLSTM, written.slstm_longhand, at_least_1="n"),
    "mingru": Users(written.MINGRU, written.mingru_longhand),
    "zoneout": Users(written.ZONEOUT, written.zoneout_longhand, written.RATES),
    "zoneout by masks": Users(
        written.MASKED_ZONEOUT,
        written.masked_zoneout_longhand,
        drawn={"keep_h": flags, "keep_c": flags},
    ),
    "oscillators": Users(
        written.OSCILLATORS,
        written.oscillators_longhand,
        {"ears": 5},
        drawn={"seconds": share, "heard": share},
    ),
}

every_user = pytest.mark.parametrize("user", USERS.values(), ids=USERS)
every_batch = pytest.mark.parametrize("given", BATCHES.values(), ids=BATCHES)


def expect(user, cell, x, initial=None, extra=None, lengths=None, mask=None, resets=None, go_backwards=False,
           return_sequences=True, zero_output_for_mask=False, dtype=np.float64, naive=False):  # fmt: skip
    """`(y, [states])` by the longhand, row by row, as `oracle.run` has them."""
    weights = {name: a.astype(dtype) for name, a in zip(cell.shapes(None), cell.get_weights(), strict=True)}
    total, (B, T) = oracle.ordered_sum if naive else oracle.matrix_sum, x.shape[:2]
    constants = [dtype(field.constant) for field in cell.fields]

    def begun(states):  # the oracle begins with zeros, where the cell begins with its constants
        *states, has_begun = states
        return states if has_begun else [s + k for s, k in zip(states, constants, strict=True)]

    def step(inputs, states):
        with np.errstate(all="ignore"):
            new = user.longhand(weights, inputs[0], begun(states), inputs[1], total)
        return new[0], [*new, np.ones(1)]

    zeros = [np.zeros((B, field.units), dtype) for field in cell.fields]
    initial = [*zeros, np.zeros((B, 1))] if initial is None else [*initial, np.ones((B, 1))]
    y, last, final = np.zeros((B, T, cell.output_size), dtype), np.zeros((B, cell.output_size), dtype), zeros
    for b in range(B):
        n = T if lengths is None else lengths[b]
        steps = [(x[b, t].astype(dtype), {k: a[b, t].astype(dtype) for k, a in (extra or {}).items()})
                 for t in range(n)]  # fmt: skip
        valid = np.ones(T, bool) if mask is None else mask[b]
        cuts = np.zeros(T, bool) if resets is None else resets[b]
        start = [state[b].astype(dtype) for state in initial]
        outputs, states = oracle.run_row(
            step, steps, start, valid[:n], cuts[:n], go_backwards, zero_output_for_mask
        )
        for t, output in enumerate(outputs):
            y[b, t] = last[b] = output
        for array, state in zip(final, begun(states), strict=True):
            array[b] = state
    return y if return_sequences else last, final


def batch(user, dtype="float32", rows=B, steps=T, units=H, **options):
    """A layer that returns all it can, inputs, initial states and extra inputs."""
    cell = user.cell(units, I, dtype)
    x = np.random.default_rng(7).standard_normal((rows, steps, I)).astype(dtype)
    layer = nr.RNN(cell, **ALL | options)
    return layer, x, user.states(cell, rows), user.extra(cell, (rows, steps))


def each(extra, function):
    return {name: function(array) for name, array in extra.items()}


def flat(results):
    return nests.flatten(list(results) if isinstance(results, tuple) else results)
