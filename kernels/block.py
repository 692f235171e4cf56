"""What the compiled loops are told: two tables of 64-bit words, one per packed cell (the *program*) and one
per call (the *call block*).

Words are counts, byte counts or addresses. The names below are their places; the front end fills the tables,
the loops only read them, save for the counters.
"""

# The call block
(
    MEMBERS,  # members of the team; member r takes segments r, r + MEMBERS, .. of the wave
    MEMBER,  # address of the member function
    PROGRAM,  # address of the program
    X,
    Y,
    X_ROW_BYTES,
    Y_ROW_BYTES,  # from row to row, and how much of a row is written
    Y_STRIDE,  # `Plan.y_stride`
    WAVE_BEGIN,
    WAVE_END,  # segments of this wave
    STEP_BEGIN,
    STEP_END,  # steps of this entry; the first entry of a wave begins at 0
    STEPS,  # steps of the whole plan
    ACTIVE,
    FIRST,
    X_ROW,
    Y_ROW,
    Y_REPEAT,
    INIT_ROW,
    FINAL_ROW,
    ZERO_ROWS,
    ZERO_COUNT,
    COPY_ROWS,
    COPY_COUNT,  # zero and copy rows of this entry: 0 after the first
    WORKSPACE,
    MEMBER_BYTES,  # workspace of one member
    CAPACITY,  # rows it has room for, a multiple of 8
    COUNTERS,
    STATE_PLACES,  # from here, per state: address of the initial rows, address of the final rows (or 0)
) = range(29)

# The program
(
    INPUT_BYTES,  # bytes of an input row that are read
    VECTORS,
    STATES,  # the first so many vectors are the states
    PHASES,
    OUTPUT,  # vector that is the output
    VECTOR_TABLE,  # places, in words, of the two tables
    PHASE_TABLE,
) = range(7)

# One vector of a row: a state, or a result that later phases read
(
    VALUE_BYTES,  # exact
    STRIDE_BYTES,  # from row to row in the workspace: whole vectors
    BUFFERS,  # 2 where old values are still multiplied while new ones are written, else 1
    POINTERS_AT,  # per row of capacity, where in the workspace the rows' pointers lie ...
    ROWS_AT,  # ... and the rows themselves, for the first buffer; the second follows
    CONSTANTS,  # address of the initial constants (states)
    VECTOR_WORDS,
) = range(7)

# One phase
(
    TILES,  # address, or 0 without products
    EPILOGUE,
    UNIT_BLOCKS,
    LANES,
    REACH_ROWS,
    REACH_BLOCKS,
    REACH_WIDE,
    PANELS,
    PANEL_BYTES,
    SUMS_BYTES,  # of one row and unit block
    SOURCES,  # how many; then (vector or -1 for x, 1 = newest, depth) each
    SOURCES_AT,
    OPERANDS,  # how many; then (vector, 1 = newest) each
    OPERANDS_AT,
    PHASE_WORDS,
) = range(15)

# A member's counters
EVALUATIONS, TILE_CALLS, COUNTER_WORDS = 0, 1, 1 + 8 * 8

# A member's workspace: 32 vectors of accumulators, tables of 16 sources, 48 operands and 64 vectors, pointers
# to input rows; the vectors. The table of vectors holds for each, and for either parity of a step, a pointer
# to its rows' pointers and one to its first row.
SOURCE_TABLE_AT, OPERAND_TABLE_AT, VECTOR_PLACES_AT, FIXED_BYTES = 2048, 2304, 3072, 5120
