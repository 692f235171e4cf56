"""Arrays that lie on a CUDA device, whoever made them: taken where they are, answered in kind, and refused
before anything has changed.

Kernels run in Numba's simulator, on memory of stand-ins for other libraries; a test of the usual run starts
this file there.
"""

import copy
import gc
import pickle
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bits import same
from foreign import (
    BrainFloats,
    Differentiable,
    Exchanged,
    Foreign,
    Interfaced,
    NumbaLike,
    Numbered,
    Standard,
    Withheld,
)
from models import MODELS, every_model
from processes import LIMIT_SECONDS, environment

import numbarnn as nr
from numbarnn import device, device_arrays
from numbarnn.kernels.jit_cuda import SIMULATED

B, T, I, H = 3, 4, 2, 5  # noqa: E741
LENGTHS = np.array([1, 0, T])
MASK, RESETS = np.random.default_rng(1).random((2, B, T)) < np.array([0.6, 0.3])[:, None, None]
LSTM = MODELS["lstm"]

pytestmark = pytest.mark.cpu  # these tests say themselves where they run
simulated = pytest.mark.skipif(not SIMULATED, reason="needs Numba's simulator, in which this file is started")


@pytest.mark.skipif(SIMULATED, reason="this is the simulator that it starts")
def test_in_the_simulator():
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        env=environment(NUMBA_ENABLE_CUDASIM="1"),
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        timeout=LIMIT_SECONDS,
    )
    assert done.returncode == 0 and "1 skipped" in done.stdout and " passed" in done.stdout, done.stdout


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


# Where the inputs lie


def strided(array, steps):
    """A view that equals `array`; NaN lies between its elements."""
    shape = [n * abs(step) for n, step in zip(array.shape, steps, strict=True)]
    view = np.full(shape, np.nan, array.dtype)[tuple(slice(None, None, step) for step in steps)]
    view[...] = array
    return view


LAYOUTS = {
    "contiguous": np.array,
    "every second step": lambda x: strided(x, (1, 2, 1)),
    "every third row, back": lambda x: strided(x, (-3, 1, 1)),
    "back": lambda x: strided(x, (1, -1, 1)),
    "features of wider steps": lambda x: np.insert(x, x.shape[2], np.nan, axis=2)[:, :, :-1],
    "transposed": lambda x: x.transpose(1, 0, 2).copy().transpose(1, 0, 2),
    "one row for all": lambda x: np.broadcast_to(x[:1].copy(), x.shape),
    "one step for all": lambda x: np.broadcast_to(x[:, :1].copy(), x.shape),
}


@simulated
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("time_major", [False, True])
def test_views(two, layout, time_major):
    """Read where they are, without a copy: bit for bit what a copy of the host's gives."""
    layer, sent, x, _ = batch(time_major=time_major)
    view = layout(x.swapaxes(0, 1) if time_major else x)
    results = of_kind(unchanged(layer, Standard(view)))
    same(results, sent(view.copy()))


@simulated
@every_model
def test_every_cell_on_every_kind_of_array(two, model):
    """The same layer on host arrays before and after; what comes out is of the kind of x."""
    layer, sent, x, states = batch(model)
    before = layer(x, states)
    expected = sent(x, states)
    kinds = {
        Standard: (Standard(x), [Standard(state) for state in states]),
        Interfaced: (Interfaced(x, strides=True), [Exchanged(state) for state in states]),
        Exchanged: (Exchanged(strided(x, (1, 3, 1))), [Interfaced(state) for state in states]),
    }
    for kind, (given, initial) in kinds.items():
        results = unchanged(layer, given, initial)
        same(of_kind(results) if kind is Standard else results, expected)
    after = layer(x, states)
    same(after, before)
    assert all(type(result) is np.ndarray for result in after)


BATCHES = {
    "lengths": {"lengths": LENGTHS},
    "mask": {"mask": MASK},
    "resets": {"resets": RESETS},
    "lengths and resets": {"lengths": LENGTHS.astype(np.uint8), "resets": RESETS},
}


