"""flush_denormals: numbers below the normal ones are 0 inside a call, and nothing else is different."""

import numpy as np
import pytest
from bits import same
from models import MODELS, every_model

import numbarnn as nr
from numbarnn.kernels import atomics, jit

if not jit.DISABLED:
    from numbarnn.kernels.jit import njit

    @njit
    def exchange(mode):
        return atomics.exchange_float_mode(mode)


pytestmark = pytest.mark.skipif(
    jit.DISABLED or not atomics.FLUSH_MODE,
    reason="NUMBA_DISABLE_JIT=1 is set, or this machine's floating-point mode is not known to us",
)
I, H, STICKY = 3, 21, 0x3F  # the low bits of the mode record exceptions that have happened  # noqa: E741


def pair(model, **options):
    """Layers of one cell that keep denormal numbers, and flush them."""
    cell = model.make(I, H, use_bias=False).cell
    return [nr.RNN(cell, flush_denormals=flush, return_sequences=True, **options) for flush in (False, True)]


def problem(model, B, T, scale=1.0):
    rng = np.random.default_rng(B + T)
    x = np.float32(scale) * rng.standard_normal((B, T, I), dtype=np.float32)
    return x, [state * np.float32(scale) for state in model.states(B, H, "float32", rng)]


@pytest.mark.parametrize("name", [name for name in MODELS if name != "toy"])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_denormal_becomes_0(name, threads, monkeypatch):
    """In cells that make 0 of nothing but zeros. The layers share a cell, so neither may take a call that the
    other has left behind.
    """
    model = MODELS[name]
    monkeypatch.setattr("numbarnn.costs.LAUNCH_WORTH_SECONDS", 0.0)
    kept, flushed = pair(model)
    x, states = problem(model, 5, 7, 1e-39)
    for _ in range(2):
        for given in ({"initial_state": states}, {"lengths": [7, 0, 1, 4, 7]}, {}):
            y = kept(x, n_threads=threads, **given)
            assert 0 < abs(y).max() < np.finfo(np.float32).smallest_normal
            assert not flushed(x, n_threads=threads, **given).any()


@every_model
def test_ordinary_numbers_keep_their_bits(model):
    kept, flushed = pair(model, return_state=True)
    x, states = problem(model, 6, 9)
    for given in ({}, {"lengths": [9, 0, 1, 3, 9, 2]}, {"resets": np.arange(54).reshape(6, 9) % 5 == 0}):
        same(flushed(x, states, **given), kept(x, states, **given))


def test_steps_directions_and_states_that_stay():
    model = MODELS["gru"]
    kept, flushed = pair(model)
    x, _ = problem(model, 2, 3, 1e-39)
    steppers = [layer.stepper(2) for layer in (kept, flushed)]
    for t in range(3):
        y, z = (stepper(x[:, t]) for stepper in steppers)
        assert y.any() and not z.any()
    for layer, is_kept in ((kept, True), (flushed, False)):
        both = nr.Bidirectional(layer)
        both.build(I)
        both.set_weights([*layer.get_weights(), *layer.get_weights()])
        assert both(x).any() == is_kept
    for layer, is_kept in zip(pair(model, stateful=True), (True, False), strict=True):
        layer(x)
        assert layer.states[0].any() == is_kept


@pytest.mark.parametrize("mode", [atomics.DEFAULT_MODE, atomics.FLUSH_MODE])
def test_the_callers_mode_is_restored(mode):
    for layer in pair(MODELS["lstm"]):
        x, _ = problem(MODELS["lstm"], 2, 4, 1e-39)
        layer(x)
        before = exchange(mode)
        try:
            layer(x)
        finally:
            after = exchange(before)
        assert after & ~STICKY == mode & ~STICKY


def test_a_device_refuses_it():
    with pytest.raises(ValueError, match=r"flush_denormals = True; expected False on a CUDA device"):
        nr.LSTM(3, device="cuda", flush_denormals=True)
