"""Record layers of other systems, weights in their own layouts, in layouts_SYSTEM.npz beside this file.

Run: python tests/golden/make_layouts.py peers                                (needs torch, onnx, onnxruntime)
     TF_USE_LEGACY_KERAS=1 python tests/golden/make_layouts.py tensorflow         (needs tensorflow, tf_keras)

A case has the weights under the system's names or numbered in its order, x, the output and the final states.
Layers above another were recorded alone as well: `between` is what the lower layer made.
"""

import sys
from pathlib import Path

import numpy as np

B, T, FEATURES, H, P = 3, 5, 4, 6, 2


def weights(shapes, rng, dtype, positive=()):
    """Random arrays by name; biases are positive, since ceiling.py adds biases of one sign only."""
    drawn = {name: rng.uniform(-0.6, 0.6, shape) for name, shape in shapes.items()}
    for name, array in drawn.items():
        if array.ndim == 1 or name in positive:
            drawn[name] = abs(array)
    return {name: array.astype(dtype) for name, array in drawn.items()}


def torch_module(kind, rng, layers, directions, **options):
    """A module, its parameters, x and results; between two layers what the first alone makes."""
    import torch

    def made(features, depth):
        return getattr(torch.nn, kind)(
            features,
            H,
            depth,
            batch_first=True,
            bidirectional=directions == 2,
            dtype=torch.float64,
            **options,
        )

    module = made(FEATURES, layers)
    shapes = {name: tuple(p.shape) for name, p in module.named_parameters()}
    arrays = weights(shapes, rng, np.float64)
    module.load_state_dict({name: torch.tensor(array) for name, array in arrays.items()})
    x = torch.tensor(rng.standard_normal((B, T, FEATURES)))
    output, final = module(x)
    arrays |= {"x": x.numpy(), "output": output.numpy()}
    arrays |= dict(zip(("h_n", "c_n"), final if kind == "LSTM" else [final], strict=False))
    if layers == 2:
        between = x
        for k in range(layers):
            own = {
                name.replace(f"_l{k}", "_l0"): p
                for name, p in module.state_dict().items()
                if f"_l{k}" in name
            }
            alone = made(between.shape[-1], 1)
            alone.load_state_dict(own)
            if k:
                arrays["between"] = between.numpy()
            between, _ = alone(between)
        np.testing.assert_array_equal(between, output)
    return {name: np.asarray(array) for name, array in arrays.items()}


def onnx_node(operator, gates, rng, directions=1, peepholes=False, **attributes):
    """An operator's inputs and outputs, through the function of make_onnx.py."""
    from make_onnx import run

    shapes = {"W": (directions, gates * H, FEATURES), "R": (directions, gates * H, H)}
    shapes |= {"B": (directions, 2 * gates * H)} | ({"P": (directions, 3 * H)} if peepholes else {})
    own = weights(shapes, rng, np.float32, positive="B")
    x = rng.standard_normal((T, B, FEATURES)).astype(np.float32)
    outputs = ["Y", "Y_h"] + (["Y_c"] if operator == "LSTM" else [])
    attributes |= {"hidden_size": H, "direction": "bidirectional" if directions == 2 else "forward"}
    if peepholes:
        return own | {"X": x} | run_with_peepholes(attributes, own, x, outputs)
    return own | {"X": x} | run(operator, attributes, {"X": x, **own}, outputs)


def run_with_peepholes(attributes, own, x, outputs):
    import onnx
    import onnxruntime

    inputs = {"X": x, **own}

    def value(name):
        return onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None)

    node = onnx.helper.make_node("LSTM", ["X", "W", "R", "B", "", "", "", "P"], outputs, **attributes)
    graph = onnx.helper.make_graph([node], "lstm", list(map(value, inputs)), list(map(value, outputs)))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(outputs, session.run(outputs, inputs), strict=True))


def peers():
    import onnxruntime
    import torch

    torch.set_num_threads(1)
    rng = np.random.default_rng(20261123)
    yield "", {"versions": np.array(f"torch {torch.__version__}, onnxruntime {onnxruntime.__version__}")}
    with torch.no_grad():
        yield "torch-lstm", torch_module("LSTM", rng, 2, 2)
        yield "torch-gru", torch_module("GRU", rng, 2, 1)
        yield "torch-simple_rnn", torch_module("RNN", rng, 1, 2)
        yield "torch-projected", torch_module("LSTM", rng, 1, 1, proj_size=P)
    yield "onnx-lstm", onnx_node("LSTM", 4, rng, 2)
    yield "onnx-peepholes", onnx_node("LSTM", 4, rng, peepholes=True)
    yield "onnx-gru", onnx_node("GRU", 3, rng, 2, linear_before_reset=1)
    yield "onnx-gru_reset_before", onnx_node("GRU", 3, rng, 2, linear_before_reset=0)
    yield "onnx-simple_rnn", onnx_node("RNN", 1, rng, 2)


