"""Whole sequences on the CPU: the loops. They follow a plan and a program, and know neither cell nor dtype.

The members of a team divide the work in one of two ways. ROWS: each takes every n-th segment of the wave and
runs all its steps by itself; nobody waits for anybody, and every member reads all weights in every step.
UNITS: all take all rows, each a share of the units, whose weights stay in its own cache; after a phase whose
results others multiply, they wait for each other. A member alone does both at once. Rows of vectors lie in
the order of the wave's segments either way, so that one entry can go on where another has stopped.

Within a step the weights of a block of units are the outer loop and the rows the inner one, so that a panel
is read once per step and stays in the nearest cache while the rows pass. Where rows are few, reading weights
is all that costs: there the products with the inputs, which depend on no step before, are formed for several
steps together (*hoisted*).
"""

from . import block as word
from . import memory
from .atomics import exchange_float_mode
from .jit import cfunc, inner
from .memory import advance, clear, copy, integer, pointer, put_integer, put_pointer
from .team import SIZE, barrier, join
from .tile import BLOCKS_LIMIT

WHOLE, INPUTS_ONLY, AFTER_INPUTS = 0, 1, 2  # which products of a phase one pass forms


@inner
def share(count, rank, size):
    """Where the share of `rank` begins when `size` members divide `count` things; the next one's is its
    end.
    """
    return count * rank // size


