"""Results bit for bit. Where a result is NaN, only that is compared, not its payload."""

import numpy as np


def bits(array):
    """The array as unsigned integers, all NaN alike."""
    return np.where(np.isnan(array), np.nan, array).astype(array.dtype).view(f"u{array.itemsize}")


def same(results, expected):
    """Fail unless two lists of arrays have the same dtypes, shapes and bits."""
    for k, (got, wanted) in enumerate(zip(results, expected, strict=True)):
        assert got.dtype == wanted.dtype
        np.testing.assert_array_equal(bits(got), bits(wanted), err_msg=f"result {k}", strict=True)


def take(arrays, rows):
    """Those rows of each array."""
    return [array[rows] for array in arrays]


def joined(results, axis=0):
    """Results of several calls put together."""
    return [np.concatenate(parts, axis) for parts in zip(*results, strict=True)]
