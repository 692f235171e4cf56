"""TensorFlow 1's wrappers around stacks."""

import copy
import pickle
import threading

import numpy as np
import pytest
import tf1_longhand as longhand
from bits import same
from test_tf1_cells import LENGTHS, B, H, I, P, T, inputs, listed, loop, states
from test_tf1_wrappers import flat, flow
from tolerance import assert_close

import numbarnn as nr
from numbarnn import tf1

STAGES = ("input", "output", "state")
NEARLY = 1 - 2.0**-40  # a stage that is there and, of the few factors drawn here, drops none


def kinds(dtype, count, last=6):
    """Cells of a stack, of different sizes."""
    made = [
        tf1.LSTMCell(H, num_proj=P, dtype=dtype),
        tf1.GRUCell(5, dtype=dtype),
        tf1.LSTMBlockCell(last, use_peephole=True, dtype=dtype),
    ]
    return flow(*made[3 - count :])


STEPS = {
    tf1.LSTMCell: lambda *given: longhand.lstm(*given, projects=True),
    tf1.GRUCell: longhand.gru,
    tf1.LSTMBlockCell: lambda *given: longhand.lstm(*given, peepholes="ifo"),
}


def ones(size, features):
    """A cell whose outputs are 1."""
    cell = tf1.BasicRNNCell(size, "linear")
    cell.set_weights([np.zeros((features + size, size), "f4"), np.ones(size, "f4")])
    return cell


def echo(size):
    """A cell whose outputs are its inputs."""
    cell = tf1.BasicRNNCell(size, "linear")
    cell.set_weights([np.eye(2 * size, size, dtype="f4"), np.zeros(size, "f4")])
    return cell


def probe(cells, probabilities, dtype="float32", **options):
    """The factors (B, T, size) that a wrapper of these cells draws: on the inputs, on each h, on the outputs;
    as a stack of the same sizes shows them, stage by stage.
    """
    sizes, found = [cell.output_size for cell in cells], {}
    for stage, keep_prob in probabilities.items():
        own = {f"{name}_keep_prob": NEARLY if name != stage else keep_prob for name in probabilities}
        first = echo(I) if stage == "input" else ones(sizes[0], I)
        features = [first.output_size, *sizes[1:]]
        others = [ones(size, before) for before, size in zip(features, sizes[1:], strict=False)]
        cell = tf1.DropoutWrapper(tf1.MultiRNNCell([first, *others]), **own, **options)
        outputs, kept = [], []
        for _ in range(T):
            output, state = cell(np.ones((B, I), "f4"), cell.zero_state(B))
            outputs, kept = [*outputs, output], [*kept, state]
        kept = [np.stack(one, axis=1) for one in zip(*kept, strict=True)]
        shown = {"input": kept[:1], "state": kept, "output": [np.stack(outputs, axis=1)]}[stage]
        for factors in shown:
            assert 0 < np.count_nonzero(factors) and set(np.unique(factors)) <= {0, np.float32(1 / keep_prob)}
        found[stage] = [np.where(factors > 0, 1 / keep_prob, 0).astype(dtype) for factors in shown]
    return {
        "inputs": found.get("input", [None])[0],
        "kept": found.get("state"),
        "outputs": found.get("output", [None])[0],
    }


def by_hand(cells, x, state, lengths, inputs=None, kept=None, outputs=None):
    """The steps of the cells with these factors."""
    final, results, one = [listed(part) for part in state], [], np.ones((B, T, 1), x.dtype)
    for t in range(T):
        value, going = x[:, t] * (one if inputs is None else inputs)[:, t], (t < lengths)[:, None]
        for k, cell in enumerate(cells):
            value, new = cell(value, cell.pack_state(final[k]))
            new = listed(new)
            new[-1] = new[-1] * (one if kept is None else kept[k])[:, t]
            final[k] = [np.where(going, a, b) for a, b in zip(new, final[k], strict=True)]
        results.append(np.where(going, value * (one if outputs is None else outputs)[:, t], 0))
    return [np.stack(results, axis=1).astype(x.dtype), *flat(final)]


