"""Two directions: the oracle's two layers, merged; and bit for bit what either layer computes alone."""

import copy
import pickle

import numpy as np
import pytest
from bits import same
from directions import (
    BATCHES,
    LENGTHS,
    MASK,
    MERGES,
    RESETS,
    B,
    H,
    I,
    T,
    alone,
    both,
    inputs,
    listed,
    merged,
    states,
    turned,
)
from models import MODELS, every_model
from tolerance import assert_close

import numbarnn as nr
from numbarnn import dispatch

every_mode = pytest.mark.parametrize("merge_mode", MERGES)
every_batch = pytest.mark.parametrize("given", BATCHES.values(), ids=BATCHES)
LSTM = MODELS["lstm"]


# Results


def by_the_oracle(model, layer, x, initial, given, **options):
    """Either direction's outputs at the times of their inputs, and the final states of both."""
    sequences, outputs, final = layer.return_sequences, [], []
    count = len(model.constants)
    for one, start in zip((layer.forward_layer, layer.backward_layer), (0, count), strict=True):
        part = None if initial is None else initial[start : start + count]
        y, ends = model.expect(
            one.get_weights(), x, part, **given, **options,
            go_backwards=one.go_backwards, return_sequences=sequences, zero_output_for_mask=sequences,
        )  # fmt: skip
        outputs.append(turned(y, given.get("lengths")) if one.go_backwards and sequences else y)
        final += ends
    return outputs, final


@every_model
@every_batch
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize(("dtype", "wide"), [("float32", np.float64), ("float64", np.longdouble)])
def test_the_oracle(model, given, return_sequences, dtype, wide):
    """Every way to merge, from the cells' constants and from given states."""
    x = inputs(B, T, I, dtype=dtype)
    for merge_mode in MERGES:
        layer = both(model, merge_mode, dtype=dtype, return_sequences=return_sequences)
        for initial in (None, states(model, dtype=dtype)):
            results = layer(x, initial, **given)
            call = model, layer, x, initial, given
            exact, exact_final = by_the_oracle(*call, dtype=wide)
            naive, naive_final = by_the_oracle(*call, dtype=np.dtype(dtype).type, naive=True)
            wanted = [*MERGES[merge_mode](*exact), *exact_final]
            plain = [*MERGES[merge_mode](*naive), *naive_final]
            for k, triple in enumerate(zip(results, wanted, plain, strict=True)):
                assert_close(*triple, f"result {k}")


@every_model
@every_batch
@every_mode
@pytest.mark.parametrize("return_sequences", [False, True])
def test_the_bits_of_two_layers_alone(model, given, merge_mode, return_sequences):
    x, initial = inputs(B, T, I), states(model)
    layer = both(model, merge_mode, return_sequences=return_sequences)
    for start in (None, initial):
        same(layer(x, start, **given), merged(layer, x, start, **given))


@every_model
@every_mode
def test_rows_do_not_depend_on_each_other(model, merge_mode):
    """Alone, in another order, beside NaN, and with NaN where nothing is read."""
    x, initial, layer = inputs(B, T, I), states(model), both(model, merge_mode)
    order = [4, 2, 0, 3, 1]
    for given in BATCHES.values():
        y = layer(x, initial, **given)

        def some(rows, x=x, initial=initial, given=given):
            described = {name: value[rows] for name, value in given.items()}
            return layer(x[rows], [state[rows] for state in initial], **described)

        for b in range(B):
            same(some(slice(b, b + 1)), [array[b : b + 1] for array in y])
        same(some(order), [array[order] for array in y])
        spoilt = [array.copy() for array in (x, *initial)]
        for array in spoilt:
            array[1::2] = np.nan
        rows = slice(0, B, 2)
        same([array[rows] for array in layer(spoilt[0], spoilt[1:], **given)], [array[rows] for array in y])
        unread = np.zeros((B, T), bool)
        if "lengths" in given:
            unread = np.arange(T) >= given["lengths"][:, None]
        if "mask" in given:
            unread = ~given["mask"]
        padded = x.copy()
        padded[unread] = np.nan
        same(layer(padded, initial, **given), y)


