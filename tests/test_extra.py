"""The inputs of a step that no kernel multiplies, as arguments of calls."""

import numpy as np
import pytest

import numbarnn as nr
from numbarnn.math import tanh

B, T, I, H = 3, 5, 4, 6  # noqa: E741
RNG = np.random.default_rng(8)
X = RNG.standard_normal((B, T, I), dtype=np.float32)
SHARE, GAIN = RNG.random((B, T), dtype=np.float32), RNG.random((B, T, H), dtype=np.float32)


def mixed(a, h, share, gain):
    return share * h + (1.0 - share) * gain * tanh(a)


def gained(a, gain):
    return gain * tanh(a)


MIXED = nr.cell("mixed", states="h", phases=[nr.phase("a:x+h", mixed)], extra="share:1 gain")
GAINED = nr.cell("gained", states="h", phases=[nr.phase("a:x+h", gained)], extra="gain")


def layer(**options):
    return nr.RNN(nr.FusedCell(MIXED, H, seed=2), return_sequences=True, **options)


def test_one_value_per_row_may_have_an_axis_of_its_own():
    flat = layer()(X, extra={"share": SHARE, "gain": GAIN})
    np.testing.assert_array_equal(layer()(X, extra={"share": SHARE[..., None], "gain": GAIN}), flat)


def test_what_converts_without_loss_is_converted():
    """Integers and float16, and arrays that are not contiguous."""
    whole, coarse = RNG.integers(0, 2, (B, T), dtype=np.int16), GAIN.astype(np.float16)
    right = layer()(X, extra={"share": whole.astype(np.float32), "gain": coarse.astype(np.float32)})
    turned = np.asfortranarray(coarse)
    np.testing.assert_array_equal(layer()(X, extra={"share": whole, "gain": turned}), right)


def test_any_layout_of_the_inputs():
    """Inputs that kernels would follow where they lie are copied, and numbered as the extra inputs are."""
    right = layer()(X, extra={"share": SHARE, "gain": GAIN}, lengths=[T, 0, 2])
    spread = np.zeros((T, B, 2, I), np.float32)
    view = spread.swapaxes(0, 1)[:, :, 1]
    view[...] = X
    np.testing.assert_array_equal(
        layer()(view, extra={"share": SHARE, "gain": GAIN}, lengths=[T, 0, 2]), right
    )


@pytest.mark.parametrize("name", ["share", "gain"])
def test_results_are_not_written_over_them(name):
    """Neither by a layer nor by a stepper; nothing has been written then."""
    one = nr.RNN(nr.FusedCell(MIXED, 1, seed=2), return_sequences=True)
    extra = {"share": SHARE.copy(), "gain": GAIN[..., :1].copy()}
    room = extra[name].reshape(B, T, 1)
    before = room.copy()
    with pytest.raises(ValueError, match="out overlaps an input"):
        one(X, extra=extra, out=room)
    step = {key: np.ascontiguousarray(value[:, 0]) for key, value in extra.items()}
    with pytest.raises(ValueError, match="out overlaps an input"):
        one.stepper(B)(X[:, 0], out=step[name].reshape(B, 1), extra=step)
    np.testing.assert_array_equal(room, before)


@pytest.mark.parametrize("wrong", [[], 0, "gain"])
def test_what_is_no_dict_is_refused(wrong):
    """Also where a cell declares none, and what counts as false."""
    plain = nr.GRUCell(H, seed=2)
    with pytest.raises(TypeError, match=r"^extra is of type .*; expected None"):
        plain(X[:, 0], plain.get_initial_state(B), extra=wrong)
    with pytest.raises(TypeError, match=r"^extra is of type .*; expected None"):
        nr.GRU(H).stepper(B)(X[:, 0], extra=wrong)
    with pytest.raises(TypeError, match=r"^extra is of type .*; expected a dict"):
        layer()(X, extra=wrong)


def test_explain_takes_them():
    decision = layer().explain(X, lengths=[T, 0, 2], extra={"share": SHARE, "gain": GAIN}, measure=True)
    assert decision.evaluations == T + 2


def test_cells_of_a_stack_may_share_one():
    """Of one size; each cell gets it as if it were alone."""
    cells = [nr.FusedCell(MIXED, H, seed=2), nr.FusedCell(GAINED, H, seed=3)]
    both = nr.RNN(cells, return_sequences=True)(X, extra={"share": SHARE, "gain": GAIN})
    first = layer()(X, extra={"share": SHARE, "gain": GAIN})
    second = nr.RNN(nr.FusedCell(GAINED, H, seed=3), return_sequences=True)
    np.testing.assert_array_equal(both, second(first, extra={"gain": GAIN}))


def test_cells_of_a_stack_may_not_differ_in_one():
    stack = nr.RNN([nr.FusedCell(MIXED, H), nr.FusedCell(GAINED, H + 1)])
    with pytest.raises(ValueError, match="'gain' has 6 values per row in one cell and 7 in another"):
        stack(X, extra={"share": SHARE, "gain": GAIN})


def test_a_cell_written_in_python_takes_none():
    class Adding:
        state_size = H

        def call(self, inputs, states):
            return states[0], [states[0]]

    with pytest.raises(ValueError, match="'gain', which no cell declares; expected None"):
        nr.RNN(Adding())(X, extra={"gain": GAIN})


def test_time_comes_first_where_it_does():
    upright = {name: np.ascontiguousarray(a.swapaxes(0, 1)) for name, a in (("share", SHARE), ("gain", GAIN))}
    y = layer(time_major=True)(np.ascontiguousarray(X.swapaxes(0, 1)), extra=upright)
    np.testing.assert_array_equal(y.swapaxes(0, 1), layer()(X, extra={"share": SHARE, "gain": GAIN}))


def test_of_a_ragged_batch_they_may_be_ragged():
    lengths = np.array([T, 0, 2])
    valid = np.arange(T) < lengths[:, None]
    offsets = np.concatenate([[0], np.cumsum(lengths)])
    flat = {"share": SHARE[valid], "gain": GAIN[valid]}
    x = nr.Ragged(X[valid], offsets)
    y = layer()(x, extra=flat)
    right = layer()(X, lengths=lengths, extra={"share": SHARE, "gain": GAIN})
    np.testing.assert_array_equal(y.values, right[valid])
    also = layer()(x, extra={"share": flat["share"], "gain": nr.Ragged(flat["gain"], offsets)})
    np.testing.assert_array_equal(also.values, y.values)