# Dropout


@pytest.mark.parametrize("stage", [*STAGES, "all"])
@pytest.mark.parametrize("variational", [False, True])
@pytest.mark.parametrize(("dtype", "count"), [("float32", 1), ("float64", 2), ("float32", 3)])
def test_dropout_of_a_stack(stage, variational, dtype, count):
    """The cells' steps by hand with the same factors: what a cell hands to the next is not dropped."""
    cells, x = kinds(dtype, count), inputs(dtype)
    probabilities = dict(zip(STAGES, (0.8, 0.6, 0.7), strict=True))
    if stage != "all":
        probabilities = {stage: probabilities[stage]}
    options = {"variational_recurrent": variational, "seed": 6, "input_size": I}
    factors = probe(cells, probabilities, dtype, **options)
    given = {f"{name}_keep_prob": keep_prob for name, keep_prob in probabilities.items()}
    state = tuple(states(cell, seed=20 + k)[1] for k, cell in enumerate(cells))
    wrapped = tf1.DropoutWrapper(tf1.MultiRNNCell(cells), **given, **options)
    y, final = tf1.dynamic_rnn(wrapped, x, LENGTHS, state)
    same([y, *flat(final)], by_hand(cells, x, state, LENGTHS, **factors))
    assert (y != tf1.dynamic_rnn(wrapped.cell, x, LENGTHS, state)[0]).any()
    assert [type(part) for part in final] == [type(part) for part in state]
    assert (wrapped.state_size, wrapped.output_size) == (wrapped.cell.state_size, cells[-1].output_size)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("variational", [False, True])
def test_the_equations_of_a_wrapped_stack(dtype, variational):
    """Dropout around a residual connection, from the variables."""
    cells, x = kinds(dtype, 3, last=I), inputs(dtype)
    probabilities = dict(zip(STAGES, (0.8, 0.6, 0.7), strict=True))
    options = {"variational_recurrent": variational, "seed": 3}
    factors = probe(cells, probabilities, dtype, **options)
    given = [states(cell, seed=20 + k) for k, cell in enumerate(cells)]
    residual = tf1.ResidualWrapper(tf1.MultiRNNCell(cells))
    wrapped = tf1.DropoutWrapper(residual, 0.8, 0.6, 0.7, **options)
    y, final = tf1.dynamic_rnn(wrapped, x, LENGTHS, tuple(state for _, state in given))
    layers = [(STEPS[type(cell)], cell.get_weights()) for cell in cells]
    arguments = layers, x, [arrays for arrays, _ in given], LENGTHS
    wide = np.float64 if dtype == "float32" else np.longdouble
    exact = longhand.run_stack(*arguments, dtype=wide, **factors, residual=True)
    naive = longhand.run_stack(*arguments, dtype=np.dtype(dtype).type, naive=True, **factors, residual=True)
    for k, triple in enumerate(zip([y, *flat(final)], exact, naive, strict=True)):
        assert_close(*triple, f"result {k}")


@pytest.mark.parametrize("variational", [False, True])
def test_a_dropped_stack_however_it_is_run(variational):
    """Steps in a loop, a stepper, time-major inputs, copies: the same masks."""
    cells, x = kinds("float32", 3, last=I), inputs()

    def wrapped():
        stack = tf1.ResidualWrapper(tf1.MultiRNNCell(cells))
        return tf1.DropoutWrapper(stack, 0.8, 0.6, 0.7, variational_recurrent=variational, seed=9)

    y, final = tf1.dynamic_rnn(wrapped(), x)
    stepped, state = loop(wrapped(), x, wrapped().zero_state(B))
    same([stepped, *flat(state)], [y, *flat(final)])
    stepper = nr.RNN(wrapped()).stepper(B)
    same([np.stack([stepper(x[:, t]) for t in range(T)], axis=1)], [y])
    turned, state = tf1.dynamic_rnn(wrapped(), x.swapaxes(0, 1), time_major=True)
    same([turned.swapaxes(0, 1), *flat(state)], [y, *flat(final)])
    once = wrapped()
    tf1.dynamic_rnn(once, x)
    others = copy.deepcopy(once), pickle.loads(pickle.dumps(once))
    second = flat(tf1.dynamic_rnn(once, x))
    assert (second[0] != y).any()
    for other in others:
        same(flat(tf1.dynamic_rnn(other, x)), second)


