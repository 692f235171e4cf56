"""The table of shapes covers the edges of every blocked axis, and no two sizes hide each other."""

import pytest
from shapes import SHAPES

EQUAL_ON_PURPOSE = {"b1_t1", "all_one", "i_eq_h"}


@pytest.mark.parametrize("name", SHAPES)
def test_sizes_differ(name):
    """A shape with equal sizes could not tell two swapped axes apart."""
    assert (len(set(SHAPES[name])) < 4) == (name in EQUAL_ON_PURPOSE)


@pytest.mark.parametrize("lanes", [4, 8, 16])
def test_units_stand_on_every_side_of_a_vector(lanes):
    """One unit less, as many, one more; groups of three and six vectors, and one unit past two and six."""
    units = {shape.H for shape in SHAPES.values()}
    assert {lanes - 1, lanes, lanes + 1, 2 * lanes + 1, 3 * lanes, 6 * lanes, 6 * lanes + 1} <= units


def test_rows_stand_on_every_side_of_a_tile():
    """One row, and the neighbours of one, two and three tiles of 3 or 6 rows."""
    assert {1, 2, 3, 4, 5, 6, 7, 11, 12, 13, 17} <= {shape.B for shape in SHAPES.values()}


def test_shapes_are_cheap():
    """The whole table runs through the oracle in seconds."""
    assert max(shape.B * shape.T * shape.I * shape.H for shape in SHAPES.values()) <= 10_000
