"""TensorFlow 1's cells: their equations, variables, states, and single steps against whole sequences."""

import copy
import pickle
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pytest
import tf1_longhand as longhand
from bits import same
from tolerance import assert_close

import numbarnn as nr
from numbarnn import tf1

B, T, I, H, P = 5, 6, 3, 7, 4  # noqa: E741
LENGTHS = np.array([3, 0, T, 1, 4])


class Case(NamedTuple):
    """A cell and its equations."""

    make: Callable
    step: Callable
    options: dict
    bare: bool = True  # whether the state is one array
    output_size: int = H


def lstm(kind=tf1.LSTMCell, output_size=H, **options):
    """An LSTM; its longhand's options are derived from TensorFlow's."""
    plain = {name: options[name] for name in ("forget_bias", "activation", "proj_clip") if name in options}
    clip = options.get("cell_clip")
    if kind is tf1.LSTMCell:
        plain |= {"cell_clip": clip, "projects": "num_proj" in options}
        plain["peepholes"] = "fio" if options.get("use_peepholes") else ""
    elif kind is not tf1.BasicLSTMCell:
        plain |= {"cell_clip": clip if clip is not None and clip > 0 else None}
        plain["peepholes"] = "ifo" if options.get("use_peephole") else ""
    return Case(lambda **more: kind(H, **options, **more), longhand.lstm, plain, False, output_size)


CASES = {
    "BasicRNN": Case(lambda **o: tf1.BasicRNNCell(H, **o), longhand.basic_rnn, {}),
    "BasicRNN relu": Case(
        lambda **o: tf1.BasicRNNCell(H, "relu", **o), longhand.basic_rnn, {"activation": "relu"}
    ),
    "GRU": Case(lambda **o: tf1.GRUCell(H, **o), longhand.gru, {}),
    "GRU sigmoid": Case(lambda **o: tf1.GRUCell(H, "sigmoid", **o), longhand.gru, {"activation": "sigmoid"}),
    "GRUBlock": Case(lambda **o: tf1.GRUBlockCell(H, **o), longhand.gru_block, {}),
    "GRUBlockV2": Case(lambda **o: tf1.GRUBlockCellV2(cell_size=H, **o), longhand.gru_block, {}),
    "CudnnCompatibleGRU": Case(lambda **o: tf1.CudnnCompatibleGRUCell(H, **o), longhand.gru_cudnn, {}),
    "BasicLSTM": lstm(tf1.BasicLSTMCell),
    "BasicLSTM options": lstm(tf1.BasicLSTMCell, forget_bias=-0.3, activation="sigmoid"),
    "LSTM": lstm(),
    "LSTM clip": lstm(cell_clip=0.3, forget_bias=0.0, activation="sigmoid"),
    "LSTM clip 0": lstm(cell_clip=0.0),
    "LSTM clip -0.25": lstm(cell_clip=-0.25),
    "LSTM peepholes": lstm(use_peepholes=True),
    "LSTM peepholes clip": lstm(use_peepholes=True, cell_clip=0.3),
    "LSTM projection": lstm(output_size=P, num_proj=P),
    "LSTM projection clip": lstm(output_size=P, num_proj=P, proj_clip=0.2, cell_clip=0.5),
    "LSTM projection clip -0.1": lstm(output_size=P, num_proj=P, proj_clip=-0.1),
    "LSTM projection as large": lstm(num_proj=H),
    "LSTM projection larger": lstm(output_size=H + 4, num_proj=H + 4),
    "LSTM all": lstm(output_size=P, num_proj=P, use_peepholes=True, cell_clip=0.4, proj_clip=0.3),
    "LSTMBlock": lstm(tf1.LSTMBlockCell, forget_bias=0.5),
    "LSTMBlock peephole": lstm(tf1.LSTMBlockCell, use_peephole=True, cell_clip=0.4),
    "LSTMBlock clip 0": lstm(tf1.LSTMBlockCell, cell_clip=0.0),
    "LSTMBlock clip -1": lstm(tf1.LSTMBlockCell, cell_clip=-1.0),
    "CudnnCompatibleLSTM": lstm(tf1.CudnnCompatibleLSTMCell)._replace(options={"forget_bias": 0.0}),
}
every_case = pytest.mark.parametrize("name", CASES)


