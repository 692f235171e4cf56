"""Recorded layers of other systems, their weights taken into our layout, do the same here."""

import ceiling
import numpy as np
import oracle
import pytest
from golden.cases import Case, read, reverse_rows
from test_golden import assert_recorded, layer_of

from numbarnn import weights as w

PEERS, TENSORFLOW = read("layouts_peers"), read("layouts_tensorflow")
NAMES = {"lstm": "lstm", "gru": "gru", "gru_reset_before": "gru_before", "simple_rnn": "simple"}


def case(name, weights, x, y, states, **options):
    arrays = w.to_keras(weights)
    return Case(name, NAMES[weights.cell], arrays, x, y, list(states), options)


def directions(name, weights, x, y, states, **options):
    """One case for each direction; y has the features of both, side by side, or an axis for them."""
    for d, one in enumerate(weights):
        own, suffix = y[d], "-backward" if d else ""
        if d:
            first = np.swapaxes(own, 0, 1) if options.get("time_major") else own
            first = reverse_rows(first)
            own = np.swapaxes(first, 0, 1) if options.get("time_major") else first
            options = options | {"go_backwards": True}
        yield case(name + suffix, one, x, own, [state[d] for state in states], **options)


def torch_cases():
    for cell in ("lstm", "gru", "simple_rnn"):
        arrays = PEERS[f"torch-{cell}"]
        results = ("x", "between", "output", "h_n", "c_n")
        stack = w.from_torch_state_dict(cell, {k: a for k, a in arrays.items() if k not in results})
        reads = [arrays["x"], *([arrays["between"]] if len(stack) == 2 else [])]
        makes = [*reads[1:], arrays["output"]]
        for k, own in enumerate(stack):
            D = len(own)
            states = [arrays[name][k * D : (k + 1) * D] for name in ("h_n", "c_n") if name in arrays]
            y = np.split(makes[k], D, axis=-1)
            yield from directions(f"torch-{cell}-{k}", own, reads[k], y, states)


def onnx_cases():
    for cell in NAMES:
        arrays = PEERS[f"onnx-{cell}"]
        weights = w.from_onnx(cell, *(arrays[name] for name in "WRB"))
        states = [arrays[name] for name in ("Y_h", "Y_c") if name in arrays]
        y = np.moveaxis(arrays["Y"], 1, 0)
        yield from directions(f"onnx-{cell}", weights, arrays["X"], y, states, time_major=True)


def numbered(arrays, name="{}"):
    found = (name.format(k) for k in range(6))
    return [arrays[key] for key in found if key in arrays]


def keras_cases():
    for cell in NAMES:
        arrays = TENSORFLOW[f"keras-{cell}"]
        states = numbered(arrays, "final_{}")
        yield case(
            f"keras-{cell}", w.from_keras(cell, numbered(arrays)), arrays["x"], arrays["output"], states
        )
        if cell in ("lstm", "gru"):
            weights = w.from_keras_cudnn(cell, numbered(arrays, "old_{}"))
            yield case(f"keras-{cell}-old", weights, arrays["x"], arrays["output"], states)


def tf1_cases():
    for name in ("BasicRNNCell", "GRUCell", "BasicLSTMCell", "LSTMCell"):
        arrays = TENSORFLOW[f"tf1-{name}"]
        weights = w.from_tf1(name, numbered(arrays))
        yield case(name, weights, arrays["x"], arrays["output"], numbered(arrays, "final_{}")[::-1])
    arrays = TENSORFLOW["tf1-GRUBlockCell"]
    variables = [arrays[name] for name in ("w_ru", "b_ru", "w_c", "b_c")]
    y = arrays["output"]
    yield case("GRUBlockCell", w.from_tf1("GRUBlockCell", variables), arrays["x"], y, [y[:, -1]])
    for op in ("BlockLSTM", "BlockLSTMV2"):
        arrays = TENSORFLOW[f"block-{op}"]
        weights = w.from_block_lstm(op, arrays["w"], arrays["b"])
        states = [arrays["h"][-1], arrays["cs"][-1]]
        yield case(op, weights, arrays["x"], arrays["h"], states, time_major=True)


CASES = [*torch_cases(), *onnx_cases(), *keras_cases(), *tf1_cases()]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_layers_agree(case):
    y, *states = layer_of(case)(case.x)
    assert_recorded(case, y, states)


def extended_step(weights, x, states, act, rec, total):
    """An LSTM with peepholes and a projection, in Keras' order of gates."""
    h, c = states
    W, U, b = (np.split(array, 4, axis=-1) for array in weights[1:4])
    p_i, p_f, p_o = (np.diag(p) for p in weights.peepholes)
    i = rec(total(b[0], (x, W[0]), (h, U[0]), (c, p_i)))
    f = rec(total(b[1], (x, W[1]), (h, U[1]), (c, p_f)))
    c = f * c + i * act(total(b[2], (x, W[2]), (h, U[2])))
    m = rec(total(b[3], (x, W[3]), (h, U[3]), (c, p_o))) * act(c)
    return total(np.zeros_like(weights.projection[0]), (m, weights.projection)), c


