"""How rivals are timed fairly."""

import gc
import time
from functools import partial
from itertools import count

import numpy as np

QUIET_LIMIT_SECONDS = 2.0
WAKING_SECONDS, LONG_CALL_SECONDS = 0.02, 0.1
SLOW_ROUNDS, TOO_SLOW = 3, 5


def settle():
    """Wait until no thread of this process computes.

    Threads of a pool go on spinning after their work is done, to be ready for more: OpenMP's for 10 ms, ONNX
    Runtime's for 40 ms, OpenBLAS's for 100 ms (measured as here, on two cores). They would take a core from
    whoever is timed next.

    Raises
    ------
    RuntimeError
        It does not become quiet within `QUIET_LIMIT_SECONDS`.
    """
    limit = time.perf_counter() + QUIET_LIMIT_SECONDS
    while time.perf_counter() < limit:
        before = time.process_time()
        time.sleep(0.002)
        if time.process_time() - before < 0.0005:
            return
    raise RuntimeError(
        f"a thread of this process has been computing for {QUIET_LIMIT_SECONDS} s; rivals can be timed while "
        "nothing else runs: stop it first"
    )


def interleave(calls, seconds, rounds=5, burst_seconds=0.005, patience=None):
    """Time rivals in turn, so that a change in the machine's speed meets them all.

    Parameters
    ----------
    calls : dict of callable
        By name. Every round takes them all, each time beginning with another one. A callable with a method
        ``burst(seconds)`` runs in another process, where that method does what `burst` does here.
    seconds : float
        Of all rounds together; after it no new one is begun.
    rounds : int
        At least so many, however long they take.
    burst_seconds : float
        A call shorter than this is repeated, when its turn comes, until so much time has passed.
    patience : float, optional
        Seconds for each rival. Whoever has taken them takes part in the first three rounds only, and whoever
        has taken five times as many in no further one at all.

    Returns
    -------
    dict of list of float
        By name, the seconds of every call but those that only woke up threads; see `burst`.

    Examples
    --------
    >>> durations = interleave({"short": lambda: sum(range(10)), "long": lambda: sum(range(10_000))}, 0.05)
    >>> min(durations["short"]) < min(durations["long"])
    True
    """
    durations = {name: [] for name in calls}
    for call in calls.values():
        call()
    bursts = {name: getattr(call, "burst", partial(burst, call)) for name, call in calls.items()}
    names, taken, end = list(calls), dict.fromkeys(calls, 0.0), time.perf_counter() + seconds
    for done in count():
        if patience is not None and done > 0:
            most = patience * (TOO_SLOW if done < SLOW_ROUNDS else 1)
            names = [name for name in names if taken[name] < most]
        if not names or (done >= rounds and time.perf_counter() >= end):
            return durations
        for name in names:
            settle()
            begun = time.perf_counter()
            durations[name] += bursts[name](burst_seconds)
            taken[name] += time.perf_counter() - begun
        names.append(names.pop(0))


def alternate(calls, seconds, rounds=5, burst_seconds=0.002):
    """Time calls that run in the same threads, one burst right after the other's: nobody waits for threads to
    rest or to wake up, so that nearly all of the time is measured, and a round is over before the machine's
    speed has changed. Two layers with the same machine code differ by 1 % where `interleave` says 5 %, if the
    median of the rounds' ratios is taken.

    Parameters
    ----------
    calls, seconds, rounds, burst_seconds
        As in `interleave`.

    Returns
    -------
    dict of ndarray
        By name, for each round the median of the seconds of its calls.

    Examples
    --------
    >>> took = alternate({"short": lambda: sum(range(100)), "long": lambda: sum(range(10_000))}, 0.05)
    >>> bool(np.median(took["long"] / took["short"]) > 1)
    True
    """
    medians = {name: [] for name in calls}
    settle()
    for call in calls.values():
        burst(call, 0)
    names, end = list(calls), time.perf_counter() + seconds
    collecting = gc.isenabled()
    gc.disable()
    try:
        while len(medians[names[0]]) < rounds or time.perf_counter() < end:
            for name in names:
                medians[name].append(float(np.median(_repeated(calls[name], burst_seconds))))
            names.append(names.pop(0))
    finally:
        if collecting:
            gc.enable()
    return {name: np.array(values) for name, values in medians.items()}


def burst(call, seconds):
    """The seconds of calls one right after the other, until so much time has passed. Python collects no
    garbage meanwhile.

    First calls wake threads up, which may share one core for a few ticks of the system's clock until it moves
    them apart: for `WAKING_SECONDS` none is counted, unless it is so long that this does not matter.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        woken = time.perf_counter() + WAKING_SECONDS
        while True:
            first = _seconds_of(call)
            if first >= LONG_CALL_SECONDS:
                return [first]
            if time.perf_counter() >= woken:
                break
        return _repeated(call, seconds)
    finally:
        if collecting:
            gc.enable()


def _repeated(call, seconds):
    durations, end = [], time.perf_counter() + seconds
    while not durations or time.perf_counter() < end:
        durations.append(_seconds_of(call))
    return durations


def _seconds_of(call):
    start = time.perf_counter()
    call()
    return time.perf_counter() - start
