"""Stacks of cells of every kind."""

import numpy as np
import pytest
from bits import same
from written_cells import B, I, Nested, Pair, Sum, T, X, failing, ones, ways

import numbarnn as nr
from numbarnn import loop, nests

pytestmark = pytest.mark.cpu  # where cells written in Python run


def stacks():
    """Fused, mixed and nested; each with the cells one by one."""
    fused = [nr.LSTMCell(5, seed=1), nr.GRUCell(I, seed=2)]
    for cells in (fused, [*fused, Sum()], [Sum(), fused[0]], [fused[0]], [Sum()]):
        yield nr.StackedRNNCells(cells), cells
    yield nr.StackedRNNCells([nr.StackedRNNCells(fused), Sum()]), [*fused, Sum()]


@ways
@pytest.mark.parametrize("which", range(6))
@pytest.mark.parametrize("masked", [False, True])
def test_a_stack_is_its_cells_one_after_the_other(run, which, masked):
    """The bits of a layer of each, fed with the outputs of the one before."""
    stack, cells = list(stacks())[which]
    rng = np.random.default_rng(9)
    x, mask = rng.standard_normal((B, T, I)).astype(np.float32), rng.random((B, T)) < 0.6
    given = {"mask": mask} if masked else {}
    y, states = run(stack, x, **given, return_sequences=True)
    outputs, wanted = x, []
    for cell in cells:
        outputs, final = loop.run(cell, outputs, **given, return_sequences=True)
        wanted += final
    same([y, *nests.flatten(states)], [outputs, *wanted])
    assert len(cells) == 1 or len(states) == len(stack.cells)


def test_states_of_a_stack():
    """An array for a cell with one state, a list for one with two; the step gives what it takes."""
    stack = nr.StackedRNNCells([nr.LSTMCell(5, seed=0), nr.GRUCell(I, seed=1), Sum(), Nested()])
    [h, c], g, total, nested = stack.get_initial_state(2)
    assert (h.shape, c.shape, g.shape, total.shape) == ((2, 5), (2, 5), (2, I), (2, I))
    assert type(nested) is Pair and stack.state_size == [[5, 5], I, I, Nested.state_size]
    stack = nr.StackedRNNCells(stack.cells[:3])
    states = stack.get_initial_state(2)
    output, new = stack(ones(2, 7), states)
    assert stack.output_size == I and output.shape == (2, I) and stack.dtype == np.float32
    assert [nests.is_nested(state) for state in new] == [True, False, False]
    nests.same_structure("new", new, "states", states)
    assert stack.input_size == 7 and not stack.fused and nr.StackedRNNCells(stack.cells[:2]).fused


def test_a_cell_of_a_stack_with_wrong_states():
    stack = nr.StackedRNNCells([Sum(), failing(result=lambda x, s: (x, [x, x]))])
    wanted = r"^new_states of cells\[1\] has 2 part\(s\); expected 1, as states\[1\] has"
    with pytest.raises(ValueError, match=wanted):
        loop.run(stack, X)


def test_training_reaches_the_cells_that_take_it():
    class Telling(Sum):
        def call(self, inputs, states, training=None):
            self.told = training
            return super().call(inputs, states)

    cells = [Sum(), Telling(), nr.GRUCell(I, seed=0)]
    loop.run(nr.StackedRNNCells(cells), X, training=True)
    assert cells[1].told is True


@ways
def test_dropout_of_fused_cells_in_a_stack(run):
    """One mask of each cell for all steps of a call, others for the next: those of layers of the cells."""

    def cells():
        rates = {"dropout": 0.4, "recurrent_dropout": 0.3}
        return [nr.LSTMCell(I, seed=1, **rates), nr.GRUCell(4, seed=2, **rates)]

    rng, stack = np.random.default_rng(6), nr.StackedRNNCells(cells())
    layers = [nr.RNN(cell, return_sequences=True) for cell in cells()]
    for _ in range(3):
        x = rng.standard_normal((B, T, I)).astype(np.float32)
        got, _ = run(stack, x, training=True, return_sequences=True)
        same([got], [layers[1](layers[0](x, training=True), training=True)])
        assert (got != run(stack, x, return_sequences=True)[0]).any()


