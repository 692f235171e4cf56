"""The cell table: what each cell keeps, multiplies and computes. Gate orders stand here and nowhere else.

A cell is a tuple of phases. A phase first forms, for every unit, sums of products (its *slots*), then applies
one scalar function. Slots are written ``name:sources``: ``i:x+h`` is one sum over the inputs and the state h;
``n:x|h`` keeps two sums apart, which the function receives as ``n_x`` and ``n_h``. A source is ``x``, a
state, or a result of an earlier phase. The function's parameters name what it reads: sums, states and earlier
results; its results are new states, the output, or values for later phases.
"""

import inspect
from functools import cached_property
from typing import NamedTuple

from . import block, equations
from .trace import trace


class Sum(NamedTuple):
    """One accumulator of a phase: the sum of products over `sources`, plus a bias."""

    name: str
    slot: str
    sources: tuple


class Phase(NamedTuple):
    """See `phase`."""

    sums: tuple
    function: object
    parameters: tuple
    options: tuple  # its keyword-only parameters: activations and the like
    results: tuple  # empty: the states that no other phase computes

    @property
    def sources(self):
        """Vectors this phase multiplies, x first, in the order in which their products are added."""
        named = [source for total in self.sums for source in total.sources]
        return tuple(sorted(dict.fromkeys(named), key=lambda source: source != "x"))


class Cell:
    """A cell of the table: states, output, phases, and the choices (`options`) its functions take by keyword.
    Made by `cell`.

    Attributes
    ----------
    states : dict of str to float
        Names and initial constants, in the order users see.
    output : str
        The state or result that is the cell's output.
    two_biases : bool
        Whether the bias has a row for the inputs and one for the recurrent products (a slot with ``|``).
    """

    def __init__(self, name, states, output, phases):
        self.name, self.states, self.output, self.phases = name, states, output, phases

    def __repr__(self):
        return f"<numbarnn cell {self.name}: states {' '.join(self.states)}>"

    def __reduce__(self):
        """A built-in cell is itself again in another process; a user's is rebuilt from its functions."""
        if TABLE.get(self.name) is self and self in BUILT_IN:
            return cell_named, (self.name,)
        return Cell, (self.name, self.states, self.output, self.phases)

    @property
    def two_biases(self):
        return any(total.name != total.slot for phase in self.phases for total in phase.sums)

    @property
    def slots(self):
        """Names of the slots of all phases: the gates, in the order of the weights' columns."""
        return tuple(
            dict.fromkeys((p, total.slot) for p, phase in enumerate(self.phases) for total in phase.sums)
        )

    def columns(self, recurrent):
        """The blocks of units of the kernel (or the recurrent kernel), in order: (phase, source, index of the
        sum).
        """
        return [
            (p, source, a)
            for p, phase in enumerate(self.phases)
            for a, total in enumerate(phase.sums)
            for source in total.sources
            if (source != "x") == recurrent
        ]

    @cached_property
    def options(self):
        """Keyword-only parameters of the functions with their defaults: activations and the like."""
        found = {}
        for given in self.phases:
            for name, parameter in inspect.signature(given.function).parameters.items():
                if name in given.options and found.setdefault(name, parameter.default) != parameter.default:
                    raise ValueError(
                        f"cell {self.name!r}: phases give option {name!r} the defaults {found[name]!r} and "
                        f"{parameter.default!r}; expected one default, or two names"
                    )
        return found

    def graphs(self, options):
        """One traced graph per phase, with `options` (a dict) in place of the defaults."""
        traced = []
        for phase in self.phases:
            chosen = {
                name: value for name, value in (self.options | options).items() if name in phase.options
            }
            traced.append(trace(phase.function, phase.parameters, phase.results, chosen))
        return tuple(traced)


TABLE = {}


def cell_named(name):
    """The entry of the table: what a pickled built-in cell becomes again."""
    return TABLE[name]


