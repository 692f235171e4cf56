"""Keras on JAX, in a process of its own: a jitted ``stateless_call``. XLA cannot be told how many threads to
take, it takes the processors there are: so the child may run on as many of them as threads are asked for.
Where a system has no such limit, it is all of them or none.
"""

import os

from . import Unsupported, keras_process


def prepare(problem, data, threads):
    processors = None
    if hasattr(os, "sched_setaffinity"):
        here = sorted(os.sched_getaffinity(0))
        if len(here) < threads:
            raise Unsupported(f"XLA takes the processors there are, {len(here)}, not {threads} threads")
        processors = set(here[:threads])
    elif threads != os.cpu_count():
        raise Unsupported("XLA's threads cannot be limited on this system")
    return keras_process.start("jax", problem, data, threads, {"JAX_PLATFORMS": "cpu"}, processors)
