"""The words of a call on the device (int64), all in one array: sizes, where among them each part of the plan
begins, where the final rows of each state begin, the words of each phase, the plan.
"""

(
    STRIDE, X_STRIDE, X_ALIGNED, SEGMENTS, Y_STRIDE, Y_PITCH,
    ACTIVE, FIRST, X_ROW, Y_ROW, Y_REPEAT, INIT_ROW, FINAL_ROW,
    ZERO_ROWS, ZERO_COUNT, COPY_ROWS, COPY_COUNT, FINALS,
) = range(18)  # fmt: skip
# STRIDE: from row to row of the vectors in the workspace. X_STRIDE: what a number of x_row counts, in
# elements; X_ALIGNED: whether the rows of x can be loaded by vectors. Y_PITCH: elements from output row to
# output row. FINALS: of each state, the element of the final states that its rows begin with.

# Words of a phase: where its panels begin, the elements of one, its units; of its weights that stay in shared
# memory, where they begin among all that do, and the elements of one block of units; where its sums that were
# formed beforehand begin; then, for either parity of the step, where its sources and operands begin: vectors
# in the workspace, parameters among the weights, while of an extra input it is the elements of a row; then
# the depth of each source.
PANELS, PANEL_ELEMENTS, UNITS, KEPT_AT, KEPT_ELEMENTS, FORMED_AT, PLACES = range(7)
