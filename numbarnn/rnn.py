"""A cell, or cells one upon the other, run over sequences."""

import copy
import math
from functools import cached_property

from . import checks, construction, dispatch, places
from .batch import Batch, described
from .beside import Run
from .kernels import jit
from .kernels.plan import build
from .recurrent import Recurrent
from .stacked import StackedRNNCells
from .stateful import Stepper

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
)


class RNN(Recurrent):
    """Run a cell over a batch of sequences.

    Parameters
    ----------
    cell : FusedCell, StackedRNNCells, list of cells, or object
        `LSTMCell`, `GRUCell`, `SimpleRNNCell`, or your own in a `FusedCell`; cells in a list are stacked,
        each taking the outputs of the one before. Any other object with ``state_size`` and ``call(inputs,
        states)`` is run step by step by a loop in Python, of which nothing that is said of speed and bits
        holds: see `numbarnn.loop`.
    return_sequences : bool
        Return the output of every step, not of the last alone.
    return_state : bool
        Return the final states too: ``y, *states``; of stacked cells one entry for each, an array or a list.
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
    flush_denormals : bool
        Take denormal numbers for 0, in operands and results of every operation: those below 1.2e-38
        (float64: 2.2e-308). States decay into them where nothing excites a network, and on some CPUs
        arithmetic with them is many times slower. The mode is set inside a call, in each of its threads, and
        the caller's restored. On the CPU only; with NUMBA_DISABLE_JIT=1 it changes nothing.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.
    DeviceNotAvailable
        ``device="cuda"`` where there is none.

    Notes
    -----
    Semantics are those of Keras 3.15 on TensorFlow, and of ``tf.nn.dynamic_rnn`` for `lengths`. tf_keras
    differs: there a recorded state that is not zero wins over a passed `initial_state`, here, as in Keras 3,
    the passed one does; there a fused layer drops other inputs at every step, here one mask of inputs and one
    of recurrent vectors is drawn per call; its `StackedRNNCells` may reverse the order of states. The bits of
    a row's results do not depend on the other rows, on padding, on the number of threads, or on how a
    sequence is cut into calls.

    Examples
    --------
    >>> layer = nr.RNN(nr.LSTMCell(5, seed=0), return_sequences=True, return_state=True)
    >>> y, h, c = layer(np.ones((2, 7, 3), np.float32), lengths=[7, 0])
    >>> y.shape, h.shape
    ((2, 7, 5), (2, 5))
    >>> stack = nr.RNN([nr.LSTMCell(5, seed=0), nr.GRUCell(4, seed=1)], return_state=True)
    >>> y, (h, c), h_of_gru = stack(np.ones((2, 7, 3), np.float32))
    >>> c.shape, h_of_gru.shape
    ((2, 5), (2, 4))
    """

    _outputs = 1  # arrays, beside the states

    def __new__(cls, cell=None, *_, **__):
        if cls is RNN and construction.is_written_in_python(cell):
            from .loop_rnn import LoopRNN

            return object.__new__(LoopRNN)
        return object.__new__(cls)

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
        **unknown,
    ):
        construction.known_options(unknown, LAYER_OPTIONS, self._kind)
        self.cell, self.cells = construction.cells(cell)
        self.return_sequences = checks.flag("return_sequences", return_sequences)
        self.return_state = checks.flag("return_state", return_state)
        self.go_backwards = checks.flag("go_backwards", go_backwards)
        self.stateful = checks.flag("stateful", stateful)
        self.unroll = checks.flag("unroll", unroll)
        self.zero_output_for_mask = checks.flag("zero_output_for_mask", zero_output_for_mask)
        self.time_major = checks.flag("time_major", time_major)
        self.device = construction.one_of("device", device, ("auto", "cpu", "cuda"))
        self.name = construction.layer_name(name, self._kind.lower())
        self.flush_denormals = construction.flush_denormals(flush_denormals)
        checks.flush_for(self.device if self.device == "cuda" else None, self.flush_denormals)
        checks.weights_for(self.device if self.device == "cuda" else None, self.weights_dtype)
        places.device_of(self.device)

    @property
    def units(self):
        """Features of the outputs."""
        return self.cell.output_size

    @property
    def dtype(self):
        return self.cell.dtype

    @property
    def weights_dtype(self):
        """The first of 16 bits among what the cells keep their matrices in, or None."""
        return construction.weights_dtype_of(self.cells or ())

    @property
    def input_size(self):
        return self.cells[0].input_size

    @cached_property
    def layout(self):
        if len(self.cells) == 1:
            return [[field] for field in self.cells[0].fields]
        return [cell.fields for cell in self.cells]

    @cached_property
    def extra_sizes(self):
        """What the cells ask of `extra`, see `FusedCell`."""
        return construction.extra_of_all(self.cells)

    def __repr__(self):
        return f"<{self._kind} {self.name!r}: {self.cell!r}>"

    def build(self, input_size):
        """Draw the weights for inputs of `input_size` features; see `FusedCell.build`."""
        self.cell.build(input_size)

    def compile_kernels(self):
        """What `numbarnn.warmup` does."""
        checks.has_weights(self, [cell.program for cell in self.cells])
        for cell in self.cells:
            dispatch.compile_all(cell.program)
            if cell.recurrent_dropout > 0:
                dispatch.compile_all(cell.training_program)

    def get_weights(self):
        """The weights as read-only arrays, cell after cell; see `FusedCell.get_weights`."""
        return self.cell.get_weights()

    def set_weights(self, weights):
        """Take copies of `weights`; see `FusedCell.set_weights`."""
        self.cell.set_weights(weights)

    def compute_mask(self, x, mask=None):
        """The mask of the outputs: `mask` where every step has an output, else None; with ``return_state`` a
        list, which has None for each state.
        """
        of_outputs = mask if self.return_sequences else None
        return [of_outputs, *[None] * len(self.layout)] if self.return_state else of_outputs

    def unbuilt(self, name, go_backwards, stream=None):
        """A layer like this one, without weights and states; with `stream`, it draws from that stream of the
        seed.
        """
        made = copy.copy(self)
        made.cells = [cell.unbuilt(stream) for cell in self.cells]
        made.cell = made.cells[0] if self.cell is self.cells[0] else StackedRNNCells(made.cells)
        made.name, made.go_backwards, made._state = name, go_backwards, None
        return made

    def going_back(self):
        """A function that has a stateful layer stand again where it stands now."""
        state, side = self._state, self._state and self._state.side

        def go_back():
            self._state = state
            if state is not None:
                state.side = side

        return go_back

    def stepper(self, batch_size, n_threads=None):
        """A `Stepper`: one step at a time, on `batch_size` rows, with a state of its own.

        Parameters
        ----------
        batch_size : int
        n_threads : int, optional
            At most so many. Default: what a step is worth, which hardly ever is more than one.
        """
        batch_size = checks.whole("batch_size", batch_size, 1)
        n_threads = None if n_threads is None else checks.whole("n_threads", n_threads, 1)
        return Stepper(self.cells, self.layout, batch_size, self.device, self.flush_denormals, n_threads)

    def explain(
        self,
        x,
        initial_state=None,
        mask=None,
        lengths=None,
        resets=None,
        n_threads=None,
        measure=False,
        *,
        extra=None,
    ):
        """How a call with these arguments is run: the decision that dispatch executes.

        Parameters
        ----------
        measure : bool
            Run it too (into arrays of its own; no state changes) and count what ran.

        Returns
        -------
        Decision or DeviceDecision
            Of stacked cells a list, one for each.

        Examples
        --------
        >>> layer = nr.GRU(8, seed=0)
        >>> decision = layer.explain(np.zeros((3, 5, 2), np.float32), lengths=[5, 0, 2], measure=True)
        >>> decision.valid_steps, decision.evaluations
        (7, 7)
        """
        checks.flag("measure", measure)
        n_threads = None if n_threads is None else checks.whole("n_threads", n_threads, 1)
        batch = Batch(self, x, mask, lengths, resets, extra=extra)
        initial, _ = self._initial(initial_state, batch)
        self.build(batch.x.shape[-1])
        y = None
        if measure:
            rows = math.prod(self._output_axes(batch))
            y = places.new_like(batch.x, (rows, self.units), self.dtype)
        decisions = [
            run.start(n_threads=n_threads, measure=True, device=batch.device)
            if measure
            else dispatch.explain(run.program, run.steps_plan, n_threads, batch.device)
            for run in self.runs(batch, initial, y, [None] * len(initial), False)
        ]
        return decisions[0] if len(decisions) == 1 else decisions

    def runs(self, batch, initial, y, final, training, stream=None, turned=False):
        """What is run, cell after cell; each is to be run before the next is asked for, which may take its
        inputs from what that one wrote.

        Parameters
        ----------
        batch : Batch
        initial, final : list
            States, in the order of all cells' fields.
        y : ndarray or OnDevice, shape (rows, units)
        training : bool
        stream : object, optional
            That what is run will be run on.
        turned : bool
            See `plan.build`.

        Yields
        ------
        Run
        """
        checks.flush_for(batch.device, self.flush_denormals)
        x, own_rows, at = batch.rows, False, 0
        for k, cell in enumerate(self.cells):
            is_last, states = k == len(self.cells) - 1, slice(at, at + len(cell.fields))
            target, how = y, {"reverse": self.go_backwards, "zero_output": self.zero_output_for_mask}
            how |= {"return_sequences": self.return_sequences, "turned": turned}
            if not is_last:  # at the times of its inputs, for the next cell to find
                shape = math.prod(batch.axes), cell.output_size
                target = places.workspace(batch.device, shape, self.dtype)
                how |= {"return_sequences": True, "turned": self.go_backwards}
            run = cell.arrange(batch, x, initial[states], final[states], training, stream, batch.extra)
            plan, again = batch.plan(own_rows=own_rows or run.own_rows, **how, **run.options)
            flush = self.flush_denormals
            yield Run(run.program, plan, run.x, target, run.initial, run.final, run.extra, again, flush)
            x, own_rows, at = target, True, states.stop

    def _shorter(self, x, mask, lengths, resets, out, n_threads):
        """A call on an array that lies as kernels read it: half the time in Python. None where there is more
        to see to.
        """
        cell = self.cells[0]
        if self.stateful or self.return_state or cell is not self.cell or cell.is_arranged or jit.DISABLED:
            return None
        program = cell.program
        if (
            program is None
            or places.device_of(self.device) is not None
            or x.dtype != program.dtype
            or not x.flags.carray
        ):
            return None
        if x.ndim != 3 or x.shape[2] != program.input_size or x.size == 0:
            return None
        options = {
            "reverse": self.go_backwards,
            "return_sequences": self.return_sequences,
            "time_major": self.time_major,
        }
        axes, again = x.shape[:2], mask is lengths is resets is None
        T, B = axes if self.time_major else axes[::-1]
        if again:
            plan = dispatch.dense_plan(B, T, turned=False, **options)
        else:
            checks.exclusive(lengths, mask)
            given = described(axes, self.time_major, lengths, mask, resets, x.shape)
            plan = build(B, T, **given, zero_output=self.zero_output_for_mask, **options)
        shape = (*axes, program.output_size) if self.return_sequences else (B, program.output_size)
        if out is None:
            out = dispatch.empty(shape, program.dtype)
        else:
            checks.output(out, shape, program.dtype, x, *program.weights.arrays.values())
        y, states = out.reshape(-1, program.output_size), program.no_states
        dispatch.run(program, plan, x, y, *states, n_threads, again, flush=self.flush_denormals)
        return out

    def _output_axes(self, batch):
        return batch.axes if self.return_sequences else (batch.B,)

    def _output_shapes(self, batch):
        return [("y", (*self._output_axes(batch), self.units))]

    def _run(self, batch, initial, outputs, final, training, ways):
        y = outputs[0].reshape(-1, self.units)
        for run in self.runs(batch, initial, y, final, training, ways["stream"]):
            run.start(**ways)
