"""A call that is refused changes nothing: no output, no state, nothing that the next call would see."""

import numpy as np
import pytest
from bits import same
from models import every_model

import numbarnn as nr

B, T, I, H = 7, 6, 5, 19  # noqa: E741
LENGTHS = np.array([4, 0, 6, 1, 5, 6, 2])
MASK = np.arange(T) >= T - LENGTHS[:, None]
RESETS = np.zeros((B, T), bool)
FAULTS = {
    "mask of another shape": {"mask": np.ones((B, T + 1), bool)},
    "mask of numbers": {"mask": np.ones((B, T))},
    "lengths above T": {"lengths": LENGTHS + 1},
    "negative lengths": {"lengths": LENGTHS - 1},
    "too few lengths": {"lengths": LENGTHS[1:]},
    "mask and lengths": {"mask": MASK, "lengths": LENGTHS},
    "resets of another shape": {"resets": RESETS[1:]},
    "state of another size": {"initial_state": [np.zeros((B, H + 1), np.float32)] * 2},
    "state of another dtype": {"initial_state": [np.zeros((B, H))] * 2},
    "no thread": {"n_threads": 0},
    "training in words": {"training": "yes"},
    "other inputs": {"x": np.zeros((B, T, I + 1), np.float32)},
    "inputs of another dtype": {"x": np.zeros((B, T, I))},
    "one row more": {"x": np.zeros((B + 1, T, I), np.float32)},
}



def started(model):
    """A stateful layer after its first call, and inputs."""
    layer = model.make(I, H, return_sequences=True, return_state=True, stateful=True)
    x = np.random.default_rng(2).standard_normal((B, T, I)).astype(np.float32)
    layer(x)
    return layer, x


@pytest.mark.parametrize("fault", FAULTS)
@every_model
def test_a_refused_call_changes_nothing(model, fault):
    """Not the outputs given, not the state, not the next result."""
    layer, x = started(model)
    states = layer.states
    out = tuple(np.full(shape, 7, np.float32) for shape in [(B, T, H)] + [(B, H)] * len(states))
    with pytest.raises((ValueError, TypeError)):
        layer(**{"x": x, "out": out} | FAULTS[fault])
    assert all((array == 7).all() for array in out)
    same(layer.states, states)
    fresh = model.make(I, H, return_sequences=True, return_state=True)
    same(layer(x), fresh(x, states))


@every_model
def test_a_refused_output_changes_nothing(model):
    """The last of several is wrong, so that the others could have been written by then."""
    layer, x = started(model)
    states = layer.states
    for wrong in (np.empty((B, H)), np.empty((H, B), np.float32).T, np.empty((B + 1, H), np.float32)):
        shapes = [(B, T, H)] + [(B, H)] * (len(states) - 1)
        out = (*(np.full(shape, 7, np.float32) for shape in shapes), wrong)
        with pytest.raises(ValueError, match="out"):
            layer(x, out=out)
        assert all((array == 7).all() for array in out[:-1])
        same(layer.states, states)


@pytest.mark.parametrize("fault", ["lengths above T", "mask of another shape", "state of another size"])
def test_a_refused_first_call_settles_nothing(fault):
    """Neither the number of features nor, in a stateful layer, that of rows."""
    layer = nr.LSTM(H, stateful=True)
    with pytest.raises(ValueError):
        layer(np.zeros((B, T, I), np.float32), **FAULTS[fault])
    with pytest.raises(ValueError):
        layer(np.zeros((B, T, I), np.float32), out=np.empty((B, H + 1), np.float32))
    assert layer.states is None
    assert layer(np.zeros((B + 1, T, I + 1), np.float32)).shape == (B + 1, H)
