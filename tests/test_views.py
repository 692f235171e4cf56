"""How an array lies in memory changes neither a bit of the results nor the set of what is compiled."""

import importlib
import pkgutil

import numpy as np
import pytest
from bits import same
from hypothesis import given, settings
from hypothesis import strategies as st
from models import MODELS, every_dtype, every_model

import numbarnn as nr
from numbarnn import kernels
from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="promised of compiled code; NUMBA_DISABLE_JIT=1 is set")

B, T, I, H = 5, 6, 3, 18  # noqa: E741
LENGTHS = np.array([4, 0, 6, 1, 3])
MASK, RESETS = np.random.default_rng(0).random((2, B, T)) < np.array([0.6, 0.3])[:, None, None]


def laid_out(array, order, steps, offset, swapped, read_only):
    """A view that equals `array`: its axes stored in `order`, every `steps`-th element, from a byte on."""
    dtype = array.dtype.newbyteorder("S") if swapped else array.dtype
    shape = [array.shape[axis] * abs(steps[axis]) for axis in order]
    raw = np.full(int(np.prod(shape)) * dtype.itemsize + 16, 0xFF, np.uint8)  # NaN around what counts
    stored = raw[offset : offset + raw.size - 16].view(dtype).reshape(shape)
    view = stored.transpose(np.argsort(order))[tuple(slice(None, None, step) for step in steps)]
    view[...] = array
    view.flags.writeable = not read_only
    return view


@st.composite
def layouts(draw, axes):
    """The arguments of `laid_out`, for arrays of up to so many axes."""
    order = draw(st.permutations(range(axes)))
    steps = draw(st.lists(st.sampled_from([1, -1, 2, -3]), min_size=axes, max_size=axes))
    offset = draw(st.sampled_from([0, 0, 1, 2, 4, 8]))
    return order, steps, offset, draw(st.booleans()), draw(st.booleans())


def formed(array, layout):
    order, steps, *rest = layout
    order = [axis for axis in order if axis < array.ndim]
    return laid_out(array, order, steps[: array.ndim], *rest)


def kernel_signatures():
    """Name of every function that Numba dispatches into the kernels, with the signatures it has."""
    modules = (
        importlib.import_module(f"{kernels.__name__}.{m.name}")
        for m in pkgutil.iter_modules(kernels.__path__)
    )
    found = {}
    for module in modules:
        for name, thing in vars(module).items():
            if isinstance(getattr(thing, "_cache", None), jit._KernelCache) and hasattr(thing, "signatures"):
                found[f"{thing.__module__}.{name}"] = set(map(str, thing.signatures))
    return found


@pytest.fixture(scope="module", autouse=True)
def nothing_more_is_compiled():
    """After every kind of layer is warm, the whole of this file adds not one function or signature."""
    for model in MODELS.values():
        for dtype in ("float32", "float64"):
            layer = nr.Bidirectional(model.make(I, H, dtype), "sum")
            layer.build(I)
            nr.warmup(layer)
    before, obtained = kernel_signatures(), len(jit.compilations)
    yield before
    assert kernel_signatures() == before
    assert jit.compilations[obtained:] == []


def test_each_entry_has_one_signature(nothing_more_is_compiled):
    """One for each dtype where it is handed the arrays themselves, C-contiguous and writable."""
    signatures = nothing_more_is_compiled
    assert {name.rsplit(".", 1)[1] for name in signatures} >= {
        "run_alone",
        "enter",
        "launch",
        "_fill",
        "_look_ahead",
        "note",
    }
    for name, found in signatures.items():
        assert len(found) == (2 if name.endswith((".enter", ".merge")) else 1), name
        assert not any("'A'" in text or "readonly" in text for text in found), found


