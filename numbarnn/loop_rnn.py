"""`RNN` and `Bidirectional` over cells that are written in Python: what these become for such cells."""

import copy
import threading
from itertools import pairwise

import numpy as np

from . import checks, checks_extra, checks_loop, checks_states, loop
from .bidirectional import Bidirectional
from .nests import flatten, map_structure, pack_as
from .ragged import Ragged
from .rnn import RNN
from .stateful import only_call


class OneCall:
    """Has a lock of its own, `_busy`, for calls that work on states; so has every copy."""

    def __init__(self, *arguments, **options):
        super().__init__(*arguments, **options)
        self._busy = threading.Lock()

    def __getstate__(self):
        return {name: value for name, value in self.__dict__.items() if name != "_busy"}

    def __setstate__(self, attributes):
        self.__dict__.update(attributes, _busy=threading.Lock())


class LoopRNN(OneCall, RNN):
    """An `RNN` whose cell is written in Python; see `numbarnn.loop`. Made by ``RNN(cell)``.

    Inputs, outputs and states may be nests of arrays; `resets` and everything else that concerns steps holds
    for every leaf. `n_threads` changes nothing. Weights, if there are any, are the cell's own.
    """

    _kind = "RNN"

    def __init__(self, cell, *arguments, **options):
        super().__init__(cell, *arguments, **options)
        checks_loop.on_host(self.device)
        self._kept = None

    @property
    def units(self):
        """The cell's output_size, or None."""
        return getattr(self.cell, "output_size", None)

    @property
    def dtype(self):
        return checks_loop.dtype_of(self.cell)

    @property
    def input_size(self):
        return getattr(self.cell, "input_size", None)

    @property
    def layout(self):
        """One place for each entry of the state, as `compute_mask` counts them."""
        return loop.entries(checks_loop.as_states(self.cell.state_size))

    def compile_kernels(self):
        """Nothing is compiled."""

    def build(self, input_size):
        """Have the cell make its weights for inputs (B, input_size); it does so itself at the first call."""
        if hasattr(self.cell, "build"):
            if checks_loop.builds_itself(self.cell):
                self.cell.build(input_size)
            else:
                loop.build(self.cell, (1, input_size))

    def get_weights(self):
        """What the cell's `get_weights` returns, if it has one, else an empty list."""
        return self.cell.get_weights() if hasattr(self.cell, "get_weights") else []

    def set_weights(self, weights):
        """Hand `weights` to the cell's `set_weights`."""
        checks_loop.has_weights(self.cell).set_weights(weights)

    def unbuilt(self, name, go_backwards, stream=None):
        """A layer with a copy of the cell as it is now, without states."""
        made = copy.copy(self)
        made.cell, made._kept = copy.deepcopy(self.cell), None
        made.name, made.go_backwards = name, go_backwards
        return made

    @property
    def states(self):
        """Copies of the states that a stateful layer keeps, or None before its first call."""
        return None if self._kept is None else loop.entries(map_structure(np.array, self._kept))

    def reset_states(self, states=None, rows=None):
        """Set what a stateful layer starts from; see `Recurrent.reset_states`. Before the first call `states`
        cannot be given: nothing tells yet how many rows there are.
        """
        checks_states.is_stateful(self.stateful)
        with only_call(self._busy):
            if self._kept is None:
                checks_loop.kept_already(states)
                checks_states.no_rows_yet(rows)
                return
            old = flatten(self._kept)
            B = len(old[0])
            fresh = loop.initial_states(self.cell, B, old[0].dtype)
            if states is not None:
                fresh = checks_loop.states("states", states, fresh)
            chosen = slice(None) if rows is None else checks_states.rows(rows, B)
            new = [array.copy() for array in old]
            for array, value in zip(new, flatten(fresh), strict=True):
                array[chosen] = value[chosen]
            self._kept = pack_as(self._kept, new)

    def going_back(self):
        """A function that has a stateful layer stand again where it stands now."""
        kept = self._kept

        def go_back():
            self._kept = kept

        return go_back

    def stepper(self, batch_size, n_threads=None):
        """Refused: the cell itself takes one step."""
        raise TypeError("stepper: the cell is written in Python; expected a fused cell: call the cell itself")

    def explain(self, x, *arguments, **options):
        """Refused: a loop in Python decides nothing."""
        raise TypeError("explain: the cell is written in Python; expected a fused cell, such as LSTMCell")

    def __call__(
        self, x, initial_state=None, mask=None, lengths=None, resets=None, training=False, out=None,
        n_threads=None, *, extra=None, stream=None,
    ):  # fmt: skip
        """Run the layer; arguments and results as of `RNN`, with nests where the cell has them."""
        checks_extra.named(extra, {})  # such cells take them among their inputs
        checks.stream_of(stream, None)
        if n_threads is not None:
            checks.whole("n_threads", n_threads, 1)
        how = {
            name: getattr(self, name)
            for name in ("go_backwards", "return_sequences", "zero_output_for_mask", "time_major")
        }
        given = x, initial_state, mask, lengths, resets
        if not self.stateful:
            results = self._structured(*loop.run(self.cell, *given, training=training, **how))
            return results if out is None else checks_loop.write("out", out, results)
        with only_call(self._busy):
            outputs, final = loop.run(self.cell, *given, training=training, kept=self._kept, **how)
            results = self._structured(outputs, map_structure(np.array, final))
            results = results if out is None else checks_loop.write("out", out, results)
            self._kept = final
        return results

    def _structured(self, outputs, final):
        return (outputs, *loop.entries(final)) if self.return_state else outputs


