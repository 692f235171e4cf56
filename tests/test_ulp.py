"""A sample of what `ulp.py` proves of exp, expm1, log1p, sigmoid, tanh and erf, with and without fused
operations; special values, the polynomials, the exponents of numbers.
"""

import math
import re

import numpy as np
import pytest
import ulp
from golden import make_polynomials

from numbarnn.kernels import simd
from numbarnn.kernels.lowering import lower
from numbarnn.kernels.mathfn import FUNCTIONS
from numbarnn.kernels.polynomials import REALS
from numbarnn.kernels.trace import apply, evaluate, trace

functions = pytest.mark.parametrize("name", ulp.NAMES)
plain = pytest.mark.parametrize("plain", [False, True], ids=["target", "plain"])
dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def fair(found, bound):
    """Within the bound, never falling, never out of range, odd, NaN where it belongs."""
    print(found)
    assert found.error <= bound
    assert found[2:] == (0, 0, 0, 0)


@plain
@functions
def test_float32_sample(name, plain):
    """One value of every 256 neighbours, and 2^11 times 128 neighbours, of either sign."""
    rng = np.random.default_rng(1)
    apart = np.arange(0, 1 << 31, 1 << 8) + rng.integers(0, 1 << 8, 1 << 23)
    near = np.sort(rng.integers(0, (1 << 31) - 128, 1 << 11))[:, None] + np.arange(128)
    found = ulp.Found()
    for bits in [*apart.reshape(-1, ulp.CHUNK), *near]:
        found += ulp.look_at_bits(name, bits, plain)
    fair(found, ulp.BOUND["float32"][name])


@plain
@functions
def test_float64_sample(name, plain):
    """Two thousand values."""
    fair(ulp.look_at_doubles(name, 2_000, 99, plain), ulp.BOUND["float64"][name])


@plain
@functions
def test_float64_rises_from_each_value_to_the_next(name, plain):
    """2^10 neighbours in 2^9 places, and the mirror image of odd functions."""
    starts = np.sort(np.abs(ulp.doubles(name, 1 << 9, 5))).view(np.int64)
    x = (starts[:, None] + np.arange(1 << 10)).view(np.float64)
    function = ulp.compiled(name, np.float64, plain)
    for values in (x, -x[::-1, ::-1]):
        rising = values[values.min(axis=1) > -1.0] if name == "log1p" else values
        y = function(rising.ravel()).reshape(rising.shape)
        assert (y[:, 1:] >= y[:, :-1]).all()
        if name in ulp.ODD:
            assert function(-rising.ravel()).tobytes() == (-y).tobytes()


@plain
@dtypes
def test_special_values(dtype, plain):
    """Infinities, zeros with their signs, the ends of the range, the least numbers: exact bits."""
    limits = np.finfo(dtype)
    small = np.array([limits.smallest_subnormal, limits.tiny / 4], dtype)
    small = np.concatenate([small, -small])
    below = np.nextafter(dtype(-1), dtype(-2))
    x = np.array([np.inf, -np.inf, limits.max, -limits.max, 0.0, -0.0, -1.0, below, *small], dtype)
    inf, nan = math.inf, math.nan
    erf_small = small * dtype(2 / math.sqrt(math.pi))
    expected = {
        "exp": [inf, 0, inf, 0, 1, 1, None, None, 1, 1, 1, 1],
        "expm1": [inf, -1, inf, -1, 0.0, -0.0, None, None, *small],
        "log1p": [inf, nan, None, nan, 0.0, -0.0, -inf, nan, *small],
        "sigmoid": [1, 0, 1, 0, 0.5, 0.5, None, None, 0.5, 0.5, 0.5, 0.5],
        "tanh": [1, -1, 1, -1, 0.0, -0.0, None, None, *small],
        "erf": [1, -1, 1, -1, 0.0, -0.0, None, None, *erf_small],
    }
    assert expected.keys() == set(ulp.NAMES)
    for name, values in expected.items():
        got = ulp.compiled(name, dtype, plain)(x)
        pairs = [(g, dtype(v)) for g, v in zip(got, values, strict=True) if v is not None]
        assert all(g.tobytes() == v.tobytes() or (np.isnan(g) and np.isnan(v)) for g, v in pairs), (name, got)


@pytest.mark.skipif(not simd.target().has_fma, reason="this CPU has no fused multiply-add")
@functions
@dtypes
def test_width_changes_no_bit(name, dtype):
    """Vectors of 128, 256 and 512 bits give the same results."""
    x = ulp.doubles(name, 4_000, 4).astype(dtype)
    wide = [simd.Target("fused", bits, 16, True) for bits in (128, 256, 512)]
    results = {ulp.Compiled(FUNCTIONS[name], dtype, target)(x).tobytes() for target in wide}
    assert len(results) == 1


@functions
@dtypes
def test_the_lowered_graph_is_what_is_compiled(name, dtype):
    """Without fused operations NumPy gets the same bits from it, line by line."""
    x = ulp.doubles(name, 4_000, 3).astype(dtype)
    with np.errstate(all="ignore"):
        (expected,) = evaluate(lower(trace(FUNCTIONS[name], ["a"], ["y"]), dtype), {"a": x}, dtype)
    assert expected.dtype == dtype
    np.testing.assert_array_equal(ulp.compiled(name, dtype, True)(x), expected)


@dtypes
def test_exponents(dtype):
    """Of every power of two, the values on either side of it, and random ones: what NumPy says."""
    limits = np.finfo(dtype)
    powers = np.ldexp(dtype(1), np.arange(limits.minexp, limits.maxexp))
    x = np.concatenate([powers, np.nextafter(powers, dtype(0))[1:], powers * dtype(1.37), [limits.max]])
    x = x.astype(dtype)
    got = ulp.Compiled(lambda a: apply("exponent", a), dtype)(x)
    np.testing.assert_array_equal(got, np.frexp(x)[1])


@dtypes
def test_polynomials(dtype):
    """They are what their generator prints."""
    kept = REALS[np.dtype(dtype)]
    for name, coefficients in make_polynomials.polynomials(dtype).items():
        assert getattr(kept, name) == coefficients, name


def test_the_readme_tells_of_every_function():
    """Once per dtype, no error above what is asked for."""
    text = ulp.README.read_text(encoding="utf-8")
    told = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\d.]+) \|", text, re.MULTILINE)
    assert [row[:2] for row in told] == [(name, dtype) for dtype in ulp.BOUND for name in ulp.NAMES]
    for name, dtype, error in told:
        assert 0.5 <= float(error) <= ulp.BOUND[dtype][name]
