"""Plans: any kind of batch, told to the kernels as one integer structure.

Lengths, masks, resets, reversal and layouts are understood here and nowhere else, in these words:

* a batch *row* is walked over its *extent* (its own length, or the full time axis under a mask);
* a *position* counts along that walk, which runs forward in time or in reverse;
* resets cut the walk into *sequences*, and a sequence with a valid step is a *segment*.
"""

from typing import NamedTuple

import numpy as np

from . import block
from .jit import inner, njit
from .memory import data, put_pointer


class Plan(NamedTuple):
    """What enters at each step and where its results go; every array is int64 and C-contiguous.

    Segments are independent and numbered longest first (equal ones by row, then as taken). Those running at
    step ``s`` are the first ``active[s]``; segment ``g`` finds its entry of the step at ``first[s] + g``. Any
    slice of the segments can be run alone, so a bounded workspace takes them in waves.

    Attributes
    ----------
    active, first : (S,) arrays
        Segments running at each step, non-increasing; where the step begins in the next three arrays.
    x_row, y_row, y_repeat : (N,) arrays
        For each valid step: its flat input row; its flat output row, or -1 to write nothing; and, signed, how
        many more output rows hold the same output, ``y_row + sign(y_repeat) * k * y_stride`` with k = 1 on.
    init_row, final_row : (G,) arrays
        For each segment: the row of its initial state, or -1 for the cell's initial constants; the row of the
        final state it ends in, or -1 to drop it.
    zero_rows : (Z,) array
        Output rows that no step writes, ascending. They must become 0.
    copy_rows : (C, 2) array
        ``(row, init_row)`` where the sequence taken last has no valid step: the final state is what it
        started from.
    y_stride : int
        Flat distance between consecutive output rows of one batch row.
    by_element : bool
        ``x_row`` counts elements of the inputs, not rows of them: they are a view whose rows lie anywhere.
    """

    active: np.ndarray
    first: np.ndarray
    x_row: np.ndarray
    y_row: np.ndarray
    y_repeat: np.ndarray
    init_row: np.ndarray
    final_row: np.ndarray
    zero_rows: np.ndarray
    copy_rows: np.ndarray
    y_stride: int
    by_element: bool


def dense(B, T, *, reverse=False, time_major=False, return_sequences=True, turned=False, x_strides=None):
    """Plan for B rows of T valid steps: what `build` returns for the same arguments, without compiled code.

    Examples
    --------
    >>> dense(2, 3, reverse=True).x_row
    array([2, 5, 1, 4, 0, 3])
    """
    batch = np.arange(B, dtype=np.int64)
    none = batch[:0]
    position = np.arange(T if B else 0, dtype=np.int64)[:, np.newaxis]
    time = position[::-1] if reverse else position
    batch_stride, stride = (1, B) if time_major else (T, 1)
    x_batch_stride, x_stride = x_strides or (batch_stride, stride)
    x_row = batch * x_batch_stride + time * x_stride
    if return_sequences:
        y_row = batch * batch_stride + (position[::-1] if turned else position) * stride
    else:
        y_row = np.where(position == T - 1, batch, -1)
    return Plan(
        active=np.full(len(position), B, np.int64),
        first=position.ravel() * B,
        x_row=x_row.ravel(),
        y_row=y_row.ravel(),
        y_repeat=np.zeros(x_row.size, np.int64),
        init_row=batch if T else none,
        final_row=batch if T else none,
        zero_rows=none if T or return_sequences else batch,
        copy_rows=np.stack([none, none] if T else [batch, batch], axis=1),
        y_stride=stride,
        by_element=x_strides is not None,
    )


