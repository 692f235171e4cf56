"""Checks of weights in any layout: arrays of real numbers, of one dtype, whose shapes fit together."""

import numpy as np

from .layouts import OURS, Arrays, Weights, layout_of

OWN_NAMES = Arrays(*(f"weights.{name}" for name in Arrays._fields))


def checked_weights(weights, names=OWN_NAMES):
    """`Weights` whose arrays fit together."""
    if not isinstance(weights, Weights):
        raise TypeError(
            f"weights is of type {type(weights).__name__}; expected numbarnn.weights.Weights, as the "
            "functions from_... return"
        )
    cell, kernel, recurrent_kernel, bias, peepholes, projection = weights
    layout_of("Keras", cell)
    if (peepholes is not None or projection is not None) and cell != "lstm":
        raise ValueError(f"weights.cell = {cell!r}; expected 'lstm' with peepholes or a projection")
    if bias is not None and cell == "gru":
        bias = np.asarray(bias)
        if bias.ndim != 2 or len(bias) != 2:
            raise ValueError(
                f"{names.bias} has shape {bias.shape}; expected (2, {np.shape(kernel)[-1]}) for cell 'gru'"
            )
        bias = bias.reshape(-1)
    arrays = Arrays(kernel, recurrent_kernel, bias, peepholes, projection)
    arrays = checked_arrays(OURS[cell], arrays, names)
    if arrays.bias is not None and cell == "gru":
        arrays = arrays._replace(bias=arrays.bias.reshape(2, -1))
    return Weights(cell, *arrays)


def checked_arrays(layout, arrays, names):
    """Arrays of one dtype whose shapes fit together, which those of the recurrent kernel decide."""
    gates = len(layout.gates.split())
    recurrent = real(names.recurrent_kernel, arrays.recurrent_kernel, 2)
    width, depth = recurrent.shape if layout.units_first else recurrent.shape[::-1]
    units, rest = divmod(width, gates)
    if rest or not units:
        raise ValueError(
            f"{names.recurrent_kernel} has shape {recurrent.shape}; expected {gates} blocks of equally many "
            f"units on its {'first' if layout.units_first else 'last'} axis"
        )
    kernel = real(names.kernel, arrays.kernel, 2)
    features = kernel.shape[1] if layout.units_first else kernel.shape[0]
    has_projection = arrays.projection is not None
    wanted = {
        "kernel": (features, gates * units),
        "recurrent_kernel": (depth if has_projection else units, gates * units),
        "projection": (units, depth),
    }
    if layout.units_first:
        wanted = {name: shape[::-1] for name, shape in wanted.items()}
    wanted["bias"] = (len(layout.bias.split()) * units,)
    found = {}
    for name in ("recurrent_kernel", "kernel", "bias", "projection"):
        if (array := getattr(arrays, name)) is not None:
            found[name] = shaped(getattr(names, name), array, wanted[name], units, recurrent.dtype)
    if arrays.peepholes is not None:
        found["peepholes"] = _checked_peepholes(names.peepholes, arrays.peepholes, units, recurrent.dtype)
    return Arrays(**found)


def _checked_peepholes(name, peepholes, units, dtype):
    if not isinstance(peepholes, (tuple, list)) or len(peepholes) != 3:
        raise ValueError(f"{name}: expected three arrays of shape ({units},), or None")
    return tuple(shaped(f"{name}[{k}]", array, (units,), units, dtype) for k, array in enumerate(peepholes))


def shaped(name, array, shape, units, dtype):
    """An array of that shape and dtype."""
    array = real(name, array, len(shape))
    if array.shape != shape:
        raise ValueError(f"{name} has shape {array.shape}; expected {shape} for {units} units")
    if array.dtype != dtype:
        raise TypeError(f"{name} has dtype {array.dtype}, another array {dtype}; expected one dtype")
    return array


def listed(name, arrays, counts, expected):
    """A list with one of those numbers of arrays."""
    if not isinstance(arrays, (list, tuple)):
        raise TypeError(f"{name} is of type {type(arrays).__name__}; expected a list: {expected}")
    if len(arrays) not in counts:
        raise ValueError(f"{name} has {len(arrays)} arrays; expected {expected}")
    return list(arrays)


def one_dtype(arrays):
    """The arrays of a dict from names, which are of one dtype."""
    first = next(iter(arrays))
    for name, array in arrays.items():
        if array.dtype != arrays[first].dtype:
            raise TypeError(
                f"{name} has dtype {array.dtype}, {first} {arrays[first].dtype}; expected one dtype"
            )
    return list(arrays.values())


def real(name, array, axes):
    """A NumPy array of real numbers with that many axes."""
    array = np.asarray(array)
    if array.dtype.kind != "f":
        raise TypeError(f"{name} has dtype {array.dtype}; expected float32, float64 or float16")
    if array.ndim != axes:
        raise ValueError(f"{name} has shape {array.shape}; expected {axes} axes")
    return array


def is_list_of_directions(own):
    """Not one `Weights`, which is a tuple too."""
    return isinstance(own, (list, tuple)) and not isinstance(own, Weights)


def checked_stack(layers, joined=True):
    """A list of layers, each a list of one `Weights` per direction, that read one another.

    `joined`: a layer reads both directions of the layer below; otherwise its own direction only.
    """
    if not isinstance(layers, (list, tuple)) or not all(map(is_list_of_directions, layers)):
        raise TypeError(
            "layers: expected a list of layers, each a list of one Weights per direction; "
            "[[weights]] for one layer with one direction"
        )
    if not layers or len(layers[0]) not in (1, 2) or len({len(own) for own in layers}) > 1:
        counts = [len(own) for own in layers]
        raise ValueError(f"layers have {counts} directions; expected at least one layer, and 1 or 2 of each")
    layers = [[checked_weights(weights) for weights in own] for own in layers]
    first = layers[0][0]
    for k, own in enumerate(layers):
        for d, weights in enumerate(own):
            below = len(own) * len(first.recurrent_kernel) if joined else len(first.kernel)
            features = below if k else len(first.kernel)
            _checked_like(f"layers[{k}][{d}]", weights, first, features)
    return layers


def _checked_like(name, weights, first, features):
    """Another layer of a stack: the sizes and parts of its first, but the inputs."""

    def description(one, inputs):
        kernel = f"{one.kernel.dtype} kernels {(inputs, one.kernel.shape[1])} {one.recurrent_kernel.shape}"
        parts = [part for part in Weights._fields[3:] if getattr(one, part) is not None]
        return f"cell {one.cell!r}, {kernel}, {' '.join(parts) or 'no bias'}"

    found, expected = description(weights, len(weights.kernel)), description(first, features)
    if found != expected:
        raise ValueError(f"{name} has {found}; expected {expected}, as the first layer's sizes ask for")
