"""Two directions as an object: what it is made of, what it takes, and what it refuses."""

import numpy as np
import pytest
from bits import same
from directions import LENGTHS, MASK, B, H, I, T, both, inputs, listed, states
from models import MODELS, every_model

import numbarnn as nr
from numbarnn.kernels import jit

LSTM, GRU = MODELS["lstm"], MODELS["gru"]
compiled = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; there are no kernel entries")


# What it is made of


def test_weights():
    """The forward layer's, then the backward layer's; all are taken or none."""
    layer = nr.Bidirectional(nr.GRU(H, seed=1), backward_layer=nr.LSTM(5, go_backwards=True, seed=2))
    assert layer.get_weights() == [] and layer.input_size is None
    layer.build(I)
    assert layer.input_size == I
    weights = layer.get_weights()
    same(weights, [*layer.forward_layer.get_weights(), *layer.backward_layer.get_weights()])
    shapes = [(I, 3 * H), (H, 3 * H), (2, 3 * H), (I, 20), (5, 20), (20,)]
    assert [array.shape for array in weights] == shapes
    new = [array / 2 for array in weights]
    for wrong in (
        new[:5],
        [*new, new[5]],
        [*new[:5], new[5][:-1]],
        [*new[:3], np.ones((I + 1, 20)), *new[4:]],
    ):
        with pytest.raises(ValueError, match=r"weights has|bias has|kernel has"):
            layer.set_weights(wrong)
        same(layer.get_weights(), weights)
    with pytest.raises(TypeError, match=r"^weights is of type dict; expected a list"):
        layer.set_weights({})
    layer.set_weights(tuple(new))
    same(layer.get_weights(), new)
    unbuilt = nr.Bidirectional(nr.GRU(H), backward_layer=nr.LSTM(5, go_backwards=True))
    unbuilt.set_weights(new)
    x = inputs(B, T, I)
    same([unbuilt(x)], [layer(x)])


def test_weights_that_do_not_fit_together():
    """Both layers read the same inputs; a cell of a stack reads the outputs of the one before."""
    layer = nr.Bidirectional(nr.SimpleRNN(H))
    wrong = [np.ones(shape, "f4") for shape in ((3, H), (H, H), (H,), (2, H), (H, H), (H,))]
    with pytest.raises(ValueError, match=rf"kernel has shape \(2, {H}\); expected \(3, {H}\)"):
        layer.set_weights(wrong)
    assert layer.get_weights() == []
    stack = nr.RNN([nr.SimpleRNNCell(H), nr.SimpleRNNCell(H + 1)])
    wrong[3:] = [np.ones(shape, "f4") for shape in ((H + 1, H + 1), (H + 1, H + 1), (H + 1,))]
    with pytest.raises(ValueError, match=rf"expected \({H}, {H + 1}\)"):
        stack.set_weights(wrong)
    assert stack.get_weights() == []


@every_model
def test_seeds(model):
    """The pattern's seed draws the forward weights; the backward ones come from another stream of it."""
    seed = {"seed": 7} if model.name != "toy" else {}

    def pattern():
        if seed:
            return model.layer(H, **seed)
        return nr.RNN(nr.FusedCell(model.make(I, H).cell.definition, H, seed=7))

    first, again, lone = nr.Bidirectional(pattern()), nr.Bidirectional(pattern()), pattern()
    for layer in (first, again, lone):
        layer.build(I)
    same(first.get_weights(), again.get_weights())
    forward, backward = first.forward_layer.get_weights(), first.backward_layer.get_weights()
    same(forward, lone.get_weights())
    assert all((a != b).any() for a, b in zip(forward[:2], backward[:2], strict=True))


def test_without_a_seed_every_layer_draws_anew():
    layers = [nr.Bidirectional(nr.GRU(H)) for _ in range(2)]
    for layer in layers:
        layer.build(I)
    kernels = [array for layer in layers for array in layer.get_weights()[::3]]
    assert len({array.tobytes() for array in kernels}) == 4


def test_the_pattern_is_used_no_further():
    """Neither its weights nor its states; options of it are those of both layers."""
    pattern = LSTM.make(I, H, stateful=True, return_sequences=True)
    x, before = inputs(B, T, I), pattern.get_weights()
    pattern(x)
    kept = pattern.states
    layer = nr.Bidirectional(pattern, "sum")
    assert layer.get_weights() == [] and layer.states is None and layer.stateful and layer.return_sequences
    layer(x)
    same([*pattern.get_weights(), *pattern.states], [*before, *kept])
    assert not pattern.zero_output_for_mask and layer.backward_layer.zero_output_for_mask


