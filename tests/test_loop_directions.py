"""Two directions over cells written in Python: by the rules of the fused ones, with the same bits."""

import copy
import pickle
import threading

import numpy as np
import pytest
from bits import same
from written_cells import LENGTHS, B, H, I, Nested, Sum, T, Wrapped, batch, ones

import numbarnn as nr

pytestmark = pytest.mark.cpu  # where cells written in Python run

MODES = ["concat", "sum", "mul", "ave", None]
RNG = np.random.default_rng(8)
X = RNG.standard_normal((B, T, I)).astype(np.float32)
MASK, RESETS = RNG.random((2, B, T)) < np.array([0.6, 0.3])[:, None, None]
MASK[2] = False
BATCHES = {
    "dense": {},
    "lengths": {"lengths": LENGTHS},
    "mask": {"mask": MASK},
    "resets": {"resets": RESETS},
    "mask and resets": {"mask": MASK, "resets": RESETS},
    "lengths and resets": {"lengths": LENGTHS, "resets": RESETS},
}


def pair(merge_mode, wrapped=(True, True), make=nr.LSTMCell, **options):
    """A fused layer, and one whose cells are the same ones called from Python, or one of them."""
    fused = nr.Bidirectional(nr.RNN(make(H, seed=1), **options), merge_mode)
    fused.build(I)
    layers = []
    for layer, in_python in zip((fused.forward_layer, fused.backward_layer), wrapped, strict=True):
        cell = Wrapped(layer.cell) if in_python else layer.cell
        layers.append(nr.RNN(cell, go_backwards=layer.go_backwards, **options))
    looped = nr.Bidirectional(layers[0], merge_mode, layers[1])
    if not wrapped[0]:  # the forward layer is made anew
        looped.forward_layer.build(I)
        looped.forward_layer.set_weights(fused.forward_layer.get_weights())
    return fused, looped


def listed(result):
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("wrapped", [(True, True), (True, False), (False, True)], ids=str)
@pytest.mark.parametrize("merge_mode", MODES)
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("kind", BATCHES)
def test_the_bits_of_the_fused_layer(kind, return_sequences, merge_mode, wrapped):
    make = nr.LSTMCell if kind in ("dense", "mask") else nr.GRUCell
    options = {"return_sequences": return_sequences, "return_state": True, "make": make}
    fused, looped = pair(merge_mode, wrapped, **options)
    states = len(fused.layout)
    initial = [RNG.standard_normal((B, H)).astype(np.float32) for _ in range(states)]
    for given in ([X], [X, initial]):
        expected = listed(fused(*given, **BATCHES[kind]))
        got = listed(looped(*given, **BATCHES[kind]))
        same(got, expected)
    out = tuple(np.full_like(array, np.nan) for array in expected)
    same(listed(looped(X, initial, **BATCHES[kind], out=out)), expected)
    same(list(out), expected)


@pytest.mark.parametrize("merge_mode", MODES)
def test_ragged_and_time_major(merge_mode):
    fused, looped = pair(merge_mode, return_sequences=True)
    rows = nr.Ragged(X[np.arange(T) < LENGTHS[:, None]], np.concatenate([[0], np.cumsum(LENGTHS)]))
    for got, expected in zip(listed(looped(rows)), listed(fused(rows)), strict=True):
        same([got.values, got.offsets], [expected.values, expected.offsets])
    fused, looped = pair(merge_mode, return_sequences=True, time_major=True)
    x = np.ascontiguousarray(X.swapaxes(0, 1))
    for given in ({}, {"mask": MASK.T}, {"lengths": LENGTHS}):
        same(listed(looped(x, **given)), listed(fused(x, **given)))


def test_every_leaf_is_merged():
    layer = nr.Bidirectional(nr.RNN(Nested(), return_sequences=True), "sum")
    x = batch(np.random.default_rng(3))
    total, rest = layer(x, lengths=LENGTHS)
    first = nr.RNN(Nested(), return_sequences=True)(x, lengths=LENGTHS)
    second = nr.RNN(Nested(), return_sequences=True, go_backwards=True)(x, lengths=LENGTHS)
    for got, one, other in (
        (total, first[0], second[0]),
        (rest["grid"], first[1]["grid"], second[1]["grid"]),
        (rest["count"], first[1]["count"], second[1]["count"]),
    ):
        turned = np.zeros_like(other)
        for b, n in enumerate(LENGTHS):
            turned[b, :n] = other[b, :n][::-1]
        same([got], [one + turned])


