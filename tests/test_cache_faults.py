"""Whatever happens to the cache costs time: never a result, an exception or a warning."""

import builtins
import errno
import hashlib
import os
import pickle
import shutil
import time
from collections import Counter

import numpy as np
import pytest
from cached_process import CROWD, KILLS, NAMES, files, result, results, start

from numbarnn.kernels import jit, store

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: nothing is compiled")
posix = pytest.mark.skipif(os.name != "posix", reason="owners and permissions of POSIX")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts its processes by os.fork")


@pytest.fixture
def directory(tmp_path, monkeypatch):
    """A directory of this process's cache with one entry; no failure is noted and nothing tidied yet."""
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("NUMBARNN_CACHE", raising=False)
    monkeypatch.setattr(store, "failures", [])
    store.save("entry", {"a": 1})
    assert store.load("entry") == {"a": 1} and not store.failures
    monkeypatch.setattr(store, "_tidied", set())
    return store.path_of("entry").parent


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def signed(path, payload):
    """A file whose digest fits."""
    return hashlib.sha256(path.name.encode() + payload).digest() + payload


def noise(count):
    return np.random.default_rng(count).bytes(count)


# What becomes of an entry's file, from its path and content. A digest that fits is not forged by accident;
# still nothing but an entry of this name is taken for one.
DAMAGE = {
    "one byte short": lambda path, blob: blob[:-1],
    "short by half": lambda path, blob: blob[: len(blob) // 2],
    "a digest alone": lambda path, blob: blob[:32],
    "half a digest": lambda path, blob: blob[:16],
    "empty": lambda path, blob: b"",
    "zeros": lambda path, blob: bytes(len(blob)),
    "noise": lambda path, blob: noise(3000),
    "one bit": lambda path, blob: blob[:-9] + bytes([blob[-9] ^ 1]) + blob[-8:],
    "longer": lambda path, blob: blob + b"\0",
    "a pickle": lambda path, blob: pickle.dumps({"a": 2}),
    "a pickle behind the old digest": lambda path, blob: blob[:32] + pickle.dumps(("'entry'", {"a": 2})),
    "signed: no pair": lambda path, blob: signed(path, pickle.dumps({"a": 2})),
    "signed: a number": lambda path, blob: signed(path, pickle.dumps(7)),
    "signed: another entry": lambda path, blob: signed(path, pickle.dumps(("'other'", {"a": 2}))),
    "signed: of a module that is gone": lambda path, blob: signed(path, b"cnumbarnn.gone\nthing\n."),
    "signed: of a class that is gone": lambda path, blob: signed(path, b"cnumbarnn\ngone\n."),
    "signed: a length beyond memory": lambda path, blob: signed(path, b"\x8e" + b"\xff" * 8),
    "signed: half a pickle": lambda path, blob: signed(path, blob[32:-5]),
    "signed: nothing": lambda path, blob: signed(path, b""),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_no_entry(directory, damage):
    """It is counted, and the next save mends it."""
    path = store.path_of("entry")
    path.write_bytes(DAMAGE[damage](path, path.read_bytes()))
    assert store.load("entry") is None
    assert len(store.failures) == 1 and store.failures[0].startswith(f"load {path.name}: ")
    store.save("entry", {"a": 3})
    assert store.load("entry") == {"a": 3} and len(store.failures) == 1
    assert names(directory) == [path.name]


def test_damage_is_found_before_anything_is_unpickled(directory, monkeypatch):
    """Unpickling runs code."""
    path = store.path_of("entry")
    monkeypatch.setattr(store.pickle, "loads", lambda payload: pytest.fail("unpickled"))
    for damage, change in DAMAGE.items():
        if not damage.startswith("signed"):
            path.write_bytes(change(path, path.read_bytes() or noise(99)))
            assert store.load("entry") is None
    store.save("entry", 1)
    store.path_of("other").write_bytes(path.read_bytes())
    assert store.load("other") is None


def test_another_entrys_file_is_refused(directory):
    """A file copied to another name holds somebody else's function."""
    store.path_of("other").write_bytes(store.path_of("entry").read_bytes())
    assert store.load("other") is None and len(store.failures) == 1


def test_an_absent_entry_is_no_failure(directory):
    assert store.load("absent") is None
    shutil.rmtree(directory)
    assert store.load("entry") is None and not store.failures


@posix
@pytest.mark.parametrize("mode", [0o777, 0o720, 0o702])
@pytest.mark.parametrize("what", ["directory", "file"])
def test_what_others_can_write_to_is_not_read(directory, what, mode):
    """Nor is a directory written to."""
    path = store.path_of("entry")
    (directory if what == "directory" else path).chmod(mode)
    assert store.load("entry") is None
    assert len(store.failures) == 1 and "can be written by, somebody else" in store.failures[0]
    if what == "directory":
        store.save("second", 2)
        assert len(store.failures) == 2 and names(directory) == [path.name]


@posix
def test_what_somebody_else_owns_is_neither_read_nor_written_nor_cleared(directory, monkeypatch):
    monkeypatch.setattr(store.os, "getuid", lambda: directory.stat().st_uid + 1)
    assert store.load("entry") is None
    store.save("second", 2)
    assert [text.split()[0] for text in store.failures] == ["load", "save"]
    assert all("belongs to" in text for text in store.failures)
    assert store.clear() == {"removed_files": 0, "removed_bytes": 0, "left": [str(directory)]}
    assert names(directory) == [store.path_of("entry").name]


ERRORS = [errno.EACCES, errno.EIO, errno.EROFS, errno.ENOSPC, errno.EMFILE]
ERRORS += [getattr(errno, name) for name in ("ESTALE", "EDQUOT") if hasattr(errno, name)]


@pytest.mark.parametrize("number", ERRORS, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("step", ["open", "mkdir", "create", "write", "replace"])
def test_errors_of_the_system(directory, step, number, monkeypatch):
    """Read-only, full, over a quota, gone with its server: counted, and no half of a file is left behind."""

    def refuse(*_, **__):
        raise OSError(number, os.strerror(number))

    class Full:
        """A temporary file on a full disk."""

        def __init__(self, *_, **__):
            self.name = str(directory / "numbarnn-full.tmp")

        def __enter__(self):
            return self

        def __exit__(self, *_):
            with builtins.open(self.name, "wb") as file:
                file.write(b"half")

        write = refuse

    owner, name, instead = {
        "open": (store.Path, "open", refuse),
        "mkdir": (store.Path, "mkdir", refuse),
        "create": (store.tempfile, "NamedTemporaryFile", refuse),
        "write": (store.tempfile, "NamedTemporaryFile", Full),
        "replace": (store.os, "replace", refuse),
    }[step]
    before = names(directory)
    with monkeypatch.context() as patch:
        patch.setattr(owner, name, instead)
        if step == "open":
            assert store.load("entry") is None
        else:
            store.save("second", 2)
    assert len(store.failures) == 1 and os.strerror(number) in store.failures[0]
    assert names(directory) == before
    assert store.load("entry") == {"a": 1}


def test_an_interrupt_leaves_no_temporary(directory, monkeypatch):
    """Ctrl-C is not kept from the user, and the half-written file goes."""

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store.os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        store.save("second", 2)
    assert names(directory) == [store.path_of("entry").name]


@pytest.mark.parametrize("place", ["root", "stamp", "entry"])
def test_something_else_stands_in_the_place(directory, place, monkeypatch):
    """A file where a directory should be, a directory where a file should be."""
    path = store.path_of("entry")
    if place == "entry":
        path.unlink()
        path.mkdir()
    else:
        shutil.rmtree(directory)
        where = directory if place == "stamp" else directory.parent
        if place == "root":
            shutil.rmtree(where)
        where.write_bytes(b"")
    store.save("entry", 1)
    assert store.load("entry") is None
    assert [text.split()[0] for text in store.failures] == ["save", "load"]
    assert store.cache_info()["files"] == 0
    assert store.clear()["removed_files"] == 0
    assert not [path for path in store.root().parent.rglob("*.tmp") if path.is_file()]


def aged(path, days):
    """Make a path as old as that; negative: from the future, as after a clock was set back."""
    when = time.time() - days * 86400
    os.utime(path, (when, when))
    return path


def test_temporaries_of_killed_processes_go_after_an_hour(directory):
    """With the first save of a process; a younger one may still be written to, another name is not ours."""
    for name, days in (("numbarnn-old.tmp", 0.05), ("numbarnn-new.tmp", 0.01), ("numbarnn-later.tmp", -9),
                       ("other-old.tmp", 0.05)):  # fmt: skip
        (directory / name).touch()
        aged(directory / name, days)
    store.save("entry", 1)
    kept = ["numbarnn-later.tmp", "numbarnn-new.tmp", "other-old.tmp"]
    assert names(directory) == sorted([store.path_of("entry").name, *kept])
    aged(directory / "numbarnn-new.tmp", 1)
    store.save("entry", 2)
    assert len(names(directory)) == 4, "once in a process is enough"


def test_other_stamps_go_after_thirty_days_without_use(directory):
    """What is not ours stays, and with it its directory."""
    ages = {"0" * 16: 31, "1" * 16: 29, "2" * 16: -3, "3" * 16: 400, "not a stamp": 400}
    for name in ages:
        (directory.parent / name).mkdir()
        for file in ("f" * 40 + ".bin", "numbarnn-1.tmp"):
            (directory.parent / name / file).touch()
    (directory.parent / ("3" * 16) / "notes.txt").touch()
    for name, days in ages.items():
        aged(directory.parent / name, days)
    aged(directory, 400)
    store.save("second", 2)
    assert names(directory.parent) == sorted(["1" * 16, "2" * 16, "3" * 16, "not a stamp", directory.name])
    assert names(directory.parent / ("3" * 16)) == ["notes.txt"]
    assert len(names(directory.parent / "not a stamp")) == len(names(directory)) == 2
    assert not store.failures


def test_the_directory_in_use_never_goes(directory, monkeypatch):
    """However old: where nothing can be saved any more, what is there is still loaded."""

    def refuse(*_, **__):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    aged(directory, 400)
    monkeypatch.setattr(store.tempfile, "NamedTemporaryFile", refuse)
    store.save("second", 2)
    assert len(store.failures) == 1 and store.load("entry") == {"a": 1}


def test_loading_counts_as_use(directory):
    """Otherwise another version's process would remove what is loaded every day and never written."""
    aged(directory, 29)
    assert store.load("entry") == {"a": 1}
    assert time.time() - directory.stat().st_mtime < 60
    aged(directory, 0.5)
    store.load("entry")
    assert time.time() - directory.stat().st_mtime > 3600, "once a day is enough"


def test_a_clock_set_back(directory):
    """Files and directories from the future are read as any, and stay."""
    aged(aged(store.path_of("entry"), -300).parent, -300)
    assert store.load("entry") == {"a": 1}
    store.save("second", 2)
    assert store.load("second") == 2 and len(names(directory)) == 2 and not store.failures


@pytest.fixture(scope="module")
def without(tmp_path_factory):
    """What the small functions compute with no cache at all."""
    return result(start(tmp_path_factory.mktemp("unused"), NUMBARNN_CACHE="0"))["y"]


@pytest.fixture(scope="module")
def warm(tmp_path_factory):
    """A cache with the small functions, not to be changed."""
    place = tmp_path_factory.mktemp("warm") / "cache"
    result(start(place))
    assert len(files(place)) == len(NAMES)
    return place


def every_file(change):
    return lambda place: [path.write_bytes(change(path, path.read_bytes())) for path in files(place)]


def exchange(place):
    blobs = [path.read_bytes() for path in files(place)]
    for path, blob in zip(files(place), blobs[1:] + blobs[:1], strict=True):
        path.write_bytes(blob)


def age_all(place):
    for path in [*place.rglob("*"), place]:
        aged(path, -300)


def replace_by_file(place):
    shutil.rmtree(place)
    place.write_bytes(b"not a directory")


# What is done to a copy of the warm cache, the kind of process, how it then gets its functions, how many
# failures it counts.
WHOLE = {
    "nothing": (lambda place: None, "alone", "loaded", 0),
    "truncated": (every_file(DAMAGE["one byte short"]), "alone", "compiled", 3),
    "another pickle, signed": (every_file(DAMAGE["signed: no pair"]), "alone", "compiled", 3),
    "exchanged": (exchange, "alone", "compiled", 3),
    "from the future": (age_all, "alone", "loaded", 0),
    "a file in its place": (replace_by_file, "alone", "compiled", 6),
    "gone": (shutil.rmtree, "alone", "compiled", 0),
    "deleted again and again": (shutil.rmtree, "deleted", "compiled", 0),
    "no room for a file": (shutil.rmtree, "limited", "compiled", 3),
}
if os.name == "posix":
    WHOLE["open to all"] = (lambda place: files(place)[0].parent.chmod(0o777), "alone", "compiled", 6)
else:
    del WHOLE["no room for a file"]


@pytest.mark.parametrize("fault", WHOLE)
def test_results_are_those_without_a_cache(fault, warm, without, tmp_path):
    """A cache copied elsewhere and spoilt; after what a save can mend, the next process loads everything."""
    damage, kind, how, failures = WHOLE[fault]
    place = tmp_path / "copy"
    shutil.copytree(warm, place)
    damage(place)
    found = result(start(place, kind))
    assert found["y"] == without
    assert found["how"] == dict.fromkeys(NAMES, how)
    assert len(found["info"]["failures"]) == failures, found["info"]["failures"]
    assert not list(tmp_path.rglob("*.tmp"))
    if how == "compiled" and failures == len(NAMES) and kind == "alone":
        again = result(start(place))
        assert again["y"] == without
        assert again["how"] == dict.fromkeys(NAMES, "loaded") and not again["info"]["failures"]


@forks
def test_many_processes_fill_one_cold_cache(without, tmp_path):
    """At once: all get the right results, nothing fails, and one file of each function remains."""
    found = results(start(tmp_path, "crowd"))
    assert len(found) == CROWD
    assert all(one["y"] == without and not one["info"]["failures"] for one in found)
    assert all(one["how"].keys() == NAMES for one in found)
    print(Counter(how for one in found for how in one["how"].values()))
    assert len(files(tmp_path)) == len(list(files(tmp_path)[0].parent.iterdir())) == len(NAMES)


def test_processes_warm_a_layer_up_in_one_cold_cache(tmp_path):
    """All that an LSTM needs, in four processes at once, against a process that compiled for itself."""
    processes = [start(tmp_path, "full") for _ in range(3)]
    processes.append(start(tmp_path, "full", NUMBARNN_CACHE="0"))
    *found, alone = [result(process) for process in processes]
    assert all(one["y"] == alone["y"] and not one["info"]["failures"] for one in found)
    assert set(alone["how"].values()) == {"compiled"}
    after = result(start(tmp_path, "full"))
    assert after["y"] == alone["y"] and set(after["how"].values()) == {"loaded"}
    assert len(files(tmp_path)) == len(list(files(tmp_path)[0].parent.iterdir()))


@forks
def test_processes_killed_while_they_write(without, tmp_path, monkeypatch):
    """The next is right each time, and finds no file that it cannot read; a temporary for each kill at most
    is left, for an hour.
    """
    found = results(start(tmp_path, "killed"))
    assert len(found) == KILLS
    assert all(one["y"] == without and not one["info"]["failures"] for one in found)
    assert found[-1]["how"] == dict.fromkeys(NAMES, "loaded")
    [directory] = tmp_path.iterdir()
    temporaries = [path for path in directory.iterdir() if path.suffix == ".tmp"]
    print(len(temporaries), "temporaries after", KILLS, "kills")
    assert len(temporaries) <= KILLS
    monkeypatch.setenv("NUMBARNN_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(store, "_tidied", set())
    monkeypatch.setattr(store, "failures", [])
    for path in temporaries:
        aged(path, 1)
    store.save("entry", 1)
    store.examine()
    assert not store.failures and {path.suffix for path in directory.iterdir()} == {".bin"}
