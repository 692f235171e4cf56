"""First layers of cuDNN's kind whose units take the inputs without a product."""

import copy
import pickle

import numpy as np
import pytest
from bits import same
from test_tf1_cells import LENGTHS, B, H, I, T, inputs
from test_tf1_layers import KINDS, every_direction, every_kind, expect, random_states, ready
from tolerance import assert_close


@every_kind
@every_direction
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_inputs_that_skip_the_product(kind, direction, dtype):
    """What matrices that are the identity would give, and none among the weights."""
    x = inputs(dtype)
    skips = ready(kind, 2, direction, units=I, input_mode="skip_input", dtype=dtype)
    initial = random_states(skips)
    y, final = skips(x.swapaxes(0, 1), initial, LENGTHS)
    wide = np.float64 if dtype == "float32" else np.longdouble
    exact = expect(kind, skips, x, initial, LENGTHS, wide)
    naive = expect(kind, skips, x, initial, LENGTHS, np.dtype(dtype).type, naive=True)
    for k, triple in enumerate(zip([y.swapaxes(0, 1), *final], exact, naive, strict=True)):
        assert_close(*triple, f"result {k}")
    auto = ready(kind, 2, direction, units=I, input_mode="auto_select", dtype=dtype)
    outputs, states = auto(x.swapaxes(0, 1), initial, LENGTHS)
    same([outputs, *states], [y, *final])
    plain = ready(kind, 2, direction, units=I)
    gates, D = KINDS[kind][2], plain.num_dirs
    assert len(plain.canonical_weight_shapes) - len(skips.canonical_weight_shapes) == gates * D
    wider = KINDS[kind][0](1, H, input_mode="auto_select", direction=direction)
    wider.build(I)
    assert wider.canonical_weight_shapes[0] == (H, I) and not wider.skips_input
    assert wider(x.astype("f4"))[0].shape == (B, T, D * H)


@every_kind
@every_direction
def test_skipping_inputs_reach_their_own_unit(kind, direction):
    """A NaN no other unit of its step, and no other row; a row has the bits that it has alone."""
    layer = ready(kind, 1, direction, units=I, input_mode="skip_input")
    x = inputs()
    y, final = layer(x, sequence_lengths=LENGTHS, time_major=False)
    padded = np.full((B, 2 * T, I + 2), np.nan, "f4")
    padded[:, ::2, 1:-1] = x
    outputs, states = layer(padded[:, ::2, 1:-1], sequence_lengths=LENGTHS, time_major=False)
    same([outputs, *states], [y, *final])
    turned, states = layer(x.swapaxes(0, 1), sequence_lengths=LENGTHS)
    same([turned.swapaxes(0, 1), *(state.swapaxes(0, 1) for state in states)], [y, *final])
    for b in range(B):
        alone, states = layer(x[b : b + 1], sequence_lengths=LENGTHS[b : b + 1], time_major=False)
        same([alone, *states], [y[b : b + 1], *(state[b : b + 1] for state in final)])
    one, _ = layer(x[:, :1], time_major=False)
    wrong = x[:, :1].copy()
    wrong[3, 0, 1] = np.nan
    got, _ = layer(wrong, time_major=False)
    hit = np.zeros(got.shape, bool)
    hit[3, 0, 1::I] = True
    same([np.isnan(got), got[~hit]], [hit, one[~hit]])


@every_kind
def test_a_skipping_layer_is_copied(kind):
    layer, x = ready(kind, 2, units=I, input_mode="auto_select"), inputs()
    y, _ = layer(x, time_major=False)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        same([other(x, time_major=False)[0], *other.get_weights()], [y, *layer.get_weights()])
    layer.compile_kernels()
    layer.set_weights([2 * layer.get_weights()[0]])
    assert (layer(x, time_major=False)[0] != y).any()
