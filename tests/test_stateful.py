"""States that outlive a call: set, reset and kept row by row; old or new after a fault, never mixed."""

import numpy as np
import pytest
from bits import same
from models import every_model

import numbarnn as nr
from numbarnn import call, dispatch
from numbarnn.kernels import jit, team

B, T, I, H = 4, 48, 3, 5  # noqa: E741
compiled = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; there are no kernel entries")


def ready(model, **options):
    """A stateful layer, the same without states that returns all it can, inputs, and random states."""
    rng = np.random.default_rng(3)
    stateful = model.make(I, H, stateful=True, return_sequences=True, **options)
    plain = model.make(I, H, return_sequences=True, return_state=True, **options)
    x = rng.standard_normal((B, T, I), dtype=np.float32)
    return stateful, plain, x, model.states(B, H, "float32", rng)


def take(arrays, rows):
    return [array[rows] for array in arrays]


# What is kept


@every_model
def test_sixteen_pieces_are_the_whole(model):
    stateful, plain, x, _ = ready(model)
    y, *final = plain(x)
    pieces = [stateful(piece) for piece in np.split(x, 16, axis=1)]
    same([np.concatenate(pieces, axis=1), *stateful.states], [y, *final])
    stepper = plain.stepper(B)
    same([np.stack([stepper(x[:, t]) for t in range(T)], axis=1), *stepper.states], [y, *final])


@every_model
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("kind", ["lengths", "mask", "resets", "lengths and resets", "ragged", "no steps"])
def test_a_call_starts_where_the_last_one_ended(model, go_backwards, kind):
    """Four calls in turn, against calls that are handed the states; a row without steps keeps its own."""
    stateful, plain, x, states = ready(model, go_backwards=go_backwards)
    stateful.reset_states(states)
    rng = np.random.default_rng(5)
    for part in np.split(x, 4, axis=1):
        steps, batch = part.shape[1], {}
        if "lengths" in kind:
            batch["lengths"] = rng.permutation([0, 1, steps - 3, steps])
        if kind == "mask":
            batch["mask"] = (rng.random((B, steps)) < 0.5) & (np.arange(B) != 2)[:, np.newaxis]
        if "resets" in kind:
            batch["resets"] = rng.random((B, steps)) < 0.2
        if kind == "ragged":
            part = nr.Ragged.from_rows([part[0, :2], part[1, :0], part[2], part[3, :1]])
        if kind == "no steps":
            part = part[:, :0]
        kept, states = states, plain(part, states, **batch)[1:]
        stateful(part, **batch)
        same(stateful.states, states)
        if kind == "lengths":
            idle = batch["lengths"] == 0
            same(take(states, idle), take(kept, idle))


@every_model
def test_a_passed_initial_state_wins(model):
    stateful, plain, x, states = ready(model)
    stateful(x)
    y, *final = plain(x, states)
    same([stateful(x, initial_state=states), *stateful.states], [y, *final])


@every_model
def test_states_handed_out_are_copies(model):
    stateful = model.make(I, H, stateful=True, return_state=True)
    x = np.random.default_rng(3).standard_normal((B, T, I), dtype=np.float32)
    _, *returned = stateful(x)
    kept = stateful.states
    same(returned, kept)
    kept = [state.copy() for state in kept]
    for array in (*returned, *stateful.states):
        array[...] = np.nan
    same(stateful.states, kept)


# Resets


ROWS = {
    "indices": [1, 3],
    "negative": [-1, 1],
    "mask": [False, True, False, True],
    "small integers": np.array([3, 1], np.uint8),
    "repeated": [3, 1, 3],
}


