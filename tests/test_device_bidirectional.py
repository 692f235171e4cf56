"""Two directions, stacks and dropout on arrays of a CUDA device, in Numba's simulator."""

import numpy as np
import on_devices
import pytest
from bits import same
from directions import MERGES
from foreign import Exchanged, Foreign, Interfaced, Standard
from models import MODELS, every_model
from on_devices import (
    LENGTHS,
    MASK,
    RESETS,
    B,
    CudaStream,
    H,
    I,
    T,
    host,
    memory,
    of_kind,
    simulated,
    strided,
    unchanged,
)

import numbarnn as nr
from numbarnn import device

two = on_devices.two  # the fixture
pytestmark = [pytest.mark.cpu, simulated]  # they say themselves where they run
LSTM, GRU = MODELS["lstm"], MODELS["gru"]
BATCHES = {
    "dense": {},
    "lengths": {"lengths": LENGTHS},
    "mask": {"mask": MASK},
    "mask and resets": {"mask": MASK, "resets": RESETS},
}
X = np.random.default_rng(0).standard_normal((B, T, I)).astype(np.float32)
DROPOUT = {"dropout": 0.4, "recurrent_dropout": 0.3}


def both(model=LSTM, merge_mode="concat", units=H, **options):
    """A layer that runs where its inputs are, and the same one that sends everything to a device."""
    options = {"return_sequences": True, "return_state": True} | options
    rng, layers = np.random.default_rng(5), []
    weights = [array for _ in range(2) for array in model.weights(I, units, "float32", rng)]
    for where in ("auto", "cuda"):
        layer = nr.Bidirectional(model.layer(units, device=where, **options), merge_mode)
        layer.set_weights(weights)
        layers.append(layer)
    return layers


def states(model=LSTM, rows=B):
    rng = np.random.default_rng(3)
    return [*model.states(rows, H, "float32", rng), *model.states(rows, H, "float32", rng)]


def flat(results):
    """Results, stacks' lists of states too, in one list."""
    results = results if isinstance(results, (list, tuple)) else [results]
    return [array for entry in results for array in (entry if isinstance(entry, list) else [entry])]


# Two directions


@pytest.mark.parametrize("merge_mode", MERGES)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("given", [{}, BATCHES["mask and resets"]], ids=["dense", "mask and resets"])
def test_two_directions_answer_in_kind(two, merge_mode, return_sequences, given):
    """Whatever is merged, in place or by a pass; the merge alone of the layers' own outputs."""
    layer, sent = both(merge_mode=merge_mode, return_sequences=return_sequences)
    initial = states()
    results = unchanged(layer, Standard(X), [Standard(state) for state in initial], **given)
    same(of_kind(results), sent(X, initial, **given))
    apart, _ = both(merge_mode=None, return_sequences=return_sequences)
    y, reverse, *final = of_kind(apart(Standard(X), [Standard(state) for state in initial], **given))
    same(host(results), [*MERGES[merge_mode](y, reverse), *final])


@every_model
def test_every_cell(two, model):
    layer, sent = both(model, "sum")
    initial = states(model)
    before = layer(X, initial, mask=MASK)
    got = unchanged(layer, Interfaced(X), [Exchanged(state) for state in initial], mask=MASK)
    same(got, sent(X, initial, mask=MASK))
    same(of_kind(layer(Standard(X, 1)), number=1), sent(X))
    after = layer(X, initial, mask=MASK)
    assert all(type(array) is np.ndarray for array in after)
    same(after, before)


@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_views(two, merge_mode):
    """Read where they are, time-major too."""
    layer, sent = both(merge_mode=merge_mode)
    for view in (strided(X, (1, 2, 1)), strided(X, (-1, 1, 1)), np.broadcast_to(X[:1].copy(), X.shape)):
        same(of_kind(unchanged(layer, Standard(view))), sent(view.copy()))
    layer, sent = both(merge_mode=merge_mode, time_major=True)
    view = strided(X.swapaxes(0, 1), (1, 2, 1))
    same(of_kind(layer(Standard(view), mask=MASK.T)), sent(view.copy(), mask=MASK.T))


