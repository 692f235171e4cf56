"""What TensorFlow 1's cells, TensorFlow's operators, PyTorch and ONNX Runtime made of the random problems of
golden/, beside what this library makes of them.

`python tests/problems_agreement.py` prints how far they agree.
"""

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import problems_oracle
import problems_ours
import tolerance
from golden import problems
from golden.problems import Problem

PROBLEMS = problems.draw_all()
SYSTEMS = tuple(problems.COUNTS)
GOLDEN = Path(__file__).with_name("golden")


class Recording(NamedTuple):
    """Of one system: `found[dtype][number]` are the results."""

    versions: dict
    digest: str
    found: dict[str, dict[int, list[np.ndarray]]]


@cache
def recording(system, folder=GOLDEN):
    with np.load(folder / f"problems_{system}.npz") as file:
        found = {}
        for dtype, recorded in json.loads(str(file["recorded"])).items():
            values, position, found[dtype] = file[dtype], 0, {}
            for number, shapes in recorded.items():
                found[dtype][int(number)] = arrays = []
                for shape in shapes:
                    end = position + int(np.prod(shape))
                    arrays.append(values[position:end].reshape(shape))
                    position = end
        return Recording(json.loads(str(file["versions"])), str(file["digest"]), found)


class Difference(NamedTuple):
    """What a system makes otherwise than this library, in the problems to which it `applies`.

    `theirs` turns what we should give into what the system should; None: it gives the same, and we refuse.
    """

    name: str
    system: str
    reason: str
    applies: Callable[[Problem], bool]
    theirs: Callable | None


def has_states_and_an_empty_row(problem):
    return problem.lengths is not None and 0 in problem.lengths and problem.cells[0].initial is not None


def with_empty_rows_zero(problem, expected):
    """Y_h and Y_c, (directions, B, H), of rows of length 0."""
    valid = (problem.lengths > 0)[:, None]
    return [expected[0], *(type(state)(*(array * valid for array in state)) for state in expected[1:])]


def has_no_numbers_before_the_longest_end(problem):
    if problem.form != "fused" or problem.lengths is None:
        return False
    return bool(np.isnan(problem.x[:, : problem.lengths.max()]).any())


def with_no_numbers_in_padding(problem, expected):
    """In the outputs of rows that have ended, up to the longest row's end; both (T, B, H)."""
    steps = np.arange(problem.x.shape[1])[:, None]
    wrong = (steps >= problem.lengths) & (steps < problem.lengths.max())
    outputs = expected[0]._replace(exact=np.where(wrong[:, :, None], np.nan, expected[0].exact))
    return [outputs, *expected[1:]]


def has_a_length_above_time(problem):
    return problem.lengths is not None and problem.lengths.max() > problem.x.shape[1]


DIFFERENCES = (
    Difference(
        "state of an empty row",
        "onnxruntime",
        "Y_h and Y_c of a row of length 0 are 0, whatever initial_h and initial_c are; ONNX does not say; "
        "here, as in dynamic_rnn, a row without a step keeps its initial state",
        has_states_and_an_empty_row,
        with_empty_rows_zero,
    ),
    Difference(
        "padding that is no number",
        "block_ops",
        "LSTMBlockFusedCell multiplies outputs past a row's end by 0, which leaves what is not a number; "
        "here, as in dynamic_rnn, padding is not read and they are 0",
        has_no_numbers_before_the_longest_end,
        with_no_numbers_in_padding,
    ),
    Difference(
        "length above T",
        "rnn_cell",
        "dynamic_rnn takes a sequence_length above T for T; here it raises ValueError, since a length that "
        "the batch cannot hold is a mistake of the caller",
        has_a_length_above_time,
        None,
    ),
)


def difference_of(problem):
    """The entry of the table that is about this problem, or None."""
    applying = [entry for entry in DIFFERENCES if entry.system == problem.system and entry.applies(problem)]
    return applying[0] if applying else None


