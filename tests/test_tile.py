"""Tiles: every sum has the bits of one plain loop, in every variant, on every width of vectors.

The loop rounds once per product and sum, in exact rational arithmetic. Around everything that a tile reads
lies NaN, and around what it writes a pattern; all of it is aligned to one element and no better.
"""

import ctypes
import math
import re
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from numbarnn.kernels import block, halves, jit, simd, tile

SHAPES = {
    "lstm": tile.Shape(4, ((0, 1, 2, 3), (0, 1, 2, 3)), True),
    "gru": tile.Shape(4, ((0, 1, 2), (0, 1, 3)), True),
    "one": tile.Shape(1, ((0,), (0,)), False),
    "two": tile.Shape(2, ((0, 1), (1, 0)), True),
    "three_sources": tile.Shape(3, ((0, 1, 2), (2,), (1, 0)), True),
}
PLAIN = simd.Target("plain", 128, 16, False)
FUSED = [simd.Target("fused", bits, 32 if bits == 512 else 16, True) for bits in (128, 256, 512)]
TARGETS = [PLAIN, *FUSED] if simd.target().has_fma else [PLAIN]
N, P = ctypes.c_int64, ctypes.c_void_p
TILES = ctypes.CFUNCTYPE(None, N, P, N, P, N, P, N, N, P, N)
ROWS, UNITS, DEPTHS = 7, 128, (3, 2, 1)
CANARY = 0xA5

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])
unread = pytest.mark.skipif(
    not simd.widens_float16(), reason="this target has no instruction that reads float16"
)
kinds = pytest.mark.parametrize(
    ("dtype", "weights_dtype"),
    [
        (np.float32, None),
        (np.float64, None),
        (np.float32, "bfloat16"),
        pytest.param(np.float32, "float16", marks=unread),
    ],
)
targets = pytest.mark.parametrize("target", TARGETS, ids=lambda to: f"{to.name}{to.vector_bits}")
shapes = pytest.mark.parametrize("name", SHAPES)


def rounded(exact, dtype):
    """The number of `dtype` nearest to a fraction, ties to even, away from the ends of the range."""
    if exact == 0:
        return 0.0
    place = math.frexp(float(exact))[1] - np.finfo(dtype).nmant - 1
    return math.ldexp(round(exact / Fraction(2) ** place), place)


def multiply_add(a, b, c, dtype, fused):
    """a b + c of floats, rounded once, or twice."""
    product = Fraction(float(a)) * Fraction(float(b))
    return rounded((product if fused else Fraction(rounded(product, dtype))) + Fraction(float(c)), dtype)


@cache
def problem(name, dtype, depths=DEPTHS, weights_dtype=None):
    """Biases (sum, unit), and per source weights (k, fed sum, unit), rounded where they must be, and values
    (row, k).
    """
    rng = np.random.default_rng(5)
    shape = SHAPES[name]
    feeds = list(zip(shape.feeds, depths, strict=False))
    bias = rng.normal(size=(shape.sums, UNITS)).astype(dtype)
    weights = [rng.normal(size=(k, len(fed), UNITS)).astype(dtype) for fed, k in feeds]
    weights = [halves.rounded(weight, weights_dtype) for weight in weights]
    values = [rng.normal(size=(ROWS, k)).astype(dtype) for _, k in feeds]
    return bias, weights, values


@cache
def expected(name, dtype, fused, weights_dtype=None):
    """The sums (row, sum, unit) by the plain loop."""
    bias, weights, values = problem(name, dtype, weights_dtype=weights_dtype)
    sums = np.repeat(bias[None].astype(object), ROWS, axis=0)
    step = np.frompyfunc(lambda a, b, c: multiply_add(a, b, c, dtype, fused), 3, 1)
    for fed, weight, value in zip(SHAPES[name].feeds, weights, values, strict=True):
        for k in range(len(weight)):
            for j, a in enumerate(fed):
                sums[:, a] = step(value[:, k, None], weight[k, j], sums[:, a])
    return sums.astype(dtype)


def surrounded(array, dtype):
    """Address of the elements of `array`, one off a cache line, between NaNs; and what keeps them alive."""
    buffer = np.full(array.size + 64, np.nan, dtype)
    first = -buffer.ctypes.data % 64 // buffer.itemsize + 17
    buffer[first : first + array.size] = array.ravel()
    return buffer[first:].ctypes.data, buffer


