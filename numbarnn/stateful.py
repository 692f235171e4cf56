"""States that outlive a call: behind stateful layers, and owned by steppers."""

import threading

import numpy as np

from . import checks, checks_states, construction, dispatch, places
from .batch import Batch
from .device_arrays import OnDevice, is_on_device


def only_call(busy):
    """A lock to be entered by a call that works on a state: nobody else does then.

    What is entered is the lock itself: no interrupt can fall between taking or leaving it and the block, as
    it could inside methods of our own, and leave it locked for good. Of two calls that come in the same
    instant the second waits for the first instead.

    Raises
    ------
    RuntimeError
        Another call is at work on this state.
    """
    if busy.locked():
        raise RuntimeError(
            "this state is in use by another thread; expected one call at a time: "
            "give each thread its own stepper or stateful layer"
        )
    return busy


class State:
    """The state of a batch of sequences, old or new but never mixed.

    A call reads the current arrays and writes the spare ones; only when it has returned do they change
    places. So an error or an interrupt leaves the old state, and two calls at once are refused.

    Parameters
    ----------
    layout : list of list of Field
        See `checks_states`.
    batch_size : int
    dtype : numpy.dtype
    """

    def __init__(self, layout, batch_size, dtype):
        self.layout, self.batch_size, self.dtype = layout, batch_size, dtype
        self.fields = [field for group in layout for field in group]
        self.buffers = [
            [dispatch.empty((batch_size, field.units), dtype) for field in self.fields] for _ in range(2)
        ]
        self.side, self.device = 0, None  # where it lies: on a device, or in host memory
        self.settled = False  # whether its batch size stays, even if the call that it was made for fails
        self.busy = threading.Lock()
        self.reset()

    def __getstate__(self):
        attributes = {name: value for name, value in self.__dict__.items() if name != "busy"}
        if self.device is not None:  # copies and pickles lie in host memory, until their next call
            attributes |= {"buffers": [self.copies() for _ in range(2)], "device": None}
        return attributes

    def __setstate__(self, attributes):
        self.__dict__.update(attributes, busy=threading.Lock())

    @property
    def current(self):
        return self.buffers[self.side]

    @property
    def spare(self):
        return self.buffers[1 - self.side]

    def only_call(self):
        """``with state.only_call():`` keeps other calls out; see `only_call`."""
        return only_call(self.busy)

    def swap(self):
        """What the finished call wrote becomes the state."""
        self.side = 1 - self.side

    def move_to(self, device):
        """Have it lie on a device, or, with None, in host memory: where the next call reads and writes it."""
        if device is not self.device:
            values = self.copies()
            self.buffers = [[places.placed(value, device) for value in values] for _ in range(2)]
            self.device = device

    def copies(self):
        """The state as a list of new host arrays (batch_size, units), one for each field."""
        return [np.array(places.to_host("state", array)) for array in self.current]

    def as_given(self):
        """`copies` as users see them."""
        return checks_states.nested(self.copies(), self.layout)

    def reset(self, states=None, rows=None):
        """Set the state, of some rows or all, to `states` or to the cell's initial constants.

        Parameters
        ----------
        states : list, optional
            Full arrays (batch_size, units), in the layout's structure; with `rows`, only those rows of them
            are taken. Any float dtype is rounded once.
        rows : array_like, optional
            Row numbers, or one bool for each row.

        Raises
        ------
        TypeError, ValueError
            A wrong structure, shape or dtype; nothing has changed then.
        RuntimeError
            A call is at work on this state.
        """
        with self.only_call():
            chosen = slice(None) if rows is None else checks_states.rows(rows, self.batch_size)
            values = [field.constant for field in self.fields]
            if states is not None:
                given = checks_states.flatten("states", states, self.layout)
                arrays = checks_states.float_states(given, self.batch_size, self.dtype)
                values = [array[chosen] for array in arrays]
            for array, kept, value in zip(self.spare, self.copies(), values, strict=True):
                kept[chosen] = value
                places.fill(array, kept)
            self.swap()


