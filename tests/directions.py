"""What tests of two directions share: layers with random weights, batches of every kind, and the two layers
run alone.
"""

import numpy as np

import numbarnn as nr

B, T, I, H = 5, 6, 3, 4  # noqa: E741
LENGTHS = np.array([3, 0, T, 1, 4])
MASK = np.random.default_rng(0).random((B, T)) < 0.6
MASK[0], MASK[1], MASK[2] = [True, False, False, True, False, True], False, True
RESETS = np.random.default_rng(1).random((B, T)) < 0.3
RESETS[0, 0] = True
BATCHES = {
    "dense": {},
    "lengths": {"lengths": LENGTHS},
    "mask": {"mask": MASK},
    "resets": {"resets": RESETS},
    "lengths and resets": {"lengths": LENGTHS, "resets": RESETS},
    "mask and resets": {"mask": MASK, "resets": RESETS},
}
MERGES = {
    "concat": lambda y, reverse: [np.concatenate([y, reverse], axis=-1)],
    "sum": lambda y, reverse: [y + reverse],
    "mul": lambda y, reverse: [y * reverse],
    "ave": lambda y, reverse: [(y + reverse) / y.dtype.type(2)],
    None: lambda y, reverse: [y, reverse],
}


def inputs(*shape, dtype="float32", seed=7):
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def both(model, merge_mode="concat", units=H, features=I, dtype="float32", **options):
    """Two directions of a kind of layer, with random weights, that return all they can."""
    options = {"return_sequences": True, "return_state": True, "dtype": dtype} | options
    layer, rng = nr.Bidirectional(model.layer(units, **options), merge_mode), np.random.default_rng(5)
    layer.set_weights(
        [*model.weights(features, units, dtype, rng), *model.weights(features, units, dtype, rng)]
    )
    return layer


def states(model, rows=B, units=H, dtype="float32"):
    """Initial states of both directions."""
    rng = np.random.default_rng(3)
    return [*model.states(rows, units, dtype, rng), *model.states(rows, units, dtype, rng)]


def turned(y, lengths=None):
    """Outputs (B, T, ...) of a reversed layer at the times of their inputs, within each row's length."""
    y = y.copy()
    for b in range(len(y)):
        n = y.shape[1] if lengths is None else lengths[b]
        y[b, :n] = y[b, :n][::-1].copy()
    return y


def listed(result):
    return list(result) if isinstance(result, tuple) else [result]


def alone(layer, x, initial_state=None, training=False, **given):
    """The results of either layer of a Bidirectional by itself, as `RNN` has them, each as a list; outputs
    of the second are turned round.
    """
    pair, results = (layer.forward_layer, layer.backward_layer), []
    count = len(layer.forward_layer.layout)
    parts = [None, None] if initial_state is None else [initial_state[:count], initial_state[count:]]
    for one, part in zip(pair, parts, strict=True):
        sequences = one.return_sequences
        rnn = nr.RNN(
            one.cell,
            return_sequences=sequences,
            return_state=True,
            go_backwards=one.go_backwards,
            zero_output_for_mask=sequences,
            device=one.device,
        )
        y, *final = rnn(x, part, training=training, **given)
        if one is layer.backward_layer and sequences:
            y = turned(y, given.get("lengths"))
        results.append([y, *final])
    return results


def merged(layer, *arguments, **given):
    """What the Bidirectional should return, as a list, made of its layers alone."""
    (y, *final), (reverse, *final_reverse) = alone(layer, *arguments, **given)
    return [*MERGES[layer.merge_mode](y, reverse), *((final + final_reverse) if layer.return_state else [])]