def build(
    B,
    T,
    *,
    lengths=None,
    mask=None,
    resets=None,
    offsets=None,
    reverse=False,
    time_major=False,
    return_sequences=True,
    zero_output=False,
    turned=False,
    x_strides=None,
    own_constants=False,
):
    """Plan for any batch, from arguments already checked, in time proportional to the size of the batch.

    Parameters
    ----------
    B, T : int
        Rows and time steps. T is not used with `offsets`.
    lengths : (B,) int64 array, optional
        Valid steps of each row. Excludes `mask`.
    mask : (B, T) bool array, optional
        True where a step is valid, in any pattern. Batch-major even if `time_major`.
    resets : (B, T) bool array, or (offsets[-1],) with `offsets`, optional
        True where a new sequence begins, whatever the direction. Batch-major even if `time_major`.
    offsets : (B + 1,) int64 array, optional
        Ragged batch: row b is the flat rows ``offsets[b] .. offsets[b + 1] - 1``.
    reverse : bool
        Walk each row from its last time step to its first.
    time_major : bool
        Time t of row b is the flat row ``t * B + b`` instead of ``b * T + t``.
    return_sequences : bool
        One output row per time step; otherwise one per batch row: what its last position would hold.
    zero_output : bool
        A masked step outputs 0 instead of holding the output before it.
    turned : bool
        Outputs stand in the opposite order of their positions: with `reverse`, at the times of their inputs.
    x_strides : (int, int), optional
        Of a view: elements from batch row to batch row of the inputs, and from time step to time step,
        whatever `time_major` says. Excludes `offsets`.
    own_constants : bool
        A sequence that begins with a reset in row b starts from row ``B + b`` of the initial states, where
        each row has constants of its own, not from -1.

    Returns
    -------
    Plan

    Examples
    --------
    >>> plan = build(2, 3, lengths=np.array([1, 3]))
    >>> plan.active, plan.x_row, plan.zero_rows
    (array([2, 1, 1]), array([3, 0, 4, 5]), array([1, 2]))
    """
    stride = B if time_major else 1
    x_batch_stride, x_stride = x_strides or (0, stride)
    # A walk is three cursors that move by constant steps: in mask and resets, in the inputs, in the outputs.
    step = -1 if reverse else 1
    x_step = x_stride * step
    y_step = (-stride if turned else stride) if return_sequences else 0
    hold = 0 if zero_output or not return_sequences else -1 if turned else 1
    mask, resets = _plain(mask, _NO_FLAGS), _plain(resets, _NO_FLAGS)
    ragged, offsets, lengths = offsets is not None, _plain(offsets, _NO_NUMBERS), _plain(lengths, _NO_NUMBERS)
    flat = offsets.item(B) if ragged else B * T
    rows, longest = flat if return_sequences else B, flat if ragged else T
    segments = B + (np.count_nonzero(resets) if resets.size else 0)
    most = int(lengths.sum()) if lengths.size else np.count_nonzero(mask) if mask.size else flat
    # Room for as much as there can be: a row of outputs is that of a valid step or nobody's.
    room = 2 * longest + 2 * most + 2 * segments + (flat if return_sequences else most + B)
    plan = np.empty(room, np.int64)
    copy_rows, unwritten = np.empty((B, 2), np.int64), np.empty(rows, np.bool_)
    steps, valid, segments, zeros, copies = _fill(
        B, T, lengths, mask.reshape(-1), resets.reshape(-1), offsets, ragged, time_major,
        x_strides is not None, x_batch_stride, own_constants, zero_output, return_sequences, turned, step,
        x_step, y_step, hold, np.empty((TABLE_ROWS, segments), np.int64), copy_rows, unwritten, plan,
    )  # fmt: skip
    x_at = 2 * steps
    y_at, repeat_at, init_at = x_at + valid, x_at + 2 * valid, x_at + 3 * valid
    final_at, zeros_at = init_at + segments, init_at + 2 * segments
    return Plan(
        plan[:steps], plan[steps:x_at], plan[x_at:y_at], plan[y_at:repeat_at], plan[repeat_at:init_at],
        plan[init_at:final_at], plan[final_at:zeros_at], plan[zeros_at : zeros_at + zeros],
        copy_rows[:copies], stride, x_strides is not None,
    )  # fmt: skip


