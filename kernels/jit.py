"""Every compiled function of the library comes from here: Numba's decorators under our caching policy.

Numba's own cache compares one source file only and keeps an index that two processes can spoil. Ours is
`store`: one file per function, found by a hash of all sources, the versions, the CPU, the function, its
signature and the strings it closes over.
"""

import hashlib
import signal
import threading
import time
from contextlib import contextmanager

import numba
from numba import prange
from numba.core import caching, ccallback, compiler, config, sigutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.extending import intrinsic

from . import store
from .store import failures, target_key

__all__ = [
    "DISABLED",
    "cfunc",
    "compile_ir",
    "failures",
    "inner",
    "intrinsic",
    "njit",
    "prange",
    "target_key",
]

DISABLED = bool(config.DISABLE_JIT)
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False}

compilations = []  # (name, seconds, "compiled" or "loaded") of every function this process obtained


def _save(key, serialise):
    """Keep what `serialise` returns.

    It finds nothing where an interrupt came while LLVM handed over the compiled code, from where Python
    cannot raise it: this process has its function all the same, and the next one compiles it again.
    """
    try:
        compiled = serialise()
    except RuntimeError as error:
        failures.append(f"save {key}: {error}")
    else:
        store.save(key, compiled)


@contextmanager
def _signals_wait():
    """Have Python's handlers of signals wait for the end of the block; they run in the main thread only.

    Numba takes an entry from a registry and then installs it: an interrupt between the two would leave, say,
    the indexing of arrays unknown for as long as the process lives.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came, handlers = [], {number: signal.getsignal(number) for number in signal.valid_signals()}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, lambda number, frame: came.append(number))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in came:
        signal.raise_signal(number)


class _KernelCache(caching._Cache):
    """Numba's cache interface over `store`; also the stopwatch, since Numba calls it on both sides of a
    compilation.
    """

    cache_path = None

    def __init__(self, py_func):
        cells = [cell.cell_contents for cell in py_func.__closure__ or ()]
        self.key = (py_func.__module__, py_func.__qualname__, cells)
        self.started = None

    def load_overload(self, sig, target_context):
        self.started = time.perf_counter()
        with _signals_wait():
            target_context.refresh()
        payload = store.load((self.key, str(sig)))
        if payload is None:
            return None
        overload = compiler.CompileResult._rebuild(target_context, *payload)
        self._note("loaded")
        return overload

    def save_overload(self, sig, data):
        self._note("compiled")
        _save((self.key, str(sig)), data._reduce)

    def _note(self, how):
        compilations.append((self.key[1], time.perf_counter() - self.started, how))

    def enable(self):
        """Part of Numba's interface; caching is switched by NUMBARNN_CACHE alone."""

    disable = flush = enable


def njit(function=None, **options):
    """`numba.njit` with the library's options and cache. The identity when NUMBA_DISABLE_JIT=1."""
    if function is None:
        return lambda function: njit(function, **options)
    if DISABLED:
        return function
    dispatcher = numba.njit(**OPTIONS, **options)(function)
    dispatcher._cache = _KernelCache(function)
    return dispatcher


def inner(function):
    """`njit` for what only kernels call: no wrappers for Python and C, no file of its own, since its callers'
    files contain it.
    """
    if DISABLED:
        return function
    return numba.njit(**OPTIONS, no_cpython_wrapper=True, no_cfunc_wrapper=True)(function)


class cfunc:
    """A C function of the given signature, compiled (or loaded) when its `address` is first asked for."""

    def __init__(self, signature):
        self.signature = signature

    def __call__(self, function):
        self.function, self._address = function, None
        return self

    @property
    def address(self):
        if self._address is None:
            self._compile()
        return self._address

    @global_compiler_lock
    def _compile(self):
        if self._address is None:
            signature = sigutils.normalize_signature(self.signature)
            compiled = ccallback.CFunc(
                self.function, signature, locals={}, options=OPTIONS | {"nopython": True}
            )
            compiled._cache = _KernelCache(self.function)
            compiled.compile()
            self._keep, self._address = compiled, compiled.address


_libraries = {}  # symbol -> (code library, address): generated machine code lives as long as the process


@global_compiler_lock
def compile_ir(name, key, build):
    """Address of the function that `build(module, symbol)` adds to an LLVM module.

    `key` (strings and numbers) says everything that `build` depends on beside this package's sources. Used
    for what is generated rather than written: tiles and epilogues.
    """
    symbol = f"numbarnn_{name}_{hashlib.sha256(repr(key).encode()).hexdigest()[:20]}"
    if symbol in _libraries:
        return _libraries[symbol][1]
    started = time.perf_counter()
    codegen = cpu_target.target_context.codegen()
    payload = store.load(symbol)
    if payload is not None:
        library = codegen.unserialize_library(payload)
    else:
        library = codegen.create_library(symbol)
        module = library.create_ir_module(symbol)
        build(module, symbol)
        library.add_ir_module(module)
        library.enable_object_caching()
        library.finalize()
        _save(symbol, library.serialize_using_object_code)
    address = library.get_pointer_to_function(symbol)
    _libraries[symbol] = library, address
    compilations.append((name, time.perf_counter() - started, "compiled" if payload is None else "loaded"))
    return address
