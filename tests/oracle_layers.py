"""Bidirectional, stacked and stateful layers composed of the oracle's, for golden/configurations.py.

What runs a part, one cell over all steps, is given: the oracle in some precision, or the oracle with the
bounds of all errors. What is composed of its results is the same for both.
"""

from typing import NamedTuple
from unittest.mock import patch

import ceiling
import numpy as np
import oracle
from ceiling import Bounded


def hard_sigmoid(a):
    return np.clip(a + 3, 0, 6) / 6


def hard_sigmoid_keras2(a):
    return np.clip(a / 5 + 0.5, 0, 1)


def hard_tanh(a):
    return np.clip(a, -1, 1)


HARD = {"hard_sigmoid": hard_sigmoid, "hard_sigmoid_keras2": hard_sigmoid_keras2, "hard_tanh": hard_tanh}
SLOPES = {"hard_sigmoid": 1 / 6, "hard_sigmoid_keras2": 0.2, "hard_tanh": 1.0}


def each(function, *arrays):
    """`function`, which rounds nothing, of arrays or of Bounded ones: their values and their errors."""
    if isinstance(arrays[0], Bounded):
        errors = function(*(a.error for a in arrays))
        return Bounded(function(*(a.value for a in arrays)), errors, arrays[0].u)
    return function(*arrays)


MERGES = {
    "concat": lambda *ys: [each(lambda *arrays: np.concatenate(arrays, axis=-1), *ys)],
    "sum": lambda y, reverse: [y + reverse],
    "mul": lambda y, reverse: [y * reverse],
    "ave": lambda y, reverse: [each(lambda a: a / 2, y + reverse)],
    None: lambda *ys: list(ys),
}


def plain(dtype, naive=False):
    """Runs a part by the oracle."""

    def run(part, x, states, **options):
        activations = {"activation": part.activation, "recurrent_activation": part.recurrent_activation}
        options |= activations | {"dtype": dtype, "naive": naive}
        return oracle.run(part.cell, part.weights, x, states, **options)

    return run


def bounded(dtype):
    """Runs a part on Bounded inputs and states; exact ones are lifted."""
    u = float(np.finfo(dtype).eps) / 2

    def lifted(array):
        return array if isinstance(array, Bounded) else Bounded(array, np.zeros_like(array), u)

    def run(part, x, states, **options):
        x = lifted(x)
        given = {}
        if states is not None:
            states = [lifted(state) for state in states]
            given["initial_state"] = [state.value for state in states]
            given["initial_error"] = [state.error for state in states]
            states = given["initial_state"]
        y, final = plain(np.float64)(part, x.value, states, **options)
        cell = oracle.CELLS[part.cell]

        def step(weights, x_t, *rest):
            value, error = np.split(x_t, 2)
            return cell.step(weights, Bounded(value, error, u), *rest)

        with patch.dict(oracle.CELLS, {part.cell: cell._replace(step=step)}):
            both = np.concatenate([x.value, x.error], axis=-1)
            options |= {"activation": part.activation, "recurrent_activation": part.recurrent_activation}
            y_error, final_errors = ceiling.run(part.cell, part.weights, both, dtype, **given, **options)
        return Bounded(y, y_error, u), list(map(Bounded, final, final_errors, [u] * len(final)))

    return run


def layer(configuration, run, call, states):
    [part] = configuration.parts
    options = {"go_backwards": part.go_backwards, "return_sequences": configuration.return_sequences}
    options["zero_output_for_mask"] = configuration.zero_output_for_mask
    y, final = run(part, call.x, states, mask=call.mask, **options)
    return [y], final


def bidirectional(configuration, run, call, states):
    """Masked steps of both directions output 0; what the second returns is reversed in time."""
    sequences = configuration.return_sequences
    options = {"mask": call.mask, "return_sequences": sequences, "zero_output_for_mask": sequences}
    states = [None, None] if states is None else configuration.split(states)
    (y, final), (reverse, final_reverse) = (
        run(part, call.x, own, go_backwards=part.go_backwards, **options)
        for part, own in zip(configuration.parts, states, strict=True)
    )
    if sequences:
        reverse = each(lambda array: array[:, ::-1], reverse)
    return MERGES[configuration.merge_mode](y, reverse), [*final, *final_reverse]


def stack(configuration, run, call, states):
    """Each part reads every output of the one before, whose order is that of processing."""
    x, mask, final, backwards = call.x, call.mask, [], configuration.parts[0].go_backwards
    states = [None, None] if states is None else configuration.split(states)
    for part, own in zip(configuration.parts, states, strict=True):
        sequences = configuration.return_sequences or part is not configuration.parts[-1]
        options = {"return_sequences": sequences, "go_backwards": backwards}
        options["zero_output_for_mask"] = configuration.zero_output_for_mask
        x, own = run(part, x, own, mask=mask, **options)
        final += own
        mask = mask[:, ::-1] if backwards and mask is not None else mask
        backwards = False
    return [x], final


KINDS = {"layer": layer, "bidirectional": bidirectional, "stack": stack}


def composed(configuration, run):
    """The flat results of all calls, one after the other."""
    results, states = [], None
    for call in configuration.calls:
        states = states if call.initial_state is None else call.initial_state
        outputs, final = KINDS[configuration.kind](configuration, run, call, states)
        results += [*outputs, *(final if configuration.return_state else [])]
        states = final if configuration.stateful else None
    return results


class Expected(NamedTuple):
    """An array of the oracle's; what the plain loop makes of it; the largest error that rounding explains."""

    exact: np.ndarray
    naive: np.ndarray
    ceiling: np.ndarray


def expect(configuration):
    dtype = np.dtype(configuration.dtype)
    with patch.dict(oracle.ACTIVATIONS, HARD), patch.dict(ceiling.LIPSCHITZ, SLOPES):
        exact = composed(configuration, plain(np.longdouble))
        naive = composed(configuration, plain(dtype, naive=True))
        errors = [result.error for result in composed(configuration, bounded(dtype))]
    return list(map(Expected, exact, naive, errors))
