"""Layers made of layers, and the masks that pass through them."""

import copy
import pickle

import numpy as np
import pytest
from bits import same

import numbarnn as nr

IDS = np.array([[3, 1, 0, 0], [0, 2, 4, 0], [4, 4, 4, 4]])


class Seen:
    """Passes inputs and mask on, and keeps the mask."""

    supports_masking = True

    def __call__(self, x, mask=None):
        self.mask = mask
        return x


def random_batch(*shape):
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


class Bare:
    """Says nothing about masks."""

    def __call__(self, x):
        return x + 1


@pytest.mark.parametrize(
    "between, passes",
    [
        ([], True),
        ([nr.Dense(2)], True),
        ([nr.LSTM(2, return_sequences=True)], True),
        ([nr.Bidirectional(nr.GRU(2, return_sequences=True))], True),
        ([nr.Sequential([nr.Dense(2), Seen()])], True),
        ([nr.TimeDistributed(nr.Dense(2))], True),
        ([nr.TimeDistributed(Bare())], True),
        ([Bare()], False),
        ([np.tanh], False),
        ([lambda x: 2 * x], False),
        ([nr.Sequential([Bare()])], False),
    ],
)
def test_what_masks_pass(between, passes):
    """As in Keras 3; where the mask ends, this is said once."""
    last = Seen()
    model = nr.Sequential([nr.Masking(), *between, last])
    x, mask = IDS[..., np.newaxis].astype(np.float32), IDS > 0
    if passes:
        model(x)
        same([last.mask], [mask])
        return
    with pytest.warns(UserWarning, match="does not support masking"):
        model(x)
    assert last.mask is None
    model(x)


def test_embedding_without_mask_zero_ends_a_mask():
    """As in Keras 3."""
    last = Seen()
    model = nr.Sequential([nr.Embedding(5, 2), last])
    with pytest.warns(UserWarning, match="'embedding' .of type Embedding. was passed a mask"):
        model(IDS, mask=IDS > 0)
    assert last.mask is None


def test_a_layer_gets_what_it_takes():
    class Layer:
        def __call__(self, x, mask=None, training=False):
            self.given = mask, training
            return x

    layer = Layer()
    nr.Sequential([layer])(IDS)
    assert layer.given == (None, False)
    with pytest.warns(UserWarning):
        nr.Sequential([layer])(IDS, mask=IDS > 0, training=True)
    same([layer.given[0]], [IDS > 0])
    assert layer.given[1] is True


def test_a_users_layer_is_built_once():
    class Scale:
        shapes = ()

        def build(self, input_shape):
            self.shapes += (input_shape,)
            self.factor = np.ones(input_shape[-1], np.float32)

        def call(self, x):
            return x * self.factor

        def compute_output_shape(self, input_shape):
            return input_shape

        def get_weights(self):
            return [self.factor]

        def set_weights(self, weights):
            [self.factor] = weights

    scale = Scale()
    model = nr.Sequential([nr.SimpleRNN(4), scale])
    model(random_batch(2, 3, 5))
    model(random_batch(1, 3, 5))
    assert scale.shapes == ((None, 4),)
    before = model(random_batch(2, 3, 5))
    model.set_weights([*model.get_weights()[:-1], np.full(4, 2, np.float32)])
    same([model(random_batch(2, 3, 5))], [2 * before])
    assert model.count_params() == 4 * 5 + 4 * 4 + 4 + 4
    told = nr.Sequential([scale := Scale(), nr.Dense(3)])
    told.build((None, 7, 5))
    assert scale.shapes == ((None, 7, 5),) and len(told.weights) == 3


def test_build_draws_what_a_call_would():
    def new():
        return nr.Sequential(
            [
                nr.Embedding(11, 5, mask_zero=True, seed=0),
                nr.TimeDistributed(nr.Dense(3, seed=1)),
                nr.Bidirectional(nr.GRU(2, return_sequences=True, seed=2)),
                nr.Sequential([nr.LSTM(6, seed=3)]),
                nr.Dense(2, seed=4),
            ]
        )

    built, called = new(), new()
    built.build((None, 7))
    called(np.zeros((2, 7), int))
    same(built.get_weights(), called.get_weights())
    assert [array.shape for array in built.weights] == [
        (11, 5), (5, 3), (3,), *[(3, 6), (2, 6), (2, 6)] * 2, (4, 24), (6, 24), (24,), (6, 2), (2,),
    ]  # fmt: skip
    assert built.compute_output_shape((None, 7)) == (None, 2)
    with pytest.raises(ValueError, match="without weights"):
        new().set_weights(built.weights)


