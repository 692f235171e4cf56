"""The random configurations of golden/ run by this library, and what other systems made of them.

`python tests/agreement.py` prints how far they agree.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import oracle_layers
import tolerance
from golden import configurations
from golden.configurations import Configuration

import numbarnn as nr

CONFIGURATIONS = configurations.draw_all()
SYSTEMS = ("tf_keras", "keras_tensorflow", "keras_torch", "torch")


def cell_arguments(part):
    own = {"units": part.units, "activation": part.activation, "use_bias": part.use_bias}
    if part.cell != "simple":
        own["recurrent_activation"] = part.recurrent_activation
    if part.cell.startswith("gru"):
        own["reset_after"] = part.cell == "gru"
    return own


LAYERS = {"lstm": "LSTM", "gru": "GRU", "gru_before": "GRU", "simple": "SimpleRNN"}


def make(configuration):
    """The layer of this library, with its weights."""
    options = configuration.options() | {"go_backwards": configuration.parts[0].go_backwards}
    if configuration.kind == "stack":
        cells = []
        for part in configuration.parts:
            cells.append(
                getattr(nr, f"{LAYERS[part.cell]}Cell")(**cell_arguments(part), dtype=configuration.dtype)
            )
            cells[-1].set_weights(part.weights)
        return nr.RNN(cells, **options)
    layers = []
    for part in configuration.parts:
        own = cell_arguments(part) | options | {"go_backwards": part.go_backwards}
        layers.append(getattr(nr, LAYERS[part.cell])(**own, dtype=configuration.dtype))
    if configuration.kind == "layer":
        [made] = layers
    else:
        backward = layers[1] if configuration.own_backward else None
        made = nr.Bidirectional(layers[0], configuration.merge_mode, backward_layer=backward)
    made.build(configuration.calls[0].x.shape[-1])
    made.set_weights([array for part in configuration.parts for array in part.weights])
    return made


def run_ours(configuration, as_lengths=False):
    """The nested results of every call."""
    made, results = make(configuration), []
    for call in configuration.calls:
        padding = {"mask": call.mask}
        if as_lengths and call.mask is not None:
            padding = {"lengths": call.mask.sum(axis=1)}
        results.append(made(call.x, configuration.given_state(call), **padding))
    return results


def flat(nest):
    return [array for item in nest for array in flat(item)] if isinstance(nest, list | tuple) else [nest]


def structure(nest):
    """Lists as tuples, arrays as their shapes' lengths; a list of one array counts as the array."""
    if not isinstance(nest, list | tuple):
        return nest.ndim
    found = tuple(map(structure, nest))
    return found[0] if len(found) == 1 else found


class Recorded(NamedTuple):
    """The nested results of every call, or the error of a system that refuses."""

    calls: list
    error: str | None


class Recording(NamedTuple):
    versions: dict
    digest: str
    found: dict[int, Recorded]


@cache
def recording(system):
    with np.load(Path(__file__).with_name("golden") / f"configurations_{system}.npz") as file:
        streams = {dtype: iter_arrays(file[dtype]) for dtype in ("float32", "float64")}

        def read(nest):
            if isinstance(nest, list):
                return [read(item) for item in nest]
            return streams[nest["dtype"]](nest["shape"])

        found = {
            int(number): Recorded(read(item.get("calls", [])), item.get("error"))
            for number, item in json.loads(str(file["recorded"])).items()
        }
        return Recording(json.loads(str(file["versions"])), str(file["digest"]), found)


def iter_arrays(values):
    """A function that takes the next array of a shape from `values`."""
    position = 0

    def take(shape):
        nonlocal position
        start, position = position, position + int(np.prod(shape))
        return values[start:position].reshape(shape)

    return take


class Difference(NamedTuple):
    """What a system makes otherwise than this library, in the configurations to which it `applies`.

    `theirs` turns such a configuration into one whose results by our rules and with our rounding are the
    system's results; None: the system refuses it. `refused`: this library does.
    """

    name: str
    systems: tuple[str, ...]
    reason: str
    applies: Callable[[Configuration], bool]
    theirs: Callable[[Configuration], Configuration] | None
    refused: bool = False


def has_valid_steps(configuration):
    return any(call.mask is None or call.mask.any() for call in configuration.calls)


def has_hard_sigmoid(configuration):
    named = any(part.recurrent_activation == "hard_sigmoid" for part in configuration.parts)
    return named and has_valid_steps(configuration)


def with_keras2_sigmoid(configuration):
    names = {"hard_sigmoid": "hard_sigmoid_keras2"}
    parts = [
        replace(part, recurrent_activation=names.get(part.recurrent_activation, part.recurrent_activation))
        for part in configuration.parts
    ]
    return replace(configuration, parts=parts)


def is_given_later_states(configuration):
    return configuration.stateful and any(call.initial_state for call in configuration.calls[1:])