def test_names_and_attributes():
    layer = nr.Bidirectional(nr.LSTM(H, name="encoder", dtype="float64"), "ave")
    assert (layer.name, nr.Bidirectional(nr.GRU(1), name="both").name) == ("bidirectional", "both")
    assert (layer.forward_layer.name, layer.backward_layer.name) == ("forward_encoder", "backward_encoder")
    assert layer.backward_layer.go_backwards and not layer.forward_layer.go_backwards
    assert layer.units == H and layer.dtype == np.float64 and not layer.time_major and layer.device == "auto"
    for part in ("Bidirectional", "'bidirectional'", "'ave'", "LSTM", str(H), "float64"):
        assert part in repr(layer)


def test_masks_are_handed_on():
    """With `return_sequences`: one mask for each output, none for states."""
    cases = {
        (False, False, "sum"): None,
        (True, False, "sum"): MASK,
        (True, False, None): [MASK, MASK],
        (False, False, None): [None, None],
        (True, True, "concat"): [MASK, *[None] * 4],
        (True, True, None): [MASK, MASK, *[None] * 4],
    }
    for (sequences, state, merge_mode), wanted in cases.items():
        layer = nr.Bidirectional(nr.LSTM(H, return_sequences=sequences, return_state=state), merge_mode)
        assert layer.supports_masking
        got = layer.compute_mask(None, MASK)
        assert got is wanted or all(a is b for a, b in zip(got, wanted, strict=True))
        nothing = layer.compute_mask(None)
        assert nothing is None or not any(mask is not None for mask in nothing)


@pytest.mark.cpu
def test_explain():
    """A decision for each direction; no state changes, and weights are drawn as a call would."""
    layer = both(LSTM, stateful=True)
    decisions = layer.explain(inputs(B, T, I), states(LSTM), lengths=LENGTHS)
    assert [(d.valid_steps, d.evaluations) for d in decisions] == [(LENGTHS.sum(), None)] * 2
    measured = layer.explain(inputs(B, T, I), mask=MASK, n_threads=1, measure=True)
    assert [d.evaluations for d in measured] == [MASK.sum()] * 2 and layer.states is None
    with pytest.raises(ValueError, match=r"^initial_state has 2 array\(s\); expected 4: \[h, c, h, c\]"):
        layer.explain(inputs(B, T, I), states(LSTM)[:2])


def test_training_changes_nothing_without_dropout():
    layer, x = both(GRU), inputs(B, T, I)
    same(layer(x, training=True), layer(x))


# What is refused


def backward(cell=nr.LSTM, units=H, **options):
    return cell(units, **{"go_backwards": True} | options)


WRONG_LAYERS = {
    "no layer": (lambda: nr.Bidirectional(3), TypeError, r"layer is of type int; expected LSTM\(units\)"),
    "a cell": (lambda: nr.Bidirectional(nr.LSTMCell(2)), TypeError, "layer is of type LSTMCell; expected"),
    "two of two": (
        lambda: nr.Bidirectional(nr.Bidirectional(nr.LSTM(2))),
        TypeError,
        "layer is of type Bidirectional; expected",
    ),
    "a reversed one": (
        lambda: nr.Bidirectional(backward()),
        ValueError,
        "layer has go_backwards=True; expected False",
    ),
    "a mode": (
        lambda: nr.Bidirectional(nr.LSTM(2), "average"),
        ValueError,
        "merge_mode = 'average'; expected one of 'concat', 'sum', 'mul', 'ave'",
    ),
    "a mode that is no text": (
        lambda: nr.Bidirectional(nr.LSTM(2), 0),
        ValueError,
        "merge_mode = 0; expected one of",
    ),
    "a name": (
        lambda: nr.Bidirectional(nr.LSTM(2), name=3),
        TypeError,
        "name = 3 is of type int; expected a text",
    ),
    "no backward layer": (
        lambda: nr.Bidirectional(nr.LSTM(2), backward_layer="x"),
        TypeError,
        "backward_layer is of type str; expected",
    ),
    "forward twice": (
        lambda: nr.Bidirectional(nr.LSTM(2), backward_layer=nr.LSTM(2)),
        ValueError,
        "backward_layer has go_backwards=False, as layer has; expected the other direction",
    ),
    "backward twice": (
        lambda: nr.Bidirectional(backward(), backward_layer=backward()),
        ValueError,
        "backward_layer has go_backwards=True, as layer has; expected the other direction",
    ),
    "units": (
        lambda: nr.Bidirectional(nr.LSTM(2), "sum", backward(units=3)),
        ValueError,
        "backward_layer has 3 units, layer 2; expected the same with merge_mode = 'sum': use 'concat'",
    ),
}
OTHERS = {
    "return_sequences": True, "return_state": True, "stateful": True, "time_major": True, "device": "cpu",
    "dtype": "float64",
}  # fmt: skip


