"""A cell run over sequences. Arguments are checked and brought into one form here, then handed to
dispatch.
"""

import threading
from functools import partial
from typing import NamedTuple

import numpy as np

from . import checks, construction, dispatch, places
from .device_arrays import OnDevice
from .kernels import plan
from .kernels.plan import Plan
from .ragged import Ragged
from .stateful import State, Stepper

LAYER_OPTIONS = (
    "return_sequences",
    "return_state",
    "go_backwards",
    "stateful",
    "unroll",
    "zero_output_for_mask",
    "time_major",
    "device",
    "name",
    "flush_denormals",
    "weights_dtype",
    "dropout",
    "recurrent_dropout",
)


_FIRST_CALL = threading.Lock()


class Request(NamedTuple):
    """A call in the form in which it is run."""

    device: object  # a `Device`, or None: the CPU
    x: np.ndarray | OnDevice  # rows (rows, I), or a view of three axes where the plan counts elements
    plan: Plan
    dense: bool  # nothing but full rows: the plan is one of `dispatch.dense_plan`
    B: int
    output_shape: tuple
    offsets: np.ndarray | None  # of a Ragged


class RNN:
    """Run a cell over a batch of sequences.

    Parameters
    ----------
    cell : FusedCell
        `LSTMCell`, `GRUCell`, `SimpleRNNCell`, or your own in a `FusedCell`.
    return_sequences : bool
        Return the output of every step, not of the last alone.
    return_state : bool
        Return the final states too: ``y, *states``.
    go_backwards : bool
        Take the steps from last to first; outputs come in the order in which they are computed.
    stateful : bool
        Start each call from the state in which the last one ended.
    unroll : bool
        Accepted; changes nothing.
    zero_output_for_mask : bool
        A masked step outputs 0. Default: it repeats the output before it (0 before the first valid step), as
        in Keras.
    time_major : bool
        Inputs, outputs, mask and resets have the time axis first.
    device : {"auto", "cpu", "cuda"}
        "auto" runs where the inputs are: arrays on a CUDA device give results there, of the same kind (Numba,
        CuPy, PyTorch, or any with ``__cuda_array_interface__`` or DLPack). With "cuda" host arrays are copied
        there and back.
    name : str, optional
    flush_denormals, weights_dtype, dropout, recurrent_dropout
        Only their defaults (False, None, 0.0) in this version.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.
    DeviceNotAvailable
        ``device="cuda"`` where there is none.

    Notes
    -----
    Semantics are those of Keras 3 on TensorFlow, and of ``tf.nn.dynamic_rnn`` for `lengths`. The bits
    of a row's results do not depend on the other rows, on padding, on the number of threads, or on how a
    sequence is cut into calls.

    Examples
    --------
    >>> layer = nr.RNN(nr.LSTMCell(5, seed=0), return_sequences=True, return_state=True)
    >>> y, h, c = layer(np.ones((2, 7, 3), np.float32), lengths=[7, 0])
    >>> y.shape, h.shape
    ((2, 7, 5), (2, 5))
    """

    def __init__(
        self,
        cell,
        return_sequences=False,
        return_state=False,
        go_backwards=False,
        stateful=False,
        unroll=False,
        zero_output_for_mask=False,
        time_major=False,
        device="auto",
        name=None,
        flush_denormals=False,
        weights_dtype=None,
        dropout=0.0,
        recurrent_dropout=0.0,
        **unknown,
    ):
        construction.known_options(unknown, LAYER_OPTIONS, type(self).__name__)
        self.cell = construction.fused_cell(cell)
        self.return_sequences = checks.flag("return_sequences", return_sequences)
        self.return_state = checks.flag("return_state", return_state)
        self.go_backwards = checks.flag("go_backwards", go_backwards)
        self.stateful = checks.flag("stateful", stateful)
        self.unroll = checks.flag("unroll", unroll)
        self.zero_output_for_mask = checks.flag("zero_output_for_mask", zero_output_for_mask)
        self.time_major = checks.flag("time_major", time_major)
        self.device = construction.one_of("device", device, ("auto", "cpu", "cuda"))
        self.name = construction.layer_name(name, type(self).__name__.lower())
        checks.only_default("flush_denormals", flush_denormals, False)
        checks.only_default("weights_dtype", weights_dtype, None)
        checks.only_default("dropout", dropout, 0.0)
        checks.only_default("recurrent_dropout", recurrent_dropout, 0.0)
        places.device_of(self.device)
        self._state = None

    supports_masking = True

    @property
    def units(self):
        return self.cell.units

    @property
    def dtype(self):
        return self.cell.dtype

    def __repr__(self):
        return f"<{type(self).__name__} {self.name!r}: {self.cell!r}>"

    def build(self, input_size):
        """Draw the weights for inputs of `input_size` features; see `FusedCell.build`."""
        self.cell.build(input_size)

    def get_weights(self):
        """The weights as read-only arrays; see `FusedCell.get_weights`."""
        return self.cell.get_weights()

    def set_weights(self, weights):
        """Take copies of `weights`; see `FusedCell.set_weights`."""
        self.cell.set_weights(weights)

    def compute_mask(self, x, mask=None):
        """The mask of the outputs: `mask` where every step has an output, else None."""
        return mask if self.return_sequences else None

    @property
    def states(self):
        """Copies of the states that a stateful layer keeps, or None before its first call."""
        return None if self._state is None else self._state.copies()

    def reset_states(self, states=None, rows=None):
        """Set what a stateful layer starts from: `states` (a list of (B, H) arrays) or the cell's constants,
        for some rows or all.

        Before the first call there is nothing to reset; `states` then also fix the batch size. Given for all
        rows, they may do so anew.

        Raises
        ------
        ValueError, TypeError
            The layer is not stateful; a wrong structure or shape.
        """
        checks.is_stateful(self.stateful)
        if states is not None and rows is None:
            first = states[0] if isinstance(states, (list, tuple)) and states else states
            fresh = State(self.cell, len(np.atleast_1d(places.to_host("states", first))))
            fresh.reset(states)
            fresh.settled = True
            with (self._state or fresh).only_call():
                self._state = fresh
        elif self._state is not None:
            self._state.reset(states, rows)
        else:
            checks.no_rows_yet(rows)

    def stepper(self, batch_size):
        """A `Stepper`: one step at a time, on `batch_size` rows, with a state of its own."""
        return Stepper(self.cell, checks.whole("batch_size", batch_size, 1), self.device)

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
            LSTM: [h, c]. Default: the cell's constants, or what a stateful layer kept.
        mask : array_like of bool, shape (B, T), optional
            True = use. A masked step leaves the state, in any pattern.
        lengths : array_like of int, shape (B,), optional
            Valid steps of each row; later outputs are 0. Excludes `mask`.
        resets : array_like of bool, shape (B, T), or (steps,) for a Ragged, optional
            True = a new sequence begins here, from the cell's constants.
        training : bool
            Accepted; nothing depends on it.
        out : ndarray or tuple of ndarray, optional
            Written and returned, in the structure of the return value.
        n_threads : int, optional
            At most so many. Default: what the work is worth.
        extra
            None: no cell takes per-step inputs in this version.
        stream : int or object, optional
            Of a CUDA device: a stream of Numba, CuPy or PyTorch, an object with ``__cuda_stream__``, or the
            number of one. The call returns without waiting for it, unless it returns host arrays.

        Returns
        -------
        ndarray or Ragged, or tuple
            ``y`` (B, T, H) with ``return_sequences``, else (B, H); ``(y, *states)`` with ``return_state``.

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
        checks.only_default("extra", extra, None)
        n_threads = None if n_threads is None else checks.whole("n_threads", n_threads, 1)
        number = checks.stream(stream)
        request = self._request(x, mask, lengths, resets, number)
        checks.stream_of(stream, request.device)
        initial = self._initial(initial_state, request, number)
        given = initial_state if isinstance(initial_state, (list, tuple)) else [initial_state]
        results = self._results(request, out, [x, request.x, *initial, *given], number)
        self.build(request.x.shape[-1])
        options = {"n_threads": n_threads, "device": request.device, "stream": stream}
        if not self.stateful:
            return self._run(request, initial, results, out, options)
        state = self._state_of(request.B)
        with state.only_call():
            try:
                state.move_to(request.device if isinstance(request.x, OnDevice) else None)
                initial = state.current if initial_state is None else initial
                result = self._run(request, initial, results, out, options, state.spare)
            except BaseException:
                if not state.settled:
                    self._state = None
                raise
            state.swap()
            state.settled = True
        return result

    def explain(
        self, x, initial_state=None, mask=None, lengths=None, resets=None, n_threads=None, measure=False
    ):
        """How a call with these arguments is run: the decision that dispatch executes.

        Parameters
        ----------
        measure : bool
            Run it too (into arrays of its own; no state changes) and count what ran.

        Returns
        -------
        Decision or DeviceDecision

        Examples
        --------
        >>> layer = nr.GRU(8, seed=0)
        >>> decision = layer.explain(np.zeros((3, 5, 2), np.float32), lengths=[5, 0, 2], measure=True)
        >>> decision.valid_steps, decision.evaluations
        (7, 7)
        """
        checks.flag("measure", measure)
        n_threads = None if n_threads is None else checks.whole("n_threads", n_threads, 1)
        request = self._request(x, mask, lengths, resets)
        initial = self._initial(initial_state, request)
        self.build(request.x.shape[-1])
        if not measure:
            return dispatch.explain(self.cell.program, request.plan, n_threads, request.device)
        y = places.new_like(request.x, request.output_shape, self.dtype).reshape(-1, self.units)
        return dispatch.run(
            self.cell.program,
            request.plan,
            request.x,
            y,
            initial,
            [None] * len(initial),
            n_threads,
            measure=True,
            device=request.device,
        )

    def _request(self, x, mask, lengths, resets, stream=None):
        """Check what describes the batch and turn it into rows and a plan."""
        checks.exclusive(lengths, mask)
        options = {"reverse": self.go_backwards, "return_sequences": self.return_sequences}
        if isinstance(x, Ragged):
            checks.dense_only(lengths, mask, self.time_major)
            values = places.adopt("x.values", x.values, self.device, stream)
            values = checks.ragged_inputs(values, self.cell.input_size, self.dtype)
            resets = None if resets is None else checks.step_flags("resets", resets, (values.shape[0],))
            steps = plan.build(len(x), 0, offsets=x.offsets, resets=resets, **options)
            shape = (values.shape[0] if self.return_sequences else len(x), self.units)
            device = places.device_of(self.device, values)
            return Request(device, values, steps, False, len(x), shape, x.offsets)
        x = places.adopt("x", x, self.device, stream)
        x = checks.inputs(x, self.cell.input_size, self.dtype, self.time_major)
        device = places.device_of(self.device, x)
        if device is not None and isinstance(x, np.ndarray):
            x = np.ascontiguousarray(x)  # it is copied to the device as a whole
        axes = x.shape[:2]
        T, B = axes if self.time_major else axes[::-1]
        options["time_major"] = self.time_major
        given = {
            "lengths": None if lengths is None else checks.lengths(lengths, B, T, x.shape),
            "mask": None if mask is None else checks.step_flags("mask", mask, axes, self.time_major),
            "resets": None if resets is None else checks.step_flags("resets", resets, axes, self.time_major),
        }
        shape = (*(axes if self.return_sequences else (B,)), self.units)
        if x.flags.c_contiguous:
            x = x.reshape(B * T, x.shape[2])
        else:
            strides = [stride // x.itemsize for stride in x.strides[:2]]
            options["x_strides"] = tuple(strides[::-1] if self.time_major else strides)
        if all(value is None for value in given.values()):
            return Request(device, x, dispatch.dense_plan(B, T, **options), True, B, shape, None)
        steps = plan.build(B, T, **given, zero_output=self.zero_output_for_mask, **options)
        return Request(device, x, steps, False, B, shape, None)

    def _state_of(self, B):
        """The state a stateful layer keeps; of threads that call first, one makes it."""
        with _FIRST_CALL:
            if self._state is None:
                self._state = State(self.cell, B)
            return self._state

    def _initial(self, initial_state, request, stream=None):
        """The caller's initial states, or None for each; a stateful layer's batch size is checked too."""
        names = list(self.cell.definition.states)
        if self._state is not None:
            checks.batch_of(request.B, self._state.shape[0])
        if initial_state is None:
            return [None] * len(names)
        adopted = places.adopt_all("initial_state", initial_state, self.device, stream)
        states = checks.states("initial_state", adopted, names, request.B, self.units, self.dtype)
        for k, state in enumerate(states):
            checks.same_place(f"initial_state[{k}]", state, request.x)
        return states

    def _results(self, request, out, read, stream):
        """The arrays to write, y and with ``return_state`` the final states, none of which may be read."""
        shapes = {"y": request.output_shape}
        if self.return_state:
            shapes |= dict.fromkeys(self.cell.definition.states, (request.B, self.units))
        if out is None:
            return [places.new_like(request.x, shape, self.dtype) for shape in shapes.values()]
        offsets = request.offsets if self.return_sequences else None
        adopt = partial(places.adopt, device=self.device, stream=stream)
        return checks.outputs(
            out, shapes, self.dtype, [*read, *self.get_weights()], adopt, request.x, offsets
        )

    def _run(self, request, initial, results, out, options, kept=None):
        """Run a request; final states go to `kept` (a stateful layer's) and to the caller."""
        y, *states = results
        final = kept or states or [None] * len(initial)
        dispatch.run(
            self.cell.program,
            request.plan,
            request.x,
            y.reshape(-1, self.units),
            initial,
            final,
            again=request.dense,
            **options,
        )
        if kept and states:
            for copy, state in zip(states, kept, strict=True):
                places.copy(state, copy, options["stream"])
        y, *states = places.as_given(results)
        if request.offsets is not None and self.return_sequences:
            given = out[0] if isinstance(out, tuple) else out
            y = given if isinstance(given, Ragged) else Ragged(y, request.offsets)
        return (y, *states) if self.return_state else y
