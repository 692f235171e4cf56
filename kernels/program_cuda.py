"""A cell with its weights, made ready for the device: packed weights, and the words that the loops follow."""

from functools import cached_property

import numpy as np

from . import sequence_cuda as word
from .pack import bias_of, shape
from .tile_cuda import UNITS, TileShape, pack_source, panel_elements


class DeviceProgram:
    """The device's side of a `Program`; nothing here touches a device.

    Parameters
    ----------
    program : Program
    rows : int
        Rows of each warp's tile.

    Attributes
    ----------
    codes : tuple of PhaseCode
    weights : ndarray
        Panels of all phases, one after the other.
    """

    def __init__(self, program, rows):
        self.program, self.rows = program, rows

    @cached_property
    def _vectors(self):
        """Where each vector begins, in rows of all rows: {name: (old, new) for an even step}."""
        places, at = {}, 0
        for name, buffers in zip(self.program.vectors, self.program._buffers, strict=True):
            places[name] = (at, at + buffers - 1)
            at += buffers
        return places

    @property
    def row_vectors(self):
        """Vectors' worth of workspace that a row takes."""
        return sum(self.program._buffers)

    @cached_property
    def codes(self):
        program, codes, at = self.program, [], word.CALL_WORDS + len(self.program.cell.states)
        for p, phase in enumerate(program.cell.phases):
            sums = tuple(total.name for total in phase.sums)
            read = [name for name in phase.parameters if name not in sums]
            operands = [*read, *phase.results]
            code = word.PhaseCode(
                TileShape(len(sums), shape(phase).feeds, self.rows, str(program.dtype)),
                program.graphs[p],
                sums,
                tuple(source == "x" for source in phase.sources),
                at,
                len(operands),
                len(read) + phase.results.index(program.cell.output) if program.cell.output in phase.results else -1,
                tuple(
                    (len(read) + k, list(program.cell.states).index(name))
                    for k, name in enumerate(phase.results)
                    if name in program.cell.states
                ),
                program._is_awaited(p),
            )
            codes.append(code)
            at += word.PLACES + 2 * code.places
        return tuple(codes)

    @cached_property
    def _panels(self):
        """Packed weights of each phase, (unit blocks, elements)."""
        program, panels = self.program, []
        for p, (phase, code) in enumerate(zip(program.cell.phases, self.codes, strict=True)):
            blocks = -(-program.units // UNITS)
            biases = np.zeros((len(phase.sums), blocks * UNITS), program.dtype)
            for a, total in enumerate(phase.sums):
                biases[a, : program.units] = bias_of(program.cell, p, total, program.bias, program.units)
            parts = [biases.reshape(-1, blocks, UNITS).transpose(1, 0, 2).reshape(blocks, -1)]
            for source, feeds in zip(phase.sources, code.shape.feeds, strict=True):
                weights = program.kernel if source == "x" else program.recurrent_kernel
                columns = [program.cell.columns(source != "x").index((p, source, a)) for a in feeds]
                split = [weights[:, c * program.units : (c + 1) * program.units] for c in columns]
                parts.append(pack_source(np.stack(split), program.units))
            panels.append(np.concatenate(parts, axis=1))
        return panels

    @cached_property
    def weights(self):
        return np.concatenate([panels.ravel() for panels in self._panels])

    def words(self, plan, state_rows):
        """The words of a call over all segments of `plan`."""
        program, capacity = self.program, len(plan.init_row)
        place = capacity * program.units
        states = [self._vectors[name][0] * place for name in program.cell.states]
        phases, panel = [], 0
        for p, (phase, code, panels) in enumerate(zip(program.cell.phases, self.codes, self._panels, strict=True)):
            phases += [panel, panels.shape[1]]
            panel += panels.size
            earlier = {result for before in program.cell.phases[:p] for result in before.results}
            read = [name for name in phase.parameters if name not in code.sums]
            for parity in range(2):
                named = [(name, name in earlier) for name in (*phase.sources, *read)]
                named += [(name, True) for name in phase.results]
                phases += [0 if name == "x" else self._vectors[name][parity ^ new] * place for name, new in named]
        call = [0] * word.CALL_WORDS
        call[word.INPUTS], call[word.H] = program.input_size, program.units
        call[word.X_STRIDE] = 1 if getattr(plan, "by_element", False) else program.input_size
        call[word.SEGMENTS], call[word.STATE_ROWS] = capacity, state_rows
        call[word.Y_STRIDE], call[word.STEPS] = plan.y_stride, len(plan.active)
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
        at = len(call) + len(states) + len(phases)
        for name, array in arrays.items():
            call[name] = at
            at += len(array)
        return np.concatenate([call, states, phases, *arrays.values()]).astype(np.int64)