@pytest.mark.parametrize(
    "layer",
    [
        nr.SimpleRNN(4),
        nr.GRU(4, return_sequences=True),
        nr.GRU(4, time_major=True),
        nr.LSTM(4, time_major=True, return_sequences=True),
        nr.Bidirectional(nr.GRU(4)),
        nr.Bidirectional(nr.GRU(4, return_sequences=True), "sum"),
        nr.TimeDistributed(nr.Dense(2)),
        nr.Masking(),
        nr.Sequential([nr.Dense(2), nr.LSTM(5)]),
    ],
)
def test_shapes_are_told_before_a_call(layer):
    x, model = random_batch(3, 6, 2), nr.Sequential([layer])
    assert model.compute_output_shape(x.shape) == layer(x).shape


@pytest.mark.parametrize(
    "layer",
    [nr.LSTM(4, return_state=True), nr.Bidirectional(nr.GRU(4), None), np.tanh, nr.TimeDistributed(np.exp)],
)
def test_other_shapes_are_told_by_a_call(layer):
    x, model = random_batch(3, 6, 2), nr.Sequential([layer])
    assert model.compute_output_shape(x.shape) is None
    y = model(x)
    [shape] = [adapted.output_shape for adapted in model._adapted]
    expected = [part.shape for part in y] if isinstance(y, (list, tuple)) else y.shape
    axes = shape if isinstance(shape, list) else [shape]
    assert [(3, *rest[1:]) for rest in axes] == (expected if isinstance(expected, list) else [expected])


def test_weights_are_set_all_or_none():
    model = nr.Sequential([nr.Dense(3, seed=0), nr.Dense(2, seed=1)])
    model.build((None, 4))
    before, zeros = model.get_weights(), [np.zeros_like(array) for array in model.weights]
    with pytest.raises(ValueError, match="kernel has shape"):
        model.set_weights([*zeros[:2], np.zeros((5, 5)), zeros[3]])
    same(model.weights, before)
    model.set_weights(zeros)
    same(model.weights, zeros)


def test_a_layer_that_occurs_twice():
    shared = nr.Dense(4, "tanh", seed=0)
    model, x = nr.Sequential([shared, shared]), random_batch(3, 4)
    same([model(x)], [shared(shared(x))])
    assert len(model.weights) == 2


def test_copies_have_the_same_bits():
    layers = [nr.Embedding(5, 3, seed=0), nr.Bidirectional(nr.GRU(4, seed=1)), nr.Dense(2, seed=2)]
    model = nr.Sequential(layers)
    y = model(IDS)
    same([other(IDS) for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model)))], [y, y])


def test_add_and_pop():
    model, x = nr.Sequential(name="grown"), random_batch(3, 4)
    with pytest.raises(ValueError, match="'grown' has no layers"):
        model(x)
    with pytest.raises(ValueError, match="'grown' has no layers"):
        model.pop()
    first, second = nr.Dense(4, seed=0), nr.Dense(2, seed=1)
    model.add(first)
    model.add(second)
    same([model(x)], [second(first(x))])
    assert model.layers == [first, second]
    assert model.pop() is second
    same([model(x)], [first(x)])


def test_ragged_text():
    """Without padding, embedding to sentiment; the bits of every row alone."""
    model = nr.Sequential(
        [
            nr.Embedding(9, 4, mask_zero=True, seed=0),
            nr.GRU(5, return_sequences=True, seed=1),
            nr.Dense(3, seed=2),
            nr.LSTM(6, seed=3),
            nr.Dense(2, "softmax", seed=4),
        ]
    )
    rows = [np.array([1, 2, 3]), np.array([], int), np.array([8]), np.array([4, 1])]
    ragged = nr.Ragged(np.concatenate(rows), np.cumsum([0, *map(len, rows)]))
    same([model(ragged)], [np.concatenate([model(row[np.newaxis]) for row in rows])])
    same([model.predict(ragged, batch_size=3)], [model(ragged)])
    for _ in range(3):
        model.pop()
    joined = model.predict(ragged, batch_size=2)
    same([joined.values, joined.offsets], [model(ragged).values, ragged.offsets])