def test_dropout_masks_of_a_single_step_are_not_those_of_a_call():
    """Which may have another batch size."""
    stack = nr.StackedRNNCells([nr.GRUCell(4, seed=2, dropout=0.5), Sum()])
    stack.cells[1].state_size = 4
    stack(ones(2, I), stack.get_initial_state(2), training=True)
    with pytest.raises(ValueError, match=r"^x_t has batch size 3; .* drawn for 2 rows"):
        stack(ones(3, I), stack.get_initial_state(3), training=True)
    y, _ = loop.run(stack, ones(3, 2, I), training=True)
    assert y.shape == (3, 4)
    stack(ones(2, I), stack.get_initial_state(2), training=True)


def test_weights_of_a_fused_stack():
    """All or none."""
    cells = [nr.LSTMCell(5, seed=0), nr.GRUCell(4, seed=1)]
    stack = nr.StackedRNNCells(cells)
    stack.build(7)
    weights = stack.get_weights()
    stack.set_weights([2 * array for array in weights])
    same(stack.get_weights(), [2 * array for array in weights])
    with pytest.raises(ValueError, match=r"recurrent_kernel has shape \(1, 12\)"):
        stack.set_weights([*weights[:4], weights[4][:1], weights[5]])
    same(stack.get_weights(), [2 * array for array in weights])


def test_weights_of_a_stack():
    """Cell by cell, those without weights left out."""
    stack = nr.StackedRNNCells([nr.LSTMCell(5, seed=0), Sum(), nr.GRUCell(4, seed=1, use_bias=False)])
    assert stack.get_weights() == [] and nr.StackedRNNCells([Sum()]).get_weights() == []
    stack = nr.StackedRNNCells([nr.LSTMCell(I, seed=0), Sum(), nr.GRUCell(4, seed=1, use_bias=False)])
    stack.build(7)
    weights = stack.get_weights()
    shapes = [(7, 4 * I), (I, 4 * I), (4 * I,), (I, 12), (4, 12)]
    assert [array.shape for array in weights] == shapes
    other = nr.StackedRNNCells([nr.LSTMCell(I), Sum(), nr.GRUCell(4, use_bias=False)])
    other.set_weights(weights)
    same(other.get_weights(), weights)
    with pytest.raises(ValueError, match=r"^weights has 4 array\(s\); expected 5: 3 \+ 2, cell by cell"):
        other.set_weights(weights[:4])
    with pytest.raises(TypeError, match=r"^weights is of type dict; expected a list of 5 arrays"):
        other.set_weights({})


@pytest.mark.parametrize(
    ("cells", "kind", "message"),
    [
        (Sum(), TypeError, "cells is of type Sum; expected a list of cells"),
        ([], ValueError, "cells is empty"),
        ([Sum(), 3], TypeError, r"cells\[1\] is of type int, without a state_size"),
        ([nr.LSTMCell(2), Sum(), nr.GRUCell(2, dtype="float64")], ValueError, "cells: .* expected one dtype"),
    ],
)
def test_wrong_stacks(cells, kind, message):
    with pytest.raises(kind, match="^" + message):
        nr.StackedRNNCells(cells)


def test_wrong_states_of_a_stack():
    stack = nr.StackedRNNCells([Sum(), Sum()])
    with pytest.raises(ValueError, match=r"^states has 1 part\(s\); expected 2, one for each cell"):
        stack(X[:, 0], [X[:, 0]])
    with pytest.raises(
        TypeError, match=r"^states is of type ndarray; expected a list of 2, one for each cell"
    ):
        stack(X[:, 0], X[:2, 0])
