"""Faults of lengths, masks, reversal, resets, offsets and layouts."""

from .mutation import TRUTH, Mutation

PLAN, DISPATCH = "kernels/plan.py", "numbarnn/dispatch.py"

MUTATIONS = [
    Mutation(
        "a row takes one step more than its length",
        PLAN,
        "extents = np.full(B, T, np.int64) if lengths is None else _plain(lengths)",
        "extents = np.full(B, T, np.int64) if lengths is None else np.minimum(lengths + 1, T)",
    ),
    Mutation(
        "reversal begins at T - 1, not at the row's end",
        PLAN,
        "x_origins + (extents - 1) * x_stride",
        "x_origins + ((T if offsets is None else extents) - 1) * x_stride",
    ),
    Mutation(
        "reversal: the mask is read forwards",
        PLAN,
        "_ABSENT if mask is None else _plain(mask).reshape(-1)",
        "_ABSENT if mask is None else _plain(mask[:, ::-1] if reverse else mask).reshape(-1)",
    ),
    Mutation(
        "a masked step does not repeat the output before it",
        PLAN,
        "y_repeat[n + g] = masked * hold",
        "y_repeat[n + g] = 0",
        (*TRUTH, "memory"),
    ),
    Mutation(
        "the last output of a row is repeated once too often, into the next row",
        PLAN,
        "y_repeat[n + g] = masked * hold",
        "y_repeat[n + g] = (masked + (1 if step == y_step == 1 and i < len(mask) else 0)) * hold",
    ),
    Mutation(
        "nothing is written before the first valid step",
        PLAN,
        "unwritten[out] = zero_output or taken == 0",
        "unwritten[out] = zero_output",
        (*TRUTH, "memory"),
    ),
    Mutation(
        "a masked last step gives the output before it where 0 was asked for",
        PLAN,
        "np.where(unwritten[final_row], -1, final_row)",
        "final_row",
    ),
    Mutation(
        "padding is not written",
        DISPATCH,
        "words[block.ZERO_COUNT] = len(self.plan.zero_rows) if first else 0",
        "words[block.ZERO_COUNT] = 0",
        (*TRUTH, "memory"),
    ),
    Mutation(
        "rows sorted by length start from each other's states",
        PLAN,
        "*segments, init_row, final_row = table.take(longest_first, axis=1)\n",
        """*segments, init_row, final_row = table.take(longest_first, axis=1)
    init_row = table[5, :n_segments].copy()
""",
    ),
    Mutation(
        "final states stay sorted by length",
        PLAN,
        "*segments, init_row, final_row = table.take(longest_first, axis=1)\n",
        """*segments, init_row, final_row = table.take(longest_first, axis=1)
    final_row = table[6, :n_segments].copy()
""",
    ),
    Mutation(
        "an empty row ends in zeros, not in its initial state",
        PLAN,
        "copy_rows[copies, 1] = init",
        "copy_rows[copies, 1] = -1",
    ),
    Mutation(
        "an empty row has no final state",
        DISPATCH,
        "words[block.COPY_COUNT] = len(self.plan.copy_rows) if first else 0",
        "words[block.COPY_COUNT] = 0",
        (*TRUTH, "memory"),
    ),
    Mutation(
        "rows of a ragged batch begin one step late",
        PLAN,
        "starts = _plain(offsets)[:-1]",
        "starts = _plain(offsets)[:-1] + (batch > 0)",
    ),
    Mutation(
        "with lengths, time-major inputs are read batch-major",
        PLAN,
        "origins, stride = (batch, B) if time_major else (starts, 1)",
        "origins, stride = starts, 1",
    ),
    Mutation(
        "resets are ignored", PLAN, "if len(resets) > 0 and (", "if len(resets) < 0 and (", ("oracle", "bits")
    ),
    Mutation(
        "a reset goes back to the row's initial state",
        PLAN,
        "init, taken = constants[b], 0",
        "init, taken = b, 0",
        ("oracle", "bits"),
    ),
    Mutation(
        "reversal: a reset cuts on the other side of its step",
        PLAN,
        "p > 0 and resets[i + 1]",
        "p > 0 and resets[i]",
        ("oracle", "bits"),
    ),
    Mutation(
        "the final state may be that of a sequence before the last",
        PLAN,
        "final_row[found - 1] = -1",
        "final_row[found - 1] = b",
        ("oracle", "bits"),
    ),
    Mutation(
        "lengths above T are clamped",
        "numbarnn/checks.py",
        "    wrong = np.flatnonzero((array < 0) | (array > T))\n",
        """    array = np.clip(array, 0, T)
    wrong = np.flatnonzero(array < 0)
""",
        ("checks",),
    ),
]