def keras_layer(kind, rng, **options):
    """A layer of Keras, and its weights as the old cuDNN layers would have saved them."""
    import tf_keras
    from tf_keras.src.saving.legacy import hdf5_format

    layer = getattr(tf_keras.layers, kind)(
        H, return_sequences=True, return_state=True, dtype="float64", **options
    )
    x = rng.standard_normal((B, T, FEATURES))
    layer.build(x.shape)
    shapes = {str(k): array.shape for k, array in enumerate(layer.get_weights())}
    arrays = weights(shapes, rng, np.float64)
    if arrays["2"].ndim == 2:
        arrays["2"] = abs(arrays["2"])
    layer.set_weights(list(arrays.values()))
    output, *final = layer(x)
    if kind == "LSTM" or options.get("reset_after"):
        old = type(f"CuDNN{kind}", (), {})()
        converted = hdf5_format._convert_rnn_weights(old, layer.get_weights())
        arrays |= {f"old_{k}": array for k, array in enumerate(converted)}
    return arrays | {"x": x, "output": output} | {f"final_{k}": state for k, state in enumerate(final)}


def tf1_cell(kind, rng, **options):
    """A cell of TensorFlow 1 under dynamic_rnn, with its variables in order."""
    import tensorflow as tf

    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        cell = getattr(tf.compat.v1.nn.rnn_cell, kind)(H, dtype=tf.float64, **options)
        x = rng.standard_normal((B, T, FEATURES))
        output, final = tf.compat.v1.nn.dynamic_rnn(cell, tf.constant(x), dtype=tf.float64)
        shapes = {str(k): v.shape for k, v in enumerate(cell.variables)}
        names = np.array([v.name for v in cell.variables])
        arrays = weights(shapes, rng, np.float64)
        for variable, array in zip(cell.variables, arrays.values(), strict=True):
            variable.load(array, session)
        output, final = session.run([output, final])
    final = final if isinstance(final, tuple) else [final]
    arrays |= {"x": x, "output": output, "names": names}
    return arrays | {f"final_{k}": state for k, state in enumerate(final)}


def block_lstm(op, rng, use_peephole):
    """A raw operator on a whole sequence, time first."""
    import tensorflow as tf

    own = {"w": (FEATURES + H, 4 * H), "wci": (H,), "wcf": (H,), "wco": (H,), "b": (4 * H,)}
    own = weights(own, rng, np.float32)
    x = rng.standard_normal((T, B, FEATURES)).astype(np.float32)
    zeros = np.zeros((B, H), np.float32)
    results = getattr(tf.raw_ops, op)(
        seq_len_max=T, x=x, cs_prev=zeros, h_prev=zeros, use_peephole=use_peephole, cell_clip=-1.0, **own
    )
    return own | {"x": x, "cs": results[1], "h": results[6]}


def gru_block(rng):
    """The raw operator GRUBlockCell, a step at a time."""
    import tensorflow as tf

    own = {"w_ru": (FEATURES + H, 2 * H), "b_ru": (2 * H,), "w_c": (FEATURES + H, H), "b_c": (H,)}
    own = weights(own, rng, np.float32)
    x = rng.standard_normal((B, T, FEATURES)).astype(np.float32)
    h, outputs = np.zeros((B, H), np.float32), []
    for t in range(T):
        *_, h = tf.raw_ops.GRUBlockCell(x=x[:, t], h_prev=h, **own)
        outputs.append(h)
    return own | {"x": x, "output": np.stack(outputs, 1)}


def tensorflow():
    import tensorflow as tf

    rng = np.random.default_rng(20261124)
    yield "", {"versions": np.array(f"tensorflow {tf.__version__}")}
    yield "keras-lstm", keras_layer("LSTM", rng)
    yield "keras-gru", keras_layer("GRU", rng, reset_after=True)
    yield "keras-gru_reset_before", keras_layer("GRU", rng, reset_after=False)
    yield "keras-simple_rnn", keras_layer("SimpleRNN", rng)
    for kind in ("BasicRNNCell", "GRUCell", "BasicLSTMCell", "LSTMCell"):
        yield f"tf1-{kind}", tf1_cell(kind, rng)
    yield "tf1-LSTMCell-peepholes", tf1_cell("LSTMCell", rng, use_peepholes=True)
    yield "tf1-LSTMCell-projected", tf1_cell("LSTMCell", rng, num_proj=P)
    yield "tf1-LSTMCell-both", tf1_cell("LSTMCell", rng, use_peepholes=True, num_proj=P, forget_bias=0.5)
    yield "block-BlockLSTM", block_lstm("BlockLSTM", rng, False)
    yield "block-BlockLSTM-peepholes", block_lstm("BlockLSTM", rng, True)
    yield "block-BlockLSTMV2", block_lstm("BlockLSTMV2", rng, False)
    yield "block-BlockLSTMV2-peepholes", block_lstm("BlockLSTMV2", rng, True)
    yield "tf1-GRUBlockCell", gru_block(rng)


def main():
    [system] = sys.argv[1:]
    cases = {"peers": peers, "tensorflow": tensorflow}[system]()
    file = {f"{case}/{name}": np.asarray(array) for case, arrays in cases for name, array in arrays.items()}
    np.savez_compressed(Path(__file__).with_name(f"layouts_{system}.npz"), **file)


if __name__ == "__main__":
    main()
