"""Record models of Keras 3 on the TensorFlow backend in models.npz, beside this file.

Run: KERAS_BACKEND=tensorflow python tests/golden/make_models.py        (needs keras, tensorflow and numpy)

MODELS describes the models as (kind, arguments), for Keras and for the library alike. Recorded are random
inputs, the weights as the model's get_weights() orders them, and the outputs; all of them float32.
"""

import zlib
from pathlib import Path

import numpy as np

TEXT = np.array([[3, 1, 4, 1, 5, 9, 2], [6, 0, 5, 3, 0, 0, 0], [0, 0, 7, 9, 3, 2, 0], [8, 4, 6, 2, 0, 0, 0]])
EMPTY = np.array([[0, 0, 0, 0, 0, 0, 0]])
VECTORS = np.random.default_rng(5).standard_normal((3, 6, 4)).astype(np.float32)
GAPS = VECTORS.copy()
GAPS[0, 3:] = GAPS[1, :2] = GAPS[2, 2] = 0.37
WORDS = ("Embedding", {"input_dim": 11, "output_dim": 5})
PADDED = ("Embedding", {"input_dim": 11, "output_dim": 5, "mask_zero": True})
MODELS = {
    "text-lstm": (TEXT, [WORDS, ("LSTM", {"units": 6}), ("Dense", {"units": 4})]),
    "text-gru-simple": (
        TEXT,
        [
            WORDS,
            ("GRU", {"units": 6, "return_sequences": True}),
            ("SimpleRNN", {"units": 7}),
            ("Dense", {"units": 4}),
        ],
    ),
    "padded-text": (np.concatenate([TEXT, EMPTY]), [PADDED, ("LSTM", {"units": 6})]),
    "padded-stack": (
        np.concatenate([TEXT, EMPTY]),
        [
            PADDED,
            ("GRU", {"units": 4, "return_sequences": True, "reset_after": False}),
            ("Dense", {"units": 3, "activation": "tanh"}),
            ("LSTM", {"units": 6, "return_sequences": True, "go_backwards": True}),
        ],
    ),
    "temporal-softmax": (TEXT, [PADDED, ("Dense", {"units": 1}), ("TemporalSoftmax", {})]),
    "classifier": (VECTORS, [("LSTM", {"units": 6}), ("Dense", {"units": 5, "activation": "softmax"})]),
    "gaps": (
        GAPS,
        [
            ("Masking", {"mask_value": 0.37}),
            ("LSTM", {"units": 5, "return_sequences": True}),
            ("TimeDistributed", ("Dense", {"units": 3, "activation": "relu"})),
            ("GRU", {"units": 7}),
        ],
    ),
    "sentiment": (
        TEXT,
        [
            PADDED,
            ("Bidirectional", ("LSTM", {"units": 4})),
            ("Dense", {"units": 1, "activation": "sigmoid"}),
        ],
    ),
    "two-bidirectional": (
        VECTORS,
        [
            ("Bidirectional", ("LSTM", {"units": 5, "return_sequences": True})),
            ("Bidirectional", ("LSTM", {"units": 3})),
            ("Dense", {"units": 4}),
        ],
    ),
}
SOURCE, TARGET = TEXT, TEXT[:, ::2] % 7
PARAGRAPHS = np.split(np.random.default_rng(6).standard_normal((2, 9, 4)).astype(np.float32), 3, axis=1)


def make(layers, kind, arguments):
    """A layer of Keras or of the library."""
    if isinstance(arguments, tuple):
        return getattr(layers, kind)(make(layers, *arguments))
    return getattr(layers, kind)(**arguments)


