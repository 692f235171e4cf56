"""A cell with its weights, made ready: traced, packed, compiled, and written down as the program that the
loops follow.
"""

import threading
from collections import deque
from functools import cached_property

import numpy as np

from . import ahead, block
from .definition import PER_ROW
from .emit_cpu import epilogue
from .matrices import Weights
from .pack import pack, panel_vectors, shape
from .simd import target
from .tile import heights, tiles

_MAKING = threading.Lock()
KEPT_CALLS = 8


class Program:
    """One cell of one size with its weights.

    Parameters
    ----------
    cell : Cell
    options : dict
        The functions' keyword arguments, such as activations.
    sizes : dict
        See `matrices.sizes_of`.
    arrays : dict of str to ndarray
        Weights, see `matrices.Weights`; at least ``kernel``.
    empty : callable
        ``empty(shape, dtype)`` allocates, aligned to 64 bytes.
    weights_dtype : str, optional
        Of the matrices, where they are kept in 16 bits; one of `halves.DTYPES`.

    Notes
    -----
    Immutable: new weights are a new program. The tables and the machine code behind them are made when
    they are first asked for.
    """

    def __init__(self, cell, options, sizes, arrays, empty, weights_dtype=None):
        self.cell, self.options, self.empty = cell, cell.options | options, empty
        self.sizes, self.weights = sizes, Weights(cell, sizes, arrays, weights_dtype)
        self.input_size, self.dtype = arrays["kernel"].shape[0], arrays["kernel"].dtype
        self._table = None
        self.calls, self.device_calls = deque(maxlen=KEPT_CALLS), deque(maxlen=KEPT_CALLS)  # to be run again
        self.on_devices = {}  # what the front end has made ready there
        self.prices = {}  # seconds that it expects steps to take
        results = [result for phase in cell.phases for result in phase.results]
        self.computed = tuple(dict.fromkeys([*cell.states, *results]))
        self.vectors = (*self.computed, *cell.parameters, *cell.extra)
        self.depths = {"x": self.input_size} | {name: sizes[cell.size_of[name]] for name in self.vectors}
        self.phase_units = [sizes[phase.units] for phase in cell.phases]
        self.output_size = self.depths[cell.output]
        self.no_states = 2 * ([None] * len(cell.states),)  # initial and final ones, of a call without any

    def __reduce__(self):
        """Copies and pickles hold what it was made from: addresses mean nothing elsewhere."""
        made_from = self.cell, self.options, self.sizes, self.weights.arrays, self.empty, self.weights.dtype
        return Program, made_from

    @cached_property
    def graphs(self):
        return self.cell.graphs(self.options)

    @cached_property
    def evaluation_flops(self):
        """Floating-point operations of one row's products in one step, of whole vectors of units."""
        return self._flops_of(lambda source: True)

    def _flops_of(self, chosen):
        return 2 * sum(
            self._padded(units) * self.depths[source]
            for phase, units in zip(self.cell.phases, self.phase_units, strict=True)
            for total in phase.sums
            for source in total.sources
            if chosen(source)
        )

    @cached_property
    def input_share(self):
        """Of the products, those with the inputs."""
        return self._flops_of(lambda source: source == "x") / max(1, self.evaluation_flops)

    @cached_property
    def weight_bytes(self):
        """Of the matrices, which every step reads."""
        return self.evaluation_flops // 2 * self.panel_dtype.itemsize

    @cached_property
    def weights_dtype(self):
        """What the matrices are kept in."""
        return self.weights.dtype or self.dtype.name

    @property
    def panel_dtype(self):
        """Of the packed weights, as NumPy knows it: 16 bits are plain bits."""
        return self.dtype if self.weights.dtype is None else np.dtype(np.uint16)

    @cached_property
    def target(self):
        return target()

    @cached_property
    def reach(self):
        """How far the tiles reach, in the first phase that has products."""
        counts = [len(phase.sums) for phase in self.cell.phases if phase.sums]
        return heights(counts[0] if counts else 1, self.target)

    @cached_property
    def ahead_rows(self):
        """Rows of later steps that can go beside a single row, see `ahead`: 0 unless all phases agree.
        Weights in 16 bits are not waited for.
        """
        found = {ahead.rows(shape(phase), self.target) for phase in self.cell.phases if phase.sums}
        return found.pop() if len(found) == 1 and self.weights.dtype is None else 0

    @cached_property
    def unit_blocks(self):
        """Blocks of units, one vector wide each: what members that divide the units divide."""
        return -(-max(self.phase_units) // self.target.lanes(self.dtype))

    @cached_property
    def buffers(self):
        """Old values of a state that is multiplied must outlive the writing of the new ones, which other
        units still need.
        """
        multiplied = {source for phase in self.cell.phases for source in phase.sources}
        return [2 if name in multiplied and name in self.cell.states else 1 for name in self.computed]

    def _padded(self, size):
        """Elements of whole vectors."""
        lanes = self.target.lanes(self.dtype)
        return -(-size // lanes) * lanes

    def _stride_bytes(self, name):
        """Whole vectors from row to row; not a multiple of 512 bytes, which would put the rows of a tile into
        the same cache sets.
        """
        padded = -(-self._padded(self.depths[name]) * self.dtype.itemsize // 64) * 64
        return padded + 64 if padded % 512 == 0 else padded

    @cached_property
    def _per_row(self):
        """Extra inputs that have one value per row: each member keeps its own."""
        return [name for name, size in self.cell.extra.items() if size == PER_ROW]

    @cached_property
    def bytes_per_row(self):
        """Workspace of one row of all vectors."""
        computed = zip(self.computed, self.buffers, strict=True)
        extra = (self._stride_bytes(name) for name in self.cell.extra if name not in self._per_row)
        return sum(buffers * self._stride_bytes(name) for name, buffers in computed) + sum(extra)

    @cached_property
    def _hoisted_bytes(self):
        """Per phase: the sums of all its units for `HOISTED_ROWS` rows of these steps and, where they can be
        formed ahead, of the next ones.
        """
        rows = block.HOISTED_ROWS * (2 if self.ahead_rows else 1)
        return [
            rows * self._padded(units) * len(phase.sums) * self.dtype.itemsize
            for phase, units in zip(self.cell.phases, self.phase_units, strict=True)
        ]

    def member_bytes(self, capacity):
        """Workspace that a member has to itself, where a wave has up to `capacity` rows."""
        per_row = -(-capacity * len(self._per_row) * self.dtype.itemsize // 64) * 64
        return block.INPUTS_AT + 8 * capacity + sum(self._hoisted_bytes) + per_row

    @property
    def table(self):
        """The program's words (see `block`); the arrays they point to live as long as this object.

        Made once, however many threads ask: kernels may be following the words already.
        """
        if self._table is None:
            with _MAKING:
                if self._table is None:
                    self._table = self._make_table()
        return self._table

    @cached_property
    def address(self):
        """Of the table."""
        return self.table.ctypes.data

    def _make_table(self):
        lanes, itemsize = self.target.lanes(self.dtype), self.dtype.itemsize
        header = [len(self.vectors), len(self.cell.states), len(self.cell.phases)]
        header += [self.vectors.index(self.cell.output), lanes * itemsize]
        vector_words = self._vector_words(itemsize)
        vectors_at = block.PROGRAM_WORDS
        phases_at = vectors_at + len(vector_words)
        header += [vectors_at, phases_at, len(self.cell.extra), len(self.vectors) - len(self.cell.extra)]
        header += [sum(self._hoisted_bytes)]
        lists_at = phases_at + len(self.cell.phases) * block.PHASE_WORDS
        phase_words, lists = [], []
        for p in range(len(self.cell.phases)):
            words, sources, operands = self._phase_words(p, lanes, itemsize)
            words[block.SOURCES_AT] = lists_at + len(lists)
            words[block.OPERANDS_AT] = words[block.SOURCES_AT] + len(sources)
            lists += sources + operands
            phase_words += words
        return np.array([*header, *vector_words, *phase_words, *lists], np.int64)

    def _vector_words(self, itemsize):
        words, rows_at = [], 0
        for name, buffers in zip(self.computed, self.buffers, strict=True):
            address = self._constants[name].ctypes.data if name in self.cell.states else 0
            words += [self.depths[name] * itemsize, self._stride_bytes(name), buffers, rows_at, address, 0]
            rows_at += buffers * self._stride_bytes(name)
        for name in self.cell.parameters:
            words += [self.depths[name] * itemsize, 0, 0, 0, self._constants[name].ctypes.data, 0]
        private_at = 0
        for name in self.cell.extra:
            if name in self._per_row:
                words += [itemsize, itemsize, 1, private_at, 0, 1]
                private_at += itemsize
            else:
                words += [self.depths[name] * itemsize, self._stride_bytes(name), 1, rows_at, 0, 0]
                rows_at += self._stride_bytes(name)
        return words

    @cached_property
    def _constants(self):
        """What states begin with, and the parameters, as whole vectors."""
        values = self.cell.states | {name: self.weights.arrays[name] for name in self.cell.parameters}
        made = {}
        for name, value in values.items():
            made[name] = self.empty(self._padded(self.depths[name]), self.dtype)
            made[name][...] = 0.0
            made[name][: self.depths[name]] = value
        return made

    @cached_property
    def panels(self):
        """Packed weights, one array per phase."""
        lanes = self.target.lanes(self.dtype)
        packed = []
        for p, (phase, units) in enumerate(zip(self.cell.phases, self.phase_units, strict=True)):
            vectors = panel_vectors(phase, self.depths, self.weights.dtype)
            packed.append(self.empty((self._padded(units) // lanes, vectors, lanes), self.panel_dtype))
            pack(self.weights, p, lanes, packed[-1])
        return packed

    def is_awaited(self, p):
        """Whether members who divide the units wait for each other after phase `p`.

        They do if its results are multiplied, or if it multiplies what an earlier phase will overwrite in the
        next step.
        """
        multiplied = {source for phase in self.cell.phases for source in phase.sources}
        passing = {
            source
            for source in self.cell.phases[p].sources
            if source != "x" and source not in self.cell.states
        }
        return bool(passing or multiplied & set(self.cell.phases[p].results))

    def _phase_words(self, p, lanes, itemsize):
        phase, panels = self.cell.phases[p], self.panels[p]
        earlier = {result for before in self.cell.phases[:p] for result in before.results}
        sums = [total.name for total in phase.sums]
        read = [name for name in phase.parameters if name not in sums]
        reach = heights(max(1, len(sums)), self.target)
        vector_bytes = lanes * itemsize
        sources, offset = [], len(sums) * vector_bytes
        for source, feeds in zip(phase.sources, shape(phase).feeds, strict=True):
            vector = -1 if source == "x" else self.vectors.index(source)
            sources += [vector, int(source in earlier), self.depths[source], offset]
            offset += self.depths[source] * len(feeds) * lanes * self.panel_dtype.itemsize
        operands = [word for name in read for word in (self.vectors.index(name), int(name in earlier))]
        operands += [word for name in phase.results for word in (self.vectors.index(name), 1)]
        words = [0] * block.PHASE_WORDS
        if sums:
            words[block.TILES] = tiles(shape(phase), self.dtype, self.target, self.weights.dtype)
        if sums and self.ahead_rows:
            words[block.AHEAD] = ahead.tile(shape(phase), self.dtype, self.target)
            words[block.INPUT_DEPTH], words[block.INPUT_AT] = self.input_size, len(sums) * vector_bytes
            words[block.INPUT_BYTES] = len(shape(phase).feeds[0]) * vector_bytes
        words[block.EPILOGUE] = epilogue(self.graphs[p], sums, self.dtype, self.target, self._per_row)
        words[block.UNIT_BLOCKS], words[block.LANES] = panels.shape[0], lanes
        words[block.REACH_ROWS], words[block.REACH_BLOCKS], words[block.REACH_WIDE] = reach
        words[block.PANELS], words[block.PANEL_BYTES] = panels.ctypes.data, panels[0].nbytes
        words[block.SUMS_BYTES] = len(sums) * vector_bytes
        words[block.HOIST_AT] = sum(self._hoisted_bytes[:p])
        words[block.BARRIER] = int(self.is_awaited(p))
        words[block.SOURCES], words[block.OPERANDS] = len(sources) // 4, len(operands) // 2
        return words, sources, operands
