"""The least time that a problem takes on this machine: what has to be done, at the speed of loops that do
nothing else.
"""

import numpy as np

from .limits import BarrierLoop, EquationsLoop, FmaLoop, ReadLoop
from .problems import GATES


class Loops:
    """The machine's limits for one problem on up to so many threads, timed in the same rounds as the
    libraries.

    A row's steps come in turn, and where no other row is there to work on meanwhile, each of them takes the
    equations' time after its products. Threads that share a row have to meet in every step besides, so that
    fewer threads may take less time than more: the limit is that of the best number.
    """

    def __init__(self, problem, threads):
        self.problem, self.threads = problem, threads
        of_step = problem.directions * GATES[problem.cell] * problem.H**2 * np.dtype(problem.dtype).itemsize
        self.fma = FmaLoop(problem.dtype)
        if problem.each_step:
            self.reading = ReadLoop(problem.weight_bytes)
            self.weight_bytes = problem.weight_bytes
            self.turns = problem.layers
        else:  # layer by layer: recurrent weights in every step, all others once
            self.reading = ReadLoop(of_step)
            self.weight_bytes = problem.weight_bytes + (problem.T - 1) * problem.layers * of_step
            self.turns = problem.T + problem.layers - 1  # a layer may begin before the one below has ended
        if problem.resets:
            self.turns = 0  # what begins anew waits for nothing
        self.chains = problem.B * problem.directions
        self.counts = sorted({1, threads})
        if self.shared(threads):
            self.counts = sorted({threads, *(1 << k for k in range((threads - 1).bit_length()))})
        self.barrier, self.equations = BarrierLoop(), EquationsLoop(problem.cell, problem.dtype)

    def shared(self, n):
        """Whether `n` threads have but one row, in one direction, to share."""
        return self.turns > 0 and self.chains == 1 < n

    def waiting(self, n):
        """Whether one of `n` threads has nothing to do while it waits for the equations."""
        return self.turns > 0 and self.chains <= n

    @property
    def calls(self):
        """What is to be timed."""
        calls = {f"fma {n}": self.fma.on(n) for n in self.counts}
        calls |= {f"read {n}": self.reading.on(n) for n in self.counts}
        calls |= {f"barrier {n}": self.barrier.on(n) for n in self.counts if self.shared(n)}
        if any(map(self.waiting, self.counts)):
            calls["equations"] = self.equations.on(1)
        return calls

    def work(self, names):
        """Floating-point operations of one call, by name."""
        work = dict.fromkeys(names, self.problem.call_flops)
        return work | {f"fma {n}": n * self.fma.flops for n in self.counts}

    def limit(self, shortest, ours):
        """The least seconds for one call, from the loops' shortest calls, and our seconds.

        Returns
        -------
        dict
            ``threads``: how many take the least time. ``fma``: the useful steps' products, at the speed of
            the loop of multiply-adds. ``read``: all weights once and the recurrent ones in every step, at
            the speed of reading so many bytes again and again. ``barrier``: one meeting of all threads for
            each step in turn, where they share one row, else 0. ``equations``: those of one vector of units
            for each step in turn, where a thread has but one row, else 0. ``seconds``: the longer of the
            first two, which need not wait for each other, and the last two, for which everything waits.
            ``share``: of ours.
        """
        limit = min((self._on(n, shortest) for n in self.counts), key=lambda found: found["seconds"])
        return limit | {"share": limit["seconds"] / ours}

    def _on(self, n, shortest):
        """The least seconds on `n` threads."""
        fma = self.problem.call_flops * shortest[f"fma {n}"] / (n * self.fma.flops)
        read = self.weight_bytes * shortest[f"read {n}"] / (self.reading.repeats * self.reading.size)
        barrier = self.turns * shortest[f"barrier {n}"] / self.barrier.repeats if self.shared(n) else 0.0
        equations = self.turns * shortest["equations"] / self.equations.repeats if self.waiting(n) else 0.0
        seconds = max(fma, read) + barrier + equations
        return {
            "threads": n,
            "fma": fma,
            "read": read,
            "barrier": barrier,
            "equations": equations,
            "seconds": seconds,
        }

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