@inner
def active_rows(call, own, step):
    """This member's rows that still run at `step`."""
    if step >= integer(call, word.STEPS):
        return 0
    running = min(integer(pointer(call, word.ACTIVE), step), integer(call, word.WAVE_END))
    running -= integer(call, word.WAVE_BEGIN) + integer(own, word.ROW_FIRST)
    stride = integer(own, word.ROW_STEP)
    return max(0, (running + stride - 1) // stride)


@inner
def entry_of_step(call, own, step):
    """Place of the member's first row of `step` in the plan's arrays."""
    return (
        integer(pointer(call, word.FIRST), step)
        + integer(call, word.WAVE_BEGIN)
        + integer(own, word.ROW_FIRST)
    )


@inner
def segment_of(call, own, row):
    """The plan's number of one of the member's rows."""
    return integer(call, word.WAVE_BEGIN) + integer(own, word.ROW_FIRST) + row * integer(own, word.ROW_STEP)


@inner
def vector_words(call, vector):
    """The program's entry on a vector."""
    program = pointer(call, word.PROGRAM)
    return advance(program, 8 * (integer(program, word.VECTOR_TABLE) + vector * word.VECTOR_WORDS))


@inner
def stride_of(own, words):
    """Bytes from one of the member's rows of a vector to its next."""
    stride = integer(words, word.STRIDE_BYTES)
    return stride if integer(words, word.PRIVATE) != 0 else stride * integer(own, word.ROW_STEP)


@inner
def find_vectors(call, own):
    """Note where the member's rows of each vector begin, for the old value and for the new one that a step of
    either parity sees.
    """
    places, capacity = advance(own, word.VECTOR_PLACES_AT), integer(call, word.CAPACITY)
    private_at = word.INPUTS_AT + 8 * capacity + integer(pointer(call, word.PROGRAM), word.PRIVATE_AT)
    for vector in range(integer(pointer(call, word.PROGRAM), word.VECTORS)):
        words = vector_words(call, vector)
        buffers = integer(words, word.BUFFERS)
        for parity in range(2):
            if buffers == 0:
                put_pointer(places, 2 * vector + parity, pointer(words, word.CONSTANTS))
            else:
                buffer = parity % buffers * integer(words, word.STRIDE_BYTES)
                start = capacity * (integer(words, word.ROWS_AT) + buffer)
                if integer(words, word.PRIVATE) != 0:
                    place = advance(own, private_at + start)
                else:
                    start += integer(own, word.ROW_FIRST) * integer(words, word.STRIDE_BYTES)
                    place = advance(pointer(call, word.VECTOR_ROWS), start)
                put_pointer(places, 2 * vector + parity, place)


@inner
def begin(call, own, rows):
    """Before the first step of a wave: the initial states. Members that divide the units divide the rows
    here.
    """
    for state in range(integer(pointer(call, word.PROGRAM), word.STATES)):
        values = pointer(own, word.VECTOR_PLACES_AT // 8 + 2 * state)
        stride = stride_of(own, vector_words(call, state))
        for row in range(integer(own, word.RANK), rows, integer(own, word.TEAM_SIZE)):
            origin = integer(pointer(call, word.INIT_ROW), segment_of(call, own, row))
            copy_initial(call, state, origin, advance(values, row * stride))


@inner
def copy_initial(call, state, row, target):
    """The initial state of `row`: the caller's, or the cell's constants where there is none or row is -1."""
    words, initial = vector_words(call, state), word.STATE_PLACES + 2 * state
    size = integer(words, word.VALUE_BYTES)
    if row >= 0 and integer(call, initial) != 0:
        copy(target, advance(pointer(call, initial), row * size), size)
    else:
        copy(target, pointer(words, word.CONSTANTS), size)


@inner
def untouched_rows(call, rank, members):
    """Output rows that nobody writes become 0; rows without a step keep the state they started from."""
    size, pitch = integer(call, word.Y_ROW_BYTES), integer(call, word.Y_PITCH_BYTES)
    for k in range(rank, integer(call, word.ZERO_COUNT), members):
        clear(advance(pointer(call, word.Y), integer(pointer(call, word.ZERO_ROWS), k) * pitch), size)
    for k in range(rank, integer(call, word.COPY_COUNT), members):
        row = integer(pointer(call, word.COPY_ROWS), 2 * k)
        origin = integer(pointer(call, word.COPY_ROWS), 2 * k + 1)
        for state in range(integer(pointer(call, word.PROGRAM), word.STATES)):
            final = word.STATE_PLACES + 2 * state + 1
            if integer(call, final) != 0:
                at = row * integer(vector_words(call, state), word.VALUE_BYTES)
                copy_initial(call, state, origin, advance(pointer(call, final), at))


@inner
def gather(call, own, step, steps, rows):
    """Pointers to the input rows of some steps, step after step."""
    size, pointers = integer(call, word.X_ROW_BYTES), advance(own, word.INPUTS_AT)
    for later in range(steps):
        x_row = advance(pointer(call, word.X_ROW), 8 * entry_of_step(call, own, step + later))
        for row in range(rows):
            at = integer(x_row, row * integer(own, word.ROW_STEP))
            put_pointer(pointers, later * rows + row, advance(pointer(call, word.X), at * size))


@inner
def copy_share(call, own, target, values, size):
    """Copy the member's units of a row of `size` bytes, exactly."""
    block_bytes = integer(pointer(call, word.PROGRAM), word.BLOCK_BYTES)
    blocks, rank, members = -(-size // block_bytes), integer(own, word.RANK), integer(own, word.TEAM_SIZE)
    start = share(blocks, rank, members) * block_bytes
    end = min(size, share(blocks, rank + 1, members) * block_bytes)
    if end > start:
        copy(advance(target, start), advance(values, start), end - start)


@inner
def take_extra(call, own, step, rows):
    """Copy the member's units of this step's extra inputs; of those with one value per row, the value."""
    program = pointer(call, word.PROGRAM)
    x_row = advance(pointer(call, word.X_ROW), 8 * entry_of_step(call, own, step))
    for k in range(integer(program, word.EXTRAS)):
        vector = integer(program, word.FIRST_EXTRA) + k
        words = vector_words(call, vector)
        given = pointer(call, word.STATE_PLACES + 2 * integer(program, word.STATES) + k)
        values = pointer(own, word.VECTOR_PLACES_AT // 8 + 2 * vector)
        size, stride = integer(words, word.VALUE_BYTES), stride_of(own, words)
        for row in range(rows):
            taken = advance(given, integer(x_row, row * integer(own, word.ROW_STEP)) * size)
            if integer(words, word.PRIVATE) != 0:
                copy(advance(values, row * stride), taken, size)
            else:
                copy_share(call, own, advance(values, row * stride), taken, size)


@inner
def list_vectors(call, own, phase, step, which):
    """Where this step's sources and operands of a phase lie: the old value of a vector or its newest, by the
    parity of the step.

    A source that is not among `which` gets depth 0.
    """
    program, places = pointer(call, word.PROGRAM), advance(own, word.VECTOR_PLACES_AT)
    sources = advance(own, word.SOURCE_TABLE_AT)
    listed = advance(program, 8 * integer(phase, word.SOURCES_AT))
    for k in range(integer(phase, word.SOURCES)):
        vector, parity = integer(listed, 4 * k), (step + integer(listed, 4 * k + 1)) & 1
        if vector < 0:
            put_pointer(sources, 4 * k, advance(own, word.INPUTS_AT))
            skipped = which == AFTER_INPUTS
        else:
            put_pointer(sources, 4 * k, pointer(places, 2 * vector + parity))
            put_integer(sources, 4 * k + 1, stride_of(own, vector_words(call, vector)))
            skipped = which == INPUTS_ONLY
        put_integer(sources, 4 * k + 2, 0 if skipped else integer(listed, 4 * k + 2))
        put_integer(sources, 4 * k + 3, integer(listed, 4 * k + 3))
    operands = advance(own, word.OPERAND_TABLE_AT)
    listed = advance(program, 8 * integer(phase, word.OPERANDS_AT))
    for k in range(integer(phase, word.OPERANDS)):
        vector, parity = integer(listed, 2 * k), (step + integer(listed, 2 * k + 1)) & 1
        put_pointer(operands, 2 * k, pointer(places, 2 * vector + parity))
        put_integer(operands, 2 * k + 1, stride_of(own, vector_words(call, vector)))


@inner
def products(own, counters, capacity, phase, which, rows, first_row, hoisted):
    """The member's units of a phase for `rows` rows: tiles of sums, each followed by the epilogue, or kept if
    `which` is INPUTS_ONLY.

    Heights are balanced (32 rows as 6, 6, 5, 5, 5, 5): a tile of two rows costs nearly as much as one of six.
    `hoisted` rows lie side by side among the hoisted sums, this step's from `first_row` on.
    """
    tiles = integer(phase, word.TILES)
    lanes = integer(phase, word.LANES)
    sums_bytes = integer(phase, word.SUMS_BYTES)
    panel_bytes, hoisted_bytes = integer(phase, word.PANEL_BYTES), hoisted * sums_bytes
    sources, operands = advance(own, word.SOURCE_TABLE_AT), advance(own, word.OPERAND_TABLE_AT)
    hoisted_sums = advance(own, word.INPUTS_AT + 8 * capacity + integer(phase, word.HOIST_AT))
    rank, size = integer(own, word.RANK), integer(own, word.TEAM_SIZE)
    first_block = share(integer(phase, word.UNIT_BLOCKS), rank, size)
    end = share(integer(phase, word.UNIT_BLOCKS), rank + 1, size)
    groups = -(-(end - first_block) // integer(phase, word.REACH_WIDE if rows == 1 else word.REACH_BLOCKS))
    heights = -(-rows // integer(phase, word.REACH_ROWS))
    block = first_block
    for group in range(groups):
        wide = (end - block) // (groups - group)
        panel = advance(pointer(phase, word.PANELS), block * panel_bytes)
        kept = advance(hoisted_sums, (block - first_block) * hoisted_bytes)
        row = 0
        for tile in range(heights):
            high = -(-(rows - row) // (heights - tile))
            if tiles != 0:
                start, start_row, start_block = panel, 0, panel_bytes
                out, out_block = own, high * sums_bytes
                if which == INPUTS_ONLY:
                    out, out_block = advance(kept, row * sums_bytes), hoisted_bytes
                elif which == AFTER_INPUTS:
                    start = advance(kept, (first_row + row) * sums_bytes)
                    start_row = sums_bytes
                    start_block = hoisted_bytes
                variant = (high - 1) * BLOCKS_LIMIT + wide - 1
                memory.call_tile(
                    pointer(phase, word.TILES),
                    variant,
                    panel,
                    panel_bytes,
                    sources,
                    row,
                    start,
                    start_row,
                    start_block,
                    out,
                    out_block,
                )
                memory.count(counters, word.TILE_CALLS + variant, 1)
            if which != INPUTS_ONLY:
                memory.call_epilogue(
                    pointer(phase, word.EPILOGUE), own, operands, row, high, block * lanes, wide
                )
            row += high
        block += wide


@inner
def emit(call, own, step, rows, following):
    """To the caller's rows: this step's outputs, the repeats of them, and the final states of the rows from
    `following` on, which end.
    """
    program, newest = pointer(call, word.PROGRAM), word.VECTOR_PLACES_AT // 8 + ((step + 1) & 1)
    size, pitch = integer(call, word.Y_ROW_BYTES), integer(call, word.Y_PITCH_BYTES)
    apart = integer(call, word.Y_STRIDE)
    stride = integer(own, word.ROW_STEP)
    output, at = integer(program, word.OUTPUT), entry_of_step(call, own, step)
    values = pointer(own, newest + 2 * output)
    row_bytes = stride_of(own, vector_words(call, output))
    for i in range(rows):
        row = integer(pointer(call, word.Y_ROW), at + i * stride)
        repeat = integer(pointer(call, word.Y_REPEAT), at + i * stride)
        if row >= 0:
            for k in range((repeat if repeat > 0 else -repeat) + 1):
                place = (row + k * apart if repeat > 0 else row - k * apart) * pitch
                copy_share(
                    call, own, advance(pointer(call, word.Y), place), advance(values, i * row_bytes), size
                )
    for state in range(integer(program, word.STATES)):
        final = word.STATE_PLACES + 2 * state + 1
        if integer(call, final) != 0:
            size = integer(vector_words(call, state), word.VALUE_BYTES)
            values = pointer(own, newest + 2 * state)
            row_bytes = stride_of(own, vector_words(call, state))
            for i in range(following, rows):
                row = integer(pointer(call, word.FINAL_ROW), segment_of(call, own, i))
                if row >= 0:
                    copy_share(
                        call,
                        own,
                        advance(pointer(call, final), row * size),
                        advance(values, i * row_bytes),
                        size,
                    )


@inner
def steps_together(call, own, step, rows):
    """How many steps from `step` on have their inputs hoisted together: those with the same few rows, as many
    as there is room for.
    """
    if rows > integer(call, word.HOIST_LIMIT):
        return 0
    steps, room = 1, min(word.HOISTED_ROWS // rows, integer(call, word.STEP_END) - step)
    while steps < room and active_rows(call, own, step + steps) == rows:
        steps += 1
    return steps


@cfunc("void(int64, voidptr)")
def member(number, call):
    """Member `number` of a call: its part of the wave, from STEP_BEGIN to STEP_END.

    Steps are taken in turns: turn 0, if their inputs are hoisted, forms the products with the inputs for all
    of them; each following turn is one step.
    """
    program = pointer(call, word.PROGRAM)
    team = pointer(call, word.TEAM)
    members = integer(call, word.MEMBERS)
    in_units = integer(call, word.SHARES) == word.UNITS
    rank = join(team, members) if in_units else number
    if rank < 0:
        return
    size = integer(team, SIZE) if in_units else 1
    own = advance(pointer(call, word.WORKSPACE), rank * integer(call, word.MEMBER_BYTES))
    counters = advance(pointer(call, word.COUNTERS), rank * 8 * word.COUNTER_WORDS)
    put_integer(own, word.ROW_FIRST, 0 if in_units else rank)
    put_integer(own, word.ROW_STEP, 1 if in_units else members)
    put_integer(own, word.RANK, rank if in_units else 0)
    put_integer(own, word.TEAM_SIZE, size)
    find_vectors(call, own)
    mode = exchange_float_mode(integer(call, word.FLOAT_MODE))
    untouched_rows(call, rank, size if in_units else members)
    step, end = integer(call, word.STEP_BEGIN), integer(call, word.STEP_END)
    rows = active_rows(call, own, step)
    if step == 0:
        begin(call, own, rows)
        barrier(team, size)
    while step < end and rows > 0:
        hoisted = steps_together(call, own, step, rows)
        gather(call, own, step, max(1, hoisted), rows)
        following = rows
        for turn in range(1 if hoisted == 0 else 0, max(1, hoisted) + 1):
            which = WHOLE if hoisted == 0 else INPUTS_ONLY if turn == 0 else AFTER_INPUTS
            together = hoisted * rows if turn == 0 else rows
            if turn > 0:
                take_extra(call, own, step, rows)
            for p in range(integer(program, word.PHASES)):
                phase = advance(program, 8 * (integer(program, word.PHASE_TABLE) + p * word.PHASE_WORDS))
                list_vectors(call, own, phase, step, which)
                products(
                    own,
                    counters,
                    integer(call, word.CAPACITY),
                    phase,
                    which,
                    together,
                    (turn - 1) * rows,
                    hoisted * rows,
                )
                if turn > 0 and integer(phase, word.BARRIER) != 0:
                    barrier(team, size)
            if turn > 0:
                following = active_rows(call, own, step + 1)
                emit(call, own, step, rows, following)
                step += 1
        memory.count(
            counters, word.EVALUATIONS, max(1, hoisted) * rows if integer(own, word.RANK) == 0 else 0
        )
        rows = following
    exchange_float_mode(mode)
