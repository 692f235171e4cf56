"""ONNX' operators RNN, GRU and LSTM as cells of a user: clipped sums, peepholes, scaled activations."""

import numpy as np

import numbarnn as nr
from numbarnn.math import clip as limited
from numbarnn.math import exp, expm1, log1p, maximum, minimum, relu, sigmoid, tanh, where


def affine(alpha, beta):
    return lambda a: alpha * a + beta


def scaled_tanh(alpha, beta):
    return lambda a: alpha * tanh(beta * a)


def hard_sigmoid(alpha=0.2, beta=0.5):
    return lambda a: limited(alpha * a + beta, 0.0, 1.0)


def leaky_relu(alpha):
    return lambda a: where(a >= 0.0, a, alpha * a)


def thresholded_relu(alpha):
    return lambda a: where(a > alpha, a, 0.0)


def elu(alpha):
    return lambda a: where(a >= 0.0, a, alpha * expm1(minimum(a, 0.0)))


def softsign(a):
    return a / (1.0 + maximum(a, -a))


def softplus(a):
    return maximum(a, 0.0) + log1p(exp(minimum(a, -a)))


PLAIN = {"Tanh": tanh, "Sigmoid": sigmoid, "Relu": relu, "Softsign": softsign, "Softplus": softplus}
SCALED = {
    "Affine": affine,
    "ScaledTanh": scaled_tanh,
    "HardSigmoid": hard_sigmoid,
    "LeakyRelu": leaky_relu,
    "ThresholdedRelu": thresholded_relu,
    "Elu": elu,
}


def activation(name, *numbers):
    return PLAIN[name] if name in PLAIN else SCALED[name](*numbers)


def clipped(a, limit):
    return a if limit is None else limited(a, -limit, limit)


def rnn(a, *, f=tanh, clip=None):
    return f(clipped(a, clip))


def gates(z, r, h, *, f=sigmoid, clip=None):
    return f(clipped(z, clip)), f(clipped(r, clip)) * h


def candidate(n, z, h, *, g=tanh, clip=None):
    return (1.0 - z) * g(clipped(n, clip)) + z * h


def gru(z, r, n_x, n_h, h, *, f=sigmoid, g=tanh, clip=None):
    return candidate(n_x + f(clipped(r, clip)) * n_h, f(clipped(z, clip)), h, g=g, clip=clip)


def lstm(i, o, f, c_x, c, p_i, p_o, p_f, *, gate=sigmoid, g=tanh, h=tanh, clip=None, input_forget=False):
    i = gate(clipped(i + p_i * c, clip))
    forget = 1.0 - i if input_forget else gate(clipped(f + p_f * c, clip))
    c = forget * c + i * g(clipped(c_x, clip))
    return gate(clipped(o + p_o * c, clip)) * h(c), c


RNN = nr.cell("onnx_rnn", states="h", phases=[nr.phase("a:x+h", rnn)])
GRU_BEFORE = nr.cell(
    "onnx_gru_before",
    states="h",
    phases=[nr.phase("z:x+h r:x+h", gates, results="z rh"), nr.phase("n:x+rh", candidate)],
)
GRU_AFTER = nr.cell("onnx_gru_after", states="h", phases=[nr.phase("z:x+h r:x+h n:x|h", gru)])
LSTM = nr.cell(
    "onnx_lstm",
    states="h c",
    phases=[nr.phase("i:x+h o:x+h f:x+h c_x:x+h", lstm)],
    parameters="p_i p_o p_f",
)
FUNCTIONS = {"RNN": ("f",), "GRU": ("f", "g"), "LSTM": ("gate", "g", "h")}


def fused_cell(cell):
    """The operator in one direction, with its weights."""
    options, H = cell.options, cell.units
    definition = {"RNN": RNN, "LSTM": LSTM}.get(cell.kind)
    if definition is None:
        definition = GRU_AFTER if options["linear_before_reset"] else GRU_BEFORE
    functions = [activation(*function) for function in options["activations"]]
    chosen = dict(zip(FUNCTIONS[cell.kind], functions, strict=True)) | {"clip": options["clip"]}
    if cell.kind == "LSTM":
        chosen["input_forget"] = options["input_forget"]
    made = nr.FusedCell(definition, H, use_bias=options["bias"], **chosen)
    made.build(cell.inputs)
    W, R, *rest = cell.weights
    weights = [W.T, R.T]
    if options["bias"]:
        of_inputs, recurrent = np.split(rest.pop(0), 2)
        both = definition is GRU_AFTER
        weights.append(np.stack([of_inputs, recurrent]) if both else of_inputs + recurrent)
    if cell.kind == "LSTM":
        P = rest.pop(0) if rest else np.zeros(3 * H, np.float32)
        weights += np.split(P, 3)
    made.set_weights(weights)
    return made


def run(problem):
    """Y, Y_h and, of the LSTM, Y_c."""
    x, cells = problem.x, [fused_cell(cell) for cell in problem.cells]
    initial = [
        cell.initial and (cell.initial if len(cell.initial) > 1 else cell.initial[0])
        for cell in problem.cells
    ]
    if problem.form == "forward":
        y, state = nr.dynamic_rnn(cells[0], x, problem.lengths, initial[0])
        outputs, states = [y], [state]
    elif problem.form == "reverse":
        layer = nr.RNN(cells[0], return_sequences=True, return_state=True, go_backwards=True)
        y, *state = layer(x, initial[0], lengths=problem.lengths)
        outputs, states = [turned(y, problem.lengths)], [state]
    else:
        outputs, states = nr.bidirectional_dynamic_rnn(*cells, x, problem.lengths, *initial)
    states = [state if isinstance(state, list) else [state] for state in states]
    Y = np.stack([y.swapaxes(0, 1) for y in outputs], 1)
    return [Y, *(np.stack(arrays) for arrays in zip(*states, strict=True))]


def turned(y, lengths):
    """Each row's own steps in the opposite order."""
    B, T, _ = y.shape
    lengths = np.full(B, T) if lengths is None else lengths
    at = np.arange(T)
    at = np.where(at < lengths[:, None], lengths[:, None] - 1 - at, at)
    return np.take_along_axis(y, at[:, :, None], axis=1)
