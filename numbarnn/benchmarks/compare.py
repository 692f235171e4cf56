"""One problem, several libraries: checked against float64, timed in turn, beside what the machine can do at
most.
"""

import numpy as np

from ..timing import interleave
from .limits import BarrierLoop, FmaLoop, ReadLoop
from .peers import Unsupported, prepare
from .problems import GATES, draw, reference


def compare(problem, names, threads, seconds=1.0, rounds=3, beside=None, durations=None):
    """Check and time libraries on one problem.

    Parameters
    ----------
    problem : Problem
    names : iterable of str
        Of `PEERS`; "numbarnn" takes part whether it is named or not.
    threads : int
        Of every library.
    seconds, rounds
        As `timing.interleave`.
    beside : dict of callable, optional
        Timed in the same rounds; their figures appear under their names.
    durations : dict, optional
        Filled with the seconds of every call, by name.

    Returns
    -------
    dict
        Ready for JSON: problem, threads; by name of what was timed ("fma 2": the loop on two threads)
        ``calls``, ``median``, ``minimum``, ``p99`` and ``gflops``; ``ratio``, a library's median over ours;
        ``limit``, see `Loops.limit`; ``gain``, see `Loops.gain`; ``error`` and ``bound``, see `reference`;
        ``refused``, why a library was not timed.

    Raises
    ------
    RuntimeError
        Our own result is wrong, or what `limits` and `timing.settle` raise.
    ValueError
        A name that is none, or no problem.

    Examples
    --------
    >>> from numbarnn.benchmarks import Problem
    >>> found = compare(Problem("lstm", 2, 5, 3, 4), ["numpy"], 1, seconds=0.01)
    >>> found["refused"], sorted(found["ratio"])
    ({}, ['numpy'])
    """
    data = draw(problem)
    exact, bound = reference(problem, data)
    ready, error, refused = {}, {}, {}
    try:
        for name in dict.fromkeys(["numbarnn", *names]):
            try:
                ready[name] = prepare(name, problem, data, threads)
                error[name] = _error(ready[name].result(), exact, bound)
            except (ImportError, Unsupported, RuntimeError) as reason:
                if name == "numbarnn":
                    raise
                refused[name] = f"{type(reason).__name__}: {reason}"
        calls = {name: peer.run for name, peer in ready.items() if name not in refused}
        loops = Loops(problem, threads)
        calls |= loops.calls | (beside or {})
        if threads > 1:
            calls["numbarnn 1"] = prepare("numbarnn", problem, data, 1).run
        found = interleave(calls, seconds, rounds)
    finally:
        for peer in ready.values():
            peer.close()
    if durations is not None:
        durations |= found
    median = {name: float(np.median(values)) for name, values in found.items()}
    minimum = {name: min(values) for name, values in found.items()}
    return {
        "problem": problem._asdict(),
        "threads": threads,
        "calls": {name: len(values) for name, values in found.items()},
        "median": median,
        "minimum": minimum,
        "p99": {name: float(np.percentile(values, 99)) for name, values in found.items()},
        "ratio": {name: median[name] / median["numbarnn"] for name in error if name != "numbarnn"},
        "gflops": {name: work / median[name] / 1e9 for name, work in loops.work(error).items()},
        "limit": loops.limit(minimum, median["numbarnn"]),
        "gain": loops.gain(median),
        "error": error,
        "bound": bound,
        "refused": refused,
    }


def _error(result, exact, bound):
    """The largest error.

    Raises
    ------
    RuntimeError
        It is above `bound`, or a value is NaN, or the shape is another one.
    """
    if result.shape != exact.shape:
        raise RuntimeError(f"outputs of shape {result.shape}; expected {exact.shape}")
    error = float(np.abs(result - exact).max(initial=0))
    if not error <= bound:
        raise RuntimeError(
            f"wrong: {error:.3g} from the result in a wider type; expected at most {bound:.3g}"
        )
    return error


class Loops:
    """The machine's limits for one problem on so many threads, timed in the same rounds as the libraries."""

    def __init__(self, problem, threads):
        self.problem, self.threads = problem, threads
        self.counts = sorted({1, threads})
        of_step = problem.directions * GATES[problem.cell] * problem.H**2 * np.dtype(problem.dtype).itemsize
        self.fma = FmaLoop(problem.dtype)
        if problem.each_step:
            self.reading = ReadLoop(problem.weight_bytes)
            self.weight_bytes = problem.weight_bytes
        else:  # layer by layer: recurrent weights in every step, all others once
            self.reading = ReadLoop(of_step)
            self.weight_bytes = problem.weight_bytes + (problem.T - 1) * problem.layers * of_step
        self.barrier = BarrierLoop()

    @property
    def calls(self):
        """What is to be timed."""
        calls = {f"fma {n}": self.fma.on(n) for n in self.counts}
        calls |= {f"read {n}": self.reading.on(n) for n in self.counts}
        return calls | (
            {f"barrier {self.threads}": self.barrier.on(self.threads)} if self.threads > 1 else {}
        )

    def work(self, names):
        """Floating-point operations of one call, by name."""
        work = dict.fromkeys(names, self.problem.call_flops)
        return work | {f"fma {n}": n * self.fma.flops for n in self.counts}

    def limit(self, shortest, ours):
        """The least seconds for one call, from the loops' shortest calls, and our seconds.

        Returns
        -------
        dict
            ``fma``: the useful steps' products, at the multiply-add loop's speed. ``read``: all weights once
            and the recurrent ones in every step, at the speed of reading so many bytes again and again.
            ``barrier``: one meeting of all threads per step and layer, 0 on one thread; only who divides the
            units needs them. ``seconds``: the larger of the first two. ``share``: of ours.
        """
        problem, n = self.problem, self.threads
        fma = problem.call_flops * shortest[f"fma {n}"] / (n * self.fma.flops)
        read = self.weight_bytes * shortest[f"read {n}"] / (self.reading.repeats * self.reading.size)
        meetings = problem.layers * (1 if problem.each_step else problem.T)
        barrier = meetings * shortest.get(f"barrier {n}", 0.0) / self.barrier.repeats
        seconds = max(fma, read)
        share = seconds / ours
        return {"fma": fma, "read": read, "barrier": barrier, "seconds": seconds, "share": share}

    def gain(self, median):
        """Seconds on one thread over seconds on all, for the same work; nothing on one thread."""
        n = self.threads
        if n == 1:
            return {}
        return {
            "numbarnn": median["numbarnn 1"] / median["numbarnn"],
            "fma": n * median["fma 1"] / median[f"fma {n}"],
            "read": median["read 1"] / median[f"read {n}"],
        }
