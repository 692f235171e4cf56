"""The words of a call on the device (int64), all in one array: sizes, where among them each part of the plan
begins, the words of each phase, the plan.
"""

(
    INPUTS, H, STRIDE, X_STRIDE, X_ALIGNED, SEGMENTS, STATE_ROWS, Y_STRIDE, Y_PITCH, SLICE,
    ACTIVE, FIRST, X_ROW, Y_ROW, Y_REPEAT, INIT_ROW, FINAL_ROW,
    ZERO_ROWS, ZERO_COUNT, COPY_ROWS, COPY_COUNT, CALL_WORDS,
) = range(22)  # fmt: skip
# INPUTS, H: sizes. STRIDE: from row to row of the vectors in the workspace. X_STRIDE: what a number of x_row
# counts, in elements; X_ALIGNED: whether the rows of x can be loaded by vectors. SLICE: elements of the
# weights of one block of units that may stay in shared memory. STATE_ROWS: rows of the final states.
# Y_PITCH: elements from output row to output row.

# Words of a phase: where its panels begin, the elements of one, where among the weights that stay those of
# this phase begin, where its sums that were formed beforehand begin; then, for either parity of the step,
# where in the workspace its sources and operands begin.
PANELS, PANEL_ELEMENTS, KEPT_AT, FORMED_AT, PLACES = range(5)
