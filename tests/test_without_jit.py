"""With NUMBA_DISABLE_JIT=1 everything works, slowly: the same plans, carried out by NumPy."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import oracle
import pytest
from tolerance import assert_close

import numbarnn as nr
from numbarnn.kernels import jit

B, T, I, H = 4, 5, 3, 6  # noqa: E741
KINDS = {
    "lstm": nr.LSTM,
    "gru": nr.GRU,
    "gru_before": partial(nr.GRU, reset_after=False),
    "simple": nr.SimpleRNN,
}
rng = np.random.default_rng(0)
MASK, RESETS = rng.random((2, B, T)) < 0.6
BATCHES = {
    "dense": {},
    "lengths": {"lengths": np.array([T, 0, 1, 3])},
    "mask": {"mask": MASK},
    "resets": {"resets": RESETS},
    "lengths and resets": {"lengths": np.array([T, 2, 0, 1]), "resets": RESETS},
    "mask and resets": {"mask": MASK, "resets": RESETS},
}
OPTIONS = [{}, {"return_sequences": False}]
OPTIONS += [{flag: True} for flag in ("go_backwards", "zero_output_for_mask", "time_major")]


def made(kind, dtype, **options):
    layer = KINDS[kind](H, dtype=dtype, seed=1, **options)
    layer.build(I)
    layer.set_weights([rng.uniform(-0.7, 0.7, array.shape) for array in layer.get_weights()])
    return layer


def check(kind, dtype, batch, options):
    """One layer over one batch, from random states."""
    layer = made(kind, dtype, **{"return_sequences": True, "return_state": True} | options)
    x, *initial = rng.standard_normal((3, B, T, max(I, H))).astype(dtype)
    x, initial = x[..., :I], [array[:, 0] for array in initial[: 2 if kind == "lstm" else 1]]
    if options.get("time_major"):
        x = x.swapaxes(0, 1)
        batch = {name: given if name == "lengths" else given.T for name, given in batch.items()}
    y, *states = layer(x, initial, **batch)
    expect = partial(oracle.run, kind, layer.get_weights(), x, initial, **batch, **options)
    exact, naive = expect(), expect(dtype=np.dtype(dtype), naive=True)
    for got, truth, plain in zip([y, *states], [exact[0], *exact[1]], [naive[0], *naive[1]], strict=True):
        assert_close(got, truth, plain, f"{kind} {dtype} {options}")


def check_everything():
    """What the child process runs."""
    assert jit.DISABLED
    for kind in KINDS:
        for dtype in ("float32", "float64"):
            for batch in BATCHES.values():
                for options in OPTIONS:
                    check(kind, dtype, batch, options)
    check_states()
    check_cells_and_ragged()
    assert not jit.compilations


def check_states():
    """A stateful layer and a stepper go on where they stopped; warmup has nothing to do."""
    x = rng.standard_normal((B, 2 * T, I)).astype(np.float32)
    whole = made("gru", "float32", return_sequences=True)
    stateful = nr.GRU(H, stateful=True, return_sequences=True)
    stateful.set_weights(whole.get_weights())
    nr.warmup(whole)
    stepper, y = whole.stepper(B), whole(x)
    assert y.tobytes() == np.concatenate([stateful(x[:, :T]), stateful(x[:, T:])], axis=1).tobytes()
    for t in range(2 * T):
        out = np.empty((B, H), np.float32)
        assert stepper(x[:, t], out=out) is out and out.tobytes() == y[:, t].tobytes()
    stateful.reset_states(rows=[0])
    assert not stateful.states[0][0].any() and stateful.states[0][1].any()


def check_cells_and_ragged():
    layer = made("lstm", "float64", return_sequences=True)
    ragged = nr.Ragged(rng.standard_normal((7, I)), [0, 3, 3, 7])
    padded = layer(ragged.to_padded(), lengths=ragged.lengths)
    assert layer(ragged).to_padded().tobytes() == padded.tobytes()
    output, _ = layer.cell(ragged.values, layer.cell.get_initial_state(7))
    assert output.tobytes() == layer(ragged.values[:, np.newaxis])[:, 0].tobytes()
    decision = layer.explain(ragged, measure=True)
    assert (decision.schedule, decision.valid_steps, decision.evaluations) == ("reference", 7, 7)
    assert "reference" in str(decision)


def test_without_jit():
    here = str(Path(__file__).parent)
    code = f"import sys; sys.path.insert(0, {here!r}); import test_without_jit as t; t.check_everything()"
    command, without = [sys.executable, "-W", "error", "-c", code], os.environ | {"NUMBA_DISABLE_JIT": "1"}
    child = subprocess.run(command, env=without, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr


@pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")
@pytest.mark.parametrize("kind", KINDS)
def test_with_jit(kind):
    """The checks themselves hold for the compiled kernels, so what the child found is about its mode."""
    for batch in BATCHES.values():
        check(kind, "float32", batch, {"go_backwards": True})
