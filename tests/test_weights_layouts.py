"""Every layout computes with its own equations what ours do, both ways, and comes back as it was."""

import numpy as np
import pytest
import weights_equations
from weights_equations import D, H, I, P
from weights_systems import SYSTEMS

from numbarnn import weights as w
from numbarnn.kernels.cells import TABLE
from numbarnn.layouts import OURS

B = 7
GATES = {"lstm": 4, "gru": 3, "gru_reset_before": 3, "simple_rnn": 1}
each_system = pytest.mark.parametrize("system", SYSTEMS, ids=str)


def canonical(cell, draw, *, bias=True, peepholes=False, projected=False, blocks=False):
    """Random `Weights`; with `blocks`, the recurrent kernel is 0 between FlashRNN's heads."""
    columns = GATES[cell] * H
    recurrent = draw((P if projected else H, columns))
    if blocks:
        heads = np.arange(H) // D
        recurrent *= heads[:, None] == np.tile(heads, GATES[cell])
    return w.Weights(
        cell,
        draw((I, columns)),
        recurrent,
        draw((2, columns) if cell == "gru" else (columns,)) if bias else None,
        tuple(draw((H,)) for _ in "ifo") if peepholes else None,
        draw((H, P)) if projected else None,
    )


def canonical_of(system, draw, **options):
    return canonical(
        system.cell,
        draw,
        peepholes=system.peepholes,
        projected=system.projected,
        blocks="flashrnn" in system.name,
        **options,
    )


def eighths(seed):
    """Multiples of 1/8, of which one step adds and multiplies without rounding."""
    rng = np.random.default_rng(seed)
    return lambda shape: rng.integers(-3, 4, shape) / 8


def floats(seed, dtype):
    rng = np.random.default_rng(seed)
    return lambda shape: rng.standard_normal(shape).astype(dtype)


def assert_same_step(system, arrays, weights, draw):
    x, h, c = draw((B, I)), draw((B, P if system.projected else H)), draw((B, H))
    theirs, ours = system.step(arrays, x, h, c), weights_equations.ours(weights, x, h, c)
    for one, other in zip(theirs, ours, strict=True):
        assert np.ptp(one) > 0
        np.testing.assert_array_equal(one, other, strict=True)


def assert_same_weights(got, expected):
    """Bit for bit."""
    assert got.cell == expected.cell
    for one, other in zip(got[1:], expected[1:], strict=True):
        if other is None:
            assert one is None
        else:
            np.testing.assert_array_equal(one, other, strict=True)


@each_system
@pytest.mark.parametrize("seed", range(3))
def test_their_arrays_in_our_layout(system, seed):
    draw = eighths(seed)
    arrays = {name: draw(shape) for name, shape in system.shapes.items()}
    assert_same_step(system, arrays, system.take(arrays), draw)


@each_system
@pytest.mark.parametrize("seed", range(3))
def test_our_weights_in_their_layout(system, seed):
    draw = eighths(seed)
    weights = canonical_of(system, draw)
    arrays = system.give(weights)
    for name, shape in system.shapes.items():
        assert arrays[name].shape == shape
    assert_same_step(system, arrays, weights, draw)


@each_system
def test_a_layer_without_bias(system):
    """None where the system has such layers, otherwise zeros, less the forget bias that the cell adds."""
    draw = eighths(5)
    weights = canonical_of(system, draw, bias=False)
    arrays = system.give(weights)
    back = system.take(arrays)
    width = weights.kernel.shape[1]
    zeros = np.zeros((2, width) if system.cell == "gru" else width)
    if back.bias is not None:
        np.testing.assert_array_equal(back.bias, zeros, strict=True)
        assert_same_step(system, arrays, weights._replace(bias=zeros), draw)
    else:
        assert_same_weights(back, weights)


FORGET_BIASES = {"LSTMCell-0.375": 0.375} | dict.fromkeys(
    [
        "BasicLSTMCell",
        "LSTMCell",
        "LSTMCell-peepholes",
        "LSTMCell-projected",
        "LSTMBlockCell",
        "LSTMBlockFusedCell",
        "BlockLSTM",
    ],
    1.0,
)