def part(plan, begin, end):
    """The plan of the segments from `begin` to `end` alone. Rows that no step computes go with the first
    ones.
    """
    active = np.clip(plan.active - begin, 0, end - begin)
    active = active[: np.count_nonzero(active)]
    first = np.cumsum(active) - active
    entries = np.repeat(plan.first[: len(active)] + begin - first, active) + np.arange(active.sum())
    whole = slice(None) if begin == 0 else slice(0)
    return plan._replace(
        active=active,
        first=first,
        x_row=plan.x_row[entries],
        y_row=plan.y_row[entries],
        y_repeat=plan.y_repeat[entries],
        init_row=plan.init_row[begin:end],
        final_row=plan.final_row[begin:end],
        zero_rows=plan.zero_rows[whole],
        copy_rows=plan.copy_rows[whole],
    )


_NO_FLAGS, _NO_NUMBERS = np.empty(0, np.bool_), np.empty(0, np.int64)


def _plain(array, absent):
    """The array, or a copy where Numba would see another type (read-only, misaligned) and compile again."""
    if array is None:
        return absent
    return array if array.flags.carray else array.copy()


# Of each segment, as found: its steps; where it begins in mask and resets, and where the row's next one does;
# where its first step's inputs and outputs lie; rows of its initial and its final state. Then, longest first,
# what a walk needs of that: it moves on from step to step.
STEPS, AT, END, X, Y, INIT, FINAL, WALK_AT, WALK_END, WALK_X, WALK_Y, TABLE_ROWS = range(12)


# One compiled call, which takes few arrays and makes none: each costs it 0.2 us, and its compilation 30 ms.


@njit
def _fill(
    B, T, lengths, mask, resets, offsets, ragged, time_major, strided, x_batch_stride, own_constants,
    zero_output, return_sequences, turned, step, x_step, y_step, hold, table, copy_rows, unwritten, plan,
):  # fmt: skip
    """Fill `plan` with a plan's arrays, one after the other; return how many steps, valid ones, segments,
    zero rows and copies. What is absent is empty.
    """
    segments, copies = _cut(
        B, T, lengths, mask, resets, offsets, ragged, time_major, strided, x_batch_stride, own_constants,
        zero_output, return_sequences, turned, step, x_step, y_step, table, copy_rows, unwritten,
    )  # fmt: skip
    longest = valid = 0
    for g in range(segments):
        longest = table[STEPS, g] if table[STEPS, g] > longest else longest
        valid += table[STEPS, g]
    entries_at = 2 * longest
    states_at = entries_at + 3 * valid
    zeros_at = states_at + 2 * segments
    active, first, entries = plan[:longest], plan[longest:entries_at], plan[entries_at:states_at]
    initial = plan[states_at : states_at + segments]
    final = plan[states_at + segments : zeros_at]
    _sort(segments, table, active, first, initial, final)
    _follow(mask, step, x_step, y_step, hold, table, active, first, entries, valid)
    if not return_sequences:
        _only_last(unwritten, active, first, final, entries[valid : 2 * valid])
    zeros = 0
    for row in range(len(unwritten)):
        if unwritten[row]:
            plan[zeros_at + zeros] = row
            zeros += 1
    return longest, valid, segments, zeros, copies


@inner
def _cut(
    B, T, lengths, mask, resets, offsets, ragged, time_major, strided, x_batch_stride, own_constants,
    zero_output, return_sequences, turned, step, x_step, y_step, table, copy_rows, unwritten,
):  # fmt: skip
    """Find the segments in the order they are taken; return how many, and how many copies."""
    found = copies = 0
    plain = len(mask) == len(resets) == 0
    for row in range(len(unwritten)):
        unwritten[row] = True
    for b in range(B):
        start = offsets[b] if ragged else b * T
        extent = offsets[b + 1] - start if ragged else lengths[b] if len(lengths) > 0 else T
        origin = b if time_major else start
        at, x, y = start, b * x_batch_stride if strided else origin, origin if return_sequences else b
        if step < 0:
            at, x = start + extent - 1, x - (extent - 1) * x_step
        if turned:
            y -= (extent - 1) * y_step
        init, taken = b, 0
        for p in range(extent):
            i = at + p * step
            out = y + p * y_step
            # A reset cuts between its own time and the one before: in reverse, its own time is already taken.
            if len(resets) > 0 and (resets[i] if step > 0 else p > 0 and resets[i + 1]):
                if taken > 0:
                    table[STEPS, found - 1] = taken
                    table[END, found - 1] = i
                    table[FINAL, found - 1] = -1
                init, taken = (B + b if own_constants else -1), 0
            if len(mask) == 0 or mask[i]:
                if taken == 0:
                    # Until a reset cuts it, this is the row's last sequence.
                    table[AT, found] = i
                    table[END, found] = at + extent * step
                    table[X, found] = x + p * x_step
                    table[Y, found] = out
                    table[INIT, found] = init
                    table[FINAL, found] = b
                    found += 1
                    if plain:
                        taken = extent
                        break
                taken += 1
                unwritten[out] = False
            else:
                unwritten[out] = zero_output or taken == 0
        if taken > 0:
            table[STEPS, found - 1] = taken
        if plain:
            for p in range(taken if return_sequences or taken == 0 else 1):
                unwritten[y + p * y_step] = False
        if taken == 0:
            copy_rows[copies, 0] = b
            copy_rows[copies, 1] = init
            copies += 1
    return found, copies


