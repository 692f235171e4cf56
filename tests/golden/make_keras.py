"""Record Keras 3's LSTM, GRU and SimpleRNN on the TensorFlow backend in keras.npz, beside this file.

Run: KERAS_BACKEND=tensorflow python tests/golden/make_keras.py        (needs keras, tensorflow and numpy)

Every kind has one set of float32 inputs, widened for float64 runs, and for each call the output and the final
states; `calls` says, as JSON, the layer's arguments and which inputs the call was given. A stateful layer is
called twice: the call named in `earlier`, then one on `x_second` and `mask_second`. `new_bias` is the bias of
a layer just built.
"""

import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf

LAYERS = {
    "lstm": (keras.layers.LSTM, {"use_cudnn": False}, 4, (3, 5)),
    "gru": (keras.layers.GRU, {"use_cudnn": False, "reset_after": True}, 3, (5, 4)),
    "gru_before": (keras.layers.GRU, {"use_cudnn": False, "reset_after": False}, 3, (4, 3)),
    "simple": (keras.layers.SimpleRNN, {}, 1, (2, 7)),
}
MASK = np.array([
    [1, 1, 1, 1, 1, 1, 1, 1],
    [1, 0, 1, 1, 0, 0, 1, 1],
    [0, 0, 0, 1, 1, 1, 1, 1],
    [1, 1, 1, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0],
    [0, 1, 0, 1, 1, 0, 1, 0],
], bool)
SEQUENCES, BACKWARDS = {"return_sequences": True}, {"go_backwards": True}
ZERO = {"zero_output_for_mask": True}
RUNS = {
    "sequences": (SEQUENCES, []),
    "last": ({}, ["initial_state"]),
    "mask": (SEQUENCES, ["initial_state", "mask"]),
    "mask-last": ({}, ["initial_state", "mask"]),
    "mask-zero": (SEQUENCES | ZERO, ["initial_state", "mask"]),
    "mask-zero-last": (ZERO, ["mask"]),
    "backwards": (SEQUENCES | BACKWARDS, ["initial_state"]),
    "backwards-last": (BACKWARDS, ["initial_state"]),
    "backwards-mask": (SEQUENCES | BACKWARDS, ["initial_state", "mask"]),
    "backwards-mask-last": (BACKWARDS, ["initial_state", "mask"]),
    "backwards-mask-zero": (SEQUENCES | BACKWARDS | ZERO, ["mask"]),
    "stateful": (SEQUENCES | {"stateful": True}, ["mask"]),
    "stateful-backwards": (BACKWARDS | {"stateful": True}, ["mask"]),
    "no-bias": (SEQUENCES | {"use_bias": False}, ["initial_state"]),
    "relu": (SEQUENCES | {"activation": "relu"}, ["initial_state"]),
    "linear": (SEQUENCES | {"activation": "linear"}, ["initial_state"]),
    "exponential": (SEQUENCES | {"activation": "exponential"}, ["initial_state", "mask"]),
}
GATED_RUNS = {
    "sigmoid-tanh": ({"activation": "sigmoid", "recurrent_activation": "tanh"}, ["initial_state"]),
    "tanh-relu": ({"recurrent_activation": "relu"}, ["initial_state"]),
    "linear-linear": ({"activation": None, "recurrent_activation": None}, ["mask"]),
}
FLOAT32_RUNS = ["sequences", "mask", "backwards-mask", "relu"]


def inputs(kind, rng):
    """Random weights, inputs and states; two biases of a gate have one sign, which ceiling.py relies on.

    The weights are small enough for the runs with unbounded activations to stay finite.
    """
    _, _, G, (features, H) = LAYERS[kind]
    B, T = MASK.shape
    scale = 0.4 * H ** -0.5
    bias = rng.uniform(-scale, scale, (2, G * H))
    bias[1] = np.copysign(bias[1], bias[0])
    arrays = {
        "kernel": rng.uniform(-scale, scale, (features, G * H)),
        "recurrent_kernel": rng.uniform(-scale, scale, (H, G * H)),
        "bias": bias if kind == "gru" else bias[0],
        "x": rng.standard_normal((B, T, features)),
        "x_second": rng.standard_normal((B, T, features)),
        "initial_h": rng.uniform(-1, 1, (B, H)),
    }
    if kind == "lstm":
        arrays["initial_c"] = rng.uniform(-1, 1, (B, H))
    return {name: array.astype(np.float32) for name, array in arrays.items()}


def record(kind, arrays, options, given, dtype):
    """The output and the final states of the call, or of the two calls of a stateful layer."""
    make, own, _, (features, H) = LAYERS[kind]
    arrays = {name: tf.constant(array, dtype) for name, array in arrays.items()}
    layer = make(H, return_state=True, dtype=dtype, **own, **options)
    layer.build((*MASK.shape, features))
    weights = [arrays["kernel"], arrays["recurrent_kernel"], arrays["bias"]]
    layer.set_weights([w.numpy() for w in weights[:len(layer.get_weights())]])
    call = {}
    if "mask" in given:
        call["mask"] = tf.constant(MASK)
    if "initial_state" in given:
        call["initial_state"] = [arrays[name] for name in ("initial_h", "initial_c") if name in arrays]
    calls = [layer(arrays["x"], **call)]
    if layer.stateful:
        calls.append(layer(arrays["x_second"], mask=tf.constant(MASK[::-1].copy())))
    return [dict(zip(("output", "final_h", "final_c"), map(np.asarray, results), strict=False))
            for results in calls]


def new_bias(kind):
    """The bias that a layer begins with."""
    make, own, _, (features, H) = LAYERS[kind]
    layer = make(H, **own)
    layer.build((*MASK.shape, features))
    return layer.get_weights()[2]


def main():
    rng = np.random.default_rng(20240603)
    versions = f"keras {keras.__version__}, tensorflow {tf.__version__}, numpy {np.__version__}"
    file = {"versions": np.array(versions), "mask": MASK, "mask_second": MASK[::-1]}
    described = {}
    for kind in LAYERS:
        arrays = inputs(kind, rng)
        file |= {f"{kind}/{name}": array for name, array in arrays.items()}
        file[f"{kind}/new_bias"] = new_bias(kind)
        runs = RUNS if kind == "simple" else RUNS | GATED_RUNS
        for run, dtype in [(run, "float64") for run in runs] + [(run, "float32") for run in FLOAT32_RUNS]:
            options, given = runs[run]
            case = f"{kind}/{run}-{dtype}"
            for number, results in enumerate(record(kind, arrays, options, given, dtype)):
                name = f"{case}-second" if number else case
                described[name] = {"options": options, "given": given, "dtype": dtype}
                described[name] |= {"earlier": case} if number else {}
                file |= {f"{name}/{result}": array for result, array in results.items()}
    file["calls"] = np.array(json.dumps(described))
    np.savez_compressed(Path(__file__).with_name("keras.npz"), **file)


if __name__ == "__main__":
    main()