@settings(deadline=None, derandomize=True, max_examples=60)
@given(*[layouts(3)] * 2, *[layouts(2)] * 4, layouts(1))
@every_dtype
@every_model
def test_any_view(model, dtype, of_x, of_x_t, of_states, of_weights, of_flags, of_out_rows, of_lengths):
    """Of inputs, states, weights, masks, resets and lengths, each laid out in its own way."""
    layer, x, initial = model.batch(B, T, I, H, dtype)
    other, *_ = model.batch(B, T, I, H, dtype, time_major=True)
    other.set_weights([formed(array, of_weights) for array in layer.get_weights()])
    view, states = formed(x, of_x), [formed(array, of_states) for array in initial]
    turned = formed(x.swapaxes(0, 1), of_x_t)
    for batch in ({}, {"lengths": LENGTHS}, {"mask": MASK, "resets": RESETS}):
        changed = {
            name: formed(value, of_flags if value.ndim == 2 else of_lengths) for name, value in batch.items()
        }
        expected = layer(x, initial, **batch)
        same(layer(view, states, **changed), expected)
        y, *final = other(turned, states, **{name: value.T for name, value in changed.items()})
        same([y.swapaxes(0, 1), *final], expected)
    lengths = formed(LENGTHS, of_lengths)
    ragged = nr.Ragged(formed(x[np.arange(T) < LENGTHS[:, None]], of_out_rows), np.cumsum([0, *lengths]))
    last, *final = layer(ragged, states)
    same([last.to_padded(time=T), *final], layer(x, initial, lengths=LENGTHS))
    steppers = [layer.stepper(B), other.stepper(B)]
    same([steppers[1](formed(x[:, 0], of_out_rows))], [steppers[0](np.ascontiguousarray(x[:, 0]))])
    same([steppers[1](view[:, 1])], [steppers[0](np.ascontiguousarray(x[:, 1]))])


@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 1), (0, 1, 2)])
@every_dtype
@every_model
def test_axes_that_do_not_move(model, dtype, axes):
    """Stride 0: one row, step or feature stands for all. Of states and flags too."""
    layer, x, initial = model.batch(B, T, I, H, dtype)
    one = x[tuple(slice(1) if axis in axes else slice(None) for axis in range(3))]
    states = [np.broadcast_to(array[:1], array.shape) for array in initial]
    mask = np.broadcast_to(MASK[:1], MASK.shape)
    same(
        layer(np.broadcast_to(one, x.shape), states, mask=mask),
        layer(np.broadcast_to(one, x.shape).copy(), [array.copy() for array in states], mask=mask.copy()),
    )


def read_only(array):
    array.flags.writeable = False
    return array


OTHERS = {
    "memory-mapped": lambda array, path: map_into(path, array),
    "in bytes": lambda array, path: np.frombuffer(array.tobytes(), array.dtype).reshape(array.shape),
    "unaligned bytes": lambda array, path: np.frombuffer(
        b"-" + array.tobytes(), array.dtype, offset=1
    ).reshape(array.shape),
    "half precision": lambda array, path: array.astype(np.float16),
    "field of records": lambda array, path: as_field(array),
}


def map_into(path, array):
    mapped = np.memmap(path / str(id(array)), array.dtype, "w+", shape=array.shape)
    mapped[...] = array
    return read_only(mapped)


def as_field(array):
    records = np.zeros(array.shape, [("before", "u1"), ("value", array.dtype), ("after", "u2")])
    records["value"] = array
    return records["value"]


@pytest.mark.parametrize("form", OTHERS)
@every_dtype
@every_model
def test_memory_that_others_own(model, dtype, form, tmp_path):
    layer, x, initial = model.batch(B, T, I, H, dtype)
    x, initial = x.astype(np.float16).astype(dtype), [s.astype(np.float16).astype(dtype) for s in initial]
    states = [OTHERS[form](array, tmp_path) for array in initial]
    same(layer(OTHERS[form](x, tmp_path), states, lengths=LENGTHS), layer(x, initial, lengths=LENGTHS))
