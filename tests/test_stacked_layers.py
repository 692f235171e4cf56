"""Layers of stacked cells: bit for bit one layer after the other, in any kind of batch."""

import copy
import pickle

import numpy as np
import pytest
from bits import same, take
from directions import BATCHES, LENGTHS, MASK, RESETS, B, I, T, inputs, turned
from models import MODELS
from stacks import SIZES, cells, every_stack, flat, stack, states
from tolerance import assert_close

import numbarnn as nr
from numbarnn import dispatch
from numbarnn.checks_states import nested

every_batch = pytest.mark.parametrize("given", BATCHES.values(), ids=BATCHES)


def listed(entry):
    return entry if isinstance(entry, list) else [entry]


def one_after_the_other(run, kinds, x, initial, given, return_sequences=True, **options):
    """``run(cell number, x, initial, **options)``, each on the outputs of the one before at the times of
    their inputs; flat, as `flat` gives a stack's results.
    """
    final, backwards = [], options.get("go_backwards", False)
    for k in range(len(kinds)):
        last = k == len(kinds) - 1
        sequences = {"return_sequences": return_sequences or not last}
        start = None if initial is None else listed(initial[k])
        x, ends = run(k, x, start, **given, **options, **sequences)
        final += ends
        if backwards and not last:
            x = turned(x, given.get("lengths"))
    return [x, *final]


def layer_after_layer(kinds, x, initial, given, **options):
    made = cells(kinds, x.dtype)

    def run(k, x, start, mask=None, lengths=None, resets=None, **options):
        y, *final = nr.RNN(made[k], return_state=True, **options)(x, start, mask, lengths, resets)
        return y, final

    return one_after_the_other(run, kinds, x, initial, given, **options)


OPTIONS = {
    "sequences": {},
    "last": {"return_sequences": False},
    "backwards": {"go_backwards": True},
    "backwards, last": {"go_backwards": True, "return_sequences": False},
    "zero output": {"zero_output_for_mask": True},
}
every_option = pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)


# Results


@every_stack
@every_batch
@every_option
@pytest.mark.parametrize(("dtype", "wide"), [("float32", np.float64), ("float64", np.longdouble)])
def test_the_oracle(kinds, given, options, dtype, wide):
    layer, x, initial = (
        stack(kinds, dtype, **options),
        inputs(B, T, I, dtype=dtype),
        states(kinds, dtype=dtype),
    )
    weights = [cell.get_weights() for cell in layer.cells]

    def by(precision, naive=False):
        def run(k, x, start, **options):
            model = MODELS[kinds[k]]
            return model.expect(weights[k], x, start, dtype=precision, naive=naive, **options)

        return one_after_the_other(run, kinds, x, initial, given, **options)

    pairs = zip(by(wide), by(np.dtype(dtype).type, naive=True), strict=True)
    for got, (exact, naive) in zip(flat(layer(x, initial, **given)), pairs, strict=True):
        assert_close(got, exact, naive)


@every_stack
@every_batch
@every_option
def test_the_bits_of_layer_after_layer(kinds, given, options):
    x = inputs(B, T, I)
    for initial in (None, states(kinds)):
        got = stack(kinds, **options)(x, initial, **given)
        same(flat(got), layer_after_layer(kinds, x, initial, given, **options))


@every_stack
def test_structure_of_results(kinds):
    """An array for a cell with one state, a list for one with two."""
    x = inputs(B, T, I)
    for sequences in (False, True):
        layer = stack(kinds, return_sequences=sequences)
        y, *final = layer(x)
        assert [type(entry) for entry in final] == [type(entry) for entry in states(kinds)]
        assert [a.shape for a in flat(final)] == [a.shape for a in flat(states(kinds))]
        alone = stack(kinds, return_sequences=sequences, return_state=False)(x)
        assert type(alone) is np.ndarray
        same([alone], [y])
        assert layer.compute_mask(x, MASK) == [MASK if sequences else None, *[None] * len(kinds)]
    assert layer.units == SIZES[len(kinds) - 1] and layer.input_size == I


