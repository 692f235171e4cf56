"""Every compiled function of the library comes from here: Numba's decorators under our caching policy.

The policy: one file per compiled function in a private per-user directory, found by a hash of everything that
went into it (this package's sources, the versions, the target CPU, the function, its signature, the strings
it closes over). Numba's own cache compares one source file only and keeps an index that two processes can
spoil; here there is no index, a file is replaced whole, its digest is checked before it is unpickled, and
whatever goes wrong with a file costs a compilation, never a result. `cache_info` counts what went wrong.
"""

import hashlib
import os
import pickle
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import llvmlite
import numba
import numpy
from numba import prange
from numba.core import caching, ccallback, compiler, config, sigutils
from numba.core.compiler_lock import global_compiler_lock
from numba.core.registry import cpu_target
from numba.core.serialize import dumps
from numba.extending import intrinsic

__all__ = [
    "DISABLED",
    "STAMP",
    "cache_info",
    "cfunc",
    "compile_ir",
    "inner",
    "intrinsic",
    "njit",
    "prange",
    "target_key",
]

DISABLED = bool(config.DISABLE_JIT)
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": False}

compilations = []  # (name, seconds, "compiled" or "loaded") of every function this process obtained
failures = []  # what the cache could not do, in words


def _source_stamp():
    digest = hashlib.sha256(
        f"{sys.version}|{numba.__version__}|{llvmlite.__version__}|{numpy.__version__}".encode()
    )
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


STAMP = _source_stamp()


def _directory():
    """Where compiled functions are kept, or None when caching is off. Nothing is created here."""
    if os.environ.get("NUMBARNN_CACHE", "1") == "0":
        return None
    if chosen := os.environ.get("NUMBARNN_CACHE_DIR"):
        return Path(chosen) / STAMP
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(base):  # no home directory to be found
        return None
    return Path(base) / "numbarnn" / STAMP


def target_key():
    """The CPU that code is generated for, as Numba sees it (it follows NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES).
    """
    return cpu_target.target_context.codegen().magic_tuple()


class _Store:
    """Named blobs on disk. Unpickling runs code, so a directory that others can write to is not read."""

    def path(self, key):
        directory = _directory()
        if directory is None:
            return None
        return directory / (hashlib.sha256(repr((key, target_key())).encode()).hexdigest()[:40] + ".bin")

    def load(self, key):
        path = self.path(key)
        if path is None:
            return None
        try:
            blob = path.read_bytes()
            _refuse_foreign(path.parent)
            if _digest(path, blob[32:]) != blob[:32]:
                raise ValueError("its digest does not fit its content")
            return pickle.loads(blob[32:])
        except FileNotFoundError:
            return None
        except (
            OSError,
            ValueError,
            EOFError,
            pickle.UnpicklingError,
            AttributeError,
            ImportError,
            TypeError,
        ) as error:
            failures.append(f"load {path.name}: {error}")
            return None

    def save(self, key, value):
        path = self.path(key)
        if path is None:
            return
        payload = dumps(value)
        written = None
        try:
            path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            _refuse_foreign(path.parent)
            with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
                written = file.name
                file.write(_digest(path, payload) + payload)
            os.replace(written, path)
        except (OSError, ValueError) as error:
            failures.append(f"save {path.name}: {error}")
            if written:
                with suppress(OSError):
                    os.unlink(written)


def _digest(path, payload):
    """Of the name as well: a whole file under another name is another function."""
    return hashlib.sha256(path.name.encode() + payload).digest()


def _refuse_foreign(directory):
    if os.name == "posix":
        status = directory.stat()
        if status.st_uid != os.getuid() or status.st_mode & 0o022:
            raise ValueError(f"{directory} belongs to, or can be written by, somebody else")


STORE = _Store()


class _KernelCache(caching._Cache):
    """Numba's cache interface over `STORE`; also the stopwatch, since Numba calls it on both sides of a
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
        payload = STORE.load((self.key, str(sig)))
        if payload is None:
            return None
        overload = compiler.CompileResult._rebuild(target_context, *payload)
        self._note("loaded")
        return overload

    def save_overload(self, sig, data):
        self._note("compiled")
        STORE.save((self.key, str(sig)), data._reduce())

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
    @global_compiler_lock
    def address(self):
        if self._address is None:
            signature = sigutils.normalize_signature(self.signature)
            compiled = ccallback.CFunc(
                self.function, signature, locals={}, options=OPTIONS | {"nopython": True}
            )
            compiled._cache = _KernelCache(self.function)
            compiled.compile()
            self._keep, self._address = compiled, compiled.address
        return self._address


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
    payload = STORE.load(symbol)
    if payload is not None:
        library = codegen.unserialize_library(payload)
    else:
        library = codegen.create_library(symbol)
        module = library.create_ir_module(symbol)
        build(module, symbol)
        library.add_ir_module(module)
        library.enable_object_caching()
        library.finalize()
        STORE.save(symbol, library.serialize_using_object_code())
    address = library.get_pointer_to_function(symbol)
    _libraries[symbol] = library, address
    compilations.append((name, time.perf_counter() - started, "compiled" if payload is None else "loaded"))
    return address


def cache_info():
    """Where compiled functions are kept, and what became of that in this process.

    Returns
    -------
    dict
        ``directory`` (str or None), ``stamp``, ``enabled``, ``failures`` (list of str), ``files``, ``bytes``.
    """
    directory = _directory()
    files = list(directory.glob("*.bin")) if directory is not None and directory.is_dir() else []
    return {
        "directory": None if directory is None else str(directory),
        "stamp": STAMP,
        "enabled": directory is not None and not DISABLED,
        "failures": list(failures),
        "files": len(files),
        "bytes": sum(file.stat().st_size for file in files),
    }