def without_later_states(configuration):
    first, *later = configuration.calls
    return replace(configuration, calls=[first, *(replace(call, initial_state=None) for call in later)])


def multiplies_by_the_backend(configuration):
    """The LSTM and the reset-after GRU without a mask have code of their own."""
    masked = any(call.mask is not None for call in configuration.calls)
    own = configuration.kind != "stack" and all(part.cell in ("lstm", "gru") for part in configuration.parts)
    return configuration.dtype == "float64" and has_valid_steps(configuration) and (masked or not own)


def turns_round(configuration):
    """A Bidirectional of a layer that goes backwards, with no other layer given."""
    backwards = configuration.kind == "bidirectional" and configuration.parts[0].go_backwards
    return backwards and not configuration.own_backward


def keeps_and_returns_both_states(configuration):
    both = configuration.kind == "bidirectional" and not turns_round(configuration)
    return both and configuration.stateful and configuration.return_state


def unchanged(configuration):
    return configuration


def in_float32(configuration):
    return replace(configuration, dtype="float32")


DIFFERENCES = (
    Difference(
        "hard_sigmoid",
        ("tf_keras",),
        "Keras 2's hard_sigmoid is clip(0.2 x + 0.5, 0, 1); here, as in Keras 3, it is relu6(x + 3) / 6",
        has_hard_sigmoid,
        with_keras2_sigmoid,
    ),
    Difference(
        "kept state wins",
        ("tf_keras",),
        "a stateful layer of Keras 2 ignores initial_state once the state it keeps is not all 0; here, as in "
        "Keras 3, what is passed wins",
        is_given_later_states,
        without_later_states,
    ),
    Difference(
        "stateful Bidirectional with return_state",
        ("keras_tensorflow", "keras_torch"),
        "Keras 3's Bidirectional.compute_mask raises TypeError (it multiplies a generator); here such a "
        "layer works, as in Keras 2",
        keeps_and_returns_both_states,
        None,
    ),
    Difference(
        "float64 products",
        ("keras_torch",),
        "keras.ops.matmul on PyTorch multiplies float64 matrices in float32; here it is done in float64",
        multiplies_by_the_backend,
        in_float32,
    ),
    Difference(
        "forward layer goes backwards",
        ("tf_keras",),
        "in Keras 2 its copy goes forward; here, as in Keras 3, this is refused",
        turns_round,
        unchanged,
        refused=True,
    ),
)


def differences_of(system, configuration):
    """The entries of the table that are about this configuration."""
    return [entry for entry in DIFFERENCES if system in entry.systems and entry.applies(configuration)]


@cache
def expected_of(number, lengths=False):
    """PyTorch has lengths, past which outputs are 0."""
    configuration = CONFIGURATIONS[number]
    if lengths:
        configuration = replace(configuration, zero_output_for_mask=configuration.return_sequences)
    return oracle_layers.expect(configuration)


@cache
def ours_of(number, lengths=False):
    return run_ours(CONFIGURATIONS[number], lengths)


def compared(system, number):
    """For each array: ours, theirs, the oracle's, and how far the first two may be apart, which is our bound
    and their measured error.
    """
    lengths = system == "torch"
    arrays = flat(ours_of(number, lengths)), flat(recording(system).found[number].calls)
    for ours, recorded, expected in zip(*arrays, expected_of(number, lengths), strict=True):
        theirs = float(np.abs(recorded - expected.exact).max(initial=0))
        yield ours, recorded, expected, tolerance.bound(expected.naive, expected.exact) + theirs


def worst_ratio(system, number):
    """The largest of error / bound."""
    pairs = [(float(np.abs(a - b).max(initial=0)), limit) for a, b, _, limit in compared(system, number)]
    return max(error / limit if limit else (np.inf if error else 0.0) for error, limit in pairs)


def summarize():
    """Print for every system how many configurations agree, the largest error, and what differs."""
    for system in SYSTEMS:
        versions, _, found = recording(system)
        ratios, others = [], {}
        for number in found:
            name = CONFIGURATIONS[number].name
            entries = [entry.name for entry in differences_of(system, CONFIGURATIONS[number])]
            both_refuse = found[number].error and turns_round(CONFIGURATIONS[number])
            ratio = 0.0 if entries or both_refuse else worst_ratio(system, number)
            if ratio > 1:
                entries = [f"NOT MEANT, error/bound {ratio:.3g}"]
            for entry in entries:
                others.setdefault(entry, []).append(name)
            if not entries:
                ratios.append(ratio)
        print(f"{system}, {versions}: {len(found)} configurations, {len(ratios)} agree", end="")
        print(f", worst error/bound {max(ratios):.2f}")
        for entry, names in others.items():
            print(f"    {len(names):3d} {entry}: {', '.join(names[:4])}{', ...' if len(names) > 4 else ''}")


if __name__ == "__main__":
    summarize()
