"""A process whose call of about ten seconds is interrupted by a SIGINT to the process.

The first argument is the schedule, the second the dtype, the third the units. Prints how long the call went
on after the signal, in seconds of the processor per thread, which other processes do not prolong, and by the
clock; whether the state stayed as it was; whether the next call of the layer is right.
"""

import json
import os
import signal
import sys
import threading
import time

import numpy as np

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import plan, team

CALL_SECONDS, SIGNAL_AFTER = 10.0, 0.7
I, B = 4, 8  # noqa: E741


def twins(H, dtype):
    """A stateful layer and the same without states, of random weights."""
    rng = np.random.default_rng(7)
    options = {"dtype": dtype, "recurrent_initializer": "glorot_uniform", "seed": 1}
    stateful, plain = nr.LSTM(H, stateful=True, **options), nr.LSTM(H, return_state=True, **options)
    plain.build(I)
    stateful.build(I)
    states = [rng.standard_normal((B, H)).astype(dtype) for _ in range(2)]
    return stateful, plain, states


def noting(start, entered):
    """An entry point that says when it is entered: a signal before it would find a plan in the making."""

    def noted(words):
        entered.set()
        start(words)

    return noted


def interrupted(call):
    """Seconds of the processor and of the clock from a signal amid the kernels to the exception."""
    sent, entered = [], threading.Event()
    team.run_alone, team.launch = noting(team.run_alone, entered), noting(team.launch, entered)

    def send():
        entered.wait()
        time.sleep(SIGNAL_AFTER)
        sent.extend([time.process_time(), time.perf_counter()])
        os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        call()
    except KeyboardInterrupt:
        heard = time.process_time(), time.perf_counter()
    sender.join()
    return heard[0] - sent[0], heard[1] - sent[1]


def main(schedule, dtype, H):
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs begin without it
    costs.LAUNCH_WORTH_SECONDS = 0.0
    dispatch.SCHEDULES = (schedule,)
    stateful, plain, states = twins(H, dtype)
    few = np.random.default_rng(8).standard_normal((B, 5, I)).astype(dtype)
    threads = plain.explain(few, n_threads=2).threads
    probe = dispatch.decide(plain.cell.program, plan.dense(B, 100), 2)
    steps = int(100 * CALL_SECONDS / probe.predicted_seconds)
    stateful.reset_states(states)
    stateful(few, n_threads=2)
    before, out = stateful.states, np.empty((B, H), dtype)
    x = np.zeros((B, steps, I), dtype)
    processor, clock = interrupted(lambda: stateful(x, n_threads=2, out=out))
    y, *after = plain(few, before)
    kept = [a.tobytes() == b.tobytes() for a, b in zip(stateful.states, before, strict=True)]
    works = stateful(few).tobytes() == y.tobytes()
    moved = [a.tobytes() == b.tobytes() for a, b in zip(stateful.states, after, strict=True)]
    print(json.dumps({
        "threads": threads, "processor": processor / threads, "clock": clock, "kept": all(kept),
        "works": works and all(moved),
    }))  # fmt: skip


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
