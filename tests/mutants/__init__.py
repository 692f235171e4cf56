"""Faults that libraries of this kind have shipped, as patches of this one.

`python -m mutants` sees them caught. A mutation names every suite of tests that must fail with it. A fault of
an equation, a gate order, lengths, masks or reversal is to be caught twice, by the oracle and by what other
libraries computed, each without the other.
"""

from . import equations, loops, plans, states, weights

MUTATIONS = [mutation for part in (equations, weights, plans, loops, states) for mutation in part.MUTATIONS]