@every_model
@pytest.mark.parametrize("rows", ROWS.values(), ids=ROWS)
def test_reset_of_some_rows(model, rows):
    """To the cell's constants, or to rows of given states; the other rows stay."""
    stateful, plain, x, states = ready(model)
    stateful(x)
    stepper = plain.stepper(B)
    stepper(x[:, 0])
    chosen, others = [1, 3], [0, 2]
    constants = [np.full((2, H), constant, np.float32) for constant in model.constants]
    for thing, reset in ((stateful, stateful.reset_states), (stepper, stepper.reset)):
        before = thing.states
        reset(rows=rows)
        same(take(thing.states, chosen) + take(thing.states, others), constants + take(before, others))
    stateful(x)
    before = stateful.states
    stateful.reset_states([array.astype(np.float64) for array in states], rows=rows)
    same(take(stateful.states, chosen), take(states, chosen))
    same(take(stateful.states, others), take(before, others))


@every_model
def test_reset_of_one_row_and_of_none(model):
    stateful, _, _, states = ready(model)
    stateful.reset_states(states)
    stateful.reset_states(rows=[])
    same(stateful.states, states)
    stateful.reset_states(rows=2)
    same(take(stateful.states, [0, 1, 3]), take(states, [0, 1, 3]))
    assert [set(array[2]) for array in stateful.states] == [{constant} for constant in model.constants]


@every_model
def test_reset_of_all_rows(model):
    stateful, plain, x, states = ready(model)
    stateful.reset_states()
    assert stateful.states is None
    first = stateful(x)
    stateful.reset_states()
    same([stateful(x), first], [first, plain(x)[0]])
    stateful.reset_states(states)
    same(stateful.states, states)
    same([stateful(x)], plain(x, states)[:1])


def test_states_fix_the_batch_size_anew():
    """Given for all rows, also before the first call; each float dtype is rounded once."""
    layer, x = nr.GRU(H, stateful=True, seed=1), np.ones((B, T, I), np.float32)
    rounded = np.random.default_rng(2).standard_normal((2, H))
    layer.reset_states(rounded)
    same(layer.states, [rounded.astype(np.float32)])
    layer(x[:2])
    with pytest.raises(ValueError, match=r"batch size 4.*batch size 2.*reset_states"):
        layer(x)
    layer.reset_states([np.zeros((B, H), np.float16)])
    assert layer(x).shape == (B, H)


def test_a_stepper_has_a_state_of_its_own():
    layer, x = nr.LSTM(H, stateful=True, seed=1), np.ones((B, T, I), np.float32)
    layer(x)
    before = layer.states
    first, second = layer.stepper(B), layer.stepper(B)
    y = first(x[:, 0])
    same(layer.states, before)
    same([second(x[:, 0])], [y])
    layer.reset_states()
    assert all(array.any() for array in first.states)


@every_model
def test_new_weights_reach_a_stepper(model):
    _, layer, x, _ = ready(model)
    stepper = layer.stepper(B)
    stepper(x[:, 0])
    states = stepper.states
    layer.set_weights([array / 2 for array in layer.get_weights()])
    output, states = layer.cell(x[:, 1], states)
    same([stepper(x[:, 1]), *stepper.states], [output, *states])


# Faults in the middle of a call


def after(function, calls, error):
    """`function`, which raises `error` when so many calls have returned."""
    left = [calls]

    def wrapped(*arguments, **options):
        left[0] -= 1
        result = function(*arguments, **options)
        if left[0] == 0:
            raise error
        return result

    return wrapped


