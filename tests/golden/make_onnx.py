"""Record ONNX Runtime's LSTM, GRU and RNN operators on the CPU in onnx.npz, beside this file.

Run: python tests/golden/make_onnx.py        (needs onnx, onnxruntime and numpy)

Arrays have the operators' names and layouts, one direction each: X (T, B, I), W (1, G*H, I), Y (T, 1, B, H).
Only float32: ONNX Runtime refuses these operators in float64.
"""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime

OPERATORS = {
    "lstm": ("LSTM", 4, {}),
    "gru_after": ("GRU", 3, {"linear_before_reset": 1}),
    "gru_before": ("GRU", 3, {"linear_before_reset": 0}),
    "rnn": ("RNN", 1, {}),
}
SIZES = {"plain": (5, 6, 2, 3), "lengths": (7, 9, 3, 5)}
LENGTHS = np.array([4, 0, 9, 1, 7, 0, 2], np.int32)


def run(operator, attributes, arrays, outputs):
    """Run one node whose inputs are `arrays`, in order."""
    def value(name):
        kind = onnx.TensorProto.INT32 if name == "sequence_lens" else onnx.TensorProto.FLOAT
        return onnx.helper.make_tensor_value_info(name, kind, None)

    order = ("X", "W", "R", "B", "sequence_lens", "initial_h", "initial_c")
    names = [name if name in arrays else "" for name in order[:7 if operator == "LSTM" else 6]]
    node = onnx.helper.make_node(operator, names, outputs, **attributes)
    graph = onnx.helper.make_graph([node], operator, list(map(value, arrays)), list(map(value, outputs)))
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 22)], ir_version=10)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return dict(zip(outputs, session.run(outputs, arrays), strict=True))


def record(kind, scope, direction, rng):
    """The arrays of one case; two biases of a gate have one sign, which ceiling.py relies on."""
    operator, G, options = OPERATORS[kind]
    B, T, features, H = SIZES[scope]
    scale = H ** -0.5
    bias = rng.uniform(-scale, scale, (1, 2 * G * H))
    bias[:, G * H:] = np.copysign(bias[:, G * H:], bias[:, :G * H])
    arrays = {
        "X": rng.standard_normal((T, B, features)),
        "W": rng.uniform(-scale, scale, (1, G * H, features)),
        "R": rng.uniform(-scale, scale, (1, G * H, H)),
        "B": bias,
    }
    states = ["h", "c"] if operator == "LSTM" else ["h"]
    if scope == "lengths":
        arrays |= {f"initial_{name}": rng.uniform(-1, 1, (1, B, H)) for name in states}
    arrays = {name: array.astype(np.float32) for name, array in arrays.items()}
    if scope == "lengths":
        arrays["sequence_lens"] = LENGTHS
    attributes = {"hidden_size": H, "direction": direction, **options}
    return arrays | run(operator, attributes, arrays, ["Y", *(f"Y_{name}" for name in states)])


def main():
    rng = np.random.default_rng(20240602)
    versions = f"onnxruntime {onnxruntime.__version__}, onnx {onnx.__version__}, numpy {np.__version__}"
    file = {"versions": np.array(versions)}
    for kind in OPERATORS:
        for scope in SIZES:
            for direction in ("forward", "reverse"):
                case = f"{kind}-{scope}-{direction}"
                arrays = record(kind, scope, direction, rng)
                file |= {f"{case}/{name}": array for name, array in arrays.items()}
    np.savez_compressed(Path(__file__).with_name("onnx.npz"), **file)


if __name__ == "__main__":
    main()
