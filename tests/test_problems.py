"""TensorFlow, PyTorch and ONNX Runtime agree with this library wherever no difference is meant."""

from collections import Counter
from dataclasses import replace

import numpy as np
import problems_agreement as agreement
import problems_oracle
import pytest
import tolerance
from golden import problems
from problems_agreement import DIFFERENCES, PROBLEMS, SYSTEMS

RECORDED = [
    (system, number, dtype)
    for system in SYSTEMS
    for dtype, found in agreement.recording(system).found.items()
    for number in found
]
REFUSED = [
    pair for pair in RECORDED if (entry := agreement.difference_of(PROBLEMS[pair[1]])) and not entry.theirs
]
SAME = [pair for pair in RECORDED if agreement.difference_of(PROBLEMS[pair[1]]) is None]


def named(found):
    names = [f"{system}-{PROBLEMS[number].name}-{dtype}" for system, number, dtype in found]
    return pytest.mark.parametrize(("system", "number", "dtype"), found, ids=names)


@pytest.mark.parametrize("system", SYSTEMS)
def test_all_of_these_problems_are_recorded(system):
    recording = agreement.recording(system)
    assert recording.digest == problems.digest(PROBLEMS)
    assert tuple(recording.found) == problems.DTYPES[system]
    for found in recording.found.values():
        assert list(found) == [problem.number for problem in PROBLEMS if problem.system == system]


@named([pair for pair in RECORDED if pair not in REFUSED])
def test_agrees_with_the_oracle(system, number, dtype):
    got, expected = agreement.ours_of(number, dtype), agreement.expected_of(number, dtype)
    for k, (ours, truth) in enumerate(zip(got, expected, strict=True)):
        tolerance.assert_close(ours, truth.exact, truth.naive, f"{PROBLEMS[number].name} [{k}]")


@named(SAME)
def test_agrees_with_recorded_results(system, number, dtype):
    """Within our bound plus their error, which is measured and must stay below what rounding explains."""
    for k, (ours, theirs, expected, limit) in enumerate(agreement.compared(number, dtype)):
        assert ours.dtype == theirs.dtype == dtype
        assert agreement.is_rounded(theirs, expected)
        tolerance.assert_within(ours, theirs, limit, f"{PROBLEMS[number].name} [{k}]")


@named([pair for pair in RECORDED if pair not in SAME])
def test_differs_as_it_says(system, number, dtype):
    """Theirs are the results that the entry tells of, and not ours; or we refuse."""
    problem, expected = PROBLEMS[number], agreement.expected_of(number, dtype)
    entry, recorded = agreement.difference_of(problem), agreement.recording(system).found[dtype][number]
    told = entry.theirs(problem, expected) if entry.theirs else expected
    assert all(agreement.is_rounded(*pair) for pair in zip(recorded, told, strict=True))
    if entry.theirs is None:
        with pytest.raises(ValueError, match="sequence_length"):
            agreement.ours_of(number, dtype)
        return
    assert not all(agreement.is_rounded(*pair) for pair in zip(recorded, expected, strict=True))


@pytest.mark.parametrize("entry", DIFFERENCES, ids=lambda entry: entry.name)
def test_every_difference_is_seen(entry):
    assert sum(agreement.difference_of(problem) == entry for problem in PROBLEMS) >= 5


def with_option(name, value):
    """A function: the problem with this value of the option, or None where that changes nothing."""

    def changed(problem):
        if all(cell.options.get(name, value) == value for cell in problem.cells):
            return None
        layers = [
            [replace(c, options=c.options | {name: value}) if name in c.options else c for c in layer]
            for layer in problem.layers
        ]
        return replace(problem, layers=layers)

    return changed


def without_peepholes(problem):
    """With weights of 0."""
    layers, places = [], slice(3, None) if problem.system == "onnxruntime" else slice(2, 5)
    if not any(cell.options.get("use_peepholes", cell.options.get("peepholes")) for cell in problem.cells):
        return None
    for layer in problem.layers:
        layers.append([replace(cell, weights=list(cell.weights)) for cell in layer])
        for cell in layers[-1]:
            if cell.options.get("use_peepholes", cell.options.get("peepholes")):
                cell.weights[places] = [array * 0 for array in cell.weights[places]]
    return replace(problem, layers=layers)


def without_lengths(problem):
    return None if problem.lengths is None else replace(problem, lengths=None)


def without_states(problem):
    if all(cell.initial is None for cell in problem.cells):
        return None
    return replace(problem, layers=[[replace(c, initial=None) for c in layer] for layer in problem.layers])


CHANGES = {
    "forget_bias": with_option("forget_bias", 0.0),
    "cell_clip": with_option("cell_clip", None),
    "proj_clip": with_option("proj_clip", None),
    "clip": with_option("clip", None),
    "input_forget": with_option("input_forget", False),
    "linear_before_reset": with_option("linear_before_reset", False),
    "activation": with_option("activation", "tanh"),
    "nonlinearity": with_option("nonlinearity", "tanh"),
    "wrapper": with_option("wrapper", None),
    "peepholes": without_peepholes,
    "lengths": without_lengths,
    "states": without_states,
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_is_drawn_matters(name):
    """Results without it are others, by more than rounding, in at least ten problems."""
    seen = 0
    for problem in PROBLEMS:
        changed = CHANGES[name](problem)
        if changed is None:
            continue
        results = [problems_oracle.expect(one, np.dtype("float32")) for one in (problem, changed)]
        seen += any(
            (np.abs(a.exact - b.exact) > a.ceiling + b.ceiling).any() for a, b in zip(*results, strict=True)
        )
        if seen == 10:
            return
    raise AssertionError(f"{seen} problems")


def test_every_property_is_drawn():
    drawn = Counter()
    for problem in PROBLEMS:
        system, T = problem.system, problem.x.shape[1]
        drawn[system, problem.form] += 1
        drawn.update({(system, name, value) for name, value in problem.options.items()})
        if problem.lengths is not None:
            drawn.update({(system, "length", n) for n in problem.lengths.tolist() if n <= 1})
            drawn[system, "length T"] += T in problem.lengths
            drawn[system, "unsorted"] += bool((np.diff(problem.lengths) > 0).any())
        for cell in problem.cells:
            drawn[system, cell.kind] += 1
            drawn.update(
                (system, name, str(value))
                for name, value in sorted(cell.options.items())
                if name not in ("num_proj", "proj_size", "activations")
            )
            drawn.update((system, name) for name in ("num_proj", "proj_size") if name in cell.options)
            drawn.update((system, function) for function, *_ in cell.options.get("activations", ()))
    assert len(PROBLEMS) >= 400
    assert min(drawn.values()) >= 5, drawn.most_common()[-5:]