@every_stack
@every_option
def test_layouts(kinds, options):
    """Views, time-major inputs and rows without padding."""
    x, initial, sequences = inputs(B, T, I), states(kinds), options.get("return_sequences", True)
    layer, time_major = stack(kinds, **options), stack(kinds, **options, time_major=True)
    views = np.repeat(x, 2, axis=1)[:, ::2], np.insert(x, I, np.nan, axis=2)[:, :, :-1], np.asfortranarray(x)
    for given in BATCHES.values():
        wanted = flat(layer(x, initial, **given))
        for view in views:
            same(flat(layer(view, initial, **given)), wanted)
        swapped = {name: v if name == "lengths" else v.swapaxes(0, 1) for name, v in given.items()}
        y, *final = flat(time_major(x.swapaxes(0, 1), initial, **swapped))
        same([y.swapaxes(0, 1) if sequences else y, *final], wanted)
    valid = np.arange(T) < LENGTHS[:, np.newaxis]
    ragged = nr.Ragged(x[valid], np.cumsum([0, *LENGTHS]))
    for resets in (None, RESETS):
        y, *final = flat(layer(ragged, initial, resets=None if resets is None else resets[valid]))
        wanted, *wanted_final = flat(layer(x, initial, lengths=LENGTHS, resets=resets))
        if sequences:
            assert type(y) is nr.Ragged
            y, wanted = y.values, wanted[valid]
        same([y, *final], [wanted, *wanted_final])


@every_stack
def test_rows_do_not_depend_on_each_other(kinds):
    """Alone, in another order, beside NaN, and with NaN where nothing is read."""
    x, initial, layer = inputs(B, T, I), states(kinds), stack(kinds)
    for given in BATCHES.values():
        wanted = flat(layer(x, initial, **given))
        for rows in (*(slice(b, b + 1) for b in range(B)), [4, 2, 0, 3, 1]):
            start = [take(e, rows) if isinstance(e, list) else e[rows] for e in initial]
            described = {name: value[rows] for name, value in given.items()}
            same(flat(layer(x[rows], start, **described)), take(wanted, rows))
        spoilt = x.copy()
        spoilt[1::2] = np.nan
        same(take(flat(layer(spoilt, initial, **given)), slice(0, B, 2)), take(wanted, slice(0, B, 2)))
        unread = np.zeros((B, T), bool)
        if "lengths" in given:
            unread = np.arange(T) >= given["lengths"][:, np.newaxis]
        if "mask" in given:
            unread = ~given["mask"]
        padded = x.copy()
        padded[unread] = np.nan
        same(flat(layer(padded, initial, **given)), wanted)


@pytest.mark.parametrize("shape", [(0, T), (B, 0), (0, 0)], ids=str)
@every_stack
@every_option
def test_no_rows_and_no_steps(shape, kinds, options):
    x, initial = inputs(*shape, I), states(kinds, shape[0])
    y, *final = stack(kinds, **options)(x, initial)
    units = SIZES[len(kinds) - 1]
    assert y.shape == ((*shape, units) if options.get("return_sequences", True) else (shape[0], units))
    assert not y.any()
    same(flat(final), flat(initial))


@every_stack
@pytest.mark.parametrize("return_sequences", [False, True])
def test_out(kinds, return_sequences):
    """Nested as the results are; the very arrays, and nothing round them."""
    layer, x = stack(kinds, return_sequences=return_sequences), inputs(B, T, I)
    for given in BATCHES.values():
        wanted = flat(layer(x, **given))
        memory = [np.full(array.size + 64, 7.5, np.float32) for array in wanted]
        y, *arrays = (m[32:-32].reshape(a.shape) for m, a in zip(memory, wanted, strict=True))
        out = y, *nested(arrays, layer.layout)
        results = layer(x, **given, out=out)
        assert all(a is b for a, b in zip(flat(results), flat(out), strict=True))
        same(flat(results), wanted)
        assert all((m[:32] == 7.5).all() and (m[-32:] == 7.5).all() for m in memory)


@pytest.mark.parametrize("kind", MODELS)
@every_batch
def test_a_stack_of_one_is_the_cell(kind, given):
    """States are those of the cell: LSTM h, c."""
    x, options = inputs(B, T, I), {"return_sequences": True, "return_state": True}
    one, alone = stack([kind]), nr.RNN(*cells([kind]), **options)
    initial = listed(states([kind])[0])
    for start in (None, initial):
        got, wanted = one(x, start, **given), alone(x, start, **given)
        assert [type(entry) for entry in got] == [type(entry) for entry in wanted]
        same(got, wanted)
    stateful = stack([kind], stateful=True)
    stateful(x, **given)
    same(stateful.states, alone(x, **given)[1:])


def test_one_cell_twice():
    """Its weights are shared, its states are not."""
    cell, x = nr.GRUCell(4, seed=1), inputs(B, T, 4)
    layer = nr.RNN([cell, cell], return_sequences=True, return_state=True)
    one = nr.RNN(cell, return_sequences=True, return_state=True)
    between, h = one(x)
    same(layer(x), [*one(between)[:1], h, *one(between)[1:]])
    assert len(layer.get_weights()) == 6