def draw(shapes, dtype="float32", seed=1):
    """Weights with distinct values everywhere."""
    rng = np.random.default_rng(seed)
    return [rng.uniform(-1, 1, shape).astype(dtype) for shape in shapes]


def ready(name, **options):
    """A cell of the table above with random weights."""
    cell = CASES[name].make(**options)
    cell.set_weights(draw(cell.shapes(I).values(), cell.dtype))
    return cell


def inputs(dtype="float32", seed=2):
    return np.random.default_rng(seed).standard_normal((B, T, I)).astype(dtype)


def states(cell, seed=3):
    """Random initial states as a list, and as users give them."""
    rng = np.random.default_rng(seed)
    arrays = [rng.uniform(-1, 1, zeros.shape).astype(cell.dtype) for zeros in cell.get_initial_state(B)]
    return arrays, cell.pack_state(arrays)


def listed(state):
    return list(state) if isinstance(state, tuple) else [state]


def loop(cell, x, state):
    """Steps in Python: outputs (B, T, size) and the last state."""
    outputs = []
    for t in range(x.shape[1]):
        output, state = cell(x[:, t], state)
        outputs.append(output)
    return np.stack(outputs, axis=1), state


# Equations


@every_case
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_equations(name, dtype):
    cell, case, x = ready(name, dtype=dtype), CASES[name], inputs(dtype)
    arrays, state = states(cell)
    y, final = tf1.dynamic_rnn(cell, x, LENGTHS, state)
    given = case.step, cell.get_weights(), x, arrays
    expected = longhand.both(dtype, *given, lengths=LENGTHS, **case.options)
    for k, (got, (exact, naive)) in enumerate(zip([y, *listed(final)], expected, strict=True)):
        assert_close(got, exact, naive, f"result {k}")
    assert y.shape == (B, T, case.output_size) == (B, T, cell.output_size)
    assert type(final) is (np.ndarray if case.bare else tf1.LSTMStateTuple)
    assert not y[LENGTHS[:, None] <= np.arange(T)].any()


@every_case
def test_steps_in_a_loop_are_the_sequence(name):
    """Bit for bit; and the last output is the state."""
    cell, x = ready(name), inputs()
    _, state = states(cell)
    y, final = tf1.dynamic_rnn(cell, x, initial_state=state)
    outputs, last = loop(cell, x, state)
    same([y, *listed(final)], [outputs, *listed(last)])
    same([y[:, -1]], [listed(final)[-1]])
    assert type(last) is type(final)


@every_case
def test_from_zeros(name):
    """`zero_state`, its sizes and its form."""
    cell, x, bare = ready(name), inputs(), CASES[name].bare
    zeros = cell.zero_state(B, "float64")
    assert [zero.shape[1] for zero in listed(zeros)] == ([cell.state_size] if bare else list(cell.state_size))
    assert all(zero.dtype == np.float64 and not zero.any() for zero in listed(zeros))
    y, final = tf1.dynamic_rnn(cell, x, LENGTHS)
    again, other = tf1.dynamic_rnn(cell, x, LENGTHS, cell.zero_state(B))
    same([y, *listed(final)], [again, *listed(other)])
    assert not any(array[1].any() for array in listed(final))


