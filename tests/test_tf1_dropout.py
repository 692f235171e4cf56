"""TensorFlow 1's dropout: the steps of the cell inside, by hand, with the same factors."""

import copy
import pickle

import numpy as np
import pytest
from bits import same
from test_tf1_cells import LENGTHS, B, H, I, P, T, draw, inputs, listed, loop, states
from test_tf1_wrappers import flat, flow

import numbarnn as nr
from numbarnn import tf1


def probe(size, keep_prob, stage, seed, dtype="float32", **options):
    """The factors (B, T, size) that a wrapper with this seed draws for a vector of `size`: those of a cell
    that gives back its inputs, run step by step on ones.
    """
    plain = tf1.BasicRNNCell(size, "linear", dtype=dtype)
    plain.set_weights([np.eye(2 * size, size, dtype=dtype), np.zeros(size, dtype)])
    cell = tf1.DropoutWrapper(plain, **{f"{stage}_keep_prob": keep_prob}, seed=seed, **options)
    ones, kept = np.ones((B, size), dtype), []
    for _ in range(T):
        output, state = cell(ones, cell.zero_state(B))
        kept.append(state if stage == "state" else output)
    return np.stack(kept, axis=1)


def by_hand(cell, x, state, lengths=None, inputs=None, kept=None, outputs=None):
    """The steps of a cell with factors (B, T, size) on its inputs, the h that it keeps, and its outputs."""
    lengths = np.full(B, T) if lengths is None else lengths
    results, one = [], np.ones(1, x.dtype)
    final = [array.copy() for array in listed(state)]
    for t in range(x.shape[1]):
        given = x[:, t] * (one if inputs is None else inputs[:, t])
        output, new = cell(given, cell.pack_state(final))
        new = listed(new)
        new[-1] = new[-1] * (one if kept is None else kept[:, t])
        going = (t < lengths)[:, None]
        results.append(np.where(going, output * (one if outputs is None else outputs[:, t]), 0))
        final = [np.where(going, a, b).astype(x.dtype) for a, b in zip(new, final, strict=True)]
    return [np.stack(results, axis=1).astype(x.dtype), *final]


INNER = {
    "GRU": lambda **o: tf1.GRUCell(H, **o),
    "GRU after": lambda **o: tf1.CudnnCompatibleGRUCell(H, **o),
    "BasicRNN": lambda **o: tf1.BasicRNNCell(H, **o),
    "LSTM": lambda **o: tf1.LSTMBlockCell(H, use_peephole=True, **o),
    "LSTM projection": lambda **o: tf1.LSTMCell(H, num_proj=P, **o),
}
every_inner = pytest.mark.parametrize("name", INNER)


@every_inner
@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("stage", ["input", "state", "output"])
def test_dropout_of_one_stage(name, variational, dtype, stage):
    """The steps by hand with the same factors: inputs before the cell, h after it but not the output, the
    output but not the state.
    """
    (cell,), x = flow(INNER[name](dtype=dtype)), inputs(dtype)
    size = I if stage == "input" else cell.output_size
    options = {"variational_recurrent": variational}
    factors = probe(size, 0.7, stage, 6, dtype, **options)
    assert set(np.unique(factors)) == {0, np.dtype(dtype).type(1 / 0.7)}
    wrapped = tf1.DropoutWrapper(cell, **{f"{stage}_keep_prob": 0.7}, seed=6, **options)
    given = {"input": "inputs", "state": "kept", "output": "outputs"}[stage]
    expected = by_hand(cell, x, states(cell)[1], LENGTHS, **{given: factors})
    y, final = tf1.dynamic_rnn(wrapped, x, LENGTHS, states(cell)[1])
    same([y, *listed(final)], expected)
    plain = by_hand(cell, x, states(cell)[1], LENGTHS)
    assert (y != plain[0]).any()


