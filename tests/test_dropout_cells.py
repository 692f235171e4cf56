"""Dropout of several cells, of a cell by itself, and beside threads."""

import copy
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from bits import same
from directions import BATCHES, B, H, I, T, inputs, listed, merged
from dropping import INPUTS, RECURRENT, every_rate, make, masks_of, with_masks
from models import MODELS, every_model
from numba.core import event

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import jit

every_batch = pytest.mark.parametrize("given", BATCHES.values(), ids=BATCHES)


def cells():
    rates = INPUTS | RECURRENT
    return [
        nr.LSTMCell(5, seed=1, **rates),
        nr.GRUCell(6, seed=2, **rates),
        nr.SimpleRNNCell(H, seed=3, **rates),
    ]


@every_batch
@pytest.mark.parametrize("go_backwards", [False, True])
def test_stacks(given, go_backwards):
    """Each cell has masks of its own: those of the layers one after the other."""
    x, options = inputs(B, T, I), {"return_state": True, "return_sequences": True}
    stack = nr.RNN(cells(), **options, go_backwards=go_backwards)
    layers = [nr.RNN(cell, **options, go_backwards=go_backwards) for cell in cells()]
    for _ in range(2):
        y, (h, c), g, s = stack(x, **given, training=True)
        wanted, between = [], x
        for layer in layers:
            between, *final = layer(between, **given, training=True)
            wanted += final
            if go_backwards and layer is not layers[-1]:
                lengths = given.get("lengths", np.full(B, T))
                for b, n in enumerate(lengths):
                    between[b, :n] = between[b, :n][::-1].copy()
        same([y, h, c, g, s], [between, *wanted])


@every_model
@every_rate
def test_two_directions(model, rates):
    """Each has its own, of its own stream of the seed."""
    x, pattern = inputs(B, T, I), make(model, rates)
    for merge_mode in ("concat", "sum", None):
        layer = nr.Bidirectional(pattern, merge_mode)
        layer.build(I)
        for given in BATCHES.values():
            wanted = merged(copy.deepcopy(layer), x, **given, training=True)
            same(layer(x, **given, training=True), wanted)
        pair = [
            one.cell.unbuilt().masks.draw(B, I, I, pattern.dtype)
            for one in (layer.forward_layer, layer.backward_layer)
        ]
        assert all((a != b).any() for a, b in zip(*pair, strict=True) if a is not None)
        forward, _ = pair
        lone = pattern.cell.unbuilt().masks.draw(B, I, I, pattern.dtype)
        assert all((a == b).all() for a, b in zip(forward, lone, strict=True) if a is not None)


# A cell by itself


@every_model
@every_rate
def test_steps_of_a_cell(model, rates):
    """A loop over steps has one mask, that of a layer's call, until it is reset."""
    x, layer, cell = inputs(B, T, I), make(model, rates), make(model, rates).cell
    for _ in range(2):
        y, *final = layer(x, training=True)
        states, outputs = cell.get_initial_state(B), []
        for t in range(T):
            output, states = cell(x[:, t], states, training=True)
            outputs.append(output)
        same([np.stack(outputs, axis=1), *states], [y, *final])
        same(cell(x[:, 0], states)[1], make(model, {}).cell(x[:, 0], states)[1])
        cell.reset_dropout_mask()


def test_masks_of_a_cell_are_for_one_batch_size():
    cell = make(MODELS["gru"]).cell
    cell(inputs(2, I), cell.get_initial_state(2), training=True)
    with pytest.raises(ValueError, match=r"^x_t has batch size 3; .* were drawn for 2 rows"):
        cell(inputs(3, I), cell.get_initial_state(3), training=True)
    cell(inputs(3, I), cell.get_initial_state(3))
    cell.reset_dropout_mask()
    cell(inputs(3, I), cell.get_initial_state(3), training=True)
    with pytest.raises(TypeError, match=r"^training = 1 is of type int"):
        cell(inputs(3, I), cell.get_initial_state(3), training=1)


# Threads


@pytest.mark.cpu
@pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; there are no kernel entries")
@every_model
def test_any_number_of_threads_waves_and_entries(model, monkeypatch):
    rng, rows = np.random.default_rng(6), 23
    x, masks, layer = inputs(rows, T, I), masks_of(make(model, units=33), rows), make(model, units=33)
    with_masks(layer, masks)
    batches = {"mask": rng.random((rows, T)) < 0.6}, {"resets": rng.random((rows, T)) < 0.3}, {}
    wanted = [layer(x, **given, n_threads=1, training=True) for given in batches]
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for wave in (4, 240):
        monkeypatch.setattr(dispatch, "WAVE_ROWS", wave)
        for threads in (1, 2, 4):
            for given, results in zip(batches, wanted, strict=True):
                same(layer(x, **given, n_threads=threads, training=True), results)


def test_threads_that_share_a_layer():
    """Each call has masks of its own; which has which is open."""
    x, layer, twin = inputs(B, T, I), make(MODELS["lstm"]), make(MODELS["lstm"])
    with ThreadPoolExecutor(8) as pool:
        got = list(pool.map(lambda _: layer(x, training=True)[0].tobytes(), range(24)))
    assert sorted(got) == sorted(twin(x, training=True)[0].tobytes() for _ in range(24))


@pytest.mark.cpu
@pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; nothing is compiled")
def test_nothing_is_compiled_after_warmup():
    """A cell that nobody has compiled yet."""

    def step(a, h):
        return h + 0.0625 * (nr.math.tanh(a) - h)

    definition = nr.cell("fresh", states="h=0.25", phases=[nr.phase("a:x+h", step)])
    layer = nr.RNN(nr.FusedCell(definition, H, seed=1, **INPUTS, **RECURRENT), return_sequences=True)
    layer.build(I)
    with event.install_recorder("numba:compile") as recorder:
        known = len(jit.compilations)
        nr.warmup(layer)
        warm = len(jit.compilations), len(recorder.buffer)
        assert warm[0] > known
        for given in BATCHES.values():
            listed(layer(inputs(B, T, I), **given, training=True))
            layer(inputs(B, T, I), **given)
        layer.cell(inputs(B, I), layer.cell.get_initial_state(B), training=True)
        assert (len(jit.compilations), len(recorder.buffer)) == warm