# States that stay


@every_stack
@pytest.mark.parametrize("pieces", [2, 3, 12])
def test_pieces_are_the_whole(kinds, pieces):
    stateful, x = stack(kinds, stateful=True, return_state=False), inputs(B, 12, I)
    y, *final = stack(kinds)(x)
    parts = [stateful(part) for part in np.split(x, pieces, axis=1)]
    assert [type(entry) for entry in stateful.states] == [type(entry) for entry in final]
    same([np.concatenate(parts, axis=1), *flat(stateful.states)], [y, *flat(final)])


@every_stack
def test_reset_of_states(kinds):
    stateful, plain, x, initial = stack(kinds, stateful=True), stack(kinds), inputs(B, T, I), states(kinds)
    stateful(x, lengths=LENGTHS)
    before = flat(stateful.states)
    same(before, flat(plain(x, lengths=LENGTHS)[1:]))
    stateful.reset_states(rows=[1, 3])
    constants = [constant for kind in kinds for constant in MODELS[kind].constants]
    assert [{*array[[1, 3]].ravel().tolist()} for array in flat(stateful.states)] == [{c} for c in constants]
    same(take(flat(stateful.states), [0, 2, 4]), take(before, [0, 2, 4]))
    stateful.reset_states(initial, rows=[2])
    same(take(flat(stateful.states), [2]), take(flat(initial), [2]))
    stateful.reset_states(initial)
    same(flat(stateful(x)), flat(plain(x, initial)))
    stateful.reset_states()
    same(flat(stateful(x)), flat(plain(x)))
    kept = flat(stateful.states)
    with pytest.raises(ValueError, match=rf"^states has 1 array\(s\); expected {len(kinds)}"):
        stateful.reset_states(initial[:1])
    same(flat(stateful.states), kept)
    for array in flat(stateful.states):
        array[...] = np.nan
    same(flat(stateful.states), kept)


@every_stack
@pytest.mark.parametrize("calls", [1, 2])
def test_a_failed_call_leaves_the_states(kinds, calls, monkeypatch):
    """Between two cells as after both."""
    layer, x, left = stack(kinds, stateful=True), inputs(B, T, I), [calls]
    layer(x)
    kept, run = flat(layer.states), dispatch.run

    def failing(*arguments, **options):
        run(*arguments, **options)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "run", failing)
        with pytest.raises(KeyboardInterrupt):
            layer(x)
    same(flat(layer.states), kept)
    twin = stack(kinds)
    same(flat(layer(x)), flat(twin(x, twin(x)[1:] and list(twin(x)[1:]))))


@every_stack
@pytest.mark.parametrize("rows", [1, B, 250])
def test_a_stepper(kinds, rows):
    """Step by step: the bits of a call, with and without `out`; new weights reach it."""
    layer, x = stack(kinds), inputs(rows, T, I)
    y, *final = layer(x)
    stepper, out, steps = layer.stepper(rows), np.empty((rows, layer.units), "f4"), []
    for t in range(T):
        if t % 2:
            assert stepper(x[:, t], out=out) is out
            steps.append(out.copy())
        else:
            steps.append(stepper(x[:, t]))
    same([np.stack(steps, axis=1), *flat(stepper.states)], [y, *flat(final)])
    assert [type(entry) for entry in stepper.states] == [type(entry) for entry in final]
    before = flat(stepper.states)
    stepper.reset(rows=[0])
    constants = [constant for kind in kinds for constant in MODELS[kind].constants]
    assert [{*array[0].tolist()} for array in flat(stepper.states)] == [{c} for c in constants]
    same(take(flat(stepper.states), slice(1, None)), take(before, slice(1, None)))
    layer.set_weights([array / 2 for array in layer.get_weights()])
    y, *final = layer(x[:, :1], stepper.states)
    same([stepper(x[:, 0]), *flat(stepper.states)], [y[:, 0], *flat(final)])


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
@every_stack
def test_copies(kinds, copied):
    layer, x = stack(kinds, stateful=True), inputs(B, T, I)
    layer(x)
    stepper = layer.stepper(B)
    stepper(x[:, 0])
    twin, other, kept = copied(layer), copied(stepper), flat(layer.states)
    assert repr(twin) == repr(layer)
    y = flat(layer(x))
    same(flat(twin.states), kept)
    same(flat(twin(x)), y)
    same([other(x[:, 1]), *flat(other.states)], [stepper(x[:, 1]), *flat(stepper.states)])