@inner
def _sort(segments, table, active, first, initial, final):
    """Count the segments of each step, and put them in order, longest first and else as they are."""
    longest = len(active)
    for s in range(longest):
        active[s] = 0
    for g in range(segments):
        active[table[STEPS, g] - 1] += 1
    longer = 0
    for s in range(longest - 1, -1, -1):
        first[s] = longer  # at first, where the next segment goes that ends at this step
        active[s] += longer
        longer = active[s]
    for g in range(segments):
        s = table[STEPS, g] - 1
        place = first[s]
        first[s] += 1
        initial[place], final[place] = table[INIT, g], table[FINAL, g]
        for k in range(WALK_Y - WALK_AT + 1):
            table[WALK_AT + k, place] = table[AT + k, g]
    n = 0
    for s in range(longest):
        first[s] = n
        n += active[s]


@inner
def _follow(mask, step, x_step, y_step, hold, table, active, first, entries, valid):
    """Walk the segments in lockstep, as kernels will; masked steps shift the origins of the cursors.
    `entries` become a plan's x_row, y_row and y_repeat.
    """
    x_row, y_row, y_repeat = entries[:valid], entries[valid : 2 * valid], entries[2 * valid :]
    for s in range(len(active)):
        n = first[s]
        for g in range(active[s]):
            x_row[n + g] = table[WALK_X, g] + s * x_step
            y_row[n + g] = table[WALK_Y, g] + s * y_step
            y_repeat[n + g] = 0
        if len(mask) > 0:
            for g in range(active[s]):
                i = table[WALK_AT, g] + (s + 1) * step
                masked = 0
                while i != table[WALK_END, g] and not mask[i]:
                    i += step
                    masked += 1
                if masked > 0:
                    table[WALK_AT, g] += masked * step
                    table[WALK_X, g] += masked * x_step
                    table[WALK_Y, g] += masked * y_step
                    y_repeat[n + g] = masked * hold


@inner
def _only_last(unwritten, active, first, final, y_row):
    """Write each row's last output alone, if there is one."""
    for e in range(len(y_row)):
        y_row[e] = -1
    for s in range(len(active)):
        for g in range(active[s + 1] if s + 1 < len(active) else 0, active[s]):
            row = final[g]
            if row >= 0 and not unwritten[row]:
                y_row[first[s] + g] = row


@njit
def note(words, active, first, x_row, y_row, y_repeat, init_row, final_row, zero_rows, copy_rows):
    """Write into a call block where the arrays of a plan lie."""
    table = data(words)
    put_pointer(table, block.ACTIVE, data(active))
    put_pointer(table, block.FIRST, data(first))
    put_pointer(table, block.X_ROW, data(x_row))
    put_pointer(table, block.Y_ROW, data(y_row))
    put_pointer(table, block.Y_REPEAT, data(y_repeat))
    put_pointer(table, block.INIT_ROW, data(init_row))
    put_pointer(table, block.FINAL_ROW, data(final_row))
    put_pointer(table, block.ZERO_ROWS, data(zero_rows))
    put_pointer(table, block.COPY_ROWS, data(copy_rows))
