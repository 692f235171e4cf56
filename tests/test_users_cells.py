"""Users' own cells in everything that layers can do: the values of their longhands, and bit for bit whatever
else the same numbers can be had from.
"""

import copy
import pickle

import numpy as np
import pytest
from bits import same
from directions import turned
from models import every_dtype
from shapes import SHAPES
from tolerance import assert_close
from users_cells_oracle import (
    ALL,
    BATCHES,
    LENGTHS,
    RESETS,
    USERS,
    B,
    H,
    I,
    T,
    batch,
    each,
    every_batch,
    every_user,
    expect,
    flat,
)

import numbarnn as nr

# Values


@every_user
@every_dtype
@every_batch
@pytest.mark.parametrize("go_backwards", [False, True])
def test_the_longhand(user, dtype, given, go_backwards):
    """From random states and from the cell's constants, with every output and with the last."""
    layer, x, initial, extra = batch(user, dtype, go_backwards=go_backwards)
    wide = np.float64 if dtype == "float32" else np.longdouble
    for start in (None, initial):
        how = {**given, "initial": start, "extra": extra, "go_backwards": go_backwards}
        exact_y, exact = expect(user, layer.cell, x, **how, dtype=wide)
        naive_y, naive = expect(user, layer.cell, x, **how, dtype=np.dtype(dtype).type, naive=True)
        names = ["y", *user.definition.states]
        results = layer(x, start, **given, extra=extra)
        for name, got, right, loop in zip(names, results, [exact_y, *exact], [naive_y, *naive], strict=True):
            assert_close(got, right, loop, name)
        last = nr.RNN(layer.cell, go_backwards=go_backwards)(x, start, **given, extra=extra)
        held, _ = expect(user, layer.cell, x, **how, return_sequences=False, dtype=wide)
        naive_held, _ = expect(
            user, layer.cell, x, **how, return_sequences=False, dtype=np.dtype(dtype).type, naive=True
        )
        assert_close(last, held, naive_held, "last")


SIZES = (
    "h1", "one_past_vector_of_4", "vector_of_16", "one_past_two_vectors_of_16", "one_past_six_vectors_of_16",
    "wide", "b1", "b1_one_past_six_vectors_of_8", "one_past_tile", "two_tiles", "t1", "all_one", "i_above_h",
)  # fmt: skip


@every_user
@pytest.mark.parametrize("shape", SIZES)
def test_sizes(user, shape):
    """Of everything; the oscillators' ears stay five."""
    rows, steps, features, units = SHAPES[shape]
    cell = user.cell(units, features)
    x = np.random.default_rng(7).standard_normal((rows, steps, features), dtype=np.float32)
    extra, lengths = user.extra(cell, (rows, steps)), np.arange(rows) % (steps + 1)
    how = {"extra": extra, "lengths": lengths}
    exact_y, exact = expect(user, cell, x, **how)
    naive_y, naive = expect(user, cell, x, **how, dtype=np.float32, naive=True)
    results = nr.RNN(cell, **ALL)(x, lengths=lengths, extra=extra)
    for got, right, loop in zip(results, [exact_y, *exact], [naive_y, *naive], strict=True):
        assert_close(got, right, loop)


def test_the_users_lstm_is_the_built_in_one():
    """The same weights give the same bits, and are in the same places."""
    user = USERS["lstm"]
    for dtype in ("float32", "float64"):
        layer, x, initial, _ = batch(user, dtype)
        built_in = nr.LSTM(H, dtype=dtype, **ALL)
        built_in.build(I)
        assert [a.shape for a in built_in.get_weights()] == [a.shape for a in layer.get_weights()]
        built_in.set_weights(layer.get_weights())
        for given in BATCHES.values():
            same(layer(x, initial, **given), built_in(x, initial, **given))


# Layers


