"""Signals wait while code is compiled.

Python raises an interrupt between any two steps of the main thread's Python code, and Numba and llvmlite do
not expect that. LLVM takes what it is handed before llvmlite notes so: an exception between the two has both
free it, and the process dies. Numba takes an entry from a registry and then installs it: an exception between
the two would leave, say, the indexing of arrays unknown for as long as the process lives.
"""

import _signal  # beneath `signal`, whose enumerations take ten times as long
import sys
import threading
from contextlib import contextmanager

NUMBERS = sorted(_signal.valid_signals())


@contextmanager
def waiting():
    """Have Python's handlers of signals, which run in the main thread only, wait for the end of the block.

    A signal that comes several times meanwhile is heard once, as where the system itself has it wait.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came, wait = [], True
    handlers = {number: _signal.getsignal(number) for number in NUMBERS}
    handlers = {number: handler for number, handler in handlers.items() if callable(handler)}

    def note(number, frame):
        if not wait:
            handlers[number](number, frame)
        elif number not in came:
            came.append(number)  # without the frame, which would keep alive what LLVM frees in the block

    def hear():
        nonlocal wait
        try:
            while came:
                number = came.pop(0)
                handlers[number](number, sys._getframe())
            wait = False  # between here and the finding of none Python looks for no signal
        finally:
            if wait:
                hear()  # a handler that raises silences no other

    try:
        for number in handlers:
            _signal.signal(number, note)
        yield
    finally:
        try:
            hear()
        finally:
            for number, handler in handlers.items():  # an interrupt of this leaves `note`, which passes on
                if _signal.getsignal(number) is note:
                    _signal.signal(number, handler)
