"""How far a result may be from the oracle: twice as far as the plain loop in its dtype, and 4 eps more."""

import numpy as np


def bound(naive, oracle):
    """`2 * max|naive - oracle| + 4 * eps * max|oracle|` over the finite values, with naive's eps."""
    naive, exact = np.asarray(naive), np.asarray(oracle)
    finite = np.isfinite(naive) & np.isfinite(_cast(exact, naive.dtype))
    exact = exact[finite]
    error = np.abs(naive[finite].astype(exact.dtype) - exact).max(initial=0)
    return float(2 * error + 4 * np.finfo(naive.dtype).eps * np.abs(exact).max(initial=0))


def assert_close(got, oracle, naive, what=""):
    """Fail unless got has naive's dtype, the oracle's class everywhere, and finite values within `bound`."""
    expected_dtype = np.asarray(naive).dtype
    assert got.dtype == expected_dtype, f"{what}: dtype {got.dtype}, expected {expected_dtype}"
    assert_within(got, oracle, bound(naive, oracle), what)


def assert_within(got, expected, limit, what=""):
    """Fail unless got has expected's shape and class (nan, inf, finite), and finite values within `limit`."""
    got, expected = np.asarray(got), np.asarray(expected)
    assert got.shape == expected.shape, f"{what}: shape {got.shape}, expected {expected.shape}"
    rounded = _cast(expected, got.dtype)
    differ = np.argwhere(_classes(got) != _classes(rounded))
    if len(differ):
        index = tuple(map(int, differ[0]))
        raise AssertionError(f"{what}: {len(differ)} values of another class, first at {index}: "
                             f"{got[index]!r}, expected {expected[index]!r}")
    finite = np.isfinite(rounded)
    if not finite.any():
        return
    exact = np.where(finite, expected, 0)
    error = np.abs(np.where(finite, got, 0).astype(exact.dtype) - exact)
    index = tuple(map(int, np.unravel_index(np.argmax(error), error.shape)))
    with np.errstate(over="ignore"):  # where 0 is expected, an ulp is the least subnormal number
        ulp = error[index] / np.spacing(np.abs(rounded[index]))
    line = f"{what}: max error {error[index]:.3g} ({ulp:.3g} ulp) at {index}, bound {limit:.3g}"
    print(line)
    assert error[index] <= limit, f"{line}: {got[index]!r}, expected {expected[index]!r}"


def _cast(array, dtype):
    with np.errstate(over="ignore"):
        return array.astype(dtype)


def _classes(array):
    """0 finite, 1 nan, 2 +inf, 3 -inf."""
    return np.select([np.isnan(array), np.isposinf(array), np.isneginf(array)], [1, 2, 3], 0)
