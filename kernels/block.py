"""What the compiled loops are told: two tables of 64-bit words, one per packed cell (the *program*) and one
per call (the *call block*).

Words are counts, byte counts or addresses. The names below are their places; the front end fills the tables,
the loops only read them, save for the counters.
"""

# The call block
(
    MEMBERS,  # members that are started
    SHARES,  # what they divide: ROWS, member r taking segments r, r + MEMBERS, .. of the wave, or UNITS; each
    # entry may have it otherwise
    TEAM,  # address of the team's words, see `team` (UNITS)
    MEMBER,  # address of the member function
    PROGRAM,  # address of the program
    X,
    Y,
    X_ROW_BYTES,
    Y_ROW_BYTES,  # how much of an output row is written ...
    Y_PITCH_BYTES,  # ... and from row to row: others may own what lies between
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
    WORKSPACE,  # first what each member has to itself ...
    MEMBER_BYTES,
    VECTOR_ROWS,  # ... then the rows of vectors, one for each segment of the wave
    CAPACITY,  # rows there is room for, a multiple of 8, at least HOISTED_ROWS
    HOIST_LIMIT,  # with at most so many rows, their input products are formed for several steps together
    AHEAD_ROWS,  # so many rows of later steps go beside a single row, see `ahead`; 0: none
    FLOAT_MODE,  # floating-point mode of the calculation, see `atomics`
    COUNTERS,
    STATE_PLACES,  # from here, per state: address of the initial rows, address of the final rows (or 0) ...
) = range(36)  # ... then, per extra input, the address of its rows, which x_row numbers

# The program
(
    VECTORS,
    STATES,  # the first so many vectors are the states
    PHASES,
    OUTPUT,  # vector that is the output
    BLOCK_BYTES,  # of one block of units: a vector
    VECTOR_TABLE,  # places, in words, of the two tables
    PHASE_TABLE,
    EXTRAS,  # inputs of a step that are not multiplied: so many of the vectors, the last ones
    FIRST_EXTRA,
    PRIVATE_AT,  # where, after the hoisted sums begin, a member's private rows do
    PROGRAM_WORDS,
) = range(11)

# One vector of a row: a state, a result that later phases read, a parameter, an extra input
(
    VALUE_BYTES,  # exact
    STRIDE_BYTES,  # from row to row in the workspace: whole vectors; 0 where all rows have the same one
    BUFFERS,  # 2 where old values are still multiplied while new ones are written, else 1; 0 outside of it
    ROWS_AT,  # per row of capacity, where its rows lie in the first buffer; the second follows
    CONSTANTS,  # address of the initial constants (states), or of the vector itself (parameters)
    PRIVATE,  # 1: one value for a row, of which each member keeps its own
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
    HOIST_AT,  # where in the room for hoisted sums its own begin
    BARRIER,  # 1 if other units read its results
    SOURCES,  # how many; then (vector or -1 for x, 1 = newest, depth, bytes from the panel's start) each
    SOURCES_AT,
    OPERANDS,  # how many; then (vector, 1 = newest) each
    OPERANDS_AT,
    AHEAD,  # address of the tile of `ahead`
    INPUT_DEPTH,  # of what it multiplies for later steps: how many inputs ...
    INPUT_AT,  # ... where in a panel their weights begin ...
    INPUT_BYTES,  # ... and bytes from one input's weights to the next one's
    PHASE_WORDS,
) = range(21)

# A member's counters
EVALUATIONS, TILE_CALLS, COUNTER_WORDS = 0, 1, 1 + 8 * 8

ROWS, UNITS = 0, 1
HOISTED_ROWS = 24  # rows of hoisted sums, steps times rows: four full tiles
AHEAD_TILES = 4  # as many tiles of steps, whose inputs are multiplied while a single row goes before them

# What a member has to itself: accumulators (as many sums of one row as a phase may have), tables of sources,
# operands and vectors, who it is, pointers to input rows (of the capacity), hoisted sums, private rows. The
# table of vectors holds the first row of each, in the order of a step's parity.
SUMS_ROOM, SOURCES_ROOM, OPERANDS_ROOM, VECTORS_ROOM = 32, 16, 40, 60
SOURCE_TABLE_AT = SUMS_ROOM * 64
OPERAND_TABLE_AT = SOURCE_TABLE_AT + SOURCES_ROOM * 32
VECTOR_PLACES_AT = OPERAND_TABLE_AT + OPERANDS_ROOM * 16
WHO_AT = VECTOR_PLACES_AT + VECTORS_ROOM * 16
INPUTS_AT = WHO_AT + 64

# Who it is: its rows are ROW_FIRST, ROW_FIRST + ROW_STEP, .. of the wave, its units the RANK-th of TEAM_SIZE
# shares
ROW_FIRST, ROW_STEP, RANK, TEAM_SIZE = range(WHO_AT // 8, WHO_AT // 8 + 4)
