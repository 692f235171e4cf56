"""What is said of cells that cannot be: the exact words, in at most five lines. ``python
tests/test_cell_errors.py`` prints them all.
"""

import math

import numpy as np
import pytest

import numbarnn as nr
from numbarnn.kernels.definition import TABLE
from numbarnn.math import tanh, where

B, T, I, H = 2, 3, 5, 4  # noqa: E741


def define(fn=lambda a: tanh(a), slots="a:x+h", results=None, states="h", more=(), **others):
    """A cell of one phase, if there are not more."""
    phases = [nr.phase(slots, fn, results), *more]
    return nr.cell("mine", states=states, phases=phases, **others)


def branching(a):
    if a > 0.0:
        return a
    return 0.0


def with_sizes():
    """Its state h has a size of its own."""
    phases = [nr.phase("a:x+h", lambda a: a, "c"), nr.phase("p:c", lambda p: p, "h", units="projection")]
    return nr.cell("projected", states="h:projection c", phases=phases)


def with_extra():
    """One value per row and step, and one per unit."""

    def step(a, h, attention, gap):
        return attention * tanh(a) + gap * h

    return define(step, extra="attention:1 gap")


def with_parameter(**options):
    return nr.FusedCell(define(lambda a, w: a * w, parameters="w"), H, **options)


X = np.zeros((B, T, I), np.float32)
ATTENTION, GAP = np.zeros((B, T), np.float32), np.zeros((B, T, H), np.float32)


def call(x=X, **extra):
    return nr.RNN(nr.FusedCell(with_extra(), H), return_sequences=True)(x, extra=extra)


def one_step(**extra):
    cell = nr.FusedCell(with_extra(), H)
    return cell(X[:, 0], cell.get_initial_state(B), extra=extra)


def stepper(**extra):
    return nr.RNN(nr.FusedCell(with_extra(), H)).stepper(B)(X[:, 0], extra=extra)


EXTRA = "a dict {'attention': array (batch, time), 'gap': array (batch, time, 4)}"
SYMBOLS = (
    "a cell's values are symbols: use the functions of numbarnn.math, not those of math or of another library"
)
BRANCH = "a cell may not branch on data: use where(condition, a, b) from numbarnn.math"
OPERATORS = (
    "a cell's values know + - * /, abs, whole powers and comparisons, no other operators: use the "
    "functions of numbarnn.math"
)
ONLY_A_SLOT = "only a slot may multiply vectors of another size"

