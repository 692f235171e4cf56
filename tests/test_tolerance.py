"""The comparisons of tolerance.py fail where they must."""

import numpy as np
import pytest
import tolerance

EXACT = np.array([[1.0, -2.0, 0.5], [np.nan, np.inf, 1e-3]])
NAIVE = EXACT.astype(np.float32)


def test_bound_counts_the_naive_error_twice_and_four_eps():
    """2 * 0.25 + 4 * eps * 2, whatever the values that are not finite."""
    naive = NAIVE.copy()
    naive[0, 0] += 0.25
    assert tolerance.bound(naive, EXACT) == pytest.approx(0.5 + 8 * 2.0**-23, rel=1e-12)


def test_bound_of_nothing_finite_is_zero():
    """A value that overflows in naive's dtype has no error."""
    assert tolerance.bound(np.array([np.inf], np.float32), np.array([1e39])) == 0.0


def test_equal_results_pass():
    """Values not finite are compared by class, and an overflow of the dtype counts as infinite."""
    tolerance.assert_close(NAIVE, EXACT, NAIVE)
    tolerance.assert_within(np.array([np.inf], np.float32), np.array([1e39]), 0.0)
    tolerance.assert_within(np.zeros((0, 3), np.float32), np.zeros((0, 3)), 0.0)


@pytest.mark.parametrize(("index", "value", "message"), [
    ((0, 1), -2.00001, r"max error .* at \(0, 1\)"),
    ((0, 1), np.nan, r"another class, first at \(0, 1\)"),
    ((1, 0), 0.0, r"another class, first at \(1, 0\)"),
    ((1, 1), -np.inf, r"another class, first at \(1, 1\)"),
])
def test_a_wrong_value_fails(index, value, message):
    """Too far, or of another class."""
    got = NAIVE.copy()
    got[index] = value
    with pytest.raises(AssertionError, match=message):
        tolerance.assert_close(got, EXACT, NAIVE, "y")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_value_in_place_of_zero_fails(dtype):
    """However many units in the last place of 0 it is away."""
    with pytest.raises(AssertionError, match=r"max error 0.5 .* at \(1,\)"):
        tolerance.assert_within(np.array([0.0, 0.5], dtype), np.zeros(2, dtype), 0.1)


def test_wrong_shape_or_dtype_fails():
    """Broadcasting and silent promotion hide errors."""
    with pytest.raises(AssertionError, match="shape"):
        tolerance.assert_close(NAIVE[:1], EXACT, NAIVE)
    with pytest.raises(AssertionError, match="dtype"):
        tolerance.assert_close(EXACT, EXACT, NAIVE)
