"""A plain scalar function, run once on symbols, becomes a straight-line expression graph.

From the graph come the vector code, the device function, the derivative and the cache key; called on floats
or arrays, the same function is the reference. Errors in the definition of a cell are worded here.
"""

import hashlib
import operator
from functools import partial
from typing import NamedTuple

import numpy as np

REAL, CONDITION = "real", "condition"


def _pow2(shifted):
    """In the dtype given, from float64, since NumPy's float32 exp2 may be wrong even for a whole number."""
    dtype = np.asarray(shifted).dtype
    k = np.subtract(shifted, 1.5 * 2.0 ** np.finfo(dtype).nmant, dtype=np.float64)
    return np.exp2(k).astype(dtype)


def _exponent(a):
    """In the dtype given, where NumPy gives integers."""
    return np.asarray(np.frexp(a)[1], np.asarray(a).dtype)[()]


# What every emitter must know; the functions of `mathfn` are lowered to these. NumPy's meaning is the
# reference.
PRIMITIVES = {
    "add": operator.add,
    "sub": operator.sub,
    "mul": operator.mul,
    "div": operator.truediv,
    "neg": operator.neg,
    "abs": np.abs,
    "fma": lambda a, b, c: a * b + c,
    "rint": np.rint,
    "pow2": _pow2,  # 2**k of k + 1.5 * 2**(bits of the mantissa), k within the exponents of normal numbers
    "exponent": _exponent,  # the whole k with 2**(k - 1) <= a < 2**k, for a normal a > 0
    "copysign": np.copysign,
    "lt": operator.lt,
    "le": operator.le,
    "and": np.logical_and,
    "or": np.logical_or,
    "not": np.logical_not,
    "select": np.where,
}
CONDITIONS = {"lt", "le", "and", "or", "not"}


# What NumPy calls the operators when one of its scalars stands on their left.
OPERATORS = {
    "add": operator.add,
    "subtract": operator.sub,
    "multiply": operator.mul,
    "divide": operator.truediv,
    "less": operator.lt,
    "less_equal": operator.le,
    "greater": operator.gt,
    "greater_equal": operator.ge,
}


class Expr:
    """One value of the graph: an operation on earlier values, a named input or a constant."""

    __slots__ = ("arguments", "kind", "op", "value")

    def __init__(self, op, *arguments, value=None):
        self.op, self.arguments, self.value = op, arguments, value
        self.kind = CONDITION if op in CONDITIONS else REAL

    def __bool__(self):
        raise TypeError("a cell may not branch on data: use where(condition, a, b) from numbarnn.math")

    def _not_a_number(self, *_, **__):
        raise TypeError(
            "a cell's values are symbols: use the functions of numbarnn.math, not those of math or of "
            "another library"
        )

    __float__ = __int__ = __complex__ = __index__ = __array__ = _not_a_number

    def __array_ufunc__(self, ufunc, method, *arguments, **__):
        scalar = all(getattr(argument, "ndim", 0) == 0 for argument in arguments)
        if method == "__call__" and ufunc.__name__ in OPERATORS and scalar:
            plain = (a.item() if isinstance(a, (np.generic, np.ndarray)) else a for a in arguments)
            return OPERATORS[ufunc.__name__](*plain)
        raise TypeError(
            f"a cell's values are symbols: numpy.{ufunc.__name__} cannot take them; use the functions of "
            "numbarnn.math"
        )

    def __pow__(self, exponent):
        if not isinstance(exponent, int) or not 1 <= exponent <= 8:
            raise TypeError(
                f"exponent = {exponent!r}; a cell may raise to whole powers 1 to 8; use exp otherwise"
            )
        return self if exponent == 1 else self * self ** (exponent - 1)

    def _no_such_operator(self, *_, **__):
        raise TypeError(
            "a cell's values know + - * /, abs, whole powers and comparisons, no other operators: use the "
            "functions of numbarnn.math"
        )

    __rpow__ = __mod__ = __rmod__ = __floordiv__ = __rfloordiv__ = _no_such_operator
    __matmul__ = __rmatmul__ = __divmod__ = __rdivmod__ = _no_such_operator
    __round__ = __floor__ = __ceil__ = __trunc__ = _no_such_operator
    __iter__ = __len__ = __getitem__ = _no_such_operator

    def __eq__(self, other):
        raise TypeError(
            "a cell may not compare for equality: use <, <=, > or >= inside where(condition, a, b)"
        )

    __ne__ = __eq__
    __hash__ = object.__hash__

    def __abs__(self):
        return apply("abs", self)

    def __neg__(self):
        return apply("neg", self)

    def __pos__(self):
        return self

    def __and__(self, other):
        return _logic("and", self, other)

    def __or__(self, other):
        return _logic("or", self, other)

    def __invert__(self):
        return _logic("not", self)