DEFINITIONS = {
    # Names
    "an unknown name": (
        lambda: define(lambda a, c: a + c),
        ValueError, "cell 'mine', phase 1: the function reads 'c'; known here: a, h"),
    "the inputs themselves": (
        lambda: define(lambda a, x: a + x),
        ValueError, "cell 'mine', phase 1: the function reads 'x'; known here: a, h"),
    "a later phase's result": (
        lambda: define(lambda a, r: a * r, results="y", more=[nr.phase("b:x", lambda b: (b, b), "h r")]),
        ValueError, "cell 'mine', phase 1: the function reads 'r'; known here: a, h"),
    "a slot nobody declared": (
        lambda: define(lambda a, i: a * i),
        ValueError, "cell 'mine', phase 1: the function reads 'i'; known here: a, h"),
    "a source nobody declared": (
        lambda: define(slots="a:x+g"),
        ValueError, "cell 'mine', phase 1: slot 'a' multiplies 'g'; known here: x, h"),
    "an extra input that is multiplied": (
        lambda: define(slots="a:x+gap", extra="gap"),
        ValueError,
        "cell 'mine', phase 1: slot 'a' multiplies 'gap', a parameter or an extra input; expected x, "
        "a state or a result: what is to be multiplied belongs to the features of x"),
    "a name for two things": (
        lambda: define(extra="h"),
        ValueError,
        "cell 'mine' declares 'h' twice among states, parameters and extra; expected another name"),
    "a sum with a state's name": (
        lambda: define(slots="h:x", fn=lambda h: h),
        ValueError, "cell 'mine', phase 1: a sum has the name 'h', which is taken; expected another"),
    "a built-in name": (
        lambda: nr.cell("lstm", states="h", phases=[nr.phase("a:x", lambda a: a)]),
        ValueError, "name = 'lstm' is a built-in cell; expected another name"),
    # Results
    "too many results": (
        lambda: define(lambda a: (a, a)),
        ValueError, "<lambda> returns 2 value(s); expected 1: h"),
    "too many results in a list": (
        lambda: define(lambda a: [a, a]),
        ValueError, "<lambda> returns 2 value(s); expected 1: h"),
    "too few results": (
        lambda: define(lambda a, c: a, states="h c"),
        ValueError, "<lambda> returns 1 value(s); expected 2: h, c"),
    "no result": (
        lambda: define(lambda a: None),
        TypeError,
        "None of type NoneType inside a cell; expected a number or one of the cell's values"),
    "a condition for a result": (
        lambda: define(lambda a: a > 0.0),
        TypeError, "<lambda> returns a condition; expected numbers: use where(condition, a, b)"),
    "a state that nobody computes": (
        lambda: define(results="y"),
        ValueError, "cell 'mine': no phase computes 'h'; add it to the results of one"),
    "an output that nobody computes": (
        lambda: define(output="y"),
        ValueError, "cell 'mine': no phase computes 'y'; add it to the results of one"),
    # What a function may do
    "a branch on data": (lambda: define(branching), TypeError, BRANCH),
    "and": (lambda: define(lambda a: where(a > 0.0 and a < 1.0, a, 0.0)), TypeError, BRANCH),
    "Python's max": (lambda: define(lambda a: max(a, 0.0)), TypeError, BRANCH),
    "a call of math": (lambda: define(lambda a: math.tanh(a)), TypeError, SYMBOLS),
    "float()": (lambda: define(lambda a: float(a)), TypeError, SYMBOLS),
    "a call of NumPy": (
        lambda: define(lambda a: np.tanh(a)),
        TypeError,
        "a cell's values are symbols: numpy.tanh cannot take them; use the functions of numbarnn.math"),
    "NumPy's where": (lambda: define(lambda a: np.where(a > 0.0, a, 0.0)), TypeError, SYMBOLS),
    "==": (
        lambda: define(lambda a: where(a == 0.0, 1.0, a)),
        TypeError,
        "a cell may not compare for equality: use <, <=, > or >= inside where(condition, a, b)"),
    "where of a number": (
        lambda: define(lambda a: where(a, 1.0, 0.0)),
        TypeError, "where: the first argument is a number; expected a condition such as a < b"),
    "a square root": (
        lambda: define(lambda a: a**0.5),
        TypeError, "exponent = 0.5; a cell may raise to whole powers 1 to 8; use exp otherwise"),
    "a power of a number": (lambda: define(lambda a: 2.0**a), TypeError, OPERATORS),
    "a remainder": (lambda: define(lambda a: a % 2.0), TypeError, OPERATORS),
    "rounding": (lambda: define(lambda a: round(a)), TypeError, OPERATORS),
    "math's floor": (lambda: define(lambda a: math.floor(a)), TypeError, OPERATORS),
    "a sum over units": (lambda: define(lambda a: sum(a)), TypeError, OPERATORS),
    "an index": (lambda: define(lambda a: a[0]), TypeError, OPERATORS),
    "a text among values": (
        lambda: define(lambda a: a + "1"),
        TypeError, "'1' of type str inside a cell; expected a number or one of the cell's values"),
    # How it is spelled
    "a slot of another form": (
        lambda: nr.phase("a=x+h", lambda a: a),
        ValueError,
        "slot 'a=x+h'; expected name:source+source or name:source|source, such as 'i:x+h' or 'n:x|h'"),
    "any number of arguments": (
        lambda: nr.phase("a:x", lambda *a: a),
        ValueError, "fn has the parameter *a; expected a name for each value that it reads"),
    "no function": (
        lambda: nr.phase("a:x", "tanh"),
        TypeError, "fn = 'tanh' is of type str; expected a function of named values"),
    "a constant that is no number": (
        lambda: define(states="h=one"),
        ValueError, "states = 'h=one'; expected a number after each '=', as in 'c=1.0'"),
    "an extra input with a constant": (
        lambda: define(extra="gap=1"),
        ValueError,
        "extra = 'gap=1': 'gap=1'; expected no constant: extra inputs come with each call"),
    "no list of phases": (
        lambda: nr.cell("mine", states="h", phases=nr.phase("a:x", lambda a: a)),
        TypeError, "phases is of type Phase; expected a list of what numbarnn.phase(...) returns"),
    # Sizes
    "states of mismatched size": (
        lambda: define(lambda a, c: (a, c), states="h c:projection", results="h c"),
        ValueError,
        "cell 'mine', phase 1: the function reads 'c', of the size 'projection'; expected the "
        f"phase's, 'units': {ONLY_A_SLOT}"),
    "a state computed in another size": (
        lambda: define(states="h:projection", results="h"),
        ValueError,
        "cell 'mine', phase 1: state 'h' is declared with the size 'projection', the phase computes "
        "'units'; expected one size: name it in both, or in neither"),
    "a parameter of another size": (
        lambda: define(lambda a, w: a * w, parameters="w:projection"),
        ValueError,
        "cell 'mine', phase 1: the function reads 'w', of the size 'projection'; expected the "
        f"phase's, 'units': {ONLY_A_SLOT}"),
    "a state of a size that no phase has": (
        lambda: define(states="h:projection"),
        ValueError,
        "cell 'mine': no phase computes 'h'; add it to the results of one that has units='projection'"),
    "one state for all units": (
        lambda: define(states="h:1"),
        ValueError, "states = 'h:1': '1' is no size; expected a name such as 'units' or 'projection'"),
}  # fmt: skip
CALLS = {
    # Sizes
    "a size that is not given": (
        lambda: nr.FusedCell(with_sizes(), H),
        ValueError,
        "cell 'projected' has vectors of the size 'projection'; expected projection=..., an integer "
        ">= 1, beside units"),
    "an unknown size": (
        lambda: nr.FusedCell(with_sizes(), H, projection=3, readout=2),
        TypeError,
        "FusedCell got an unexpected argument 'readout'; expected one of projection, definition, "
        "units, use_bias, kernel_initializer, recurrent_initializer, bias_initializer, dtype, seed, "
        "dropout, recurrent_dropout, parameter_initializer, weights_dtype"),
    "a size below 1": (
        lambda: nr.FusedCell(with_sizes(), H, projection=0),
        ValueError, "projection = 0; expected an integer >= 1"),
    "recurrent dropout of two sizes": (
        lambda: nr.FusedCell(with_sizes(), H, projection=3, recurrent_dropout=0.5),
        ValueError,
        "recurrent_dropout = 0.5; expected 0.0: cell 'projected' multiplies vectors of several sizes,"
        " c, h, and one mask has one"),
    # Extra inputs of a call
    "no extra input": (
        call,
        ValueError, f"extra has no 'attention', which the cell declares; expected {EXTRA}"),
    "a missing extra input": (
        lambda: call(attention=ATTENTION),
        ValueError, f"extra has no 'gap', which the cell declares; expected {EXTRA}"),
    "an unknown extra input": (
        lambda: call(attention=ATTENTION, gap=GAP, time=ATTENTION),
        ValueError, f"extra has 'time', which no cell declares; expected {EXTRA}"),
    "an extra input for a cell without": (
        lambda: nr.LSTM(H)(X, extra={"gap": GAP}),
        ValueError,
        "extra has 'gap', which no cell declares; expected None: no cell here declares extra inputs"),
    "extra inputs in a list": (
        lambda: nr.RNN(nr.FusedCell(with_extra(), H))(X, extra=[ATTENTION, GAP]),
        TypeError, f"extra is of type list; expected {EXTRA}"),
    "too few values per row": (
        lambda: call(attention=ATTENTION, gap=GAP[..., :3]),
        ValueError, "extra['gap'] has shape (2, 3, 3); expected (2, 3, 4), 4 values for each step of x"),
    "a value per unit for one per row": (
        lambda: call(attention=GAP, gap=GAP),
        ValueError,
        "extra['attention'] has shape (2, 3, 4); expected (2, 3), one value for each step of x"),
    "too few steps": (
        lambda: call(attention=ATTENTION, gap=GAP[:, :2]),
        ValueError, "extra['gap'] has shape (2, 2, 4); expected (2, 3, 4), 4 values for each step of x"),
    "padded extra inputs with a Ragged": (
        lambda: call(nr.Ragged(X.reshape(-1, I), [0, 2, 6]), attention=ATTENTION.ravel(), gap=GAP),
        ValueError, "extra['gap'] has shape (2, 3, 4); expected (6, 4), 4 values for each step of x"),
    "extra inputs in float64": (
        lambda: call(attention=ATTENTION, gap=GAP.astype(np.float64)),
        TypeError,
        "extra['gap'] has dtype float64; expected float32 or what converts to it without loss: use "
        "extra['gap'].astype('float32')"),
    "extra inputs of all steps for one": (
        lambda: one_step(attention=ATTENTION[:, 0], gap=GAP),
        ValueError, "extra['gap'] has shape (2, 3, 4); expected (2, 4), 4 values for each step of x"),
    "extra inputs of another batch": (
        lambda: stepper(attention=ATTENTION[:, 0], gap=GAP[:1, 0]),
        ValueError, "extra['gap'] has shape (1, 4); expected (2, 4), 4 values for each step of x"),
    # Weights
    "weights without the parameters": (
        lambda: with_parameter().set_weights([np.zeros((I, H))]),
        ValueError,
        "weights has 1 array(s); expected a list of 4: kernel (features, 4), recurrent_kernel (4, 4),"
        " bias (4,), w (4,)"),
    "a parameter from an initialiser of matrices": (
        lambda: with_parameter(parameter_initializer="orthogonal").build(I),
        ValueError,
        "initializer 'orthogonal' is for matrices; expected another one for an array of shape (4,), "
        "such as 'zeros'"),
    "a parameter of a wrong shape": (
        lambda: with_parameter().set_weights([np.zeros(n) for n in ((I, H), (H, H), H, (H, 1))]),
        ValueError, "w has shape (4, 1); expected (4,)"),
}  # fmt: skip
ERRORS = DEFINITIONS | CALLS


def told(wrong):
    """The exception that a wrong definition or call raises."""
    try:
        wrong()
    except (TypeError, ValueError) as error:
        return error
    raise AssertionError("nothing is refused")


@pytest.mark.parametrize("name", ERRORS)
def test_the_words(name):
    wrong, error, message = ERRORS[name]
    found = told(wrong)
    assert type(found) is error and str(found) == message
    assert len(str(found).splitlines()) <= 5


@pytest.mark.parametrize("name", DEFINITIONS)
def test_what_is_refused_is_not_entered(name):
    """A cell that had the name keeps it."""
    define()
    before = dict(TABLE)
    told(DEFINITIONS[name][0])
    assert before == TABLE


if __name__ == "__main__":
    for case, (wrong_one, *_) in ERRORS.items():
        refusal = told(wrong_one)
        print(f"{case}\n    {type(refusal).__name__}: {refusal}")
