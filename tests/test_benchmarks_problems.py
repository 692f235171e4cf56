"""Problems of a benchmark: work, lengths, data, and the plain loop that all results are held against."""

from itertools import pairwise

import numpy as np
import pytest
import tolerance

from numbarnn import benchmarks
from numbarnn.benchmarks import Problem
from numbarnn.benchmarks.lengths import LAWS

DENSE = Problem("lstm", 7, 5, 3, 10)
PADDED = Problem("gru", 6, 9, 4, 5, layers=2, directions=2, padding="uniform", padded=0.4)


def test_work_is_that_of_the_products():
    """Multiplications and additions, of inputs and of states, for every gate, at useful steps only."""
    assert DENSE.flops == DENSE.call_flops == 7 * 5 * 4 * 10 * (3 + 10) * 2
    assert Problem("gru", 5, 6, 11, 9).flops == 5 * 6 * 3 * 9 * (11 + 9) * 2
    steps = PADDED.lengths.sum()
    assert PADDED.useful_steps == steps < 6 * 9
    assert PADDED.flops == steps * 2 * 3 * 5 * ((4 + 5) + (10 + 5)) * 2
    assert DENSE._replace(each_step=True).call_flops == 7 * 4 * 10 * (3 + 10) * 2


@pytest.mark.parametrize("problem", [DENSE, PADDED, PADDED._replace(dtype="float64")], ids=str)
def test_bytes_of_the_weights(problem):
    arrays = [array for layer in benchmarks.draw(problem).weights for four in layer for array in four]
    assert {array.dtype for array in arrays} == {np.dtype(problem.dtype)}
    assert problem.weight_bytes == sum(array.nbytes for array in arrays)


@pytest.mark.parametrize("padded", [0, 0.25, 0.5, 0.75, 0.9, 0.95])
@pytest.mark.parametrize("law", LAWS)
def test_lengths(law, padded):
    """One row is the longest, none is empty, and as much is padding as was wanted: each length is rounded."""
    problem = Problem("lstm", 32, 200, 3, 10, padding=law, padded=padded)
    lengths = problem.lengths
    assert lengths.dtype == np.int64 and lengths.shape == (32,)
    assert lengths.max() == 200 and lengths.min() >= 1
    assert abs(1 - lengths.mean() / 200 - padded) < 0.01
    np.testing.assert_array_equal(lengths, problem.lengths)
    if law == "one long":
        assert len(set(lengths)) == 2 or not padded
    elif padded:
        assert len(set(lengths)) > 8
        assert (np.diff(lengths) > 0).any() and (np.diff(lengths) < 0).any(), "rows are in no order"


def test_laws_differ():
    """In log-normal lengths the middle one is short, in uniform ones it is the mean."""
    lengths = {law: Problem("lstm", 101, 1000, 1, 1, padding=law, padded=0.5).lengths for law in LAWS}
    middle = {law: np.median(values) for law, values in lengths.items()}
    assert middle["log-normal"] < 450 < middle["uniform"] < 550
    quarters = np.percentile(lengths["triangular"], [12.5, 50, 87.5])
    np.testing.assert_allclose(
        quarters, [250, 500, 750], atol=10
    )  # a quarter of the area below half the peak
    np.testing.assert_array_equal(lengths["left"], lengths["uniform"])


def test_few_rows():
    """A single row has no padding; where the longest row is more than wanted, the others have one step."""
    assert Problem("lstm", 1, 9, 1, 1, padding="uniform", padded=0.5).lengths.tolist() == [9]
    assert sorted(Problem("lstm", 3, 9, 1, 1, padding="one long", padded=0.9).lengths) == [1, 1, 9]


def test_valid_steps():
    """From the left, or up to the right end."""
    assert DENSE.lengths is None and DENSE.valid is None and DENSE.useful_steps == 35
    np.testing.assert_array_equal(PADDED.valid.sum(1), PADDED.lengths)
    assert PADDED.valid[:, 0].all()
    left = PADDED._replace(padding="left")
    np.testing.assert_array_equal(left.valid, PADDED.valid[:, ::-1])


