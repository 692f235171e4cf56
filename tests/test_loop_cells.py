"""What cells written in Python may be and do, and the layers of them."""

import numpy as np
import pytest
from bits import same
from written_cells import B, I, Nested, Sum, T, X, batch, ones, ways

import numbarnn as nr
from numbarnn import loop, nests

pytestmark = pytest.mark.cpu  # where cells written in Python run


@ways
def test_dicts_of_states_come_back_as_dicts(run):
    class Named:
        def __init__(self):
            self.state_size = {"b": 2, "a": {"inner": nr.Shape(1, 3)}}

        def call(self, inputs, states):
            assert list(states) == ["b", "a"]
            new = {"a": {"inner": states["a"]["inner"] + 1}, "b": states["b"] + inputs}
            return new["b"], new

    y, states = run(Named(), ones(3, 4, 2))
    assert list(states) == ["b", "a"] and states["a"]["inner"].shape == (3, 1, 3)
    same([y, states["a"]["inner"]], [4 * ones(3, 2), 4 * ones(3, 1, 3)])


@ways
def test_cells_may_write_into_what_they_are_given(run):
    """And return the same arrays at every step; nothing of the caller's changes."""

    class Reusing:
        state_size = I

        def call(self, inputs, states):
            inputs += 1
            states[0] += inputs
            return states[0], states

    class Keeping(Reusing):
        buffer = ones(B, I)

        def call(self, inputs, states):
            self.buffer[...] = states[0] + inputs + 1
            return self.buffer, [self.buffer]

    rng = np.random.default_rng(4)
    x, initial = rng.standard_normal((B, T, I)).astype(np.float32), [ones(B, I)]
    before, mask = x.copy(), rng.random((B, T)) < 0.5
    totals = 1 + np.cumsum(np.where(mask[..., None], x + 1, 0), axis=1, dtype=np.float32)
    for cell in (Reusing(), Keeping()):
        y, [total] = run(cell, x, initial, mask=mask, return_sequences=True)
        same([x, *initial], [before, ones(B, I)])
        begun = mask.cumsum(axis=1) > 0
        # Both round twice or less at each step, in different places, numbers below the sum of absolutes.
        limit = 4 * T * np.finfo(np.float32).eps * (1 + (abs(x) + 1).sum(axis=1, keepdims=True))
        assert (abs(y - np.where(begun[..., None], totals, 0)) <= limit).all()
        assert not np.shares_memory(y, total) and (total == np.where(mask.any(1)[:, None], y[:, -1], 1)).all()
        last, [total] = run(cell, x, initial, mask=mask)
        assert not np.shares_memory(last, total)


@ways
def test_the_whole_batch_at_every_step(run):
    """As in Keras, masked rows too; once for each step, never for shapes or after the longest length."""

    class Counting:
        state_size = 1

        def __init__(self):
            self.seen = []

        def call(self, inputs, states):
            self.seen.append(inputs[:, 0].copy())
            return inputs, states

    x = np.arange(1, 9, dtype=np.float32).reshape(2, 4, 1)
    cell = Counting()
    run(cell, x, mask=np.zeros((2, 4), bool))
    assert np.array_equal(cell.seen, x[..., 0].T)
    cell = Counting()
    run(cell, x, lengths=[1, 3], go_backwards=True)
    assert np.array_equal(cell.seen, [[1, 7], [2, 6], [3, 5]])


@ways
def test_training_goes_to_cells_that_take_it(run):
    class Telling(Sum):
        def call(self, inputs, states, training=None):
            self.told = training
            return super().call(inputs, states)

    for training in (False, True):
        cell = Telling()
        run(cell, ones(2, 3, I), training=training)
        assert cell.told is training
        run(Sum(), ones(2, 3, I), training=training)


@ways
def test_cells_are_built_once(run):
    class Built(Sum):
        calls = 0

        def build(self, input_shape):
            self.calls, self.shape = self.calls + 1, input_shape

        def call(self, inputs, states):
            return super().call(inputs[1][:, 0], states)

    cell = Built()
    for _ in range(2):
        run(cell, (ones(2, 4, 7), ones(2, 4, 5, I)))
    assert cell.calls == 1 and cell.built is True
    assert cell.shape == ((2, 7), (2, 5, I)) and type(cell.shape) is tuple


@ways
def test_cells_that_are_called_themselves(run):
    class Layer(Sum):
        def __call__(self, inputs, states):
            return self.call(inputs + 1, states)

    class Bare:
        state_size = I

        def __call__(self, inputs, states):
            return inputs, states

    assert run(Layer(), ones(2, 3, I))[0].max() == 12
    assert run(Bare(), ones(2, 3, I))[0].max() == 1


@ways
def test_initial_states_in_the_ways_of_both_keras(run):
    """tf_keras' arguments, Keras 3's, ours; one array stands for a list of one."""

    class Two(Sum):
        def get_initial_state(self, inputs="none given", batch_size=None, dtype=None):
            assert inputs is None and dtype == np.float32
            return np.full((batch_size, I), 2, dtype)

    class Three(Sum):
        def get_initial_state(self, batch_size=None):
            return [np.full((batch_size, I), 3, np.float32)]

    for cell, start in ((Sum(), 0), (Two(), 2), (Three(), 3)):
        resets = np.array([[0, 0, 0, 0, 0], [0, 1, 0, 0, 1]], bool)
        _, [state] = run(cell, ones(2, 5, I), resets=resets)
        same([state], [ones(2, I) * np.float32([[start + 5], [start + 1]])])
        same(run(cell, ones(2, 5, I), ones(2, I))[1], [6 * ones(2, I)])


