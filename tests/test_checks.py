"""Every wrong argument of a call is refused, in words that name it, before anything has changed."""

import re
import tempfile

import faults
import numpy as np
import pytest
from bits import same
from faults import B, H, I, Subject, T

import numbarnn as nr

NAMES, *FAULTS = zip(*faults.every_fault(), strict=True)


@pytest.fixture(scope="module")
def undisturbed():
    return Subject().right_calls()


@pytest.mark.parametrize(("call", "wrong", "error", "parts"), list(zip(*FAULTS, strict=True)), ids=NAMES)
def test_refused(call, wrong, error, parts, undisturbed):
    """The error is of the class, its message names argument, arrival and remedy, and nothing has changed."""
    subject = Subject()
    before = subject.everything()
    with pytest.raises((TypeError, ValueError, RuntimeError)) as caught:
        call(subject, wrong)
    assert caught.type is error, repr(caught.value)
    argument, message = parts
    assert argument in str(caught.value)
    assert re.search(message, str(caught.value), re.DOTALL), str(caught.value)
    assert subject.everything() == before
    assert subject.right_calls() == undisturbed


class Fickle:
    """An array of another length each time it is read."""

    length = 0

    def __init__(self, array):
        self.array = array

    def __array__(self, dtype=None, copy=None):
        self.length += 1
        return self.array[:, : self.length]


def out_in_a_gap(s):
    """One row of x lies before the output, the other after it."""
    block = np.zeros((3, 10, I), np.float32)
    x, out = block[::2, :T], block[1].reshape(-1)[: B * T * H].reshape(B, T, H)
    x[...] = s.x
    return s.gru(x, out=out)


def mapped(shape):
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, np.float32, "w+", shape=shape)


def both_kernels(kernel, recurrent_kernel):
    layer = nr.GRU(H)
    layer.set_weights([kernel, recurrent_kernel, np.ones((2, 3 * H))])
    return layer(np.ones((B, T, H), np.float32))


SQUARE = np.random.default_rng(1).standard_normal((H, 3 * H), dtype=np.float32)
WHOLE = [np.int8, np.uint8, np.int32, np.uint64, ">i2"]

# Unusual arguments that are right, each call beside a plain one with the same result.
ACCEPTED = {
    **{f"lengths {np.dtype(dtype)}": (
        lambda s, dtype=dtype: s.gru(s.x, lengths=np.array([1, 3]).astype(dtype)),
        lambda s: s.gru(s.x, lengths=[1, 3])) for dtype in WHOLE},
    "lengths in a tuple": (
        lambda s: s.gru(s.x, lengths=(1, np.int8(3))), lambda s: s.gru(s.x, lengths=[1, 3])),
    "lengths broadcast": (
        lambda s: s.gru(s.x, lengths=np.broadcast_to(2, B)), lambda s: s.gru(s.x, lengths=[2, 2])),
    "lengths of no rows": (lambda s: s.gru(s.x[:0], lengths=[]), lambda s: s.gru(s.x[:0])),
    "mask in lists": (
        lambda s: s.gru(s.x, mask=[[True, False, True]] * 2),
        lambda s: s.gru(s.x, mask=np.array([[True, False, True]] * 2))),
    "mask broadcast": (
        lambda s: s.gru(s.x, mask=np.broadcast_to([[False], [True]], (B, T))),
        lambda s: s.gru(s.x, mask=np.array([[False] * T, [True] * T]))),
    "x broadcast over time": (
        lambda s: s.gru(np.broadcast_to(s.x[:, :1], (B, T, I))), lambda s: s.gru(s.x[:, [0] * T])),
    "x broadcast over features": (
        lambda s: s.gru(np.broadcast_to(s.x[..., :1], (B, T, I))), lambda s: s.gru(s.x[..., [0] * I])),
    "x broadcast all over": (
        lambda s: s.gru(np.broadcast_to(np.float32(0.3), (B, T, I))),
        lambda s: s.gru(np.full((B, T, I), 0.3, np.float32))),
    "x of a subclass": (lambda s: s.gru(s.x.view(np.recarray)), lambda s: s.gru(s.x)),
    "x of another object's memory": (
        lambda s: s.gru(memoryview(s.x.copy())), lambda s: s.gru(s.x)),
    "x in a list of arrays": (lambda s: s.gru(list(s.x)), lambda s: s.gru(s.x)),
    "x that changes while it is read": (lambda s: s.gru(Fickle(s.x)), lambda s: s.gru(s.x[:, :1])),
    "x_t a matrix": (
        lambda s: s.cell(s.x_t.view(np.matrix), [s.h, s.c])[0], lambda s: s.cell(s.x_t, [s.h, s.c])[0]),
    "x_t a matrix, stepped": (
        lambda s: s.stepper(s.x_t.view(np.matrix)), lambda s: s.stepper(s.x_t)),
    "states broadcast": (
        lambda s: s.gru(s.x, np.broadcast_to(s.h[:1], (B, H))), lambda s: s.gru(s.x, s.h[[0, 0]])),
    "state a matrix": (lambda s: s.gru(s.x, s.h.view(np.matrix)), lambda s: s.gru(s.x, s.h)),
    "weights broadcast": (
        lambda s: both_kernels(np.broadcast_to(SQUARE[:1], SQUARE.shape), SQUARE),
        lambda s: both_kernels(SQUARE[[0] * H], SQUARE)),
    "one array for two weights": (
        lambda s: both_kernels(SQUARE, SQUARE), lambda s: both_kernels(SQUARE, SQUARE.copy())),
    "out in a file": (lambda s: s.gru(s.x, out=mapped((B, T, H))), lambda s: s.gru(s.x)),
    "out of a step in a file": (
        lambda s: s.stepper(s.x_t, out=mapped((B, H))), lambda s: s.stepper(s.x_t)),
    "out in a gap of x": (out_in_a_gap, lambda s: s.gru(s.x)),
}  # fmt: skip


@pytest.mark.parametrize("name", ACCEPTED)
def test_accepted(name):
    """The bits of the plain call."""
    unusual, plain = ACCEPTED[name]
    same([np.asarray(unusual(Subject()))], [plain(Subject())])


def test_what_is_written_is_returned():
    """Whatever kind of array it is."""
    subject = Subject()
    for out in (subject.y, mapped((B, T, H))):
        assert subject.gru(subject.x, out=out) is out
    for out in (subject.y_t, mapped((B, H))):
        assert subject.stepper(subject.x_t, out=out) is out
