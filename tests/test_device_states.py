"""States, steppers, cells and weights on CUDA devices, and what is sent there.

Kernels run in Numba's simulator, on memory of stand-ins for other libraries.
"""

import copy
import pickle
from types import SimpleNamespace

import numpy as np
import on_devices
import pytest
from bits import same
from foreign import Exchanged, Interfaced, NumbaLike, Standard
from models import MODELS, every_model
from on_devices import (
    LENGTHS,
    LSTM,
    B,
    H,
    I,
    T,
    batch,
    host,
    keeping_nothing,
    memory,
    of_kind,
    simulated,
    strided,
    unchanged,
)

from numbarnn import device

two = on_devices.two  # the fixture
pytestmark = [pytest.mark.cpu, simulated]  # they say themselves where they run


# States that stay


@every_model
def test_states_follow_the_inputs(two, model):
    """From the host to a device, to another one, and back; at each step they are what the calls give."""
    layer, _, x, states = batch(model, stateful=True)
    plain, sent, _, _ = batch(model)
    pieces = np.split(x, T, axis=1)
    layer.reset_states(states)
    for piece, number in zip(pieces, (None, 0, 1, None), strict=True):
        y, *expected = (plain if number is None else sent)(piece, states)
        results = layer(piece if number is None else Standard(piece, number))
        results = list(results) if number is None else of_kind(results, number=number)
        same(results, [y, *expected])
        same(layer.states, expected)
        states = expected


def test_stateful_results_are_the_callers(two):
    """What is handed out is no part of the state."""
    layer, _, x, _ = batch(stateful=True)
    _, *results = layer(Standard(x))
    kept = layer.states
    for result in results:
        result.host[...] = np.nan
    for array in layer.states:
        array[...] = np.nan
    same(layer.states, kept)


def test_reset_states(two):
    layer, sent, x, states = batch(stateful=True)
    first = host(layer(Standard(x)))
    layer.reset_states(rows=[1])
    assert not any(array[1].any() for array in layer.states)
    same([array[[0, 2]] for array in layer.states], [array[[0, 2]] for array in first[1:]])
    layer.reset_states(
        [Interfaced(state) for state in states], rows=Interfaced(np.array([True, False, True]))
    )
    wanted = [state.copy() for state in states]
    for array in wanted:
        array[1] = 0
    same(layer.states, wanted)
    layer.reset_states()
    same(host(layer(Standard(x))), first)
    layer.reset_states([Interfaced(state, 1) for state in states])
    same(host(layer(Standard(x))), keeping_nothing(sent)(x, states))


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda thing: pickle.loads(pickle.dumps(thing))]
)
def test_copies_of_a_state_on_a_device(two, copied):
    """Lie in host memory and go on from there, both of them."""
    layer, _, x, _ = batch(stateful=True)
    layer(Standard(x))
    state = copied(layer._state)
    same(state.copies(), layer.states)
    assert state.device is None and all(type(array) is np.ndarray for array in state.current + state.spare)
    state.reset()
    assert all(array.any() for array in layer.states)


@every_model
def test_a_stepper(two, model):
    """Alternating between host and devices, with and without `out`: as the cell does with the states at
    hand.
    """
    layer, _, x, _ = batch(model)
    stepper, states = layer.stepper(B), layer.stepper(B).states
    for t, number in enumerate([None, 0, None, 1]):
        x_t = x[:, t] if number is None else Standard(x[:, t].copy(), number)
        given = states if number is None else [Standard(state, number) for state in states]
        output, new = layer.cell(x_t, given)
        if number is None:
            assert type(output) is np.ndarray
            same([stepper(x_t)], [output])
        else:
            out = Standard(memory(B, H), number) if t == 1 else None
            result = stepper(x_t, out=out)
            assert out is None or result is out
            same(of_kind([result], number=number), of_kind([output], number=number))
        states = host(new)
        same(stepper.states, states)
    stepper.reset(rows=[2])
    assert [set(array[2]) for array in stepper.states] == [{constant} for constant in model.constants]


def test_a_steppers_wrong_arguments(two):
    layer, _, x, _ = batch()
    x = x.swapaxes(0, 1).copy()
    stepper = layer.stepper(B)
    stepper(Standard(x[0]))
    kept, x_t = stepper.states, Standard(x[1])
    wrong = [
        ({"out": memory(B, H)}, ValueError, "out lies in host memory"),
        ({"out": Standard(memory(B, H), 1)}, ValueError, "out lies on <CUDA device 1"),
        ({"out": Interfaced(memory(B, H), read_only=True)}, ValueError, "out is not C-contiguous"),
        ({"x_t": Standard(x[1, :2])}, ValueError, "x_t has shape"),
        ({"x_t": Standard(x[1].astype("f8"))}, TypeError, "x_t .* dtype float64"),
        ({"x_t": Standard(strided(x[1], (2, 1)))}, TypeError, "x_t .*C-contiguous"),
        ({"x_t": x[1], "out": Standard(memory(B, H))}, TypeError, "out is of type Standard"),
    ]
    for given, error, message in wrong:
        with pytest.raises(error, match=message):
            stepper(**{"x_t": x_t} | given)
        same(stepper.states, kept)
    with pytest.raises(ValueError, match="x_t lies on a CUDA device, and device = 'cpu'"):
        LSTM.make(I, H, device="cpu").stepper(B)(x_t)


