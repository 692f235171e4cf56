"""Whole sequences on the CPU: the loops. They follow a plan and a program, and know neither cell nor dtype.

A *member* of the team takes every n-th segment of a wave and runs all its steps by itself: rows are split over threads, nobody waits for
anybody (schedule "rows"); alone, it takes them all (schedule "single"). Within a step, the weights of a block of units are the outer loop and the
rows the inner one, so that a panel is read once per step and stays in the nearest cache while the rows pass.
"""

from .block import (
    ACTIVE, BUFFERS, CAPACITY, CONSTANTS, COPY_COUNT, COPY_ROWS, COUNTER_WORDS, COUNTERS, EPILOGUE, EVALUATIONS, FINAL_ROW, FIRST,
    FIXED_BYTES, INIT_ROW, LANES, MEMBER_BYTES, MEMBERS, OPERAND_TABLE_AT, OPERANDS, OPERANDS_AT, OUTPUT, PANEL_BYTES, PANELS,
    PHASE_TABLE, PHASE_WORDS, PHASES, POINTERS_AT, PROGRAM, REACH_BLOCKS, REACH_ROWS, REACH_WIDE, ROWS_AT, SOURCE_TABLE_AT, SOURCES,
    SOURCES_AT, STATE_PLACES, STATES, STEP_BEGIN, STEP_END, STEPS, STRIDE_BYTES, SUMS_BYTES, TILE_CALLS, TILES, UNIT_BLOCKS, VALUE_BYTES,
    VECTOR_PLACES_AT, VECTOR_TABLE, VECTOR_WORDS, VECTORS, WAVE_BEGIN, WAVE_END, WORKSPACE, X, X_ROW, X_ROW_BYTES, Y, Y_REPEAT, Y_ROW,
    Y_ROW_BYTES, Y_STRIDE, ZERO_COUNT, ZERO_ROWS,
)  # fmt: skip
from .jit import cfunc, inner
from .memory import advance, call_epilogue, call_tile, clear, copy, integer, pointer, put_integer, put_pointer
from .tile import BLOCKS_LIMIT


