"""exp, sigmoid, tanh, relu and linear as compiled vector code: accuracy, range, symmetry, special values.

Bounds are in units in the last place.
"""

import ctypes
from functools import cache

import mpmath
import numpy as np
import pytest

from numbarnn.kernels import emit_cpu, simd
from numbarnn.kernels.lowering import lower
from numbarnn.kernels.mathfn import FUNCTIONS
from numbarnn.kernels.trace import evaluate, trace

# float64 by counting roundings. exp: half a unit for the last sum, a quarter for e^r - 1, which is below 1/2,
# a quarter for r. The quotients: one for e^x or e^2x - 1, half for the sum, each up to twice as much in units
# of the result; half for the division. float32: what `prove` finds, rounded up.
BOUND = {
    np.float32: {"exp": 1.0, "sigmoid": 2.5, "tanh": 2.5, "relu": 0.0, "linear": 0.0},
    np.float64: {"exp": 1.0, "sigmoid": 3.5, "tanh": 3.5, "relu": 0.0, "linear": 0.0},
}
INF = np.inf
RANGE = {"exp": (0, INF), "sigmoid": (0, 1), "tanh": (-1, 1), "relu": (0, INF), "linear": (-INF, INF)}
EXACT = {"exp": mpmath.exp, "sigmoid": lambda x: 1 / (1 + mpmath.exp(-x)), "tanh": mpmath.tanh,
         "relu": lambda x: max(x, mpmath.mpf(0)), "linear": lambda x: x}  # fmt: skip

PLAIN = simd.Target("plain", 128, 16, False)
FUSED = [simd.Target("fused", bits, 16, True) for bits in (128, 256, 512)] if simd.target().has_fma else []
EPILOGUE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 4)

# where something changes: signs, the n of the reduction, limits of the range and of the code
TURNS = {
    np.float32: [0.0, 1e-6, 0.0078, 0.0312, 0.3465736, 0.5493, 1.0397, 8.3178, 10.0, 16.635, 88.72284, 89.0,
                 -1e-6, -0.3465736, -0.6931473, -4.157294, -17.0, -87.33655, -103.2789, -103.97208, -105.0],
    np.float64: [0.0, 1e-14, 0.0313, 0.2099, 0.34657359, 0.5493, 1.0397, 18.71, 20.0, 36.04, 709.78271,
                 710.0, -1e-14, -0.34657359, -4.146472, -37.0, -708.39642, -744.4, -745.13321910194, -746.0],
}  # fmt: skip

functions = pytest.mark.parametrize("name", EXACT)
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
targets = pytest.mark.parametrize("target", [PLAIN, *FUSED], ids=lambda to: f"{to.name}{to.vector_bits}")