def test_a_cell(two):
    """Called by itself it runs where the inputs lie; a structure of states comes back as it is."""
    layer, sent, x, states = batch(return_sequences=False)
    y, *expected = sent(x[:, :1], states)
    x_t = x[:, 0].copy()
    output, new = unchanged(layer.cell, Standard(x_t), [Standard(state) for state in states])
    same(of_kind([output, *new]), [y, *expected])
    output, new = layer.cell(Exchanged(x_t), tuple(map(Interfaced, states)))
    assert type(new) is tuple
    same([output, *new], [y, *expected])
    gru, sent, x, [h] = batch(MODELS["gru"])
    _, new = gru.cell(Standard(x_t, 1), Standard(h, 1))
    same(of_kind([new], number=1), sent(x[:, :1], h)[1:])


# Devices and what is sent to them


@pytest.fixture
def uploaded(two, monkeypatch):
    """(device, array) of everything that is uploaded."""
    arrays, upload = [], device.SimulatedDevice.upload

    def counted(self, array, target=None):
        arrays.append((self, array))
        return upload(self, array, target)

    monkeypatch.setattr(device.SimulatedDevice, "upload", counted)
    return arrays


def uploads_of_weights(layer, uploaded):
    """Numbers of the devices that the layer's weights were sent to."""
    made = [prepared.weights for prepared in layer.cell.program.on_devices.values()]
    assert made
    return [at.number for at, array in uploaded if any(array is weights for weights in made)]


def test_weights_are_uploaded_once_for_each_device(two, uploaded):
    layer, _, x, _ = batch()
    for number, lengths in ((0, None), (0, LENGTHS), (1, None), (0, None), (1, LENGTHS)):
        layer(Standard(x, number), lengths=lengths)
    assert uploads_of_weights(layer, uploaded) == [0, 1]
    uploaded.clear()
    layer(Standard(x))
    assert uploaded == []  # the words of a dense call stay there too
    layer.set_weights([Interfaced(array / 2, 1) for array in layer.get_weights()])
    halved = keeping_nothing(layer)
    uploaded.clear()
    same(of_kind(layer(Standard(x))), halved(x))
    assert uploads_of_weights(layer, uploaded) == [0]


def test_inputs_on_a_device_are_not_uploaded(two, uploaded):
    layer, _, x, states = batch()
    layer(Standard(x), [Standard(state) for state in states], lengths=LENGTHS)
    assert all(array.dtype == np.int64 or array.ndim == 1 for _, array in uploaded)
    assert len(uploaded) == 2  # words and weights


def test_arrays_on_two_devices(two):
    layer, sent, x, states = batch(stateful=True)
    here, there = "<CUDA device 0: simulator 0>", "<CUDA device 1: simulator 1>"
    initial = [Standard(states[0]), Standard(states[1], 1)]
    with pytest.raises(ValueError, match=rf"initial_state\[1\] lies on {there}, x on {here}"):
        layer(Standard(x), initial)
    with pytest.raises(ValueError, match=rf"initial_state\[0\] lies in host memory, x on {there}"):
        layer(Standard(x, 1), states)
    with pytest.raises(ValueError, match=rf"initial_state\[0\] lies on {here}, x in host memory"):
        layer(x, initial)
    with pytest.raises(ValueError, match=rf"^states\[1\] lies on {there}, x on {here}"):
        layer.cell(Standard(x[:, 0].copy()), initial)
    assert layer.states is None
    same(of_kind(layer(Standard(x, 1)), number=1), keeping_nothing(sent)(x))


def test_which_device(two, uploaded):
    """As DLPack tells, as the context of Numba's memory tells, or else the current one."""
    layer, _, x, _ = batch(return_state=False)
    for kind in (Exchanged, NumbaLike, Interfaced):
        uploaded.clear()
        layer(kind(x, 1), lengths=LENGTHS)
        assert uploaded and all(at is two[1] for at, _ in uploaded)
    unknown = SimpleNamespace(__cuda_array_interface__=Interfaced(x).__cuda_array_interface__)
    uploaded.clear()
    layer(unknown, lengths=LENGTHS)
    assert uploaded and all(at is two[0] for at, _ in uploaded)