class Stepper:
    """One step at a time on a batch whose state it keeps; made by ``layer.stepper(batch_size)``.

    Calling it costs a few microseconds of Python: its call blocks are filled in once, one for either side of
    the state.

    Examples
    --------
    >>> layer = nr.LSTM(4, seed=0)
    >>> layer.build(3)
    >>> stepper = layer.stepper(2)
    >>> y = np.empty((2, 4), np.float32)
    >>> for x_t in np.ones((5, 2, 3), np.float32):
    ...     y = stepper(x_t, out=y)
    >>> stepper.reset(rows=[1])
    >>> float(abs(stepper.states[0][1]).max())
    0.0
    """

    def __init__(self, cells, layout, batch_size, device="auto", flush_denormals=False, n_threads=None):
        self._cells, self.device, self.flush_denormals = cells, device, flush_denormals
        self.n_threads = n_threads
        self._state = State(layout, batch_size, cells[0].dtype)
        self._output_shape = batch_size, cells[-1].output_size
        self.extra_sizes = construction.extra_of_all(cells)
        # Whether steps of host arrays too are more than a prepared call: sent to a device, or arranged.
        self._elsewhere = places.device_of(device) is not None or any(cell.is_arranged for cell in cells)
        self._inputs = self._programs = None

    @property
    def states(self):
        """The state as a list of new arrays (batch_size, units), as the layer's call returns them (LSTM: h,
        c).
        """
        return self._state.as_given()

    def reset(self, rows=None):
        """Start over from the cell's initial constants: all rows, or those given by number or by a bool for
        each.
        """
        self._state.reset(rows=rows)

    time_major = False

    @property
    def dtype(self):
        return self._state.dtype

    @property
    def weights_dtype(self):
        """As of `RNN`."""
        return construction.weights_dtype_of(self._cells)

    @property
    def input_size(self):
        """Features of the first cell's inputs, or None before they are known."""
        return self._cells[0].input_size

    def _build(self, features):
        for cell in self._cells:
            cell.build(features)
            features = cell.output_size

    def _own(self, x_t):
        """Inputs that the kernels cannot read where they are, checked and copied to an array they can."""
        state = self._state
        array = checks.step_inputs(x_t, self.input_size, state.dtype, state.batch_size)
        if self._inputs is None:
            self._build(array.shape[1])
            self._inputs = dispatch.empty(array.shape, array.dtype)
        self._inputs[...] = array
        return self._inputs

    def _can_take(self, out, x_t):
        """Whether a glance tells that outputs may be written there; if not, `checks.output` looks again."""
        if out.__class__ is not np.ndarray or x_t.__class__ is not np.ndarray:
            return False
        if out.shape != self._output_shape or out.dtype != self._state.dtype or not out.flags.carray:
            return False
        return not np.may_share_memory(out, x_t)

    def _of_cells(self, values):
        """A list of states divided into one for each cell."""
        values = iter(values)
        return [[next(values) for _ in cell.fields] for cell in self._cells]

    def _prepare(self):
        """Call blocks for the weights the cells have now, for either side of the state: with the arrays that
        cells hand on to each other, and the last one.
        """
        batch_size, plan = self._state.batch_size, dispatch.dense_plan(self._state.batch_size, 1)
        between = [
            dispatch.empty((batch_size, cell.output_size), self._state.dtype) for cell in self._cells[:-1]
        ]
        a, b = map(self._of_cells, self._state.buffers)
        programs, self._calls = [(cell, cell.program) for cell in self._cells], []
        for sides in ((a, b), (b, a)):
            *first, last = (
                dispatch.prepare(cell.program, plan, *ends, self.n_threads, self.flush_denormals)
                for cell, *ends in zip(self._cells, *sides, strict=True)
            )
            self._calls.append((list(zip(first, between, strict=True)), last))
        self._programs = programs  # last: an interrupt before it leaves the old calls marked as old

    def _are_prepared(self, first, last):
        for cell, program in self._programs:  # twice as fast as all(...)
            if cell.program is not program:
                return False
        if not first and last.members == 1:
            return True
        return dispatch.may_run(last) and all(dispatch.may_run(call) for call, _ in first)

    def __getstate__(self):
        made, kept = ("_inputs", "_programs"), dict(self.__dict__)
        kept.pop("_calls", None)
        return kept | dict.fromkeys(made)

    def _step_arranged(self, x_t, out, extra):
        """A step of arrays on a CUDA device, or sent there, or with extra inputs."""
        state = self._state
        x_t = places.adopt("x_t", x_t, self.device)
        x_t = checks.step_inputs(x_t, self.input_size, state.dtype, state.batch_size)
        batch = Batch(self, x_t, extra=extra, one_step=True)
        checks.flush_for(batch.device, self.flush_denormals)
        if out is None:
            out = places.new_like(x_t, self._output_shape, state.dtype)
        else:
            out = places.adopt("out", out, self.device)
            checks.output(out, self._output_shape, state.dtype, x_t, *(extra or {}).values())
            checks.same_place("out", out, x_t)
        self._build(x_t.shape[1])
        plan = dispatch.dense_plan(batch.B, 1)
        with state.only_call():
            state.move_to(batch.device if isinstance(x_t, OnDevice) else None)
            values, sides = batch.rows, map(self._of_cells, (state.current, state.spare))
            outputs = [
                places.workspace(batch.device, (batch.B, cell.output_size), state.dtype)
                for cell in self._cells[:-1]
            ]
            for cell, start, end, y in zip(self._cells, *sides, [*outputs, out], strict=True):
                masks = cell.kept_masks(batch, False)
                run = cell.arrange(batch, values, start, end, False, None, batch.extra, masks)
                ways = {"device": batch.device, "extra": run.extra, "again": True}
                ways |= {"flush": self.flush_denormals, "n_threads": self.n_threads}
                dispatch.run(run.program, plan, run.x, y, run.initial, run.final, **ways)
                values = y
            state.swap()
        return places.as_given([out])[0]

    def __call__(self, x_t, out=None, *, extra=None):
        """The output (batch_size, units) of one step on `x_t` (batch_size, features); the state moves on.

        Parameters
        ----------
        x_t : array_like, shape (batch_size, features)
        out : ndarray, shape (batch_size, units), optional
            Written and returned.
        extra : dict, optional
            Inputs of this step that the cells' definitions declare: name -> array (batch_size, size), or
            (batch_size,).

        Raises
        ------
        TypeError, ValueError
            A wrong dtype or shape, or an `out` that overlaps `x_t`; the state has not moved.
        RuntimeError
            Another thread is stepping.
        """
        if self._elsewhere or extra is not None or (x_t.__class__ is not np.ndarray and is_on_device(x_t)):
            return self._step_arranged(x_t, out, extra)
        state = self._state
        if out is None:
            out = dispatch.empty(self._output_shape, state.dtype)
        elif not self._can_take(out, x_t):
            checks.output(out, self._output_shape, state.dtype, x_t)
        with only_call(state.busy):
            if state.device is not None:
                self._programs = None  # its calls are bound to arrays that are there no more
                state.move_to(None)
            inputs = self._inputs
            if inputs is None or x_t.__class__ is not np.ndarray or x_t.shape != inputs.shape:
                x_t = self._own(x_t)
            elif x_t.dtype != inputs.dtype or not x_t.flags.carray:
                x_t = self._own(x_t)
            if self._programs is None or not self._are_prepared(*self._calls[state.side]):
                self._prepare()
            first, last = self._calls[state.side]
            for call, y in first:
                call.step(x_t, y)
                x_t = y
            last.step(x_t, out)
            state.swap()
        return out