@cache
def compiled(name, dtype, target):
    """The function as machine code for `target`, over a whole array."""
    lanes, bits = target.lanes(dtype), f"u{np.dtype(dtype).itemsize}"
    graph = trace(FUNCTIONS[name], ["a"], ["y"])
    call = EPILOGUE(emit_cpu.epilogue(graph, ["a"], np.dtype(dtype), target))

    def function(x):
        rows = np.zeros((-(-x.size // lanes), lanes), dtype)
        rows.view(bits).flat[: x.size] = x.view(bits)  # not as numbers: that might quiet a signalling NaN
        out = np.full_like(rows, 12345.0)
        operand = np.array([out.ctypes.data, out.strides[0]], np.int64)
        call(rows.ctypes.data, operand.ctypes.data, 0, len(rows), 0, 1)
        return out.ravel()[: x.size]

    return function


@cache
def stratified(dtype):
    """2^20 values: for every sign and exponent the first and the last mantissa and random ones between."""
    width, integer = np.finfo(dtype).nmant, f"u{np.dtype(dtype).itemsize}"
    exponents = np.arange(1 << (8 * np.dtype(dtype).itemsize - width), dtype=integer)[:, None]
    shape = len(exponents), (1 << 20) // len(exponents)
    mantissas = np.random.default_rng(3).integers(0, 1 << width, shape)
    mantissas[:, 0], mantissas[:, -1] = 0, (1 << width) - 1
    return ((exponents << np.array(width, integer)) + mantissas.astype(integer)).ravel().view(dtype)


@cache
def neighbourhoods(dtype):
    """4096 consecutive values around every turn, in rising order."""
    integer = np.dtype(f"i{np.dtype(dtype).itemsize}")
    centres = np.abs(np.array(TURNS[dtype], dtype)).view(integer)[:, None]
    magnitudes = np.maximum(centres + np.arange(-2048, 2048, dtype=integer), 0).view(dtype)
    return np.sort(np.copysign(magnitudes, np.array(TURNS[dtype], dtype)[:, None]), axis=1)


@cache
def everywhere(dtype):
    return np.concatenate([stratified(dtype), neighbourhoods(dtype).ravel()])


@cache
def doubles():
    """Some thousand float64 values: the turns, all exponents, and where the functions bend."""
    rng = np.random.default_rng(4)
    exponents = np.concatenate([rng.uniform(-1074, 9.5, 1000), rng.uniform(-8, 6, 2000)])
    spread = rng.choice([-1.0, 1.0], 3000) * 2.0**exponents
    values = np.concatenate([TURNS[np.float64], spread, rng.uniform(-746, 710, 500)])
    return values[values < 709.78]


@cache
def exactly(name):
    """The function of `doubles` in 60 digits."""
    with mpmath.workdps(60):
        return [EXACT[name](mpmath.mpf(x)) for x in doubles().tolist()]


def in_double(name, x):
    """The function of float32 values, in float64: a billionth of a unit of float32 is no matter here."""
    with np.errstate(over="ignore", invalid="ignore"):
        x = x.astype(np.float64)
        if name == "sigmoid":
            e = np.exp(-np.abs(x))
            return np.where(x < 0, e, 1.0) / (1.0 + e)
        if name == "relu":
            return np.maximum(x, 0.0)
        return {"exp": np.exp, "tanh": np.tanh, "linear": np.copy}[name](x)


def unit(values, dtype):
    """The unit in the last place of each value; beyond the greatest number, that number's."""
    return np.spacing(np.minimum(np.abs(values), 2.0 ** (np.finfo(dtype).maxexp - 1)).astype(dtype))


def errors(name, x, y):
    """Errors of float32 results, in units in the last place; infinity stands for 2^128."""
    top = 2.0**128
    got, exact = (np.clip(values.astype(np.float64), -top, top) for values in (y, in_double(name, x)))
    return np.abs(got - exact) / unit(exact, np.float32)


def same(a, b):
    """Equal bits, or NaN in both."""
    bits = f"u{a.dtype.itemsize}"
    return a.dtype == b.dtype and bool(((a.view(bits) == b.view(bits)) | (np.isnan(a) & np.isnan(b))).all())


@targets
@functions
def test_float32_is_accurate_everywhere(name, target):
    """Within the bound and never out of range, on all exponents and around every turn."""
    x = everywhere(np.float32)
    x = x[~np.isnan(x)]
    y = compiled(name, np.float32, target)(x)
    error = errors(name, x, y)
    worst = error.argmax()
    print(f"{name}, float32, {target}: {error[worst]:.3f} ulp at {x[worst]!r}")
    assert error[worst] <= BOUND[np.float32][name]
    assert RANGE[name][0] <= y.min() and y.max() <= RANGE[name][1]


@targets
@functions
def test_float64_is_accurate(name, target):
    """Within the bound of the value in 60 digits, never out of range."""
    y = compiled(name, np.float64, target)(doubles())
    units = unit(np.array(exactly(name), float), np.float64)
    with mpmath.workdps(60):
        parts = zip(y.tolist(), exactly(name), units.tolist(), strict=True)
        error = np.array([abs(got - exact) / unit for got, exact, unit in parts], float)
    worst = error.argmax()
    print(f"{name}, float64, {target}: {error[worst]:.3f} ulp at {doubles()[worst]!r}")
    assert error[worst] <= BOUND[np.float64][name]
    y = compiled(name, np.float64, target)(everywhere(np.float64))
    assert RANGE[name][0] <= np.nanmin(y) and np.nanmax(y) <= RANGE[name][1]


@targets
@dtypes
def test_special_values(dtype, target):
    """Infinities, zeros with their signs, the ends of the range, the least numbers: exact bits."""
    least, normal, most = np.finfo(dtype).smallest_subnormal, np.finfo(dtype).tiny, np.finfo(dtype).max
    x = np.array([INF, -INF, most, -most, 0.0, -0.0, least, -least, normal / 4, -normal / 4, normal], dtype)
    expected = {
        "exp": [INF, 0, INF, 0, 1, 1, 1, 1, 1, 1, 1],
        "sigmoid": [1, 0, 1, 0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5],
        "tanh": [1, -1, 1, -1, *x[4:]],
        "relu": [INF, 0, most, 0, 0, 0, least, 0, normal / 4, 0, normal],
        "linear": x,
    }
    for name, values in expected.items():
        got = compiled(name, dtype, target)(x)
        assert same(got, np.array(values, dtype)), f"{name}: {got}"


@targets
@dtypes
@functions
def test_nan_stays_nan_and_nothing_else_becomes_one(name, dtype, target):
    """Quiet and signalling, of either sign, with any payload."""
    x = everywhere(dtype)
    assert (np.isnan(compiled(name, dtype, target)(x)) == np.isnan(x)).all()


@targets
@dtypes
def test_tanh_is_odd(dtype, target):
    """Bit for bit."""
    tanh = compiled("tanh", dtype, target)
    assert same(tanh(-everywhere(dtype)), -tanh(everywhere(dtype)))


@targets
@dtypes
@functions
def test_order_is_kept(name, dtype, target):
    """From one value to the next, exp never falls; the quotients fall by one unit at most."""
    x = neighbourhoods(dtype)
    y = np.minimum(compiled(name, dtype, target)(x.ravel()).reshape(x.shape), np.finfo(dtype).max)
    falls = (y[:, :-1] - y[:, 1:]) / unit(y[:, 1:], dtype)
    share = np.mean(falls > 0)
    print(f"{name}, {np.dtype(dtype)}, {target}: {share:.3%} fall, by {falls.max():.2f} ulp at most")
    assert falls.max() <= (1.0 if name in ("sigmoid", "tanh") else 0.0)


@pytest.mark.skipif(not FUSED, reason="this CPU has no fused multiply-add")
@dtypes
@functions
def test_width_changes_no_bit(name, dtype):
    """Vectors of 128, 256 and 512 bits give the same results."""
    narrow, *wider = (compiled(name, dtype, target)(everywhere(dtype)) for target in FUSED)
    assert all(same(narrow, y) for y in wider)


@dtypes
@functions
def test_the_lowered_graph_is_what_is_compiled(name, dtype):
    """Without fused operations NumPy gets the same bits from it, line by line."""
    x = everywhere(dtype)
    with np.errstate(all="ignore"):
        (expected,) = evaluate(lower(trace(FUNCTIONS[name], ["a"], ["y"]), dtype), {"a": x}, dtype)
    assert same(compiled(name, dtype, PLAIN)(x), expected)


@dtypes
@functions
def test_references(name, dtype):
    """NumPy's functions, good to 4 units, in the dtype given; a quotient may double that and adds 2."""
    x = np.array([-80.0, -4.1, -0.3, -0.0, 0.6, 11.0, 80.0], dtype)
    y = FUNCTIONS[name](x)
    exact = np.array([EXACT[name](mpmath.mpf(value)) for value in x.tolist()], float)
    assert y.dtype == np.asarray(FUNCTIONS[name](x[0])).dtype == dtype
    assert (np.abs(y - exact) <= 10 * unit(exact, dtype)).all()


@functions
def test_derivatives(name):
    """Against differences in 15 digits: at most four roundings, of values that the result or 1 bounds."""
    for x in (-3.1, -0.4, 0.2, 0.9, 2.5):
        got = FUNCTIONS[name].derivative(x, FUNCTIONS[name].reference(x))
        assert abs(got - mpmath.diff(EXACT[name], x)) <= 4 * 2.0**-52 * max(1.0, abs(got))


def prove():
    """Print the largest errors over all float32 values, fused and not; takes a quarter of an hour."""
    for name in FUNCTIONS:
        for target in [PLAIN, *FUSED[:1]]:
            worst = 0.0
            for start in range(0, 1 << 32, 1 << 22):
                x = np.arange(start, start + (1 << 22), dtype=np.uint32).view(np.float32)
                y = compiled(name, np.float32, target)(x)
                assert (np.isnan(y) == np.isnan(x)).all()
                worst = max(worst, np.nanmax(errors(name, x, y), initial=0.0))
            print(f"{name}, {target}: {worst:.3f} ulp", flush=True)


if __name__ == "__main__":
    prove()
