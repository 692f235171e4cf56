"""Copies and pickles hold the same weights and states, compute the same bits, and then go their own ways."""

import copy
import multiprocessing
import operator
import pickle
import subprocess
import sys

import numpy as np
import pytest
from models import MODELS

import numbarnn as nr

B, T, I, H = 3, 5, 4, 6  # noqa: E741
LAYERS = {
    "lstm": lambda: nr.LSTM(H, stateful=True, return_sequences=True, seed=1),
    "gru": lambda: nr.GRU(H, stateful=True, use_bias=False, dtype="float64", seed=2),
    "gru_before": lambda: nr.GRU(H, reset_after=False, stateful=True, return_state=True, seed=3),
    "simple": lambda: nr.SimpleRNN(H, stateful=True, go_backwards=True, activation=nr.math.sigmoid, seed=4),
    "own function": lambda: nr.GRU(H, stateful=True, activation=squash, seed=5),
    "own cell": lambda: nr.RNN(nr.FusedCell(LEAKY, H, seed=6), stateful=True),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def pickled(thing):
    return pickle.loads(pickle.dumps(thing))


every_way = pytest.mark.parametrize("copied", [copy.deepcopy, pickled])


def squash(a):
    return a / (1.0 + abs(a))


def leak(a, h, *, activation=nr.math.tanh):
    return h + 0.25 * (activation(a) - h)


LEAKY = nr.cell("leaky", states="h=0.5", phases=[nr.phase("a:x+h", leak)])


def used(name):
    """A layer that has weights and states, and the next inputs."""
    layer = LAYERS[name]()
    first, x = np.random.default_rng(7).standard_normal((2, B, T, I)).astype(layer.dtype)
    layer(first)
    return layer, x


def bits(results):
    return [array.tobytes() for array in (results if isinstance(results, list | tuple) else [results])]


@every_way
@every_layer
def test_layers(name, copied):
    layer, x = used(name)
    before = bits(layer.states)
    twin = copied(layer)
    assert type(twin) is type(layer) and repr(twin) == repr(layer) and twin.dtype == layer.dtype
    assert bits(twin.get_weights()) == bits(layer.get_weights())
    assert not any(array.flags.writeable for array in twin.get_weights())
    assert bits(twin.states) == before
    expected = bits(layer(x))
    assert bits(twin.states) == before, "the copy moved with the original"
    assert bits(twin(x)) == expected and bits(twin.states) == bits(layer.states)
    twin.set_weights([0 * array for array in twin.get_weights()])
    twin.reset_states()
    again = copied(layer)
    assert bits(layer(x)) == bits(again(x)), "the original moved with the copy"


@every_way
@every_layer
def test_steppers(name, copied):
    layer, x = used(name)
    stepper = layer.stepper(B)
    for t in range(2):
        stepper(x[:, t])
    twin = copied(stepper)
    assert bits(twin.states) == bits(stepper.states)
    for t in range(2, T):
        assert bits(twin(x[:, t])) == bits(stepper(x[:, t]))
    assert bits(twin.states) == bits(stepper.states)
    twin.reset()
    assert bits(twin.states) != bits(stepper.states)


@every_way
def test_what_has_not_been_used(copied):
    """A layer without weights, a stepper without steps: a copy draws the weights that the original draws."""
    layer, stepper = nr.LSTM(H, seed=8), nr.LSTM(H, seed=8).stepper(B)
    x = np.ones((B, T, I), np.float32)
    assert copied(layer).get_weights() == []
    assert bits(copied(layer)(x)) == bits(layer(x))
    assert bits(copied(stepper)(x[:, 0])) == bits(stepper(x[:, 0]))


@every_way
def test_other_things(copied):
    ragged = nr.Ragged.from_rows([np.ones((2, 3)), np.ones((0, 3))])
    twin = copied(ragged)
    assert bits([twin.values, twin.offsets]) == bits([ragged.values, ragged.offsets])
    cell = nr.GRUCell(H, seed=9)
    cell.build(I)
    x_t, states = np.ones((B, I), np.float32), cell.get_initial_state(B)
    assert bits(copied(cell)(x_t, states)[0]) == bits(cell(x_t, states)[0])
    assert copied(nr.math.tanh)(0.5) == np.tanh(0.5)


def test_pickles_of_one_stepper_and_its_layer_share_the_weights():
    """New weights of the unpickled layer reach the stepper that was pickled with it, as they did before."""
    layer, x = used("lstm")
    stepper = layer.stepper(B)
    layer, stepper = pickle.loads(pickle.dumps((layer, stepper)))
    layer.set_weights([0 * array for array in layer.get_weights()])
    assert not stepper(x[:, 0]).any()


CHILD = """
import pickle, sys
layers, stepper, x = pickle.load(sys.stdin.buffer)
pickle.dump([[layer(x) for layer in layers], stepper(x[:, 1])], sys.stdout.buffer)
"""


def test_a_new_process_computes_the_same_bits():
    """A fresh interpreter, which has only what is in the pickle, goes on where this one stands."""
    layers = [used(name)[0] for name in ("lstm", "gru_before", "simple")]
    stepper = layers[0].stepper(B)
    x = used("lstm")[1]
    stepper(x[:, 0])
    command, sent = [sys.executable, "-W", "error", "-c", CHILD], pickle.dumps((layers, stepper, x))
    child = subprocess.run(command, input=sent, stdout=subprocess.PIPE, check=True)
    results, step = pickle.loads(child.stdout)
    for layer, result in zip(layers, results, strict=True):
        assert bits(result) == bits(layer(x))
    assert bits(step) == bits(stepper(x[:, 1]))


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_workers_compute_the_same_bits(method):
    """Layers of every kind, with weights and states, and steppers, sent there and back."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {method}")
    x = np.random.default_rng(7).standard_normal((B, T, I)).astype(np.float32)
    with multiprocessing.get_context(method).Pool(1) as pool:
        for model in MODELS.values():
            layer = model.make(I, H, stateful=True, return_sequences=True)
            layer(x)
            stepper = layer.stepper(B)
            stepper(x[:, 0])
            for thing in (layer, stepper):
                assert bits(pool.apply(copy.copy, (thing,)).states) == bits(thing.states)
            assert bits(pool.apply(copy.copy, (layer,)).get_weights()) == bits(layer.get_weights())
            for thing, given in ((layer, x), (stepper, x[:, 1])):
                call = operator.methodcaller("__call__", given)
                assert bits(pool.apply(call, (thing,))) == bits(thing(given))


@every_layer
def test_a_shallow_copy_computes_the_same_bits(name):
    """Weights and states are those of the original."""
    layer, x = used(name)
    twin = copy.copy(layer)
    assert bits(twin.get_weights()) == bits(layer.get_weights()) and bits(twin.states) == bits(layer.states)
    states = layer.states
    expected = bits(layer(x))
    assert bits(twin(x, states)) == expected
