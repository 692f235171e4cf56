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


def dense(
    B, T, *, reverse=False, time_major=False, return_sequences=True, turned=False, x_strides=None
):
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
    B, T, *, lengths=None, mask=None, resets=None, offsets=None, reverse=False, time_major=False,
    return_sequences=True, zero_output=False, turned=False, x_strides=None, own_constants=False,
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
    batch = np.arange(B, dtype=np.int64)
    if offsets is None:
        starts = batch * T
        extents = np.full(B, T, np.int64) if lengths is None else _plain(lengths)
        n_outputs = B * T
    else:
        starts = _plain(offsets)[:-1]
        extents = offsets[1:] - starts
        n_outputs = int(offsets[-1])
    mask = _ABSENT if mask is None else _plain(mask).reshape(-1)
    resets = _ABSENT if resets is None else _plain(resets).reshape(-1)

    # A walk is three cursors that move by constant steps: in mask and resets, in the inputs, in the outputs.
    origins, stride = (batch, B) if time_major else (starts, 1)
    x_origins, x_stride = (origins, stride) if x_strides is None else (batch * x_strides[0], x_strides[1])
    at, x, y = starts, x_origins, origins
    step, x_step, y_step = 1, x_stride, stride
    if reverse:
        at, x = starts + (extents - 1), x_origins + (extents - 1) * x_stride
        step, x_step = -1, -x_stride
    if turned:
        y, y_step = origins + (extents - 1) * stride, -stride
    hold = 0 if zero_output else -1 if turned else 1
    if not return_sequences:
        y, y_step, n_outputs, hold = batch, 0, B, 0

    table = np.empty((7, B + np.count_nonzero(resets)), np.int64)
    copy_rows = np.empty((B, 2), np.int64)
    unwritten = np.ones(n_outputs, np.bool_)
    constants = batch + B if own_constants else np.full(B, -1)
    n_segments, n_valid, n_copies = _cut(
        extents, mask, resets, constants, at, x, y, step, x_step, y_step, zero_output, *table, copy_rows,
        unwritten,
    )
    longest_first = (-table[0, :n_segments]).argsort(kind="stable")
    *segments, init_row, final_row = table.take(longest_first, axis=1)
    active, first = np.empty((2, segments[0][0] if n_segments else 0), np.int64)
    x_row, y_row, y_repeat = np.empty((3, n_valid), np.int64)
    _follow(mask, step, x_step, y_step, hold, *segments, active, first, x_row, y_row, y_repeat)
    if not return_sequences:
        y_row.fill(-1)
        last_steps = first[segments[0] - 1] + np.arange(n_segments)
        y_row[last_steps] = np.where(unwritten[final_row], -1, final_row)
    zero_rows = unwritten.nonzero()[0]
    return Plan(
        active, first, x_row, y_row, y_repeat, init_row, final_row, zero_rows, copy_rows[:n_copies], stride,
        x_strides is not None,
    )


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


_ABSENT = np.empty(0, np.bool_)


def _plain(array):
    """The array, or a copy where Numba would see another type (read-only, misaligned) and compile again."""
    return array if array.flags.carray else array.copy()


@njit
def _cut(
    extents, mask, resets, constants, at_start, x_start, y_start, step, x_step, y_step, zero_output,
    steps, at, end, x, y, init_row, final_row, copy_rows, unwritten,
):
    """Find the segments in the order they are taken; return how many, their steps, and how many copies."""
    found = valid = copies = 0
    for b in range(len(extents)):
        init, taken = b, 0
        for p in range(extents[b]):
            i = at_start[b] + p * step
            out = y_start[b] + p * y_step
            # A reset cuts between its own time and the one before: in reverse, its own time is already taken.
            if len(resets) > 0 and (resets[i] if step > 0 else p > 0 and resets[i + 1]):
                if taken > 0:
                    end[found - 1] = i
                    final_row[found - 1] = -1
                init, taken = constants[b], 0
            if len(mask) == 0 or mask[i]:
                if taken == 0:
                    # Until a reset cuts it, this is the row's last sequence.
                    at[found] = i
                    end[found] = at_start[b] + extents[b] * step
                    x[found] = x_start[b] + p * x_step
                    y[found] = out
                    init_row[found] = init
                    final_row[found] = b
                    found += 1
                taken += 1
                steps[found - 1] = taken
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
def _follow(mask, step, x_step, y_step, hold, steps, at, end, x, y, active, first, x_row, y_row, y_repeat):
    """Walk the segments in lockstep, as kernels will; masked steps shift the origins of the cursors."""
    running = len(steps)
    n = 0
    for s in range(len(active)):
        while steps[running - 1] <= s:
            running -= 1
        active[s] = running
        first[s] = n
        for g in range(running):
            x_row[n + g] = x[g] + s * x_step
            y_row[n + g] = y[g] + s * y_step
            y_repeat[n + g] = 0
        if len(mask) > 0:
            for g in range(running):
                i = at[g] + (s + 1) * step
                masked = 0
                while i != end[g] and not mask[i]:
                    i += step
                    masked += 1
                if masked > 0:
                    at[g] += masked * step
                    x[g] += masked * x_step
                    y[g] += masked * y_step
                    y_repeat[n + g] = masked * hold
        n += running
