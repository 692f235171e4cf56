"""Every cell, dtype and size against the longhand oracle, for every kind of batch and option.

Options are drawn for each combination of cell, dtype and size; a test of its own sees to it that any two
values of two options met. Then hypothesis goes on drawing. Steps that are not valid hold NaN: none is read.
Results are written over NaN: none is left.
"""

import random
from itertools import combinations, product

import ceiling
import numpy as np
import pytest
import tolerance
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from models import MODELS, every_dtype, every_model, squash
from shapes import SHAPES

import numbarnn as nr

BOUNDED = [("tanh", "sigmoid"), ("squash", "sigmoid"), ("sigmoid", "tanh"), ("sigmoid", "squash")]
UNBOUNDED = [("relu", "sigmoid"), ("linear", "tanh"), ("exponential", "sigmoid"),
             ("tanh", "relu"), ("tanh", "linear"), ("tanh", "exponential")]
LAYER_FLAGS = ("go_backwards", "return_sequences", "zero_output_for_mask", "time_major")
OPTIONS = {
    "activations": BOUNDED + UNBOUNDED,
    "kind": ["dense", "lengths", "mask", "left padding", "ragged"],
    **{name: [False, True] for name in (*LAYER_FLAGS, "resets", "initial", "use_bias")},
}
DRAWS = 3  # of each combination of cell, dtype and size
TURNS = sorted(product(("float32", "float64"), SHAPES), key=lambda turn: SHAPES[turn[1]].T)


def choose(model, dtype, shape, draw):
    """The options of one draw, always the same: those of many values by turns, the others by lot."""
    turn, dice = TURNS.index((dtype, shape)), random.Random(f"{model} {dtype} {shape} {draw}")
    chosen = {name: dice.choice(values) for name, values in OPTIONS.items()}
    chosen["activations"], chosen["kind"] = list(product(OPTIONS["activations"], OPTIONS["kind"]))[turn % 50]
    if SHAPES[shape].T > 20:
        chosen["activations"] = dice.choice(BOUNDED)  # what has no bound may grow with every step
    return chosen


def lengths_and_mask(kind, B, T, rng):
    """At most one of the two; lengths include 0, 1 and T where there are rows enough."""
    lengths = rng.integers(0, T + 1, B)
    lengths[rng.permutation(B)[:3]] = [T, 0, 1][:B]
    if kind in ("lengths", "ragged"):
        return lengths, None
    if kind == "left padding":
        return None, np.arange(T) >= T - lengths[:, None]
    if kind == "mask":
        return None, (rng.random((B, T)) < 0.6) & (lengths > 0)[:, None]
    return None, None


def compare(model, dtype, chosen, x, lengths, mask, resets, initial, seed):
    """One call of a layer and of the oracle: `(got, exact, naive)` for the output and each state.

    Every error must be one that rounding explains.
    """
    (B, T, I), H = x.shape, initial[0].shape[1]  # noqa: E741
    ragged = chosen["kind"] == "ragged"
    flags = {name: chosen[name] for name in LAYER_FLAGS} | ({"time_major": False} if ragged else {})
    named = dict(zip(("activation", "recurrent_activation"), chosen["activations"], strict=True))
    layer = model.make(
        I, H, dtype, seed, chosen["use_bias"], scale=1.0 if chosen["activations"] in BOUNDED else 0.25,
        return_state=True, **flags, **{name: squash if f == "squash" else f for name, f in named.items()})

    valid = np.ones((B, T), bool) if mask is None else mask
    valid = valid if lengths is None else np.arange(T) < lengths[:, None]
    x = np.where(valid[:, :, None], x, np.nan).astype(dtype)
    resets = resets if chosen["resets"] else None
    initial = initial if chosen["initial"] else None
    given = {"initial_state": initial, "lengths": lengths, "mask": mask, "resets": resets}
    if flags["time_major"]:
        x = x.swapaxes(0, 1)
        given |= {name: None if given[name] is None else given[name].T for name in ("mask", "resets")}

    def expect(**precision):
        """The output, where a ragged batch has one, and the states."""
        outputs, final = model.expect(layer.get_weights(), x, **given, **flags, **named, **precision)
        return [outputs[valid] if ragged and flags["return_sequences"] else outputs, *final]

    exact = expect(dtype=np.longdouble)
    out = tuple(np.full(array.shape, np.nan, dtype) for array in exact)
    if ragged:
        rows = nr.Ragged(x[valid], np.concatenate([[0], np.cumsum(lengths)]))
        layer(rows, initial, resets=None if resets is None else resets[valid], out=out)
    else:
        layer(x, **given, out=out)
    limits = expect(run=ceiling.run, dtype=np.dtype(dtype))
    for ours, theirs, limit in zip(out, exact, limits, strict=True):
        assert np.isfinite(theirs).all(), "the numbers drawn overflow: nothing would be compared"
        assert ours.shape == theirs.shape
        assert (np.abs(ours - theirs) <= limit).all()
    return zip(out, exact, expect(dtype=np.dtype(dtype), naive=True), strict=True)


