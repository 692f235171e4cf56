"""Figures as text: one for each run, separated by strokes, in Markdown's tables."""

from math import exp, log

ABSENT = "—"


def geometric_mean(values):
    """Of a list of positive numbers."""
    return exp(sum(map(log, values)) / len(values))


def present(values):
    """Those that are not None."""
    return [value for value in values if value is not None]


def mean(values):
    """The geometric mean of those that are not None, or None."""
    some = present(values)
    return geometric_mean(some) if some else None


def strokes(values, form="{}"):
    """One figure per run; None where there is none."""
    return " / ".join(ABSENT if value is None else form.format(value) for value in values)


def ratios(values):
    """Ratios to a rival, one per run; bold where numbarnn is slower."""
    return strokes([one and (f"**{one:.2f}**" if one < 1 else f"{one:.2f}") for one in values])


def short(values):
    """Figures of any size, one per run, to three digits at least."""
    return strokes([one and (f"{one:,.0f}" if one >= 100 else f"{one:.3g}") for one in values])


def table(title, rows, words=1):
    """A table in Markdown, the first `words` columns on the left and the others on the right."""
    rule = ["---" if place < words else "--:" for place in range(len(title))]
    return "\n".join(f"| {' | '.join(line)} |" for line in (title, rule, *rows)) + "\n"