@every_case
def test_library_layers_take_the_cell(name):
    """The same bits; states plain, in the definition's order."""
    cell, x = ready(name), inputs()
    arrays, state = states(cell)
    y, final = tf1.dynamic_rnn(cell, x, LENGTHS, state)
    layer = nr.RNN(cell, return_sequences=True, return_state=True)
    same(layer(x, arrays, lengths=LENGTHS), [y, *listed(final)])
    (forward, _), (_, backward) = nr.bidirectional_dynamic_rnn(cell, cell, x, LENGTHS)
    alone, _ = tf1.dynamic_rnn(cell, x, LENGTHS)
    turned, reverse = x.copy(), []
    for b, n in enumerate(LENGTHS):
        turned[b, :n] = x[b, :n][::-1]
    _, reverse = tf1.dynamic_rnn(cell, turned, LENGTHS)
    same([forward, *listed(backward)], [alone, *listed(reverse)])


@every_case
def test_copies_and_pickles(name):
    cell, x = ready(name), inputs()
    y, final = tf1.dynamic_rnn(cell, x)
    for other in (copy.deepcopy(cell), pickle.loads(pickle.dumps(cell))):
        again, last = tf1.dynamic_rnn(other, x)
        same([again, *listed(last)], [y, *listed(final)])
        same(other.get_weights(), cell.get_weights())


# The playground's flow

FLOW = {
    ("LSTM", "reference"): tf1.LSTMCell,
    ("LSTM", "block"): tf1.LSTMBlockCell,
    ("LSTM", "cudnn"): tf1.CudnnCompatibleLSTMCell,
    ("GRU", "reference"): tf1.GRUCell,
    ("GRU", "block"): tf1.GRUBlockCell,
    ("GRU", "cudnn"): tf1.CudnnCompatibleGRUCell,
}


@pytest.mark.parametrize("kind", FLOW, ids=" ".join)
def test_step_by_step_or_all_at_once(kind):
    """A notebook that picks a cell, steps it in a loop and runs it over the whole sequence."""
    cell = FLOW[kind](H, seed=4)
    x = inputs(seed=5)
    outputs, state = loop(cell, x, cell.zero_state(B, np.float32))
    y, final = nr.dynamic_rnn(cell, x, dtype=np.float32)
    same([y, *listed(final)], [outputs, *listed(state)])
    last = final.h if kind[0] == "LSTM" else final
    same([y[:, -1]], [last])


def test_reference_and_block_agree():
    """The LSTMs bit for bit; the GRUs round their mix otherwise."""
    x = inputs()
    for reference, block in ((tf1.LSTMCell, tf1.LSTMBlockCell), (tf1.GRUCell, tf1.GRUBlockCellV2)):
        cells = [kind(H) for kind in (reference, block)]
        for cell in cells:
            cell.set_weights(draw(cells[0].shapes(I).values()))
        assert list(cells[0].shapes(I)) == list(cells[1].shapes(I))
        results = [tf1.dynamic_rnn(cell, x)[0] for cell in cells]
        if reference is tf1.LSTMCell:
            same(results[:1], results[1:])
        else:
            difference = abs(results[0] - results[1]).max()
            assert 0 < difference < 1e-5  # T steps of a few units in the last place of 1


# Variables