def phase(slots, fn, results=None):
    """One phase of a cell.

    Parameters
    ----------
    slots : str
        The sums of products, such as ``"z:x+h r:x+h n:x|h"``; empty for a phase without products.
    fn : callable
        What one unit computes. Its positional parameters are names of sums, states or earlier results;
        keyword-only ones are options.
    results : str, optional
        Names of the values it returns. Default: the states that no other phase computes, in order.

    Returns
    -------
    Phase

    Raises
    ------
    TypeError
        `slots` or `results` is no text, `fn` no function.
    ValueError
        A slot of another form, a name given twice, a parameter of `fn` like ``*args``, an option without a
        default.

    Examples
    --------
    >>> import numbarnn as nr
    >>> nr.phase("a:x+h", lambda a: nr.math.tanh(a)).parameters
    ('a',)
    """
    sums = [total for word in _text("slots", slots, "i:x+h n:x|h").split() for total in _sums(word)]
    _each_once(f"slots = {slots!r}", [total.name for total in sums])
    parameters, options = _parameters(fn)
    named = () if results is None else tuple(_text("results", results, "z rh").split())
    return Phase(tuple(sums), fn, parameters, options, named)


def _text(argument, value, example):
    if not isinstance(value, str):
        raise TypeError(
            f"{argument} = {value!r} is of type {type(value).__name__}; expected a text such as {example!r}"
        )
    return value


def _each_once(where, names):
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{where} names {name!r} twice; expected each name once")


def _sums(word):
    """The sums of one slot."""
    slot, _, terms = word.partition(":")
    split = [term.split("+") for term in terms.split("|")]
    if not all(name.isidentifier() for sources in ([slot], *split) for name in sources):
        raise ValueError(
            f"slot {word!r}; expected name:source+source or name:source|source, such as 'i:x+h' or 'n:x|h'"
        )
    for sources in split:
        _each_once(f"slot {word!r}", sources)
    names = [slot] if len(split) == 1 else ["_".join((slot, *sources)) for sources in split]
    return [Sum(name, slot, tuple(sources)) for name, sources in zip(names, split, strict=True)]


def _parameters(fn):
    """Names of the positional parameters of a phase's function, and of its options."""
    if not callable(fn):
        raise TypeError(f"fn = {fn!r} is of type {type(fn).__name__}; expected a function of named values")
    try:
        known = inspect.signature(fn).parameters.values()
    except ValueError:
        raise ValueError(f"fn = {fn!r} does not tell its parameters; expected a Python function") from None
    options = [parameter for parameter in known if parameter.kind is parameter.KEYWORD_ONLY]
    for parameter in known:
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            raise ValueError(
                f"fn has the parameter {parameter}; expected a name for each value that it reads"
            )
    for option in options:
        if option.default is option.empty:
            raise ValueError(f"fn: the option {option.name!r} has no default; expected {option.name}=...")
    positional = tuple(parameter.name for parameter in known if parameter not in options)
    return positional, tuple(option.name for option in options)


def cell(name, *, states, phases, output=None):
    """Define a cell and enter it in the table; the built-in cells are made by this call and no other.

    Parameters
    ----------
    name : str
        How it is called in messages and by `explain`. A name may be given again, but not a built-in one.
    states : str
        Names of the states, ``"h c"``; ``"h c=1.0"`` gives c the initial constant 1.
    phases : list of Phase
        In order of execution, see `phase`.
    output : str, optional
        The state or result that is the output. Default: the first state.

    Returns
    -------
    Cell

    Raises
    ------
    ValueError
        A name nobody declared, a state that no phase computes or two do, a built-in name.
    TypeError
        An argument of another type.
    TypeError, ValueError
        What tracing the functions finds, see `numbarnn.kernels.trace.trace`.

    Examples
    --------
    A minimal gated unit without its reset:

    >>> import numbarnn as nr
    >>> def step(f, n, h):
    ...     f = nr.math.sigmoid(f)
    ...     return f * h + (1.0 - f) * nr.math.tanh(n)
    >>> nr.cell("minimal", states="h", phases=[nr.phase("f:x+h n:x+h", step)])
    <numbarnn cell minimal: states h>
    """
    if TABLE.get(_text("name", name, "minimal")) in BUILT_IN:
        raise ValueError(f"name = {name!r} is a built-in cell; expected another name")
    initial = _constants(states)
    _all_phases(phases)
    named = {result for given in phases for result in given.results}
    rest = tuple(state for state in initial if state not in named)
    phases = tuple(given if given.results else given._replace(results=rest) for given in phases)
    output = next(iter(initial)) if output is None else _text("output", output, "h")
    made = Cell(name, initial, output, phases)
    _check(made)
    made.graphs({})
    TABLE[name] = made
    return made


