"""A process with an empty cache, interrupted again and again while it compiles; then it prints its result.

The argument is the number of interrupts, 0.3 s apart; or `lost`, for interrupts that all come while LLVM
hands over what it compiled, from where Python cannot raise them; or `registry`, for interrupts that come
while Numba installs how arrays are indexed.
"""

import hashlib
import json
import operator
import signal
import sys
import time

import numpy as np
from numba.core.registry import cpu_target

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import jit, store

APART = 0.3


def results():
    """A digest of results under both schedules."""
    layer, x = nr.LSTM(20, seed=1), np.random.default_rng(2).standard_normal((3, 9, 4), dtype=np.float32)
    digest = hashlib.sha256()
    for schedule in ("rows", "units"):
        dispatch.SCHEDULES = (schedule,)
        digest.update(layer(x, n_threads=2).tobytes())
    return digest.hexdigest()


def lose(*_):
    raise KeyboardInterrupt


def interrupt_registration():
    """An interrupt at each of the first ways of indexing that are to be installed."""
    context, left = cpu_target.typing_context, list(range(8))
    look_up = context._lookup_global

    def interrupted(function):
        if function is operator.getitem and left:
            left.pop()
            signal.setitimer(signal.ITIMER_REAL, 1e-6)
            time.sleep(0.01)
        return look_up(function)

    context._lookup_global = interrupted


def main(interrupts):
    costs.LAUNCH_WORTH_SECONDS = 0.0
    left = [interrupts]

    def interrupt(number, frame):
        left[0] -= 1
        if left[0] == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGALRM, interrupt)
    if interrupts:
        signal.setitimer(signal.ITIMER_REAL, APART, APART)
    heard, digest = 0, None
    while digest is None or left[0] > 0:
        try:
            digest = results()
        except KeyboardInterrupt:
            heard += 1
    how = sorted({how for _, _, how in jit.compilations})
    print(json.dumps({"digest": digest, "heard": heard, "how": how, "failures": store.failures}))


if __name__ == "__main__":
    if sys.argv[1] == "lost":
        cpu_target.target_context.codegen()._engine.set_object_cache(lose)
    if sys.argv[1] == "registry":
        interrupt_registration()
    main(int(sys.argv[1]) if sys.argv[1].isdigit() else 0)
