"""Models of golden/make_models.py in longhand, row by row: exact, as a plain loop, or with bounds of errors.

A row is a list of vectors, one for each time step, or one vector; its mask a list of flags, or None.
"""

import ceiling
import numpy as np
import oracle
from ceiling import Bounded
from golden.make_models import MODELS

CELLS = {"LSTM": "lstm", "GRU": "gru", "SimpleRNN": "simple"}


class Plain:
    """Arithmetic on arrays of one dtype; `naive` adds term by term."""

    def __init__(self, dtype, naive=False):
        self.dtype, self.total = dtype, oracle.ordered_sum if naive else oracle.matrix_sum
        self.concatenate = np.concatenate

    def array(self, values):
        return np.asarray(values, self.dtype)

    def activation(self, name):
        return softmax if name == "softmax" else oracle.ACTIVATIONS[name]


class WithBounds:
    """Arithmetic on values with bounds of their errors, of a computation in `dtype`."""

    def __init__(self, dtype):
        self.u = float(np.finfo(dtype).eps) / 2
        self.total = ceiling.bounded_sum(self.u)

    def array(self, values):
        values = np.asarray(values, np.float64)
        return Bounded(values, np.zeros_like(values), self.u)

    def concatenate(self, parts):
        values, errors = ([getattr(part, what) for part in parts] for what in ("value", "error"))
        return Bounded(np.concatenate(values), np.concatenate(errors), self.u)

    def activation(self, name):
        return self.softmax if name == "softmax" else ceiling.bounded_activation(name)

    def softmax(self, z):
        """Errors of e in the arguments change a quotient by exp(2 e) at most; to it come 8 u of each
        exponential, as of other activations, n u of their sum and 4 u of the other operations.
        """
        value = softmax(z.value)
        carried = np.expm1(2 * z.error.max())
        return Bounded(value, value * (carried + (2 * 8 + len(value) + 4) * self.u * (1 + carried)), self.u)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def recurrent(arithmetic, kind, options, weights, row, mask):
    cell = oracle.CELLS["gru_before" if options.get("reset_after") is False else CELLS[kind]]
    act, rec = arithmetic.activation("tanh"), arithmetic.activation("sigmoid")
    zero = arithmetic.array(np.zeros(len(weights[1])))
    held, states, outputs = zero, [zero] * cell.states, []
    times = range(len(row))
    for t in reversed(times) if options.get("go_backwards") else times:
        if mask is None or mask[t]:
            held, states = cell.step(weights, row[t], states, act, rec, arithmetic.total)
        skipped = options.get("zero_output_for_mask") and mask is not None and not mask[t]
        outputs.append(zero if skipped else held)
    return (outputs, mask) if options.get("return_sequences") else (outputs[-1], None)


def bidirectional(arithmetic, inner, weights, row, mask):
    kind, options = inner
    options = options | {"zero_output_for_mask": options.get("return_sequences", False)}
    half = len(weights) // 2
    forward, after = recurrent(arithmetic, kind, options, weights[:half], row, mask)
    options["go_backwards"] = True
    backward, _ = recurrent(arithmetic, kind, options, weights[half:], row, mask)
    if not options.get("return_sequences"):
        return arithmetic.concatenate([forward, backward]), None
    pairs = zip(forward, reversed(backward), strict=True)
    return [arithmetic.concatenate(pair) for pair in pairs], after


def dense(arithmetic, options, weights, row, mask):
    kernel, bias = weights
    act = arithmetic.activation(options.get("activation"))
    if isinstance(row, list):
        return [act(arithmetic.total(bias, (vector, kernel))) for vector in row], mask
    return act(arithmetic.total(bias, (row, kernel))), mask


def temporal_softmax(arithmetic, row, mask):
    valid = [vector for vector, used in zip(row, mask, strict=True) if used]
    quotients = iter(softmaxes(arithmetic, valid))
    zero = arithmetic.array(np.zeros(1))
    return [next(quotients) if used else zero for used in mask], mask


def softmaxes(arithmetic, vectors):
    """One softmax over vectors of one number each."""
    result = arithmetic.activation("softmax")(arithmetic.concatenate(vectors))
    if isinstance(result, Bounded):
        pairs = zip(result.value, result.error, strict=True)
        return [Bounded(np.array([value]), np.array([error]), result.u) for value, error in pairs]
    return [result[k : k + 1] for k in range(len(result))]


def layer(arithmetic, kind, arguments, weights, row, mask):
    """One layer on one row: what it returns, and its mask."""
    if kind == "Embedding":
        flags = [i != 0 for i in row] if arguments.get("mask_zero") else None
        return [arithmetic.array(weights[0][i]) for i in row], flags
    if kind == "Masking":
        used = [bool((vector != np.float32(arguments["mask_value"])).any()) for vector in row]
        return [arithmetic.array(x if keep else 0 * x) for x, keep in zip(row, used, strict=True)], used
    if kind == "TimeDistributed":
        return layer(arithmetic, *arguments, weights, row, mask)
    if kind == "Dense":
        return dense(arithmetic, arguments, weights, row, mask)
    if kind == "Bidirectional":
        return bidirectional(arithmetic, arguments, weights, row, mask)
    if kind == "TemporalSoftmax":
        return temporal_softmax(arithmetic, row, mask)
    return recurrent(arithmetic, kind, arguments, weights, row, mask)


RECURRENT = dict.fromkeys(CELLS, 3)
COUNTS = RECURRENT | {"Embedding": 1, "Dense": 2, "TimeDistributed": 2, "Bidirectional": 6}


def run(name, x, weights, arithmetic):
    """The outputs of a model of MODELS as one array; `WithBounds` the bounds of their errors."""
    layers = MODELS[name][1]
    if isinstance(arithmetic, Plain):
        weights = [arithmetic.array(array) for array in weights]
    outputs = []
    for row in x:
        row, mask, rest = list(row), None, list(weights)
        if layers[0][0] not in ("Embedding", "Masking"):
            row = [arithmetic.array(vector) for vector in row]
        for kind, arguments in layers:
            count = COUNTS.get(kind, 0)
            row, mask = layer(arithmetic, kind, arguments, rest[:count], row, mask)
            rest = rest[count:]
        vectors = row if isinstance(row, list) else [row]
        plain = [getattr(vector, "error", vector) for vector in vectors]
        outputs.append(plain if isinstance(row, list) else plain[0])
    return np.array(outputs)