@every_model
@every_mode
@pytest.mark.parametrize("return_sequences", [False, True])
def test_time_major(model, merge_mode, return_sequences):
    options = {"merge_mode": merge_mode, "return_sequences": return_sequences}
    layer, turned_round = both(model, **options), both(model, **options, time_major=True)
    x, outputs = inputs(B, T, I), 2 if merge_mode is None else 1
    for given in BATCHES.values():
        swapped = {name: v if name == "lengths" else v.swapaxes(0, 1) for name, v in given.items()}
        got, wanted = turned_round(x.swapaxes(0, 1), **swapped), list(layer(x, **given))
        if return_sequences:
            wanted[:outputs] = [y.swapaxes(0, 1) for y in wanted[:outputs]]
        same(got, wanted)


@every_model
@every_mode
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("resets", [None, RESETS])
def test_ragged(model, merge_mode, return_sequences, resets):
    """The bits of padded rows with lengths."""
    layer, x, initial = (
        both(model, merge_mode, return_sequences=return_sequences),
        inputs(B, T, I),
        states(model),
    )
    valid = np.arange(T) < LENGTHS[:, np.newaxis]
    ragged = nr.Ragged(x[valid], np.cumsum([0, *LENGTHS]))
    got = list(layer(ragged, initial, resets=None if resets is None else resets[valid]))
    wanted = list(layer(x, initial, lengths=LENGTHS, resets=resets))
    if return_sequences:
        outputs = 2 if merge_mode is None else 1
        assert all(type(y) is nr.Ragged and (y.offsets == ragged.offsets).all() for y in got[:outputs])
        got[:outputs] = [y.values for y in got[:outputs]]
        wanted[:outputs] = [y[valid] for y in wanted[:outputs]]
    same(got, wanted)


@pytest.mark.parametrize("shape", [(0, T), (B, 0), (0, 0)], ids=str)
@every_mode
def test_no_rows_and_no_steps(shape, merge_mode):
    for return_sequences in (False, True):
        for model in (LSTM, MODELS["toy"]):
            layer = both(model, merge_mode, return_sequences=return_sequences)
            x, initial = inputs(*shape, I), states(model, shape[0])
            results = layer(x, initial)
            same(results, merged(layer, x, initial))
            outputs = 2 if merge_mode is None else 1
            assert not any(y.any() for y in results[:outputs])
            same(results[outputs:], initial)