def lift(value):
    """`value` as an expression: itself, or a constant that takes the working dtype when it is emitted."""
    if isinstance(value, Expr):
        return value
    if isinstance(value, (bool, np.bool_)) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(
            f"{value!r} of type {type(value).__name__} inside a cell; expected a number or one of the "
            "cell's values"
        )
    return Expr("const", value=float(value))


def apply(op, *arguments):
    """The expression `op(*arguments)` of real values, constants among them lifted."""
    lifted = [lift(argument) for argument in arguments]
    if any(argument.kind is CONDITION for argument in lifted):
        raise TypeError("a condition stands where a number is expected: use where(condition, a, b)")
    return Expr(op, *lifted)


def _logic(op, *arguments):
    if not all(isinstance(argument, Expr) and argument.kind is CONDITION for argument in arguments):
        raise TypeError("&, | and ~ take conditions such as a < b inside a cell")
    return Expr(op, *arguments)


def where(condition, a, b):
    """`a` where `condition` holds, else `b`; the only branch a cell may take. Both sides are computed."""
    if not isinstance(condition, Expr):
        if isinstance(a, Expr) or isinstance(b, Expr):
            return lift(a) if condition else lift(b)
        return np.where(condition, a, b)[()]
    if condition.kind is not CONDITION:
        raise TypeError("where: the first argument is a number; expected a condition such as a < b")
    a, b = lift(a), lift(b)
    if CONDITION in (a.kind, b.kind):
        raise TypeError("where: a and b are to be numbers, not conditions")
    return Expr("select", condition, a, b)


def _operators():
    for name, op in (("add", "add"), ("sub", "sub"), ("mul", "mul"), ("truediv", "div")):
        setattr(Expr, f"__{name}__", lambda a, b, op=op: apply(op, a, b))
        setattr(Expr, f"__r{name}__", lambda a, b, op=op: apply(op, b, a))
    for name, op in (("lt", "lt"), ("le", "le")):
        setattr(Expr, f"__{name}__", lambda a, b, op=op: apply(op, a, b))
    for name, op in (("gt", "lt"), ("ge", "le")):
        setattr(Expr, f"__{name}__", lambda a, b, op=op: apply(op, b, a))


_operators()


class Node(NamedTuple):
    """One line of a graph: `op` of earlier lines; `value` is an input's name or a constant."""

    op: str
    arguments: tuple
    value: object


class Graph(NamedTuple):
    """Expressions as numbered lines, equal ones once, in an order that computes each before its use."""

    inputs: tuple  # names, in the order of the function's parameters, whether used or not
    nodes: tuple
    outputs: tuple  # line numbers

    @property
    def text(self):
        lines = (
            f"{node.op}({','.join(map(str, node.arguments))}){'' if node.value is None else repr(node.value)}"
            for node in self.nodes
        )
        return f"{','.join(self.inputs)}:{';'.join(lines)}->{','.join(map(str, self.outputs))}"

    @property
    def key(self):
        """Twenty hexadecimal digits that name what is computed, whatever source text it came from."""
        return hashlib.sha256(self.text.encode()).hexdigest()[:20]

    def interpret(self, inputs, constant, primitive):
        """Walk the lines once: `inputs` maps names to values, `constant(float)` and `primitive(op, *values)`
        make the others.

        Emitters, evaluation and rewriting are all this walk with other makers. Returns the list of outputs.
        """
        values = []
        for op, arguments, value in self.nodes:
            if op == "input":
                values.append(inputs[value])
            elif op == "const":
                values.append(constant(value))
            else:
                values.append(primitive(op, *(values[i] for i in arguments)))
        return [values[i] for i in self.outputs]


def graph(inputs, outputs):
    """Number the expressions below `outputs`; a walk with its own stack, since a cell may be deeper than
    Python's recursion.
    """
    lines, number, known = [], {}, {}
    stack = list(reversed(outputs))
    while stack:
        expr = stack[-1]
        waiting = [argument for argument in expr.arguments if id(argument) not in number]
        if id(expr) not in number and waiting:
            stack.extend(reversed(waiting))
            continue
        stack.pop()
        if id(expr) not in number:
            node = Node(expr.op, tuple(number[id(argument)] for argument in expr.arguments), expr.value)
            key = (*node, repr(node.value))  # repr tells 0.0 from -0.0
            if key not in known:
                known[key] = len(lines)
                lines.append(node)
            number[id(expr)] = known[key]
    return Graph(tuple(inputs), tuple(lines), tuple(number[id(output)] for output in outputs))


