"""Random configurations of recurrent layers, the same wherever they are drawn.

A configuration is one layer with its weights and the calls made of it, in Keras' terms: a layer of one cell,
a Bidirectional one or a stack of two cells in one layer. This file needs NumPy alone, since every recorded
system draws its configurations anew.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field

import numpy as np

SEED = 20261123
COUNTS = {"layer": 250, "bidirectional": 220, "stack": 140}
GATES = {"lstm": 4, "gru": 3, "gru_before": 3, "simple": 1}
MASKS = ("right", "left", "gaps", "right, one row empty", "gaps, one row empty", "first step empty")
MERGE_MODES = ("concat", "sum", "mul", "ave", None)
DEFAULT = ("tanh", "sigmoid")
PAIRS = (
    ("relu", "sigmoid"),
    (None, "sigmoid"),
    ("sigmoid", "tanh"),
    ("tanh", "relu"),
    ("tanh", None),
    ("tanh", "hard_sigmoid"),
    ("tanh", "hard_sigmoid_keras2"),
    ("hard_tanh", "sigmoid"),
)


@dataclass
class Part:
    """One cell: a layer's only one, a direction of a Bidirectional or a member of a stack.

    Weights are in Keras' layout; recurrent_activation is None where the cell has no gates.
    """

    cell: str
    units: int
    activation: str | None
    recurrent_activation: str | None
    use_bias: bool
    go_backwards: bool
    weights: list[np.ndarray] = field(default_factory=list)

    @property
    def states(self):
        return 2 if self.cell == "lstm" else 1


@dataclass
class Call:
    """The arguments of one call; initial_state is flat, in the order of the parts."""

    x: np.ndarray
    mask: np.ndarray | None
    initial_state: list[np.ndarray] | None


@dataclass
class Configuration:
    """One layer and its calls, one or, of a stateful layer, several.

    own_backward: the second direction is a layer of its own, not a copy of the first.
    """

    number: int
    kind: str
    dtype: str
    parts: list[Part]
    return_sequences: bool
    return_state: bool
    zero_output_for_mask: bool
    stateful: bool
    merge_mode: str | None = None
    own_backward: bool = False
    mask_kind: str | None = None
    calls: list[Call] = field(default_factory=list)

    @property
    def name(self):
        return "-".join([f"{self.number:03d}", self.kind, *(part.cell for part in self.parts)])

    def options(self):
        """What all kinds of layers are told."""
        names = ("return_sequences", "return_state", "zero_output_for_mask", "stateful")
        return {name: getattr(self, name) for name in names}

    def split(self, arrays):
        """A flat list of states as one list for each part."""
        ends = np.cumsum([part.states for part in self.parts])
        return [arrays[end - part.states : end] for part, end in zip(self.parts, ends, strict=True)]

    def given_state(self, call):
        """`call.initial_state` as Keras wants it: of a stack, one entry for each cell."""
        if call.initial_state is None or self.kind != "stack":
            return call.initial_state
        return [states if len(states) > 1 else states[0] for states in self.split(call.initial_state)]


class Draw:
    """Choices made from uniform numbers alone, whose stream NumPy keeps."""

    def __init__(self, *seed):
        self.random = np.random.Generator(np.random.PCG64(seed)).random

    def chance(self, probability):
        return bool(self.random() < probability)

    def one_of(self, choices):
        return choices[int(self.random() * len(choices))]

    def distinct(self, *highest):
        """One size from 1 to each of `highest`, no two equal."""
        while True:
            sizes = [1 + int(self.random() * size) for size in highest]
            if len(set(sizes)) == len(sizes):
                return sizes

    def array(self, shape, limit, dtype):
        return ((2 * self.random(shape) - 1) * limit).astype(dtype)

    def mask(self, kind, B, T):
        lengths = np.array([int(self.random() * (T + 1)) for _ in range(B)])
        if kind.startswith("gaps") or kind == "first step empty":
            mask = self.random((B, T)) < 0.6
        elif kind == "left":
            mask = np.arange(T) >= T - np.maximum(lengths, 1)[:, None]
        else:
            mask = np.arange(T) < np.maximum(lengths, 1)[:, None]
        if kind == "first step empty":
            mask[:, 0] = False
        if kind.endswith("row empty"):
            mask[int(self.random() * B)] = False
        return mask


def draw_part(draw, cell, units, go_backwards):
    activation, recurrent = draw.one_of(PAIRS) if draw.chance(0.45) else DEFAULT
    if cell == "simple":
        activation, recurrent = draw.one_of(PAIRS)[0] if draw.chance(0.4) else "tanh", None
    return Part(cell, units, activation, recurrent, draw.chance(0.8), go_backwards)


def draw_weights(draw, part, features, dtype):
    """Random weights. What has no bounds keeps small ones, so that states stay below about 10.

    Two biases of a gate have one sign: ceiling.py does not count what would cancel between them.
    """
    G, H = GATES[part.cell], part.units
    bounded = part.activation not in ("relu", None) and part.recurrent_activation not in ("relu", "tanh")
    bounded = bounded and (part.cell == "simple" or part.recurrent_activation is not None)
    scale = 1.5 if bounded else 0.4
    weights = [
        draw.array((features, G * H), scale * features**-0.5, dtype),
        draw.array((H, G * H), scale * H**-0.5, dtype),
    ]
    if part.use_bias:
        bias = draw.array((2, G * H), scale * 0.5, dtype)
        weights.append(np.copysign(bias, bias[0]) if part.cell == "gru" else bias[0])
    return weights


def draw_parts(draw, kind, units, merge_mode, own_backward):
    cell = draw.one_of(list(GATES))
    first = draw_part(draw, cell, units[0], kind != "bidirectional" and draw.chance(0.3))
    if kind == "layer":
        return [first]
    if kind == "stack":
        return [first, draw_part(draw, draw.one_of(list(GATES)), units[1], first.go_backwards)]
    first.go_backwards = draw.chance(0.2 if own_backward else 0.05)
    if not own_backward:
        return [first, Part(**(vars(first) | {"go_backwards": not first.go_backwards, "weights": []}))]
    second = units[1] if merge_mode in ("concat", None) else units[0]
    other = draw.one_of(list(GATES)) if draw.chance(0.3) else cell
    return [first, draw_part(draw, other, second, not first.go_backwards)]


def draw_calls(draw, configuration, B, times, features):
    # Keras gives each direction one half of the initial states.
    halves = configuration.kind != "bidirectional" or len({part.states for part in configuration.parts}) == 1
    given = halves and draw.chance(0.4)
    for number, T in enumerate(times):
        if number and configuration.stateful:
            given = halves and draw.chance(0.25)
        mask = draw.mask(configuration.mask_kind, B, T) if configuration.mask_kind else None
        if mask is not None and configuration.stateful and not mask.any():
            mask[-1, -1] = True  # a call that changes no state would hide what the next one starts from
        if number and draw.chance(0.3):
            mask = None
        states = None
        if given:
            sizes = [part.units for part in configuration.parts for _ in range(part.states)]
            states = [draw.array((B, H), 1.0, configuration.dtype) for H in sizes]
        yield Call(draw.array((B, T, features), 2.0, configuration.dtype), mask, states)


def draw_configuration(number, kind):
    draw = Draw(SEED, number)
    B, T, features, *units = draw.distinct(5, 9, 5, 7, 7)
    merge_mode = draw.one_of(MERGE_MODES) if kind == "bidirectional" else None
    own_backward = kind == "bidirectional" and draw.chance(0.3)
    configuration = Configuration(
        number,
        kind,
        "float64" if draw.chance(0.15) else "float32",
        draw_parts(draw, kind, units, merge_mode, own_backward),
        return_sequences=draw.chance(0.65),
        return_state=draw.chance(0.65),
        zero_output_for_mask=draw.chance(0.3),
        stateful=draw.chance(0.2),
        merge_mode=merge_mode,
        own_backward=own_backward,
        mask_kind=draw.one_of(MASKS) if draw.chance(0.6) else None,
    )
    size = features
    for part in configuration.parts:
        part.weights = draw_weights(draw, part, size, configuration.dtype)
        size = part.units if kind == "stack" else features
    times = draw.distinct(7, 6, 5)[: 2 + draw.chance(0.5)] if configuration.stateful else [T]
    configuration.calls = list(draw_calls(draw, configuration, B, times, features))
    return configuration


def draw_all():
    kinds = [kind for kind, count in COUNTS.items() for _ in range(count)]
    return [draw_configuration(number, kind) for number, kind in enumerate(kinds)]


def digest(configurations):
    """Of everything that the recorded systems were given."""
    found = hashlib.sha256()

    def described(value):
        found.update(value.tobytes())
        return [value.dtype.str, value.shape]

    for configuration in configurations:
        found.update(json.dumps(asdict(configuration), default=described).encode())
    return found.hexdigest()
