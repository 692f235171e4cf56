"""Tracing: what a graph computes, what names it, its derivative, and the messages for what no cell may do.

Derivatives are checked by central differences in 60 digits. With steps of 1e-20 these are off by about 1e-40
times the third derivative, and as much again for rounding: 1e-30 leaves ten digits for the third derivative.
"""

import math
import operator
from itertools import product

import mpmath
import numpy as np
import pytest

from numbarnn.kernels import cells, equations
from numbarnn.kernels.lowering import lower
from numbarnn.kernels.mathfn import FUNCTIONS, relu, sigmoid, tanh
from numbarnn.kernels.trace import CONDITIONS, PRIMITIVES, apply, evaluate, trace, vjp, where

PHASES = {phase.function.__name__: phase for cell in cells.BUILT_IN for phase in cell.phases}
SHIFT = 1.5 * 2.0**52
STEP, TOLERANCE = mpmath.mpf(10) ** -20, mpmath.mpf(10) ** -30
EXACT = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": operator.truediv,
    "neg": operator.neg, "abs": abs,
    "fma": lambda a, b, c: a * b + c, "rint": mpmath.nint, "pow2": lambda t: mpmath.mpf(2) ** (t - SHIFT),
    "exponent": lambda a: mpmath.mpf(mpmath.frexp(a)[1]),
    "copysign": lambda a, b: abs(a) if b >= 0 else -abs(a),
    "lt": operator.lt, "le": operator.le,
    "and": lambda a, b: a and b, "or": lambda a, b: a or b, "not": operator.not_,
    "select": lambda condition, a, b: a if condition else b,
    "exp": mpmath.exp, "expm1": mpmath.expm1, "log1p": lambda x: mpmath.log(abs(1 + x)),
    # with the factor that their derivatives have, a float64
    "erf": lambda x: mpmath.erf(x) * (2.0 / math.sqrt(math.pi)) / (2 / mpmath.sqrt(mpmath.pi)),
    "normal_cdf": lambda x: mpmath.ncdf(x) * (1.0 / math.sqrt(2.0 * math.pi)) * mpmath.sqrt(2 * mpmath.pi),
    "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "tanh": mpmath.tanh,
    "relu": lambda x: max(x, mpmath.mpf(0)), "linear": lambda x: x,
}


def leaky(a, b, c):
    """Two results, a power, both kinds of comparison, constants on either side."""
    kept = where((a < 0.25) & ~(b >= c), 0.1 * a, a - 2) / 3.0
    return kept * relu(b) ** 2, abs(kept) + 1 - -c


def pieces(rng):
    """A function of three values that uses every operation there is, in random order on random arguments."""
    order = rng.permutation([name for name in EXACT if name not in {"select", *CONDITIONS}] * 2)
    picks = rng.integers(0, 1 << 30, (len(order), 3))
    comparisons = rng.permutation(["lt", "le"])

    def function(*inputs):
        values = list(inputs)
        for op, pick in zip(order, picks, strict=True):
            a, b, c = (values[k % len(values)] for k in pick)
            small = tanh(a)  # keeps products, quotients and exponentials of earlier results in bounds
            match op:
                case "add" | "sub" | "copysign":
                    value = apply(op, a, b)
                case "mul":
                    value = small * b
                case "div":
                    value = b / (small + 1.5)
                case "fma":
                    value = apply(op, small, b, c)
                case "exp" | "expm1" | "log1p":
                    value = apply(op, 0.5 * small)
                case "pow2":
                    value = apply(op, apply("rint", small + small) + SHIFT) * b
                case _:
                    value = apply(op, a)
            less, least = (apply(name, left, 0.5 * c) for name, left in zip(comparisons, (a, b), strict=True))
            values.append(where(~less | (least & (c < a)), value, value + small))
        weights = np.linspace(-1.0, 1.3, len(values)).tolist()
        return sum(w * v for w, v in zip(weights, values, strict=True)), values[-1] * weights[0]

    return function


