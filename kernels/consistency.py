"""Whether the parts of a cell's definition fit together, and the kernels."""

from . import block
from .definition import PER_ROW, UNITS


def check(made, declared):
    """Every name is declared before it is read, every state computed exactly once, in its size.

    Parameters
    ----------
    made : Cell
    declared : dict of str to str
        The sizes of the states, as they were declared.

    Raises
    ------
    ValueError
    """
    _check_names(made)
    known, computed = {"x": "inputs"} | declared, []
    beside = {name: size for name, (size, _) in made.parameters.items()} | made.extra
    for number, given in enumerate(made.phases, 1):
        where = f"cell {made.name!r}, phase {number}"
        _check_room(where, given, len({*known, *given.results, *beside}) - 1)
        _check_sources(where, given, known, beside)
        _check_reads(where, given, known | beside)
        for result in given.results:
            if result in computed or result in ("x", *beside):
                raise ValueError(
                    f"{where}: {result!r} is computed twice, or is no result; expected each result once"
                )
            if known.get(result, given.units) != given.units:
                raise ValueError(
                    f"{where}: state {result!r} is declared with the size {known[result]!r}, the phase "
                    f"computes {given.units!r}; expected one size: name it in both, or in neither"
                )
            computed.append(result)
        known |= dict.fromkeys(given.results, given.units)
    for name in (*made.states, made.output):
        if name not in computed:
            size = declared.get(name, UNITS)
            which = "" if size == UNITS else f" that has units={size!r}"
            raise ValueError(
                f"cell {made.name!r}: no phase computes {name!r}; add it to the results of one{which}"
            )


def _check_names(made):
    names = [*made.states, *made.parameters, *made.extra]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(
                f"cell {made.name!r} declares {name!r} twice among states, parameters and extra; expected "
                "another name"
            )


def _check_room(where, given, vectors):
    """A phase fits the kernels."""
    for what, count, room in (
        ("sums", len(given.sums), block.SUMS_ROOM),
        ("sources", len(given.sources), block.SOURCES_ROOM),
        ("values read and computed", len(given.parameters) + len(given.results), block.OPERANDS_ROOM),
        ("states, results, parameters and extra inputs so far", vectors, block.VECTORS_ROOM),
    ):
        if count > room:
            raise ValueError(
                f"{where}: {count} {what}; expected at most {room}: divide it into phases or cells"
            )


def _check_sources(where, given, known, beside):
    """A phase multiplies only what is `known` when it begins, nothing of what stands `beside` that."""
    for total in given.sums:
        if total.name in known or total.name in beside:
            raise ValueError(f"{where}: a sum has the name {total.name!r}, which is taken; expected another")
        for source in total.sources:
            if source in beside:
                raise ValueError(
                    f"{where}: slot {total.slot!r} multiplies {source!r}, a parameter or an extra input; "
                    "expected x, a state or a result: what is to be multiplied belongs to the features of x"
                )
            if source not in known:
                raise ValueError(
                    f"{where}: slot {total.slot!r} multiplies {source!r}; known here: {', '.join(known)}"
                )


def _check_reads(where, given, known):
    """A phase's function reads only what is `known` when it begins, in the phase's size."""
    sums = [total.name for total in given.sums]
    readable = sums + [name for name in known if name != "x" and name not in sums]
    for parameter in given.parameters:
        if parameter not in readable:
            raise ValueError(f"{where}: the function reads {parameter!r}; known here: {', '.join(readable)}")
        size = given.units if parameter in sums else known[parameter]
        if size not in (given.units, PER_ROW):
            raise ValueError(
                f"{where}: the function reads {parameter!r}, of the size {size!r}; expected the phase's, "
                f"{given.units!r}: only a slot may multiply vectors of another size"
            )
