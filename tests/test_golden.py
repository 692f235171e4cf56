"""The layers agree with every recorded system."""

import golden.cases
import numpy as np
import pytest
import tolerance

import numbarnn as nr

LAYERS = {
    "lstm": (nr.LSTM, {}),
    "gru": (nr.GRU, {"reset_after": True}),
    "gru_before": (nr.GRU, {"reset_after": False}),
    "simple": (nr.SimpleRNN, {}),
}
TORCH_NAMES = {"lstm": "lstm", "gru": "gru", "simple": "simple_rnn"}


def parametrized(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.name)


def layer_of(case, **options):
    """The recorded layer with its weights; a case with an earlier call is the second call of its layer."""
    make, own = LAYERS[case.cell]
    options = {"return_sequences": True} | case.options | options
    layer = make(
        len(case.weights[1]),
        return_state=True,
        stateful=case.earlier is not None,
        use_bias=len(case.weights) == 3,
        dtype=case.y.dtype.name,
        **own,
        **options,
    )
    layer.build(case.x.shape[-1])
    layer.set_weights(case.weights)
    return layer


def untouched(array):
    """An array to write to, all NaN: what a call does not write stays so."""
    return np.full(array.shape, np.nan, array.dtype)


def assert_recorded(case, y, states):
    """Within our bound plus their error, which is measured and must stay below what rounding explains."""
    exact_y, exact_states = case.run(dtype=np.longdouble)
    naive_y, naive_states = case.run(dtype=case.y.dtype, naive=True)
    ceiling_y, ceilings = case.ceiling(case.y.dtype)
    names = ["y", *"hc"[: len(states)]]
    for name, got, recorded, exact, naive, ceiling in zip(
        names,
        [y, *states],
        [case.y, *case.states],
        [exact_y, *exact_states],
        [naive_y, *naive_states],
        [ceiling_y, *ceilings],
        strict=True,
    ):
        theirs = np.abs(recorded - exact)
        assert (theirs <= ceiling).all()
        assert got.dtype == recorded.dtype
        limit = tolerance.bound(naive, exact) + float(theirs.max())
        tolerance.assert_within(got, recorded, limit, f"{case.name} {name}")


@parametrized(golden.cases.CASES)
def test_agrees_with_recorded_results(case):
    layer = layer_of(case)
    if case.earlier:
        layer(case.earlier.x, **case.earlier.inputs)
    y, *states = layer(case.x, **case.inputs, out=tuple(map(untouched, [case.y, *case.states])))
    assert_recorded(case, y, states)


@parametrized([case for case in golden.cases.CASES if "lengths" in case.inputs])
def test_agrees_as_a_ragged_batch(case):
    """The valid steps alone, row after row."""
    swap = 1 if case.options.get("time_major") else 0
    lengths = case.inputs["lengths"]
    x, y = (np.moveaxis(array, swap, 0) for array in (case.x, np.zeros_like(case.y)))
    valid = np.arange(x.shape[1]) < lengths[:, None]
    layer = layer_of(case, time_major=False)
    rows = nr.Ragged(x[valid], np.concatenate([[0], np.cumsum(lengths)]))
    outputs, *states = layer(
        rows, case.inputs.get("initial_state"), out=(untouched(y[valid]), *map(untouched, case.states))
    )
    y[valid] = outputs.values
    assert_recorded(case, np.moveaxis(y, 0, swap), states)


@parametrized([case for case in golden.cases.CASES if case.torch])
def test_weights_from_torch(case):
    """`cases.py` brings them into our layout by itself."""
    ours = nr.weights.from_torch(TORCH_NAMES[case.cell], *case.torch)
    for got, expected in zip(ours, case.weights, strict=True):
        np.testing.assert_array_equal(got, expected, strict=True)


@pytest.mark.parametrize("cell", LAYERS)
def test_a_new_layer_has_the_bias_of_keras(cell):
    recorded = golden.cases.read("keras")[cell]
    make, own = LAYERS[cell]
    layer = make(len(recorded["recurrent_kernel"]), **own)
    layer.build(len(recorded["kernel"]))
    np.testing.assert_array_equal(layer.get_weights()[2], recorded["new_bias"], strict=True)
