"""States that outlive a call: behind stateful layers, and owned by steppers."""

import threading

import numpy as np

from . import checks, dispatch, places
from .device_arrays import OnDevice, is_on_device


class State:
    """The state of a batch of sequences, old or new but never mixed.

    A call reads the current arrays and writes the spare ones; only when it has returned do they change
    places. So an error or an interrupt leaves the old state, and two calls at once are refused.

    Parameters
    ----------
    cell : FusedCell
    batch_size : int
    """

    def __init__(self, cell, batch_size):
        self.names, self.constants = list(cell.definition.states), list(cell.definition.states.values())
        shape = (batch_size, cell.units)
        self.shape, self.dtype = shape, cell.dtype
        self.buffers = [[dispatch.empty(shape, cell.dtype) for _ in self.names] for _ in range(2)]
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
        """``with state.only_call():`` keeps other calls out.

        What is entered is the lock itself: no interrupt can fall between taking or leaving it and the block,
        as it could inside methods of our own, and leave it locked for good. Of two calls that come in the
        same instant the second waits for the first instead.

        Raises
        ------
        RuntimeError
            Another call is at work on this state.
        """
        if self.busy.locked():
            raise RuntimeError(
                "this state is in use by another thread; expected one call at a time: "
                "give each thread its own stepper or stateful layer"
            )
        return self.busy

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
        """The state as a list of new host arrays (batch_size, units)."""
        return [np.array(places.to_host("state", array)) for array in self.current]

    def reset(self, states=None, rows=None):
        """Set the state, of some rows or all, to `states` or to the cell's initial constants.

        Parameters
        ----------
        states : list of array_like, optional
            Full arrays (batch_size, units); with `rows`, only those rows of them are taken. Any float dtype
            is rounded once.
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
            chosen = slice(None) if rows is None else checks.rows(rows, self.shape[0])
            values = self.constants
            if states is not None:
                values = [
                    array[chosen] for array in checks.float_states(states, self.names, self.shape, self.dtype)
                ]
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

    def __init__(self, cell, batch_size, device="auto"):
        self._cell, self._state, self._device = cell, State(cell, batch_size), device
        self._elsewhere = places.device_of(device) is not None  # even host arrays are sent to a device
        self._inputs = self._program = None

    @property
    def states(self):
        """The state as a list of new arrays (batch_size, units), in the cell's order (LSTM: h, c)."""
        return self._state.copies()

    def reset(self, rows=None):
        """Start over from the cell's initial constants: all rows, or those given by number or by a bool for
        each.
        """
        self._state.reset(rows=rows)

    def _own(self, x_t):
        """Inputs that the kernels cannot read where they are, checked and copied to an array they can."""
        array = checks.step_inputs(x_t, self._cell.input_size, self._state.dtype, self._state.shape[0])
        if self._inputs is None:
            self._cell.build(array.shape[1])
            self._inputs = dispatch.empty(array.shape, array.dtype)
        self._inputs[...] = array
        return self._inputs

    def _prepare(self):
        """Call blocks for the weights the cell has now."""
        program, plan = self._cell.program, dispatch.dense_plan(self._state.shape[0], 1)
        a, b = self._state.buffers
        self._calls = [dispatch.prepare(program, plan, start, end) for start, end in ((a, b), (b, a))]
        self._program = program  # last: an interrupt before it leaves the old calls marked as old

    def __getstate__(self):
        made = ("_inputs", "_program")
        return {
            name: None if name in made else value for name, value in self.__dict__.items() if name != "_calls"
        }

    def _step_on_device(self, x_t, out):
        """A step of arrays on a CUDA device, or sent there."""
        state = self._state
        x_t = places.adopt("x_t", x_t, self._device)
        x_t = checks.step_inputs(x_t, self._cell.input_size, state.dtype, state.shape[0])
        if out is None:
            out = places.new_like(x_t, state.shape, state.dtype)
        else:
            out = places.adopt("out", out, self._device)
            checks.output(out, state.shape, state.dtype, x_t)
            checks.same_place("out", out, x_t)
        self._cell.build(x_t.shape[1])
        plan, device = dispatch.dense_plan(state.shape[0], 1), places.device_of(self._device, x_t)
        with state.only_call():
            state.move_to(device if isinstance(x_t, OnDevice) else None)
            dispatch.run(
                self._cell.program, plan, x_t, out, state.current, state.spare, again=True, device=device
            )
            state.swap()
        return places.as_given([out])[0]

    def __call__(self, x_t, out=None):
        """The output (batch_size, units) of one step on `x_t` (batch_size, features); the state moves on.

        Parameters
        ----------
        x_t : array_like, shape (batch_size, features)
        out : ndarray, shape (batch_size, units), optional
            Written and returned.

        Raises
        ------
        TypeError, ValueError
            A wrong dtype or shape, or an `out` that overlaps `x_t`; the state has not moved.
        RuntimeError
            Another thread is stepping.
        """
        if self._elsewhere or (x_t.__class__ is not np.ndarray and is_on_device(x_t)):
            return self._step_on_device(x_t, out)
        state = self._state
        if out is None:
            out = dispatch.empty(state.shape, state.dtype)
        else:
            checks.output(out, state.shape, state.dtype, x_t)
        with state.only_call():
            if state.device is not None:
                self._program = None  # its calls are bound to arrays that are there no more
                state.move_to(None)
            inputs = self._inputs
            if inputs is None or x_t.__class__ is not np.ndarray or x_t.shape != inputs.shape:
                x_t = self._own(x_t)
            elif x_t.dtype != inputs.dtype or not x_t.flags.carray:
                x_t = self._own(x_t)
            if self._program is not self._cell.program or not self._calls[state.side].may_run():
                self._prepare()
            self._calls[state.side].step(x_t, out)
            state.swap()
        return out