def test_masks_that_a_loop_keeps():
    """Until a stack is told to draw others."""
    cell = tf1.DropoutWrapper(
        tf1.MultiRNNCell([ones(40, I), ones(30, 40)]), state_keep_prob=0.5, variational_recurrent=True, seed=1
    )
    x = np.ones((B, I), "f4")
    first = flat(cell(x, cell.zero_state(B))[1])
    same(flat(cell(x, cell.zero_state(B))[1]), first)
    assert all((state == state[0]).all() for state in first)
    cell.reset_dropout_mask()
    again = flat(cell(x, cell.zero_state(B))[1])
    assert all((a != b).any() for a, b in zip(again, first, strict=True))


def test_a_kept_mask_has_the_features_of_its_cell():
    """Also of one that is not the first of a stack that a stepper runs."""
    x = inputs()

    def stack():
        first, second = flow(tf1.GRUCell(H), tf1.GRUCell(5))
        return tf1.MultiRNNCell([first, tf1.DropoutWrapper(second, 0.5, variational_recurrent=True, seed=1)])

    y, _ = tf1.dynamic_rnn(stack(), x)
    stepper = nr.RNN(stack()).stepper(B)
    same([np.stack([stepper(x[:, t]) for t in range(T)], axis=1)], [y])


def test_cells_have_masks_of_their_own():
    """And so have directions."""
    cells = [ones(200, I), ones(200, 200), ones(200, 200)]
    cell = tf1.DropoutWrapper(tf1.MultiRNNCell(cells), state_keep_prob=0.5, seed=1)
    _, final = tf1.dynamic_rnn(cell, np.ones((1, 1, I), "f4"))
    layer = nr.Bidirectional(nr.RNN(cell, return_state=True))
    layer.set_weights(2 * cell.get_weights())
    _, *both = layer(np.ones((1, 1, I), "f4"))
    masks = [array[0] > 0 for array in both]
    same(both[:3], final)
    for k, one in enumerate(masks):
        for other in masks[:k]:
            table = [((one == a) & (other == b)).sum() for a in (False, True) for b in (False, True)]
            assert all(abs(count - 50) <= 5 * np.sqrt(200 * 0.25 * 0.75) for count in table)


# Residual connections


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("function", [None, lambda given, output: output - 2.0 * given], ids=["sum", "own"])
def test_the_inputs_of_a_stack_are_added_to_its_outputs(count, function):
    """In one rounding; states are the cells'. Views, time-major, Ragged, backward, in pieces, step by step:
    the same bits.
    """
    stack, x = tf1.MultiRNNCell(kinds("float32", count, last=I)), inputs()
    wrapped = tf1.ResidualWrapper(stack, function)
    assert wrapped.cell is stack

    def added(y):
        return x + y if function is None else y - 2 * x

    y, final = tf1.dynamic_rnn(stack, x, LENGTHS)
    expected = np.where((np.arange(T) < LENGTHS[:, None])[..., None], added(y), 0)
    outputs, state = tf1.dynamic_rnn(wrapped, x, LENGTHS)
    same([outputs, *flat(state)], [expected, *flat(final)])
    padded = np.full((B, 2 * T, I + 2), np.nan, "f4")
    padded[:, ::2, 1:-1] = x
    same([tf1.dynamic_rnn(wrapped, padded[:, ::2, 1:-1], LENGTHS)[0]], [expected])
    turned, _ = tf1.dynamic_rnn(wrapped, x.swapaxes(0, 1), LENGTHS, time_major=True)
    same([turned.swapaxes(0, 1)], [expected])
    rows = nr.Ragged.from_rows([row[:n] for row, n in zip(x, LENGTHS, strict=True)])
    same([nr.RNN(wrapped, return_sequences=True)(rows).to_padded(time=T)], [expected])
    backward = nr.RNN(stack, True, go_backwards=True)(x)[:, ::-1]
    same([nr.RNN(wrapped, True, go_backwards=True)(x)[:, ::-1]], [added(backward)])
    y, final = tf1.dynamic_rnn(wrapped, x)
    same([y], [added(tf1.dynamic_rnn(stack, x)[0])])
    kept = nr.RNN(wrapped, return_sequences=True, stateful=True)
    same([np.concatenate([kept(x[:, :2]), kept(x[:, 2:2]), kept(x[:, 2:])], axis=1)], [y])
    stepped, last = loop(wrapped, x, wrapped.zero_state(B))
    same([stepped, *flat(last)], [y, *flat(final)])
    stepper = nr.RNN(wrapped).stepper(B)
    same([np.stack([stepper(x[:, t]) for t in range(T)], axis=1)], [y])


