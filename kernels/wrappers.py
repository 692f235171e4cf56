"""What wrappers make of a cell: its output, or states that it keeps, become something else by a last phase,
which reads one more input of each step.

The output and a state may be one vector, the output of an LSTM and its h: what is done to one is not done to
the other.
"""

from .definition import Cell, Phase


def with_output(made, input_name, function):
    """The cell whose output is ``function(input, output)``.

    Parameters
    ----------
    made : Cell
    input_name : str
        Of an input of each step, of the output's size; a number follows if the name is taken.
    function : callable
        What one unit computes.

    Returns
    -------
    Cell
    str
        What the input is called.
    """
    size = made.size_of[made.output]
    given, output = _fresh(made, input_name), _fresh(made, "output")
    last = Phase((), function, (given, made.output), (), (output,), size)
    return Cell(
        made.name, made.states, output, (*made.phases, last), made.parameters, made.extra | {given: size}
    ), given


def with_state(made, state, input_name, function):
    """The cell that keeps ``function(input, state)`` in place of a state; its output stays what it was.
    Parameters and results as of `with_output`.
    """
    size = made.size_of[state]
    given, computed = _fresh(made, input_name), _fresh(made, f"new_{state}")
    phases, known = [], False
    for phase in made.phases:
        if known:  # what comes later means the state as it was computed
            phase = _reading(phase, state, computed)
        if state in phase.results:
            results = tuple(computed if name == state else name for name in phase.results)
            phase, known = phase._replace(results=results), True
        phases.append(phase)
    phases.append(Phase((), function, (given, computed), (), (state,), size))
    output = computed if made.output == state else made.output
    return Cell(
        made.name, made.states, output, tuple(phases), made.parameters, made.extra | {given: size}
    ), given


def times(factor, value):
    """Dropout of one value."""
    return factor * value


def plus(given, value):
    """A residual connection."""
    return given + value


def _fresh(made, name):
    number, found = 2, name
    taken = {*made.size_of, *(total.name for phase in made.phases for total in phase.sums)}
    while found in taken:
        found, number = f"{name}_{number}", number + 1
    return found


def _reading(phase, name, new):
    """A phase that reads and multiplies `new` where it did `name`."""
    sums = tuple(
        total._replace(sources=tuple(new if source == name else source for source in total.sources))
        for total in phase.sums
    )
    parameters = tuple(new if parameter == name else parameter for parameter in phase.parameters)
    return phase._replace(sums=sums, parameters=parameters)