def extended(weights, x, start, act, rec, total):
    """All rows of x (B, T, I): h of every step and the last c, as lists of what the step makes."""
    rows = []
    for row in x:
        states, outputs = start(), []
        for x_t in row:
            states = extended_step(weights, x_t, states, act, rec, total)
            outputs.append(states[0])
        rows.append((outputs, states[1]))
    return rows


def with_both(weights):
    """Peepholes of 0 and a projection that changes nothing, where there are none."""
    H = weights.kernel.shape[1] // 4
    peepholes = weights.peepholes or (np.zeros(H),) * 3
    return weights._replace(
        peepholes=peepholes, projection=np.eye(H) if weights.projection is None else weights.projection
    )


def extended_cases():
    arrays = PEERS["torch-projected"]
    parameters = {name: array for name, array in arrays.items() if name.endswith("_l0")}
    [[weights]] = w.from_torch_state_dict("lstm", parameters)
    yield "torch-projected", weights, arrays["x"], arrays["output"], arrays["c_n"][0]
    arrays = PEERS["onnx-peepholes"]
    [weights] = w.from_onnx("lstm", *(arrays[name] for name in "WRBP"))
    x, y = (np.swapaxes(array, 0, 1) for array in (arrays["X"], arrays["Y"][:, 0]))
    yield "onnx-peepholes", weights, x, y, arrays["Y_c"][0]
    for name, forget_bias in (("peepholes", None), ("projected", None), ("both", 0.5)):
        arrays = TENSORFLOW[f"tf1-LSTMCell-{name}"]
        weights = w.from_tf1("LSTMCell", numbered(arrays), forget_bias)
        yield f"LSTMCell-{name}", weights, arrays["x"], arrays["output"], arrays["final_0"]
    for op in ("BlockLSTM", "BlockLSTMV2"):
        arrays = TENSORFLOW[f"block-{op}-peepholes"]
        own = {name: arrays[name] for name in ("w", "b", "wci", "wcf", "wco")}
        weights = w.from_block_lstm(op, **own, use_peephole=True)
        x, y = (np.swapaxes(arrays[name], 0, 1) for name in ("x", "h"))
        yield f"{op}-peepholes", weights, x, y, arrays["cs"][-1]


@pytest.mark.parametrize("recorded", list(extended_cases()), ids=lambda recorded: recorded[0])
def test_peepholes_and_projections_agree(recorded):
    """With the longhand equations, within what rounding explains."""
    _, weights, x, y, c = recorded
    u = float(np.finfo(y.dtype).eps) / 2
    weights = with_both(weights)
    sizes = weights.projection.shape[::-1]

    def exact_start():
        return [np.zeros(size, np.longdouble) for size in sizes]

    def bounded_start():
        return [ceiling.Bounded(np.zeros(size), np.zeros(size), u) for size in sizes]

    exact = extended(
        weights, x.astype(np.longdouble), exact_start, np.tanh, oracle.sigmoid, oracle.matrix_sum
    )
    act, rec = (ceiling.bounded_activation(name) for name in ("tanh", "sigmoid"))
    bounds = extended(weights, x.astype(float), bounded_start, act, rec, ceiling.bounded_sum(u))
    for b, ((outputs, last), (output_bounds, last_bound)) in enumerate(zip(exact, bounds, strict=True)):
        for t, (value, bound) in enumerate(zip(outputs, output_bounds, strict=True)):
            assert (abs(y[b, t] - value) <= bound.error).all()
        assert (abs(c[b] - last) <= last_bound.error).all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_kernels_of_the_old_cudnn_layers(cell):
    """Keras' own conversion made the recorded arrays."""
    arrays = TENSORFLOW[f"keras-{cell}"]
    theirs, ours = numbered(arrays, "old_{}"), w.from_keras(cell, numbered(arrays))
    for got, expected in zip(w.to_keras_cudnn(ours)[:2], theirs, strict=False):
        np.testing.assert_array_equal(got, expected, strict=True)
    for got, expected in zip(w.to_keras(w.from_keras_cudnn(cell, theirs)), numbered(arrays), strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("cell", ["lstm", "gru", "simple_rnn"])
def test_a_state_dict_comes_back(cell):
    """Names, order and arrays; of biases the sum."""
    results = ("x", "between", "output", "h_n", "c_n")
    given = {name: array for name, array in PEERS[f"torch-{cell}"].items() if name not in results}
    again = w.to_torch_state_dict(w.from_torch_state_dict(cell, given))
    assert list(again) == list(given)
    for name, array in given.items():
        if "bias" in name and cell != "gru":
            other = name.replace("bias_ih", "bias_hh")
            own = given[name.replace("bias_hh", "bias_ih")]
            array = own + given[other] if other != name else np.zeros_like(array)
        np.testing.assert_array_equal(again[name], array, strict=True)