@pytest.mark.parametrize("merge_mode", ["concat", "ave", None])
@pytest.mark.parametrize("units", [1, 5])
def test_out(two, merge_mode, units):
    """The very arrays; one direction writes no columns of the other, and nothing round the output."""
    layer, sent = both(GRU, merge_mode, units, return_state=False)
    wanted = flat(sent(X, lengths=LENGTHS))
    around = [memory(array.size + 16) for array in wanted]
    kinds = [Standard, Exchanged][: len(wanted)]
    out = tuple(
        kind(m[8:-8].reshape(array.shape)) for kind, m, array in zip(kinds, around, wanted, strict=True)
    )
    results = layer(Standard(X), lengths=LENGTHS, out=out if len(out) > 1 else out[0])
    assert all(a is b for a, b in zip(flat(results), out, strict=True))
    same(host(out), wanted)
    assert all((m[:8] == 7).all() and (m[-8:] == 7).all() for m in around)
    arrays = tuple(np.empty_like(array) for array in wanted)
    assert flat(sent(X, lengths=LENGTHS, out=arrays if len(arrays) > 1 else arrays[0]))[0] is arrays[0]
    same(arrays, wanted)


@pytest.mark.parametrize("merge_mode", ["concat", "mul", None])
def test_ragged(two, merge_mode):
    layer, sent = both(merge_mode=merge_mode, return_state=False)
    values, offsets = X.reshape(-1, I)[:7], [0, 3, 3, 7]
    got, wanted = (flat(one(nr.Ragged(v, offsets))) for one, v in ((layer, Standard(values)), (sent, values)))
    same(of_kind([y.values for y in got]), [y.values for y in wanted])
    targets = [nr.Ragged(Standard(memory(7, y.values.shape[1])), offsets) for y in wanted]
    out = tuple(targets) if len(targets) > 1 else targets[0]
    results = flat(layer(nr.Ragged(Standard(values), offsets), out=out))
    assert all(a is b for a, b in zip(results, targets, strict=True))
    same(of_kind([y.values for y in results]), [y.values for y in wanted])


@pytest.mark.parametrize("shape", [(B, 0), (0, T), (0, 0)], ids=str)
@pytest.mark.parametrize("merge_mode", ["concat", "sum"])
def test_no_steps_and_no_rows(two, shape, merge_mode):
    layer, sent = both(merge_mode=merge_mode)
    x, initial = np.empty((*shape, I), np.float32), states(rows=shape[0])
    same(of_kind(unchanged(layer, Standard(x), [Standard(s) for s in initial])), sent(x, initial))


def test_states_follow_the_inputs(two):
    """From the host to a device, to another one, and back."""
    layer, _ = both(GRU, "ave", stateful=True)
    plain, plain_sent = both(GRU, "ave")
    kept = None
    for number in (None, 0, 1, None):
        wanted = (plain if number is None else plain_sent)(X, kept)
        results = layer(X if number is None else Standard(X, number))
        same(results if number is None else of_kind(results, number=number), wanted)
        same(layer.states, wanted[1:])
        kept = list(wanted[1:])
    layer.reset_states([Interfaced(state, 1) for state in states(GRU)])
    same(of_kind(layer(Standard(X))), plain_sent(X, states(GRU)))


def test_arrays_in_two_places(two):
    layer, _ = both(stateful=True)
    initial = [Standard(state) for state in states()]
    with pytest.raises(ValueError, match=r"initial_state\[3\] lies on .*simulator 1>, x on .*simulator 0>"):
        layer(Standard(X), [*initial[:3], Standard(states()[3], 1)])
    with pytest.raises(ValueError, match=r"out\[1\] \(h.*\) lies in host memory, x on"):
        layer(Standard(X), out=(Standard(memory(B, T, 2 * H)), *states()))
    with pytest.raises(ValueError, match=r"out\[0\] \(y\) is not C-contiguous"):
        layer(Standard(X), out=(Standard(memory(B, T, 4 * H)[:, :, ::2]), *initial))
    assert layer.states is None


