"""A process with an empty cache, interrupted again and again while it compiles; then it prints its result.

The argument is the number of interrupts, each 0.3 s after the last was heard; or where they all come: `llvm`,
when a function of LLVM returns, each once for each function of ours, `object`, where LLVM hands over what it
compiled, `registry`, while Numba installs how arrays are indexed.
"""

import hashlib
import json
import operator
import signal
import sys
import time

import numpy as np
from llvmlite.binding import ffi
from numba.core.registry import cpu_target

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import jit, store
from numbarnn.kernels.target import TARGET

APART, LOST = 0.3, 30.0  # seconds to an interrupt, and until one counts as lost
HANDS_OVER_NOTHING = ("LLVMPY_AddSymbol",)  # Numba's, as it starts its threads

torn = []  # the calls of LLVM whose callers heard an interrupt


def results():
    """A digest of results under both schedules."""
    layer, x = nr.LSTM(20, seed=1), np.random.default_rng(2).standard_normal((3, 9, 4), dtype=np.float32)
    digest = hashlib.sha256()
    for schedule in ("rows", "units"):
        dispatch.SCHEDULES = (schedule,)
        digest.update(layer(x, n_threads=2).tobytes())
    return digest.hexdigest()


def interrupt_llvm():
    """Before the caller notes, say, that a module belongs to LLVM now."""
    call, seen = ffi._lib_fn_wrapper.__call__, set()

    def interrupted(function, *arguments):
        result, name = call(function, *arguments), function._cfn.__name__
        place = name, len(jit.compilations)
        if place not in seen and name not in HANDS_OVER_NOTHING:
            seen.add(place)
            torn.append(place)
            signal.raise_signal(signal.SIGALRM)
            torn.remove(place)
        return result

    ffi._lib_fn_wrapper.__call__ = interrupted
    store.target_key.cache_clear()


def interrupt_objects():
    """Within a callback from C, from where Python can raise nothing."""
    engine = cpu_target.target_context.codegen()._engine
    notify, load = engine._ee._object_cache_notify, engine._ee._object_cache_getbuffer

    def interrupted(module, code):
        signal.raise_signal(signal.SIGALRM)
        notify(module, code)

    engine.set_object_cache(interrupted, load)


def interrupt_registration():
    """An interrupt at each of the first ways of indexing that are to be installed."""
    context, left = TARGET.typing_context, list(range(8))
    look_up = context._lookup_global

    def interrupted(function):
        if function is operator.getitem and left:
            left.pop()
            signal.raise_signal(signal.SIGALRM)
        return look_up(function)

    context._lookup_global = interrupted


def main(interrupts, place=lambda: None):
    """`interrupts` by the clock, each within its own attempt; those at a place come by themselves."""
    costs.LAUNCH_WORTH_SECONDS = 0.0
    signal.signal(signal.SIGALRM, signal.default_int_handler)
    place()
    heard, digest = 0, None
    while digest is None:
        try:
            if heard < interrupts:
                signal.setitimer(signal.ITIMER_REAL, APART)
                results()
                time.sleep(LOST)
                break
            digest = results()
        except KeyboardInterrupt:
            heard += 1
    how = sorted({how for _, _, how in jit.compilations})
    faults = [*store.failures, *torn]
    print(json.dumps({"digest": digest, "heard": heard, "how": how, "faults": faults}))


PLACES = {"llvm": interrupt_llvm, "object": interrupt_objects, "registry": interrupt_registration}

if __name__ == "__main__":
    chosen = sys.argv[1]
    main(0, PLACES[chosen]) if chosen in PLACES else main(int(chosen))