@every_inner
@pytest.mark.parametrize("variational", [False, True])
def test_dropout_of_all_stages(name, variational):
    """Each has its own masks. A loop over steps, time-major inputs and a second cell of the same seed find
    the same ones.
    """
    (cell,), x = flow(INNER[name]()), inputs()

    def wrapped():
        return tf1.DropoutWrapper(cell, 0.8, 0.6, 0.7, variational_recurrent=variational, seed=9)

    y, final = tf1.dynamic_rnn(wrapped(), x)
    same(flat(loop(wrapped(), x, cell.zero_state(B))), flat((y, final)))
    turned, state = tf1.dynamic_rnn(wrapped(), x.swapaxes(0, 1), time_major=True)
    same([turned.swapaxes(0, 1), *flat(state)], [y, *flat(final)])
    same([nr.RNN(wrapped(), return_sequences=True)(x)], [y])
    once = wrapped()
    tf1.dynamic_rnn(once, x)
    other = copy.deepcopy(once), pickle.loads(pickle.dumps(once))
    second = tf1.dynamic_rnn(once, x)
    assert (second[0] != y).any()
    for copied in other:
        same(flat(tf1.dynamic_rnn(copied, x)), flat(second))


def test_stages_are_independent():
    """A vector of ones through a cell that gives back its inputs: dropped h and dropped output differ."""
    plain = tf1.BasicRNNCell(200, "linear")
    plain.set_weights([np.eye(400, 200, dtype="f4"), np.zeros(200, "f4")])
    cell = tf1.DropoutWrapper(plain, output_keep_prob=0.5, state_keep_prob=0.5, seed=1)
    output, state = cell(np.ones((1, 200), "f4"), cell.zero_state(1))
    table = [((output > 0) == a) & ((state > 0) == b) for a in (False, True) for b in (False, True)]
    assert all(abs(both.sum() - 50) <= 5 * np.sqrt(200 * 0.25 * 0.75) for both in table)


@pytest.mark.parametrize("keep_prob", [0.0, 0.1, 0.5, 0.93])
def test_as_much_is_kept_as_is_said(keep_prob):
    """Everything is 0 or x / keep_prob; how much is kept is within 5 standard deviations of n keep_prob."""
    cell = tf1.DropoutWrapper(tf1.GRUCell(100, seed=0), output_keep_prob=keep_prob, seed=2)
    x = np.random.default_rng(0).standard_normal((20, 30, 4)).astype("f4")
    y, _ = tf1.dynamic_rnn(cell, x)
    plain, _ = tf1.dynamic_rnn(cell.cell, x)
    scaled = plain * np.float32(1 / keep_prob if keep_prob else 0)
    assert plain.all() and ((y == 0) | (y == scaled)).all()
    kept, n = np.count_nonzero(y), y.size
    assert abs(kept - n * keep_prob) <= 5 * np.sqrt(n * keep_prob * (1 - keep_prob))


@pytest.mark.parametrize("stage", ["input", "state", "output"])
def test_variational_masks(stage):
    """The same for all rows and steps of a call, others in the next; a loop keeps them until told."""
    options = {f"{stage}_keep_prob": 0.5, "variational_recurrent": True, "seed": 3}
    factors = probe(40, 0.5, stage, 3, variational_recurrent=True)
    assert (factors == factors[0, 0]).all() and 0 < np.count_nonzero(factors[0, 0]) < 40
    plain = tf1.BasicRNNCell(40, "linear")
    plain.set_weights([np.eye(80, 40, dtype="f4"), np.zeros(40, "f4")])
    ones = np.ones((B, T, 40), "f4")
    cell = tf1.DropoutWrapper(plain, **options)
    calls = [flat(tf1.dynamic_rnn(cell, ones))[stage == "state"].reshape(-1, 40)[0] for _ in range(3)]
    same(calls[:1], [factors[0, 0]])
    assert len({call.tobytes() for call in calls}) == 3
    steps = tf1.DropoutWrapper(plain, **options)
    first = flat(steps(ones[:, 0], steps.zero_state(B)))
    same(flat(steps(ones[:, 1], steps.zero_state(B))), first)
    steps.reset_dropout_mask()
    assert any(
        (a != b).any() for a, b in zip(flat(steps(ones[:, 2], steps.zero_state(B))), first, strict=True)
    )


