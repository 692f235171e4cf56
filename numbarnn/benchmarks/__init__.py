"""Problems, the libraries that numbarnn is measured against, the machine's limits, and comparisons of all of
them.

`problems` says what is computed, `peers` who computes it, `limits` what the machine can do at most, and
`compare` puts them beside each other. Importing this imports none of the libraries.
"""

from .peers import NEEDS, PEERS, Peer, Unsupported, missing, prepare
from .problems import GATES, Data, Problem, draw, plain, reference

__all__ = [
    "GATES",
    "NEEDS",
    "PEERS",
    "Data",
    "Peer",
    "Problem",
    "Unsupported",
    "draw",
    "missing",
    "plain",
    "prepare",
    "reference",
]
