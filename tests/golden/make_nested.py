"""Record tf_keras' RNN on a cell of nested inputs and states in nested.npz, beside this file.

Run: python tests/golden/make_nested.py        (needs tf_keras, tensorflow and numpy)

The cell is that of Keras' guide to recurrent layers: inputs (32,) and (64, 32), states (10,) and (20, 30).
Keras 3 takes no nested inputs. All inputs and weights come from `pattern`, so that only results are kept:
for each run `RUN/output_k` and `RUN/state_k`, with k = 1, 2; `runs` says, as JSON, the layer's arguments and
what the call was given.
"""

import json
from pathlib import Path

import numpy as np

B, T, SIZES, STATES = 3, 4, [(32,), (64, 32)], [(10,), (20, 30)]
MASK = np.array([[1, 1, 0, 1], [0, 1, 1, 0], [0, 0, 0, 0]], bool)
SEQUENCES, BACKWARDS = {"return_sequences": True}, {"go_backwards": True}
RUNS = {
    "sequences": (SEQUENCES, []),
    "last": ({}, ["initial_state"]),
    "mask": (SEQUENCES, ["initial_state", "mask"]),
    "mask-last": ({}, ["mask"]),
    "mask-zero": (SEQUENCES | {"zero_output_for_mask": True}, ["mask"]),
    "mask-zero-last": ({"zero_output_for_mask": True}, ["mask"]),
    "backwards-mask": (SEQUENCES | BACKWARDS, ["initial_state", "mask"]),
    "backwards-last": (BACKWARDS, ["initial_state"]),
}


def pattern(number, shape):
    """Float32 numbers from -0.5 to 0.5 that look random and are the same everywhere."""
    count = int(np.prod(shape))
    steps = (np.arange(count, dtype=np.int64) + 1) * (7919 + 1047 * number) % 65521
    return (steps * steps % 65521 / 65521 - 0.5).astype(np.float32).reshape(shape)


def arguments():
    """Inputs, kernels and initial states, each a list of two."""
    x = [pattern(k, (B, T, *size)) for k, size in enumerate(SIZES)]
    kernels = [pattern(2, (32, 10)), pattern(3, (64, 32, 20, 30))]
    return x, kernels, [pattern(4 + k, (B, *size)) for k, size in enumerate(STATES)]


def main():
    import tensorflow as tf
    import tf_keras as keras

    class NestedCell(keras.layers.Layer):
        state_size = output_size = tuple(map(tf.TensorShape, STATES))

        def call(self, inputs, states):
            outputs = (
                tf.matmul(inputs[0], self.kernels[0]),
                tf.einsum("bij,ijkl->bkl", inputs[1], self.kernels[1]),
            )
            return outputs, (states[0] + outputs[0], states[1] + outputs[1])

    x, kernels, initial = arguments()
    given = {"initial_state": [tf.constant(state) for state in initial], "mask": tf.constant(MASK)}
    results = {"runs": json.dumps(RUNS), "versions": f"tf_keras {keras.__version__}, tf {tf.__version__}"}
    for name, (options, names) in RUNS.items():
        cell = NestedCell()
        cell.kernels = [tf.constant(kernel) for kernel in kernels]
        layer = keras.layers.RNN(cell, return_state=True, **options)
        outputs, *states = layer(tuple(map(tf.constant, x)), **{key: given[key] for key in names})
        for kind, arrays in (("output", outputs), ("state", states)):
            for k, array in enumerate(arrays, 1):
                results[f"{name}/{kind}_{k}"] = array.numpy()
    np.savez_compressed(Path(__file__).with_name("nested.npz"), **results)


if __name__ == "__main__":
    main()