@each_system
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_there_and_back(system, dtype):
    """Exact, but where a bias is a sum: of a forget bias both ways, of two biases of a GRU."""
    weights = canonical_of(system, floats(11, dtype))
    back = system.take(system.give(weights))
    expected = weights.bias.copy()
    if system.merged:
        gates = slice(0, 2 * H)
        expected[0, gates] += expected[1, gates]
        expected[1, gates] = 0
    forget = FORGET_BIASES.get(system.name, 0.0)
    if forget:
        own, got = expected[H : 2 * H], back.bias[H : 2 * H]
        # the difference, then the sum, is off by half a unit in its last place at most
        first = np.spacing(abs(own - own.dtype.type(forget))) / own.dtype.type(2)
        second = np.spacing(abs(own) + first).astype(np.longdouble) / 2
        assert (abs(got.astype(np.longdouble) - own) <= first + second).all()
        expected[H : 2 * H] = got
    assert_same_weights(back, weights._replace(bias=expected))


def is_bias(name):
    return name[0] in "bB" or name.endswith("bias")


@each_system
def test_back_and_there(system):
    """Kernels are the same bits again; biases too, where the system has one for each of ours."""
    draw = floats(12, "float32")
    arrays = {name: draw(shape) for name, shape in system.shapes.items()}
    weights = system.take(arrays)
    again = system.give(weights)
    count = sum(array.size for name, array in arrays.items() if is_bias(name))
    one_each = count == weights.bias.size and system.name not in FORGET_BIASES
    for name, array in arrays.items():
        if one_each or not is_bias(name):
            np.testing.assert_array_equal(again[name], array, strict=True)
    if system.name not in FORGET_BIASES:
        assert_same_weights(system.take(again), weights)


@each_system
def test_results_are_new_and_contiguous(system):
    """Nothing that a function returns changes with what it was given."""
    draw = floats(13, "float64")
    weights = canonical_of(system, draw)
    arrays = system.give(weights)
    taken = system.take(arrays)

    def parts(one):
        return [array for array in (*one[1:4], *(one.peepholes or ()), one.projection) if array is not None]

    given = [array for array in arrays.values() if isinstance(array, np.ndarray)]
    for one in given:
        assert not any(np.shares_memory(one, other) for other in parts(weights) + parts(taken))
    assert all(array.flags.c_contiguous for array in given + parts(taken))


@pytest.mark.parametrize("cell", GATES)
@pytest.mark.parametrize("bias", [True, False])
def test_keras_arrays_are_ours(cell, bias):
    """Copies, the same bits."""
    weights = canonical(cell, floats(13, "float32"), bias=bias)
    arrays = w.to_keras(weights)
    assert len(arrays) == 2 + bias
    for got, own in zip(arrays, weights[1:], strict=False):
        np.testing.assert_array_equal(got, own, strict=True)
        assert not np.shares_memory(got, own)
    again = w.from_keras(cell, arrays)
    assert_same_weights(again, weights)
    assert not any(np.shares_memory(*pair) for pair in zip(again[1:], arrays, strict=False))


def test_two_biases_are_summed_once():
    """In the arrays' own dtype; the two of a GRU's candidate are never summed."""
    draw = floats(14, "float32")
    arrays = [draw((4 * H, I)), draw((4 * H, H)), draw((4 * H,)), draw((4 * H,))]
    np.testing.assert_array_equal(w.from_torch("lstm", *arrays)[2], arrays[2] + arrays[3], strict=True)
    arrays = [array[: 3 * H] for array in arrays]
    bias = w.from_torch("gru", *arrays)[2]
    for row, own in zip(bias, arrays[2:], strict=True):
        np.testing.assert_array_equal(row[2 * H :], own[2 * H :], strict=True)