@pytest.mark.parametrize("shape", SHAPES)
@every_dtype
@every_model
def test_agrees_with_the_oracle(model, dtype, shape):
    """Also within the bound that the naive loop sets, over all draws: a single small one may be lucky."""
    B, T, I, H = SHAPES[shape]  # noqa: E741
    draws = []
    for seed in range(DRAWS):
        chosen = choose(model.name, dtype, shape, seed)
        rng = np.random.default_rng([seed, *f"{model.name} {dtype} {shape}".encode()])
        lengths, mask = lengths_and_mask(chosen["kind"], B, T, rng)
        x, resets = rng.standard_normal((B, T, I)), rng.random((B, T)) < 0.3
        initial = model.states(B, H, dtype, rng)
        draws.append(compare(model, dtype, chosen, x, lengths, mask, resets, initial, seed))
    for k, triples in enumerate(zip(*draws, strict=True)):
        joined = [np.concatenate([part.ravel() for part in parts]) for parts in zip(*triples, strict=True)]
        tolerance.assert_close(*joined, f"result {k}")


@pytest.mark.parametrize("name", MODELS)
def test_any_two_options_met(name):
    """What the choices above are worth."""
    drawn = [choose(name, *turn, draw) for turn in TURNS for draw in range(DRAWS)]
    for one, other in combinations(OPTIONS, 2):
        met = {(chosen[one], chosen[other]) for chosen in drawn}
        assert met == set(product(OPTIONS[one], OPTIONS[other])), f"{one} with {other}"


@st.composite
def batches(draw):
    """Any batch of at most six rows and twelve steps, of any sizes from 0 on."""
    B, T, I, H = (draw(st.integers(*ends)) for ends in ((0, 6), (0, 12), (0, 4), (1, 20)))  # noqa: E741
    chosen = {name: draw(st.sampled_from(values)) for name, values in OPTIONS.items()}
    chosen["activations"] = draw(st.sampled_from(BOUNDED))
    lengths = mask = None
    if chosen["kind"] in ("lengths", "ragged"):
        lengths = draw(arrays(np.int64, B, elements=st.integers(0, T)))
    elif chosen["kind"] in ("mask", "left padding"):
        mask = draw(arrays(np.bool_, (B, T)))
    return B, T, I, H, chosen, lengths, mask, draw(arrays(np.bool_, (B, T)))


@settings(deadline=None, derandomize=True, max_examples=80)
@given(batches(), st.integers(0, 2**32 - 1))
@every_dtype
@every_model
def test_any_batch_agrees_with_the_oracle(model, dtype, batch, seed):
    B, T, I, H, chosen, lengths, mask, resets = batch  # noqa: E741
    rng = np.random.default_rng(seed)
    x, initial = rng.standard_normal((B, T, I)), model.states(B, H, dtype, rng)
    compare(model, dtype, chosen, x, lengths, mask, resets, initial, seed)