def test_which_states_are_dropped():
    """h and not c of an LSTMStateTuple; both of one matrix, and of a list."""
    x = np.ones((1, 1, 2), "f4")
    for cell, kinds in (
        (tf1.LSTMCell(100, seed=0), [False, True]),
        (nr.LSTMCell(100, seed=0), [True, True]),
    ):
        _, final = tf1.dynamic_rnn(tf1.DropoutWrapper(cell, state_keep_prob=0.5, seed=0), x)
        assert [bool((state == 0).any()) for state in final] == kinds
    joined = tf1.DropoutWrapper(tf1.LSTMCell(100, state_is_tuple=False, seed=0), state_keep_prob=0.5, seed=0)
    _, final = tf1.dynamic_rnn(joined, x)
    assert (final[:, :100] == 0).any() and (final[:, 100:] == 0).any() and final.any()


def test_stages_that_keep_all_are_left_out():
    (cell,), x = flow(tf1.LSTMCell(H)), inputs()
    wrapped = tf1.DropoutWrapper(cell, 1.0, 1.0, 1.0)
    same(flat(tf1.dynamic_rnn(wrapped, x, LENGTHS)), flat(tf1.dynamic_rnn(cell, x, LENGTHS)))
    assert wrapped.definition is cell.definition


def test_wrappers_of_wrappers():
    """Dropped inputs reach the residual connection inside, and are dropped no more outside it."""
    (cell,) = flow(tf1.LSTMCell(I))
    x, zeros = inputs(), cell.zero_state(B)
    before, after = probe(I, 0.7, "input", 1), probe(I, 0.6, "output", 2)
    inside = tf1.DropoutWrapper(tf1.ResidualWrapper(cell), input_keep_prob=0.7, seed=1)
    dropped = x * before
    y, *final = by_hand(cell, dropped, zeros)
    same(flat(tf1.dynamic_rnn(inside, x)), [dropped + y, *final])
    outside = tf1.ResidualWrapper(tf1.DropoutWrapper(cell, input_keep_prob=0.7, seed=1))
    same(flat(tf1.dynamic_rnn(outside, x)), [x + y, *final])
    inside = tf1.DropoutWrapper(tf1.ResidualWrapper(cell), input_keep_prob=0.7, seed=1)
    twice = tf1.DropoutWrapper(inside, output_keep_prob=0.6, seed=2)
    same(flat(tf1.dynamic_rnn(twice, x)), [(dropped + y) * after, *final])
    outer = tf1.DropoutWrapper(tf1.DropoutWrapper(cell, output_keep_prob=0.6, seed=2), 1.0, 0.6, seed=2)
    y, *final = by_hand(cell, x, zeros)
    same(flat(tf1.dynamic_rnn(outer, x)), [y * after * after, *final])


def test_weights_stay_those_of_the_cell():
    """A wrapper finds new ones, however they come."""
    cell, x = tf1.GRUCell(I), inputs()
    wrapped = tf1.ResidualWrapper(tf1.DropoutWrapper(cell, 0.5, seed=1))
    wrapped.build(I)
    same(wrapped.get_weights(), cell.get_weights())
    before, _ = tf1.dynamic_rnn(tf1.ResidualWrapper(cell), x)
    arrays = draw(wrapped.shapes(I).values())
    wrapped.set_weights(arrays)
    same(cell.get_weights(), arrays)
    plain = tf1.ResidualWrapper(cell)
    after, _ = tf1.dynamic_rnn(plain, x)
    assert (before != after).all()
    cell.set_weights(wrapped.cell.cell.get_weights())
    same([tf1.dynamic_rnn(plain, x)[0]], [after])


