"""Whole sequences on the CPU: the loops. They follow a plan and a program, and know neither cell nor dtype.

A *member* of the team takes every n-th segment of a wave and runs all its steps by itself: rows are split
over threads, nobody waits for anybody (schedule "rows"); alone, it takes them all (schedule "single"). Within
a step, the weights of a block of units are the outer loop and the rows the inner one, so that a panel is read
once per step and stays in the nearest cache while the rows pass.
"""

from . import block as word
from .jit import cfunc, inner
from .memory import (
    advance,
    call_epilogue,
    call_tile,
    clear,
    copy,
    count,
    integer,
    pointer,
    put_integer,
    put_pointer,
)
from .tile import BLOCKS_LIMIT


@inner
def active_rows(call, rank, step):
    """Rows of this member still running at `step`: how many of rank, rank + MEMBERS, .. are below the
    segments running in this wave.
    """
    if step >= integer(call, word.STEPS):
        return 0
    members = integer(call, word.MEMBERS)
    running = min(integer(pointer(call, word.ACTIVE), step), integer(call, word.WAVE_END))
    running -= integer(call, word.WAVE_BEGIN)
    return max(0, (running - rank + members - 1) // members)


@inner
def prepare(call, workspace, rank, rows):
    """Before the first step of a wave: where each row of each vector lies, and the initial states."""
    program, capacity = pointer(call, word.PROGRAM), integer(call, word.CAPACITY)
    places, vectors = advance(workspace, word.VECTOR_PLACES_AT), advance(workspace, word.FIXED_BYTES)
    for vector in range(integer(program, word.VECTORS)):
        words = advance(program, 8 * (integer(program, word.VECTOR_TABLE) + vector * word.VECTOR_WORDS))
        stride = integer(words, word.STRIDE_BYTES)
        for parity in range(2):
            buffer = parity % integer(words, word.BUFFERS)
            pointers = advance(vectors, capacity * (integer(words, word.POINTERS_AT) + 8 * buffer))
            start = advance(vectors, capacity * (integer(words, word.ROWS_AT) + stride * buffer))
            put_pointer(places, 4 * vector + 2 * parity, pointers)
            put_pointer(places, 4 * vector + 2 * parity + 1, start)
            for i in range(rows):
                put_pointer(pointers, i, advance(start, i * stride))
    for state in range(integer(program, word.STATES)):
        values = pointer(places, 4 * state)
        for i in range(rows):
            segment = integer(call, word.WAVE_BEGIN) + rank + i * integer(call, word.MEMBERS)
            copy_initial(call, state, integer(pointer(call, word.INIT_ROW), segment), pointer(values, i))


@inner
def copy_initial(call, state, row, target):
    """The initial state of `row`: the caller's, or the cell's constants where there is none or row is -1."""
    program = pointer(call, word.PROGRAM)
    words = advance(program, 8 * (integer(program, word.VECTOR_TABLE) + state * word.VECTOR_WORDS))
    size = integer(words, word.VALUE_BYTES)
    if row >= 0 and integer(call, word.STATE_PLACES + 2 * state) != 0:
        copy(target, advance(pointer(call, word.STATE_PLACES + 2 * state), row * size), size)
    else:
        copy(target, pointer(words, word.CONSTANTS), size)


@inner
def untouched_rows(call, rank):
    """Output rows that nobody writes become 0; rows without a step keep the state they started from."""
    program, members, size = (
        pointer(call, word.PROGRAM),
        integer(call, word.MEMBERS),
        integer(call, word.Y_ROW_BYTES),
    )
    for k in range(rank, integer(call, word.ZERO_COUNT), members):
        clear(advance(pointer(call, word.Y), integer(pointer(call, word.ZERO_ROWS), k) * size), size)
    for k in range(rank, integer(call, word.COPY_COUNT), members):
        row, origin = (
            integer(pointer(call, word.COPY_ROWS), 2 * k),
            integer(pointer(call, word.COPY_ROWS), 2 * k + 1),
        )
        for state in range(integer(program, word.STATES)):
            if integer(call, word.STATE_PLACES + 2 * state + 1) != 0:
                state_size = integer(
                    program,
                    integer(program, word.VECTOR_TABLE) + state * word.VECTOR_WORDS + word.VALUE_BYTES,
                )
                copy_initial(
                    call,
                    state,
                    origin,
                    advance(pointer(call, word.STATE_PLACES + 2 * state + 1), row * state_size),
                )


@inner
def gather(call, workspace, rank, step, rows):
    """Pointers to this step's input rows."""
    members, size = integer(call, word.MEMBERS), integer(call, word.X_ROW_BYTES)
    x_row = advance(
        pointer(call, word.X_ROW),
        8 * (integer(pointer(call, word.FIRST), step) + integer(call, word.WAVE_BEGIN) + rank),
    )
    pointers = advance(workspace, word.FIXED_BYTES)
    for i in range(rows):
        put_pointer(pointers, i, advance(pointer(call, word.X), integer(x_row, i * members) * size))


@inner
def tables(call, workspace, phase, step):
    """Where this step's sources and operands of a phase lie: the old value of a vector or its newest, by the
    parity of the step.
    """
    program, places = pointer(call, word.PROGRAM), advance(workspace, word.VECTOR_PLACES_AT)
    sources, operands = advance(workspace, word.SOURCE_TABLE_AT), advance(workspace, word.OPERAND_TABLE_AT)
    listed = advance(program, 8 * integer(phase, word.SOURCES_AT))
    for k in range(integer(phase, word.SOURCES)):
        vector, parity = integer(listed, 3 * k), (step + integer(listed, 3 * k + 1)) & 1
        if vector < 0:
            put_pointer(sources, 2 * k, advance(workspace, word.FIXED_BYTES))
        else:
            put_pointer(sources, 2 * k, pointer(places, 4 * vector + 2 * parity))
        put_integer(sources, 2 * k + 1, integer(listed, 3 * k + 2))
    listed = advance(program, 8 * integer(phase, word.OPERANDS_AT))
    for k in range(integer(phase, word.OPERANDS)):
        vector, parity = integer(listed, 2 * k), (step + integer(listed, 2 * k + 1)) & 1
        put_pointer(operands, 2 * k, pointer(places, 4 * vector + 2 * parity + 1))
        put_integer(
            operands,
            2 * k + 1,
            integer(
                program, integer(program, word.VECTOR_TABLE) + vector * word.VECTOR_WORDS + word.STRIDE_BYTES
            ),
        )


@inner
def run_phase(workspace, counters, phase, rows):
    """All units of the member's active rows: tiles of sums, each followed by the epilogue.

    Heights are balanced (32 rows as 6, 6, 5, 5, 5, 5): a tile of two rows costs nearly as much as one of six.
    """
    tiles, panels, panel_bytes = (
        integer(phase, word.TILES),
        pointer(phase, word.PANELS),
        integer(phase, word.PANEL_BYTES),
    )
    epilogue, sums_bytes = pointer(phase, word.EPILOGUE), integer(phase, word.SUMS_BYTES)
    sources, operands = advance(workspace, word.SOURCE_TABLE_AT), advance(workspace, word.OPERAND_TABLE_AT)
    blocks, lanes = integer(phase, word.UNIT_BLOCKS), integer(phase, word.LANES)
    groups = -(-blocks // integer(phase, word.REACH_WIDE if rows == 1 else word.REACH_BLOCKS))
    heights = -(-rows // integer(phase, word.REACH_ROWS))
    block = 0
    for group in range(groups):
        wide = (blocks - block) // (groups - group)
        panel = advance(panels, block * panel_bytes)
        row = 0
        for tile in range(heights):
            high = -(-(rows - row) // (heights - tile))
            if tiles != 0:
                variant = (high - 1) * BLOCKS_LIMIT + wide - 1
                call_tile(pointer(phase, word.TILES), variant, panel, panel_bytes, sources, row, workspace)
                count(counters, word.TILE_CALLS + variant, 1)
            for b in range(wide):
                sums = advance(workspace, b * high * sums_bytes)
                call_epilogue(epilogue, sums, operands, row, high, (block + b) * lanes)
            row += high
        block += wide


@inner
def emit(call, workspace, rank, step, rows):
    """This step's outputs, and the repeats of them, to the caller's rows."""
    members, size, y = integer(call, word.MEMBERS), integer(call, word.Y_ROW_BYTES), pointer(call, word.Y)
    output = integer(pointer(call, word.PROGRAM), word.OUTPUT)
    values = pointer(workspace, word.VECTOR_PLACES_AT // 8 + 4 * output + 2 * ((step + 1) & 1))
    at = integer(pointer(call, word.FIRST), step) + integer(call, word.WAVE_BEGIN) + rank
    y_row, y_repeat = (
        advance(pointer(call, word.Y_ROW), 8 * at),
        advance(pointer(call, word.Y_REPEAT), 8 * at),
    )
    for i in range(rows):
        row, repeat = integer(y_row, i * members), integer(y_repeat, i * members)
        if row >= 0:
            stride = integer(call, word.Y_STRIDE) if repeat > 0 else -integer(call, word.Y_STRIDE)
            for k in range(abs(repeat) + 1):
                copy(advance(y, (row + k * stride) * size), pointer(values, i), size)


@inner
def finish(call, workspace, rank, step, begin, end):
    """Final states of the rows `begin` to `end`, which took their last step."""
    program = pointer(call, word.PROGRAM)
    for state in range(integer(program, word.STATES)):
        if integer(call, word.STATE_PLACES + 2 * state + 1) == 0:
            continue
        size = integer(
            program, integer(program, word.VECTOR_TABLE) + state * word.VECTOR_WORDS + word.VALUE_BYTES
        )
        values = pointer(workspace, word.VECTOR_PLACES_AT // 8 + 4 * state + 2 * ((step + 1) & 1))
        for i in range(begin, end):
            segment = integer(call, word.WAVE_BEGIN) + rank + i * integer(call, word.MEMBERS)
            row = integer(pointer(call, word.FINAL_ROW), segment)
            if row >= 0:
                copy(
                    advance(pointer(call, word.STATE_PLACES + 2 * state + 1), row * size),
                    pointer(values, i),
                    size,
                )


@cfunc("void(int64, voidptr)")
def member(rank, call):
    """Member `rank` of the team: its segments of the wave, from STEP_BEGIN to STEP_END."""
    program = pointer(call, word.PROGRAM)
    workspace = advance(pointer(call, word.WORKSPACE), rank * integer(call, word.MEMBER_BYTES))
    counters = advance(pointer(call, word.COUNTERS), rank * 8 * word.COUNTER_WORDS)
    untouched_rows(call, rank)
    step = integer(call, word.STEP_BEGIN)
    rows = active_rows(call, rank, step)
    if step == 0:
        prepare(call, workspace, rank, rows)
    while step < integer(call, word.STEP_END) and rows > 0:
        gather(call, workspace, rank, step, rows)
        for p in range(integer(program, word.PHASES)):
            phase = advance(program, 8 * (integer(program, word.PHASE_TABLE) + p * word.PHASE_WORDS))
            tables(call, workspace, phase, step)
            run_phase(workspace, counters, phase, rows)
        count(counters, word.EVALUATIONS, rows)
        emit(call, workspace, rank, step, rows)
        following = active_rows(call, rank, step + 1)
        finish(call, workspace, rank, step, following, rows)
        step, rows = step + 1, following
