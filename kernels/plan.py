"""Plans: any kind of batch, told to the kernels as one integer structure.

Lengths, masks, resets, reversal and layouts are understood here and nowhere else, in these words:

* a batch *row* is walked over its *extent* (its own length, or the full time axis under a mask);
* a *position* counts along that walk, which runs forward in time or in reverse;
* resets cut the walk into *sequences*, and a sequence with a valid step is a *segment*.
"""

from typing import NamedTuple

import numpy as np

from .jit import njit


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
    mask, resets = _plain(mask, _NO_FLAGS).reshape(-1), _plain(resets, _NO_FLAGS).reshape(-1)
    ragged, offsets = offsets is not None, _plain(offsets, _NO_NUMBERS)
    table = np.empty((FINAL + 1, B + (np.count_nonzero(resets) if len(resets) else 0)), np.int64)
    copy_rows = np.empty((B, 2), np.int64)
    unwritten = np.ones((offsets[B] if ragged else B * T) if return_sequences else B, np.bool_)
    n_segments, n_valid, n_copies = _cut(
        B, T, _plain(lengths, _NO_NUMBERS), mask, resets, offsets, ragged, time_major, x_strides is not None,
        x_batch_stride, own_constants, zero_output, return_sequences, turned, step, x_step, y_step, table,
        copy_rows, unwritten,
    )  # fmt: skip
    found = table[:, :n_segments]
    if n_segments > 1:
        found = found.take((-found[STEPS]).argsort(kind="stable"), axis=1)
    elif n_segments < table.shape[1]:
        found = found.copy()
    pace = np.empty((2, found[STEPS, 0] if n_segments else 0), np.int64)
    entries, zero_rows = np.empty((3, n_valid), np.int64), unwritten.nonzero()[0]
    _follow(mask, step, x_step, y_step, hold, return_sequences, unwritten, found, pace, entries)
    return Plan(
        *pace, *entries, found[INIT], found[FINAL], zero_rows, copy_rows[:n_copies], stride,
        x_strides is not None,
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


# Of each segment: its steps; where it begins in mask and resets, and where the row's next one does; where its
# first step's inputs and outputs lie; rows of its initial and its final state.
STEPS, AT, END, X, Y, INIT, FINAL = range(7)


# Compiled calls take few arrays, each of which costs one 0.2 us and its compilation 30 ms, and make none:
# Numba's versions of what NumPy does around them took three seconds to compile.


@njit
def _cut(
    B, T, lengths, mask, resets, offsets, ragged, time_major, strided, x_batch_stride, own_constants,
    zero_output, return_sequences, turned, step, x_step, y_step, table, copy_rows, unwritten,
):  # fmt: skip
    """Find the segments in the order they are taken; return how many, their steps, and how many copies. What
    is absent is empty.
    """
    found = valid = copies = 0
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
                taken += 1
                table[STEPS, found - 1] = taken
                valid += 1
                unwritten[out] = False
            else:
                unwritten[out] = zero_output or taken == 0
        if taken == 0:
            copy_rows[copies, 0] = b
            copy_rows[copies, 1] = init
            copies += 1
    return found, valid, copies


@njit
def _follow(mask, step, x_step, y_step, hold, return_sequences, unwritten, table, pace, entries):
    """Walk the segments in lockstep, as kernels will; masked steps shift the origins of the cursors. `pace`
    and `entries` become a plan's (active, first) and (x_row, y_row, y_repeat).
    """
    running = table.shape[1]
    n = 0
    for s in range(pace.shape[1]):
        while table[STEPS, running - 1] <= s:
            running -= 1
        pace[0, s] = running
        pace[1, s] = n
        for g in range(running):
            entries[0, n + g] = table[X, g] + s * x_step
            entries[1, n + g] = table[Y, g] + s * y_step
            entries[2, n + g] = 0
        if len(mask) > 0:
            for g in range(running):
                i = table[AT, g] + (s + 1) * step
                masked = 0
                while i != table[END, g] and not mask[i]:
                    i += step
                    masked += 1
                if masked > 0:
                    table[AT, g] += masked * step
                    table[X, g] += masked * x_step
                    table[Y, g] += masked * y_step
                    entries[2, n + g] = masked * hold
        n += running
    if not return_sequences:
        for e in range(n):
            entries[1, e] = -1
        for g in range(table.shape[1]):
            row = table[FINAL, g]
            if row >= 0 and not unwritten[row]:
                entries[1, pace[1, table[STEPS, g] - 1] + g] = row