@every_user
@every_batch
def test_two_directions(user, given):
    """Each layer for itself; the backward one takes the extra inputs of the steps that it takes."""
    layer, x, initial, extra = batch(user)
    both = nr.Bidirectional(nr.RNN(layer.cell, **ALL), merge_mode=None)
    other = user.cell(H, I, draw=9).get_weights()
    both.set_weights([*layer.get_weights(), *other])
    y, reverse, *final = both(x, [*initial, *initial], **given, extra=extra)
    pair = both.forward_layer, both.backward_layer
    expected = [
        nr.RNN(one.cell, **ALL, go_backwards=one is pair[1], zero_output_for_mask=True)(
            x, initial, **given, extra=extra
        )
        for one in pair
    ]
    (one, *ends), (backward, *more) = expected
    same([y, reverse, *final], [one, turned(backward, given.get("lengths")), *ends, *more])
    assert (y != reverse).any()


@every_user
@every_batch
@pytest.mark.parametrize("go_backwards", [False, True])
def test_stacks(user, given, go_backwards):
    """Between cells of the library; the extra inputs are those of a step, whatever the order of steps."""
    lower, upper = nr.GRUCell(5, seed=1), nr.LSTMCell(4, seed=2)
    cell = user.cell(H, 5)
    rng = np.random.default_rng(7)
    x, extra = rng.standard_normal((B, T, I), dtype=np.float32), user.extra(cell, (B, T))
    stack = nr.RNN([lower, cell, upper], **ALL, go_backwards=go_backwards)
    got = flat(stack(x, **given, extra=extra))
    between, final = x, []
    for one in (lower, cell, upper):
        layer = nr.RNN(one, **ALL, go_backwards=go_backwards)
        between, *ends = layer(between, **given, **({"extra": extra} if one is cell else {}))
        final += ends
        if go_backwards and one is not upper:
            between = turned(between, given.get("lengths"))
    same(got, [between, *final])


@every_user
def test_steps_of_a_stack(user):
    """Each cell gets its own extra inputs, and no other."""
    lower, cell = nr.GRUCell(5, seed=1), user.cell(H, 5)
    stack = nr.RNN([lower, cell, nr.LSTMCell(4, seed=2)], **ALL)
    x = np.random.default_rng(7).standard_normal((B, T, I), dtype=np.float32)
    extra = user.extra(cell, (B, T))
    stepper, outputs = stack.stepper(B), []
    for t in range(T):
        outputs.append(stepper(x[:, t], extra=each(extra, lambda a, t=t: a[:, t]) or None))
    same([np.stack(outputs, axis=1), *flat(stepper.states)], flat(stack(x, extra=extra)))


@every_user
def test_two_of_a_kind_share_their_extra_inputs(user):
    pair = user.cell(H, I), user.cell(8, user.cell(H, I).output_size)
    sizes = [cell.extra_sizes for cell in pair]
    if sizes[0] != sizes[1]:
        with pytest.raises(
            ValueError, match=r"^extra '\w+' has 19 values per row in one cell and 8 in another"
        ):
            nr.RNN(list(pair))(np.zeros((B, T, I), np.float32), extra=user.extra(pair[0], (B, T)))
        return
    x = np.random.default_rng(7).standard_normal((B, T, I), dtype=np.float32)
    extra = user.extra(pair[0], (B, T))
    got = flat(nr.RNN(list(pair), **ALL)(x, lengths=LENGTHS, extra=extra))
    y, *ends = nr.RNN(pair[0], **ALL)(x, lengths=LENGTHS, extra=extra)
    y, *more = nr.RNN(pair[1], **ALL)(y, lengths=LENGTHS, extra=extra)
    same(got, [y, *ends, *more])


@every_user
@every_dtype
def test_pieces_of_a_sequence(user, dtype):
    """A stateful layer's calls, a stepper's, the cell's own, and from state to state: the whole's bits."""
    layer, x, initial, extra = batch(user, dtype)
    y, *final = layer(x, initial, extra=extra)
    stateful = nr.RNN(layer.cell, return_sequences=True, stateful=True)
    outputs, states = [], initial
    for begin, end in ((0, 1), (1, 1), (1, 4), (4, T)):
        part = each(extra, lambda array, begin=begin, end=end: array[:, begin:end])
        start = initial if begin == end == 0 or not outputs else None
        outputs.append(stateful(x[:, begin:end], start, extra=part))
        piece, *states = layer(x[:, begin:end], states, extra=part)
        same([piece, *states], [outputs[-1], *stateful.states])
    same([np.concatenate(outputs, axis=1), *stateful.states], [y, *final])

    begun = layer(x, extra=extra)
    stepper, states, steps = layer.stepper(B), layer.cell.get_initial_state(B), []
    for t in range(T):
        now = each(extra, lambda array, t=t: array[:, t].copy())
        out = np.full((B, layer.units), np.nan, dtype)
        steps.append(stepper(x[:, t].copy(), extra=now or None) if t % 2 else
                     stepper(x[:, t], out=out, extra=now or None).copy())  # fmt: skip
        output, states = layer.cell(x[:, t], states, extra=now or None)
        same([output, *states], [steps[-1], *stepper.states])
    same([np.stack(steps, axis=1), *stepper.states], begun)
    if extra:
        with pytest.raises(ValueError, match=r"^extra has no"):
            stepper(x[:, 0])


