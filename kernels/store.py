"""Compiled functions on disk: one file for each, in a private directory of the user's.

A file is found by a hash of everything that went into its function: the stamp, which names the directory
(this package's sources and the versions beneath them), the target CPU, Numba's settings, the caller's key.
There is no index that two processes could spoil. A file is replaced whole, and its digest is checked before
it is unpickled, so whatever goes wrong costs a compilation, never a result; `failures` says what went wrong.

Nothing grows for ever. The first `save` of a process removes the temporary files that killed processes left
an hour ago or more, and the directories of other stamps that no process has used for 30 days.
"""

import hashlib
import os
import pickle
import re
import stat
import sys
import tempfile
import time
from contextlib import suppress
from functools import cache
from importlib import resources
from pathlib import Path

import llvmlite
import numba
import numpy
from numba.core import config
from numba.core.registry import cpu_target
from numba.core.serialize import dumps

from . import signals

DIGEST_BYTES = 32
HOUR, DAY = 3600.0, 86400.0  # seconds
STAMPED = re.compile("[0-9a-f]{16}")  # what our directories are called
ENTRY, TEMPORARY = re.compile(r"[0-9a-f]{40}\.bin"), re.compile(r"numbarnn-\w+\.tmp")  # and our files

# What reading, and unpickling what somebody else has pickled, can raise.
UNREADABLE = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    ArithmeticError,
    MemoryError,
    EOFError,
    AttributeError,
    ImportError,
    pickle.UnpicklingError,
)

failures = []  # what the cache could not do, in words
_tidied = set()  # directories that this process has looked after


def _source_stamp():
    digest = hashlib.sha256(
        f"{sys.version}|{numba.__version__}|{llvmlite.__version__}|{numpy.__version__}".encode()
    )
    folder = resources.files(__package__)  # may lie in a zip file
    for name in sorted(source.name for source in folder.iterdir() if source.name.endswith(".py")):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()[:16]


STAMP = _source_stamp()


def root():
    """Where the directories of all stamps are, or None when caching is off. Nothing is created here."""
    if os.environ.get("NUMBARNN_CACHE", "1") == "0":
        return None
    if chosen := os.environ.get("NUMBARNN_CACHE_DIR"):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    if not os.path.isabs(base):  # no home directory to be found
        return None
    return Path(base) / "numbarnn"


@cache
@signals.waiting()
def target_key():
    """The CPU that code is generated for, as Numba sees it (it follows NUMBA_CPU_NAME and
    NUMBA_CPU_FEATURES).
    """
    return cpu_target.target_context.codegen().magic_tuple()


# What else of Numba's settings changes the code: NUMBA_OPT=0 in one process must not slow all others down.
CODE_SETTINGS = tuple(
    getattr(config, name)
    for name in ("OPT", "LOOP_VECTORIZE", "SLP_VECTORIZE", "BOUNDSCHECK", "DEBUGINFO_DEFAULT")
)


def path_of(key):
    """The file of an entry, or None when caching is off."""
    place = root()
    if place is None:
        return None
    name = hashlib.sha256(repr((key, target_key(), CODE_SETTINGS)).encode()).hexdigest()[:40]
    return place / STAMP / f"{name}.bin"


def load(key):
    """The value saved under `key`, or None where there is none that can be trusted."""
    path = path_of(key)
    if path is None:
        return None
    try:
        saved_as, value = pickle.loads(_payload(path))
        if saved_as != repr(key):
            raise ValueError("it holds another entry")
    except FileNotFoundError:
        return None
    except UNREADABLE as error:
        failures.append(f"load {path.name}: {error}")
        return None
    _note_use(path.parent)
    return value


def save(key, value):
    """Keep `value` under `key`, if that is possible."""
    path = path_of(key)
    if path is None:
        return
    payload = dumps((repr(key), value))
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _refuse_foreign(path.parent, path.parent.stat())
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix="numbarnn-", suffix=".tmp", delete=False
        ) as file:
            temporary = file.name
            file.write(_digest(path, payload) + payload)
        os.replace(temporary, path)
        temporary = None
    except (OSError, ValueError) as error:
        failures.append(f"save {path.name}: {error}")
    finally:
        if temporary is not None:
            with suppress(OSError):  # what made the writing fail may stand in the way of this too
                os.unlink(temporary)
    if path.parent not in _tidied:
        _tidied.add(path.parent)
        _tidy(path.parent)


def _payload(path):
    """The pickle that a file holds, once it is known to be ours and whole."""
    with path.open("rb") as file:
        _refuse_foreign(path, os.fstat(file.fileno()))
        blob = file.read()
    _refuse_foreign(path.parent, path.parent.stat())
    payload = blob[DIGEST_BYTES:]
    if _digest(path, payload) != blob[:DIGEST_BYTES]:
        raise ValueError("its digest does not fit its content")
    return payload


