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


def call(case):
    """The layer's `(y, [states])`; a case with an earlier call is the second call of its layer."""
    make, own = LAYERS[case.cell]
    options = {"return_sequences": True} | case.options
    layer = make(len(case.weights[1]), return_state=True, stateful=case.earlier is not None,
                 use_bias=len(case.weights) == 3, dtype=case.y.dtype.name, **own, **options)
    layer.build(case.x.shape[-1])
    layer.set_weights(case.weights)
    if case.earlier:
        layer(case.earlier.x, **case.earlier.inputs)
    y, *states = layer(case.x, **case.inputs)
    return y, states


@pytest.mark.parametrize("case", golden.cases.CASES, ids=lambda case: case.name)
def test_agrees_with_recorded_results(case):
    """Within our bound plus their error, which is measured and must stay below what rounding explains."""
    y, states = call(case)
    exact_y, exact_states = case.run(dtype=np.longdouble)
    naive_y, naive_states = case.run(dtype=case.y.dtype, naive=True)
    ceiling_y, ceilings = case.ceiling(case.y.dtype)
    names = ["y", *"hc"[:len(states)]]
    for name, got, recorded, exact, naive, ceiling in zip(
            names, [y, *states], [case.y, *case.states], [exact_y, *exact_states], [naive_y, *naive_states],
            [ceiling_y, *ceilings], strict=True):
        theirs = np.abs(recorded - exact)
        assert (theirs <= ceiling).all()
        assert got.dtype == recorded.dtype
        limit = tolerance.bound(naive, exact) + float(theirs.max())
        tolerance.assert_within(got, recorded, limit, f"{case.name} {name}")
