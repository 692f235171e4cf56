"""Stacks, residual connections and dropout of TensorFlow 1: the cells inside, put together in NumPy."""

import copy
import pickle

import numpy as np
import pytest
from bits import same
from test_tf1_cells import LENGTHS, B, H, I, P, T, draw, inputs, listed, loop, states

import numbarnn as nr
from numbarnn import tf1


def flow(*cells):
    """Cells with random weights, each of its own for the inputs of the one before."""
    features = I
    for k, cell in enumerate(cells):
        cell.set_weights(draw(cell.shapes(features).values(), cell.dtype, seed=10 + k))
        features = cell.output_size
    return list(cells)


def flat(state):
    return [array for part in state for array in flat(part)] if isinstance(state, list | tuple) else [state]


# Stacks


def cells_of_a_stack():
    return flow(tf1.LSTMCell(H, use_peepholes=True, num_proj=P), tf1.GRUCell(5), tf1.LSTMBlockCell(6))


@pytest.mark.parametrize("time_major", [False, True])
def test_a_stack_is_its_cells_one_after_the_other(time_major):
    cells, x = cells_of_a_stack(), inputs()
    state = tuple(states(cell, seed=20 + k)[1] for k, cell in enumerate(cells))
    y, final = x, []
    for cell, start in zip(cells, state, strict=True):
        y, end = tf1.dynamic_rnn(cell, y, LENGTHS, start)
        final.append(end)
    stack = tf1.MultiRNNCell(cells)
    given = x.swapaxes(0, 1) if time_major else x
    outputs, new = tf1.dynamic_rnn(stack, given, LENGTHS, state, time_major=time_major)
    same([outputs.swapaxes(0, 1) if time_major else outputs, *flat(new)], [y, *flat(final)])
    assert [type(part) for part in new] == [tf1.LSTMStateTuple, np.ndarray, tf1.LSTMStateTuple]
    assert stack.state_size == (tf1.LSTMStateTuple(H, P), 5, tf1.LSTMStateTuple(6, 6))


@pytest.mark.parametrize("is_tuple", [True, False])
def test_a_stack_step_by_step(is_tuple):
    """The bits of the sequence; the state a tuple, or one matrix."""
    cells = flow(tf1.LSTMCell(H, num_proj=P, state_is_tuple=is_tuple), tf1.GRUCell(5))
    stack, x = tf1.MultiRNNCell(cells, state_is_tuple=is_tuple), inputs()
    outputs, state = loop(stack, x, stack.zero_state(B))
    y, final = tf1.dynamic_rnn(stack, x)
    same([outputs, *flat(state)], [y, *flat(final)])
    assert is_tuple or (final.shape == (B, stack.state_size) and stack.state_size == H + P + 5)
    again, last = tf1.dynamic_rnn(stack, x, initial_state=final)
    expected, end = loop(stack, x, final)
    same([again, *flat(last)], [expected, *flat(end)])


class Counting:
    """Written in Python: its outputs are its inputs, its state the number of steps."""

    state_size, output_size = 1, P

    def call(self, inputs, states):
        return inputs, [states[0] + 1]


@pytest.mark.parametrize("is_tuple", [True, False])
@pytest.mark.cpu
def test_a_stack_with_a_cell_written_in_python(is_tuple):
    """States have the same form; the loop in Python runs it."""
    cells = flow(tf1.LSTMCell(H, num_proj=P, state_is_tuple=is_tuple))
    stack, x = tf1.MultiRNNCell([*cells, Counting()], state_is_tuple=is_tuple), inputs()
    y, final = tf1.dynamic_rnn(stack, x, LENGTHS)
    outputs, state = tf1.dynamic_rnn(cells[0], x, LENGTHS)
    steps = LENGTHS[:, None].astype("f4")
    expected = (state, steps) if is_tuple else np.concatenate([state, steps], axis=1)
    same([y, *flat(final)], [outputs, *flat(expected)])
    assert type(final) is type(expected) is type(stack.zero_state(B)) is type(stack(x[:, 0], final)[1])


def test_weights_of_a_stack():
    cells = cells_of_a_stack()
    stack = tf1.MultiRNNCell(cells)
    arrays = stack.get_weights()
    same(arrays, [array for cell in cells for array in cell.get_weights()])
    stack.set_weights([2 * array for array in arrays])
    same(stack.get_weights(), [2 * array for array in arrays])


def test_one_cell_twice_shares_its_weights():
    (cell,) = flow(tf1.BasicRNNCell(I))
    x = inputs()
    once, first = tf1.dynamic_rnn(cell, x)
    twice, second = tf1.dynamic_rnn(cell, once)
    y, final = tf1.dynamic_rnn(tf1.MultiRNNCell([cell, cell]), x)
    same([y, *final], [twice, first, second])


# Residual connections


@pytest.mark.parametrize("cell", [tf1.LSTMCell(I, num_proj=I, seed=1), tf1.GRUCell(I, seed=1)])
@pytest.mark.parametrize("function", [None, lambda given, output: output - 2.0 * given], ids=["sum", "own"])
def test_the_inputs_are_added_to_the_outputs(cell, function):
    """In one rounding; states are the cell's."""
    wrapped, x = tf1.ResidualWrapper(cell, function), inputs()
    y, final = tf1.dynamic_rnn(cell, x, LENGTHS)
    outputs, state = tf1.dynamic_rnn(wrapped, x, LENGTHS)
    valid = np.arange(T) < LENGTHS[:, None]
    expected = x + y if function is None else y - 2 * x
    same([outputs, *listed(state)], [np.where(valid[..., None], expected, 0), *listed(final)])
    stepped, last = loop(wrapped, x, wrapped.zero_state(B))
    again, final = tf1.dynamic_rnn(wrapped, x)
    same([stepped, *listed(last)], [again, *listed(final)])
    assert type(last) is type(cell.zero_state(1)) and wrapped.state_size == cell.state_size


