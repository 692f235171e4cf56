"""The way from one layout to another: blocks in another order, transposed, biases summed or filled with 0."""

import numpy as np

from ..checks_layouts import checked_arrays, checked_weights
from . import OURS, Arrays, Weights, layout_of


def canonical(system, cell, arrays, names):
    """The `Weights` that a system's `Arrays` stand for; `names` is what the caller calls each of them."""
    layout = layout_of(system, cell)
    converted = rearranged(checked_arrays(layout, arrays, names), layout, OURS[cell])
    bias, peepholes = converted.bias, converted.peepholes
    if bias is not None and cell == "gru":
        bias = bias.reshape(2, -1)
    return Weights(cell, *converted[:2], bias, peepholes, converted.projection)


def laid_out(system, weights):
    """The `Arrays` of a system that compute what `weights` do."""
    weights = checked_weights(weights)
    layout = layout_of(system, weights.cell)
    if weights.peepholes is not None and not layout.peepholes:
        raise ValueError(f"weights.peepholes are given; expected None: {system} has no peepholes")
    if weights.projection is not None and not layout.projection:
        raise ValueError(f"weights.projection is given; expected None: {system} has no projection")
    kernel, recurrent_kernel, bias = weights[1:4]
    if bias is None and layout.needs_bias:
        shape = len(OURS[weights.cell].bias.split()), kernel.shape[1] // len(layout.gates.split())
        bias = np.zeros(shape, kernel.dtype)
    flat = None if bias is None else bias.reshape(-1)
    arrays = Arrays(kernel, recurrent_kernel, flat, weights.peepholes, weights.projection)
    return rearranged(arrays, OURS[weights.cell], layout)


def rearranged(arrays, source, target):
    """Arrays of one layout in another of the same cell, in memory of their own."""
    turn = np.transpose if source.units_first != target.units_first else np.asarray
    axis = 0 if target.units_first else 1

    def kernel(array, before, after):
        return reordered(turn(array), before, after, axis)

    bias, peepholes, projection = arrays[2:]
    if peepholes is not None:
        named = dict(zip(source.peepholes.split(), peepholes, strict=True))
        peepholes = tuple(named[gate].copy() for gate in target.peepholes.split())
    return Arrays(
        kernel(arrays.kernel, source.gates, target.gates),
        kernel(
            arrays.recurrent_kernel,
            source.recurrent_gates or source.gates,
            target.recurrent_gates or target.gates,
        ),
        None if bias is None else rearranged_bias(bias, source.bias, target.bias),
        peepholes,
        None if projection is None else np.array(turn(projection), order="C"),
    )


def reordered(array, before, after, axis):
    """The equal blocks of one axis in another order."""
    named = dict(zip(before.split(), np.split(array, len(before.split()), axis), strict=True))
    return np.ascontiguousarray(np.concatenate([named[block] for block in after.split()], axis))


def rearranged_bias(bias, before, after):
    """The blocks of a flat bias in another order: two of a gate are summed where one is wanted, and where two
    are wanted for one, the recurrent one is 0.
    """
    named = dict(zip(before.split(), np.split(bias, len(before.split())), strict=True))
    wanted = after.split()

    def block(name):
        if name not in named:
            return np.zeros_like(named[name.removeprefix("h")])
        second = "h" + name
        return named[name] + named[second] if second in named and second not in wanted else named[name]

    return np.concatenate([block(name) for name in wanted])