def exactly(source, values):
    """The outputs of a graph in multiple precision."""
    inputs = dict(zip(source.inputs, values, strict=True))
    return source.interpret(inputs, mpmath.mpf, lambda op, *arguments: EXACT[op](*arguments))


def check_adjoint(source, rng):
    """<d, J u> by differences along u equals <J^T d, u> from the derivative's graph."""
    point, along = (list(map(mpmath.mpf, rng.normal(size=len(source.inputs)))) for _ in range(2))
    cotangents = list(map(mpmath.mpf, rng.normal(size=len(source.outputs))))
    with mpmath.workdps(60):
        steps = [[x + step * u for x, u in zip(point, along, strict=True)] for step in (STEP, -STEP)]
        after, before = (exactly(source, step) for step in steps)
        differences = [(a - b) / (2 * STEP) for a, b in zip(after, before, strict=True)]
        expected = mpmath.fdot(cotangents, differences)
        got = mpmath.fdot(exactly(vjp(source), point + cotangents), along)
        assert abs(got - expected) <= TOLERANCE, f"{got} instead of {expected}"


def traced(function, names="a", results="y", **options):
    return trace(function, names.split(), results.split(), options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", [*PHASES, "leaky"])
def test_a_graph_computes_what_its_function_does(name, dtype):
    """The same bits and dtype as the function called on arrays, scalars included."""
    function, names, results = leaky, ("a", "b", "c"), ("h", "m")
    if name in PHASES:
        function, names, results = PHASES[name].function, PHASES[name].parameters, PHASES[name].results
    source = trace(function, names, results)
    for shape in ((5, 7), ()):
        arrays = [np.asarray(a, dtype) for a in np.random.default_rng(1).normal(size=(len(names), *shape))]
        expected = function(*arrays)
        got = evaluate(source, dict(zip(names, arrays, strict=True)), dtype)
        assert len(got) == len(results)
        for g, e in zip(got, expected if isinstance(expected, tuple) else (expected,), strict=True):
            assert np.asarray(g).dtype == dtype
            np.testing.assert_array_equal(g, e)


def test_every_operation_is_covered_here():
    """The oracle knows all primitives and functions, and a random program uses them all."""
    assert EXACT.keys() == PRIMITIVES.keys() | FUNCTIONS.keys()
    used = {node.op for node in traced(pieces(np.random.default_rng(0)), "a b c", "y z").nodes}
    assert used - {"input", "const"} == EXACT.keys()


@pytest.mark.parametrize(("name", "activation", "recurrent_activation"), [
    (name, *chosen) for name in PHASES for chosen in product(FUNCTIONS, repeat=2)
    if "recurrent_activation" in PHASES[name].options or chosen[1] == "sigmoid"
    if "activation" in PHASES[name].options or chosen[0] == "tanh"
])
def test_derivatives_of_the_equations(name, activation, recurrent_activation):
    """Each cell with each activation."""
    phase = PHASES[name]
    chosen = {"activation": FUNCTIONS[activation], "recurrent_activation": FUNCTIONS[recurrent_activation]}
    options = {key: chosen[key] for key in phase.options if key in chosen}
    rng = np.random.default_rng(2)
    for _ in range(3):
        check_adjoint(trace(phase.function, phase.parameters, phase.results, options), rng)


@pytest.mark.parametrize("seed", range(30))
def test_derivatives_of_random_programs(seed):
    """All operations, composed at random."""
    rng = np.random.default_rng(seed)
    check_adjoint(traced(pieces(rng), "a b c", "y z"), rng)


@pytest.mark.parametrize(("function", "at", "expected"), [
    (relu, [-2.0, -0.0, 0.0, 3.0], [0.0, 0.0, 0.0, 1.0]),
    (abs, [-2.0, -0.0, 0.0, 3.0], [-1.0, 1.0, 1.0, 1.0]),
    (lambda a: where(a <= 0.0, 2.0 * a, 5.0 * a), [-1.0, 0.0, 1.0], [2.0, 2.0, 5.0]),
    (lambda a: where(a <= 0.0, 7.0, a), [-1.0, 0.0, 1.0], [0.0, 0.0, 1.0]),
    (lambda a: apply("copysign", a, -1.0), [-2.0, 3.0], [1.0, -1.0]),
    (lambda a: apply("copysign", 2.0, a), [-2.0, 3.0], [0.0, 0.0]),
    (lambda a: apply("rint", a), [0.3, 1.7], [0.0, 0.0]),
    (lambda a: a**8, [-1.0, 2.0], [-8.0, 1024.0]),
    (lambda a: 3.0, [1.0], [0.0]),
])
def test_derivatives_at_kinks(function, at, expected):
    """Each side of a kink, and the side that the kink itself belongs to."""
    got = evaluate(vjp(traced(function)), {"a": np.array(at), "d_0": np.ones(len(at))})
    np.testing.assert_array_equal(np.broadcast_to(got[0], len(at)), expected)


@pytest.mark.parametrize("a", [-1e-200, 1e-200])
def test_the_derivative_of_copysign_does_not_underflow(a):
    """The product of two small numbers has lost its sign."""
    got = evaluate(vjp(traced(lambda a, b: apply("copysign", a, b), "a b")), {"a": a, "b": -a, "d_0": 1.0})
    assert got[0] == -1.0


def test_the_side_not_taken_gets_no_derivative():
    """Not even from an infinite cotangent, which a product with 0 would turn into NaN."""
    got = evaluate(vjp(traced(lambda a, b: where(a < b, a, b), "a b")), {"a": 1.0, "b": 2.0, "d_0": np.inf})
    assert got == [np.inf, 0.0]


def test_equal_computations_have_one_key():
    """Two closures, other source text, an integer for a float, a default named: one text, one key."""

    def written_otherwise(first):
        gate = tanh(first)
        return 2 * gate

    def closure(scale):
        return lambda a: scale * tanh(a)

    sources = [traced(f) for f in (closure(2.0), closure(np.float32(2)), written_otherwise)]
    assert len({source.text for source in sources}) == len({source.key for source in sources}) == 1
    assert len(sources[0].key) == 20 and int(sources[0].key, 16) >= 0
    named, *silent = (traced(equations.simple_rnn, **options) for options in ({"activation": tanh}, {}))
    assert silent == [named]


def test_other_computations_have_other_keys():
    """Constants down to the sign of zero and the last bit, order, activations, results, unused inputs."""
    constants = (0.0, -0.0, 0.1, float(np.float32(0.1)), math.inf, math.nan)
    sources = [traced(lambda a, c=c: a + c) for c in constants]
    sources += [traced(lambda a: 0.0 + a), traced(lambda a, b: a + 0.0, "a b")]
    sources += [traced(equations.simple_rnn, activation=function) for function in FUNCTIONS.values()]
    sources += [traced(lambda a: (a, -a), results="y z"), traced(lambda a: (-a, a), results="y z")]
    assert len({source.key for source in sources}) == len(sources)


def test_equal_lines_stand_once():
    """Common subexpressions are computed once; 0.0 and -0.0 are different constants."""
    assert [node.op for node in traced(lambda a: tanh(a) * tanh(a)).nodes] == ["input", "tanh", "mul"]
    zeros = traced(lambda a: (a + 0.0, a + -0.0), results="y z")
    positive, negative = evaluate(zeros, {"a": -0.0})
    assert math.copysign(1.0, positive) == 1.0 and math.copysign(1.0, negative) == -1.0


@pytest.mark.parametrize("constant", [np.float64(3.0), np.float32(3.0), np.int64(3), 3])
def test_numbers_of_numpy_are_constants(constant):
    """On either side of an operator."""
    left = traced(lambda a: where(constant > a, (constant * a + constant) / a - constant, 0.0))
    right = traced(lambda a: where(a < constant, (a * constant + constant) / a - constant, 0.0))
    assert evaluate(left, {"a": 2.0}) == evaluate(right, {"a": 2.0}) == [1.5]


def test_where_on_an_option_is_a_choice():
    """A condition that is no symbol picks its side when the cell is defined; on arrays `where` is NumPy's."""
    assert traced(lambda a: where(True, a, 0.0)) == traced(lambda a: a)
    assert traced(lambda a: where(False, 2.0, 3.0) * a) == traced(lambda a: 3.0 * a)
    np.testing.assert_array_equal(where(np.array([True, False]), 1.0, np.array([2.0, 3.0])), [1.0, 3.0])


SYMBOLS = "a cell's values are symbols"
CONDITION = "a condition stands where a number is expected"
LOGIC = "&, | and ~ take conditions"
MISTAKES = [
    (lambda a: 1.0 if a > 0 else 0.0, "may not branch on data: use where"),
    (lambda a: a > 0 and a < 1, "may not branch on data"),
    (lambda a: 0 < a < 1, "may not branch on data"),
    (lambda a: max(a, 0.0), "may not branch on data"),
    (lambda a: float(a), SYMBOLS),
    (lambda a: int(a), SYMBOLS),
    (lambda a: complex(a), SYMBOLS),
    (lambda a: [1.0, 2.0][a], SYMBOLS),
    (lambda a: math.tanh(a), SYMBOLS),
    (lambda a: np.tanh(a), "numpy.tanh cannot take them; use the functions of numbarnn.math"),
    (lambda a: np.maximum(a, 0.0), "numpy.maximum cannot take them"),
    (lambda a: np.where(a > 0, a, 0.0), SYMBOLS),
    (lambda a: np.dot(a, a), SYMBOLS),
    (lambda a: np.array([1.0, 2.0]) * a, SYMBOLS),
    (lambda a: a == 1.0, "may not compare for equality"),
    (lambda a: a != 1.0, "may not compare for equality"),
    (lambda a: a**0.5, r"exponent = 0\.5"),
    (lambda a: a**0, "exponent = 0; a cell may raise to whole powers 1 to 8"),
    (lambda a: a**9, "exponent = 9"),
    (lambda a: (a > 0) + 1, CONDITION),
    (lambda a: -(a > 0), CONDITION),
    (lambda a: tanh(a > 0), CONDITION),
    (lambda a: (a > 0) < (a > 1), CONDITION),
    (lambda a: where(a, 1.0, 0.0), "where: the first argument is a number"),
    (lambda a: where(a > 0, a > 1, 0.0), "where: a and b are to be numbers"),
    (lambda a: a & a, LOGIC),
    (lambda a: (a > 0) & True, LOGIC),
    (lambda a: ~a, LOGIC),
    (lambda a: a > 0, "<lambda> returns a condition; expected numbers"),
    (lambda a: None, "None of type NoneType inside a cell"),
    (lambda a: a + True, "True of type bool inside a cell"),
    (lambda a: sigmoid(a) * 1j, "1j of type complex inside a cell"),
    (lambda a: a + np.ones(2), "of type ndarray inside a cell"),
]


@pytest.mark.parametrize(("function", "message"), MISTAKES)
def test_mistakes_are_named(function, message):
    """Every mistake is a TypeError that says what to do."""
    with pytest.raises(TypeError, match=message):
        traced(function)


def test_the_number_of_results_is_checked():
    """The message has both numbers and the names."""
    with pytest.raises(ValueError, match=r"lstm returns 2 value\(s\); expected 3: h, c, n"):
        trace(equations.lstm, PHASES["lstm"].parameters, ["h", "c", "n"])


def test_deep_graphs_need_no_recursion():
    """Ten thousand operations one on another: traced, named, evaluated, differentiated, lowered."""

    def deep(a):
        for _ in range(5_000):
            a = 0.5 * a + 1.0
        return a

    source = traced(deep)
    assert len(source.nodes) == 10_003
    assert evaluate(source, {"a": 5.0}) == [2.0]
    assert source.key == lower(source, np.float32).key
    assert evaluate(vjp(traced(lambda a: deep(a) - a)), {"a": 1.0, "d_0": 4.0}) == [-4.0]
