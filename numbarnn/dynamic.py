"""TensorFlow 1's functions that run a cell over sequences, for every cell there is."""

from . import checks, checks_dynamic, checks_extra, checks_loop, loop
from .bidirectional import Bidirectional
from .checks_states import nested
from .loop_rnn import in_input_order
from .nests import Shape, flatten, is_nested, map_structure
from .ragged import Ragged
from .rnn import RNN
from .stacked import StackedRNNCells


def dynamic_rnn(
    cell,
    inputs,
    sequence_length=None,
    initial_state=None,
    dtype=None,
    time_major=False,
    *,
    extra=None,
    n_threads=None,
):
    """Run a cell over a batch of sequences of different lengths, as ``tf.nn.dynamic_rnn`` does.

    Parameters
    ----------
    cell : FusedCell, StackedRNNCells, list of cells, or object
        As of `RNN`; used with the weights it has. Of a layer it is ``layer.cell``.
    inputs : array_like, shape (B, T, I), or (T, B, I) with `time_major`; or Ragged
        Of a cell written in Python, arrays (B, T, ...), nested as it likes. Nothing past a length is read,
        except by such a cell, whose results there are dropped.
    sequence_length : array_like of int, shape (B,), optional
        Valid steps of each row, 0 to T. Default: T.
    initial_state : optional
        In the structure of the returned state. Default: the cell's constants, zeros as a rule.
    dtype : dtype, optional
        The cell's, and no other. TensorFlow 1 wants it where there is no `initial_state`; here it is known.
    time_major : bool
        Inputs and outputs have the time axis first; states never do.
    extra : dict, optional
        The per-step inputs that a fused cell's definition declares, as of a layer's call.
    n_threads : int, optional
        At most so many threads of the CPU. Default: what the work is worth.

    Returns
    -------
    outputs : ndarray, shape (B, T, units), or (T, B, units); Ragged of a Ragged
        Past a row's length exactly 0, whatever the inputs hold there.
    state : ndarray, shape (B, units), or a structure of such
        After each row's last valid step; of a row of length 0 the initial state. The array of a cell with one
        state, ``LSTMStateTuple(c, h)`` of TensorFlow 1's LSTM cells, else a list; of a stack a list with an
        entry for each cell. Of a cell written in Python nested as its ``state_size``.

    Raises
    ------
    TypeError, ValueError
        A wrong argument; another dtype than the cell's; a length above T, which TensorFlow takes for T.

    Notes
    -----
    It is one call of the kernels for each fused cell, with the bits of an `RNN` over the same cell. Results
    lie where the inputs do. Rates of dropout that a cell has for ``training=True`` change nothing.

    Source: TensorFlow 1.15, ``tensorflow/python/ops/rnn.py``.

    Examples
    --------
    >>> cell = nr.LSTMCell(5, seed=0)
    >>> outputs, (h, c) = nr.dynamic_rnn(cell, np.ones((2, 7, 3), np.float32), sequence_length=[7, 3])
    >>> outputs.shape, float(abs(outputs[1, 3:]).max()), bool((outputs[1, 2] == h[1]).all())
    ((2, 7, 5), 0.0, True)
    """
    way = _way("cell", cell, inputs, sequence_length, dtype, time_major)
    return way.run(way.start("initial_state", initial_state), extra, n_threads)


def bidirectional_dynamic_rnn(
    cell_fw,
    cell_bw,
    inputs,
    sequence_length=None,
    initial_state_fw=None,
    initial_state_bw=None,
    dtype=None,
    time_major=False,
    *,
    extra=None,
    n_threads=None,
):
    """Run a cell forward and another one backward over a batch of sequences, each row from its own end, as
    ``tf.nn.bidirectional_dynamic_rnn`` does.

    Parameters
    ----------
    cell_fw, cell_bw
        As `cell` of `dynamic_rnn`. They may be the same, which then has its weights in both directions.
    inputs, sequence_length, dtype, time_major, extra, n_threads
        As of `dynamic_rnn`; `extra` has what either cell declares.
    initial_state_fw, initial_state_bw : optional
        In the structure of the returned states.

    Returns
    -------
    outputs : tuple
        Of the two cells, not concatenated, both at the times of the inputs.
    states : tuple
        That of `cell_fw` after each row's last step, that of `cell_bw` after its first.

    Raises
    ------
    TypeError, ValueError
        As `dynamic_rnn`; two fused cells of different dtypes.

    Notes
    -----
    Two fused cells run side by side, as in `Bidirectional`.

    Examples
    --------
    >>> cells = nr.GRUCell(5, seed=0), nr.GRUCell(4, seed=1)
    >>> x = np.ones((2, 7, 3), np.float32)
    >>> (forward, backward), (_, state) = nr.bidirectional_dynamic_rnn(*cells, x, sequence_length=[7, 3])
    >>> forward.shape, backward.shape, bool((backward[:, 0] == state).all())
    ((2, 7, 5), (2, 7, 4), True)
    """
    given = inputs, sequence_length, dtype, time_major
    forward = _way("cell_fw", cell_fw, *given)
    backward = _way("cell_bw", cell_bw, *given, go_backwards=True)
    start_fw = forward.start("initial_state_fw", initial_state_fw)
    start_bw = backward.start("initial_state_bw", initial_state_bw)
    if isinstance(forward, _Fused) and isinstance(backward, _Fused):
        checks_dynamic.same_dtype(forward.cell, backward.cell)
        return _Pair(forward, backward).run(start_fw + start_bw, extra, n_threads)
    of_fw, of_bw = (extra, None) if isinstance(forward, _Fused) else (None, extra)
    outputs_fw, state_fw = forward.run(start_fw, of_fw, n_threads)
    outputs_bw, state_bw = backward.run(start_bw, of_bw, n_threads)
    outputs_bw = map_structure(lambda y: in_input_order(y, backward.lengths, time_major), outputs_bw)
    return (outputs_fw, outputs_bw), (state_fw, state_bw)


