"""Arrays on a CUDA device, whoever made them: taken where they are and answered in kind.

Kernels run in Numba's simulator, on memory of stand-ins for other libraries.
"""

import gc
import sys
from types import SimpleNamespace

import numpy as np
import on_devices
import pytest
from bits import same
from foreign import Exchanged, Interfaced, Standard
from models import every_model
from on_devices import (
    LENGTHS,
    MASK,
    RESETS,
    B,
    CudaStream,
    H,
    I,
    T,
    batch,
    host,
    memory,
    of_kind,
    simulated,
    strided,
    unchanged,
)

import numbarnn as nr
from numbarnn import device_arrays

two = on_devices.two  # the fixture
pytestmark = [pytest.mark.cpu, simulated]  # they say themselves where they run


# Where the inputs lie


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


@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
@pytest.mark.parametrize("time_major", [False, True])
def test_views(two, layout, time_major):
    """Read where they are, without a copy: bit for bit what a copy of the host's gives."""
    layer, sent, x, _ = batch(time_major=time_major)
    view = layout(x.swapaxes(0, 1) if time_major else x)
    results = of_kind(unchanged(layer, Standard(view)))
    same(results, sent(view.copy()))


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


@pytest.mark.parametrize("options", [{"return_sequences": False}, {"go_backwards": True}])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_options(two, options, dtype):
    layer, sent, x, _ = batch(dtype=dtype, **options)
    same(of_kind(layer(Standard(x), lengths=LENGTHS)), sent(x, lengths=LENGTHS))


@pytest.mark.parametrize("shape", [(B, 0), (0, T), (0, 0)], ids=str)
def test_no_steps_and_no_rows(two, shape):
    layer, sent, x, states = batch()
    x, states = np.empty((*shape, I), np.float32), [state[: shape[0]] for state in states]
    results = unchanged(layer, Standard(x), [Standard(state) for state in states])
    same(of_kind(results), sent(x, states))
    assert [array.shape for array in host(results)] == [(*shape, H), (shape[0], H), (shape[0], H)]


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


def test_ragged_into_out(two):
    layer, sent, x, _ = batch(return_state=False)
    values, offsets = np.concatenate([x[0, :1], x[2]]), [0, 1, 1, 1 + T]
    out = nr.Ragged(Standard(np.empty((1 + T, H), np.float32)), offsets)
    assert layer(nr.Ragged(Standard(values), offsets), out=out) is out
    same(of_kind([out.values]), [sent(nr.Ragged(values, offsets)).values])


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


def test_out(two):
    """The given arrays come back, written, whatever their kinds."""
    layer, sent, x, states = batch()
    shapes = [(B, T, H), (B, H), (B, H)]
    kinds = Standard, Interfaced, Exchanged
    given = tuple(kind(np.empty(shape, np.float32)) for kind, shape in zip(kinds, shapes, strict=True))
    results = layer(Standard(x), [Standard(state) for state in states], lengths=LENGTHS, out=given)
    assert all(result is array for result, array in zip(results, given, strict=True))
    same(host(results), sent(x, states, lengths=LENGTHS))


def test_a_host_array_is_sent_and_comes_back(two):
    layer, sent, x, _ = batch()
    out = tuple(np.empty(shape, np.float32) for shape in [(B, T, H), (B, H), (B, H)])
    results = sent(x, lengths=LENGTHS, out=out)
    assert all(result is array for result, array in zip(results, out, strict=True))
    same(results, of_kind(layer(Standard(x), lengths=LENGTHS)))


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


# DLPack


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


def test_a_call_gives_back_what_it_took(two):
    layer, _, x, _ = batch()
    given = Exchanged(x)
    layer(given)
    with pytest.raises(ValueError, match="lengths"):
        layer(given, lengths=[1])
    gc.collect()
    assert given.deleted == len(given.streams) > 0


@pytest.mark.parametrize(("stream", "told"), [(None, 1), (0, 1), (7, 7)])
def test_dlpack_is_told_the_stream(two, stream, told):
    """1 is its number of the default stream, which it does not let be called 0."""
    x = Exchanged(memory(2, 3))
    device_arrays.adopt("x", x, stream)
    assert x.streams == [told]


def test_every_capsule_of_a_call_is_told_its_stream(two):
    layer, _, x, states = batch()
    given, initial = Exchanged(x), [Exchanged(state) for state in states]
    out = tuple(Exchanged(memory(*shape)) for shape in [(B, T, H), (B, H), (B, H)])
    layer(given, initial, out=out, stream=CudaStream(cuda_stream=8))
    layer(nr.Ragged(Exchanged(x[0]), [0, 1, 1, T]), initial, stream=8)
    for array in (given, *initial, *out):
        assert array.streams and set(array.streams) == {8}


def test_ragged_of_what_does_not_tell_its_shape(two):
    layer, sent, x, _ = batch()
    ragged = nr.Ragged(Exchanged(x[0]), [0, 1, 1, T])
    expected = sent(nr.Ragged(x[0], [0, 1, 1, T]))
    y, *final = layer(ragged)
    same([y.values, *final], [expected[0].values, *expected[1:]])
    with pytest.raises(ValueError, match=r"initial_state\[0\] lies in host memory, x on"):
        layer(ragged, [memory(B, H), memory(B, H)])


def test_dlpack_describes_its_memory(two):
    view = np.arange(48, dtype="i8").reshape(4, 6, 2)[::-1, ::2]
    for array in (view, view.copy(), view[0, 0, 0], view[:0], view[:, :, 0] > 20, view.astype("f4")):
        for options in ({}, {"byte_offset": 16}, {"strides": not array.flags.c_contiguous}):
            adopted = device_arrays.adopt("x", Exchanged(array, 1, **options))
            assert (adopted.shape, adopted.dtype, adopted.device) == (array.shape, array.dtype, two[1])
            assert array.size == 0 or adopted.strides == array.strides
            same([device_arrays.to_host("x", adopted)], [array])


def test_a_host_copy_of_any_view(two):
    """Also of one whose elements lie apart by no multiple of their size, as the fields of a record do."""
    records = np.array([(1, 2.5), (3, 4.5), (5, 6.5)], np.dtype([("a", "i1"), ("b", "<f4")]))
    for view in (records["b"], records["b"][::-2], records["a"][1:], np.broadcast_to(records["b"], (2, 3))):
        same([device_arrays.to_host("x", Interfaced(view))], [view])