def residual_above():
    """A stack with a residual connection, above another cell."""
    first, *others = flow(tf1.GRUCell(4), tf1.LSTMCell(H), tf1.GRUCell(4))
    return tf1.MultiRNNCell([first, tf1.ResidualWrapper(tf1.MultiRNNCell(others))]), [first, *others]


def test_a_residual_stack_above_another_cell():
    """States are nested; what is added is what the cell below puts out."""
    stack, (first, *others) = residual_above()
    x = inputs()
    below, h = tf1.dynamic_rnn(first, x)
    above, final = tf1.dynamic_rnn(tf1.MultiRNNCell(others), below)
    y, state = tf1.dynamic_rnn(stack, x)
    same([y, *flat(state)], [below + above, *flat((h, final))])
    assert [type(part) for part in state[1]] == [tf1.LSTMStateTuple, np.ndarray]
    stepped, state = loop(stack, x, stack.zero_state(B))
    same([stepped, *flat(state)], [y, h, *flat(final)])


def test_directions_of_residual_stacks():
    """Two that share a call do not take each other's inputs, be they copies or the same cells."""
    x, valid = inputs(), (np.arange(T) < LENGTHS[:, None])[..., None]
    stack, _ = residual_above()
    back = nr.RNN(stack, return_sequences=True, go_backwards=True)(x, lengths=LENGTHS)
    (forward, backward), _ = nr.bidirectional_dynamic_rnn(stack, stack, x, LENGTHS)
    same([forward], [tf1.dynamic_rnn(stack, x, LENGTHS)[0]])
    turned = np.zeros_like(back)
    for b, n in enumerate(LENGTHS):
        turned[b, :n] = back[b, :n][::-1]
    same([backward], [turned])
    layer = nr.Bidirectional(nr.RNN(stack, return_sequences=True))
    layer.set_weights(2 * stack.get_weights())
    same([layer(x, lengths=LENGTHS)], [np.concatenate([forward, turned], axis=2)])
    assert valid.any() and (forward != turned).any()


def test_the_same_residual_stack_twice():
    (cell, other), x = flow(tf1.GRUCell(H), tf1.GRUCell(I)), inputs()
    residual = tf1.ResidualWrapper(tf1.MultiRNNCell([cell, other]))
    once, first = tf1.dynamic_rnn(residual, x)
    twice, second = tf1.dynamic_rnn(residual, once)
    y, final = tf1.dynamic_rnn(tf1.MultiRNNCell([residual, residual]), x)
    same([y, *flat(final)], [twice, *flat((first, second))])