def _constants(states):
    """Names of the states and the constants they begin with."""
    words = [word.partition("=") for word in _text("states", states, "h c=1.0").split()]
    names = [name for name, *_ in words]
    if not names or "x" in names or not all(name.isidentifier() for name in names):
        raise ValueError(
            f"states = {states!r}; expected at least one name, as Python spells them, none 'x' (the inputs)"
        )
    _each_once(f"states = {states!r}", names)
    try:
        return {name: float(constant) if equals else 0.0 for name, equals, constant in words}
    except ValueError:
        raise ValueError(f"states = {states!r}; expected a number after each '=', as in 'c=1.0'") from None


def _all_phases(phases):
    expected = "expected a list of what numbarnn.phase(...) returns"
    if isinstance(phases, Phase) or not isinstance(phases, (list, tuple)):
        raise TypeError(f"phases is of type {type(phases).__name__}; {expected}")
    for k, given in enumerate(phases):
        if not isinstance(given, Phase):
            raise TypeError(f"phases[{k}] is of type {type(given).__name__}; {expected}")


def _check(made):
    """Every name is declared before it is read, every state computed exactly once."""
    known = ["x", *made.states]
    computed = []
    for number, given in enumerate(made.phases, 1):
        where = f"cell {made.name!r}, phase {number}"
        _check_reads(where, given, known)
        for result in given.results:
            if result in computed or result == "x":
                raise ValueError(
                    f"{where}: {result!r} is computed twice or is 'x'; expected each result once"
                )
            computed.append(result)
        known += [result for result in given.results if result not in known]
    for name in (*made.states, made.output):
        if name not in computed:
            raise ValueError(f"cell {made.name!r}: no phase computes {name!r}; add it to the results of one")


def _check_reads(where, given, known):
    """A phase fits the kernels, and reads and multiplies only what is `known` when it begins."""
    for what, count, room in (
        ("sums", len(given.sums), block.SUMS_ROOM),
        ("sources", len(given.sources), block.SOURCES_ROOM),
        ("values read and computed", len(given.parameters) + len(given.results), block.OPERANDS_ROOM),
        ("states and results so far", len({*known, *given.results}) - 1, block.VECTORS_ROOM),
    ):
        if count > room:
            raise ValueError(
                f"{where}: {count} {what}; expected at most {room}: divide it into phases or cells"
            )
    for total in given.sums:
        if total.name in known:
            raise ValueError(f"{where}: a sum has the name {total.name!r}, which is taken; expected another")
        for source in total.sources:
            if source not in known:
                raise ValueError(
                    f"{where}: slot {total.slot!r} multiplies {source!r}; known here: {', '.join(known)}"
                )
    readable = [total.name for total in given.sums] + known[1:]
    for parameter in given.parameters:
        if parameter not in readable:
            raise ValueError(f"{where}: the function reads {parameter!r}; known here: {', '.join(readable)}")


BUILT_IN = ()

SIMPLE_RNN = cell("simple_rnn", states="h", phases=[phase("a:x+h", equations.simple_rnn)])
LSTM = cell("lstm", states="h c", phases=[phase("i:x+h f:x+h g:x+h o:x+h", equations.lstm)])
GRU = cell("gru", states="h", phases=[phase("z:x+h r:x+h n:x|h", equations.gru)])
GRU_BEFORE = cell(
    "gru_reset_before",
    states="h",
    phases=[
        phase("z:x+h r:x+h", equations.gru_gates, results="z rh"),
        phase("n:x+rh", equations.gru_candidate),
    ],
)
DENSE = cell("dense", states="y", phases=[phase("a:x", equations.simple_rnn)])  # no step knows of another

BUILT_IN = tuple(TABLE.values())
