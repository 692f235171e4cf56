"""What tests of arrays on devices share: two devices in Numba's simulator, layers for them, results."""

import numpy as np
import pytest
from bits import same
from foreign import Foreign, Numbered, Standard
from models import MODELS

from numbarnn import device
from numbarnn.kernels.jit_cuda import SIMULATED

B, T, I, H = 3, 4, 2, 5  # noqa: E741
LENGTHS = np.array([1, 0, T])
MASK, RESETS = np.random.default_rng(1).random((2, B, T)) < np.array([0.6, 0.3])[:, None, None]
LSTM = MODELS["lstm"]
simulated = pytest.mark.skipif(
    not SIMULATED, reason="needs Numba's simulator, which test_cuda_simulator.py starts"
)


@pytest.fixture
def two(monkeypatch):
    """Devices 0 and 1, the first of them current."""
    devices = Numbered(0), Numbered(1)
    monkeypatch.setattr(device, "find", lambda number=None, why=None: devices[number or 0])
    return devices


def batch(model=LSTM, **options):
    """A layer that runs where its inputs are, the same one that sends everything to a device, and inputs with
    initial states.
    """
    layer, x, states = model.batch(B, T, I, H, **options)
    sent, _, _ = model.batch(B, T, I, H, **options, device="cuda")
    return layer, sent, x, states


def host(results):
    """Where results lie in this process."""
    return [result.host if isinstance(result, Foreign) else result for result in results]


def of_kind(results, kind=Standard, number=0):
    """The host memory of results, which must be of that kind and on that device."""
    assert all(type(result) is kind and result.number == number for result in results)
    return host(results)


def listed(result):
    return list(result) if isinstance(result, tuple) else [result]


def unchanged(call, *given, **options):
    """What a call returns, as a list; nothing that it was given may have been written."""
    arrays = [
        array.host if isinstance(array, Foreign) else array
        for argument in (*given, *options.values())
        for array in (argument if isinstance(argument, list) else [argument])
        if isinstance(array, (Foreign, np.ndarray))
    ]
    before = [array.copy() for array in arrays]
    results = listed(call(*given, **options))
    same(arrays, before)
    return results


def memory(*shape, dtype="float32"):
    return np.full(shape, 7, dtype)


def strided(array, steps):
    """A view that equals `array`; NaN lies between its elements."""
    shape = [n * abs(step) for n, step in zip(array.shape, steps, strict=True)]
    view = np.full(shape, np.nan, array.dtype)[tuple(slice(None, None, step) for step in steps)]
    view[...] = array
    return view


def keeping_nothing(layer):
    """An LSTM with the layer's weights, without a state, that sends everything to a device."""
    plain = LSTM.make(I, H, return_sequences=True, return_state=True, device="cuda")
    plain.set_weights(layer.get_weights())
    return plain


class CudaStream:
    def __init__(self, **attributes):
        vars(self).update(attributes)