def test_a_residual_connection_of_inputs_that_lie_anyhow():
    """Views, time-major, Ragged, backward and in pieces: the same bits."""
    wrapped = tf1.ResidualWrapper(tf1.GRUCell(I, seed=1))
    x = inputs()
    y, final = tf1.dynamic_rnn(wrapped, x, LENGTHS)
    padded = np.full((B, 2 * T, I + 2), np.nan, "f4")
    padded[:, ::2, 1:-1] = x
    same(tf1.dynamic_rnn(wrapped, padded[:, ::2, 1:-1], LENGTHS), [y, final])
    turned, state = tf1.dynamic_rnn(wrapped, x.swapaxes(0, 1), LENGTHS, time_major=True)
    same([turned.swapaxes(0, 1), state], [y, final])
    rows = nr.Ragged.from_rows([row[:n] for row, n in zip(x, LENGTHS, strict=True)])
    layer = nr.RNN(wrapped, return_sequences=True, return_state=True)
    ragged, state = layer(rows)
    same([ragged.to_padded(time=T), state], [y, final])
    kept = nr.RNN(wrapped, return_sequences=True, stateful=True)
    y, _ = tf1.dynamic_rnn(wrapped, x)
    same([np.concatenate([kept(x[:, :2]), kept(x[:, 2:])], axis=1)], [y])
    stepper = nr.RNN(wrapped).stepper(B)
    same([np.stack([stepper(x[:, t]) for t in range(T)], axis=1)], [y])


def test_residual_layers_in_a_stack():
    """As translation models have them: the first layer plain, the others with a residual connection."""
    cells = flow(tf1.LSTMCell(5), tf1.LSTMCell(5), tf1.LSTMCell(5))
    stack = tf1.MultiRNNCell([cells[0], *map(tf1.ResidualWrapper, cells[1:])])
    x = inputs()
    y, first = tf1.dynamic_rnn(cells[0], x)
    final = [first]
    for cell in cells[1:]:
        output, state = tf1.dynamic_rnn(cell, y)
        y, final = y + output, [*final, state]
    outputs, state = tf1.dynamic_rnn(stack, x)
    same([outputs, *flat(state)], [y, *flat(final)])


# Dropout


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
    twice = tf1.DropoutWrapper(inside, output_keep_prob=0.6, seed=2)
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


# Refusals

GRU = tf1.GRUCell(4, seed=0)
REFUSALS = {
    "nested": (
        lambda: tf1.MultiRNNCell([tf1.MultiRNNCell([GRU])]),
        TypeError,
        r"cells\[0\] is a MultiRNNCell; expected its cells in its place",
    ),
    "tuples": (
        lambda: tf1.MultiRNNCell([tf1.LSTMCell(4)], state_is_tuple=False),
        ValueError,
        r"cells\[0\] has the state_size LSTMStateTuple\(c=4, h=4\), and state_is_tuple is False",
    ),
    "parts": (
        lambda: tf1.MultiRNNCell([GRU])(np.ones((2, 3), "f4"), GRU.zero_state(2)),
        TypeError,
        "state is of type ndarray; expected a tuple of 1, one for each cell",
    ),
    "stack": (
        lambda: tf1.ResidualWrapper(tf1.MultiRNNCell([GRU])),
        TypeError,
        "cell is of type MultiRNNCell; expected one cell",
    ),
    "class": (
        lambda: tf1.DropoutWrapper(tf1.GRUCell),
        TypeError,
        "cell is of type type; expected a cell that",
    ),
    "recurrent": (
        lambda: tf1.DropoutWrapper(nr.GRUCell(4, recurrent_dropout=0.5)),
        ValueError,
        "cell has recurrent_dropout = 0.5; expected 0.0",
    ),
    "probability": (
        lambda: tf1.DropoutWrapper(GRU, output_keep_prob=1.1),
        ValueError,
        "output_keep_prob = 1.1; expected a probability, from 0 to 1",
    ),
    "no number": (
        lambda: tf1.DropoutWrapper(GRU, state_keep_prob="0.5"),
        TypeError,
        "state_keep_prob = '0.5' is of type str; expected a number",
    ),
    "dtype": (
        lambda: tf1.DropoutWrapper(GRU, dtype="float64"),
        ValueError,
        "dtype = 'float64'; expected 'float32', which the weights have",
    ),
    "visitor": (
        lambda: tf1.DropoutWrapper(GRU, dropout_state_filter_visitor=lambda state: True),
        ValueError,
        "dropout_state_filter_visitor = .*; expected None",
    ),
    "input size": (
        lambda: tf1.DropoutWrapper(tf1.GRUCell(4), input_size=5).build(3),
        ValueError,
        "input_size = 3; expected 5, as DropoutWrapper was told",
    ),
    "sizes": (
        lambda: tf1.dynamic_rnn(tf1.ResidualWrapper(tf1.GRUCell(4)), np.ones((2, 3, 5), "f4")),
        ValueError,
        "input_size = 5; expected 4, the size of the outputs that ResidualWrapper adds the inputs to",
    ),
    "function": (
        lambda: tf1.ResidualWrapper(GRU, "sum"),
        TypeError,
        "residual_fn is of type str; expected a function of an input and an output, or None",
    ),
    "branch": (
        lambda: tf1.ResidualWrapper(GRU, lambda given, output: max(given, output)),
        TypeError,
        "a cell may not branch on data",
    ),
}


@pytest.mark.parametrize("name", REFUSALS)
def test_refusals(name):
    call, error, message = REFUSALS[name]
    with pytest.raises(error, match=message):
        call()