@every_user
@every_batch
def test_layouts(user, given):
    """Time first, and views: of the inputs, and of the extra inputs."""
    layer, x, initial, extra = batch(user)
    expected = layer(x, initial, **given, extra=extra)
    y, *final = expected
    turned_round = {
        name: value.T.copy() if name in ("mask", "resets") else value for name, value in given.items()
    }
    time_first = nr.RNN(layer.cell, **ALL, time_major=True)
    for made in (np.ascontiguousarray, np.asarray):
        args = made(x.swapaxes(0, 1)), initial
        got = time_first(
            *args, **turned_round, extra=each(extra, lambda a, made=made: made(a.swapaxes(0, 1)))
        )
        same(got, [y.swapaxes(0, 1), *final])
    for view in (lambda a: np.repeat(a, 2, axis=1)[:, ::2], np.asfortranarray):
        same(layer(view(x), initial, **given, extra=each(extra, view)), expected)


@every_user
def test_ragged(user):
    """The padded batch's bits; extra inputs flat, as arrays or as a Ragged of the same rows."""
    layer, x, initial, extra = batch(user)
    y, *final = layer(x, initial, lengths=LENGTHS, resets=RESETS, extra=extra)
    valid = np.arange(T) < LENGTHS[:, None]
    offsets = np.cumsum([0, *LENGTHS])
    rows, cuts = nr.Ragged(x[valid], offsets), RESETS[valid]
    steps = each(extra, lambda a: a[valid])
    for given in (steps, each(steps, lambda a: nr.Ragged(a, offsets))):
        got, *ends = layer(rows, initial, resets=cuts, extra=given)
        same([got.values, *ends], [y[valid], *final])
    last = nr.RNN(layer.cell)(rows, initial, resets=cuts, extra=steps)
    same([last], [nr.RNN(layer.cell)(x, initial, lengths=LENGTHS, resets=RESETS, extra=extra)])


@every_user
@every_batch
def test_nothing_is_read_that_does_not_count(user, given):
    """NaN in the padding, under the mask, and in the extra inputs there; nothing given is written."""
    layer, x, initial, extra = batch(user)
    expected = layer(x, initial, **given, extra=extra)
    unused = (
        ~given["mask"] if "mask" in given else np.arange(T) >= given.get("lengths", np.full(B, T))[:, None]
    )
    for array in (x, *extra.values()):
        array[unused] = np.nan
    before = copy.deepcopy([x, *initial, *extra.values()])
    same(layer(x, initial, **given, extra=extra), expected)
    same([x, *initial, *extra.values()], before)


@every_user
def test_dynamic_rnn(user):
    layer, x, initial, extra = batch(user)
    y, state = nr.dynamic_rnn(
        layer.cell, x, LENGTHS, initial if len(initial) > 1 else initial[0], extra=extra
    )
    same([y, *flat(state)], layer(x, initial, lengths=LENGTHS, extra=extra))
    other = nr.LSTMCell(4, seed=2)
    for pair in ((layer.cell, other), (other, layer.cell)):
        outputs, states = nr.bidirectional_dynamic_rnn(*pair, x, LENGTHS, extra=extra)
        expected = []
        for cell, back in zip(pair, (False, True), strict=True):
            alone = nr.RNN(cell, **ALL, go_backwards=back)
            y, *ends = alone(x, lengths=LENGTHS, **({"extra": extra} if cell is layer.cell else {}))
            expected.append((turned(y, LENGTHS) if back else y, ends))
        same([*outputs, *flat(list(states))], [*(y for y, _ in expected), *flat([e for _, e in expected])])


