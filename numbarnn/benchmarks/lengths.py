"""Laws of lengths: how long the rows of a padded batch are."""

from statistics import NormalDist

import numpy as np

SPREAD = 1.0  # of the logarithms of log-normal lengths


def _uniform(u, mean):
    """From 0 on, or up to 1."""
    return 2 * mean * u if mean < 0.5 else 1 - 2 * (1 - mean) * u


def _log_normal(u, mean):
    """Most are short; cut at 1, and scaled so that the mean is right all the same."""
    normal = np.exp(SPREAD * np.array([NormalDist().inv_cdf(share) for share in u]))
    low, high = 0.0, 1 / normal.min(initial=1)
    for _ in range(60):
        middle = (low + high) / 2
        if np.minimum(middle * normal, 1).mean() < mean:
            low = middle
        else:
            high = middle
    return np.minimum(high * normal, 1)


def _equal(u, mean):
    return np.full(len(u), mean)


def _triangular(u, mean):
    """A density that rises to its peak and falls from there, over as much of 0 to 1 as the mean allows."""
    low, peak, high = max(0.0, 3 * mean - 2), min(max(0.0, 3 * mean - 1), 1.0), min(3 * mean, 1.0)
    width = max(high - low, 1e-9)
    rising, falling = low + np.sqrt(u * width * (peak - low)), high - np.sqrt((1 - u) * width * (high - peak))
    return np.where(u * width < peak - low, rising, falling)


# What shares of the longest row the other ones have, whose mean is `mean`; u lies evenly between 0 and 1
LAWS = {
    "uniform": _uniform,
    "log-normal": _log_normal,
    "one long": _equal,
    "triangular": _triangular,
    "left": _uniform,
}


def drawn_lengths(law, B, T, padded):
    """Lengths of B rows, as int64: one is T, none 0, and about the share `padded` of the B * T steps is left.

    No chance in it but the rows' order, which is always the same: the lengths of few rows would else miss the
    share by far.

    Raises
    ------
    ValueError
        No such law.

    Examples
    --------
    >>> sorted(drawn_lengths("one long", 4, 100, 0.6).tolist())
    [20, 20, 20, 100]
    """
    if law not in LAWS:
        raise ValueError(f"padding = {law!r}; expected one of {tuple(LAWS)}")
    if B == 1:
        return np.array([T])
    others = B - 1
    mean = max((B * (1 - padded) - 1) / others, 1 / T)
    shares = LAWS[law]((np.arange(others) + 0.5) / others, mean)
    lengths = np.clip(np.rint(T * np.array([1.0, *shares])), 1, T).astype(np.int64)
    return np.random.default_rng(B).permutation(lengths)