KERNEL, BIAS = ("kernel", (I + H, 4 * H)), ("bias", (4 * H,))
GATES = [("gates/kernel", (I + H, 2 * H)), ("gates/bias", (2 * H,))]
GRU = [*GATES, ("candidate/kernel", (I + H, H)), ("candidate/bias", (H,))]
VARIABLES = {
    "BasicRNN": [("kernel", (I + H, H)), ("bias", (H,))],
    "GRU": GRU,
    "GRUBlock": [(name, shape) for name, (_, shape) in zip(("w_ru", "b_ru", "w_c", "b_c"), GRU, strict=True)],
    "GRUBlockV2": GRU,
    "CudnnCompatibleGRU": [
        *GATES,
        ("candidate/input_projection/kernel", (I, H)),
        ("candidate/hidden_projection/kernel", (H, H)),
        ("candidate/input_projection/bias", (H,)),
        ("candidate/hidden_projection/bias", (H,)),
    ],
    "BasicLSTM": [KERNEL, BIAS],
    "LSTM": [KERNEL, BIAS],
    "LSTM peepholes": [KERNEL, BIAS, *((f"w_{gate}_diag", (H,)) for gate in "fio")],
    "LSTM projection": [("kernel", (I + P, 4 * H)), BIAS, ("projection/kernel", (H, P))],
    "LSTM all": [
        ("kernel", (I + P, 4 * H)),
        BIAS,
        *((f"w_{gate}_diag", (H,)) for gate in "fio"),
        ("projection/kernel", (H, P)),
    ],
    "LSTMBlock": [KERNEL, BIAS],
    "LSTMBlock peephole": [KERNEL, BIAS, *((f"w_{gate}_diag", (H,)) for gate in "ifo")],
    "CudnnCompatibleLSTM": [KERNEL, BIAS],
}


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_in_the_order_of_their_creation(name):
    """Shapes; biases begin with 0, those of a GRU's gates with 1; the rest is drawn."""
    cell = CASES[name].make(seed=6)
    assert cell.get_weights() == []
    cell.build(I)
    assert list(cell.shapes(I).items()) == VARIABLES[name]
    for (variable, shape), array in zip(VARIABLES[name], cell.get_weights(), strict=True):
        assert array.shape == shape and array.dtype == np.float32 and not array.flags.writeable
        if "bias" in variable or variable.startswith("b_"):
            assert (array == (variable in ("gates/bias", "b_ru"))).all()
        else:
            assert len(np.unique(array)) == array.size
    same(cell.get_weights(), ready_again(name).get_weights())


def ready_again(name):
    cell = CASES[name].make(seed=6)
    cell.build(I)
    return cell


@every_case
def test_weights_go_in_and_out(name):
    """Copies, bit for bit, of any float dtype rounded once; before the first call and after."""
    cell = CASES[name].make()
    arrays = draw(cell.shapes(I).values(), "float64", seed=8)
    cell.set_weights(arrays)
    assert cell.input_size == I
    same(cell.get_weights(), [array.astype("float32") for array in arrays])
    x = inputs()
    before, _ = tf1.dynamic_rnn(cell, x)
    cell.set_weights([-array for array in cell.get_weights()])
    if name not in ("LSTM clip 0", "LSTM projection clip -0.1"):  # which are constant
        assert (tf1.dynamic_rnn(cell, x)[0] != before)[:, 0].any()
    cell.set_weights([array.astype("float32") for array in arrays])
    same([tf1.dynamic_rnn(cell, x)[0]], [before])
    with pytest.raises(ValueError, match="read-only"):
        cell.get_weights()[0][0, 0] = 1


def test_a_kernel_is_drawn_as_a_whole():
    """Glorot's limit of [I + H, gates H], which no draw exceeds and the largest of many nearly reaches."""
    for cell, shape in (
        (tf1.BasicLSTMCell(40, seed=0), (100, 160)),
        (tf1.GRUCell(40, seed=0), (100, 80)),
        (tf1.LSTMCell(40, num_proj=10, seed=0), (70, 160)),
    ):
        cell.build(60)
        limit, largest = np.sqrt(6 / sum(shape)), abs(cell.get_weights()[0]).max()
        assert cell.get_weights()[0].shape == shape and 0.99 * limit < largest <= np.float32(limit)


def test_initialisers():
    """A given bias_initializer is that of both of a GRU's biases; peepholes share the LSTM's initialiser."""
    cell = tf1.GRUCell(H, kernel_initializer="ones", bias_initializer=lambda shape: np.full(shape, 0.5))
    cell.build(I)
    assert [np.unique(array).tolist() for array in cell.get_weights()] == [[1], [0.5], [1], [0.5]]
    cell = tf1.LSTMCell(H, use_peepholes=True, num_proj=P, initializer="ones")
    cell.build(I)
    assert [np.unique(array).tolist() for array in cell.get_weights()] == [[1], [0], [1], [1], [1], [1]]
    cell = tf1.CudnnCompatibleGRUCell(H, kernel_initializer="ones")
    cell.build(I)
    assert [np.unique(array).tolist() for array in cell.get_weights()] == [[1], [1], [1], [1], [0], [0]]


