"""What is refused of cells written in Python and of their calls, and in which words."""

import numpy as np
import pytest
from written_cells import I, Sum, X, failing, ones, ways

import numbarnn as nr
from numbarnn import checks_loop, loop

pytestmark = pytest.mark.cpu  # where cells written in Python run

WRONG_CELLS = {
    "nothing at all": (object(), TypeError, "cell is of type object, without a state_size"),
    "a class": (Sum, TypeError, r"cell is the class Sum; expected a cell made of it: Sum\(...\)"),
    "nothing to call": (failing(call=3), TypeError, "cell is of type Cell, without a method call"),
    "no state_size": (failing(state_size=None), TypeError, "cell is of type Cell, without a state_size"),
    "a size of 1.5": (failing(state_size=[2, {"a": 1.5}]), TypeError, r"state_size\[1\]\['a'\] is of type"),
    "a negative size": (failing(state_size=-2), ValueError, "state_size = -2; expected at least 0"),
    "a bool as size": (failing(state_size=True), TypeError, "state_size is of type bool"),
    "an odd dtype": (failing(dtype="float99"), TypeError, "cell.dtype = 'float99'; expected"),
    "one result": (failing(result=lambda x, s: x), TypeError, r"the cell returned ndarray; expected"),
    "three results": (failing(result=lambda x, s: (x, x, s)), TypeError, "the cell returned 3 values"),
    "two states": (failing(result=lambda x, s: (x, [x, x])), ValueError, r"new_states has 2 part\(s\);"),
    "deeper states": (
        failing(result=lambda x, s: (x, [[x]])), TypeError, r"new_states\[0\] is a list of 1 part\(s\)"
    ),
    "another state shape": (
        failing(result=lambda x, s: (x, [x[:, :2]])), ValueError,
        r"the cell's new_states\[0\] has shape \(2, 2\); expected \(2, 3\), as the state has",
    ),
    "another state dtype": (
        failing(result=lambda x, s: (x, [x.astype("f8")])), TypeError,
        r"the cell's new_states\[0\] has dtype float64; expected float32, as the state has: give",
    ),
    "no batch axis": (
        failing(result=lambda x, s: ([x[0]], s)), ValueError,
        r"the cell's output\[0\] has shape \(3,\); expected \(2, ...\)",
    ),
    "outputs that are no numbers": (
        failing(result=lambda x, s: (np.array(["a", "b"]), s)), TypeError, "output has dtype <U1; expected"
    ),
    "initial states of another shape": (
        failing(get_initial_state=lambda self, batch_size: ones(batch_size, 2)), ValueError,
        r"get_initial_state's result\[0\] has shape \(2, 2\); expected \(2, 3\), \(batch, \*size\) by",
    ),
    "initial states of another structure": (
        failing(get_initial_state=lambda self, batch_size: [X[:, 0]] * 2), ValueError,
        r"get_initial_state's result has 2 part\(s\); expected 1, as state_size has",
    ),
}  # fmt: skip


@ways
@pytest.mark.parametrize("case", WRONG_CELLS)
def test_wrong_cells(run, case):
    cell, kind, message = WRONG_CELLS[case]
    with pytest.raises(kind, match="^" + message):
        run(cell, X)


@ways
@pytest.mark.parametrize(
    ("later", "message"),
    [
        (
            lambda x: x.astype("f8"),
            "the cell's output has dtype float64; expected float32, as at the first step",
        ),
        (
            lambda x: x[:, :1],
            r"the cell's output has shape \(2, 1\); expected \(2, 3\), as at the first step",
        ),
        (lambda x: [x], r"output is a list of 1 part\(s\); expected an array or a size, as the first step's"),
    ],
)
def test_outputs_that_change(run, later, message):
    calls = []

    def result(inputs, states):
        calls.append(0)
        return inputs if len(calls) == 1 else later(inputs), states

    with pytest.raises((TypeError, ValueError), match="^" + message):
        run(failing(result=result), X)


WRONG_CALLS = {
    "two axes": ({"x": ones(4, I)}, ValueError, r"x has shape \(4, 3\); expected three .*x\[..., None\]"),
    "numbers": ({"x": [[1.0, 2.0]]}, ValueError, r"x\[0\]\[0\] has shape \(\); .*a list of numbers is"),
    "no arrays": ({"x": {}}, ValueError, "x has no arrays in it"),
    "text": ({"x": np.full((2, 4, 1), "a")}, TypeError, "x has dtype <U1; expected numbers or bool"),
    "two lengths": (
        {"x": [X, ones(2, 5, I)]}, ValueError,
        r"x\[1\] has shape \(2, 5, 3\); expected \(batch, time, ...\) with \(2, 4\) first, as x\[0\] has",
    ),
    "a Ragged in a nest": (
        {"x": [nr.Ragged(ones(2, I), [0, 2])]}, TypeError, r"x\[0\] is a Ragged inside a nest"
    ),
    "a Ragged with lengths": (
        {"x": nr.Ragged(ones(2, I), [0, 2]), "lengths": [2]}, ValueError, "lengths is given with a Ragged x"
    ),
    "another batch": (
        {"initial_state": [ones(3, I)]}, ValueError,
        r"initial_state\[0\] has shape \(3, 3\); expected \(2, 3\), \(batch, \*size\) by",
    ),
    "two states": (
        {"initial_state": [X[:, 0]] * 2}, ValueError,
        r"initial_state has 2 part\(s\); expected 1, as the cell's state has",
    ),
    "states in a dict": (
        {"initial_state": {"h": X[:, 0]}}, TypeError, r"initial_state is a dict of 1 part\(s\); expected"
    ),
    "wider states": (
        {"initial_state": np.ones((2, I))}, TypeError,
        r"initial_state\[0\] has dtype float64; expected float32 or what converts to it without loss",
    ),
    "a mask of numbers": ({"mask": ones(2, 4)}, TypeError, "mask has dtype float32; expected bool"),
    "a mask of another shape": ({"mask": np.ones((2, 3), bool)}, ValueError, r"mask has shape \(2, 3\)"),
    "a length too long": ({"lengths": [1, 5]}, ValueError, r"lengths\[1\] = 5 exceeds T = 4"),
    "mask and lengths": (
        {"lengths": [1, 2], "mask": np.ones((2, 4), bool)}, ValueError, "lengths and mask are both given"
    ),
    "training as a number": ({"training": 1}, TypeError, "training = 1 is of type int"),
}  # fmt: skip


@ways
@pytest.mark.parametrize("case", WRONG_CALLS)
def test_wrong_calls(run, case):
    arguments, kind, message = WRONG_CALLS[case]
    with pytest.raises(kind, match="^" + message):
        run(Sum(), **{"x": X} | arguments)


class OnSomeDevice:
    @property
    def __cuda_array_interface__(self):
        return {"shape": (2, 4, I), "typestr": "<f4", "data": (1, False), "version": 3}


def test_arrays_on_a_device():
    wanted = (
        "lies on a CUDA device, and the cell is written in Python, which runs on the CPU; .* copy it there"
    )
    with pytest.raises(ValueError, match=r"^x\['a'\] " + wanted):
        loop.run(Sum(), {"a": OnSomeDevice()})
    with pytest.raises(ValueError, match=r"^initial_state\[0\] " + wanted):
        loop.run(Sum(), X, OnSomeDevice())
    with pytest.raises(ValueError, match="^output " + wanted):
        loop.run(failing(result=lambda x, s: (OnSomeDevice(), s)), X)
    with pytest.raises(ValueError, match=r"^device = 'cuda'; the cell is written in Python"):
        checks_loop.on_host("cuda")
    checks_loop.on_host("auto")
