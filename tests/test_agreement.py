"""The layers agree with Keras 2, Keras 3 and PyTorch wherever no difference is meant."""

from collections import Counter

import agreement
import numpy as np
import oracle_layers
import pytest
import tolerance
from agreement import CONFIGURATIONS, DIFFERENCES, SYSTEMS
from golden import configurations

RECORDED = [(system, number) for system in SYSTEMS for number in agreement.recording(system).found]
ACCEPTED = [configuration for configuration in CONFIGURATIONS if not agreement.turns_round(configuration)]
SAME = [pair for pair in RECORDED if not agreement.differences_of(pair[0], CONFIGURATIONS[pair[1]])]


def named(pairs):
    names = [f"{system}-{CONFIGURATIONS[number].name}" for system, number in pairs]
    return pytest.mark.parametrize(("system", "number"), pairs, ids=names)


def refuses(number):
    with pytest.raises(ValueError, match="go_backwards"):
        agreement.make(CONFIGURATIONS[number])


@pytest.mark.parametrize("system", SYSTEMS)
def test_these_configurations_are_recorded(system):
    assert agreement.recording(system).digest == configurations.digest(CONFIGURATIONS)


@pytest.mark.parametrize("configuration", ACCEPTED, ids=lambda configuration: configuration.name)
def test_agrees_with_the_oracle(configuration):
    got = agreement.flat(agreement.ours_of(configuration.number))
    for k, (ours, expected) in enumerate(zip(got, agreement.expected_of(configuration.number), strict=True)):
        tolerance.assert_close(ours, expected.exact, expected.naive, f"{configuration.name} [{k}]")


@named(SAME)
def test_agrees_with_recorded_results(system, number):
    """Within our bound plus their error, which is measured and must stay below what rounding explains."""
    found = agreement.recording(system).found[number]
    if agreement.turns_round(CONFIGURATIONS[number]):
        assert found.error.startswith("ValueError")
        refuses(number)
        return
    assert found.error is None
    ours = agreement.ours_of(number, system == "torch")
    assert agreement.structure(ours) == agreement.structure(found.calls)
    for k, (got, recorded, expected, limit) in enumerate(agreement.compared(system, number)):
        assert got.dtype == recorded.dtype == CONFIGURATIONS[number].dtype
        assert (np.abs(recorded - expected.exact) <= expected.ceiling).all()
        tolerance.assert_within(got, recorded, limit, f"{system} {CONFIGURATIONS[number].name} [{k}]")


@named([pair for pair in RECORDED if pair not in SAME])
def test_differs_as_it_says(system, number):
    """One of the two refuses, or the results are those of another configuration and not of this one."""
    entries = agreement.differences_of(system, CONFIGURATIONS[number])
    found, explained = agreement.recording(system).found[number], CONFIGURATIONS[number]
    if any(entry.theirs is None for entry in entries):
        assert found.error.startswith("TypeError")
        return
    for entry in entries:
        explained = entry.theirs(explained)
    theirs, ours = oracle_layers.expect(explained), agreement.expected_of(number)
    recorded = agreement.flat(found.calls)
    for array, expected in zip(recorded, theirs, strict=True):
        assert (np.abs(array - expected.exact) <= expected.ceiling).all()
    if any(entry.refused for entry in entries):
        refuses(number)
        return
    assert any(
        (np.abs(array - expected.exact) > expected.ceiling).any()
        for array, expected in zip(recorded, ours, strict=True)
    )


@pytest.mark.parametrize("entry", DIFFERENCES, ids=lambda entry: entry.name)
def test_every_difference_is_seen(entry):
    alone = [
        number
        for system, number in RECORDED
        if system in entry.systems and agreement.differences_of(system, CONFIGURATIONS[number]) == [entry]
    ]
    assert len(alone) >= 3


def test_every_property_is_drawn():
    drawn = Counter()
    for configuration in CONFIGURATIONS:
        masks = {call.mask is not None for call in configuration.calls}
        drawn.update(
            [
                configuration.kind,
                ("stateful", configuration.kind, configuration.stateful),
                ("mask", configuration.kind, configuration.mask_kind if True in masks else None),
                ("merge", configuration.merge_mode),
                ("zero", configuration.kind, configuration.zero_output_for_mask and True in masks),
                ("own backward", configuration.own_backward),
                ("initial", configuration.kind, configuration.calls[0].initial_state is not None),
                ("backwards", configuration.kind, configuration.parts[0].go_backwards),
                ("sequences", configuration.kind, configuration.return_sequences),
                ("state", configuration.kind, configuration.return_state),
            ]
        )
        drawn.update({("cell", configuration.kind, part.cell) for part in configuration.parts})
    assert len(CONFIGURATIONS) >= 560
    assert min(drawn.values()) >= 5, drawn.most_common()[-5:]
