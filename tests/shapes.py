"""Named sizes (B, T, I, H) for the tests: the name carries the property, no two sizes are equal without it.

Kernels work on vectors of 4, 8 or 16 units, on groups of 1 to 6 such vectors, and on tiles of 3 or 6 rows:
the names say where a shape stands to one of these. A tile without a number has 6 rows.
"""

from typing import NamedTuple


class Shape(NamedTuple):
    """Batch rows, timesteps, input features and units."""

    B: int
    T: int
    I: int  # noqa: E741
    H: int


SHAPES = {name: Shape(*sizes) for name, sizes in {
    "h1": (5, 4, 3, 1),
    "tail_h": (7, 3, 5, 2),
    "one_below_vector_of_4": (5, 6, 2, 3),
    "vector_of_4": (6, 3, 5, 4),
    "one_past_vector_of_4": (7, 4, 3, 5),
    "one_below_vector_of_8": (11, 4, 2, 7),
    "vector_of_8": (12, 3, 5, 8),
    "one_past_vector_of_8_and_two_of_4": (13, 2, 4, 9),
    "one_below_vector_of_16": (2, 5, 9, 15),
    "vector_of_16": (17, 3, 5, 16),
    "one_past_vector_of_16_and_two_of_8": (6, 4, 3, 17),
    "one_past_two_vectors_of_16": (3, 2, 7, 33),
    "three_vectors_of_4": (5, 3, 2, 12),
    "six_vectors_of_4_three_of_8": (7, 3, 2, 24),
    "one_past_six_vectors_of_4": (3, 4, 2, 25),
    "six_vectors_of_8_three_of_16": (5, 2, 3, 48),
    "six_vectors_of_16": (4, 3, 2, 96),
    "one_past_six_vectors_of_16": (2, 4, 3, 97),
    "wide": (7, 2, 3, 130),
    "b1": (1, 7, 5, 6),
    "b1_one_past_six_vectors_of_8": (1, 3, 2, 49),
    "one_below_tile_of_3": (2, 4, 3, 10),
    "tile_of_3": (3, 5, 2, 11),
    "one_past_tile_of_3": (4, 2, 7, 10),
    "one_below_tile": (5, 3, 4, 13),
    "exact_tile": (6, 2, 5, 10),
    "one_past_tile": (7, 4, 2, 11),
    "one_below_two_tiles": (11, 3, 2, 6),
    "two_tiles": (12, 2, 3, 5),
    "one_past_two_tiles": (13, 3, 2, 6),
    "one_below_three_tiles": (17, 2, 6, 3),
    "t1": (7, 1, 4, 6),
    "b1_t1": (1, 1, 5, 6),
    "all_one": (1, 1, 1, 1),
    "i1": (4, 5, 1, 6),
    "i_neq_h": (3, 4, 11, 7),
    "i_eq_h": (3, 4, 10, 10),
    "i_above_h": (2, 3, 70, 5),
    "prime_all": (13, 5, 3, 11),
    "long": (2, 200, 3, 5),
}.items()}
