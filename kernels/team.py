"""Members of a call: how they start, find each other and wait for each other.

Nothing relies on members running at the same time. The first to arrive leads, waits a bounded while for the
others and closes the team; who comes later finds it closed and returns. So it does not matter how many
threads a parallel region really has, nor whether one of them runs its iterations one after the other.
"""

from .atomics import fetch_add, load_shared, pause, replace_shared, store_shared, yield_core
from .block import MEMBER, X, Y
from .jit import inner, njit, prange
from .memory import call_member, data, pointer, put_pointer

GATE, SIZE, ARRIVED, GENERATION, TEAM_WORDS = (
    0,
    8,
    16,
    24,
    32,
)  # each on a cache line of its own; 0 before each entry
CLOSED = 1 << 40
JOIN_SPINS = 10_000  # 25 ns each: a sleeping thread of OpenMP wakes in 50 us
BARRIER_SPINS = 2_000  # 50 us; then the core is offered to whoever wants it


@inner
def join(words, members):
    """Enter the team: my rank, or -1 if it is closed. When it returns, SIZE is settled."""
    rank = fetch_add(words, GATE, 1)
    if rank >= CLOSED:
        return -1
    if rank > 0:
        wait_for_change(words, SIZE, 0)
        return rank
    spins = 0
    while load_shared(words, GATE) < members and spins < JOIN_SPINS:
        pause()
        spins += 1
    size = load_shared(words, GATE)
    while replace_shared(words, GATE, size, size + CLOSED) == 0:
        size = load_shared(words, GATE)
    store_shared(words, SIZE, size)
    return rank


@inner
def wait_for_change(words, index, value):
    """Wait until another member changes a shared word: a bounded while at full speed, then politely."""
    spins = 0
    while load_shared(words, index) == value:
        if spins < BARRIER_SPINS:
            pause()
            spins += 1
        else:
            yield_core()


@inner
def barrier(words, size):
    """Nobody goes on before all `size` members have come; what each wrote before is then seen by all."""
    if size > 1:
        generation = load_shared(words, GENERATION)
        if fetch_add(words, ARRIVED, 1) == size - 1:
            store_shared(words, ARRIVED, 0)
            store_shared(words, GENERATION, generation + 1)
        else:
            wait_for_change(words, GENERATION, generation)


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
def launch(crew):
    """Run members, of one call or of several, each in a thread of its own if there are as many. The only
    parallel region there is. `crew` (int64, two words for each): the address of its call block, its number.
    """
    for k in prange(len(crew) // 2):
        words = pointer(data(crew), 2 * k)
        call_member(pointer(words, MEMBER), crew[2 * k + 1], words)
