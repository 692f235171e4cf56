"""A process that gets one small function of each kind through the cache, and says what they compute and how
it got them: `python cached_process.py [alone | full | limited | deleted | crowd | killed]` prints a line of
JSON for each process.
"""

import ctypes
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

import numbarnn as nr
from numbarnn.kernels import emit_cpu, jit, simd, store, trace

EPILOGUE = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int64] * 4)
NAMES = {"epilogue", "total", "halved"}
CROWD, KILLS = 32, 12


@jit.njit
def total(values):
    added = 0.0
    for value in values:
        added += value * value
    return added


@jit.cfunc("float64(float64)")
def halved(value):
    return 0.5 * value


def report(values):
    """Results as exact text, how each function was obtained, and what the cache says."""
    how = {name: how for name, _, how in jit.compilations}
    return json.dumps({"y": [float(value).hex() for value in values], "how": how, "info": store.cache_info()})


def small():
    """Three functions: generated, called from Python, called through an address."""
    target = simd.Target("narrow", 128, 16, False)
    graph = trace.trace(lambda a: nr.math.tanh(a + a), ["a"], ["y"])
    x, y = np.linspace(-1, 1, 8), np.zeros(8)
    operand = np.array([y.ctypes.data, 16])
    epilogue = EPILOGUE(emit_cpu.epilogue(graph, ["a"], np.dtype("f8"), target))
    epilogue(x.ctypes.data, operand.ctypes.data, 0, 4, 0, 1)
    half = ctypes.CFUNCTYPE(ctypes.c_double, ctypes.c_double)(halved.address)
    return report([*y, total(y), half(3.0)])


def full():
    """All that a layer needs."""
    layer, x = nr.LSTM(5, seed=0), np.linspace(-1, 1, 60, dtype=np.float32).reshape(4, 5, 3)
    layer.build(3)
    nr.warmup(layer)
    return report(layer(x, lengths=[5, 0, 2, 1]).ravel())


def child(function):
    """A forked process that prints what `function` returns; its number."""
    sys.stdout.flush()
    if number := os.fork():
        return number
    try:
        os.write(1, (function() + "\n").encode())
    finally:
        os._exit(0)


def crowd():
    """Many processes at once."""
    for number in [child(small) for _ in range(CROWD)]:
        os.waitpid(number, 0)


def fill():
    """Write for ever, on a disk so slow that most of the time is spent there."""
    replace = os.replace
    os.replace = lambda *names: (time.sleep(0.005), replace(*names))
    for k in itertools.count():
        store.save(f"entry {k % 9}", bytes(300_000))


def linger():
    """`small`, but nothing is printed: one that is done before it is killed waits for it."""
    small()
    signal.pause()


def killed():
    """Processes that compile, or write, are killed at any moment; each time another then does its work."""
    moments = random.Random(os.getpid())
    for round_number in range(KILLS):
        number = child(fill if round_number % 2 else linger)
        time.sleep(moments.uniform(0.0, 0.3))
        os.kill(number, signal.SIGKILL)
        os.waitpid(number, 0)
        os.waitpid(child(small), 0)


def limited():
    """Where a file cannot become longer than 4000 bytes: each is written in part."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
    return small()


def deleted():
    """Where somebody deletes the cache whenever something has been kept in it."""
    save = store.save
    store.save = lambda key, value: (save(key, value), shutil.rmtree(store.root()))
    return small()


def start(directory, *kind, **variables):
    """A process that takes no setting of the cache from this one, and for which a warning is an error."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBARNN_")}
    environment |= {"NUMBARNN_CACHE_DIR": str(directory), **variables}
    command = [sys.executable, "-W", "error", __file__, *kind]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def results(process):
    """What it prints, line by line; it must end well, and say nothing else."""
    out, errors = process.communicate(timeout=240)
    assert process.returncode == 0 and errors == b"", errors.decode()
    return [json.loads(line) for line in out.splitlines()]


def result(process):
    """`results` of a process that prints one line."""
    [found] = results(process)
    return found


def files(directory):
    """Its cached functions, of every stamp."""
    return sorted(Path(directory).rglob("*.bin"))


def main():
    kind = sys.argv[1] if len(sys.argv) > 1 else "alone"
    if kind in ("crowd", "killed"):
        {"crowd": crowd, "killed": killed}[kind]()
    else:
        print({"alone": small, "full": full, "limited": limited, "deleted": deleted}[kind]())


if __name__ == "__main__":
    main()
