"""Starting the members of a call: one of them in the calling thread, or several in Numba's threads."""

from .block import MEMBER, MEMBERS, X, Y
from .jit import njit, prange
from .memory import call_member, data, pointer, put_pointer


@njit
def run_alone(block):
    """Run a team of one in this thread. `block` is the call block (int64 array)."""
    words = data(block)
    call_member(pointer(words, MEMBER), 0, words)


@njit
def enter(block, x, y):
    """`run_alone` on other arrays than last time: x is read, y written. For calls where every microsecond
    counts.
    """
    words = data(block)
    put_pointer(words, X, data(x))
    put_pointer(words, Y, data(y))
    call_member(pointer(words, MEMBER), 0, words)


@njit(parallel=True)
def launch(block):
    """Run all members, each in a thread of its own if there are as many. The only parallel region there
    is.
    """
    for rank in prange(block[MEMBERS]):
        words = data(block)
        call_member(pointer(words, MEMBER), rank, words)
