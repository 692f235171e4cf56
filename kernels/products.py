"""The products of a phase: a member's units for the rows of a step, or of several steps' inputs together."""

from . import block as word
from . import memory
from .jit import inner
from .memory import advance, integer, pointer, put_integer, put_pointer
from .tile import BLOCKS_LIMIT

WHOLE, INPUTS_ONLY, AFTER_INPUTS = 0, 1, 2  # which products of a phase one pass forms


@inner
def share(count, rank, size):
    """Where the share of `rank` begins when `size` members divide `count` things; the next one's is its
    end.
    """
    return count * rank // size


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
def hoisted_sums(call, own, phase, half):
    """Where a phase's hoisted sums of these steps lie, and those of the steps that are hoisted next: in one
    `half` of the room for them, and in the other.
    """
    room = integer(phase, word.UNIT_BLOCKS) * word.HOISTED_ROWS * integer(phase, word.SUMS_BYTES)
    both = advance(own, word.INPUTS_AT + 8 * integer(call, word.CAPACITY) + integer(phase, word.HOIST_AT))
    return advance(both, half * room), advance(both, (1 - half) * room)


@inner
def products(own, counters, sums, phase, which, rows, first_row, hoisted, backwards):
    """The member's units of a phase for `rows` rows: tiles of sums, each followed by the epilogue, or kept if
    `which` is INPUTS_ONLY.

    Heights are balanced (32 rows as 6, 6, 5, 5, 5, 5): a tile of two rows costs nearly as much as one of six.
    `hoisted` rows lie side by side among the hoisted sums, this step's from `first_row` on. Steps pass the
    units forwards and `backwards` in turn: the panels that the last step has read are still near. One row of
    an LSTM or GRU of 64 units takes 8 % less time so, of 256 units 5 %.
    """
    tiles = integer(phase, word.TILES)
    lanes = integer(phase, word.LANES)
    sums_bytes = integer(phase, word.SUMS_BYTES)
    panel_bytes, hoisted_bytes = integer(phase, word.PANEL_BYTES), hoisted * sums_bytes
    sources, operands = advance(own, word.SOURCE_TABLE_AT), advance(own, word.OPERAND_TABLE_AT)
    rank, size = integer(own, word.RANK), integer(own, word.TEAM_SIZE)
    first_block = share(integer(phase, word.UNIT_BLOCKS), rank, size)
    end = share(integer(phase, word.UNIT_BLOCKS), rank + 1, size)
    groups = -(-(end - first_block) // integer(phase, word.REACH_WIDE if rows == 1 else word.REACH_BLOCKS))
    heights = -(-rows // integer(phase, word.REACH_ROWS))
    left = end - first_block
    for group in range(groups):
        wide = left // (groups - group)
        block = first_block + left - wide if backwards else end - left
        left -= wide
        panel = advance(pointer(phase, word.PANELS), block * panel_bytes)
        kept = advance(sums, (block - first_block) * hoisted_bytes)
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


@inner
def products_ahead(own, counters, sums, later_sums, phase, turn, together, backwards):
    """`products` of a single row AFTER_INPUTS, and beside them the products with the inputs of the steps that
    are hoisted next: a part in every turn, and after the last all of them, in `later_sums`.

    A part of a block's inputs is taken for all those steps before the next one, while its weights are near.
    """
    hoisted, lanes = word.AHEAD_TILES * together, integer(phase, word.LANES)
    sums_bytes, panel_bytes = integer(phase, word.SUMS_BYTES), integer(phase, word.PANEL_BYTES)
    inputs = advance(own, word.INPUTS_AT)
    sources, operands = advance(own, word.SOURCE_TABLE_AT), advance(own, word.OPERAND_TABLE_AT)
    depth, offset = integer(phase, word.INPUT_DEPTH), integer(phase, word.INPUT_AT)
    rank, size = integer(own, word.RANK), integer(own, word.TEAM_SIZE)
    first_block = share(integer(phase, word.UNIT_BLOCKS), rank, size)
    end = share(integer(phase, word.UNIT_BLOCKS), rank + 1, size)
    panels = advance(pointer(phase, word.PANELS), first_block * panel_bytes)
    blocks = end - first_block
    groups = -(-blocks // integer(phase, word.REACH_WIDE))
    later_block, rest = (turn - 1) * blocks // hoisted, (turn - 1) * blocks % hoisted
    part, tile = rest // word.AHEAD_TILES, rest % word.AHEAD_TILES
    begin, stop = share(depth, part, together), share(depth, part + 1, together)
    left = blocks
    for group in range(groups):
        wide = left // (groups - group)
        block = left - wide if backwards else blocks - left
        left -= wide
        for b in range(wide):
            later_panel = advance(panels, later_block * panel_bytes)
            later = advance(later_sums, (later_block * hoisted + tile * together) * sums_bytes)
            memory.call_ahead(
                pointer(phase, word.AHEAD),
                advance(panels, (block + b) * panel_bytes),
                sources,
                advance(sums, ((block + b) * hoisted + turn - 1) * sums_bytes),
                advance(own, b * sums_bytes),
                later_panel if part == 0 else later,
                0 if part == 0 else sums_bytes,
                later,
                advance(later_panel, offset + begin * integer(phase, word.INPUT_BYTES)),
                advance(inputs, 8 * tile * together),
                begin,
                stop - begin,
            )
            tile += 1
            if tile == word.AHEAD_TILES:
                tile, part = 0, part + 1
                if part == together:
                    part, later_block = 0, later_block + 1
                begin, stop = share(depth, part, together), share(depth, part + 1, together)
        memory.count(counters, word.TILE_CALLS, wide)
        memory.call_epilogue(
            pointer(phase, word.EPILOGUE), own, operands, 0, 1, (first_block + block) * lanes, wide
        )
