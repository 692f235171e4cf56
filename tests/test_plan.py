"""Plans against the documented rules, executed one row and one step at a time.

The recurrence here is free: a state is the tuple of all it went through, so two equal states started from the
same place and took the same steps in the same order.
"""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from numbarnn.kernels import jit, plan

ZERO = "zero"
CONSTANTS = ("the cell's initial constants",)
NAMES = ["reverse", "time_major", "return_sequences", "zero_output", "turned"]
FLAGS = [dict(zip(NAMES, values, strict=True)) for values in product([False, True], repeat=len(NAMES))]


def described(flags):
    return "+".join(name for name in NAMES if flags[name]) or "forward"


def initial(b):
    return (f"initial state {b}",)


def expect_row(b, valid, resets, reverse, zero_output, turned):
    """Outputs of one row, its last output and its final state; `valid` has the time steps that are walked."""
    times = list(range(len(valid)))
    if reverse:
        times.reverse()
    state, output, outputs = initial(b), ZERO, []
    for position, t in enumerate(times):
        if position > 0:
            begins = resets[max(t, times[position - 1])]
        else:
            begins = resets[0] and not reverse
        if begins:
            state, output = CONSTANTS, ZERO
        if valid[t]:
            output = state = (*state, (b, t))
        elif zero_output:
            output = ZERO
        outputs.append(output)
    if turned:
        outputs.reverse()
    return outputs, output, state


def expect(B, T, lengths=None, mask=None, resets=None, offsets=None, reverse=False, time_major=False,
           return_sequences=True, zero_output=False, turned=False):
    """Flat outputs and final states of a whole batch, in the layout asked for."""
    all_outputs, last_outputs, states = [], [], []
    for b in range(B):
        width = T if offsets is None else offsets[b + 1] - offsets[b]
        valid = [True] * (width if lengths is None else lengths[b]) if mask is None else mask[b]
        if resets is None:
            row_resets = [False] * width
        else:
            row_resets = resets[b] if offsets is None else resets[offsets[b] : offsets[b + 1]]
        outputs, output, state = expect_row(b, valid, row_resets, reverse, zero_output, turned)
        all_outputs.append(outputs + [ZERO] * (width - len(outputs)))
        last_outputs.append(output)
        states.append(state)
    if not return_sequences:
        return last_outputs, states
    return flatten(all_outputs, time_major), states


def flatten(rows, time_major):
    return [item for line in (zip(*rows, strict=True) if time_major else rows) for item in line]


def execute(built, x, n_outputs, B, wave):
    """Flat outputs and final states by following a plan to the letter, `wave` segments at a time."""
    outputs, states = [None] * n_outputs, [None] * B

    def write(target, row, value):
        assert row >= 0 and target[row] is None, f"row {row} written twice, or no row"
        target[row] = value

    n_segments = len(built.init_row)
    for begin in range(0, n_segments, wave):
        members = range(begin, min(begin + wave, n_segments))
        state = {g: CONSTANTS if built.init_row[g] < 0 else initial(built.init_row[g]) for g in members}
        for s, running in enumerate(built.active):
            for g in range(begin, min(begin + wave, running)):
                n = built.first[s] + g
                state[g] = (*state[g], x[built.x_row[n]])
                y, repeat = built.y_row[n], built.y_repeat[n]
                assert y >= -1 and (y >= 0 or repeat == 0)
                for k in range(abs(repeat) + 1 if y >= 0 else 0):
                    write(outputs, y + np.sign(repeat) * k * built.y_stride, state[g])
        for g in members:
            if built.final_row[g] >= 0:
                write(states, built.final_row[g], state[g])
    for row in built.zero_rows:
        write(outputs, row, ZERO)
    for row, init_row in built.copy_rows:
        write(states, row, CONSTANTS if init_row < 0 else initial(init_row))
    return outputs, states


def check(B, T, wave=3, **arguments):
    """Build a plan, and compare what it does, and its form, with what the rules say."""
    built = plan.build(B, T, **arguments)
    offsets, time_major = arguments.get("offsets"), arguments.get("time_major", False)
    widths = [T] * B if offsets is None else np.diff(offsets)
    x = flatten([[(b, t) for t in range(widths[b])] for b in range(B)], time_major)
    outputs, states = expect(B, T, **arguments)
    assert execute(built, x, len(outputs), B, wave) == (outputs, states)

    for array in built[:-2]:
        assert array.dtype == np.int64 and array.flags.c_contiguous
    assert built.y_stride == (B if time_major else 1)
    assert built.copy_rows.shape[1:] == (2,)
    assert len(built.init_row) == len(built.final_row) == (built.active[0] if len(built.active) else 0)
    assert (built.active > 0).all() and (np.diff(built.active) <= 0).all()
    assert np.array_equal(built.first, np.cumsum(built.active) - built.active)
    assert len(built.x_row) == len(built.y_row) == len(built.y_repeat) == built.active.sum()
    assert (built.x_row >= 0).all() and (np.diff(built.zero_rows) > 0).all()