def random_weights(name, shapes):
    """Small enough for states to stay away from saturation; two biases of one sign, as ceiling.py wants."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    drawn = [rng.uniform(-0.7, 0.7, shape) for shape in shapes]
    for array in drawn:
        if array.shape[0] == 2 and array.ndim == 2:
            array[1] = np.copysign(array[1], array[0])
    return [array.astype(np.float32) for array in drawn]


def translator(layers):
    """An encoder whose final states start a decoder: all layers, and the function that runs them."""
    embed, embed_target = layers.Embedding(11, 5), layers.Embedding(7, 4)
    encoder, decoder = layers.LSTM(6, return_state=True), layers.LSTM(6, return_sequences=True)
    output = layers.Dense(3)

    def translate(source, target):
        _, *states = encoder(embed(source))
        return output(decoder(embed_target(target), initial_state=states))

    return [embed, embed_target, encoder, decoder, output], translate


WORKED = {"plain": {}, "masked": {}, "masked-zero": {"zero_output_for_mask": True}}


def worked(layers, kind):
    """A public worked example: a GRU of one unit with linear gates and weights of ones, on five tokens."""
    embedding, masking = layers.Embedding(3, 2), layers.Masking(0.37)
    layer = layers.GRU(
        1,
        activation=None,
        recurrent_activation=None,
        reset_after=False,
        return_sequences=True,
        **WORKED[kind],
    )
    ids = np.array([[1, 2, 1, 0, 0], [0, 1, 2, 1, 0]])
    layer(embedding(ids))
    embedding.set_weights([np.array([[0.37, 0.37], [1, 1], [2, 2]], np.float32)])
    layer.set_weights([np.ones((2, 3), "f4"), np.zeros((1, 3), "f4"), np.ones(3, "f4")])
    x = embedding(ids)
    return layer(x) if kind == "plain" else layer(masking(x), mask=masking.compute_mask(x))


def give_weights(name, layers):
    """New random weights for built layers, one list for all."""
    shapes = [array.shape for layer in layers for array in layer.get_weights()]
    rest = weights = random_weights(name, shapes)
    for layer in layers:
        count = len(layer.get_weights())
        layer.set_weights(rest[:count])
        rest = rest[count:]
    return weights


def record(keras):
    """All arrays, by the name of the model and what they are."""

    class TemporalSoftmax(keras.layers.Layer):
        """A softmax over the valid time steps, as in Keras' guide to masking."""

        supports_masking = True

        def call(self, inputs, mask=None):
            used = keras.ops.expand_dims(keras.ops.cast(mask, "float32"), -1)
            exponentials = keras.ops.exp(inputs) * used
            return exponentials / keras.ops.sum(exponentials, axis=1, keepdims=True)

    class Layers:
        def __getattr__(self, kind):
            return TemporalSoftmax if kind == "TemporalSoftmax" else getattr(keras.layers, kind)

    found = {"versions": np.array([f"keras {keras.__version__}"])}

    def note(name, weights, **arrays):
        arrays |= {f"weights_{k:02}": array for k, array in enumerate(weights)}
        found.update({f"{name}/{key}": np.asarray(array) for key, array in arrays.items()})

    for name, (x, layers) in MODELS.items():
        model = keras.Sequential([make(Layers(), *layer) for layer in layers])
        model(x)
        model.set_weights(random_weights(name, [array.shape for array in model.get_weights()]))
        y = model(x)
        mask = getattr(y, "_keras_mask", None)
        note(name, model.get_weights(), x=x, y=y, **({} if mask is None else {"mask": mask}))
    layers, translate = translator(keras.layers)
    translate(SOURCE, TARGET)
    weights = give_weights("translator", layers)
    note("translator", weights, source=SOURCE, target=TARGET, y=translate(SOURCE, TARGET))
    layer = keras.layers.LSTM(5, stateful=True)
    layer(PARAGRAPHS[0])
    weights = give_weights("paragraphs", [layer])
    layer.reset_state()
    outputs = [layer(paragraph) for paragraph in PARAGRAPHS]
    layer.reset_state()
    note("paragraphs", weights, x=np.stack(PARAGRAPHS), y=np.stack(outputs), again=layer(PARAGRAPHS[0]))
    found.update({f"worked/{kind}": np.asarray(worked(keras.layers, kind)) for kind in WORKED})
    return found


def main():
    import keras

    assert keras.backend.backend() == "tensorflow"
    np.savez_compressed(Path(__file__).with_name("models.npz"), **record(keras))


if __name__ == "__main__":
    main()