# States and options


@pytest.mark.parametrize("kind", [tf1.BasicLSTMCell, tf1.LSTMCell])
def test_a_state_as_one_matrix(kind):
    """c beside h: the bits of the tuple."""
    options = {"num_proj": P} if kind is tf1.LSTMCell else {}
    cells = [kind(H, state_is_tuple=is_tuple, **options) for is_tuple in (True, False)]
    for cell in cells:
        cell.set_weights(draw(cells[0].shapes(I).values()))
    x, (arrays, state) = inputs(), states(cells[0])
    joined = np.concatenate(arrays, axis=1)
    assert cells[1].state_size == joined.shape[1] == sum(cells[0].state_size)
    same([cells[1].zero_state(B)], [np.zeros_like(joined)])
    y, final = tf1.dynamic_rnn(cells[0], x, LENGTHS, state)
    same(tf1.dynamic_rnn(cells[1], x, LENGTHS, joined), [y, np.concatenate(final, axis=1)])
    output, new = loop(cells[1], x, joined)
    outputs, last = loop(cells[0], x, state)
    same([output, new], [outputs, np.concatenate(last, axis=1)])


def test_clipped_states_are_what_is_kept_and_seen():
    """Every c lies within the limits and touches them; NaN stays."""
    cell, x = ready("LSTM clip"), 5 * inputs()
    x[0, 2] = np.nan
    y, (c, _) = tf1.dynamic_rnn(cell, x)
    assert np.isnan(c[0]).all() and np.isnan(y[0, 2:]).all() and not np.isnan(y[1:]).any()
    assert abs(c[1:]).max() == np.float32(0.3)
    for limit, kept in ((0.0, 0.0), (-0.25, 0.25)):  # as tf.clip_by_value(c, -limit, limit)
        (_, (c, _)) = tf1.dynamic_rnn(tf1.LSTMCell(H, cell_clip=limit, seed=0), inputs())
        assert (c == np.float32(kept)).all()
    bound = tf1.LSTMBlockCell(H, seed=0)
    for limit in (0.0, -0.25, None):  # off
        cell = tf1.LSTMBlockCell(H, cell_clip=limit)
        cell.set_weights(draw(cell.shapes(I).values()))
        bound.set_weights(draw(cell.shapes(I).values()))
        same(tf1.dynamic_rnn(cell, x)[:1], tf1.dynamic_rnn(bound, x)[:1])


def test_the_forget_bias_is_no_weight():
    """Added in each step: a bias that holds it gives the same but for rounding."""
    folded, cell, x = tf1.BasicLSTMCell(H, forget_bias=0.0), tf1.BasicLSTMCell(H), inputs()
    kernel, bias = draw(cell.shapes(I).values())
    cell.set_weights([kernel, bias])
    with_one = bias.copy()
    with_one[2 * H : 3 * H] += 1
    folded.set_weights([kernel, with_one])
    got, expected = (tf1.dynamic_rnn(one, x)[0] for one in (cell, folded))
    assert abs(got - expected).max() < 1e-5  # T steps of a few units in the last place of 2
    folded.set_weights([kernel, bias])
    assert abs(tf1.dynamic_rnn(folded, x)[0] - expected).max() > 1e-2


@pytest.mark.parametrize("name", tf1.__all__)
def test_every_name_is_documented(name):
    """Parameters and an example."""
    text = getattr(tf1, name).__doc__
    assert "\n    Parameters\n    ----------\n" in text and "\n    Examples\n    --------\n" in text
