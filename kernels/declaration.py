"""How users spell a cell: `phase` and `cell`, and the grammar of their texts."""

import inspect

from . import consistency
from .definition import BUILT_IN, PER_ROW, TABLE, UNITS, Cell, Parameter, Phase, Sum


def phase(slots, fn, results=None, *, units=UNITS, use_bias=True):
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
    units : str
        Name of the size of what it computes; any but ``"units"`` is given to `FusedCell` beside `units`.
    use_bias : bool
        Whether its slots have biases, in a cell that has.

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
    _size("units", units, f"units = {units!r}")
    if not isinstance(use_bias, bool):
        raise TypeError(
            f"use_bias = {use_bias!r} is of type {type(use_bias).__name__}; expected True or False"
        )
    return Phase(tuple(sums), fn, parameters, options, named, units, use_bias)


def cell(name, *, states, phases, output=None, parameters="", extra=""):
    """Define a cell and enter it in the table; the built-in cells are made by this call and no other.

    Parameters
    ----------
    name : str
        How it is called in messages and by `explain`. A name may be given again, but not a built-in one.
    states : str
        Names of the states, ``"h c"``; ``"h c=1.0"`` gives c the initial constant 1, ``"h:projection c"``
        says that h has another size than c. A size other than "units" is given by its name to `FusedCell`.
    phases : list of Phase
        In order of execution, see `phase`.
    output : str, optional
        The state or result that is the output. Default: the first state.
    parameters : str
        Names of weights that functions read, one for each unit: ``"p_i p_f=0.5"``, with what they begin with
        (default 0); ``"p:projection"`` with another size.
    extra : str
        Names of inputs of each step that functions read and no kernel multiplies: ``"gap"`` one for each
        unit, ``"attention:1"`` one for the whole row, ``"p:projection"`` of another size.

    Returns
    -------
    Cell

    Raises
    ------
    ValueError
        A name nobody declared, a state that no phase computes or two do, sizes that differ, a built-in name.
    TypeError
        An argument of another type.
    TypeError, ValueError
        What tracing the functions finds, see `numbarnn.kernels.trace.trace`.

    Examples
    --------
    A minimal gated unit without its reset, and one whose old state fades with the time since the last step:

    >>> import numbarnn as nr
    >>> def step(f, n, h):
    ...     f = nr.math.sigmoid(f)
    ...     return f * h + (1.0 - f) * nr.math.tanh(n)
    >>> nr.cell("minimal", states="h", phases=[nr.phase("f:x+h n:x+h", step)])
    <numbarnn cell minimal: states h>
    >>> def fade(f, n, h, rate, gap):
    ...     return step(f, n, nr.math.exp(-rate * gap) * h)
    >>> slots = "f:x+h n:x+h"
    >>> nr.cell("fading", states="h", phases=[nr.phase(slots, fade)], parameters="rate=0.1", extra="gap:1")
    <numbarnn cell fading: states h>
    """
    if _text("name", name, "minimal") in BUILT_IN:
        raise ValueError(f"name = {name!r} is a built-in cell; expected another name")
    declared = _declared("states", states, "h c=1.0")
    weights = _declared("parameters", parameters, "p_i p_f=0.5")
    further = _declared("extra", extra, "attention:1 gap", (PER_ROW,))
    if not declared:
        raise ValueError(f"states = {states!r}; expected at least one name, as Python spells them")
    phases = _all_phases(phases, declared)
    output = next(iter(declared)) if output is None else _text("output", output, "h")
    constants = {name: constant for name, (_, constant) in declared.items()}
    made = Cell(name, constants, output, phases, weights, {name: size for name, (size, _) in further.items()})
    consistency.check(made, {name: size for name, (size, _) in declared.items()})
    made.graphs({})
    TABLE[name] = made
    return made


def _text(argument, value, example):
    if not isinstance(value, str):
        raise TypeError(
            f"{argument} = {value!r} is of type {type(value).__name__}; expected a text such as {example!r}"
        )
    return value


def _size(argument, name, where):
    """A name of a size."""
    if not isinstance(name, str):
        raise TypeError(
            f"{argument} = {name!r} is of type {type(name).__name__}; expected the name of a size, such as "
            "'units'"
        )
    if not name.isidentifier() or name == "inputs":
        raise ValueError(f"{where}: {name!r} is no size; expected a name such as 'units' or 'projection'")
    return name


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


def _declared(argument, text, example, sizes=()):
    """What a text declares: name -> `Parameter` (size and constant). `sizes` may be given beside names."""
    found = {}
    for word in _text(argument, text, example).split():
        spelled, equals, constant = word.partition("=")
        name, colon, size = spelled.partition(":")
        where = f"{argument} = {text!r}"
        if not name.isidentifier() or name == "x":
            raise ValueError(f"{where}: {name!r}; expected a name as Python spells it, not 'x' (the inputs)")
        if name in found:
            raise ValueError(f"{where} names {name!r} twice; expected each name once")
        if equals and PER_ROW in sizes:
            raise ValueError(f"{where}: {word!r}; expected no constant: extra inputs come with each call")
        if colon and size not in sizes:
            _size(argument, size, where)
        try:
            found[name] = Parameter(size if colon else UNITS, float(constant) if equals else 0.0)
        except ValueError:
            raise ValueError(f"{where}; expected a number after each '=', as in 'c=1.0'") from None
    return found


def _all_phases(phases, declared):
    """The phases, each with its results."""
    expected = "expected a list of what numbarnn.phase(...) returns"
    if isinstance(phases, Phase) or not isinstance(phases, (list, tuple)):
        raise TypeError(f"phases is of type {type(phases).__name__}; {expected}")
    for k, given in enumerate(phases):
        if not isinstance(given, Phase):
            raise TypeError(f"phases[{k}] is of type {type(given).__name__}; {expected}")
    named = {result for given in phases for result in given.results}
    rest = {name: size for name, (size, _) in declared.items() if name not in named}
    return tuple(
        given
        if given.results
        else given._replace(results=tuple(name for name, size in rest.items() if size == given.units))
        for given in phases
    )
