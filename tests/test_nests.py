"""Nests: order of leaves, containers, messages."""

import copy
import pickle
from collections import OrderedDict, defaultdict, namedtuple

import pytest

import numbarnn as nr
from numbarnn import nests

Pair = namedtuple("Pair", "left right")


class Rows(list):
    """A list of a user's class."""


def test_leaves_come_in_the_order_of_keras():
    """Dicts by sorted key, whatever order they were made in; a Shape is one leaf."""
    nest = {"b": [1, (2, nr.Shape(3, 4))], "a": Pair(right=6, left=5), "c": {}, "d": ()}
    assert nests.flatten(nest) == [5, 6, 1, 2, (3, 4)]
    names = [name for name, _ in nests.named_leaves("x", nest)]
    assert names == ["x['a'].left", "x['a'].right", "x['b'][0]", "x['b'][1][0]", "x['b'][1][1]"]
    assert nests.flatten(7) == [7] and nests.named_leaves("x", None) == [("x", None)]


def test_containers_stay():
    """Their types, the order of keys, what their class keeps."""
    fallback = defaultdict(list, b=1, a=2)
    nest = {"z": OrderedDict(q=3, p=4), "y": Pair(5, Rows([6])), "x": fallback, "w": (7, [])}
    made = nests.map_structure(lambda leaf: -leaf, nest)
    assert made == {
        "z": OrderedDict(q=-3, p=-4), "y": Pair(-5, [-6]), "x": {"b": -1, "a": -2}, "w": (-7, [])
    }  # fmt: skip
    assert list(made) == list("zyxw") and list(made["z"]) == ["q", "p"] and list(made["x"]) == ["b", "a"]
    assert [type(made[key]) for key in made] == [OrderedDict, Pair, defaultdict, tuple]
    assert type(made["y"].right) is Rows and made["x"].default_factory is list
    assert nest["x"] is fallback and fallback == {"b": 1, "a": 2}


def test_several_nests():
    """Sequences of every kind go together; the result is as the first."""
    made = nests.map_structure(lambda *leaves: leaves, {"b": [1, 2], "a": 3}, {"a": 30, "b": Pair(10, 20)})
    assert made == {"b": [(1, 10), (2, 20)], "a": (3, 30)}
    with pytest.raises(ValueError, match=r"^new\[1\] has 1 part\(s\); expected 2, as old\[1\] has$"):
        nests.map_structure(max, [1, (2, 3)], [1, [2]], names=("old", "new"))


@pytest.mark.parametrize("count", [0, 2, 4])
def test_packing_needs_as_many_leaves(count):
    assert nests.pack_as((1, {"a": 2, "b": 3}), "xyz") == ("x", {"a": "y", "b": "z"})
    with pytest.raises(ValueError, match=f"^leaves has {count} value"):
        nests.pack_as((1, {"a": 2, "b": 3}), range(count))


@pytest.mark.parametrize(
    ("nest", "expected", "kind", "message"),
    [
        (
            {"a": [1, 2]},
            {"a": [1, [2]]},
            TypeError,
            r"s\['a'\]\[1\] is of type int; expected a list or tuple",
        ),
        (
            [[1]],
            [1],
            TypeError,
            r"s\[0\] is a list of 1 part\(s\); expected an array or a size, as t\[0\] is",
        ),
        ({"a": 1}, [1], TypeError, r"s is a dict of 1 part\(s\); expected a list or tuple, as t is"),
        ((1,), {"a": 1}, TypeError, r"s is a tuple of 1 part\(s\); expected a dict, as t is"),
        (
            Pair(1, {"a": 1}),
            [1, {"a": 1, "b": 2}],
            ValueError,
            r"s.right has the keys 'a'; expected 'a', 'b'",
        ),
        ([{}], [{"k": 1}], ValueError, r"s\[0\] has the keys none; expected 'k', as t\[0\] has"),
        ([1, 2, 3], (1, 2), ValueError, r"s has 3 part\(s\); expected 2, as t has"),
        (nr.Shape(1, 2), (1, 2), TypeError, r"s is of type Shape; expected a list or tuple"),
    ],
)
def test_messages_name_the_place(nest, expected, kind, message):
    with pytest.raises(kind, match="^" + message):
        nests.same_structure("s", nest, "t", expected)
    nests.same_structure("s", nest, "t", copy.deepcopy(nest))


def test_keys_that_cannot_be_sorted():
    with pytest.raises(TypeError, match=r"^x\[0\] has keys that cannot be sorted: \['a', 1\]"):
        nests.named_leaves("x", [{"a": 1, 1: 2}])


def test_shapes():
    shape = nr.Shape(20, 30)
    assert shape == (20, 30) and repr(shape) == "Shape(20, 30)" and nr.Shape() == ()
    for other in (copy.copy(shape), copy.deepcopy(shape), pickle.loads(pickle.dumps(shape))):
        assert other == shape and type(other) is nr.Shape
    with pytest.raises(TypeError, match=r"^Shape: sizes\[1\] = 2.0 is of type float"):
        nr.Shape(1, 2.0)
    with pytest.raises(ValueError, match=r"^Shape: sizes\[0\] = -1"):
        nr.Shape(-1)