@pytest.mark.parametrize("merge_mode", ["sum", "mul", "ave"])
def test_merging_is_on_the_stream_of_the_call(two, merge_mode, monkeypatch):
    """As everything else that is launched."""
    layer, _ = both(merge_mode=merge_mode)
    streams, launch = [], device.SimulatedDevice.launch

    def told(self, kernel, grid, threads, shared_bytes, stream, *arguments):
        streams.append(stream)
        launch(self, kernel, grid, threads, shared_bytes, stream, *arguments)

    monkeypatch.setattr(device.SimulatedDevice, "launch", told)
    layer(Standard(X), mask=MASK, stream=CudaStream(cuda_stream=9))
    assert streams and set(streams) == {9}


# Stacks


def stack(where, **options):
    options = {"return_sequences": True, "return_state": True} | options
    rates = options.pop("rates", {})
    cells = [nr.LSTMCell(5, seed=1, **rates), nr.GRUCell(4, seed=2, **rates)]
    layer = nr.RNN(cells, device=where, **options)
    layer.build(I)
    return layer


@pytest.mark.parametrize("options", [{}, {"return_sequences": False}, {"go_backwards": True}], ids=str)
@pytest.mark.parametrize("batch", ["lengths", "mask and resets"])
def test_stacks(two, batch, options):
    """Nested states lie where x is."""
    given = BATCHES[batch]
    layer, sent = stack("auto", **options), stack("cuda", **options)
    rng = np.random.default_rng(2)
    h, c = rng.standard_normal((2, B, 5)).astype("f4")
    g = rng.standard_normal((B, 4)).astype("f4")
    wanted = flat(sent(X, [[h, c], g], **given))
    results = layer(Standard(X), [[Standard(h), Standard(c)], Standard(g)], **given)
    assert type(results[1]) is list
    same(of_kind(flat(results)), wanted)
    out = (Standard(memory(*wanted[0].shape)), [Standard(memory(B, 5)), Interfaced(memory(B, 5))])
    out = (*out, Exchanged(memory(B, 4)))
    results = layer(Standard(X), [[Standard(h), Standard(c)], Standard(g)], **given, out=out)
    assert all(a is b for a, b in zip(flat(results), flat(out), strict=True))
    same(host(flat(results)), wanted)


def test_steps_of_a_stack(two):
    """Alternating between host and devices."""
    stepper, sent, plain = stack("auto").stepper(B), stack("cuda"), stack("auto")
    kept = None
    for t, number in enumerate([None, 0, 1, None]):
        x_t = X[:, t].copy()
        y, *kept = (plain if number is None else sent)(x_t[:, None], kept)
        got = stepper(x_t if number is None else Standard(x_t, number))
        same([got] if number is None else of_kind([got], number=number), [y[:, 0]])
        same(flat(stepper.states), flat(kept))


def test_a_stack_in_two_directions(two):
    layers = [nr.Bidirectional(stack(where), "mul") for where in ("auto", "cuda")]
    for layer in layers:
        layer.build(I)
    layer, sent = layers
    same(of_kind(flat(layer(Standard(X), mask=MASK))), flat(sent(X, mask=MASK)))


# Dropout


def dropped(where, model, **options):
    """The same masks are drawn, wherever it runs."""
    cells = {"lstm": nr.LSTM, "gru": nr.GRU, "simple": nr.SimpleRNN}
    options = {"return_sequences": True, "return_state": True} | options
    layer = cells[model.name](H, seed=1, device=where, **DROPOUT, **options)
    layer.build(I)
    return layer