@cache
def expected_of(number, dtype):
    return problems_oracle.expect(PROBLEMS[number], np.dtype(dtype))


@cache
def ours_of(number, dtype):
    return problems_ours.run(PROBLEMS[number], dtype)


class Compared(NamedTuple):
    """One array: ours, theirs, the oracle's, and how far the first two may be apart, which is our bound and
    their measured error.
    """

    ours: np.ndarray
    theirs: np.ndarray
    expected: problems_oracle.Expected
    limit: float


def compared(number, dtype, folder=GOLDEN):
    theirs = recording(PROBLEMS[number].system, folder).found[dtype][number]
    for got, found, expected in zip(ours_of(number, dtype), theirs, expected_of(number, dtype), strict=True):
        error = float(np.abs(found - expected.exact).max(initial=0))
        yield Compared(got, found, expected, tolerance.bound(expected.naive, expected.exact) + error)


def ratio(found, expected, limit):
    """Of the largest error to what it may be; nan where one of the two is."""
    error = float(np.abs(found - expected).max(initial=0))
    return error / limit if limit else (np.inf if error else 0.0)


def worst_ratio(number, dtype, folder=GOLDEN):
    """Of the two libraries' results."""
    return np.max([ratio(c.ours, c.theirs, c.limit) for c in compared(number, dtype, folder)])


def worst_error(number, dtype):
    """Of this library's results."""
    pairs = zip(ours_of(number, dtype), expected_of(number, dtype), strict=True)
    return np.max([ratio(ours, e.exact, tolerance.bound(e.naive, e.exact)) for ours, e in pairs])


def is_rounded(found, expected):
    """Whether an array differs from the oracle's by no more than rounding explains."""
    numbers = ~np.isnan(expected.exact)
    if found.dtype != expected.naive.dtype or found.shape != numbers.shape:
        return False
    within = np.abs(found - expected.exact) <= expected.ceiling
    return bool((np.where(numbers, within, np.isnan(found))).all())


def theirs_is_explained(number, dtype, folder=GOLDEN):
    """Whether their results are within rounding of the oracle's, or of those that their difference gives."""
    problem, expected = PROBLEMS[number], expected_of(number, dtype)
    entry = difference_of(problem)
    if entry and entry.theirs:
        expected = entry.theirs(problem, expected)
    theirs = recording(problem.system, folder).found[dtype][number]
    return all(is_rounded(*pair) for pair in zip(theirs, expected, strict=True))


def summarize(systems=SYSTEMS, folder=GOLDEN):
    """Print for every system how many problems agree, the largest error over its bound, and what differs."""
    for system in systems:
        versions, digest, found = recording(system, folder)
        if digest != problems.digest(PROBLEMS):
            raise SystemExit(f"problems_{system}.npz records other problems; run golden/make_problems.py")
        print(system, ", ".join(f"{name} {version}" for name, version in versions.items()))
        for dtype, numbers in found.items():
            ratios, others = {}, {}
            for number in numbers:
                problem = PROBLEMS[number]
                entry, explained = difference_of(problem), theirs_is_explained(number, dtype, folder)
                if entry is None:
                    ratios[number] = worst_ratio(number, dtype, folder)
                    explained = explained and ratios[number] <= 1
                if entry or not explained:
                    name = entry.name if explained else "NOT EXPLAINED"
                    others.setdefault(name, []).append(problem.name)
            agree = len(numbers) - sum(map(len, others.values()))
            ours = max(worst_error(number, dtype) for number in ratios)
            print(f"  {dtype}: {len(numbers)} problems, {agree} agree,", end=" ")
            print(f"worst error/bound {max(ratios.values()):.2f}, ours against the oracle {ours:.2f}")
            for name, named in others.items():
                print(f"    {len(named):3d} {name}: {', '.join(named[:4])}", "..." * (len(named) > 4))


if __name__ == "__main__":
    summarize()
