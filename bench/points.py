"""What the points of the suites are made of: their tier, their numbers of threads, their rivals.

The quick tier picks points of every suite on each side of where the limits change (weights that fit the
cache or do not, one row or many), so that a slower kernel shows up somewhere. The full tier is every point:
of the dense grid on one thread and on all, of the rest on all; single steps and the layers that people run
are measured against every library, all else against the usual ones.
"""

import numba
import pytest

from numbarnn.benchmarks import peers

THREADS = sorted({1, numba.get_num_threads()})
ALL = THREADS[-1]
USUAL = ("torch", "onnxruntime")  # the rivals that the goals name, in both tiers
EVERY = tuple(name for name in peers.PEERS if name != "numbarnn")
PADDED = ("torch_packed", *USUAL)  # for ragged batches


def point(*values, name, quick):
    """A parameter set with an id, for the quick tier too or for the full one alone."""
    return pytest.param(*values, id=name, marks=() if quick else pytest.mark.full)