class LoopBidirectional(OneCall, Bidirectional):
    """A `Bidirectional` of layers one of which, at least, has a cell written in Python.

    The layers run one after the other, and every leaf of their outputs is merged.
    """

    _kind = "Bidirectional"

    @property
    def states(self):
        """Copies of the forward layer's states and of the backward layer's, or None before the first call."""
        states = [layer.states for layer in self._layers]
        return None if None in states else states[0] + states[1]

    def reset_states(self, states=None, rows=None):
        """Of both layers; see `Recurrent.reset_states`."""
        for layer, part in zip(self._layers, self._halves("states", states), strict=True):
            layer.reset_states(part, rows)

    def set_weights(self, weights):
        """Hand each layer its part of `weights`."""
        count = len(self.forward_layer.get_weights())
        self.forward_layer.set_weights(weights[:count])
        self.backward_layer.set_weights(weights[count:])

    def _halves(self, name, states):
        """The entries of either layer."""
        if states is None:
            return None, None
        count = len(self.forward_layer.layout)
        checks_loop.entries_of(name, states, count + len(self.backward_layer.layout))
        return states[:count], states[count:]

    def __call__(
        self, x, initial_state=None, mask=None, lengths=None, resets=None, training=False, out=None,
        n_threads=None, *, extra=None, stream=None,
    ):  # fmt: skip
        """Run both layers; arguments and results as of `Bidirectional`, with nests where the cells have
        them.
        """
        halves = self._halves("initial_state", initial_state)
        given = {"mask": mask, "lengths": lengths, "resets": resets, "training": training}
        given |= {"n_threads": n_threads, "extra": extra, "stream": stream}
        if not self.stateful:
            return self._run_both(x, halves, given, out)
        with only_call(self._busy):
            ways_back = [layer.going_back() for layer in self._layers]
            try:
                return self._run_both(x, halves, given, out)
            except BaseException:
                for go_back in ways_back:  # both directions have moved on, or neither
                    go_back()
                raise

    def _run_both(self, x, halves, given, out):
        lengths = given["lengths"]
        results = [layer(x, half, **given) for layer, half in zip(self._layers, halves, strict=True)]
        outputs = [result[0] if self.return_state else result for result in results]
        if self.return_sequences:
            outputs[1] = map_structure(lambda y: in_input_order(y, lengths, self.time_major), outputs[1])
        merged = outputs
        if self.merge_mode is not None:
            merged = [map_structure(self._merged, *outputs)]
        if self.return_state:
            merged = [*merged, *results[0][1:], *results[1][1:]]
        results = merged[0] if len(merged) == 1 else tuple(merged)
        return results if out is None else checks_loop.write("out", out, results)

    def _merged(self, y, other):
        if isinstance(y, Ragged):
            return Ragged(self._merged(y.values, other.values), y.offsets)
        if self.merge_mode == "concat":
            return np.concatenate([y, other], axis=-1)
        checks_loop.mergeable(y, other, self.merge_mode)
        return {"sum": np.add, "mul": np.multiply, "ave": _mean}[self.merge_mode](y, other)


def _mean(y, other):
    return (y + other) / y.dtype.type(2)


def in_input_order(y, lengths=None, time_major=False):
    """Outputs of a reversed layer at the times of their inputs: turned round, within each row's length."""
    if isinstance(y, Ragged):
        turned = [y.values[begin:end][::-1] for begin, end in pairwise(y.offsets.tolist())]
        return Ragged(np.concatenate(turned), y.offsets)
    y = y if time_major else y.swapaxes(0, 1)
    if lengths is None:
        turned = y[::-1]
    else:
        time, lengths = np.arange(len(y))[:, np.newaxis], np.asarray(lengths)
        rows = np.arange(y.shape[1])
        turned = y[np.where(time < lengths, lengths - 1 - time, time), rows]
    return np.ascontiguousarray(turned if time_major else turned.swapaxes(0, 1))