def _way(name, cell, inputs, sequence_length, dtype, time_major, go_backwards=False):
    """How a cell is run in one direction over a batch; the arguments are checked."""
    cell, time_major = checks_dynamic.cell(name, cell), checks.flag("time_major", time_major)
    kind = _Fused if checks_dynamic.is_fused(cell) else _WrittenInPython
    x = kind.inputs(inputs, cell, time_major)
    checks_dynamic.dtype(dtype, cell, name, x)
    B, lengths = checks_dynamic.rows_and_lengths(x, sequence_length, time_major)
    return kind(cell, x, B, lengths, time_major, go_backwards)


class _Fused:
    """A cell, or a stack of cells, that the kernels run."""

    inputs = staticmethod(checks_dynamic.fused_inputs)

    def __init__(self, cell, x, B, lengths, time_major, go_backwards):
        self.cell, self.x, self.B, self.lengths = cell, x, B, lengths
        self.layer = RNN(cell, True, True, go_backwards, time_major=time_major)

    def start(self, name, state):
        """The initial states as a list with an array, or None, for each."""
        if state is None:
            return [None] * len(checks_dynamic.fields(self.cell))
        return checks_dynamic.fused_states(name, state, self.cell, self.x, self.B)

    def run(self, start, extra, n_threads):
        given = None if start[0] is None else nested(start, self.layer.layout)
        options = {"lengths": self.lengths, "n_threads": n_threads, "extra": extra}
        outputs, *states = self.layer(self.x, given, **options)
        return outputs, _packed(self.cell, iter(flatten(states)))


class _WrittenInPython:
    """A cell that the loop in Python calls at every step."""

    inputs = staticmethod(checks_dynamic.nested_inputs)

    def __init__(self, cell, x, B, lengths, time_major, go_backwards):
        self.cell, self.x, self.B, self.lengths = cell, x, B, lengths
        self.how = {"time_major": time_major, "go_backwards": go_backwards, "return_sequences": True}

    def start(self, name, state):
        """The initial state as the loop takes it."""
        if state is None:
            return None
        loop.build(self.cell, map_structure(self._shape_of_step, self.x))
        dtype = checks_dynamic.dtype_of_states(self.cell, self.x)
        return checks_loop.states(name, state, loop.initial_states(self.cell, self.B, dtype))

    def _shape_of_step(self, x):
        return Shape(self.B, *(x.values.shape[1:] if isinstance(x, Ragged) else x.shape[2:]))

    def run(self, start, extra, n_threads):
        checks_extra.named(extra, {})
        if n_threads is not None:
            checks.whole("n_threads", n_threads, 1)
        outputs, state = loop.run(self.cell, self.x, start, lengths=self.lengths, **self.how)
        return outputs, state if is_nested(self.cell.state_size) else flatten(state)[0]


class _Pair(Bidirectional):
    """Two fused cells in opposite directions, themselves and not copies; `states` come checked."""

    def __init__(self, forward, backward):
        self.merge_mode, self.name = None, "bidirectional_dynamic_rnn"
        self.ways = forward, backward
        self.forward_layer, self.backward_layer = forward.layer, backward.layer

    def _initial(self, states, batch, stream=None):
        return states, []

    def run(self, states, extra, n_threads):
        forward, backward = self.ways
        options = {"lengths": forward.lengths, "n_threads": n_threads, "extra": extra}
        outputs_fw, outputs_bw, *states = self(forward.x, states, **options)
        rest = iter(flatten(states))
        return (outputs_fw, outputs_bw), (_packed(forward.cell, rest), _packed(backward.cell, rest))


def _packed(cell, states):
    """The state of a fused cell as its user knows it, from an iterator over arrays; see
    `checks_dynamic.flat_states`.
    """
    if hasattr(cell, "pack_state"):
        return cell.pack_state([next(states) for _ in checks_dynamic.fields(cell)])
    if isinstance(cell, StackedRNNCells):
        return [_packed(one, states) for one in cell.cells]
    own = [next(states) for _ in cell.fields]
    return own if len(own) > 1 else own[0]
