"""The oracle agrees with every recorded system, with the rules it states, and with the published example."""

import ceiling
import numpy as np
import oracle
import pytest
from golden.cases import CASES

B, T, I, H = 6, 7, 3, 4  # noqa: E741
GATES = {"simple": 1, "lstm": 4, "gru": 3, "gru_before": 3}
LENGTHS = np.array([3, 0, 7, 1, 5, 7])
EMB = np.array([[0.37, 0.37], [1.0, 1.0], [2.0, 2.0]])
IDS = np.array([[1, 2, 1, 0, 0], [0, 1, 2, 1, 0]])


def draw(cell):
    """Random weights, x, initial states and a mask with gaps and an empty row."""
    rng = np.random.default_rng(0)
    G, states = GATES[cell], oracle.CELLS[cell].states
    sizes = [(I, G * H), (H, G * H), (2, G * H) if cell == "gru" else G * H]
    weights = [rng.uniform(-1, 1, size) for size in sizes]
    mask = rng.random((B, T)) < 0.6
    mask[B // 2] = False
    return weights, rng.standard_normal((B, T, I)), list(rng.uniform(-1, 1, (states, B, H))), mask


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_agrees_with_recorded_results(case):
    """Each error is below what rounding explains: the file's, along the run, plus the oracle's own.

    In float64 never more than 1e-12: some ten products a step, ten steps and an eps of 2e-16 leave two
    decimal digits for the growth along the recurrence.
    """
    y, states = case.run()
    ceiling_y, ceilings = case.ceiling(case.y.dtype)
    own_y, own = case.ceiling(np.float64)
    for got, recorded, theirs, ours in zip(
            [y, *states], [case.y, *case.states], [ceiling_y, *ceilings], [own_y, *own], strict=True):
        error = np.abs(got - recorded)
        print(f"{case.name}: {error.max():.2g} of {(theirs + ours).max():.2g}")
        assert (error <= theirs + ours).all()
        if case.y.dtype == np.float64:
            assert error.max() <= 1e-12


def published(x, **options):
    """The example of stackoverflow.com/questions/54989442: one linear unit of a GRU, no recurrent kernel."""
    weights = [np.ones((2, 3)), np.zeros((1, 3)), np.ones(3)]
    return oracle.run("gru_before", weights, x, activation=None, recurrent_activation=None, **options)


@pytest.mark.parametrize(("options", "rows", "states"), [
    ({}, [[-6, -50, -156, -272.7276, -475.833624], [-1.2876, -9.8628, -69.314, -213.942, -373.54668]],
     [-475.833624, -373.54668]),
    ({"mask": IDS != 0}, [[-6, -50, -156, -156, -156], [0, -6, -50, -156, -156]], [-156, -156]),
    ({"mask": IDS != 0, "zero_output_for_mask": True}, [[-6, -50, -156, 0, 0], [0, -6, -50, -156, 0]],
     [-156, -156]),
])
def test_published_example(options, rows, states):
    """The numbers of the question and its answers."""
    y, [h] = published(EMB[IDS], **options)
    np.testing.assert_allclose(y[:, :, 0], rows, rtol=1e-12)
    np.testing.assert_allclose(h[:, 0], states, rtol=1e-12)


def test_published_example_with_lengths():
    """dynamic_rnn ignores Keras' mask; the zeroed first input of row 2 gives 0 by computation."""
    masked = np.where((IDS != 0)[:, :, None], EMB[IDS], 0.0)
    y, [h] = published(masked, lengths=[3, 4])
    np.testing.assert_allclose(y[:, :, 0], [[-6, -50, -156, 0, 0], [0, -6, -50, -156, 0]], rtol=1e-12)
    np.testing.assert_allclose(h[:, 0], [-156, -156], rtol=1e-12)


def test_held_output_starts_at_zero_not_at_the_state():
    """A masked first step with initial state 7 emits 0 and keeps 7."""
    y, [h] = published(EMB[IDS[1:]], mask=IDS[1:] != 0, initial_state=np.full((1, 1), 7.0))
    assert y[0, 0, 0] == 0.0
    assert y[0, 1, 0] == 3 * 7 - 6
    y, [h] = published(EMB[IDS], mask=np.zeros_like(IDS, bool), initial_state=np.full((2, 1), 7.0))
    assert not y.any()
    assert (h == 7.0).all()


@pytest.mark.parametrize("cell", oracle.CELLS)
@pytest.mark.parametrize("go_backwards", [False, True])
def test_resets_cut_a_row_into_independent_sequences(cell, go_backwards):
    """Cut before 2 and 5, masked or not: three runs, the one taken first from the initial state."""
    weights, x, initial, mask = draw(cell)
    resets = np.zeros((B, T), bool)
    resets[:, [2, 5]] = True
    y, states = oracle.run(cell, weights, x, initial, mask=mask, resets=resets, go_backwards=go_backwards)
    pieces = [slice(0, 2), slice(2, 5), slice(5, 7)]
    if go_backwards:
        pieces.reverse()
    runs = [oracle.run(cell, weights, x[:, piece], None if number else initial, mask=mask[:, piece],
                       go_backwards=go_backwards) for number, piece in enumerate(pieces)]
    np.testing.assert_array_equal(y, np.concatenate([outputs for outputs, _ in runs], axis=1))
    np.testing.assert_array_equal(states, runs[-1][1])
    last, _ = oracle.run(cell, weights, x, initial, mask=mask, resets=resets, go_backwards=go_backwards,
                         return_sequences=False)
    np.testing.assert_array_equal(last, y[:, -1])


def test_reset_at_the_first_step():
    """Forward it replaces the initial state by zeros, not in an empty row; backward it changes nothing."""
    weights, x, initial, mask = draw("lstm")
    resets = np.zeros((B, T), bool)
    resets[:, 0] = True
    y, states = oracle.run("lstm", weights, x, initial, lengths=LENGTHS, resets=resets)
    zeros_y, zeros_states = oracle.run("lstm", weights, x, lengths=LENGTHS)
    np.testing.assert_array_equal(y, zeros_y)
    empty = (LENGTHS == 0)[:, None]
    for state, started, expected in zip(states, initial, zeros_states, strict=True):
        np.testing.assert_array_equal(state, np.where(empty, started, expected))
    masked, states = oracle.run("lstm", weights, x, initial, mask=np.zeros_like(mask), resets=resets)
    assert not masked.any()
    assert not np.any(states)
    with_reset = oracle.run("lstm", weights, x, initial, resets=resets, go_backwards=True)
    without = oracle.run("lstm", weights, x, initial, go_backwards=True)
    np.testing.assert_array_equal(with_reset[0], without[0])
    np.testing.assert_array_equal(with_reset[1], without[1])


@pytest.mark.parametrize("cell", oracle.CELLS)
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_lengths_and_offsets_are_rows_alone(cell, go_backwards, return_sequences):
    """NaN-padded and ragged agree; outputs past the end are 0; an empty row keeps its state."""
    weights, x, initial, _ = draw(cell)
    x[np.arange(T) >= LENGTHS[:, None]] = np.nan
    resets = np.random.default_rng(1).random((B, T)) < 0.3
    options = {"go_backwards": go_backwards, "return_sequences": return_sequences}
    y, states = oracle.run(cell, weights, x, initial, lengths=LENGTHS, resets=resets, **options)
    valid = np.arange(T) < LENGTHS[:, None]
    flat, flat_states = oracle.run_ragged(cell, weights, x[valid], np.concatenate([[0], np.cumsum(LENGTHS)]),
                                          initial, resets=resets[valid], **options)
    np.testing.assert_array_equal(flat, y[valid] if return_sequences else y)
    np.testing.assert_array_equal(flat_states, states)
    assert not y[~valid if return_sequences else LENGTHS == 0].any()
    np.testing.assert_array_equal([s[LENGTHS == 0] for s in states], [s[LENGTHS == 0] for s in initial])


def test_time_major_swaps_the_first_two_axes():
    """Of x, mask, resets and y; not of the states."""
    weights, x, initial, mask = draw("gru")
    resets = np.random.default_rng(2).random((B, T)) < 0.3
    y, states = oracle.run("gru", weights, x, initial, mask=mask, resets=resets)
    swapped, swapped_states = oracle.run("gru", weights, x.swapaxes(0, 1), initial, mask=mask.T,
                                         resets=resets.T, time_major=True)
    np.testing.assert_array_equal(swapped, y.swapaxes(0, 1))
    np.testing.assert_array_equal(swapped_states, states)


@pytest.mark.parametrize("shape", [(0, T), (B, 0)])
@pytest.mark.parametrize("return_sequences", [False, True])
def test_no_rows_or_no_steps(shape, return_sequences):
    """Empty or zero outputs, and copies of the states."""
    weights, _, _, _ = draw("lstm")
    initial = list(np.random.default_rng(3).uniform(-1, 1, (2, shape[0], H)))
    y, states = oracle.run("lstm", weights, np.zeros((*shape, I)), initial, return_sequences=return_sequences)
    assert y.shape == ((*shape, H) if return_sequences else (shape[0], H))
    assert not y.any()
    np.testing.assert_array_equal(states, initial)
    assert not any(np.shares_memory(s, s_0) for s, s_0 in zip(states, initial, strict=True))


def test_mask_and_lengths_together_are_refused():
    """They would contradict each other."""
    weights, x, _, mask = draw("simple")
    with pytest.raises(ValueError, match="mask and lengths"):
        oracle.run("simple", weights, x, mask=mask, lengths=LENGTHS)


@pytest.mark.parametrize("cell", oracle.CELLS)
@pytest.mark.parametrize("activations", [("tanh", "sigmoid"), ("relu", "sigmoid"), ("linear", "tanh")])
def test_naive_float32_loop_stays_below_the_ceiling(cell, activations):
    """Another order of summation in another precision, and the dtype is kept throughout."""
    weights, x, initial, _ = draw(cell)
    weights = [np.float32(0.3 * w) for w in weights]
    if cell == "gru":
        weights[2][1] = np.copysign(weights[2][1], weights[2][0])
    x, initial = np.float32(x), [np.float32(s) for s in initial]
    options = {"initial_state": initial, "lengths": LENGTHS,
               "activation": activations[0], "recurrent_activation": activations[1]}
    y, states = oracle.run(cell, weights, x, **options)
    naive, naive_states = oracle.run(cell, weights, x, dtype=np.float32, naive=True, **options)
    limit, limits = ceiling.run(cell, weights, x, np.float32, **options)
    for got, exact, most in zip([naive, *naive_states], [y, *states], [limit, *limits], strict=True):
        assert got.dtype == np.float32
        assert 0 < np.abs(got - exact).max()
        assert (np.abs(got - exact) <= most).all()


@pytest.mark.parametrize("cell", oracle.CELLS)
def test_sum_abs_is_the_sum_of_absolute_terms(cell):
    """Written out with loops."""
    weights, x, (h, *_), _ = draw(cell)
    W, U, bias = weights
    got = oracle.sum_abs(cell, weights, x[:, 0], h)
    for b in range(B):
        for j in range(W.shape[1]):
            x_terms = sum(abs(x[b, 0, k] * W[k, j]) for k in range(I))
            h_terms = sum(abs(h[b, k] * U[k, j]) for k in range(H))
            if cell != "gru":
                assert got[b, j] == pytest.approx(abs(bias[j]) + x_terms + h_terms, rel=1e-14)
            elif j < 2 * H:
                assert got[b, j] == pytest.approx(abs(bias[:, j]).sum() + x_terms + h_terms, rel=1e-14)
            else:
                assert got[b, j] == pytest.approx(abs(bias[0, j]) + x_terms, rel=1e-14)
                assert got[b, H + j] == pytest.approx(abs(bias[1, j]) + h_terms, rel=1e-14)


def test_special_values_keep_to_their_row_and_time():
    """A NaN and an overflow spread to later steps of their own row only, without a warning."""
    weights, x, initial, _ = draw("gru")
    clean, _ = oracle.run("gru", weights, x, initial)
    x[1, 3, 0], x[4, 5, 1] = np.nan, 1e308
    y, _ = oracle.run("gru", [1e10 * w for w in weights[:1]] + weights[1:], x, initial)
    assert np.isnan(y[1, 3:]).any()
    assert np.isfinite(y[1, :3]).all()
    assert np.isfinite(y[[0, 2, 3, 4, 5]]).all()
    assert np.isfinite(clean).all()
