"""Every compiled function of the library comes from here: Numba's decorators under our caching policy, for
`target` and, where it takes long, with `pipeline`.

Numba's own cache compares one source file only and keeps an index that two processes can spoil. Ours is
`store`: one file per function, found by a hash of all sources, the versions, the CPU, the function, its
signature and the strings it closes over.
"""

import hashlib
import time
from contextlib import contextmanager

from numba import prange
from numba.core import caching, ccallback, compiler, config, sigutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target

from . import signals, store
from .libraries import Library
from .pipeline import PartPipeline, Pipeline
from .store import failures, target_key
from .target import TARGET, Dispatcher

__all__ = [
    "DISABLED",
    "cfunc",
    "compile_ir",
    "failures",
    "inner",
    "njit",
    "prange",
    "target_key",
]

DISABLED = bool(config.DISABLE_JIT)
OPTIONS = {"nopython": True, "nogil": True, "error_model": "numpy", "fastmath": False}

compilations = []  # (name, seconds, "compiled" or "loaded") of every function this process obtained


@contextmanager
def _undisturbed():
    """Hold Numba's lock, and have signals wait for the end of the block.

    The lock comes first, so that a thread hears of them while it waits for one that compiles. It is taken
    beneath Numba's own `__enter__`, a function that an interrupt can leave with the lock held.
    """
    with global_compiler_lock._lock, signals.waiting():
        yield


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
        target_context.refresh()
        payload = store.load((self.key, str(sig)))
        if payload is None:
            return None
        overload = compiler.CompileResult._rebuild(target_context, *payload)
        self._note("loaded")
        return overload

    def save_overload(self, sig, data):
        self._note("compiled")
        store.save((self.key, str(sig)), data._reduce())

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
    dispatcher = Dispatcher(function, targetoptions=OPTIONS | options)
    dispatcher._cache = _KernelCache(function)
    dispatcher.compile = _undisturbed()(dispatcher.compile)
    return dispatcher


def inner(function):
    """`njit` for what only kernels call: no wrappers for Python and C, no file of its own, since its callers'
    files contain it.
    """
    if DISABLED:
        return function
    options = OPTIONS | {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return Dispatcher(function, targetoptions=options, pipeline_class=PartPipeline)


class _CFunc(ccallback.CFunc):
    _targetdescr = TARGET


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

    @_undisturbed()
    def _compile(self):
        if self._address is None:
            signature = sigutils.normalize_signature(self.signature)
            compiled = _CFunc(self.function, signature, locals={}, options=OPTIONS, pipeline_class=Pipeline)
            compiled._cache = _KernelCache(self.function)
            compiled.compile()
            self._keep, self._address = compiled, compiled.address


_libraries = {}  # symbol -> (code library, address): generated machine code lives as long as the process


@_undisturbed()
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
        library = Library(codegen, symbol)
        module = library.create_ir_module(symbol)
        build(module, symbol)
        library.add_ir_module(module)
        library.enable_object_caching()
        library.finalize()
        store.save(symbol, library.serialize_using_object_code())
    address = library.get_pointer_to_function(symbol)
    _libraries[symbol] = library, address
    compilations.append((name, time.perf_counter() - started, "compiled" if payload is None else "loaded"))
    return address