def _digest(path, payload):
    """Of the name as well: a whole file under another name is another function."""
    return hashlib.sha256(path.name.encode() + payload).digest()


def _refuse_foreign(path, status):
    """Unpickling runs code: what others can write to is not read."""
    if os.name == "posix" and (status.st_uid != os.getuid() or status.st_mode & 0o022):
        raise ValueError(f"{path} belongs to, or can be written by, somebody else")


def _note_use(directory):
    """Once a day at most, for `_tidy`."""
    with suppress(OSError):  # a cache that can only be read is no fault
        if time.time() - directory.stat().st_mtime > DAY:
            os.utime(directory)


def _tidy(used):
    """Remove temporaries of killed processes, and directories of other stamps that are out of use."""
    now = time.time()
    for directory in _directories():
        with suppress(OSError):  # another process may be at the same
            idle = now - directory.stat().st_mtime
            for entry in _files(directory, TEMPORARY):
                if now - entry.stat().st_mtime > HOUR:
                    os.unlink(entry.path)
            if directory != used and idle > 30 * DAY:
                _remove_entries(directory)


def _stamped():
    """Whatever is called like our directories; empty where the root cannot be listed."""
    place = root()
    try:
        return [] if place is None else sorted(p for p in place.iterdir() if STAMPED.fullmatch(p.name))
    except OSError:
        return []


def _directories():
    """Those that are ours by name and owner."""
    for path in _stamped():
        with suppress(FileNotFoundError):  # another process may be removing it
            status = path.lstat()
            if stat.S_ISDIR(status.st_mode) and (os.name != "posix" or status.st_uid == os.getuid()):
                yield path


def _files(directory, *names):
    """Files of ours in a directory, with one of the names; none where it cannot be listed."""
    with suppress(OSError):
        for entry in sorted(os.scandir(directory), key=lambda entry: entry.name):
            if any(name.fullmatch(entry.name) for name in names) and entry.is_file(follow_symlinks=False):
                yield entry


def _remove_entries(directory):
    """Remove our files, and the directory if nothing else is in it: how many files, how many bytes."""
    files = size = 0
    for entry in _files(directory, ENTRY, TEMPORARY):
        with suppress(FileNotFoundError):  # another process may be at the same
            size += entry.stat().st_size
            os.unlink(entry.path)
            files += 1
    with suppress(OSError):  # not empty
        directory.rmdir()
    return files, size


def clear():
    """Remove the cached functions of every stamp, and nothing that is not ours by name and owner.

    Returns
    -------
    dict
        ``removed_files``, ``removed_bytes``; ``left`` (list of str), what has a name like our directories and
        stays: it is not ours, or something else is in it.

    Raises
    ------
    OSError
        A file of ours that cannot be removed.
    """
    removed = [_remove_entries(directory) for directory in _directories()]
    files, size = (sum(counts) for counts in zip((0, 0), *removed, strict=True))
    return {"removed_files": files, "removed_bytes": size, "left": [str(path) for path in _stamped()]}


def examine():
    """Read every file of this stamp as `load` would, and note in `failures` those that it would refuse."""
    place = root()
    for entry in _files(place / STAMP, ENTRY) if place is not None else ():
        try:
            _payload(Path(entry.path))
        except FileNotFoundError:
            continue
        except (OSError, ValueError) as error:
            failures.append(f"load {entry.name}: {error}")


def probe():
    """Keep an entry, read it and remove it again; what is in the way is noted in `failures`."""
    key, value = f"probe {os.getpid()}", time.time()
    noted = len(failures)
    save(key, value)
    if load(key) != value and len(failures) == noted:
        failures.append(f"load {path_of(key).name}: it is not what was saved")
    with suppress(OSError):
        path_of(key).unlink(missing_ok=True)


def cache_info():
    """Where compiled functions are kept, and what became of that in this process.

    Returns
    -------
    dict
        ``directory`` (str or None), ``stamp``, ``enabled``, ``failures`` (list of str); ``files`` and
        ``bytes`` of this stamp, ``other_files`` and ``other_bytes`` of others: versions, former sources.
    """
    place = root()
    sizes = {True: [], False: []}
    for directory in _directories():
        for entry in _files(directory, ENTRY):
            with suppress(FileNotFoundError):
                sizes[directory.name == STAMP].append(entry.stat().st_size)
    return {
        "directory": None if place is None else str(place / STAMP),
        "stamp": STAMP,
        "enabled": place is not None and not numba.config.DISABLE_JIT,
        "failures": list(failures),
        "files": len(sizes[True]),
        "bytes": sum(sizes[True]),
        "other_files": len(sizes[False]),
        "other_bytes": sum(sizes[False]),
    }
