"""A cell with its weights, made ready for the device: packed weights, and the words that kernels follow."""

import threading
from functools import cache, cached_property

import numpy as np

from . import block_cuda as word
from .definition import PER_ROW
from .pack import shape
from .step_cuda import KEPT, STAGED, PhaseCode
from .tile_cuda import TileShape, pack_source

_MAKING = threading.Lock()


def prepared(program, tile):
    """The `DeviceProgram` for a tile, made once."""
    with _MAKING:
        if tile not in program.on_devices:
            program.on_devices[tile] = DeviceProgram(program, tile)
        return program.on_devices[tile]


class DeviceProgram:
    """The device's side of a `Program`, for one tile. Nothing here touches a device.

    Parameters
    ----------
    program : Program
    tile : Tile
    """

    def __init__(self, program, tile):
        self.program, self.tile = program, tile
        self.codes = cache(self._codes)
        self.on_devices = {}  # the weights, by device

    @property
    def unit_blocks(self):
        """Of each phase."""
        return [-(-units // self.tile.units) for units in self.program.phase_units]

    @property
    def stride(self):
        """Elements from row to row of every vector in the workspace: whole vectors, so that rows are aligned,
        with room for the longest.
        """
        vector = 16 // self.program.dtype.itemsize
        return -(-max(self.program.phase_units) // vector) * vector

    @cached_property
    def places(self):
        """Where each vector begins in the workspace, in rows: {name: (old, new)} for an even step; and all
        rows.
        """
        places, at = {}, 0
        for name, buffers in zip(self.program.computed, self.program.buffers, strict=True):
            places[name] = (at, at + buffers - 1)
            at += buffers
        return places, at

    @property
    def row_bytes(self):
        """Workspace of one row of all vectors."""
        return self.places[1] * self.stride * self.program.dtype.itemsize

    def shape(self, p, tile=None):
        """The `TileShape` of phase `p`."""
        phase = self.program.cell.phases[p]
        return TileShape(len(phase.sums), shape(phase).feeds, tile or self.tile, str(self.program.dtype))

    def _reads(self, p):
        """Names of what phase `p` reads beside its sums."""
        phase = self.program.cell.phases[p]
        sums = [total.name for total in phase.sums]
        return [name for name in phase.parameters if name not in sums]

    def _kind(self, name):
        """See `emit_cuda.epilogue`."""
        cell = self.program.cell
        if name in cell.extra:
            kind = "extra per row" if cell.extra[name] == PER_ROW else "extra"
            return kind, list(cell.extra).index(name)
        return ("parameter" if name in cell.parameters else "vector"), 0

    def _codes(self, hoisted, kept, tile=None):
        """The `PhaseCode` of each phase: with products of the inputs `hoisted`, weights `kept` in shared
        memory, and, where given, another tile of as many units.
        """
        program, cell = self.program, self.program.cell
        codes, at = [], word.FINALS + len(cell.states)
        for p, phase in enumerate(cell.phases):
            read = self._reads(p)
            states = [
                (len(read) + k, list(cell.states).index(name))
                for k, name in enumerate(phase.results)
                if name in cell.states
            ]
            output = len(read) + phase.results.index(cell.output) if cell.output in phase.results else -1
            code = PhaseCode(
                shape=self.shape(p, tile),
                graph=program.graphs[p],
                sums=tuple(total.name for total in phase.sums),
                from_inputs=tuple(source == "x" for source in phase.sources),
                words=at,
                reads=tuple(map(self._kind, read)),
                operands=len(read) + len(phase.results),
                output=output,
                states=tuple(states),
                awaited=program.is_awaited(p),
                hoisted=hoisted,
                weights=KEPT if kept else STAGED,
            )
            codes.append(code)
            at = code.depths + len(phase.sources)
        return tuple(codes)

    @cached_property
    def _panels(self):
        """Packed weights of each phase, (unit blocks, elements)."""
        program, width, panels = self.program, self.tile.units, []
        weights = program.weights
        for p, (phase, units, blocks) in enumerate(
            zip(program.cell.phases, program.phase_units, self.unit_blocks, strict=True)
        ):
            of_phase = self.shape(p)
            biases = np.zeros((len(phase.sums), blocks * width), program.dtype)
            for a, total in enumerate(phase.sums):
                bias = weights.bias(p, total)
                biases[a, :units] = 0.0 if bias is None else bias
            parts = [biases.reshape(-1, blocks, width).transpose(1, 0, 2).reshape(blocks, -1)]
            for s, (source, feeds) in enumerate(zip(phase.sources, of_phase.feeds, strict=True)):
                split = np.stack([weights.block(p, source, a) for a in feeds])
                parts.append(pack_source(split, units, of_phase, s))
            panels.append(np.concatenate(parts, axis=1))
        return panels

    @cached_property
    def weights(self):
        """Panels of all phases, one after the other; then the parameters."""
        arrays = self.program.weights.arrays
        parameters = [arrays[name] for name in self.program.cell.parameters]
        return np.concatenate([panels.ravel() for panels in self._panels] + parameters)

    @cached_property
    def _parameters_at(self):
        """Where in `weights` each parameter begins."""
        program, found, at = self.program, {}, sum(panels.size for panels in self._panels)
        for name in program.cell.parameters:
            found[name] = at
            at += program.depths[name]
        return found

    def kept_elements(self, hoisted):
        """Per phase, what of one block of units stays in shared memory where weights are kept: all that is
        multiplied, without the inputs' weights where their products are formed beforehand.
        """
        kept = []
        for p, phase in enumerate(self.program.cell.phases):
            of_phase = self.shape(p)
            sizes = {
                source: of_phase.group(s) * -(-self.program.depths[source] // of_phase.vector)
                for s, source in enumerate(phase.sources)
            }
            kept.append(sum(size for source, size in sizes.items() if not (hoisted and source == "x")))
        return kept

    def kept_by_share(self, hoisted, across=1):
        """Per phase, what stays of all its blocks of units that one of so many shares has at most."""
        each = zip(self.unit_blocks, self.kept_elements(hoisted), strict=True)
        return [-(-blocks // across) * kept for blocks, kept in each]

    def formed_elements(self):
        """Per phase, sums of one entry that can be formed beforehand."""
        return [
            len(self.shape(p).feeds[0]) * units if phase.sources[:1] == ("x",) else 0
            for p, (phase, units) in enumerate(
                zip(self.program.cell.phases, self.program.phase_units, strict=True)
            )
        ]

    def final_elements(self, state_rows):
        """Per state, its rows among the final states, which lie one after the other."""
        return [state_rows * self.program.depths[name] for name in self.program.cell.states]

    def words(self, plan, state_rows, y_pitch, aligned, across=1, hoisted=False, chunk_entries=0):
        """The words of a call over all segments of `plan`.

        Parameters
        ----------
        plan : Plan
        state_rows : int
            Rows of the final states.
        y_pitch : int
            Elements from output row to output row.
        aligned : bool
            Every row of the inputs can be loaded by vectors.
        across : int
            Blocks that share the units, where weights are kept in shared memory.
        hoisted : bool
            Products with the inputs are formed beforehand, of so many `chunk_entries` at a time at most.
        """
        program, capacity = self.program, len(plan.init_row)
        kept, shares = self.kept_elements(hoisted), self.kept_by_share(hoisted, across)
        formed, phases, panel = self.formed_elements(), [], 0
        for p, (phase, panels) in enumerate(zip(program.cell.phases, self._panels, strict=True)):
            phases += [panel, panels.shape[1], program.phase_units[p]]
            phases += [sum(shares[:p]), kept[p], sum(formed[:p]) * chunk_entries]
            panel += panels.size
            earlier = {result for before in program.cell.phases[:p] for result in before.results}
            named = [(name, name in earlier) for name in (*phase.sources, *self._reads(p))]
            named += [(name, True) for name in phase.results]
            for parity in range(2):
                phases += [self._place(name, parity ^ new, capacity) for name, new in named]
            phases += [program.depths[source] for source in phase.sources]
        finals = self.final_elements(state_rows)
        call = [0] * word.FINALS + [sum(finals[:k]) for k in range(len(finals))]
        call[word.STRIDE], call[word.SEGMENTS] = self.stride, capacity
        call[word.X_STRIDE], call[word.X_ALIGNED] = 1 if plan.by_element else program.input_size, int(aligned)
        call[word.Y_STRIDE], call[word.Y_PITCH] = plan.y_stride, y_pitch
        call[word.ZERO_COUNT], call[word.COPY_COUNT] = len(plan.zero_rows), len(plan.copy_rows)
        arrays = {
            word.ACTIVE: np.append(plan.active, 0),
            word.FIRST: plan.first,
            word.X_ROW: plan.x_row,
            word.Y_ROW: plan.y_row,
            word.Y_REPEAT: plan.y_repeat,
            word.INIT_ROW: plan.init_row,
            word.FINAL_ROW: plan.final_row,
            word.ZERO_ROWS: plan.zero_rows,
            word.COPY_ROWS: plan.copy_rows.ravel(),
        }
        at = len(call) + len(phases)
        for name, array in arrays.items():
            call[name] = at
            at += len(array)
        return np.concatenate([call, phases, *arrays.values()]).astype(np.int64)

    def _place(self, name, parity, capacity):
        """Where what a phase reads or computes begins; see `block_cuda`."""
        cell = self.program.cell
        if name in cell.extra:
            return self.program.depths[name]
        if name in cell.parameters:
            return self._parameters_at[name]
        return 0 if name == "x" else self.places[0][name][parity] * capacity * self.stride
