"""From the functions of a cell's graph to primitives, in one dtype: each function becomes its polynomial, a
product of two of them one quotient.

With e = e^-|x|, sigmoid(x) is 1 / (1 + e) or, below 0, e / (1 + e), 1 - sigmoid(x) the other of the two, and
tanh(x), but for the sign, (1 - e^2) / (1 + e^2): quotients of an *upper* and a *lower* part. The product of
one of them and a tanh is (a / (b d)) c: one division for two, and the tanh needs no polynomial of its own
near 0, where its quotient is exact enough. For 16 units of a row the LSTM's equations take 23 ns so, not 30.

It has the range of the product of two functions; NaN stays NaN, and where a gate is below the least number,
the product is 0.
"""

from collections import Counter

import numpy as np

from .mathfn import FUNCTIONS, falling, fma
from .polynomials import REALS
from .trace import Expr, apply, expressions, graph, where


def _scaled(x, real):
    """2^n and p of e^-|x|, scaled up: e^-|x| may be below the least number."""
    return falling(x, real.exp_low, real, real.exp, real.scale)


def _gate_upper(x, real, from_0):
    """Of sigmoid(x) where `from_0`, else of 1 - sigmoid(x)."""
    power, p = _scaled(x, real)
    falls = fma(power, p, power)
    return where(x < 0.0, *((falls, real.scale) if from_0 else (real.scale, falls)))


def _gate_lower(x, real):
    power, p = _scaled(x, real)
    return fma(power, p, power + real.scale)


def _below_0(x, real):
    """e^-2|x| - 1."""
    power, p = falling(x + x, real.one_low, real, real.expm1)
    return fma(power, p, power - 1.0)


PARTS = {
    "sigmoid_upper": lambda x, real: _gate_upper(x, real, True),
    "sigmoid_lower": _gate_lower,
    "complement_upper": lambda x, real: _gate_upper(x, real, False),
    "complement_lower": _gate_lower,
    "tanh_upper": lambda x, real: apply("copysign", _below_0(x, real), x),
    "tanh_lower": lambda x, real: _below_0(x, real) + 2.0,
}


def lower(source, dtype):
    """`source` with its functions replaced by their polynomials for `dtype`: primitives only."""
    real = REALS[np.dtype(dtype)]
    merged = merge(source)
    inputs, _ = expressions(merged)

    def primitive(op, *values):
        if op in PARTS:
            return PARTS[op](*values, real)
        return FUNCTIONS[op].lower(*values, real) if op in FUNCTIONS else Expr(op, *values)

    return graph(merged.inputs, merged.interpret(inputs, lambda value: Expr("const", value=value), primitive))


def merge(source):
    """`source` with products of a quotient and a tanh as one quotient, where one of the two at least is used
    nowhere else: the number of divisions never grows.
    """
    uses = Counter(argument for node in source.nodes for argument in node.arguments)
    uses.update(source.outputs)
    found = {}
    for line, node in enumerate(source.nodes):
        factors = [_quotient(source, argument) for argument in node.arguments]
        if node.op == "mul" and None not in factors and "tanh" in [kind for kind, _ in factors]:
            if min(uses[argument] for argument in node.arguments) == 1:
                found[line] = sorted(factors)  # a tanh comes last
    divided = {of for factors in found.values() for kind, of in factors if kind != "tanh"}
    inputs, lines = {name: Expr("input", value=name) for name in source.inputs}, []
    for line, (op, arguments, value) in enumerate(source.nodes):
        if line in found:
            (a, b), (c, d) = (_parts(kind, lines[of]) for kind, of in found[line])
            lines.append(a / (b * d) * c)  # in this order, since c may be as small as numbers get
        elif op == "sigmoid" and arguments[0] in divided:  # its parts are there already
            upper, lower = _parts(op, lines[arguments[0]])
            lines.append(upper / lower)
        elif op == "input":
            lines.append(inputs[value])
        else:
            lines.append(Expr(op, *(lines[i] for i in arguments), value=value))
    return graph(source.inputs, [lines[output] for output in source.outputs])


def _parts(kind, x):
    return apply(f"{kind}_upper", x), apply(f"{kind}_lower", x)


def _quotient(source, line):
    """Which quotient stands in a line, and the line of its argument; None for anything else."""
    op, arguments, _ = source.nodes[line]
    if op in ("sigmoid", "tanh"):
        return op, arguments[0]
    if op == "sub" and source.nodes[arguments[0]].value == 1.0 and source.nodes[arguments[1]].op == "sigmoid":
        return "complement", source.nodes[arguments[1]].arguments[0]
    return None