def test_forget_bias_is_added_once_in_the_dtype_of_the_arrays():
    draw = floats(15, "float32")
    kernel, bias = draw((I + H, 4 * H)), draw((4 * H,))
    weights = w.from_tf1("LSTMCell", [kernel, bias])
    np.testing.assert_array_equal(weights.bias[H : 2 * H], bias[2 * H : 3 * H] + np.float32(1), strict=True)
    kept = w.from_tf1("LSTMCell", [kernel, bias], forget_bias=0.0)
    np.testing.assert_array_equal(kept.bias[H : 2 * H], bias[2 * H : 3 * H], strict=True)


def test_complemented_update_gate():
    """h' = (1 - z) h + z n."""
    for cell in ("gru", "gru_reset_before"):
        draw = eighths(16)
        weights, x, h = canonical(cell, draw), draw((B, I)), draw((B, H))
        turned = w.complemented_update(weights)
        z = np.s_[..., :H]
        biases = weights.bias if cell == "gru" else weights.bias[None]
        products = x @ weights.kernel[z] + h @ weights.recurrent_kernel[z]
        gate = weights_equations.sigma(products + biases[z].sum(0))
        straight, _ = weights_equations.ours(weights, x, h, None)
        other, _ = weights_equations.ours(turned, x, h, None)
        # straight = z h + (1 - z) n and other = (1 - z) h + z n, hence their sum is h + n
        inner = (straight - gate * h)[gate < 1] / (1 - gate)[gate < 1]
        np.testing.assert_array_equal((straight + other - h)[gate < 1], inner)
        assert_same_weights(w.complemented_update(turned), weights)


def test_our_gates_are_those_of_the_cell_table():
    """Keras' orders, which the kernels read."""
    for cell, layout in OURS.items():
        sums = [total.slot for phase in TABLE[cell].phases for total in phase.sums]
        assert list(dict.fromkeys(sums)) == layout.gates.split()


def stack(cell, directions, layers=3, joined=True):
    """Layers of which the first alone reads I features."""
    draw = floats(17, "float32")
    made = []
    for k in range(layers):
        features = I if k == 0 or not joined else directions * H
        one = [canonical(cell, draw) for _ in range(directions)]
        made.append([weights._replace(kernel=draw((features, GATES[cell] * H))) for weights in one])
    return made


def assert_same_stack(got, expected):
    for own, other in zip(got, expected, strict=True):
        for pair in zip(own, other, strict=True):
            assert_same_weights(*pair)


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_stacks(cell, directions):
    """Every layer and direction keeps its place."""
    layers = stack(cell, directions)
    assert_same_stack(w.from_torch_state_dict(cell, w.to_torch_state_dict(layers)), layers)
    buffer = w.to_cudnn_buffer(layers)
    options = {"layers": 3, "bidirectional": directions == 2}
    assert_same_stack(w.from_cudnn_buffer(cell, buffer, I, H, **options), layers)
    layers = stack(cell, directions, joined=False)
    if cell != "gru":
        assert_same_stack(w.from_onednn(cell, **w.to_onednn(layers)), layers)


def test_projected_stacks():
    draw = floats(18, "float64")
    layers = [[canonical("lstm", draw, projected=True) for _ in range(2)] for _ in range(2)]
    layers[1] = [weights._replace(kernel=draw((2 * P, 4 * H))) for weights in layers[1]]
    assert_same_stack(w.from_torch_state_dict("lstm", w.to_torch_state_dict(layers)), layers)
    buffer = w.to_cudnn_buffer(layers)
    options = {"layers": 2, "bidirectional": True, "projection": P}
    assert_same_stack(w.from_cudnn_buffer("lstm", buffer, I, H, **options), layers)


def test_place_of_each_array_in_the_cudnn_buffer():
    """The matrices of all pseudo-layers, inputs then recurrence, row after row; then all biases."""
    layers = stack("gru", 2, layers=2)
    expected, biases = [], []
    for own in layers:
        for weights in own:
            (W, U), b = (np.hsplit(a, 3) for a in weights[1:3]), weights.bias.reshape(2, 3, H)
            expected += [matrix[k].T.ravel() for matrix in (W, U) for k in (1, 0, 2)]
            biases += [row[k] for row in b for k in (1, 0, 2)]
    np.testing.assert_array_equal(w.to_cudnn_buffer(layers), np.concatenate(expected + biases), strict=True)