@simulated
@pytest.mark.parametrize("described", BATCHES.values(), ids=BATCHES)
@pytest.mark.parametrize("lies", ["on the host", "with the interface", "with DLPack", "as a view"])
def test_what_describes_the_batch(two, described, lies):
    """May lie anywhere, also on another device than x: plans are made on the host."""
    layer, sent, x, _ = batch()
    places = {
        "on the host": np.array,
        "with the interface": lambda array: Interfaced(array, 1),
        "with DLPack": Exchanged,
        "as a view": lambda array: Interfaced(np.repeat(array, 2, axis=-1)[..., ::-2][..., ::-1]),
    }
    given = {name: places[lies](array) for name, array in described.items()}
    same(of_kind(unchanged(layer, Standard(x), **given)), sent(x, **described))


@simulated
@pytest.mark.parametrize("options", [{"return_sequences": False}, {"go_backwards": True}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_options(two, options, dtype):
    layer, sent, x, _ = batch(dtype=dtype, **options)
    same(of_kind(layer(Standard(x), lengths=LENGTHS)), sent(x, lengths=LENGTHS))


@simulated
@pytest.mark.parametrize("shape", [(B, 0), (0, T), (0, 0)], ids=str)
def test_no_steps_and_no_rows(two, shape):
    layer, sent, x, states = batch()
    x, states = np.empty((*shape, I), np.float32), [state[: shape[0]] for state in states]
    results = unchanged(layer, Standard(x), [Standard(state) for state in states])
    same(of_kind(results), sent(x, states))
    assert [array.shape for array in host(results)] == [(*shape, H), (shape[0], H), (shape[0], H)]


@simulated
@pytest.mark.parametrize("return_sequences", [False, True])
def test_ragged(two, return_sequences):
    layer, sent, x, states = batch(return_sequences=return_sequences)
    values, offsets = np.concatenate([x[0, :1], x[2]]), np.array([0, 1, 1, 1 + T])
    expected = sent(nr.Ragged(values, offsets), states, resets=RESETS.ravel()[: 1 + T])
    ragged = nr.Ragged(Standard(values), Interfaced(offsets, 1))
    y, *final = layer(
        ragged, [Standard(state) for state in states], resets=Interfaced(RESETS.ravel()[: 1 + T])
    )
    wanted, *wanted_final = expected
    same(of_kind(final), wanted_final)
    if return_sequences:
        assert type(y) is nr.Ragged and repr(y) == repr(wanted)
        np.testing.assert_array_equal(y.offsets, offsets)
        y, wanted = y.values, wanted.values
    same(of_kind([y]), [wanted])


@simulated
def test_ragged_into_out(two):
    layer, sent, x, _ = batch(return_state=False)
    values, offsets = np.concatenate([x[0, :1], x[2]]), [0, 1, 1, 1 + T]
    out = nr.Ragged(Standard(np.empty((1 + T, H), np.float32)), offsets)
    assert layer(nr.Ragged(Standard(values), offsets), out=out) is out
    same(of_kind([out.values]), [sent(nr.Ragged(values, offsets)).values])


@simulated
def test_ragged_rows_and_padding(two):
    """Rows are slices as the library makes them; padding is for host arrays and says so."""

    class Sliced(Standard):
        def __getitem__(self, rows):
            return Sliced(self.host[rows])

    ragged = nr.Ragged(Sliced(np.arange(6.0).reshape(3, 2)), [0, 1, 1, 3])
    assert [row.host.tolist() for row in ragged.rows()] == [[[0.0, 1.0]], [], [[2.0, 3.0], [4.0, 5.0]]]
    with pytest.raises(TypeError, match=r"to_padded.*CUDA device.*copy"):
        ragged.to_padded()


# Where results go


@simulated
def test_out(two):
    """The given arrays come back, written, whatever their kinds."""
    layer, sent, x, states = batch()
    shapes = [(B, T, H), (B, H), (B, H)]
    kinds = Standard, Interfaced, Exchanged
    given = tuple(kind(np.empty(shape, np.float32)) for kind, shape in zip(kinds, shapes, strict=True))
    results = layer(Standard(x), [Standard(state) for state in states], lengths=LENGTHS, out=given)
    assert all(result is array for result, array in zip(results, given, strict=True))
    same(host(results), sent(x, states, lengths=LENGTHS))


@simulated
def test_a_host_array_is_sent_and_comes_back(two):
    layer, sent, x, _ = batch()
    out = tuple(np.empty(shape, np.float32) for shape in [(B, T, H), (B, H), (B, H)])
    results = sent(x, lengths=LENGTHS, out=out)
    assert all(result is array for result, array in zip(results, out, strict=True))
    same(results, of_kind(layer(Standard(x), lengths=LENGTHS)))


def memory(*shape, dtype="float32"):
    return np.full(shape, 7, dtype)


WRONG_OUTS = {
    "read-only": (lambda x: Interfaced(memory(B, T, H), read_only=True), "out is not C-contiguous.*writable"),
    "strided": (lambda x: Interfaced(memory(B, T, 2 * H)[:, :, ::2]), "out is not C-contiguous"),
    "dtype": (lambda x: Interfaced(memory(B, T, H, dtype="f8")), "out has dtype float64; expected float32"),
    "shape": (lambda x: Interfaced(memory(B, H, T)), r"out has shape \(3, 5, 4\); expected \(3, 4, 5\)"),
    "over x": (
        lambda x: Interfaced(x.host.base[1 : 1 + B * T * H].reshape(B, T, H)),
        "out overlaps an input",
    ),
    "host": (lambda x: memory(B, T, H), r"out lies in host memory, x on <CUDA device 0: simulator 0>"),
    "device 1": (
        lambda x: Interfaced(memory(B, T, H), 1),
        "out lies on <CUDA device 1: .*, x on <CUDA device 0",
    ),
}


@simulated
@pytest.mark.parametrize(("make", "message"), WRONG_OUTS.values(), ids=WRONG_OUTS)
def test_a_wrong_out_is_not_written(two, make, message):
    layer, _, x, _ = batch(return_state=False, stateful=True)
    together = np.zeros(B * T * H + 1, np.float32)
    given = Interfaced(together[: x.size].reshape(x.shape))
    given.host[...] = x
    out = make(given)
    before = host([out])[0].copy()
    with pytest.raises(ValueError, match=message):
        layer(given, out=out)
    same(host([out, given]), [before, x])
    assert layer.states is None


@simulated
def test_outs_and_initial_states_share_nothing(two):
    layer, _, x, states = batch()
    shared = Standard(memory(B, H))
    y = Standard(memory(B, T, H))
    with pytest.raises(ValueError, match=r"out\[2\] \(c\) overlaps"):
        layer(Standard(x), out=(y, shared, Standard(shared.host)))
    with pytest.raises(ValueError, match=r"out\[1\] \(h\) overlaps"):
        layer(
            Standard(x), [shared, Standard(states[1])], out=(y, Standard(shared.host), Standard(memory(B, H)))
        )
    assert (y.host == 7).all() and (shared.host == 7).all()


@simulated
def test_pytorch_and_cupy_make_their_own_arrays(two, monkeypatch):
    """Modules of those names are asked in their own way, on the device of x."""
    asked = []

    class Device(str):
        def __enter__(self):
            asked.append(f"on {self}")

        def __exit__(self, *_):
            asked.append("left")

    def kind(module):
        made = type("Array", (Interfaced,), {"__module__": f"{module}.some.where"})
        made.device = property(lambda self: Device(self.number))
        return made

    tensor, array = kind("torch"), kind("cupy")

    def torch_empty(shape, dtype, device):
        return tensor(np.empty(shape, dtype.of), int(device))

    torch = SimpleNamespace(float32=SimpleNamespace(of="f4"), empty=torch_empty)
    cupy = SimpleNamespace(empty=lambda shape, dtype: array(np.empty(shape, dtype), 1))
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    layer, sent, x, _ = batch(return_state=False)
    expected = sent(x)
    same(of_kind([layer(tensor(x, 1))], tensor, 1), [expected])
    assert asked == []
    same(of_kind([layer(array(x, 1))], array, 1), [expected])
    assert asked == ["on 1", "left"]


# States that stay


@simulated
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


@simulated
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


@simulated
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


def keeping_nothing(layer):
    """An LSTM with the layer's weights, without a state, that sends everything to a device."""
    plain = LSTM.make(I, H, return_sequences=True, return_state=True, device="cuda")
    plain.set_weights(layer.get_weights())
    return plain


@simulated
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


@simulated
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


@simulated
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


@simulated
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


@simulated
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


@simulated
def test_inputs_on_a_device_are_not_uploaded(two, uploaded):
    layer, _, x, states = batch()
    layer(Standard(x), [Standard(state) for state in states], lengths=LENGTHS)
    assert all(array.dtype == np.int64 or array.ndim == 1 for _, array in uploaded)
    assert len(uploaded) == 2  # words and weights


@simulated
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


@simulated
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


# DLPack


@simulated
def test_a_capsule_lives_as_long_as_its_memory_is_used(two):
    """Its deleter is called when the last array of ours is gone, and not before."""
    x = Exchanged(np.arange(12, dtype="f4").reshape(3, 4))
    adopted = device_arrays.adopt("x", x)
    flat = adopted.reshape(-1).flat
    del adopted
    gc.collect()
    assert x.deleted == 0
    same([flat], [np.arange(12, dtype="f4")])
    del flat
    gc.collect()
    assert x.deleted == 1


@simulated
def test_a_call_gives_back_what_it_took(two):
    layer, _, x, _ = batch()
    given = Exchanged(x)
    layer(given)
    with pytest.raises(ValueError, match="lengths"):
        layer(given, lengths=[1])
    gc.collect()
    assert given.deleted == len(given.streams) > 0


@simulated
@pytest.mark.parametrize(("stream", "told"), [(None, 1), (0, 1), (7, 7)])
def test_dlpack_is_told_the_stream(two, stream, told):
    """1 is its number of the default stream, which it does not let be called 0."""
    x = Exchanged(memory(2, 3))
    device_arrays.adopt("x", x, stream)
    assert x.streams == [told]


@simulated
def test_every_capsule_of_a_call_is_told_its_stream(two):
    layer, _, x, states = batch()
    given, initial = Exchanged(x), [Exchanged(state) for state in states]
    out = tuple(Exchanged(memory(*shape)) for shape in [(B, T, H), (B, H), (B, H)])
    layer(given, initial, out=out, stream=CudaStream(cuda_stream=8))
    layer(nr.Ragged(Exchanged(x[0]), [0, 1, 1, T]), initial, stream=8)
    for array in (given, *initial, *out):
        assert array.streams and set(array.streams) == {8}


@simulated
def test_ragged_of_what_does_not_tell_its_shape(two):
    layer, sent, x, _ = batch()
    ragged = nr.Ragged(Exchanged(x[0]), [0, 1, 1, T])
    expected = sent(nr.Ragged(x[0], [0, 1, 1, T]))
    y, *final = layer(ragged)
    same([y.values, *final], [expected[0].values, *expected[1:]])
    with pytest.raises(ValueError, match=r"initial_state\[0\] lies in host memory, x on"):
        layer(ragged, [memory(B, H), memory(B, H)])


@simulated
def test_dlpack_describes_its_memory(two):
    view = np.arange(48, dtype="i8").reshape(4, 6, 2)[::-1, ::2]
    for array in (view, view.copy(), view[0, 0, 0], view[:0], view[:, :, 0] > 20, view.astype("f4")):
        for options in ({}, {"byte_offset": 16}, {"strides": not array.flags.c_contiguous}):
            adopted = device_arrays.adopt("x", Exchanged(array, 1, **options))
            assert (adopted.shape, adopted.dtype, adopted.device) == (array.shape, array.dtype, two[1])
            assert array.size == 0 or adopted.strides == array.strides
            same([device_arrays.to_host("x", adopted)], [array])


@simulated
def test_a_host_copy_of_any_view(two):
    """Also of one whose elements lie apart by no multiple of their size, as the fields of a record do."""
    records = np.array([(1, 2.5), (3, 4.5), (5, 6.5)], np.dtype([("a", "i1"), ("b", "<f4")]))
    for view in (records["b"], records["b"][::-2], records["a"][1:], np.broadcast_to(records["b"], (2, 3))):
        same([device_arrays.to_host("x", Interfaced(view))], [view])


# What is refused


@simulated
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


@simulated
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


@simulated
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


class CudaStream:
    def __init__(self, **attributes):
        vars(self).update(attributes)


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


@simulated
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


@simulated
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


@simulated
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


@simulated
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


@simulated
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


@simulated
@pytest.mark.parametrize("method", ["empty", "upload", "launch"])
def test_a_first_call_that_fails_settles_no_batch_size(two, method, monkeypatch):
    layer, sent, x, _ = batch(stateful=True)
    with monkeypatch.context() as patch:
        patch.setattr(device.SimulatedDevice, method, after(None, 1, MemoryError("a fault")))
        with pytest.raises(MemoryError, match="a fault"):
            layer(Standard(x))
    assert layer.states is None
    same(of_kind(layer(Standard(x[:2].copy()))), keeping_nothing(sent)(x[:2]))


@simulated
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


@simulated
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
