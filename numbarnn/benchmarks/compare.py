"""One problem, several libraries: checked against float64, timed in turn, beside what the machine can do at
most.
"""

import numpy as np

from ..timing import interleave
from .least import Loops
from .peers import Unsupported, prepare
from .problems import draw, reference


def compare(problem, names, threads, seconds=1.0, rounds=3, patience=None, *, beside=None, durations=None):
    """Check and time libraries on one problem.

    Parameters
    ----------
    problem : Problem
    names : iterable of str
        Of `PEERS`; "numbarnn" takes part whether it is named or not.
    threads : int
        Of every library.
    seconds, rounds, patience
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
        found = interleave(calls, seconds, rounds, patience=patience)
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
