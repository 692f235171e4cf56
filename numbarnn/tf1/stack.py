"""TensorFlow 1's stack of cells."""

from .. import checks, checks_dynamic, checks_states
from ..stacked import StackedRNNCells
from . import checks as tf1_checks


class MultiRNNCell(StackedRNNCells):
    """Cells one upon the other, ``tf.nn.rnn_cell.MultiRNNCell``: each step's output of one is the input of
    the next.

    Parameters
    ----------
    cells : list
        Cells of this module or others, stacks among them; the same cell twice shares its weights.
    state_is_tuple : bool
        The state is a tuple of the cells' states, that of a stack among them a tuple of its own; else one
        matrix, theirs side by side.

    Raises
    ------
    TypeError, ValueError
        Something in the list is no cell, different dtypes; with ``state_is_tuple=False`` a cell whose own
        state is a tuple.

    Attributes
    ----------
    cells : list
        As they run one after the other: those of a stack in its place.

    Examples
    --------
    >>> cell = nr.tf1.MultiRNNCell([nr.tf1.LSTMCell(5, seed=0), nr.tf1.GRUCell(4, seed=1)])
    >>> output, (first, second) = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> first.c.shape, second.shape
    ((2, 5), (2, 4))
    """

    def __init__(self, cells, state_is_tuple=True):
        self._nested = StackedRNNCells(cells)
        super().__init__([cell for part in self._nested.cells for cell in _in_a_row(part)])
        self.state_is_tuple = checks.flag("state_is_tuple", state_is_tuple)
        for k, part in enumerate(self._nested.cells):
            if not state_is_tuple and isinstance(part.state_size, (list, tuple)):
                raise ValueError(
                    f"cells[{k}] has the state_size {part.state_size}, and state_is_tuple is False; expected "
                    "cells whose states are one array, as with their own state_is_tuple=False"
                )

    def __repr__(self):
        return f"<{type(self).__name__} of {self._nested.cells!r}>"

    @property
    def state_size(self):
        sizes = tuple(part.state_size for part in self._nested.cells)
        return sizes if self.state_is_tuple else sum(sizes)

    def pack_state(self, states):
        """A state as users know it, from the list of all its arrays."""
        states = iter(states)
        return self._joined(
            [packed(part, [next(states) for _ in checks_dynamic.fields(part)]) for part in self._nested.cells]
        )

    def flat_state(self, state):
        """The list of all arrays of a state as users give it."""
        entries = zip(self._nested.cells, self._entries(state), strict=True)
        return [array for part, entry in entries for array in flat(part, entry)]

    def _entries(self, state):
        if self.state_is_tuple:
            return tf1_checks.parts("state", state, len(self._nested.cells), ", one for each cell")
        return tf1_checks.one_matrix("state", state, self._nested.state_size)

    def zero_state(self, batch_size, dtype=None):
        """The state before any step; see `state_size`."""
        dtype = None if dtype is None else tf1_checks.dtype(dtype)
        states = self._nested.get_initial_state(batch_size, dtype)
        return self._joined(
            part.zero_state(batch_size, dtype) if hasattr(part, "flat_state") else state
            for part, state in zip(self._nested.cells, states, strict=True)
        )

    def get_initial_state(self, batch_size, dtype=None):
        """As `zero_state`; one matrix in a list."""
        state = self.zero_state(batch_size, dtype)
        return state if self.state_is_tuple else [state]

    def _joined(self, entries):
        return tuple(entries) if self.state_is_tuple else tf1_checks.joined(entries)

    def __call__(self, x_t, state, training=False):
        """One step of a batch through all cells.

        Parameters
        ----------
        x_t : array_like, shape (B, I)
        state : tuple, or array_like
            As `zero_state` gives it.
        training : bool
            Handed to the cells that take it.

        Returns
        -------
        output : ndarray
            The last cell's.
        state : as `state`
        """
        output, states = self._nested(x_t, list(self._entries(state)), training)
        return output, self._joined(states)


def _in_a_row(cell):
    """The cells that run one after the other."""
    return cell.cells if isinstance(cell, MultiRNNCell) else [cell]


def packed(cell, states):
    """A state as users of a cell know it, from the list of its arrays."""
    if hasattr(cell, "pack_state"):
        return cell.pack_state(states)
    return states if len(states) > 1 else states[0]


def flat(cell, state):
    """The list of arrays of a state as users of a cell give it."""
    if hasattr(cell, "flat_state"):
        return cell.flat_state(state)
    triples = checks_states.flatten("state", state, [[field] for field in cell.fields])
    return [value for *_, value in triples]
