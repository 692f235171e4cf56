"""Faults of lengths, masks, reversal, resets, offsets and layouts."""

from .mutation import TRUTH, Mutation

PLAN, CALL = "kernels/plan.py", "numbarnn/call.py"

MUTATIONS = [
    Mutation(
        "a row takes one step more than its length",
        PLAN,
        "lengths[b] if len(lengths) > 0 else T",
        "(lengths[b] + 1 if lengths[b] < T else T) if len(lengths) > 0 else T",
    ),
    Mutation(
        "reversal begins at T - 1, not at the row's end",
        PLAN,
        "at, x = start + extent - 1, x - (extent - 1) * x_step",
        "at, x = start + extent - 1, x - ((extent if ragged else T) - 1) * x_step",
    ),
    Mutation(
        "reversal: the mask is read forwards",
        PLAN,
        "mask, resets = _plain(mask, _NO_FLAGS)",
        "mask, resets = _plain(mask if mask is None or not reverse else mask[:, ::-1].copy(), _NO_FLAGS)",
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
        "if row >= 0 and not unwritten[row]:",
        "if row >= 0:",
    ),
    Mutation(
        "padding is not written",
        CALL,
        "words[block.ZERO_COUNT] = len(self.plan.zero_rows) if first else 0",
        "words[block.ZERO_COUNT] = 0",
        (*TRUTH, "memory"),
    ),
    Mutation(
        "rows sorted by length start from each other's states",
        PLAN,
        "initial[place], final[place] = table[INIT, g], table[FINAL, g]",
        "initial[g], final[place] = table[INIT, g], table[FINAL, g]",
    ),
    Mutation(
        "final states stay sorted by length",
        PLAN,
        "initial[place], final[place] = table[INIT, g], table[FINAL, g]",
        "initial[place], final[g] = table[INIT, g], table[FINAL, g]",
    ),
    Mutation(
        "an empty row ends in zeros, not in its initial state",
        PLAN,
        "copy_rows[copies, 1] = init",
        "copy_rows[copies, 1] = -1",
    ),
    Mutation(
        "an empty row has no final state",
        CALL,
        "words[block.COPY_COUNT] = len(self.plan.copy_rows) if first else 0",
        "words[block.COPY_COUNT] = 0",
        (*TRUTH, "memory"),
    ),
    Mutation(
        "rows of a ragged batch begin one step late",
        PLAN,
        "start = offsets[b] if ragged else b * T",
        "start = offsets[b] + (b > 0) if ragged else b * T",
    ),
    Mutation(
        "with lengths, time-major inputs are read batch-major",
        PLAN,
        "origin = b if time_major else start",
        "origin = start",
    ),
    Mutation(
        "resets are ignored", PLAN, "if len(resets) > 0 and (", "if len(resets) < 0 and (", ("oracle", "bits")
    ),
    Mutation(
        "a reset goes back to the row's initial state",
        PLAN,
        "init, taken = (B + b if own_constants else -1), 0",
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
        "table[FINAL, found - 1] = -1",
        "table[FINAL, found - 1] = b",
        ("oracle", "bits"),
    ),
    Mutation(
        "lengths above T are clamped",
        "numbarnn/checks.py",
        "    if ((array < 0) | (array > T)).any():",
        """    array = np.clip(array, 0, T)
    if (array < 0).any():""",
        ("checks",),
    ),
]