@inner
def active_rows(block, rank, step):
    """Rows of this member still running at `step`: how many of rank, rank + MEMBERS, .. are below the segments running in this wave."""
    if step >= integer(block, STEPS):
        return 0
    members = integer(block, MEMBERS)
    running = min(integer(pointer(block, ACTIVE), step), integer(block, WAVE_END)) - integer(block, WAVE_BEGIN)
    return max(0, (running - rank + members - 1) // members)


@inner
def prepare(block, workspace, rank, rows):
    """Before the first step of a wave: where each row of each vector lies, and the initial states."""
    program, capacity = pointer(block, PROGRAM), integer(block, CAPACITY)
    places, vectors = advance(workspace, VECTOR_PLACES_AT), advance(workspace, FIXED_BYTES)
    for vector in range(integer(program, VECTORS)):
        words = advance(program, 8 * (integer(program, VECTOR_TABLE) + vector * VECTOR_WORDS))
        stride = integer(words, STRIDE_BYTES)
        for parity in range(2):
            buffer = parity % integer(words, BUFFERS)
            pointers = advance(vectors, capacity * (integer(words, POINTERS_AT) + 8 * buffer))
            start = advance(vectors, capacity * (integer(words, ROWS_AT) + stride * buffer))
            put_pointer(places, 4 * vector + 2 * parity, pointers)
            put_pointer(places, 4 * vector + 2 * parity + 1, start)
            for i in range(rows):
                put_pointer(pointers, i, advance(start, i * stride))
    for state in range(integer(program, STATES)):
        values = pointer(places, 4 * state)
        for i in range(rows):
            segment = integer(block, WAVE_BEGIN) + rank + i * integer(block, MEMBERS)
            copy_initial(block, state, integer(pointer(block, INIT_ROW), segment), pointer(values, i))


@inner
def copy_initial(block, state, row, target):
    """The initial state of `row`: the caller's, or the cell's constants where there is none or row is -1."""
    program = pointer(block, PROGRAM)
    words = advance(program, 8 * (integer(program, VECTOR_TABLE) + state * VECTOR_WORDS))
    size = integer(words, VALUE_BYTES)
    if row >= 0 and integer(block, STATE_PLACES + 2 * state) != 0:
        copy(target, advance(pointer(block, STATE_PLACES + 2 * state), row * size), size)
    else:
        copy(target, pointer(words, CONSTANTS), size)


@inner
def untouched_rows(block, rank):
    """Output rows that nobody writes become 0; rows without a step keep the state they started from."""
    program, members, size = pointer(block, PROGRAM), integer(block, MEMBERS), integer(block, Y_ROW_BYTES)
    for k in range(rank, integer(block, ZERO_COUNT), members):
        clear(advance(pointer(block, Y), integer(pointer(block, ZERO_ROWS), k) * size), size)
    for k in range(rank, integer(block, COPY_COUNT), members):
        row, origin = integer(pointer(block, COPY_ROWS), 2 * k), integer(pointer(block, COPY_ROWS), 2 * k + 1)
        for state in range(integer(program, STATES)):
            if integer(block, STATE_PLACES + 2 * state + 1) != 0:
                state_size = integer(program, integer(program, VECTOR_TABLE) + state * VECTOR_WORDS + VALUE_BYTES)
                copy_initial(block, state, origin, advance(pointer(block, STATE_PLACES + 2 * state + 1), row * state_size))


@inner
def gather(block, workspace, rank, step, rows):
    """Pointers to this step's input rows."""
    members, size = integer(block, MEMBERS), integer(block, X_ROW_BYTES)
    x_row = advance(pointer(block, X_ROW), 8 * (integer(pointer(block, FIRST), step) + integer(block, WAVE_BEGIN) + rank))
    pointers = advance(workspace, FIXED_BYTES)
    for i in range(rows):
        put_pointer(pointers, i, advance(pointer(block, X), integer(x_row, i * members) * size))


@inner
def tables(block, workspace, phase, step):
    """Where this step's sources and operands of a phase lie: the old value of a vector or its newest, by the parity of the step."""
    program, places = pointer(block, PROGRAM), advance(workspace, VECTOR_PLACES_AT)
    sources, operands = advance(workspace, SOURCE_TABLE_AT), advance(workspace, OPERAND_TABLE_AT)
    listed = advance(program, 8 * integer(phase, SOURCES_AT))
    for k in range(integer(phase, SOURCES)):
        vector, parity = integer(listed, 3 * k), (step + integer(listed, 3 * k + 1)) & 1
        if vector < 0:
            put_pointer(sources, 2 * k, advance(workspace, FIXED_BYTES))
        else:
            put_pointer(sources, 2 * k, pointer(places, 4 * vector + 2 * parity))
        put_integer(sources, 2 * k + 1, integer(listed, 3 * k + 2))
    listed = advance(program, 8 * integer(phase, OPERANDS_AT))
    for k in range(integer(phase, OPERANDS)):
        vector, parity = integer(listed, 2 * k), (step + integer(listed, 2 * k + 1)) & 1
        put_pointer(operands, 2 * k, pointer(places, 4 * vector + 2 * parity + 1))
        put_integer(operands, 2 * k + 1, integer(program, integer(program, VECTOR_TABLE) + vector * VECTOR_WORDS + STRIDE_BYTES))


@inner
def run_phase(workspace, counters, phase, rows):
    """All units of the member's active rows: tiles of sums, each followed by the epilogue.

    Heights are balanced (32 rows as 6, 6, 5, 5, 5, 5): a tile of two rows costs nearly as much as one of six.
    """
    tiles, panel_bytes, sums_bytes = integer(phase, TILES), integer(phase, PANEL_BYTES), integer(phase, SUMS_BYTES)
    sources, operands = advance(workspace, SOURCE_TABLE_AT), advance(workspace, OPERAND_TABLE_AT)
    blocks = integer(phase, UNIT_BLOCKS)
    groups = -(-blocks // integer(phase, REACH_WIDE if rows == 1 else REACH_BLOCKS))
    heights = -(-rows // integer(phase, REACH_ROWS))
    block = 0
    for group in range(groups):
        wide = (blocks - block) // (groups - group)
        panel = advance(pointer(phase, PANELS), block * panel_bytes)
        row = 0
        for tile in range(heights):
            high = -(-(rows - row) // (heights - tile))
            if tiles != 0:
                variant = (high - 1) * BLOCKS_LIMIT + wide - 1
                call_tile(pointer(phase, TILES), variant, panel, panel_bytes, sources, row, workspace)
                put_integer(counters, TILE_CALLS + variant, integer(counters, TILE_CALLS + variant) + 1)
            for b in range(wide):
                unit = (block + b) * integer(phase, LANES)
                call_epilogue(pointer(phase, EPILOGUE), advance(workspace, b * high * sums_bytes), operands, row, high, unit)
            row += high
        block += wide


@inner
def emit(block, workspace, rank, step, rows):
    """This step's outputs, and the repeats of them, to the caller's rows."""
    members, size, y = integer(block, MEMBERS), integer(block, Y_ROW_BYTES), pointer(block, Y)
    output = integer(pointer(block, PROGRAM), OUTPUT)
    values = pointer(workspace, VECTOR_PLACES_AT // 8 + 4 * output + 2 * ((step + 1) & 1))
    at = integer(pointer(block, FIRST), step) + integer(block, WAVE_BEGIN) + rank
    y_row, y_repeat = advance(pointer(block, Y_ROW), 8 * at), advance(pointer(block, Y_REPEAT), 8 * at)
    for i in range(rows):
        row, repeat = integer(y_row, i * members), integer(y_repeat, i * members)
        if row >= 0:
            stride = integer(block, Y_STRIDE) if repeat > 0 else -integer(block, Y_STRIDE)
            for k in range(abs(repeat) + 1):
                copy(advance(y, (row + k * stride) * size), pointer(values, i), size)


@inner
def finish(block, workspace, rank, step, begin, end):
    """Final states of the rows `begin` to `end`, which took their last step."""
    program = pointer(block, PROGRAM)
    for state in range(integer(program, STATES)):
        if integer(block, STATE_PLACES + 2 * state + 1) == 0:
            continue
        size = integer(program, integer(program, VECTOR_TABLE) + state * VECTOR_WORDS + VALUE_BYTES)
        values = pointer(workspace, VECTOR_PLACES_AT // 8 + 4 * state + 2 * ((step + 1) & 1))
        for i in range(begin, end):
            segment = integer(block, WAVE_BEGIN) + rank + i * integer(block, MEMBERS)
            row = integer(pointer(block, FINAL_ROW), segment)
            if row >= 0:
                copy(advance(pointer(block, STATE_PLACES + 2 * state + 1), row * size), pointer(values, i), size)


@cfunc("void(int64, voidptr)")
def member(rank, block):
    """Member `rank` of the team: its segments of the wave, from STEP_BEGIN to STEP_END."""
    program = pointer(block, PROGRAM)
    workspace = advance(pointer(block, WORKSPACE), rank * integer(block, MEMBER_BYTES))
    counters = advance(pointer(block, COUNTERS), rank * 8 * COUNTER_WORDS)
    untouched_rows(block, rank)
    step = integer(block, STEP_BEGIN)
    rows = active_rows(block, rank, step)
    if step == 0:
        prepare(block, workspace, rank, rows)
    while step < integer(block, STEP_END) and rows > 0:
        gather(block, workspace, rank, step, rows)
        for p in range(integer(program, PHASES)):
            phase = advance(program, 8 * (integer(program, PHASE_TABLE) + p * PHASE_WORDS))
            tables(block, workspace, phase, step)
            run_phase(workspace, counters, phase, rows)
        put_integer(counters, EVALUATIONS, integer(counters, EVALUATIONS) + rows)
        emit(block, workspace, rank, step, rows)
        following = active_rows(block, rank, step + 1)
        finish(block, workspace, rank, step, following, rows)
        step, rows = step + 1, following