def patterns(T):
    """Every boolean row of T steps."""
    return np.array(list(product([False, True], repeat=T)), bool).reshape(2**T, T)


def pairs(first, second):
    """Every row of the one beside every row of the other."""
    return np.repeat(first, len(second), axis=0), np.tile(second, (len(first), *[1] * (second.ndim - 1)))


@pytest.mark.parametrize("T", range(5))
@pytest.mark.parametrize("flags", FLAGS, ids=described)
def test_every_mask_with_every_resets(T, flags):
    mask, resets = pairs(patterns(T), patterns(T))
    check(len(mask), T, wave=50, mask=mask, resets=resets, **flags)
    check(len(mask), T, wave=1000, mask=mask, **flags)


@pytest.mark.parametrize("T", range(5))
@pytest.mark.parametrize("flags", FLAGS, ids=described)
def test_every_length_with_every_resets(T, flags):
    lengths, resets = pairs(np.arange(T + 1), patterns(T))
    check(len(lengths), T, wave=50, lengths=lengths, resets=resets, **flags)
    check(len(lengths), T, wave=1000, lengths=lengths, **flags)


@pytest.mark.parametrize("flags", FLAGS, ids=described)
@pytest.mark.parametrize("B", [1, 2])
def test_every_small_batch_on_its_own(B, flags):
    for T in range(4 - B):
        for bits in product([False, True], repeat=2 * B * T):
            mask, resets = np.array(bits, bool).reshape(2, B, T)
            check(B, T, wave=1, mask=mask.copy(), resets=resets.copy(), **flags)


@st.composite
def batches(draw):
    B, T = draw(st.integers(0, 6)), draw(st.integers(0, 12))
    arguments = draw(st.sampled_from(FLAGS)).copy()
    kind = draw(st.sampled_from(["dense", "lengths", "mask", "ragged"]))
    resets_shape = (B, T)
    if kind == "lengths":
        arguments["lengths"] = draw(arrays(np.int64, B, elements=st.integers(0, T)))
    elif kind == "mask":
        arguments["mask"] = draw(arrays(np.bool_, (B, T)))
    elif kind == "ragged":
        lengths = draw(arrays(np.int64, B, elements=st.integers(0, T)))
        arguments["offsets"] = np.concatenate([[0], np.cumsum(lengths)])
        arguments["time_major"] = False
        resets_shape = int(lengths.sum())
    if draw(st.booleans()):
        arguments["resets"] = draw(arrays(np.bool_, resets_shape))
    return B, T, arguments


@settings(deadline=None, max_examples=500)
@given(batches(), st.integers(1, 8))
def test_any_batch(batch, wave):
    B, T, arguments = batch
    check(B, T, wave, **arguments)


@pytest.mark.parametrize(("B", "T"), [(0, 0), (0, 3), (3, 0), (1, 1), (1, 4), (5, 1), (3, 4), (4, 3)])
@pytest.mark.parametrize("flags", [flags for flags in FLAGS if not flags["zero_output"]], ids=described)
def test_a_full_batch_has_one_plan_however_it_is_described(B, T, flags):
    descriptions = [
        {},
        {"lengths": np.full(B, T)},
        {"mask": np.ones((B, T), bool)},
        {"resets": np.zeros((B, T), bool)},
    ]
    if not flags["time_major"]:
        descriptions.append({"offsets": np.arange(B + 1) * T})
    dense = plan.dense(B, T, **{name: value for name, value in flags.items() if name != "zero_output"})
    for description in descriptions:
        built = plan.build(B, T, **flags, **description)
        for name, one, other in zip(plan.Plan._fields, dense, built, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=f"{name}, {description}", strict=True)
    assert all(array.flags.c_contiguous for array in dense[:-2])


def bools(*rows):
    """'10 1' as flags: one character per time step."""
    return np.array([[character == "1" for character in row] for row in rows])


def lists(built):
    return {name: np.asarray(value).tolist() for name, value in built._asdict().items()}


