"""Cells run one after the other at every step, as one cell."""

from . import checks, checks_loop, loop
from .fused import FusedCell
from .nests import Shape, flatten, is_nested, same_structure


class StackedRNNCells:
    """A cell made of cells: each step's output of one is the input of the next.

    Parameters
    ----------
    cells : list
        `LSTMCell`, `GRUCell`, `SimpleRNNCell`, your own in a `FusedCell`, or objects with ``state_size`` and
        ``call(inputs, states)``, in any mixture. If all are fused, `RNN` runs each cell's kernels over the
        whole sequence.

    Raises
    ------
    TypeError, ValueError
        Something in the list is no cell, fused cells have different dtypes.

    Attributes
    ----------
    cells : list
    state_size : list
        Each cell's, in order; `output_size` is the last cell's.

    Notes
    -----
    States, given or returned, have one entry for each cell: the array of a cell with one state, [h, c] of an
    LSTM. Keras 3.15 returns [h] in place of that array and tf_keras the array; with a stack of one cell and a
    mask Keras 3.15 fails, which works here.

    Examples
    --------
    >>> stack = nr.StackedRNNCells([nr.LSTMCell(5, seed=0), nr.GRUCell(4, seed=1)])
    >>> output, [[h, c], h_2] = stack(np.ones((2, 3), np.float32), stack.get_initial_state(2))
    >>> output.shape, c.shape, h_2.shape
    ((2, 4), (2, 5), (2, 4))
    """

    def __init__(self, cells):
        self.cells = checks_loop.cells(cells)
        checks_loop.one_dtype(self.cells, FusedCell)

    def __repr__(self):
        return f"<{type(self).__name__} of {self.cells!r}>"

    @property
    def fused(self):
        """Whether every cell is one that the kernels run."""
        return all(isinstance(cell, FusedCell) for cell in self.cells)

    @property
    def state_size(self):
        return [cell.state_size for cell in self.cells]

    @property
    def output_size(self):
        return _output_size(self.cells[-1])

    @property
    def input_size(self):
        """I of the first cell, or None while it is unknown."""
        return getattr(self.cells[0], "input_size", None)

    @property
    def dtype(self):
        """Of the first cell that has one, or None."""
        found = (checks_loop.dtype_of(cell) for cell in self.cells)
        return next((dtype for dtype in found if dtype is not None), None)

    def build(self, input_size):
        """Draw the weights of every cell, for inputs of `input_size` features to the first.

        Raises
        ------
        TypeError, ValueError
            As `FusedCell.build`.
        """
        input_size = checks.whole("input_size", input_size, 0)
        for cell in self.cells:
            if isinstance(cell, (FusedCell, StackedRNNCells)):
                cell.build(input_size)
            else:
                loop.build(cell, Shape(1, input_size))
            size = checks_loop.sizes("output_size", _output_size(cell))
            input_size = None if is_nested(size) or len(size) != 1 else size[0]
            if input_size is None:
                break  # the cells after it are built at their first step

    def get_weights(self):
        """The weights of all cells in one list, in the order of the cells."""
        return [array for cell in self.cells if hasattr(cell, "get_weights") for array in cell.get_weights()]

    def set_weights(self, weights):
        """Take copies of `weights`, a list as `get_weights` returns it.

        Raises
        ------
        TypeError, ValueError
            Another number of arrays, or as `FusedCell.set_weights`.
        """
        if self.fused:
            set_weights([self.cells], weights)
            return
        with_weights = [cell for cell in self.cells if hasattr(cell, "set_weights")]
        counts = [_weights_of(cell) for cell in with_weights]
        parts = checks_loop.parts("weights", weights, counts)
        for cell, part in zip(with_weights, parts, strict=True):
            cell.set_weights(part)

    def get_initial_state(self, batch_size, dtype=None):
        """A list of each cell's state before any step: an array for a cell with one state, else a nest."""
        batch_size = checks.whole("batch_size", batch_size, 0)
        states = [loop.initial_states(cell, batch_size, dtype) for cell in self.cells]
        return [_entry(cell, state) for cell, state in zip(self.cells, states, strict=True)]

    def reset_dropout_mask(self):
        """Have the cells draw new dropout masks at the next step."""
        for cell in self.cells:
            loop.reset_dropout(cell)

    def __call__(self, x_t, states, training=False):
        """One step of a batch through all cells.

        Parameters
        ----------
        x_t : nest of array_like, shape (B, ...) each
        states : list
            One entry for each cell, as `get_initial_state` gives them.
        training : bool
            Handed to the cells that take it.

        Returns
        -------
        output : nest of ndarray
            The last cell's.
        new_states : list

        Raises
        ------
        TypeError, ValueError
            A number of entries that is not that of the cells; what a cell raises.
        """
        checks.flag("training", training)
        entries = checks_loop.entries_of("states", states, len(self.cells), "one for each cell")
        output, new_states = x_t, []
        for k, (cell, entry) in enumerate(zip(self.cells, entries, strict=True)):
            loop.build_for(cell, output)
            given = checks_loop.as_states(entry)
            output, new = loop.step_function(cell, training)(output, given)
            new = checks_loop.as_states(new)
            same_structure(f"new_states of cells[{k}]", new, f"states[{k}]", given)
            new_states.append(_entry(cell, new))
        return output, new_states


def set_weights(stacks, weights):
    """`FusedCell.set_weights` of all cells of stacks that have the same inputs; all of them or none."""
    cells = [cell for stack in stacks for cell in stack]
    if len(cells) == 1 or not isinstance(weights, (list, tuple)):
        cells[0].set_weights(weights)
        return
    rest = checks.count("weights", weights, sum(len(cell.shapes(None)) for cell in cells))
    inputs, parts = cells[0].input_size, []
    for stack in stacks:
        features = inputs
        for cell in stack:
            count = len(cell.shapes(None))
            parts.append(cell.checked_weights(rest[:count], features))
            rest, features = rest[count:], cell.output_size
            inputs = cells[0].inputs_of(parts[0])
    for cell, arrays in zip(cells, parts, strict=True):
        cell.use(arrays)


def _entry(cell, state):
    """A cell's state as an entry of the stack's."""
    return state if is_nested(cell.state_size) else flatten(state)[0]


def _output_size(cell):
    """A cell's output_size; without one, as in Keras, the first of its state_size."""
    own = getattr(cell, "output_size", None)
    return flatten(cell.state_size)[0] if own is None else own


def _weights_of(cell):
    """How many arrays a cell's set_weights takes, also before it is built."""
    if isinstance(cell, FusedCell):
        return len(cell.shapes(None))
    if isinstance(cell, StackedRNNCells):
        return sum(_weights_of(one) for one in cell.cells if hasattr(one, "set_weights"))
    return len(cell.get_weights())
