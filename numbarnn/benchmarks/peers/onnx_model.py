"""A problem as an ONNX model: recurrent operators one upon the other, their weights constants."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

OPERATORS = {  # from PyTorch's order of gates
    "lstm": ("LSTM", (0, 3, 1, 2), {}),
    "gru": ("GRU", (1, 0, 2), {"linear_before_reset": 1}),
}
FLOAT, INT32 = TensorProto.FLOAT, TensorProto.INT32
OPSET, IR_VERSION = 14, 8  # runtimes refuse versions newer than themselves, and `onnx` writes its newest


def states_of(problem):
    """Names of the states of all layers: inputs of a model of one step, which returns them as new_...."""
    letters = "hc" if problem.cell == "lstm" else "h"
    return [f"{letter}{k}" for k in range(problem.layers) for letter in letters]


def model_of(problem, data):
    """The model, serialised.

    Its inputs are ``x`` (T, B, I), of a padded batch ``lengths`` (B,) as int32, and for single steps, where T
    is 1, the states (1, B, H) by name; its outputs ``y`` (T, directions, B, H) and the new states.
    """
    T, B, H, n = 1 if problem.each_step else problem.T, problem.B, problem.H, problem.directions
    states = states_of(problem) if problem.each_step else []
    inputs = [_tensor("x", FLOAT, T, B, problem.I), *(_tensor(name, FLOAT, 1, B, H) for name in states)]
    if data.lengths is not None:
        inputs.append(_tensor("lengths", INT32, B))
    outputs = [_tensor("y", FLOAT, T, n, B, H), *(_tensor(f"new_{name}", FLOAT, 1, B, H) for name in states)]
    constants, nodes, lengths = {}, [], "" if data.lengths is None else "lengths"
    for k, layer in enumerate(data.weights):
        if k > 0:
            constants["joined"] = np.array([T, B, n * H])
            nodes.append(helper.make_node("Transpose", [f"y{k - 1}"], [f"beside{k}"], perm=[0, 2, 1, 3]))
            nodes.append(helper.make_node("Reshape", [f"beside{k}", "joined"], [f"x{k}"]))
        own = [name for name in states if int(name[1:]) == k]
        ends = ("x" if k == 0 else f"x{k}"), ("y" if k == problem.layers - 1 else f"y{k}")
        nodes.append(_layer(problem, constants, layer, k, *ends, lengths, own))
    graph = helper.make_graph(
        nodes,
        str(problem),
        inputs,
        outputs,
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    return helper.make_model(graph, ir_version=IR_VERSION, opset_imports=opsets).SerializeToString()


def _layer(problem, constants, layer, k, x, y, lengths, states):
    """The operator of layer `k`, from `x` to `y`; its weights are added to `constants`."""
    kind, order, attributes = OPERATORS[problem.cell]
    if problem.directions == 2:
        attributes = attributes | {"direction": "bidirectional"}

    def in_order(array):
        return np.concatenate([np.split(array, len(order))[gate] for gate in order])

    w, r, b_w, b_r = (np.stack([in_order(array) for array in arrays]) for arrays in zip(*layer, strict=True))
    constants |= {f"W{k}": w, f"R{k}": r, f"B{k}": np.concatenate([b_w, b_r], axis=1)}
    arguments = [x, f"W{k}", f"R{k}", f"B{k}", lengths, *states]
    returned = [y, *(f"new_{name}" for name in states)]
    return helper.make_node(kind, arguments, returned, hidden_size=problem.H, **attributes)


def beside(y):
    """(T, directions, B, H) as (B, T, H * directions)."""
    return np.concatenate(np.moveaxis(y, 1, 0), axis=2).swapaxes(0, 1)


def _tensor(name, kind, *shape):
    return helper.make_tensor_value_info(name, kind, list(shape))
