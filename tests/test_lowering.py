"""Products with a tanh as one quotient: which are merged, how exact they are, and that infinities, zeros and
denormal numbers come out as from the product of two functions.

Errors are in units of 2^-24 (float64: 2^-53) of the exact product. Counted: e^-x 2; the sums of either lower
part 2; the upper parts 3 (a gate's) and 4; two products and a division 3. That makes 14.
"""

import ctypes
from functools import cache

import mpmath
import numpy as np
import pytest

from numbarnn.kernels import cells, emit_cpu, equations, simd
from numbarnn.kernels.definition import TABLE
from numbarnn.kernels.lowering import lower, merge
from numbarnn.kernels.mathfn import exp, sigmoid, tanh
from numbarnn.kernels.trace import trace

EPILOGUE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 4)
UNITS = 14
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def complement(a):
    return 1.0 - sigmoid(a)


EXACT = {
    sigmoid: lambda x: 1 / (1 + mpmath.exp(-x)),
    complement: lambda x: 1 / (1 + mpmath.exp(x)),
    tanh: mpmath.tanh,
}
MERGED = [(sigmoid, tanh), (tanh, sigmoid), (complement, tanh), (tanh, complement), (tanh, tanh)]
pairs = pytest.mark.parametrize("pair", MERGED, ids=lambda pair: "-".join(one.__name__ for one in pair))


def divisions(function, names, results=("y",)):
    source = trace(function, names.split(), results)
    return [sum(node.op == "div" for node in found.nodes) for found in (merge(source), lower(source, "f4"))]


@cache
def compiled(pair, dtype):
    f, g = pair
    graph = trace(lambda a, b: f(a) * g(b), ["a", "b"], ["y"])
    lanes = simd.target().lanes(dtype)
    call = EPILOGUE(emit_cpu.epilogue(graph, ["a", "b"], np.dtype(dtype), simd.target()))

    def function(a, b):
        rows = -(-a.size // lanes)
        sums, out = np.zeros((rows, 2, lanes), dtype), np.zeros((rows, lanes), dtype)
        for k, values in enumerate((a, b)):
            padded = np.zeros(rows * lanes, dtype)
            padded[: values.size] = values.ravel()
            sums[:, k] = padded.reshape(rows, lanes)
        operand = np.array([out.ctypes.data, out.strides[0]], np.int64)
        call(sums.ctypes.data, operand.ctypes.data, 0, rows, 0, 1)
        return out.ravel()[: a.size].reshape(a.shape)

    return function


def exactly(pair, a, b):
    f, g = (EXACT[one] for one in pair)
    with mpmath.workdps(60):
        values = [f(mpmath.mpf(x)) * g(mpmath.mpf(y)) for x, y in zip(a.tolist(), b.tolist(), strict=True)]
    return values


@pytest.mark.parametrize(
    ("phase", "count"),
    [("lstm", 3), ("gru", 3), ("tf1_lstm", 3), ("simple_rnn", 1)],
)
def test_divisions_of_the_cells(phase, count):
    """Forget gate, input gate with candidate, output gate with state; update and reset gate, candidate."""
    [graph] = TABLE[phase].graphs(TABLE[phase].options)
    assert sum(node.op == "div" for node in lower(graph, "f4").nodes) == count


def test_what_is_merged():
    """A product, where one factor at least is used nowhere else."""
    assert divisions(lambda a, b: sigmoid(a) * tanh(b), "a b") == [1, 1]
    assert divisions(lambda a, b: (sigmoid(a) * tanh(b), tanh(b)), "a b", ("y", "z")) == [1, 2]
    assert divisions(lambda a, b: (sigmoid(a) * tanh(b), sigmoid(a)), "a b", ("y", "z")) == [2, 2]
    assert divisions(lambda a, b: (sigmoid(a) * tanh(b), sigmoid(a), tanh(b)), "a b", tuple("xyz")) == [0, 2]
    assert divisions(lambda a: tanh(a) * tanh(a), "a") == [0, 1]
    assert divisions(lambda a, b: sigmoid(a) * sigmoid(b), "a b") == [0, 2]
    assert divisions(lambda a, b: (2.0 - sigmoid(a)) * tanh(b), "a b") == [0, 2]
    assert divisions(lambda a, b: exp(a) * tanh(b), "a b") == [0, 1]


def test_a_merged_graph_is_another_with_the_same_inputs():
    source = trace(equations.lstm, cells.LSTM.phases[0].parameters, ("h", "c"))
    assert merge(source).inputs == source.inputs and merge(source).key != source.key


@dtypes
@pairs
def test_error(pair, dtype):
    rng = np.random.default_rng(len(pair[0].__name__))
    limit = 80.0 if dtype == np.float32 else 700.0
    sign, size = rng.choice([-1.0, 1.0], (2, 4000)), 2.0 ** rng.uniform(-30, np.log2(limit), (2, 4000))
    values = np.concatenate([sign * size, rng.uniform(-8, 8, (2, 4000))], axis=1)
    a, b = values.astype(dtype)
    got, exact = compiled(pair, dtype)(a, b), exactly(pair, a, b)
    tiny, unit = float(np.finfo(dtype).tiny), np.finfo(dtype).eps / 2
    errors = [
        float(abs(mpmath.mpf(y) - e) / (abs(e) * unit))
        for y, e in zip(got.tolist(), exact, strict=True)
        if abs(e) > tiny
    ]
    assert len(errors) > 3000
    print(f"{max(errors):.2f} units")
    assert max(errors) <= UNITS


@dtypes
@pairs
def test_extremes(pair, dtype):
    """As the exact product: 0 where a gate is below every number, signs, NaN only from NaN, never beyond 1;
    what is denormal within two of the least numbers.
    """
    extremes = [0.0, -0.0, 1e-40, -3e-39, 1.0, -1.0, 25.0, -25.0, 87.5, -87.5, 103.0, -103.0, 1e30, -1e30]
    extremes += [700.0, -700.0, 745.0, -745.0, np.inf, -np.inf, np.nan]
    a, b = (grid.ravel().astype(dtype) for grid in np.meshgrid(extremes, extremes))
    with np.errstate(all="ignore"):
        got = compiled(pair, dtype)(a, b)
    exact = exactly(pair, a, b)
    least, unit = float(np.finfo(dtype).smallest_subnormal), np.finfo(dtype).eps / 2
    for x, y, value, wanted in zip(a, b, got, exact, strict=True):
        if np.isnan(x) or np.isnan(y):
            assert np.isnan(value)
            continue
        assert abs(value) <= 1
        assert abs(float(value - wanted)) <= UNITS * unit * float(abs(wanted)) + 2 * least, (x, y, value)
        if tanh in pair and wanted == 0:
            negative = [np.signbit(v) for f, v in zip(pair, (x, y), strict=True) if f is tanh]
            assert np.signbit(value) == (sum(negative) % 2 == 1), (x, y, value)