def test_a_wrapped_cell_in_two_directions():
    """Each copy has weights and masks of its own; `bidirectional_dynamic_rnn` uses the cells themselves."""
    cell, x = tf1.DropoutWrapper(tf1.GRUCell(H, seed=1), output_keep_prob=0.5, seed=2), inputs()
    layer = nr.Bidirectional(nr.RNN(cell, return_sequences=True))
    y = layer(x)
    forward, backward = y[..., :H], y[:, ::-1, H:]
    for direction, output in ((layer.forward_layer, forward), (layer.backward_layer, backward)):
        inner = direction.cell.cell
        plain, _ = tf1.dynamic_rnn(inner, x if output is forward else x[:, ::-1])
        assert ((output == 0) | (output == 2 * plain)).all() and (output == 0).any()
    assert ((forward == 0) != (backward[:, ::-1] == 0)).any()
    pair = [tf1.ResidualWrapper(tf1.GRUCell(I, seed=seed)) for seed in (1, 2)]
    outputs, _ = nr.bidirectional_dynamic_rnn(*pair, x, LENGTHS)
    inner, _ = nr.bidirectional_dynamic_rnn(*(cell.cell for cell in pair), x, LENGTHS)
    valid = (np.arange(T) < LENGTHS[:, None])[..., None]
    same(outputs, [np.where(valid, x + y, 0) for y in inner])


def fade(a, h, gap):
    return nr.math.tanh(a) + nr.math.exp(-gap) * h


def test_a_users_cell_with_inputs_of_its_own():
    """The user gives what the definition declares, the wrapper the rest."""
    definition = nr.cell("fading", states="h", phases=[nr.phase("a:x+h", fade)], extra="gap:1")
    cell, x = nr.FusedCell(definition, I, seed=1), inputs()
    gap = np.random.default_rng(1).uniform(0, 2, (B, T)).astype("f4")
    plain = nr.RNN(cell, return_sequences=True)(x, extra={"gap": gap})
    layer = nr.RNN(tf1.ResidualWrapper(cell), return_sequences=True)
    same([layer(x, extra={"gap": gap})], [x + plain])
    with pytest.raises(ValueError, match="extra has no 'gap'"):
        layer(x)
    with pytest.raises(ValueError, match="extra has 'residual', which no cell declares"):
        layer(x, extra={"gap": gap, "residual": x})


def first_half(a):
    return nr.math.tanh(a)


def second_half(b, h):
    return b - h


def test_a_users_cell_that_reads_its_new_state():
    """What later phases multiply and read is the state as it was computed, before it is dropped."""
    phases = [nr.phase("a:x+h", first_half, results="h"), nr.phase("b:h", second_half, results="y")]
    definition = nr.cell("twice", states="h", phases=phases, output="y")
    cell, x = nr.FusedCell(definition, H, seed=1), inputs()
    factors = probe(H, 0.5, "state", 6)
    y, states, state = [], [], cell.get_initial_state(B)
    for t in range(T):
        output, [h] = cell(x[:, t], state)
        state = [h * factors[:, t]]
        y, states = [*y, output], [*states, *state]
    layer = nr.RNN(tf1.DropoutWrapper(cell, state_keep_prob=0.5, seed=6), True, True)
    same(layer(x), [np.stack(y, axis=1), states[-1]])


def test_dropout_of_the_cell_itself():
    """A cell's own, with training=True, comes before what a wrapper adds."""
    x = inputs()
    cells = [nr.LSTMCell(H, dropout=0.5, seed=1) for _ in range(2)]
    plain = nr.RNN(cells[0], return_sequences=True)(x, training=True)
    factors = probe(H, 0.5, "output", 4)
    layer = nr.RNN(tf1.DropoutWrapper(cells[1], output_keep_prob=0.5, seed=4), return_sequences=True)
    same([layer(x, training=True)], [plain * factors])


def test_ragged_rows():
    """Masks of their own, drawn anew from the same seed."""
    (cell,), x = flow(tf1.GRUCell(H)), inputs()
    rows = nr.Ragged.from_rows([row[:n] for row, n in zip(x, LENGTHS, strict=True)])
    plain = nr.RNN(cell, return_sequences=True)(rows).values
    results = [
        nr.RNN(tf1.DropoutWrapper(cell, 1.0, 0.5, seed=1), return_sequences=True)(rows).values
        for _ in range(2)
    ]
    same(results[:1], results[1:])
    assert ((results[0] == 0) | (results[0] == 2 * plain)).all() and 0 < np.count_nonzero(
        results[0]
    ) < plain.size
