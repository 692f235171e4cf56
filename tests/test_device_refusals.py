"""What is refused of arrays on CUDA devices, streams, and faults: before anything has changed.

Kernels run in Numba's simulator, on memory of stand-ins for other libraries.
"""

import on_devices
import pytest
from bits import same
from foreign import BrainFloats, Differentiable, Exchanged, Interfaced, Standard, Withheld
from on_devices import (
    LENGTHS,
    LSTM,
    MASK,
    B,
    CudaStream,
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
)

import numbarnn as nr
from numbarnn import device

two = on_devices.two  # the fixture
pytestmark = [pytest.mark.cpu, simulated]  # they say themselves where they run


# What is refused


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda x: BrainFloats(x.astype("f2")), "x has dtype bfloat16; expected float32"),
        (lambda x: Exchanged(x.astype("u2"), code=4), "x: elements are bfloat16; expected float32"),
        (lambda x: Exchanged(x, code=9), "x: elements are type code 9"),
        (lambda x: Withheld(x), "x is not handed out .*sparse layout"),
        (lambda x: Differentiable(x), r"x is a tensor that requires a gradient.*\.detach\(\)"),
        (lambda x: Standard(x.astype("f8")), "x lies on a CUDA device with dtype float64.*expected float32"),
        (lambda x: Standard(x.astype("f2")), "x lies on a CUDA device with dtype float16.*expected float32"),
        (lambda x: Standard(x.astype(">f4")), "x lies on a CUDA device with dtype >f4"),
        (lambda x: Standard(strided(x, (1, 1, 2))), "x lies on a CUDA device with .*strides.*C-contiguous"),
        (lambda x: Interfaced(x, mask=Interfaced(x > 0)), "x is a masked array"),
    ],
)
def test_inputs_of_another_kind(two, given, message):
    """Nothing is converted, and nothing of it is lost without a word."""
    layer, _, x, _ = batch(stateful=True)
    layer(Standard(x))
    kept = layer.states
    with pytest.raises(TypeError, match=message):
        layer(given(x))
    same(layer.states, kept)


def test_arguments_of_another_kind(two):
    """Each is named."""
    layer, _, x, states = batch()
    h, c = map(Standard, states)
    given = {
        r"initial_state\[1\] has dtype bfloat16": {"initial_state": [h, BrainFloats(states[1].astype("f2"))]},
        r"initial_state\[0\] is a tensor that requires": {"initial_state": [Differentiable(states[0]), c]},
        r"initial_state\[1\] lies on a CUDA device with dtype float64": {
            "initial_state": [h, Standard(states[1].astype("f8"))]
        },
        "lengths has dtype float32": {"lengths": Standard(LENGTHS.astype("f4"))},
        "mask has dtype int64": {"mask": Standard(MASK.astype(int))},
        "mask is a tensor that requires": {"mask": Differentiable(MASK)},
        r"out\[2\] \(c\) has dtype bfloat16": {
            "out": (Standard(memory(B, T, H)), h, BrainFloats(memory(B, H, dtype="f2")))
        },
    }
    for message, options in given.items():
        with pytest.raises(TypeError, match=message):
            layer(Standard(x), **options)


def test_a_layer_of_the_cpu(two):
    """It names what lies elsewhere, and copies nothing by itself."""
    x, states = memory(B, T, I), [memory(B, H), memory(B, H)]
    layer = LSTM.make(I, H, device="cpu", stateful=True)
    message = "lies on a CUDA device, and device = 'cpu'"
    for kind in (Standard, Exchanged, Differentiable):
        with pytest.raises(ValueError, match=f"x {message}"):
            layer(kind(x))
    with pytest.raises(ValueError, match=f"x.values {message}"):
        layer(nr.Ragged(Standard(x[0]), [0, T]))
    with pytest.raises(ValueError, match=rf"initial_state\[1\] {message}"):
        layer(x, [states[0], Standard(states[1])])
    with pytest.raises(ValueError, match=f"out {message}"):
        layer(x, out=Standard(memory(B, H)))
    assert layer.states is None


# Streams


class Protocol:
    def __cuda_stream__(self):
        return 0, 11


STREAMS = {
    "0": (0, 0),
    "number": (7, 7),
    "PyTorch's": (CudaStream(cuda_stream=8), 8),
    "CuPy's": (CudaStream(ptr=9), 9),
    "an attribute": (CudaStream(__cuda_stream__=(0, 10)), 10),
    "a method": (Protocol(), 11),
    "None": (None, None),
}


@pytest.mark.parametrize(("stream", "number"), STREAMS.values(), ids=STREAMS)
def test_every_launch_is_on_the_stream(two, stream, number, monkeypatch):
    launched, launch = [], device.SimulatedDevice.launch

    def noted(self, kernel, grid, threads, shared_bytes, stream, *arguments):
        launched.append(stream)
        launch(self, kernel, grid, threads, shared_bytes, stream, *arguments)

    layer, sent, x, _ = batch()
    expected = sent(x, lengths=LENGTHS)
    monkeypatch.setattr(device.SimulatedDevice, "launch", noted)
    same(of_kind(layer(Standard(x), lengths=LENGTHS, stream=stream)), expected)
    assert len(launched) > 1 and set(launched) == {number}


