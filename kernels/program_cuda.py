"""A cell with its weights, made ready for the device: packed weights, and the words that kernels follow."""

import threading
from functools import cache, cached_property

import numpy as np

from . import block_cuda as word
from .pack import bias_of, shape
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
        return -(-self.program.units // self.tile.units)

    @property
    def stride(self):
        """Elements from row to row of a vector in the workspace: whole vectors, so that rows are aligned."""
        vector = 16 // self.program.dtype.itemsize
        return -(-self.program.units // vector) * vector

    @cached_property
    def places(self):
        """Where each vector begins in the workspace, in rows: {name: (old, new)} for an even step; and all
        rows.
        """
        places, at = {}, 0
        for name, buffers in zip(self.program.vectors, self.program.buffers, strict=True):
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

    def _codes(self, hoisted, kept, tile=None):
        """The `PhaseCode` of each phase: with products of the inputs `hoisted`, weights `kept` in shared
        memory, and, where given, another tile of as many units.
        """
        program, cell, codes, at = self.program, self.program.cell, [], word.CALL_WORDS
        for p, phase in enumerate(cell.phases):
            sums = tuple(total.name for total in phase.sums)
            read = [name for name in phase.parameters if name not in sums]
            states = [
                (len(read) + k, list(cell.states).index(name))
                for k, name in enumerate(phase.results)
                if name in cell.states
            ]
            output = len(read) + phase.results.index(cell.output) if cell.output in phase.results else -1
            code = PhaseCode(
                shape=self.shape(p, tile),
                graph=program.graphs[p],
                sums=sums,
                from_inputs=tuple(source == "x" for source in phase.sources),
                words=at,
                operands=len(read) + len(phase.results),
                output=output,
                states=tuple(states),
                awaited=program.is_awaited(p),
                hoisted=hoisted,
                weights=KEPT if kept else STAGED,
            )
            codes.append(code)
            at += word.PLACES + 2 * code.places
        return tuple(codes)

    @cached_property
    def _panels(self):
        """Packed weights of each phase, (unit blocks, elements)."""
        program, panels = self.program, []
        width, blocks = self.tile.units, self.unit_blocks
        for p, phase in enumerate(program.cell.phases):
            of_phase = self.shape(p)
            biases = np.zeros((len(phase.sums), blocks * width), program.dtype)
            for a, total in enumerate(phase.sums):
                biases[a, : program.units] = bias_of(program.cell, p, total, program.bias, program.units)
            parts = [biases.reshape(-1, blocks, width).transpose(1, 0, 2).reshape(blocks, -1)]
            for s, (source, feeds) in enumerate(zip(phase.sources, of_phase.feeds, strict=True)):
                weights = program.kernel if source == "x" else program.recurrent_kernel
                columns = [program.cell.columns(source != "x").index((p, source, a)) for a in feeds]
                split = [weights[:, c * program.units : (c + 1) * program.units] for c in columns]
                parts.append(pack_source(np.stack(split), program.units, of_phase, s))
            panels.append(np.concatenate(parts, axis=1))
        return panels

    @cached_property
    def weights(self):
        """Panels of all phases, one after the other."""
        return np.concatenate([panels.ravel() for panels in self._panels])

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

    def formed_elements(self):
        """Per phase, sums of one entry that can be formed beforehand."""
        fed = [
            len(self.shape(p).feeds[0]) if phase.sources[:1] == ("x",) else 0
            for p, phase in enumerate(self.program.cell.phases)
        ]
        return [count * self.program.units for count in fed]

    def words(self, plan, state_rows, y_pitch, aligned, hoisted=False, chunk_entries=0):
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
        hoisted : bool
            Products with the inputs are formed beforehand, of so many `chunk_entries` at a time at most.
        """
        program, capacity = self.program, len(plan.init_row)
        vectors, _ = self.places
        kept, formed = self.kept_elements(hoisted), self.formed_elements()
        phases, panel = [], 0
        for p, (phase, panels) in enumerate(zip(program.cell.phases, self._panels, strict=True)):
            phases += [panel, panels.shape[1], sum(kept[:p]), sum(formed[:p]) * chunk_entries]
            panel += panels.size
            earlier = {result for before in program.cell.phases[:p] for result in before.results}
            sums = [total.name for total in phase.sums]
            read = [name for name in phase.parameters if name not in sums]
            named = [(name, name in earlier) for name in (*phase.sources, *read)]
            named += [(name, True) for name in phase.results]
            for parity in range(2):
                phases += [
                    0 if name == "x" else vectors[name][parity ^ new] * capacity * self.stride
                    for name, new in named
                ]
        call = [0] * word.CALL_WORDS
        call[word.INPUTS], call[word.H], call[word.STRIDE] = program.input_size, program.units, self.stride
        call[word.X_STRIDE], call[word.X_ALIGNED] = 1 if plan.by_element else program.input_size, int(aligned)
        call[word.SEGMENTS], call[word.STATE_ROWS] = capacity, state_rows
        call[word.Y_STRIDE], call[word.Y_PITCH], call[word.SLICE] = plan.y_stride, y_pitch, sum(kept)
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