@pytest.mark.parametrize("problem", [DENSE, PADDED, DENSE._replace(resets=0.3)], ids=str)
def test_same_seed_same_data(problem):
    """And another one with another."""

    def arrays(seed):
        data = benchmarks.draw(problem, seed)
        found = [data.x, *(array for layer in data.weights for four in layer for array in four)]
        return found + ([] if data.resets is None else [data.resets])

    for a, b, c in zip(arrays(1), arrays(1), arrays(2), strict=True):
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_resets():
    """About as many as wanted, none where every row begins anyway."""
    resets = benchmarks.draw(Problem("gru", 40, 50, 1, 1, resets=0.1)).resets
    assert not resets[:, 0].any()
    assert 120 < resets.sum() < 280  # 196 +- 6 standard deviations of 13.3


@pytest.mark.parametrize(
    "field, words",
    [
        ({"cell": "rnn"}, "cell = 'rnn'; expected one of"),
        ({"dtype": "float16"}, "dtype = 'float16'"),
        ({"directions": 3}, "directions = 3"),
        ({"padding": "right"}, "padding = 'right'"),
        ({"H": 0}, "H = 0; expected at least 1"),
        ({"padded": 1.0, "padding": "left"}, "padded = 1.0; expected a share"),
        ({"resets": -0.1}, "resets = -0.1"),
        ({"padded": 0.5}, "padded = 0.5 with padding = 'none'"),
        ({"resets": 0.1, "directions": 2}, "resets with directions = 2"),
        ({"each_step": True, "directions": 2}, "directions = 2 with each_step"),
        ({"each_step": True, "padding": "left"}, "padding = 'left' with each_step"),
        ({"each_step": True, "resets": 0.1}, "resets = 0.1 with each_step"),
    ],
)  # fmt: skip
def test_what_is_no_problem(field, words):
    with pytest.raises(ValueError, match=words):
        benchmarks.draw(DENSE._replace(**field))


def in_float64(problem):
    """Data, and the plain loop's outputs in float64."""
    data = benchmarks.draw(problem)
    return data, benchmarks.plain(problem, data, np.float64)


@pytest.mark.parametrize("padding", ["uniform", "left"])
@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_plain_loop_of_padded_rows(cell, padding):
    """Each row is what it is alone, without padding, in both directions; padding is 0."""
    problem = PADDED._replace(cell=cell, padding=padding)
    data, y = in_float64(problem)
    assert not y[~problem.valid].any()
    for b, length in enumerate(problem.lengths):
        here = problem.valid[b]
        alone = problem._replace(B=1, T=int(length), padding="none", padded=0)
        of_row = data._replace(x=data.x[b : b + 1, here], lengths=None)
        expected = benchmarks.plain(alone, of_row, np.float64)[0]
        tolerance.assert_within(
            y[b, here], expected, 1e-14, f"row {b}"
        )  # 2 * 5 products of order 1, two layers


def test_plain_loop_with_resets():
    """A row begins anew where it is told to."""
    problem = Problem("lstm", 3, 8, 4, 5, layers=2, resets=0.3)
    data, y = in_float64(problem)
    assert data.resets.any()
    for b in range(3):
        begins = [0, *np.flatnonzero(data.resets[b]), 8]
        for begin, end in pairwise(begins):
            alone = problem._replace(B=1, T=int(end - begin), resets=0)
            piece = data._replace(x=data.x[b : b + 1, begin:end], resets=None)
            expected = benchmarks.plain(alone, piece, np.float64)[0]
            tolerance.assert_within(y[b, begin:end], expected, 1e-14, f"row {b} from {begin}")


def test_bound_admits_rounding_only():
    """The plain loop itself is within it; a hundredth of a percent is not."""
    data = benchmarks.draw(DENSE)
    exact, bound = benchmarks.reference(DENSE, data)
    assert exact.dtype == np.float64 and exact.shape == (7, 5, 10)
    assert np.abs(benchmarks.plain(DENSE, data) - exact).max() <= bound < 1e-4 * np.abs(exact).max()