VIEWS = {
    "every second step": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "rows backwards": lambda x: x[::-1].copy()[::-1],
    "time backwards": lambda x: x[:, ::-1].copy()[:, ::-1],
    "wider rows": lambda x: np.insert(x, I, np.nan, axis=2)[:, :, :-1],
    "Fortran": np.asfortranarray,
    "transposed": lambda x: x.swapaxes(0, 1).copy().swapaxes(0, 1),
    "one row for all": lambda x: np.broadcast_to(x[:1], x.shape),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
@every_mode
def test_views_as_inputs(view, merge_mode):
    layer, x = both(LSTM, merge_mode), view(inputs(B, T, I))
    for given in BATCHES.values():
        same(layer(x, **given), layer(x.copy(), **given))


# Where results go


@every_model
@every_mode
@pytest.mark.parametrize("return_sequences", [False, True])
@pytest.mark.parametrize("units", [1, 3, 4, 9, 17, 33])
def test_out(model, merge_mode, return_sequences, units):
    """The very arrays, whatever they held; nothing round them is touched."""
    layer, x = both(model, merge_mode, units, return_sequences=return_sequences), inputs(B, T, I)
    for given in (BATCHES["lengths"], BATCHES["mask and resets"], {}):
        wanted = merged(layer, x, **given)
        memory = [np.full(array.size + 64, 7.5, np.float32) for array in wanted]
        out = tuple(m[32:-32].reshape(a.shape) for m, a in zip(memory, wanted, strict=True))
        for array in out:
            array[...] = np.nan
        results = layer(x, **given, out=out)
        assert all(a is b for a, b in zip(results, out, strict=True))
        same(results, wanted)
        assert all((m[:32] == 7.5).all() and (m[-32:] == 7.5).all() for m in memory)


@every_mode
def test_out_of_a_ragged(merge_mode):
    """A Ragged or its values, each output for itself."""
    layer = both(LSTM, merge_mode, return_state=False)
    ragged = nr.Ragged(inputs(7, I), [0, 4, 4, 7])
    wanted = listed(layer(ragged))
    values = [np.full_like(y.values, np.nan) for y in wanted]
    given = [nr.Ragged(values[0], ragged.offsets), *values[1:]]
    results = listed(layer(ragged, out=tuple(given) if merge_mode is None else given[0]))
    assert results[0] is given[0]
    assert all(y.values is array for y, array in zip(results, values, strict=True))
    same(values, [y.values for y in wanted])


def test_nothing_given_is_written_and_nothing_returned_is_shared():
    layer, x, initial = both(LSTM, None), inputs(B, T, I), states(LSTM)
    given = [x, *initial, LENGTHS, RESETS, *layer.get_weights()]
    before = [array.copy() for array in given]
    results = [*layer(x, initial, lengths=LENGTHS, resets=RESETS), *layer(x, initial)]
    same(given, before)
    for k, array in enumerate(results):
        assert not any(np.shares_memory(array, other) for other in [*given, *results[:k]])


# Layers of several kinds


@pytest.mark.parametrize("merge_mode", ["concat", None])
def test_layers_of_different_units_and_cells(merge_mode):
    """A backward layer is used as it is, without a copy."""
    options = {"return_sequences": True, "return_state": True}
    backward = MODELS["toy"].make(I, 7, go_backwards=True, **options)
    layer = nr.Bidirectional(nr.LSTM(5, seed=1, **options), merge_mode, backward)
    assert layer.backward_layer is backward and layer.units == (12 if merge_mode else 5)
    x, rng = inputs(B, T, I), np.random.default_rng(2)
    initial = [*LSTM.states(B, 5, "float32", rng), *MODELS["toy"].states(B, 7, "float32", rng)]
    for given in BATCHES.values():
        same(layer(x, initial, **given), merged(layer, x, initial, **given))
    assert [array.shape for array in layer(x)] == ([(B, T, 12)] if merge_mode else [(B, T, 5), (B, T, 7)]) + [
        (B, 5),
        (B, 5),
        (B, 7),
        (B, 7),
    ]


@every_mode
@pytest.mark.parametrize("return_sequences", [False, True])
def test_a_pattern_that_runs_backward(merge_mode, return_sequences):
    """Goes with a layer that runs forward: both outputs are in reverse."""
    options = {"return_sequences": return_sequences, "return_state": True}
    pattern = LSTM.make(I, H, go_backwards=True, **options)
    layer = nr.Bidirectional(pattern, merge_mode, MODELS["toy"].make(I, H, seed=1, **options))
    layer.forward_layer.set_weights(pattern.get_weights())
    x = inputs(B, T, I)
    assert layer.forward_layer.go_backwards and not layer.backward_layer.go_backwards
    for given in BATCHES.values():
        same(layer(x, **given), merged(layer, x, **given))


@every_mode
@pytest.mark.parametrize("return_sequences", [False, True])
def test_stacks_of_cells(merge_mode, return_sequences):
    """All cells of one direction, then the other; of another depth as well."""
    options = {"return_sequences": return_sequences, "return_state": True}

    def stack(*cells, **more):
        return nr.RNN([*cells], **options, **more)

    pattern = stack(nr.LSTMCell(5, seed=1), nr.GRUCell(H, seed=2))
    other = stack(
        nr.GRUCell(6, seed=3), nr.LSTMCell(7, seed=4), nr.SimpleRNNCell(H, seed=5), go_backwards=True
    )
    x, rng = inputs(B, T, I), np.random.default_rng(2)
    forward = [[rng.standard_normal((B, 5), "f4") for _ in "hc"], rng.standard_normal((B, H), "f4")]
    backward = [rng.standard_normal((B, 6), "f4"), [rng.standard_normal((B, 7), "f4") for _ in "hc"]]
    for layer, initial in (
        (nr.Bidirectional(pattern, merge_mode), forward + forward),
        (nr.Bidirectional(pattern, merge_mode, other), [*forward, *backward, forward[1]]),
    ):
        for given in BATCHES.values():
            for start in (None, initial):
                got, wanted = list(layer(x, start, **given)), merged(layer, x, start, **given)
                assert [type(a) for a in got] == [type(a) for a in wanted]
                same(flattened(got), flattened(wanted))


def flattened(results):
    return [array for result in results for array in (result if isinstance(result, list) else [result])]


def test_two_directions_upon_two():
    """Outputs of the first, with its mask, are inputs of the second."""
    first, second = both(LSTM, return_state=False), both(MODELS["gru"], "sum", features=2 * H)
    x = inputs(B, T, I)
    between = first(x, mask=MASK)
    assert not between[~MASK].any()
    assert first.compute_mask(x, MASK) is MASK
    same(second(between, mask=MASK), merged(second, merged(first, x, mask=MASK)[0], mask=MASK))


# States that stay


@every_model
@every_mode
def test_each_call_starts_where_the_last_one_ended(model, merge_mode):
    """In both directions; the forward half is that of one long sequence."""
    stateful, plain = both(model, merge_mode, stateful=True, return_state=False), both(model, merge_mode)
    x, kept = inputs(B, 12, I), None
    outputs, forward = 2 if merge_mode is None else 1, []
    for k, part in enumerate(np.split(x, 3, axis=1)):
        given = {"lengths": np.array([2, 0, 4, 1, 3])} if k == 1 else {}
        wanted = plain(part, kept, **given)
        kept = list(wanted[outputs:])
        same(listed(stateful(part, **given)), wanted[:outputs])
        same(stateful.states, kept)
    stateful.reset_states()
    for part in np.split(x, 3, axis=1):
        stateful(part)
        forward.append(stateful.states[0])
    same(forward[-1:], alone(plain, x)[0][1:2])


@every_model
def test_reset_of_states(model):
    stateful, plain = both(model, stateful=True, return_state=False), both(model)
    x, initial = inputs(B, T, I), states(model)
    assert stateful.states is None
    stateful.reset_states()
    assert stateful.states is None
    stateful(x)
    stateful.reset_states(rows=[1, 3])
    assert [{*array[[1, 3]].ravel()} for array in stateful.states] == [{c} for c in model.constants * 2]
    same([array[::2] for array in stateful.states], [array[::2] for array in plain(x)[1:]])
    stateful.reset_states([array.astype("f8") for array in initial], rows=np.arange(B) == 2)
    same([array[2] for array in stateful.states], [array[2] for array in initial])
    stateful.reset_states(initial)
    same([stateful(x)], plain(x, initial)[:1])
    same([stateful(x, initial), *stateful.states], plain(x, initial))
    with pytest.raises(ValueError, match=r"batch size 2; .* made for batch size 5"):
        stateful(x[:2])
    stateful.reset_states([array[:2] for array in initial])
    assert stateful(x[:2]).shape == (2, T, 2 * H)


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("first", [True, False])
def test_a_failed_call_leaves_the_states(calls, first, monkeypatch):
    """Wherever it fails: before the second direction as after it."""
    layer, x = both(LSTM, "sum", stateful=True), inputs(B, T, I)
    if not first:
        layer(x)
    kept, left = layer.states, [calls]

    def failing(run):
        def wrapped(*arguments, **options):
            run(*arguments, **options)
            left[0] -= 1
            if left[0] == 0:
                raise KeyboardInterrupt

        return wrapped

    with monkeypatch.context() as patch:
        patch.setattr(dispatch, "run", failing(dispatch.run))
        with pytest.raises(KeyboardInterrupt):
            layer(x, n_threads=1)
    assert layer.states is None if first else not same(layer.states, kept)
    same(layer(x), both(LSTM, "sum")(x, kept))


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda layer: pickle.loads(pickle.dumps(layer))])
def test_copies(copied):
    layer, x = both(LSTM, "ave", stateful=True), inputs(B, T, I)
    layer(x)
    twin = copied(layer)
    assert type(twin) is nr.Bidirectional and repr(twin) == repr(layer)
    same(twin.get_weights(), layer.get_weights())
    kept = layer.states
    y = layer(x)
    same(twin.states, kept)
    same(twin(x), y)
    twin.set_weights([0 * array for array in twin.get_weights()])
    same(layer(x), both(LSTM, "ave")(x, list(y[1:])))
