"""A process that works in parallel and forks: its children and theirs must find the same bits on one thread.

Prints what each found: the parent, a child, a child's child, two workers of a `multiprocessing` pool, and a
child forked while another thread is in the middle of a call.
"""

import json
import multiprocessing
import os
import sys
import threading
import time

import numpy as np
from process_bits import OPTIONS, digests

import numbarnn as nr
from numbarnn import costs, dispatch

x = np.random.default_rng(5).standard_normal((4, 6, 20), dtype=np.float32)


def step_on(stepper):
    """The bits of the next outputs of a stepper that was prepared before."""
    return [stepper(x[:, t]).tobytes().hex()[:64] for t in range(6)]


def look(steppers):
    """What a process finds: the results, how its calls are decided, how two threads' steppers go on."""
    found = {"digests": digests(), "steps": [step_on(stepper) for stepper in steppers]}
    dispatch.SCHEDULES = ("rows", "units")
    found["threads"] = nr.GRU(70, **OPTIONS).explain(x, n_threads=2).threads
    return found


def in_child(work, *arguments):
    """What `work` returns in a forked child, or how the child ended."""
    reading, writing = os.pipe()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        os.close(reading)
        with open(writing, "w") as pipe:
            json.dump(work(*arguments), pipe)
        os._exit(0)
    os.close(writing)
    with open(reading) as pipe:
        text = pipe.read()
    status = os.waitpid(child, 0)[1]
    return json.loads(text) if status == 0 else {"status": status}


def prepared(schedule):
    """A stepper that has been started with two threads."""
    dispatch.SCHEDULES = (schedule,)
    stepper = nr.LSTM(70, **OPTIONS).stepper(4)
    stepper(x[:, 0])
    stepper.reset()
    return stepper


def main():
    costs.LAUNCH_WORTH_SECONDS = 0.0
    steppers = [prepared("rows"), prepared("units")]
    found = {"child": in_child(look, steppers), "grandchild": in_child(in_child, look, steppers)}
    with multiprocessing.get_context("fork").Pool(2) as pool:
        for number, one in enumerate(pool.map(look, [steppers] * 2, chunksize=1)):
            found[f"worker {number}"] = one
    layer, long = nr.LSTM(70, **OPTIONS), np.zeros((4, 20_000, 20), np.float32)
    layer(long[:, :5])  # nothing is left to compile: a fork beside a compilation would keep its lock
    caller = threading.Thread(target=layer, args=(long,))
    caller.start()
    time.sleep(0.02)
    found["child beside a call"] = in_child(look, steppers)
    caller.join()
    found["parent"] = look(steppers)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