def test_the_writers_stream_is_waited_for(two, monkeypatch):
    """The interface tells on which stream its memory is being written."""
    waited, adopt = [], device.SimulatedDevice.adopt

    def noted(self, address, size, dtype, owner, writes_of=None):
        waited.append(writes_of)
        return adopt(self, address, size, dtype, owner, writes_of)

    monkeypatch.setattr(device.SimulatedDevice, "adopt", noted)
    layer, _, x, states = batch()
    layer(Interfaced(x, stream=5), [Interfaced(state, stream=6) for state in states])
    assert {5, 6} <= set(waited) <= {5, 6, None}


@pytest.mark.parametrize("stream", ["7", 7.0, True, object(), CudaStream(ptr="9"), []], ids=repr)
def test_no_stream(two, stream, monkeypatch):
    """Refused before anything has been launched or changed."""
    layer, sent, x, _ = batch(stateful=True)
    layer(Standard(x))
    kept = layer.states
    out = tuple(Standard(memory(*shape)) for shape in [(B, T, H), (B, H), (B, H)])
    with monkeypatch.context() as patch:
        patch.setattr(device.SimulatedDevice, "launch", None)
        for call, given in ((layer, Standard(x)), (sent, x)):
            with pytest.raises(TypeError, match=f"stream is of type {type(stream).__name__}; expected"):
                call(given, stream=stream, **({"out": out} if call is layer else {}))
    same(layer.states, kept)
    assert all((array.host == 7).all() for array in out)


@pytest.mark.parametrize("stream", [7, CudaStream(cuda_stream=8)])
def test_the_cpu_has_no_stream(two, stream):
    layer, _, x, _ = batch(stateful=True)
    with pytest.raises(ValueError, match=r"stream = .*the CPU, which has no streams"):
        layer(x, stream=stream)
    assert layer.states is None


# Faults


def after(function, calls, error):
    """`function`, but the call with that number raises `error` instead."""
    left = [calls]

    def wrapped(*arguments, **options):
        left[0] -= 1
        if left[0] == 0:
            raise error
        return function(*arguments, **options)

    return wrapped


FAULTS = [("launch", 1, RuntimeError), ("launch", 3, KeyboardInterrupt), ("empty", 1, MemoryError)]
FAULTS += [("empty", 3, MemoryError), ("upload", 1, MemoryError)]


@pytest.mark.parametrize(("method", "calls", "error"), FAULTS)
@pytest.mark.parametrize("lies", ["there", "here"])
def test_a_fault_leaves_the_old_state(two, method, calls, error, lies, monkeypatch):
    """Whether the state has to move for the call or lies on the device already; the next call is right."""
    layer, _, x, states = batch(stateful=True)
    plain, sent, _, _ = batch()
    layer.reset_states(states)
    if lies == "there":
        states = host(layer(Standard(x)))[1:]
    with monkeypatch.context() as patch:
        function = getattr(device.SimulatedDevice, method)
        patch.setattr(device.SimulatedDevice, method, after(function, calls, error("a fault")))
        with pytest.raises(error, match="a fault"):
            layer(Standard(x), lengths=LENGTHS)
    same(layer.states, states)
    same(of_kind(layer(Standard(x), lengths=LENGTHS)), sent(x, states, lengths=LENGTHS))
    states = layer.states
    same(layer(x), plain(x, states))


@pytest.mark.parametrize("method", ["empty", "upload", "launch"])
def test_a_first_call_that_fails_settles_no_batch_size(two, method, monkeypatch):
    layer, sent, x, _ = batch(stateful=True)
    with monkeypatch.context() as patch:
        patch.setattr(device.SimulatedDevice, method, after(None, 1, MemoryError("a fault")))
        with pytest.raises(MemoryError, match="a fault"):
            layer(Standard(x))
    assert layer.states is None
    same(of_kind(layer(Standard(x[:2].copy()))), keeping_nothing(sent)(x[:2]))


def test_a_fault_in_a_kept_call(two, monkeypatch):
    """What an earlier call left behind serves the next one after a fault too."""
    layer, sent, x, _ = batch()
    expected = sent(x)
    same(of_kind(layer(Standard(x))), expected)
    with monkeypatch.context() as patch:
        launch = after(device.SimulatedDevice.launch, 2, RuntimeError("a fault"))
        patch.setattr(device.SimulatedDevice, "launch", launch)
        with pytest.raises(RuntimeError, match="a fault"):
            layer(Standard(x))
    for _ in range(2):
        same(of_kind(layer(Standard(x))), expected)


@pytest.mark.parametrize("fault", ["launch", "empty"])
def test_a_stepper_after_a_fault(two, fault, monkeypatch):
    layer, _, x, _ = batch()
    first, second = (Standard(x[:, t].copy()) for t in range(2))
    stepper, twin = layer.stepper(B), layer.stepper(B)
    for one in (stepper, twin):
        one(first)
    kept = stepper.states
    with monkeypatch.context() as patch:
        patch.setattr(device.SimulatedDevice, fault, after(None, 1, MemoryError("a fault")))
        with pytest.raises(MemoryError, match="a fault"):
            (stepper if fault == "launch" else layer.stepper(B))(second)
    same(stepper.states, kept)
    same(of_kind([stepper(second)]), of_kind([twin(second)]))
    same(stepper.states, twin.states)