def test_lengths_longest_first_and_zero_past_the_end():
    assert lists(plan.build(4, 3, lengths=np.array([1, 3, 0, 3]))) == {
        "active": [3, 2, 2],
        "first": [0, 3, 5],
        "x_row": [3, 9, 0, 4, 10, 5, 11],
        "y_row": [3, 9, 0, 4, 10, 5, 11],
        "y_repeat": [0] * 7,
        "init_row": [1, 3, 0],
        "final_row": [1, 3, 0],
        "zero_rows": [1, 2, 6, 7, 8],
        "copy_rows": [[2, 2]],
        "y_stride": 1,
        "by_element": False,
    }


def test_lengths_reversed_inside_the_row_and_left_aligned():
    built = plan.build(2, 4, lengths=np.array([3, 1]), reverse=True)
    assert built.x_row.tolist() == [2, 4, 1, 0]
    assert built.y_row.tolist() == [0, 4, 1, 2]
    assert built.zero_rows.tolist() == [3, 5, 6, 7]


def test_lengths_reversed_in_turned_for_bidirectional():
    built = plan.build(2, 4, lengths=np.array([3, 1]), reverse=True, turned=True)
    assert built.y_row.tolist() == built.x_row.tolist() == [2, 4, 1, 0]
    assert built.zero_rows.tolist() == [3, 5, 6, 7]


def test_masked_steps_hold_the_last_output_and_are_zero_before_the_first():
    built = plan.build(1, 6, mask=bools("011001"))
    assert built.x_row.tolist() == built.y_row.tolist() == [1, 2, 5]
    assert built.y_repeat.tolist() == [0, 2, 0]
    assert built.zero_rows.tolist() == [0]


def test_masked_steps_are_zero_with_zero_output():
    built = plan.build(1, 6, mask=bools("011001"), zero_output=True)
    assert built.y_repeat.tolist() == [0, 0, 0]
    assert built.zero_rows.tolist() == [0, 3, 4]


def test_mask_reversed_over_the_full_time_axis():
    built = plan.build(1, 6, mask=bools("011010"), reverse=True)
    assert built.x_row.tolist() == [4, 2, 1]
    assert built.y_row.tolist() == [1, 3, 4]
    assert built.y_repeat.tolist() == [1, 0, 1]
    assert built.zero_rows.tolist() == [0]


def test_mask_reversed_in_turned_holds_backwards_in_time():
    built = plan.build(2, 6, mask=bools("011010", "000000"), reverse=True, turned=True, time_major=True)
    assert built.x_row.tolist() == built.y_row.tolist() == [8, 4, 2]
    assert built.y_repeat.tolist() == [-1, 0, -1]
    assert built.y_stride == 2
    assert built.zero_rows.tolist() == [1, 3, 5, 7, 9, 10, 11]


def test_a_gap_in_a_mask_does_not_cut():
    built = plan.build(1, 5, mask=bools("10101"))
    assert (built.active.tolist(), built.init_row.tolist()) == ([1, 1, 1], [0])


def test_only_the_first_sequence_starts_from_the_initial_state_and_only_the_last_is_kept():
    built = plan.build(1, 6, resets=bools("001001"))
    assert built.active.tolist() == [3, 2, 1]
    assert built.x_row.tolist() == [2, 0, 5, 3, 1, 4]
    assert built.init_row.tolist() == [-1, 0, -1]
    assert built.final_row.tolist() == [-1, -1, 0]


def test_in_reverse_the_sequence_with_the_last_time_step_is_first():
    built = plan.build(1, 6, resets=bools("001001"), reverse=True)
    assert built.x_row.tolist() == [4, 1, 5, 3, 0, 2]
    assert built.y_row.tolist() == [1, 4, 0, 2, 5, 3]
    assert built.init_row.tolist() == [-1, -1, 0]
    assert built.final_row.tolist() == [-1, 0, -1]


@pytest.mark.parametrize(("reverse", "init_row"), [(False, -1), (True, 0)])
def test_a_reset_at_time_zero_drops_the_initial_state_in_forward_direction_only(reverse, init_row):
    built = plan.build(1, 2, resets=bools("10"), reverse=reverse)
    assert (built.init_row.tolist(), built.final_row.tolist()) == ([init_row], [0])
    masked = plan.build(1, 2, resets=bools("10"), mask=bools("00"), reverse=reverse)
    assert masked.copy_rows.tolist() == [[0, init_row]]