def test_predict_of_several_outputs_and_of_nothing():
    model = nr.Sequential([nr.LSTM(3, return_state=True, seed=0)])
    x = random_batch(5, 4, 2)
    results = model.predict(x, batch_size=2)
    assert isinstance(results, tuple)
    same(results, model(x))
    assert [array.shape for array in model.predict(x[:0])] == [(0, 3)] * 3


def test_predict_carries_states():
    x = random_batch(6, 4, 2)
    model = nr.Sequential([nr.GRU(3, stateful=True, seed=0)])
    got = model.predict(x, batch_size=2)
    model.reset_states()
    same([got], [np.concatenate([model(x[b : b + 2]) for b in (0, 2, 4)])])
    with pytest.raises(ValueError, match="divides"):
        model.predict(x[:5], batch_size=2)


@pytest.mark.parametrize("verbose, terminal, shown", [
    ("auto", False, False), ("auto", True, True), (0, True, False), (1, False, True),
])  # fmt: skip
def test_progress_is_shown_on_a_terminal(verbose, terminal, shown, monkeypatch, capsys):
    monkeypatch.setattr("numbarnn.terminal.QUIET_SECONDS", 0.0)
    monkeypatch.setattr("numbarnn.terminal._rich_for", lambda stream: False)
    monkeypatch.setattr("sys.stderr.isatty", lambda: terminal, raising=False)
    nr.Sequential([nr.Dense(2)], name="big").predict(random_batch(4, 3), 1, verbose)
    assert ("big: 2 of 4" in capsys.readouterr().err) == shown


def weighed(x, mask=None):
    """A function that takes a mask."""
    return x * mask[..., np.newaxis]


@pytest.mark.parametrize(
    "inner, mask",
    [
        (nr.Dense(4, "tanh", seed=0), None),
        (nr.LSTM(4, seed=0), None),
        (nr.LSTM(4, return_sequences=True, seed=0), np.random.default_rng(0).random((3, 5, 2)) < 0.6),
        (nr.Sequential([nr.GRU(4, return_sequences=True, seed=0), nr.Dense(2, seed=1)]), None),
        (weighed, np.random.default_rng(1).random((3, 5, 2)) < 0.6),
        (np.exp, None),
    ],
)
def test_time_distributed_is_a_loop_over_time(inner, mask):
    """As Keras 3 has it."""
    x, layer = random_batch(3, 5, 2, 6), nr.TimeDistributed(inner)
    given = [{} if mask is None else {"mask": mask[:, t]} for t in range(5)]
    same([layer(x, mask)], [np.stack([inner(x[:, t], **given[t]) for t in range(5)], axis=1)])
    assert layer.compute_mask(x, mask) is mask


def test_time_distributed_carries_states():
    x = random_batch(3, 5, 2, 6)
    layer, inner = (nr.GRU(4, stateful=True, seed=0) for _ in range(2))
    wrapped = nr.TimeDistributed(layer)
    same([wrapped(x)], [np.stack([inner(x[:, t]) for t in range(5)], axis=1)])
    wrapped.reset_states()
    assert not layer.states[0].any()


def test_summary():
    model = nr.Sequential(
        [nr.Embedding(5, 4), nr.LSTM(3, return_sequences=True), nr.Dense(2), nr.Dense(2), Bare()], name="clf"
    )
    told = []
    model.summary(print_fn=told.append)
    assert told[0].count("0 (unbuilt)") == 5 and told[0].count("?") == 5
    model.build((None, 7))
    model.summary(print_fn=told.append)
    lines = told[1].splitlines()
    assert lines[0] == 'Model: "clf"'
    for cells in (
        ("embedding (Embedding)", "(None, 7, 4)", "20"),
        ("lstm (LSTM)", "(None, 7, 3)", "96"),
        ("dense (Dense)", "(None, 7, 2)", "8"),
        ("dense_1 (Dense)", "(None, 7, 2)", "6"),
        ("bare (Bare)", "?", "0 (unbuilt)"),
    ):
        assert any([cell.strip() for cell in line.split("│")[1:-1]] == [*cells] for line in lines), cells
    assert lines[-1] == " Total params: 130 (520.00 B)"
    assert len({len(line) for line in lines[1:-1]}) == 1
    model(np.ones((1, 7), int))
    model.summary(print_fn=told.append)
    assert "(None, 7, 2)" in told[2].splitlines()[-3]