@pytest.mark.parametrize("model", [LSTM, GRU], ids=["lstm", "gru"])
@pytest.mark.parametrize("given", [{}, BATCHES["mask and resets"]], ids=["dense", "mask and resets"])
def test_dropout(two, model, given):
    rng = np.random.default_rng(2)
    initial = model.states(B, H, "float32", rng)
    for time_major in (False, True):
        x, described = X, given
        if time_major:
            x, described = X.swapaxes(0, 1), {k: v if k == "lengths" else v.T for k, v in given.items()}
        for view in (np.ascontiguousarray(x), strided(x, (-3, 2, 1))):
            layer, sent = (dropped(where, model, time_major=time_major) for where in ("auto", "cuda"))
            got = unchanged(layer, Standard(view), [Standard(s) for s in initial], training=True, **described)
            wanted = sent(np.ascontiguousarray(x), initial, training=True, **described)
            same(of_kind(got), wanted)
            assert (wanted[0] != sent(np.ascontiguousarray(x), initial, **described)[0]).any()


def test_dropout_of_ragged_rows(two):
    values, offsets = X.reshape(-1, I)[:7], [0, 3, 3, 7]
    y, *final = dropped("auto", LSTM)(nr.Ragged(Standard(values), offsets), training=True)
    wanted, *wanted_final = dropped("cuda", LSTM)(nr.Ragged(values, offsets), training=True)
    same(of_kind([y.values, *final]), [wanted.values, *wanted_final])


def test_dropout_of_states_that_stay(two):
    """On a device, with resets: constants and masks follow the states."""
    layer, sent = (dropped(where, LSTM, stateful=True) for where in ("auto", "cuda"))
    for _ in range(2):
        same(of_kind(layer(Standard(X), resets=RESETS, training=True)), sent(X, resets=RESETS, training=True))
    same(layer.states, sent.states)


def test_dropout_of_stacks_and_two_directions(two):
    for make in (
        lambda where: stack(where, rates=DROPOUT),
        lambda where: nr.Bidirectional(stack(where, rates=DROPOUT), "sum"),
        lambda where: nr.Bidirectional(dropped(where, GRU), "concat"),
    ):
        layer, sent = make("auto"), make("cuda")
        for one in (layer, sent):
            one.build(I)
        wanted = flat(sent(X, training=True, mask=MASK, resets=RESETS))
        same(of_kind(flat(layer(Standard(X), training=True, mask=MASK, resets=RESETS))), wanted)


def test_dropout_of_a_cell(two):
    layer, sent = dropped("auto", LSTM), dropped("auto", LSTM)
    x_t, initial = X[:, 0].copy(), LSTM.states(B, H, "float32", np.random.default_rng(2))
    wanted, _ = sent.cell(x_t, initial, training=True)
    got, got_new = layer.cell(Standard(x_t), [Standard(s) for s in initial], training=True)
    of_kind([got, *got_new])
    assert all(isinstance(array, Foreign) for array in got_new)
    zeros = wanted == 0
    same([host([got])[0] == 0], [zeros])
    again, _ = layer.cell(Standard(x_t), [Standard(s) for s in initial], training=True)
    same(host([again]), host([got]))


def test_dropout_is_on_the_stream_of_the_call(two, monkeypatch):
    """What is launched before the layer runs, as well."""
    streams, launch = [], device.SimulatedDevice.launch

    def told(self, kernel, grid, threads, shared_bytes, stream, *arguments):
        streams.append((kernel.__name__ if hasattr(kernel, "__name__") else "", stream))
        launch(self, kernel, grid, threads, shared_bytes, stream, *arguments)

    monkeypatch.setattr(device.SimulatedDevice, "launch", told)
    dropped("auto", LSTM)(Standard(X), training=True, stream=CudaStream(cuda_stream=9))
    stack("auto", rates=DROPOUT)(Standard(X), training=True, stream=9)
    assert streams and {stream for _, stream in streams} == {9}
