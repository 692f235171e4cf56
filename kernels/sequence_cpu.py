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
from .memory import (
    advance,
    clear,
    copy,
    integer,
    larger,
    pointer,
    put_integer,
    put_pointer,
    smaller,
)
from .products import (
    AFTER_INPUTS,
    INPUTS_ONLY,
    WHOLE,
    hoisted_sums,
    list_vectors,
    products,
    products_ahead,
    share,
    stride_of,
    vector_words,
)
from .team import SIZE, barrier, join


@inner
def active_rows(call, own, step):
    """This member's rows that still run at `step`."""
    if step >= integer(call, word.STEPS):
        return 0
    running = smaller(integer(pointer(call, word.ACTIVE), step), integer(call, word.WAVE_END))
    running -= integer(call, word.WAVE_BEGIN) + integer(own, word.ROW_FIRST)
    stride = integer(own, word.ROW_STEP)
    return larger(0, (running + stride - 1) // stride)


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
def unit_bytes(call, own, size):
    """Where the member's units of a row of `size` bytes begin and how many bytes they take, exactly."""
    block_bytes = integer(pointer(call, word.PROGRAM), word.BLOCK_BYTES)
    blocks, rank, members = -(-size // block_bytes), integer(own, word.RANK), integer(own, word.TEAM_SIZE)
    start = smaller(size, share(blocks, rank, members) * block_bytes)
    return start, smaller(size, share(blocks, rank + 1, members) * block_bytes) - start


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
        pitch, stride = integer(words, word.VALUE_BYTES), stride_of(own, words)
        start, size = (0, pitch) if integer(words, word.PRIVATE) != 0 else unit_bytes(call, own, pitch)
        for row in range(rows):
            taken = advance(given, integer(x_row, row * integer(own, word.ROW_STEP)) * pitch + start)
            copy(advance(values, row * stride + start), taken, size)


@inner
def emit(call, own, step, rows, following):
    """To the caller's rows: this step's outputs, the repeats of them, and the final states of the rows from
    `following` on, which end.
    """
    program, newest = pointer(call, word.PROGRAM), word.VECTOR_PLACES_AT // 8 + ((step + 1) & 1)
    output, at = integer(program, word.OUTPUT), entry_of_step(call, own, step)
    stride = integer(own, word.ROW_STEP)
    pitch, apart = integer(call, word.Y_PITCH_BYTES), integer(call, word.Y_STRIDE)
    start, size = unit_bytes(call, own, integer(call, word.Y_ROW_BYTES))
    y, values = advance(pointer(call, word.Y), start), advance(pointer(own, newest + 2 * output), start)
    row_bytes = stride_of(own, vector_words(call, output))
    for i in range(rows):
        row = integer(pointer(call, word.Y_ROW), at + i * stride)
        repeat = integer(pointer(call, word.Y_REPEAT), at + i * stride)
        if row >= 0:
            for k in range((repeat if repeat > 0 else -repeat) + 1):
                place = (row + k * apart if repeat > 0 else row - k * apart) * pitch
                copy(advance(y, place), advance(values, i * row_bytes), size)
    for state in range(integer(program, word.STATES)):
        final = word.STATE_PLACES + 2 * state + 1
        if following < rows and integer(call, final) != 0:
            words = vector_words(call, state)
            pitch, row_bytes = integer(words, word.VALUE_BYTES), stride_of(own, words)
            start, size = unit_bytes(call, own, pitch)
            target = advance(pointer(call, final), start)
            values = advance(pointer(own, newest + 2 * state), start)
            for i in range(following, rows):
                row = integer(pointer(call, word.FINAL_ROW), segment_of(call, own, i))
                if row >= 0:
                    copy(advance(target, row * pitch), advance(values, i * row_bytes), size)


@inner
def goes_ahead(call, own, step, rows, hoisted):
    """Whether beside the `hoisted` steps from `step` on there go the inputs of as many that follow."""
    together = integer(call, word.AHEAD_ROWS)
    if rows != 1 or together == 0 or hoisted != word.AHEAD_TILES * together:
        return False
    following = active_rows(call, own, step + hoisted)
    return following == 1 and steps_together(call, own, step + hoisted, 1) == hoisted


@inner
def steps_together(call, own, step, rows):
    """How many steps from `step` on have their inputs hoisted together: those with the same few rows, as many
    as there is room for.
    """
    if rows == 0 or rows > integer(call, word.HOIST_LIMIT):
        return 0
    ahead = word.AHEAD_TILES * integer(call, word.AHEAD_ROWS)
    most = ahead if rows == 1 and ahead > 0 else word.HOISTED_ROWS // rows
    steps, room = 1, smaller(most, integer(call, word.STEP_END) - step)
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
    together = integer(call, word.AHEAD_ROWS)
    half, ready = 0, False
    while step < end and rows > 0:
        hoisted = steps_together(call, own, step, rows)
        ahead = goes_ahead(call, own, step, rows, hoisted)
        if not ready:
            gather(call, own, step, larger(1, hoisted), rows)
        following = rows
        for turn in range(1 if hoisted == 0 or ready else 0, larger(1, hoisted) + 1):
            which = WHOLE if hoisted == 0 else INPUTS_ONLY if turn == 0 else AFTER_INPUTS
            if turn == 1 and ahead:
                gather(call, own, step + hoisted, hoisted, 1)
            if turn > 0:
                take_extra(call, own, step, rows)
            for p in range(integer(program, word.PHASES)):
                phase = advance(program, 8 * (integer(program, word.PHASE_TABLE) + p * word.PHASE_WORDS))
                list_vectors(call, own, phase, step, which)
                sums, later_sums = hoisted_sums(call, own, phase, half)
                backwards = (step & 1) != 0
                if ahead and turn > 0 and integer(phase, word.TILES) != 0:
                    products_ahead(own, counters, sums, later_sums, phase, turn, together, backwards)
                else:
                    products(
                        own,
                        counters,
                        sums,
                        phase,
                        which,
                        hoisted * rows if turn == 0 else rows,
                        (turn - 1) * rows,
                        hoisted * rows,
                        backwards,
                    )
                if turn > 0 and integer(phase, word.BARRIER) != 0:
                    barrier(team, size)
            if turn > 0:
                following = active_rows(call, own, step + 1)
                emit(call, own, step, rows, following)
                step += 1
        memory.count(
            counters, word.EVALUATIONS, larger(1, hoisted) * rows if integer(own, word.RANK) == 0 else 0
        )
        ready, half = ahead, 1 - half if ahead else half
        rows = following
    exchange_float_mode(mode)
