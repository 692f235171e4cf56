"""A peer in a process of its own, which times its own calls: for libraries that have room for one setting per
process.

Over two pipes the parent sends pickled (command, argument) and gets one pickled answer each. A child that
fails says why on stderr and ends; it ends too when its pipe is closed, as it is when the parent dies.
"""

import os
import pickle
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib import import_module

from ...timing import burst, settle
from . import Peer

STDERR_SHOWN = 2000  # the last characters of what a child said

_idle = None  # while children are kept: those whose peers were closed, by what they were made with


@contextmanager
def kept():
    """Children live on when their peers are closed, and serve the next problem on as many threads, until this
    ends: starting one takes seconds, since it imports a library.
    """
    global _idle
    _idle = {}
    try:
        yield
    finally:
        idle, _idle = _idle, None
        for child in idle.values():
            child.close()


class Child:
    """The parent's side.

    Parameters
    ----------
    module : str
        Whose ``prepare(problem, data, threads)`` makes the peer in there.
    environment : dict
        Variables set for it.
    processors : set of int, optional
        The only ones it may run on.

    Raises
    ------
    RuntimeError
        From any call: the child ended; the message holds the end of what it said.
    """

    def __init__(self, module, environment, processors=None):
        self.said = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-m", __name__, module, *map(str, sorted(processors or ()))],
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.said,
        )

    @property
    def ended(self):
        return self.process.poll() is not None

    def ask(self, command, argument=None):
        """The answer to one command."""
        try:
            pickle.dump((command, argument), self.process.stdin, protocol=5)
            self.process.stdin.flush()
            return pickle.load(self.process.stdout)
        except (BrokenPipeError, EOFError, pickle.UnpicklingError):
            self.process.wait()
            self.said.seek(0)
            words = self.said.read()[-STDERR_SHOWN:].decode(errors="replace").strip()
            raise RuntimeError(f"the child process ended: {words or 'it said nothing'}") from None

    def close(self):
        """End the process; again is no error."""
        self.process.kill()
        self.process.wait()
        for file in (self.process.stdin, self.process.stdout, self.said):
            try:
                file.close()
            except BrokenPipeError:  # what was still to be written
                pass

    def __call__(self):
        """One call of the peer's `run`."""
        self.ask("run")

    def burst(self, seconds):
        """The seconds of calls in there, one right after the other; see `timing.burst`."""
        return self.ask("burst", seconds)


def start(module, problem, data, threads, environment, processors=None):
    """A `Peer` whose calls run in a process of its own: a new one, or see `kept`."""
    made_with = module, threads, tuple(sorted(environment.items())), tuple(sorted(processors or ()))
    child = (_idle or {}).pop(made_with, None)
    if child and child.ended:
        child.close()
        child = None
    child = child or Child(module, environment, processors)
    try:
        child.ask("prepare", (problem, data, threads))
    except RuntimeError:
        child.close()
        raise

    def close():
        if _idle is None or child.ended or _idle.setdefault(made_with, child) is not child:
            child.close()

    return Peer(child, lambda: child.ask("result"), lambda: child.ask("timed"), close)


def _timed(run):
    begun = time.perf_counter()
    run()
    return time.perf_counter() - begun


def _burst(run, seconds):
    """Afterwards no thread of this process computes, so that the next rival has all cores."""
    durations = burst(run, seconds)
    settle()
    return durations


def _serve(module, commands, answers):
    """The child's side, until its pipe is closed."""
    peer = None
    while True:
        try:
            command, argument = pickle.load(commands)
        except EOFError:
            return
        match command:
            case "prepare":
                peer, answer = import_module(module).prepare(*argument), None
            case "run":
                peer.run()
                answer = None
            case "timed":
                answer = _timed(peer.run)
            case "burst":
                answer = _burst(peer.run, argument)
            case "result":
                answer = peer.result()
        pickle.dump(answer, answers, protocol=5)
        answers.flush()


def _main(module, *processors):
    if processors:
        os.sched_setaffinity(0, set(map(int, processors)))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # libraries print
    _serve(module, sys.stdin.buffer, answers)


if __name__ == "__main__":
    _main(*sys.argv[1:])