def packed(bias, weights, lanes, dtype, weights_dtype=None):
    """Panels one after another, and the bytes of one."""
    parts = [_blocks(bias, lanes).view(np.uint8)]
    for weight in weights:
        stored = weight if weights_dtype is None else halves.to_bits(weight, weights_dtype)
        vectors = _blocks(stored.reshape(-1, UNITS), lanes).reshape(UNITS // lanes, *weight.shape[:2], lanes)
        if weights_dtype is not None:
            halves.arrange(vectors, weights_dtype)
        parts.append(vectors.reshape(len(vectors), vectors[0].size).view(np.uint8))
    panels = np.concatenate(parts, axis=1)
    missing = -panels.shape[1] % dtype.itemsize
    panels = np.pad(panels, ((0, 0), (0, missing)), constant_values=CANARY)
    return *surrounded(panels.view(dtype), dtype), panels.shape[1]


def _blocks(vectors, lanes):
    """Vectors of all units, block by block of them."""
    blocks = UNITS // lanes
    return vectors.reshape(len(vectors), blocks, lanes).swapaxes(0, 1).reshape(blocks, len(vectors) * lanes)


class Runner:
    """Compiled tiles, and one problem for them."""

    def __init__(self, name, dtype, target, given, weights_dtype=None):
        self.shape, self.dtype, self.lanes = SHAPES[name], np.dtype(dtype), target.lanes(dtype)
        self.call = TILES(tile.tiles(self.shape, self.dtype, target, weights_dtype))
        self.variants = tile.variants(tile.heights(self.shape.sums, target))
        bias, weights, values = given
        self.panel, self.keep, self.panel_bytes = packed(bias, weights, self.lanes, self.dtype, weights_dtype)
        self.keep, offset, sources = [self.keep], self.shape.sums * self.lanes * self.dtype.itemsize, []
        weight_bytes = self.lanes * (self.dtype.itemsize if weights_dtype is None else 2)
        for s, (weight, value) in enumerate(zip(weights, values, strict=True)):
            if s == 0 and self.shape.gathers:
                rows = [surrounded(row, dtype) for row in value]
                place, apart = np.array([start for start, _ in rows], np.int64), 0
                self.keep += [rows, place]
                place = place.ctypes.data
            else:
                apart = value.shape[1] + 3  # NaN between the rows
                padded = np.full((len(value), apart), np.nan, dtype)
                padded[:, : value.shape[1]] = value
                place, kept = surrounded(padded, dtype)
                self.keep.append(kept)
            sources.append([place, apart * self.dtype.itemsize, len(weight), offset])
            offset += weight.shape[0] * weight.shape[1] * weight_bytes
        self.sources = np.array(sources, np.int64)

    def sums(self, rows, blocks, row=0, first=0):
        """Sums (row, sum, unit) by one call; two, the second starting where the first ended, do the same."""
        variant, panel = (rows - 1) * tile.BLOCKS_LIMIT + blocks - 1, self.panel + first * self.panel_bytes
        shape = blocks, rows, self.shape.sums, self.lanes

        def call(sources, start, out):
            words = (panel, self.panel_bytes, sources.ctypes.data, row)
            self.call(variant, *words, *start, out.ctypes.data, out.strides[0])

        whole = self.surrounded_by_canaries(
            shape, lambda out: call(self.sources, (panel, 0, self.panel_bytes), out)
        )
        kept = np.full(
            (blocks, rows + 2, *shape[2:]), np.nan, self.dtype
        )  # other rows lie between the blocks
        only = self.sources * np.array([1, 1, 0, 1])  # no source has a k ...
        only[0, 2] = self.sources[0, 2]  # ... but the first
        call(only, (panel, 0, self.panel_bytes), kept)
        rest = self.sources.copy()
        rest[0, 2] = 0
        start = kept.ctypes.data, kept.strides[1], kept.strides[0]
        assert_same_bits(self.surrounded_by_canaries(shape, lambda out: call(rest, start, out)), whole)
        assert np.isnan(kept[:, rows:]).all()
        return whole.transpose(1, 2, 0, 3).reshape(rows, self.shape.sums, blocks * self.lanes)

    def surrounded_by_canaries(self, shape, write):
        """What `write` makes of an array. What lies before and after it is untouched."""
        count, size = math.prod(shape), self.dtype.itemsize
        buffer = np.full(count * size + 256, CANARY, np.uint8)
        begin = -buffer.ctypes.data % 64 + 64 + size
        end = begin + count * size
        written = buffer[begin:end].view(self.dtype).reshape(shape)
        write(written)
        assert (buffer[:begin] == CANARY).all() and (buffer[end:] == CANARY).all()
        return written


def assert_same_bits(got, right):
    got, right = (np.ascontiguousarray(array).view(f"u{got.itemsize}") for array in (got, right))
    np.testing.assert_array_equal(got, right)


@targets
@kinds
@shapes
def test_every_variant_has_the_bits_of_the_loop(name, dtype, weights_dtype, target):
    """Whatever the number of rows and blocks, wherever they begin, and whatever weights are kept in."""
    given = problem(name, dtype, weights_dtype=weights_dtype)
    runner = Runner(name, dtype, target, given, weights_dtype)
    right = expected(name, dtype, target.has_fma, weights_dtype)
    for rows, blocks in runner.variants:
        for row, first in ((0, 0), (ROWS - rows, UNITS // runner.lanes - blocks)):
            units = slice(first * runner.lanes, (first + blocks) * runner.lanes)
            assert_same_bits(runner.sums(rows, blocks, row, first), right[row : row + rows, :, units])


@targets
@dtypes
@pytest.mark.parametrize("depths", [(0, 0), (0, 1), (1, 0)])
def test_sources_without_values(depths, dtype, target):
    """No k leaves the bias, one k adds one product."""
    bias, weights, values = problem("gru", dtype, depths)
    runner = Runner("gru", dtype, target, (bias, weights, values))
    right = np.repeat(bias[None], ROWS, axis=0)
    for fed, weight, value in zip(SHAPES["gru"].feeds, weights, values, strict=True):
        for j, a in enumerate(fed if len(weight) else ()):
            right[:, a] = np.vectorize(multiply_add)(value, weight[0, j], bias[a], dtype, target.has_fma)
    for rows, blocks in runner.variants:
        assert_same_bits(runner.sums(rows, blocks), right[:rows, :, : blocks * runner.lanes])


@targets
@dtypes
def test_nan_stays_in_its_row_and_its_sums(dtype, target):
    """A NaN among the inputs reaches the sums of that row that they feed; so does infinity times zero."""
    bias, weights, values = problem("gru", dtype)
    clean = Runner("gru", dtype, target, (bias, weights, values))
    weights, values = [weight.copy() for weight in weights], [value.copy() for value in values]
    values[0][1, 0], values[1][2, 1], weights[1][1] = np.nan, np.inf, 0.0
    dirty = Runner("gru", dtype, target, (bias, weights, values))
    for rows, blocks in dirty.variants:
        for row in range(min(3, ROWS - rows + 1)):
            got, nan = dirty.sums(rows, blocks, row), np.zeros((rows, 4), bool)
            for dirty_row, sums in ((1, [0, 1, 2]), (2, [0, 1, 3])):
                if 0 <= dirty_row - row < rows:
                    nan[dirty_row - row, sums] = True
            assert (np.isnan(got) == nan[:, :, None]).all()
            fed_by_x = clean.sums(rows, blocks, row)[:, 2]  # the zeroed weight is another source's
            assert_same_bits(got[:, 2][~nan[:, 2]], fed_by_x[~nan[:, 2]])


def test_a_tile_fits_the_registers_and_its_workspace():
    """Sums and a broadcast value in registers, sums in a member's workspace, whatever a cell's phase asks."""
    for target in (PLAIN, *FUSED):
        for sums in range(1, 13):
            reach = tile.heights(sums, target)
            most = sums * max(reach.rows * reach.blocks, reach.wide_blocks)
            assert most < target.registers, f"{sums} sums, {target}: {reach}"
            assert most * target.vector_bits // 8 <= block.SOURCE_TABLE_AT, f"{sums} sums, {target}: {reach}"
            assert max(reach.blocks, reach.wide_blocks) <= tile.BLOCKS_LIMIT


def emitted(monkeypatch, target, weights_dtype=None):
    """The tiles' LLVM IR and assembly."""

    @global_compiler_lock
    def compile_ir(name, key, build):
        library = cpu_target.target_context.codegen().create_library(name)
        module = library.create_ir_module(name)
        build(module, name)
        source = str(module)
        library.add_ir_module(module)
        library.finalize()
        return source, library.get_asm_str()

    monkeypatch.setattr(jit, "compile_ir", compile_ir)
    return tile.tiles(SHAPES["gru"], np.dtype(np.float32), target, weights_dtype)


@targets
@pytest.mark.parametrize("weights_dtype", [None, "bfloat16", pytest.param("float16", marks=unread)])
def test_nothing_is_called(weights_dtype, target, monkeypatch):
    """No function of a library: `fma` would be one where the CPU has no such instruction, and so would what
    reads a float16.
    """
    source, assembly = emitted(monkeypatch, target, weights_dtype)
    called = set(re.findall(r'call .*?@"?([\w.$]+)', source))
    assert called <= {f"llvm.fma.v{target.lanes(np.float32)}f32"}
    assert not re.search(r"^\s*(callq?|blr?|jalr?)\s", assembly, re.MULTILINE)
    assert not re.search(r"\bfmaf?\b", assembly)
    assert "fast" not in source and "contract" not in source


@pytest.mark.skipif("x86" not in jit.target_key()[0], reason="reads the names of x86 instructions")
@targets
def test_products_are_fused_or_not_as_the_target_says(target, monkeypatch):
    """Not even an optimiser may fuse what is written as two operations, or the reverse."""
    _, assembly = emitted(monkeypatch, target)
    assert ("vfmadd" in assembly) == target.has_fma
    assert bool(re.search(r"v?mulps", assembly)) != target.has_fma