@every_user
def test_dropout_of_inputs(user):
    """One mask of the inputs; the extra inputs are not dropped."""
    cell = user.cell(H, I, dropout=0.4, seed=1)
    x = np.random.default_rng(7).standard_normal((B, T, I), dtype=np.float32)
    extra, [mask, _] = user.extra(cell, (B, T)), cell.unbuilt().masks.draw(B, I, H, cell.dtype)
    got = nr.RNN(cell, **ALL)(x, lengths=LENGTHS, extra=extra, training=True)
    same(got, nr.RNN(cell, **ALL)(x * mask[:, None], lengths=LENGTHS, extra=extra))


@every_user
def test_copies(user):
    """A copy and a pickled one are the cell, weights and all, as far as its functions can be pickled."""
    layer, x, initial, extra = batch(user)
    expected = layer(x, initial, extra=extra)
    same(copy.deepcopy(layer)(x, initial, extra=extra), expected)
    if user is not USERS["mingru"]:  # its function is a lambda
        same(pickle.loads(pickle.dumps(layer))(x, initial, extra=extra), expected)


# Options, parameters, weights


def test_rates_are_options():
    """Of a cell, not of its definition; 0 takes the term out of the graph."""
    user = USERS["zoneout"]
    plain, none = nr.FusedCell(user.definition, H), nr.FusedCell(user.definition, H, rate_h=0.0, rate_c=0.0)
    weights = user.cell(H, I).get_weights()
    lstm = nr.LSTM(H, **ALL)
    lstm.set_weights(weights)
    x = np.random.default_rng(7).standard_normal((B, T, I), dtype=np.float32)
    for cell in (plain, none):
        cell.set_weights(weights)
    same(nr.RNN(none, **ALL)(x), lstm(x))
    assert (nr.RNN(plain, **ALL)(x)[0] != lstm(x)[0]).any()
    definition = USERS["zoneout by masks"].definition
    masked = nr.FusedCell(definition, H)
    masked.set_weights(weights)
    for flag, expected in (
        (0, lstm(x)),
        (1, [np.zeros((B, T, H), np.float32), *[np.zeros((B, H), np.float32)] * 2]),
    ):
        keep = np.full((B, T, H), flag, np.float32)
        same(nr.RNN(masked, **ALL)(x, extra={"keep_h": keep, "keep_c": keep}), expected)


def test_parameters_begin_with_their_constants():
    definition = USERS["oscillators"].definition
    cell = nr.FusedCell(definition, 4, ears=5, seed=1)
    cell.build(I)
    names, weights = list(cell.shapes(I)), cell.get_weights()
    assert names == ["kernel", "recurrent_kernel", "kernel_of_u", "bias", "stiffness", "damping", "loudness"]
    assert [a.shape for a in weights] == [(3, 4), (5, 4), (4, 10), (2, 9), (4,), (4,), (5,)]
    assert [a.tolist() for a in weights[4:]] == [[1.0] * 4, [np.float32(0.1)] * 4, [1.0] * 5]
    assert not any(a.flags.writeable for a in weights)
    drawn = nr.FusedCell(
        definition, 4, ears=5, seed=1, parameter_initializer=lambda shape: np.full(shape, 0.5)
    )
    drawn.build(I)
    assert all((a == 0.5).all() for a in drawn.get_weights()[4:])
    assert (cell.state_size, cell.output_size, cell.units) == ([5, 4, 4], 5, 4)
    assert cell.sizes["ears"] == 5 and [a.shape for a in cell.get_initial_state(2)] == [
        (2, 5),
        (2, 4),
        (2, 4),
    ]


@every_user
def test_weights_go_and_come(user):
    """Of a layer, and of a stack; in the other dtype rounded once."""
    layer, *_ = batch(user)
    wide = user.cell(H, I, "float64", draw=8)
    layer.set_weights(wide.get_weights())
    same(layer.get_weights(), [a.astype(np.float32) for a in wide.get_weights()])
    stack = nr.RNN([user.cell(H, I), user.cell(H, user.cell(H, I).output_size)])
    weights = [2 * a for a in stack.get_weights()]
    stack.set_weights(weights)
    same(stack.get_weights(), weights)
