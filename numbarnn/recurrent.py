"""What recurrent layers have in common: the way of a call from arguments to results, and states that stay."""

import threading
from functools import partial

import numpy as np

from . import checks, checks_states, places
from .batch import Batch
from .device_arrays import OnDevice
from .ragged import Ragged
from .stateful import State

_FIRST_CALL = threading.Lock()


class Recurrent:
    """A layer over sequences. One that inherits says which states it has, what it returns, and how it runs.

    Attributes
    ----------
    layout : list of list of Field
        The states, see `checks_states`.
    input_size : int or None
        Features; None before `build`.
    dtype : numpy.dtype
    return_sequences, return_state, stateful, time_major, device
        As of `RNN`.
    """

    supports_masking = True
    _state = None

    @property
    def _kind(self):
        """What users call its class."""
        return type(self).__name__

    @property
    def states(self):
        """Copies of the states that a stateful layer keeps, or None before its first call."""
        return None if self._state is None else self._state.as_given()

    def reset_states(self, states=None, rows=None):
        """Set what a stateful layer starts from, for some rows or all: `states`, a list of arrays (B, units)
        as the property has it, or the cells' constants.

        Before the first call there is nothing to reset; `states` then also fix the batch size. Given for all
        rows, they may do so anew.

        Raises
        ------
        ValueError, TypeError
            The layer is not stateful; a wrong structure or shape.
        """
        checks_states.is_stateful(self.stateful)
        if states is not None and rows is None:
            _, _, first = checks_states.flatten("states", states, self.layout)[0]
            fresh = State(self.layout, len(np.atleast_1d(places.to_host("states", first))), self.dtype)
            fresh.reset(states)
            fresh.settled = True
            with (self._state or fresh).only_call():
                self._state = fresh
        elif self._state is not None:
            self._state.reset(states, rows)
        else:
            checks_states.no_rows_yet(rows)

    def __call__(
        self,
        x,
        initial_state=None,
        mask=None,
        lengths=None,
        resets=None,
        training=False,
        out=None,
        n_threads=None,
        *,
        extra=None,
        stream=None,
    ):
        """Run the layer.

        Parameters
        ----------
        x : array_like, shape (B, T, I), or (T, B, I) with ``time_major``; or Ragged
            Never written; nothing beyond a length or under a mask is read.
        initial_state : list of array_like, shape (B, H) each, optional
            In the structure of the returned states; LSTM: [h, c]. Default: the cell's constants, or what a
            stateful layer kept.
        mask : array_like of bool, shape (B, T), optional
            True = use. A masked step leaves the state, in any pattern.
        lengths : array_like of int, shape (B,), optional
            Valid steps of each row; later outputs are 0. Excludes `mask`.
        resets : array_like of bool, shape (B, T), or (steps,) for a Ragged, optional
            True = a new sequence begins here, from the cell's constants.
        training : bool
            Apply the cells' dropout.
        out : ndarray or tuple of ndarray, optional
            Written and returned, in the structure of the return value.
        n_threads : int, optional
            At most so many. Default: what the work is worth.
        extra : dict, optional
            The per-step inputs that a cell's definition declares: name -> array_like, shape (B, T, size), or
            (B, T) for one value per row; time first with ``time_major``, (steps, size) or (steps,) for a
            Ragged. Excluded are unknown names, and missing ones.
        stream : int or object, optional
            Of a CUDA device: a stream of Numba, CuPy or PyTorch, an object with ``__cuda_stream__``, or the
            number of one. The call returns without waiting for it, unless it returns host arrays.

        Returns
        -------
        ndarray or Ragged, or tuple
            ``y`` (B, T, units) with ``return_sequences``, else (B, units); ``(y, *states)`` with
            ``return_state``.

        Raises
        ------
        TypeError, ValueError
            A wrong argument, arrays on different devices; no array has been written and no state has changed
            then.
        RuntimeError
            Another call is at work on a stateful layer's state.
        MemoryError
            The device has no room; no state has changed.
        """
        checks.flag("training", training)
        n_threads = None if n_threads is None else checks.whole("n_threads", n_threads, 1)
        if not training and x.__class__ is np.ndarray and initial_state is extra is stream is None:
            if out is None or out.__class__ is np.ndarray:
                found = self._shorter(x, mask, lengths, resets, out, n_threads)
                if found is not None:
                    return found
        number = checks.stream(stream)
        batch = Batch(self, x, mask, lengths, resets, number, extra)
        checks.stream_of(stream, batch.device)
        initial, given = self._initial(initial_state, batch, number)
        read = [x, batch.x, *initial, *given, *(extra or {}).values(), *batch.extra.values()]
        results = self._results(batch, out, read, number)
        self.build(batch.x.shape[-1])
        ways = {"n_threads": n_threads, "device": batch.device, "stream": stream}
        outputs, states = results[: self._outputs], results[self._outputs :]
        if self.stateful:
            initial = None if initial_state is None else initial
            self._run_on(self._state_of(batch.B), batch, initial, outputs, states, training, ways)
        else:
            self._run(batch, initial, outputs, states or [None] * len(initial), training, ways)
        return self._as_given(batch, results, out)

    def _shorter(self, x, mask, lengths, resets, out, n_threads):
        """The result of a call on an array from the cells' constants, where there is a shorter way to it."""
        return None

    def _run_on(self, state, batch, initial, outputs, copies, training, ways):
        """A call of a stateful layer: it starts from `initial` or what the layer kept, and leaves that moved
        on.
        """
        with state.only_call():
            try:
                state.move_to(batch.device if isinstance(batch.x, OnDevice) else None)
                initial = state.current if initial is None else initial
                self._run(batch, initial, outputs, state.spare, training, ways)
                for copy, kept in zip(copies, state.spare, strict=False):
                    places.copy(kept, copy, ways["stream"])
            except BaseException:
                if not state.settled:
                    self._state = None
                raise
            state.swap()
            state.settled = True

    def _state_of(self, B):
        """The state a stateful layer keeps; of threads that call first, one makes it."""
        with _FIRST_CALL:
            if self._state is None:
                self._state = State(self.layout, B, self.dtype)
            return self._state

    def _initial(self, initial_state, batch, stream=None):
        """The caller's initial states, or None for each, checked and as given; a stateful layer's batch size
        is checked too.
        """
        if self._state is not None:
            checks_states.batch_of(batch.B, self._state.batch_size)
        if initial_state is None:
            return [None for group in self.layout for _ in group], []
        flat = checks_states.flatten("initial_state", initial_state, self.layout)
        adopted = [
            (label, field, places.adopt(label, value, self.device, stream)) for label, field, value in flat
        ]
        states = checks_states.states(adopted, batch.B, self.dtype)
        for (label, *_), state in zip(flat, states, strict=True):
            checks.same_place(label, state, batch.x)
        return states, [value for _, _, value in flat]

    def _results(self, batch, out, read, stream):
        """The arrays to write, outputs and with ``return_state`` the final states, none of which may be
        read.
        """
        shapes = self._output_shapes(batch)
        if self.return_state:
            shapes += self._state_shapes(batch.B)
        if out is None:
            return [places.new_like(batch.x, shape, self.dtype) for _, shape in shapes]
        offsets = batch.offsets if self.return_sequences else None
        adopt = partial(places.adopt, device=self.device, stream=stream)
        read = [*read, *self.get_weights()]
        out = self._flat_out(out)
        return checks.outputs(out, shapes, self.dtype, read, adopt, batch.x, offsets, self._outputs)

    def _state_shapes(self, B):
        """Of the final states, with what messages call them."""
        fields = [(k, field) for k, group in enumerate(self.layout) for field in group]
        names = [field.name for _, field in fields]
        if len({*names}) < len(names):
            names = [f"{field.name} of state {k}" for k, field in fields]
        return [(name, (B, field.units)) for name, (_, field) in zip(names, fields, strict=True)]

    def _flat_out(self, out):
        """`out` with the lists of states that belong together laid out in one tuple."""
        nested = self.return_state and any(len(group) > 1 for group in self.layout)
        if not nested or not isinstance(out, tuple) or len(out) != self._outputs + len(self.layout):
            return out
        flat = checks_states.flatten("out's states", list(out[self._outputs :]), self.layout)
        return *out[: self._outputs], *(value for _, _, value in flat)

    def _as_given(self, batch, results, out):
        """Results as the caller gets them."""
        given = places.as_given(results)
        outputs = given[: self._outputs]
        if batch.offsets is not None and self.return_sequences:
            targets = out if isinstance(out, tuple) else (out,)
            outputs = [
                targets[k] if out is not None and isinstance(targets[k], Ragged) else Ragged(y, batch.offsets)
                for k, y in enumerate(outputs)
            ]
        if self.return_state:
            return *outputs, *checks_states.nested(given[self._outputs :], self.layout)
        return outputs[0] if len(outputs) == 1 else tuple(outputs)