@ways
@pytest.mark.parametrize(
    ("own", "given", "expected"),
    [
        (None, np.float32, np.float32), (None, np.float64, np.float64), (None, np.int64, np.float32),
        ("float64", np.float32, np.float64), (np.dtype("f4"), np.float32, np.float32),
    ],
)  # fmt: skip
def test_dtypes_of_states(run, own, given, expected):
    class Typed:
        state_size, dtype = I, own

        def call(self, inputs, states):
            self.seen = states[0].dtype
            return inputs, states

    cell = Typed()
    y, [state] = run(cell, np.ones((2, 3, I), given))
    assert cell.seen == state.dtype == expected and y.dtype == given


@ways
def test_shapes_of_other_libraries(run):
    class TensorShape:
        def as_list(self):
            return [2, I]

    class Grid:
        state_size = output_size = TensorShape()

        def call(self, inputs, states):
            return states[0], [states[0] + inputs[:, None]]

    y, [state] = run(Grid(), ones(5, 2, I))
    assert y.shape == state.shape == (5, 2, I) and state.max() == 2
    assert run(Grid(), ones(5, 0, I))[0].shape == (5, 2, I)


def test_kept_states():
    """A stateful layer's: the next call's start, unless the caller gives another; the batch stays."""
    x = np.random.default_rng(0).standard_normal((2, 8, I)).astype(np.float32)
    whole, end = loop.run(Sum(), x, return_sequences=True)
    y, kept = loop.run(Sum(), x[:, :3], return_sequences=True)
    copy = kept[0].copy()
    later, final = loop.run(Sum(), x[:, 3:], return_sequences=True, kept=kept)
    same([np.concatenate([y, later], 1), *final, *kept], [whole, *end, copy])
    same([loop.run(Sum(), x, ones(2, I), kept=kept)[0]], [loop.run(Sum(), x, ones(2, I))[0]])
    with pytest.raises(
        ValueError, match=r"^x has batch size 3; the layer's states were made for batch size 2"
    ):
        loop.run(Sum(), ones(3, 1, I), kept=kept)


def test_a_stateful_layer():
    x = np.random.default_rng(0).standard_normal((2, 8, I)).astype(np.float32)
    whole = nr.RNN(Sum(), return_sequences=True)(x)
    layer = nr.RNN(Sum(), return_sequences=True, stateful=True)
    same([np.concatenate([layer(x[:, :3]), layer(x[:, 3:])], 1)], [whole])
    layer.reset_states()
    same([layer(x)], [whole])


def test_out():
    """Written and returned, nested as the result; nothing is written where something is wrong."""
    x = batch(np.random.default_rng(1))
    layer = nr.RNN(Nested(), return_sequences=True, return_state=True)
    results = layer(x)
    out = nests.map_structure(lambda leaf: np.full_like(leaf, np.nan), results)
    given = layer(x, out=out)
    assert all(a is b for a, b in zip(nests.flatten(given), nests.flatten(out), strict=True))
    same(nests.flatten(out), nests.flatten(results))
    assert type(given[0]) is tuple and list(given[0][1]) == ["grid", "count"]
    with pytest.raises(ValueError, match=r"^out\[2\] has 1 part\(s\); expected 2, as the result\[2\] has"):
        layer(x, out=(*out[:2], [out[2][0]]))
    untouched = nests.map_structure(lambda leaf: np.full_like(leaf, np.nan), results)
    untouched[2][1] = np.full(B + 1, np.nan, np.float32)
    with pytest.raises(ValueError, match=r"^out\[2\]\[1\] has shape \(6,\); expected \(5,\)"):
        layer(x, out=untouched)
    assert all(np.isnan(leaf).all() for leaf in nests.flatten(untouched))
    untouched[2][1] = untouched[1][:, 0]
    with pytest.raises(ValueError, match=r"^out\[2\]\[1\] is not C-contiguous"):
        layer(x, out=untouched)


def test_out_of_a_ragged_batch():
    ragged = nr.Ragged(ones(6, I), [0, 2, 2, 6])
    layer, flat = nr.RNN(Sum(), return_sequences=True), np.full((6, I), np.nan, np.float32)
    target = nr.Ragged(flat, ragged.offsets)
    assert layer(ragged, out=target) is target
    same([flat], [layer(ragged).values])
    flat[...] = np.nan
    assert layer(ragged, out=flat).values is flat and not np.isnan(flat).any()


def test_weights_of_a_layer():
    class Weighted(Sum):
        def get_weights(self):
            return self.weights

        def set_weights(self, weights):
            self.weights = weights

    layer, weights = nr.RNN(Weighted()), [ones(2)]
    layer.set_weights(weights)
    assert layer.get_weights() is weights and nr.RNN(Sum()).get_weights() == []
    with pytest.raises(TypeError, match=r"^set_weights: the cell is of type Sum, without set_weights"):
        nr.RNN(Sum()).set_weights(weights)


def test_states_before_the_first_call():
    layer = nr.RNN(Sum(), stateful=True)
    with pytest.raises(ValueError, match=r"^states are given, and the layer has none yet"):
        layer.reset_states([ones(2, I)])
    layer(X)
    layer.reset_states([ones(2, I)])
    same(layer.states, [ones(2, I)])