def trace(function, names, results, options=None):
    """Run `function` once on symbols.

    Parameters
    ----------
    function : callable
        Takes the values called `names` by position and `options` by keyword.
    names : sequence of str
        Its parameters.
    results : sequence of str
        What it returns, for the count and for messages.

    Returns
    -------
    Graph

    Raises
    ------
    TypeError
        A branch on data, a function of another library, a result that is no number.
    ValueError
        Another number of results than `results`.
    """
    returned = partial(function, **(options or {}))(*(Expr("input", value=name) for name in names))
    returned = tuple(returned) if isinstance(returned, (tuple, list)) else (returned,)
    if len(returned) != len(results):
        raise ValueError(
            f"{_name(function)} returns {len(returned)} value(s); expected {len(results)}: "
            f"{', '.join(results)}"
        )
    outputs = [lift(value) for value in returned]
    if any(output.kind is CONDITION for output in outputs):
        raise TypeError(
            f"{_name(function)} returns a condition; expected numbers: use where(condition, a, b)"
        )
    return graph(names, outputs)


def _name(function):
    return getattr(function, "__name__", repr(function))


def expressions(source):
    """The inputs of `source` and all its lines as expressions again, so that a rewrite can build on them."""
    inputs = {name: Expr("input", value=name) for name in source.inputs}
    lines = []
    for op, arguments, value in source.nodes:
        lines.append(
            inputs[value] if op == "input" else Expr(op, *(lines[i] for i in arguments), value=value)
        )
    return inputs, lines


def evaluate(source, inputs, dtype=np.float64):
    """The outputs for arrays or floats `inputs` (name -> value), computed line by line in `dtype` by
    NumPy.
    """
    from .mathfn import FUNCTIONS

    def primitive(op, *values):
        return FUNCTIONS[op].reference(*values) if op in FUNCTIONS else PRIMITIVES[op](*values)

    return source.interpret(inputs, np.dtype(dtype).type, primitive)


def vjp(source):
    """Reverse mode: the graph of the derivatives.

    Returns
    -------
    Graph
        Inputs: those of `source`, then one ``d_<k>`` per output k (its cotangent). Outputs: one cotangent per
        input of `source`.
    """
    _, lines = expressions(source)
    cotangents = [None] * len(lines)
    seeds = [f"d_{k}" for k in range(len(source.outputs))]

    def add(line, cotangent):
        cotangents[line] = cotangent if cotangents[line] is None else cotangents[line] + cotangent

    for seed, line in zip(seeds, source.outputs, strict=True):
        add(line, Expr("input", value=seed))
    for line in reversed(range(len(lines))):
        node, cotangent = source.nodes[line], cotangents[line]
        if cotangent is None or node.op in ("input", "const"):
            continue
        for argument, part in zip(node.arguments, _pull(lines[line], cotangent), strict=True):
            if part is not None:
                add(argument, part)
    place = {node.value: line for line, node in enumerate(source.nodes) if node.op == "input"}
    found = [cotangents[place[name]] if name in place else None for name in source.inputs]
    return graph([*source.inputs, *seeds], [lift(0.0) if part is None else part for part in found])


def _pull(y, d):
    """Cotangents of the arguments of `y`, given its own, `d`; None where there is none (conditions, whole
    numbers).
    """
    from .mathfn import FUNCTIONS

    a, b, *_ = (*y.arguments, None, None)
    if y.op in FUNCTIONS:
        return (d * FUNCTIONS[y.op].derivative(a, y),)
    match y.op:
        case "add":
            return d, d
        case "sub":
            return d, -d
        case "mul":
            return d * b, d * a
        case "div":
            return d / b, -(d * y / b)
        case "fma":
            return d * b, d * a, d
        case "neg":
            return (-d,)
        case "abs":
            return (where(a < 0.0, -d, d),)
        case "copysign":
            return where((a < 0.0) & (y > 0.0) | (a > 0.0) & (y < 0.0), -d, d), None
        case "select":
            return None, where(a, d, 0.0), where(a, 0.0, d)
    return (None,) * len(y.arguments)
