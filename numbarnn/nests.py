"""Nests: arrays in lists, tuples, named tuples and dicts, in each other as deep as users like.

Everything that is none of these is a leaf, a `Shape` too. Leaves come in the order of `tf.nest` and Keras:
sequences from first to last, dicts by sorted key. What is made from a nest has its containers, types and all,
and dicts keep the order of their keys.
"""

import copy

from . import checks


class Shape(tuple):
    """The axes of one state or one output of a cell, without the batch axis.

    A cell's ``state_size`` of ``Shape(20, 30)`` is one state of shape (batch, 20, 30), where ``(20, 30)``
    is two states, of shapes (batch, 20) and (batch, 30).

    Parameters
    ----------
    *sizes : int
        One for each axis, at least 0; none for one number per row.

    Raises
    ------
    TypeError, ValueError
        A size that is no whole number, or negative.

    Examples
    --------
    >>> nr.Shape(20, 30)
    Shape(20, 30)
    """

    __slots__ = ()

    def __new__(cls, *sizes):
        return super().__new__(
            cls, [checks.whole(f"Shape: sizes[{k}]", size, 0) for k, size in enumerate(sizes)]
        )

    def __getnewargs__(self):
        return tuple(self)

    def __repr__(self):
        return f"Shape({', '.join(map(str, self))})"


def is_nested(value):
    """Whether a value is a container, not a leaf."""
    return isinstance(value, (list, tuple, dict)) and not isinstance(value, Shape)


def flatten(nest):
    """The leaves.

    Examples
    --------
    >>> flatten({"b": [1, 2], "a": (3,)})
    [3, 1, 2]
    """
    return [leaf for _, leaf in named_leaves("nest", nest)]


def named_leaves(name, nest):
    """The leaves with what to write to have each.

    Examples
    --------
    >>> named_leaves("states", {"b": [1, 2], "a": (3,)})
    [("states['a'][0]", 3), ("states['b'][0]", 1), ("states['b'][1]", 2)]
    """
    if not is_nested(nest):
        return [(name, nest)]
    return [found for path, part in _parts(name, nest) for found in named_leaves(path, part)]


def map_structure(function, nest, *others, names=()):
    """The nest of what `function` makes of the leaves; of several nests, of the leaves in the same place.

    Raises
    ------
    TypeError, ValueError
        The others are not nested as the first is; the message tells them by `names`.

    Examples
    --------
    >>> map_structure(lambda a, b: a + b, {"b": 1, "a": (2,)}, {"a": [20], "b": 10})
    {'b': 11, 'a': (22,)}
    """
    names = names or [f"nests[{k}]" for k in range(1 + len(others))]
    for name, other in zip(names[1:], others, strict=True):
        same_structure(name, other, names[0], nest)
    return pack_as(nest, map(function, flatten(nest), *map(flatten, others)))


def pack_as(structure, leaves):
    """A nest like `structure` with other leaves, of which there must be as many.

    Examples
    --------
    >>> pack_as({"b": "x", "a": ["y"]}, [1, 2])
    {'b': 2, 'a': [1]}
    """
    leaves = list(leaves)
    expected = len(flatten(structure))
    if len(leaves) != expected:
        raise ValueError(f"leaves has {len(leaves)} value(s); expected {expected}, as many as structure has")
    return _packed(structure, iter(leaves))


def _packed(structure, leaves):
    if not is_nested(structure):
        return next(leaves)
    parts = [_packed(part, leaves) for _, part in _parts("structure", structure)]
    if isinstance(structure, dict):
        made = copy.copy(structure)  # its class, whatever that needs to be made
        made.update(zip(_keys("structure", structure), parts, strict=True))
        return made
    return structure._make(parts) if hasattr(structure, "_make") else type(structure)(parts)


def same_structure(name, nest, expected_name, expected):
    """Refuse a nest that is not nested like `expected`. Lists and tuples of every kind are alike.

    Raises
    ------
    TypeError
        A leaf in place of a container, or the other way round, or a dict and a sequence.
    ValueError
        A container with other keys, or of another length.

    Examples
    --------
    >>> same_structure("states", {"a": [1, 2]}, "state_size", {"a": (3, 4, 5)})
    Traceback (most recent call last):
        ...
    ValueError: states['a'] has 2 part(s); expected 3, as state_size['a'] has
    """
    kinds = [_kind(nest), _kind(expected)]
    if kinds[0] != kinds[1]:
        raise TypeError(
            f"{name} is {_described(nest)}; expected {_EXPECTED[kinds[1]]}, as {expected_name} is"
        )
    if kinds[0] == "leaf":
        return
    if kinds[0] == "dict" and nest.keys() != expected.keys():
        raise ValueError(
            f"{name} has the keys {_listed(name, nest)}; expected {_listed(expected_name, expected)}, as "
            f"{expected_name} has"
        )
    if len(nest) != len(expected):
        raise ValueError(f"{name} has {len(nest)} part(s); expected {len(expected)}, as {expected_name} has")
    pairs = zip(_parts(name, nest), _parts(expected_name, expected), strict=True)
    for (path, part), (expected_path, expected_part) in pairs:
        same_structure(path, part, expected_path, expected_part)


_EXPECTED = {"leaf": "an array or a size", "dict": "a dict", "sequence": "a list or tuple"}


def _kind(nest):
    return "dict" if isinstance(nest, dict) else "sequence" if is_nested(nest) else "leaf"


def _described(nest):
    kind = type(nest).__name__
    return f"a {kind} of {len(nest)} part(s)" if is_nested(nest) else f"of type {kind}"


def _keys(name, nest):
    try:
        return sorted(nest)
    except TypeError as error:
        raise TypeError(
            f"{name} has keys that cannot be sorted: {list(nest)}; expected keys of one type, since dicts "
            "are taken by sorted key"
        ) from error


def _listed(name, nest):
    return ", ".join(map(repr, _keys(name, nest))) or "none"


def _parts(name, nest):
    """The parts of a container in order, each with what to write to have it."""
    if isinstance(nest, dict):
        return [(f"{name}[{key!r}]", nest[key]) for key in _keys(name, nest)]
    if hasattr(nest, "_fields"):
        return [(f"{name}.{field}", part) for field, part in zip(nest._fields, nest, strict=True)]
    return [(f"{name}[{k}]", part) for k, part in enumerate(nest)]
