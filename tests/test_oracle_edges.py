"""The oracle at the edges: several calls of one sequence, numbers of every kind, inputs beyond 32 bits."""

import numpy as np
import pytest
import tolerance
from models import MODELS, every_dtype, every_model

from numbarnn.kernels import jit


def assert_agrees(model, weights, got, x, dtype, initial=None, **options):
    """The output and the states are as close to the oracle's as the naive loop is."""
    exact, naive = (
        model.expect(weights, x, initial, **options, **precision)
        for precision in ({"dtype": np.longdouble}, {"dtype": np.dtype(dtype), "naive": True})
    )
    for k, result in enumerate(got):
        tolerance.assert_close(result, [exact[0], *exact[1]][k], [naive[0], *naive[1]][k], f"result {k}")


@every_dtype
@every_model
def test_the_calls_of_a_stateful_layer_are_one_sequence(model, dtype):
    B, T, I, H = 7, 9, 3, 18  # noqa: E741
    rng = np.random.default_rng(1)
    x, initial = rng.standard_normal((B, T, I)).astype(dtype), model.states(B, H, dtype, rng)
    layer = model.make(I, H, dtype, stateful=True, return_sequences=True)
    layer.reset_states(initial)
    pieces = [layer(x[:, begin:end]) for begin, end in ((0, 1), (1, 5), (5, 5), (5, 9))]
    got = [np.concatenate(pieces, axis=1), *layer.states]
    assert_agrees(model, layer.get_weights(), got, x, dtype, initial)


@every_model
def test_one_layer_reads_inputs_of_one_shape_in_any_layout(model):
    """In turn, so that nothing it keeps from one call serves another."""
    B, T, I, H = 7, 4, 3, 18  # noqa: E741
    wide = np.random.default_rng(4).standard_normal((2 * B, 2 * T, 3 * I), np.float32)
    views = [wide[:B, :T, :I].copy(), wide[::2, :T, I : 2 * I], wide[B:, ::-2, :I], wide[::-2, T:, 2 * I :]]
    layer = model.make(I, H, return_sequences=True, return_state=True)
    for x in [*views, *reversed(views)]:
        assert_agrees(model, layer.get_weights(), layer(x), x, "float32")


@every_dtype
@pytest.mark.parametrize("name", ["lstm", "gru", "gru_before", "simple"])
def test_subnormal_numbers_are_not_flushed(name, dtype):
    """With linear activations and no bias all results are as small as the inputs, and none is lost."""
    B, T, I, H = 5, 4, 3, 18  # noqa: E741
    model, least = MODELS[name], np.finfo(dtype).smallest_subnormal
    x = (np.random.default_rng(2).standard_normal((B, T, I)) * 1e5 * least).astype(dtype)
    layer = model.make(
        I, H, dtype, use_bias=False, activation="linear", return_sequences=True, return_state=True
    )
    got = layer(x)
    assert 0 < np.abs(got[0]).max() < np.finfo(dtype).smallest_normal
    assert_agrees(model, layer.get_weights(), got, x, dtype, activation="linear")


@every_dtype
@every_model
def test_nan_and_infinity_where_the_oracle_has_them(model, dtype):
    """NaN, infinite and huge inputs: gates saturate, and what is not finite is so in the oracle too."""
    x = np.random.default_rng(3).standard_normal((6, 5, 3)).astype(dtype)
    x[0, 1, 2], x[1, 2, 0], x[2, 0, 1], x[3, 3] = np.nan, np.inf, -np.inf, [np.inf, -np.inf, 0.0]
    x[4] *= np.finfo(dtype).max / 8
    layer = model.make(3, 18, dtype, return_sequences=True, return_state=True)
    assert_agrees(model, layer.get_weights(), layer(x), x, dtype)


@pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; NumPy would copy the view, 8 GiB")
@pytest.mark.parametrize("name", ["lstm", "gru_before"])
def test_inputs_of_more_than_two_to_the_31_rows(name, tmp_path):
    """The last of 9 rows begins there. Only a few steps are valid, so the file is nearly empty."""
    B, T, H, lengths = 9, 2**28 + 1, 5, np.array([2, 0, 3, 1, 3, 2, 0, 1, 3])
    model = MODELS[name]
    x = np.memmap(tmp_path / "x", np.float32, "w+", shape=(B, T, 1))
    x[:, :3, 0] = np.random.default_rng(3).standard_normal((B, 3))
    layer = model.make(1, H, return_state=True)
    few = np.array(x[:, :3])
    assert_agrees(
        model,
        layer.get_weights(),
        layer(x, lengths=lengths),
        few,
        "float32",
        lengths=lengths,
        return_sequences=False,
    )
    assert_agrees(model, layer.get_weights(), layer(x[:, :3]), few, "float32", return_sequences=False)