def test_a_reset_at_a_masked_step_cuts_and_the_held_output_restarts_at_zero():
    built = plan.build(1, 6, mask=bools("100011"), resets=bools("001000"))
    assert built.x_row.tolist() == [4, 0, 5]
    assert built.y_repeat.tolist() == [0, 1, 0]
    assert built.zero_rows.tolist() == [2, 3]
    assert built.init_row.tolist() == [-1, 0]


def test_a_sequence_without_a_valid_step_counts():
    built = plan.build(2, 4, mask=bools("0011", "1100"), resets=bools("0010", "0010"))
    assert built.init_row.tolist() == [-1, 1], "row 0 used up its initial state on two masked steps"
    assert built.final_row.tolist() == [0, -1]
    assert built.copy_rows.tolist() == [[1, -1]], "row 1 ends in a sequence that never left the constants"
    assert built.zero_rows.tolist() == [0, 1, 6, 7]


def test_a_reset_past_the_length_is_ignored():
    built = plan.build(3, 3, lengths=np.array([2, 0, 1]), resets=bools("001", "100", "010"))
    assert (built.init_row.tolist(), built.final_row.tolist()) == ([0, 2], [0, 2])
    assert built.copy_rows.tolist() == [[1, 1]]


def test_ragged_rows_lie_end_to_end():
    built = plan.build(3, 0, offsets=np.array([0, 2, 2, 5]), resets=bools("00001")[0], reverse=True)
    assert built.x_row.tolist() == [1, 3, 4, 0, 2]
    assert built.y_row.tolist() == [0, 3, 2, 1, 4]
    assert built.init_row.tolist() == [0, -1, 2]
    assert built.final_row.tolist() == [0, 2, -1]
    assert built.copy_rows.tolist() == [[1, 1]]


def test_last_output_is_what_the_last_position_holds():
    mask, resets = bools("1100", "1100", "0001"), bools("0000", "0010", "0000")
    held = plan.build(3, 4, mask=mask, resets=resets, return_sequences=False)
    zero = plan.build(3, 4, mask=mask, resets=resets, return_sequences=False, zero_output=True)
    assert held.x_row.tolist() == zero.x_row.tolist() == [0, 4, 11, 1, 5]
    assert (held.y_row.tolist(), held.zero_rows.tolist()) == ([-1, -1, 2, 0, -1], [1])
    assert (zero.y_row.tolist(), zero.zero_rows.tolist()) == ([-1, -1, 2, -1, -1], [0, 1])
    assert not held.y_repeat.any() and not zero.y_repeat.any()


def test_last_output_of_lengths_is_the_rows_own():
    built = plan.build(3, 4, lengths=np.array([2, 0, 4]), return_sequences=False)
    assert built.y_row.tolist() == [-1, -1, -1, 0, -1, 2]
    assert built.zero_rows.tolist() == [1]


@pytest.mark.parametrize(("return_sequences", "zero_rows"), [(True, []), (False, [0, 1])])
def test_no_time_steps_copies_the_states(return_sequences, zero_rows):
    for built in (plan.build(2, 0, return_sequences=return_sequences),
                  plan.dense(2, 0, return_sequences=return_sequences)):
        assert built.copy_rows.tolist() == [[0, 0], [1, 1]]
        assert built.zero_rows.tolist() == zero_rows
        assert built.active.tolist() == []


@pytest.mark.skipif(jit.DISABLED, reason="nothing is compiled with NUMBA_DISABLE_JIT=1")
def test_nothing_compiles_twice_and_arguments_stay_as_they_were():
    lengths, mask, offsets = np.array([2, 0, 3]), bools("110", "000", "111"), np.array([0, 2, 2, 5])
    frozen = {"lengths": lengths.copy(), "mask": mask.copy(), "offsets": offsets.copy(), "resets": ~mask}
    for array in frozen.values():
        array.flags.writeable = False
    misaligned = np.frombuffer(bytearray(1) + lengths.tobytes(), np.int64, offset=1)
    assert not misaligned.flags.aligned and misaligned.flags.writeable
    check(3, 3)
    check(3, 3, lengths=lengths, reverse=True)
    check(3, 3, lengths=misaligned)
    check(3, 3, lengths=frozen["lengths"], resets=frozen["resets"])
    check(3, 3, mask=mask, time_major=True, return_sequences=False)
    check(3, 3, mask=frozen["mask"], zero_output=True)
    check(3, 3, offsets=frozen["offsets"], resets=np.ones(5, bool))
    assert len(plan._fill.signatures) == 1
    assert lengths.tolist() == [2, 0, 3] and offsets.tolist() == [0, 2, 2, 5]
    np.testing.assert_array_equal(mask, bools("110", "000", "111"))
