"""Two calls that do not need each other's results, such as two directions, side by side."""

from typing import NamedTuple

from . import costs, dispatch
from .call import drive
from .kernels.jit import DISABLED


class Run(NamedTuple):
    """The arguments of `dispatch.run` that say what is computed."""

    program: object
    steps_plan: object
    x: object
    y: object
    initial: list
    final: list
    extra: list
    again: bool
    flush: bool

    def start(self, **ways):
        """Run it by itself; `ways` are the other arguments."""
        return dispatch.run(*self[:-3], extra=self.extra, again=self.again, flush=self.flush, **ways)


def run_both(first, second, n_threads=None, device=None, stream=None):
    """Run two calls, neither of which needs the other's results: side by side, each on half the threads, or
    one after the other where that is predicted to be faster.

    Parameters
    ----------
    first, second : Run
    n_threads, device, stream
        As of `dispatch.run`.
    """
    both = first, second
    if device is not None or not _worth_both(both, n_threads):
        for one in both:
            one.start(n_threads=n_threads, device=device, stream=stream)
        return
    half = dispatch.usable_threads(n_threads) // 2
    calls = [dispatch.take_call(one.program, one.steps_plan, half, one.flush) for one in both]
    for call, one in zip(calls, both, strict=True):
        call.bind(one.initial, one.final, one.extra).bind_rows(one.x, one.y)
    drive(calls)
    for call, one in zip(calls, both, strict=True):
        call.release()
        if one.again and call.decision.valid_steps <= dispatch.KEPT_STEPS:
            one.program.calls.append(call)


def _worth_both(both, n_threads):
    """Whether two calls are run side by side. Two threads can do nothing better, and need not wait for each
    other.
    """
    usable = 1 if DISABLED else dispatch.usable_threads(n_threads)
    alone = [dispatch.seconds_alone(one.program, one.steps_plan) for one in both]
    if usable < 2 or sum(alone) <= dispatch.worth_seconds(n_threads) or min(alone) <= costs.entry_seconds(2):
        return False
    if usable == 2:
        return True
    on_half, on_all = (
        [dispatch.decide(one.program, one.steps_plan, threads).predicted_seconds for one in both]
        for threads in (usable // 2, usable)
    )
    return max(on_half) <= sum(on_all)
