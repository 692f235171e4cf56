"""Faults of tiles, loops, threads and memory."""

from .mutation import TRUTH, Mutation

SEQUENCE, PRODUCTS, TILE = "kernels/sequence_cpu.py", "kernels/products.py", "kernels/tile.py"
CALL, DISPATCH = "numbarnn/call.py", "numbarnn/dispatch.py"

MUTATIONS = [
    Mutation(
        "rows beyond the last whole tile are left out",
        PRODUCTS,
        "for tile in range(heights):",
        "for tile in range(heights - 1 if heights > 1 else 1):",
    ),
    Mutation(
        "the last group of units is left out",
        PRODUCTS,
        "left = end - first_block\n    for group in range(groups):",
        "left = end - first_block\n    for group in range(groups - 1 if groups > 1 else 1):",
    ),
    Mutation(
        "all hoisted steps have the sums of the first",
        PRODUCTS,
        "start = advance(kept, (first_row + row) * sums_bytes)",
        "start = advance(kept, row * sums_bytes)",
    ),
    Mutation(
        "every part of the products ahead starts from the bias",
        PRODUCTS,
        "later_panel if part == 0 else later",
        "later_panel",
        ("ahead",),
    ),
    Mutation(
        "products ahead overwrite those of their own steps",
        PRODUCTS,
        "return advance(both, half * room), advance(both, (1 - half) * room)",
        "return both, both",
        ("ahead",),
    ),
    Mutation(
        "every part of the products ahead has the weights of the first",
        PRODUCTS,
        "advance(later_panel, offset + begin * integer(phase, word.INPUT_BYTES))",
        "advance(later_panel, offset)",
        ("ahead",),
    ),
    Mutation(
        "offsets of inputs have 32 bits",
        SEQUENCE,
        "advance(pointer(call, word.X), at * size)",
        "advance(pointer(call, word.X), at * size % 4294967296 if at > 0 else at * size)",
        ("edges",),
    ),
    Mutation(
        "row numbers of inputs have 31 bits",
        SEQUENCE,
        "at = integer(x_row, row * integer(own, word.ROW_STEP))",
        """at = integer(x_row, row * integer(own, word.ROW_STEP))
            at = at % 2147483648 if at > 0 else at""",
        ("edges",),
    ),
    Mutation(
        "products are not fused in tiles of one row",
        TILE,
        "builder.store(vectors.fma(value, weight, builder.load(total)), total)",
        """if len(values) == 1:
                product = builder.fmul(value, weight)
                builder.store(builder.fadd(product, builder.load(total)), total)
            else:
                builder.store(vectors.fma(value, weight, builder.load(total)), total)""",
        ("bits",),
    ),
    Mutation(
        "tiles of one row add from the last product to the first",
        TILE,
        "    with cgutils.for_range(builder, depth, intp=I64) as loop:\n",
        """    with cgutils.for_range(builder, depth, intp=I64) as loop:
        if len(values) == 1:
            loop = loop._replace(index=builder.sub(builder.sub(depth, I64(1)), loop.index))
""",
        ("bits",),
    ),
    Mutation(
        "several threads round otherwise than one",
        SEQUENCE,
        "mode = exchange_float_mode(integer(call, word.FLOAT_MODE))",
        "mode = exchange_float_mode(integer(call, word.FLOAT_MODE) + (8192 if members > 1 else 0))",
        ("bits", "threads"),
    ),
    Mutation(
        "the caller's floating-point mode is not restored",
        SEQUENCE,
        "        rows = following\n    exchange_float_mode(mode)",
        "        rows = following",
        ("modes",),
    ),
    Mutation(
        "the caller's floating-point mode is used",
        SEQUENCE,
        "    mode = exchange_float_mode(integer(call, word.FLOAT_MODE))\n",
        """    mode = exchange_float_mode(integer(call, word.FLOAT_MODE))
    exchange_float_mode(mode)
""",
        ("modes",),
    ),
    Mutation(
        "subnormal numbers are flushed",
        CALL,
        "from .kernels.atomics import DEFAULT_MODE",
        "from .kernels.atomics import FLUSH_MODE as DEFAULT_MODE",
        ("edges",),
    ),
    Mutation(
        "members do not wait for each other",
        SEQUENCE,
        "if turn > 0 and integer(phase, word.BARRIER) != 0:",
        "if turn < 0:",
        ("bits", "threads"),
    ),
    Mutation(
        "units that do not divide evenly are left to nobody",
        PRODUCTS,
        "return count * rank // size",
        "return count // size * rank",
        ("bits", "threads"),
    ),
    Mutation(
        "whole vectors are written to outputs",
        SEQUENCE,
        "smaller(size, share(blocks, rank + 1, members) * block_bytes) - start",
        "share(blocks, rank + 1, members) * block_bytes - start",
        ("memory",),
    ),
    Mutation(
        "masked inputs are set to 0 in place",
        "numbarnn/batch.py",
        "        return plan.build(self.B, self.T,",
        """        if "mask" in self.described and self.rows.ndim == 2 and self.x.flags.writeable:
            self.rows[~self.described["mask"].reshape(-1)] = 0.0
        return plan.build(self.B, self.T,""",
        ("memory",),
    ),
    Mutation(
        "an output may lie over an input",
        "numbarnn/checks.py",
        "if _share(array, other):",
        "if other is array:",
        ("memory",),
    ),
    Mutation(
        "a call kept for inputs in one layout serves another",
        DISPATCH,
        "if call.plan is not steps_plan or",
        "if any(len(a) != len(b) for a, b in zip(call.plan[:7], steps_plan[:7], strict=True)) or",
        ("edges",),
    ),
    Mutation(
        "new states are multiplied where old ones are meant",
        "kernels/program.py",
        "return [2 if name in multiplied and name in self.cell.states else 1 for name in self.computed]",
        "return [1 for name in self.computed]",
        (*TRUTH, "bits"),
    ),
    Mutation(
        "extra inputs are numbered as rows of the batch, not of the inputs",
        SEQUENCE,
        "taken = advance(given, integer(x_row, row * integer(own, word.ROW_STEP)) * pitch + start)",
        "taken = advance(given, row * pitch + start)",
        ("users",),
    ),
    Mutation(
        "hoisted steps all have the extra inputs of the step before them",
        SEQUENCE,
        """            if turn > 0:
                take_extra(call, own, step, rows)
""",
        """            if turn > 0 and hoisted == 0:
                take_extra(call, own, step, rows)
""",
        ("users",),
    ),
    Mutation(
        "one value per row is read as one per unit",
        "kernels/emit_cpu.py",
        "columns = [I64(0) if name in single else column for name in (*read, *graph.outputs)]",
        "columns = [column for name in (*read, *graph.outputs)]",
        ("users",),
    ),
    Mutation(
        "members that divide the rows keep them apart from those of others",
        "kernels/sequence_cpu.py",
        "start += integer(own, word.ROW_FIRST) * integer(words, word.STRIDE_BYTES)",
        "start += integer(own, word.ROW_FIRST) * integer(words, word.STRIDE_BYTES) * 2",
        ("schedules",),
    ),
    Mutation(
        "setting out in another way costs nothing",
        "kernels/ways.py",
        "entered = least[0, k] + entering[k]",
        "entered = least[0, k]",
        ("schedules",),
    ),
]