@pytest.mark.parametrize("wrapped", [(True, True), (True, False), (False, True)], ids=str)
def test_states_that_stay(wrapped):
    fused, looped = pair("concat", wrapped, stateful=True, return_sequences=True)
    assert looped.states is None
    for begin, end in ((0, 2), (2, 3), (3, T)):
        same([looped(X[:, begin:end])], [fused(X[:, begin:end])])
        same(looped.states, fused.states)
    for layer in (fused, looped):
        layer.reset_states(rows=[1])
    same(looped.states, fused.states)
    copies = copy.deepcopy(looped), pickle.loads(pickle.dumps(looped))
    expected = fused(X)
    for layer in (looped, *copies):
        same([layer(X)], [expected])
    for layer in (fused, looped):
        layer.reset_states([np.full((B, H), k, np.float32) for k in range(4)])
    same([looped(X)], [fused(X)])


class Failing(Sum):
    """Sums until it is told to fail."""

    fails = False

    def call(self, inputs, states):
        if self.fails:
            raise KeyError("planted")
        return super().call(inputs, states)


@pytest.mark.parametrize("fused_forward", [False, True])
def test_a_failed_call_leaves_both_states(fused_forward):
    """Even if one direction has finished: at the first call, and later."""
    forward = nr.LSTM(I, stateful=True, seed=0) if fused_forward else nr.RNN(Sum(), stateful=True)
    second = Failing()
    layer = nr.Bidirectional(forward, "concat", nr.RNN(second, stateful=True, go_backwards=True))
    second.fails = True
    with pytest.raises(KeyError, match="planted"):
        layer(X)
    assert layer.states is None and layer.forward_layer.states is None
    second.fails = False
    layer(X)
    before = layer.states
    second.fails = True
    with pytest.raises(KeyError, match="planted"):
        layer(X)
    same(layer.states, before)
    second.fails = False
    with pytest.raises(ValueError, match="out"):
        layer(X, out=np.empty((1, 1), np.float32))
    same(layer.states, before)


def test_one_call_at_a_time():
    entered, may_go = threading.Event(), threading.Event()

    class Waiting(Sum):
        def call(self, inputs, states):
            entered.set()
            may_go.wait(60)
            return super().call(inputs, states)

        def __deepcopy__(self, memo):
            return self

    layer = nr.Bidirectional(nr.RNN(Waiting(), stateful=True), "sum")
    thread = threading.Thread(target=layer, args=(X,))
    thread.start()
    try:
        assert entered.wait(60)
        with pytest.raises(RuntimeError, match="in use by another thread"):
            layer(X)
    finally:
        may_go.set()
        thread.join()
    assert len(layer.states) == 2


def test_weights_and_the_other_methods():
    _, looped = pair("concat", (False, True))
    assert len(looped.get_weights()) == 3  # the other cell tells none
    mixed = nr.Bidirectional(nr.RNN([nr.LSTMCell(I, seed=0), Sum()], return_sequences=True))
    mixed(X)
    weights = [2 * array for array in mixed.get_weights()]
    mixed.set_weights(weights)
    same(mixed.get_weights(), weights)
    assert mixed.compute_mask(X, MASK) is MASK
    nr.warmup(mixed)
    for refused in (mixed.forward_layer.explain, mixed.forward_layer.stepper):
        with pytest.raises(TypeError, match="the cell is written in Python"):
            refused(X)
    assert (mixed.name, mixed.forward_layer.name) == ("bidirectional", "forward_rnn")

    class Narrow(Sum):
        def call(self, inputs, states):
            total, new = super().call(inputs, states)
            return total[:, :1], new

    uneven = nr.Bidirectional(nr.RNN(Sum()), "sum", nr.RNN(Narrow(), go_backwards=True))
    with pytest.raises(ValueError, match=r"shape \(5, 3\), the backward layer's \(5, 1\); expected the same"):
        uneven(X)
    with pytest.raises(ValueError, match="initial_state has 3"):
        looped(X, [ones(B, H)] * 3)