@pytest.mark.cpu
@compiled
@every_model
@pytest.mark.parametrize("entries", [1, 2, 5])
def test_an_interrupt_between_kernel_entries_leaves_the_old_state(model, entries, monkeypatch):
    """The kernels have written by then, final states of short rows too; what they wrote is not the state."""
    stateful, plain, x, states = ready(model)
    stateful.reset_states(states)
    lengths = np.array([T, 1, 0, T - 1])
    monkeypatch.setattr(dispatch, "FIRST_ENTRY_SECONDS", 1e-12)
    monkeypatch.setattr(call, "ENTRY_SECONDS", 0.0)
    assert plain.explain(x, lengths=lengths, measure=True).entries > 5
    with monkeypatch.context() as patch:
        patch.setattr(team, "run_alone", after(team.run_alone, entries, KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stateful(x, lengths=lengths)
    same(stateful.states, states)
    y, *final = plain(x, states, lengths=lengths)
    same([stateful(x, lengths=lengths), *stateful.states], [y, *final])


@pytest.mark.cpu
@compiled
def test_an_interrupted_step_leaves_the_old_state(monkeypatch):
    layer, x = nr.LSTM(H, seed=1), np.ones((B, T, I), np.float32)
    stepper, twin = layer.stepper(B), layer.stepper(B)
    same([stepper(x[:, 0])], [twin(x[:, 0])])
    before = stepper.states
    with monkeypatch.context() as patch:
        patch.setattr(team, "enter", after(team.enter, 1, KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            stepper(x[:, 1])
    same(stepper.states, before)
    same([stepper(x[:, 1])], [twin(x[:, 1])])


@pytest.mark.parametrize("allocations", range(1, 4))
def test_no_memory_leaves_the_old_state(allocations, monkeypatch):
    """Whichever allocation of a call fails."""
    layer, x = nr.LSTM(H, stateful=True, return_state=True, seed=1), np.ones((B, T, I), np.float32)
    layer(x)
    before = layer.states
    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "empty", after(dispatch.empty, allocations, MemoryError))
        with pytest.raises(MemoryError):
            layer(x)
    same(layer.states, before)
    same(layer(x)[1:], layer.states)


@pytest.mark.parametrize("error", [MemoryError, KeyboardInterrupt])
def test_a_first_call_that_fails_settles_no_batch_size(error, monkeypatch):
    layer, x = nr.LSTM(H, stateful=True, seed=1), np.ones((B, T, I), np.float32)
    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "run", after(lambda *_, **__: None, 1, error))
        with pytest.raises(error):
            layer(x)
    assert layer.states is None
    same([layer(x[:2])], [nr.LSTM(H, seed=1)(x[:2])])


@pytest.mark.parametrize("rows", [dispatch.WAVE_ROWS, dispatch.WAVE_ROWS + 1, 2 * dispatch.WAVE_ROWS + 9])
def test_a_stepper_on_more_rows_than_a_wave_takes(rows):
    layer = nr.LSTM(H, return_sequences=True, return_state=True, seed=1)
    x = np.random.default_rng(3).standard_normal((rows, T, I), np.float32)
    layer.build(I)
    stepper = layer.stepper(rows)
    steps = [stepper(x[:, t]) for t in range(T)]
    y, *states = layer(x)
    same([np.stack(steps, axis=1), *stepper.states], [y, *states])


@compiled
@pytest.mark.cpu
@pytest.mark.parametrize("threads", [1, 2, 3])
@every_model
def test_threads_of_a_stepper(model, threads, monkeypatch):
    """The bits of one thread, and members that divide the units where a step is taken to be worth them."""
    monkeypatch.setattr("numbarnn.costs.LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "SCHEDULES", ("units",))
    layer = model.make(I, 40)
    x = np.random.default_rng(0).standard_normal((6, B, I), dtype=np.float32)
    layer.build(I)
    one, several = layer.stepper(B, n_threads=1), layer.stepper(B, n_threads=threads)
    for x_t in x:
        same(several(x_t), one(x_t))
    same(several.states, one.states)
    members = min(threads, layer.cell.program.unit_blocks) if dispatch.may_launch() else 1
    assert several._calls[0][1].members == members


def test_threads_of_a_stepper_are_whole():
    with pytest.raises(ValueError, match=r"n_threads = 0; expected an integer >= 1"):
        nr.GRU(H, seed=0).stepper(2, n_threads=0)
    with pytest.raises(TypeError, match="n_threads = 'two' is of type str; expected an integer"):
        nr.GRU(H, seed=0).stepper(2, n_threads="two")