@pytest.mark.parametrize(("make", "kind", "message"), WRONG_LAYERS.values(), ids=WRONG_LAYERS)
def test_wrong_layers(make, kind, message):
    with pytest.raises(kind, match=r"^" + message):
        make()


@pytest.mark.parametrize("option", OTHERS)
def test_layers_that_differ(option):
    with pytest.raises(
        ValueError, match=rf"^backward_layer has {option} = .*, layer .*; expected the same in both"
    ):
        nr.Bidirectional(nr.LSTM(H), backward_layer=backward(**{option: OTHERS[option]}))


X, CALL = inputs(B, T, I), {"lengths": LENGTHS}
WRONG_CALLS = {
    "features": ({"x": X[:, :, 1:]}, ValueError, "x has shape .*2 features; expected"),
    "dtype": ({"x": X.astype("f8")}, TypeError, "x has dtype float64; expected float32"),
    "axes": ({"x": X[0]}, ValueError, "x has shape .*; expected three axes"),
    "lengths and mask": ({"mask": MASK} | CALL, ValueError, "lengths and mask are both given"),
    "lengths": ({"lengths": LENGTHS + 1}, ValueError, r"lengths\[2\] = 7 exceeds T = 6"),
    "mask": ({"mask": MASK.T}, ValueError, "mask has shape .* swapped"),
    "resets": ({"resets": MASK.astype(int)}, TypeError, "resets has dtype int64; expected bool"),
    "half the states": (
        {"initial_state": states(LSTM)[:2]},
        ValueError,
        r"initial_state has 2 array\(s\); expected 4",
    ),
    "one state": (
        {"initial_state": states(LSTM)[0]},
        TypeError,
        "initial_state is of type ndarray; expected a list of 4",
    ),
    "batch of a state": (
        {"initial_state": [*states(LSTM)[:3], states(LSTM, 2)[3]]},
        ValueError,
        r"initial_state\[3\] \(c\) has shape \(2, 4\); expected \(5, 4\)",
    ),
    "training": ({"training": 1}, TypeError, "training = 1 is of type int; expected True or False"),
    "threads": ({"n_threads": 0}, ValueError, "n_threads = 0; expected an integer >= 1"),
    "extra": ({"extra": 3}, TypeError, "extra is of type int; expected None"),
    "one out": (
        {"out": np.empty((B, T, 2 * H), "f4")},
        TypeError,
        "out is of type ndarray; expected a tuple of 5",
    ),
    "few outs": ({"out": (np.empty((B, T, 2 * H), "f4"),)}, ValueError, r"out has 1 array\(s\); expected 5"),
    "shape of out": (
        {"out": (np.empty((B, T, H), "f4"), *states(LSTM))},
        ValueError,
        r"out\[0\] \(y\) has shape \(5, 6, 4\); expected \(5, 6, 8\)",
    ),
    "out twice": (
        {"out": (np.empty((B, T, 2 * H), "f4"), *[states(LSTM)[0]] * 4)},
        ValueError,
        r"out\[\d\] .*overlaps an input, a state, a weight or another output",
    ),
}


@pytest.mark.parametrize(("given", "kind", "message"), WRONG_CALLS.values(), ids=WRONG_CALLS)
def test_wrong_calls(given, kind, message):
    """Nothing has been written and no state has changed then."""
    layer = both(LSTM, stateful=True)
    layer(X)
    kept = layer.states
    outs = [array.copy() for array in listed(given.get("out", ()))]
    with pytest.raises(kind, match=message):
        layer(**{"x": X} | given)
    same(listed(given.get("out", ())), outs)
    same(layer.states, kept)


def test_an_out_over_the_weights_or_the_inputs():
    layer = both(LSTM, "sum", features=H, return_state=False)
    x = inputs(B, T, H)
    with pytest.raises(ValueError, match=r"^out overlaps an input"):
        layer(x, out=x)


@pytest.mark.cpu
def test_a_stream_without_a_device():
    with pytest.raises(ValueError, match=r"^stream = 3; the call runs on the CPU"):
        both(LSTM)(X, stream=3)


def test_a_layer_without_states():
    with pytest.raises(ValueError, match=r"^reset_states: the layer has stateful=False"):
        both(LSTM).reset_states()
    with pytest.raises(ValueError, match=r"^rows = \[1\]; the layer has no states yet"):
        both(LSTM, stateful=True).reset_states(rows=[1])
    with pytest.raises(ValueError, match=r"^states has 2 array\(s\); expected 4: \[h, c, h, c\]"):
        both(LSTM, stateful=True).reset_states(states(LSTM)[:2])
