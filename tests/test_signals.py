"""Signals wait for the end of a block, and none of them is lost."""

import signal
import threading

import pytest

from numbarnn.kernels import jit, signals

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="needs the signals of POSIX")
SENT = (signal.SIGALRM, signal.SIGUSR1, signal.SIGINT)
LONG = 30.0  # seconds; nothing here waits so long unless it is broken


@pytest.fixture
def heard():
    """The numbers of the signals in the order in which their handlers ran; each handler raises."""
    numbers = []

    def handler(number, frame):
        numbers.append(number)
        raise InterruptedError(number)

    before = {number: signal.signal(number, handler) for number in SENT}
    yield numbers
    for number, handler in before.items():
        signal.signal(number, handler)


def test_each_is_heard_at_the_end_though_all_raise(heard):
    handlers = [signal.getsignal(number) for number in SENT]
    with pytest.raises(InterruptedError), signals.waiting():
        for number in (*SENT, *SENT):
            signal.raise_signal(number)
        assert heard == []
    assert heard == list(SENT)
    assert handlers == [signal.getsignal(number) for number in SENT]


def test_an_error_of_the_block_silences_none(heard):
    with pytest.raises(InterruptedError) as caught, signals.waiting():
        signal.raise_signal(signal.SIGALRM)
        raise LookupError
    assert heard == [signal.SIGALRM]
    assert isinstance(caught.value.__context__, LookupError)


def test_a_block_within_a_block_waits_for_both(heard):
    with pytest.raises(InterruptedError), signals.waiting():
        with signals.waiting():
            signal.raise_signal(signal.SIGALRM)
        assert heard == []
    assert heard == [signal.SIGALRM]


def test_a_handler_that_a_handler_sets_stays(heard):
    def once(number, frame):
        signal.signal(number, signal.SIG_IGN)

    signal.signal(signal.SIGALRM, once)
    with signals.waiting():
        signal.raise_signal(signal.SIGALRM)
    assert signal.getsignal(signal.SIGALRM) is signal.SIG_IGN


def test_what_an_interrupt_leaves_in_place_passes_on(heard):
    """One that comes while the handlers are put back."""
    with signals.waiting():
        left = signal.getsignal(signal.SIGALRM)
    with pytest.raises(InterruptedError):
        left(signal.SIGALRM, None)
    assert heard == [signal.SIGALRM]


def test_no_other_thread_changes_handlers(heard):
    within, handlers = [], [signal.getsignal(number) for number in SENT]

    def work():
        with signals.waiting():
            within.extend(signal.getsignal(number) for number in SENT)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert within == handlers


@pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")
def test_who_waits_for_another_thread_to_compile_hears(heard):
    """And leaves Numba's lock to others."""
    function, compiling, over = jit.njit(lambda x: x + 1), threading.Event(), threading.Event()

    def work():
        with jit.global_compiler_lock:
            compiling.set()
            over.wait(LONG)

    thread = threading.Thread(target=work)
    thread.start()
    compiling.wait(LONG)
    signal.setitimer(signal.ITIMER_REAL, 0.05)
    try:
        with pytest.raises(InterruptedError):
            function(1)
    finally:
        over.set()
        thread.join()
    assert heard == [signal.SIGALRM]
    assert not jit.global_compiler_lock.is_locked()
    assert function(1) == 2
