"""Recurrent dropout as a change of a cell: whatever the recurrent kernel multiplies, it multiplies times a
mask.

The mask is one more state, which every step leaves as it is; so each row has its own, and loops and devices
need to know nothing of it. What the cell's functions read stays undropped, such as the old state in a GRU's
mix.
"""

from .definition import Cell, Phase

MASK = "dropout_mask"


def with_recurrent_dropout(made):
    """The cell with one more state, `MASK`: factors, 1 where nobody gives others."""
    phases, dropped, states = [], {}, made.states
    for p, phase in enumerate(made.phases):
        fresh = [source for source in phase.sources if source != "x" and source not in dropped]
        if fresh:
            names = [f"{source}_dropped_{p}" for source in fresh]
            first = MASK not in states
            results = (*names, MASK) if first else tuple(names)
            function = _times_mask_and_mask if first else _times_mask
            phases.append(Phase((), function, (*fresh, MASK), (), results, made.size_of[fresh[0]]))
            states = states | {MASK: 1.0}
            dropped |= dict(zip(fresh, names, strict=True))
        sums = (
            total._replace(sources=tuple(dropped.get(source, source) for source in total.sources))
            for total in phase.sums
        )
        phases.append(phase._replace(sums=tuple(sums)))
        dropped = {source: name for source, name in dropped.items() if source not in phase.results}
    return Cell(made.name, states, made.output, tuple(phases), made.parameters, made.extra)


def _times_mask(*values):
    """Vectors times the mask, which comes last."""
    *vectors, mask = values
    return tuple(vector * mask for vector in vectors)


def _times_mask_and_mask(*values):
    return *_times_mask(*values), values[-1]