def test_threads_share_a_residual_stack():
    """Each call adds its own inputs."""
    stack, _ = residual_above()
    given = [inputs(seed=seed) for seed in range(4)]
    expected = [tf1.dynamic_rnn(stack, x)[0] for x in given]
    wrong = []

    def work(k):
        for _ in range(30):
            if (tf1.dynamic_rnn(stack, given[k])[0] != expected[k]).any():
                wrong.append(k)

    threads = [threading.Thread(target=work, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_wrappers_of_wrapped_stacks():
    """What is inside comes before what is outside."""
    cells, x = flow(tf1.GRUCell(H), tf1.LSTMCell(I)), inputs()
    stack = tf1.MultiRNNCell(cells)
    options = {"seed": 1}
    factors = probe(cells, {"input": 0.7}, **options)["inputs"]
    state = stack.zero_state(B)
    full = np.full(B, T)
    y, *final = by_hand(cells, x, state, full, inputs=factors)
    dropped = x * factors
    inside = tf1.DropoutWrapper(tf1.ResidualWrapper(stack), 0.7, **options)
    same(flat(tf1.dynamic_rnn(inside, x)), [dropped + y, *final])
    outside = tf1.ResidualWrapper(tf1.DropoutWrapper(stack, 0.7, **options))
    same(flat(tf1.dynamic_rnn(outside, x)), [x + y, *final])
    both = tf1.ResidualWrapper(tf1.DropoutWrapper(tf1.ResidualWrapper(stack), 0.7, **options))
    same(flat(tf1.dynamic_rnn(both, x)), [x + (dropped + y), *final])


def test_weights_of_a_wrapped_stack():
    """Those of the cells, however they come."""
    stack = tf1.MultiRNNCell([tf1.GRUCell(H, seed=1), tf1.GRUCell(I, seed=2)])
    wrapped, x = tf1.ResidualWrapper(tf1.DropoutWrapper(stack, 0.5, seed=1)), inputs()
    assert wrapped.get_weights() == [] and wrapped.input_size is None
    wrapped.build(I)
    same(wrapped.get_weights(), stack.get_weights())
    before, _ = tf1.dynamic_rnn(tf1.ResidualWrapper(stack), x)
    wrapped.set_weights([2 * array for array in wrapped.get_weights()])
    same(stack.get_weights(), wrapped.get_weights())
    after, _ = tf1.dynamic_rnn(tf1.ResidualWrapper(stack), x)
    assert (before != after).any()
    same([after], [x + tf1.dynamic_rnn(stack, x)[0]])


def fade(a, h, gap):
    return nr.math.tanh(a) + nr.math.exp(-gap) * h


def test_a_stack_with_inputs_of_its_own():
    definition = nr.cell("fading_in_a_stack", states="h", phases=[nr.phase("a:x+h", fade)], extra="gap:1")
    cells, x = [nr.FusedCell(definition, H, seed=1), nr.FusedCell(definition, I, seed=2)], inputs()
    gap = np.random.default_rng(1).uniform(0, 2, (B, T)).astype("f4")
    stack = tf1.MultiRNNCell(cells)
    wrapped = tf1.ResidualWrapper(stack)
    y = nr.RNN(stack, return_sequences=True)(x, extra={"gap": gap})
    same([nr.RNN(wrapped, return_sequences=True)(x, extra={"gap": gap})], [x + y])
    output, _ = wrapped(x[:, 0], wrapped.zero_state(B), extra={"gap": gap[:, 0]})
    same([output], [(x + y)[:, 0]])
    with pytest.raises(ValueError, match="extra has no 'gap'"):
        wrapped(x[:, 0], wrapped.zero_state(B))


def test_a_wrapped_stack_in_a_stack_of_wrapped_cells():
    """Dropout of the whole reaches every cell."""
    stack, _ = residual_above()
    x = inputs()
    wrapped = tf1.DropoutWrapper(stack, state_keep_prob=0.5, seed=2)
    assert len(wrapped.cells) == 3
    _, final = tf1.dynamic_rnn(wrapped, x)
    assert all((part == 0).any() for part in (final[0], final[1][0].h, final[1][1]))
    assert (final[1][0].c != 0).all()
    zero = tf1.DropoutWrapper(stack, output_keep_prob=0.5, seed=2)
    y, _ = tf1.dynamic_rnn(zero, x)
    plain, _ = tf1.dynamic_rnn(stack, x)
    assert ((y == 0) | (y == 2 * plain)).all() and 0 < np.count_nonzero(y) < y.size