def test_warmup_of_a_model(monkeypatch):
    """Of every layer that has kernels."""
    compiled = []
    monkeypatch.setattr("numbarnn.dispatch.compile_all", compiled.append)
    inner = nr.Sequential([nr.Masking(), nr.TimeDistributed(nr.Dense(3)), nr.GRU(4)])
    model = nr.Sequential([nr.Embedding(5, 2), inner, Bare(), nr.Dense(6, "softmax")])
    with pytest.raises(ValueError, match="'dense' has no weights yet"):
        nr.warmup(model)
    model(IDS)
    nr.warmup(model)
    cells = [(program.cell.name, program.output_size) for program in compiled]
    assert cells == [("dense", 3), ("gru", 4), ("dense", 6), ("exponential", 6)]


def test_mask_of_a_stateful_model():
    """It is found without a step of the states."""
    model = nr.Sequential([nr.Masking(), nr.LSTM(3, stateful=True, return_sequences=True)])
    x = random_batch(2, 4, 3)
    same([model.compute_mask(x)], [np.ones((2, 4), bool)])
    assert model.layers[1].states is None
    model.add(nr.Dense(2))
    with pytest.raises(ValueError, match="stateful=True"):
        model.compute_mask(x)


def build_with(shape):
    return lambda: nr.Sequential([nr.Dense(2)]).build(shape)


MASK = np.ones((2, 3), bool)
ERRORS = {
    "no list": (TypeError, "expected a list of layers", lambda: nr.Sequential(nr.Dense(2))),
    "class": (TypeError, r"layers\[1\] is the class Dense", lambda: nr.Sequential([np.tanh, nr.Dense])),
    "number": (TypeError, r"layers\[0\] is of type int", lambda: nr.Sequential([3])),
    "inner": (TypeError, "layer is of type str", lambda: nr.TimeDistributed("dense")),
    "shape": (TypeError, "input_shape = 7", build_with(7)),
    "sizes": (TypeError, "integers >= 0", build_with((None, -3))),
    "training": (TypeError, "training = 1", lambda: nr.Sequential([np.tanh])(MASK, training=1)),
    "batch size": (ValueError, "batch_size = 0", lambda: nr.Sequential([np.tanh]).predict(MASK, 0)),
    "verbose": (ValueError, "verbose = 3", lambda: nr.Sequential([np.tanh]).predict(MASK, verbose=3)),
    "no rows": (ValueError, "one per input row", lambda: nr.Sequential([np.sum]).predict(MASK)),
    "no array": (TypeError, "expected one array", lambda: nr.Sequential([len]).predict(MASK)),
    "axes": (ValueError, "expected at least", lambda: nr.TimeDistributed(np.exp)(np.ones((2, 3)))),
    "mask": (ValueError, r"mask has shape \(2, 3\)", lambda: nr.TimeDistributed(np.exp)(
        np.ones((2, 4, 1)), mask=MASK)),
    "flags": (TypeError, "mask has dtype int64", lambda: nr.TimeDistributed(np.exp)(
        np.ones((2, 3, 1)), mask=MASK.astype(np.int64))),
    "no steps": (ValueError, "at least one step", lambda: nr.TimeDistributed(nr.GRU(2, stateful=True))(
        np.ones((2, 0, 4, 3), np.float32))),
    "rows": (ValueError, "expected 6 rows", lambda: nr.TimeDistributed(np.transpose)(np.ones((2, 3, 4)))),
}  # fmt: skip


@pytest.mark.parametrize("error, message, call", ERRORS.values(), ids=ERRORS)
def test_errors_say_what_came(error, message, call):
    with pytest.raises(error, match=message):
        call()


def test_weights_of_another_number():
    model = nr.Sequential([nr.Dense(2)])
    model.build((None, 3))
    with pytest.raises(ValueError, match=r"1 array\(s\); expected 2"):
        model.set_weights(model.weights[:1])
    with pytest.raises(TypeError, match="expected a list of 2"):
        model.set_weights(7)
