"""Cells drawn at random, with phases, sizes, slots, parameters, extra inputs and functions of every kind,
against a plain reading of their definitions.
"""

import inspect
from types import SimpleNamespace

import numpy as np
import oracle
import pytest
from bits import joined, same
from tolerance import assert_close

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import jit

B, T, I = 7, 4, 3  # noqa: E741
SIZES = {"units": 19, "narrow": 5, "wide": 33}
LENGTHS = np.array([T, 0, 1, T, 3, 2, T])


def names(rng, stem, most):
    return [f"{stem}{k}" for k in range(rng.integers(0, most + 1))]


def choice(rng, values, most):
    """Some of the values, in random order."""
    values = list(values)
    return [values[k] for k in rng.permutation(len(values))[: rng.integers(0, most + 1)]]


def drawn_function(rng, reads, results):
    """A function of the values called `reads`; each result is a bounded mix of some of them."""
    mixes = [
        [(rng.uniform(-1, 1), *rng.integers(0, len(reads), 2)) for _ in range(rng.integers(1, 4))]
        for _ in range(results)
    ]
    offset, thresholds = rng.uniform(-0.5, 0.5), rng.uniform(-0.3, 0.3, results)

    def function(*values):
        mixed = [
            nr.math.tanh(offset + sum(c * values[i] * nr.math.sigmoid(values[j]) for c, i, j in mix))
            for mix in mixes
        ]
        pairs = zip(mixed, thresholds.tolist(), strict=True)
        return tuple(nr.math.where(value > limit, value, 0.5 * value) for value, limit in pairs)

    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    function.__signature__ = inspect.Signature([inspect.Parameter(name, kind) for name in reads])
    return function


def draw(seed):
    """A cell, with its phases as lists of plain facts."""
    rng = np.random.default_rng(seed)
    size_of = {state: rng.choice(list(SIZES)) for state in ["h", *names(rng, "s", 3)]}
    states, known = list(size_of), {"x": "inputs"} | size_of
    parameters = {name: rng.choice(list(SIZES)) for name in names(rng, "p", 3)}
    extra = {name: rng.choice([*SIZES, "1"]) for name in names(rng, "e", 3)}
    phases, left = [], list(states)
    while left:
        first, number = left[0], len(phases)
        size = str(size_of[first] if rng.random() < 0.7 or not phases else rng.choice(list(SIZES)))
        computed = [s for s in left if size_of[s] == size and (s == first or rng.random() < 0.5)]
        left = [state for state in left if state not in computed]
        results = computed + [f"r{number}{k}" for k in range(rng.integers(0 if computed else 1, 3))]
        slots = [drawn_slot(rng, f"a{number}{k}", known) for k in range(rng.integers(0, 3))]
        readable = known | parameters | extra
        fitting = [name for name in readable if readable[name] in (size, "1") and name != "x"]
        reads = choice(rng, fitting, 5)
        if not reads and not slots:
            slots = [(f"a{number}0", ["x"], False)]
        reads += [name for slot in slots for name in sums_of(*slot)]
        function = drawn_function(rng, reads, len(results))
        use_bias = bool(rng.random() < 0.8) or any(apart for *_, apart in slots)
        facts = {"size": size, "slots": slots, "reads": reads, "results": results}
        phases.append(SimpleNamespace(**facts, function=function, use_bias=use_bias))
        known |= dict.fromkeys(results, size)
        size_of |= dict.fromkeys(results, size)
    output = str(rng.choice([name for name in known if name != "x"]))
    constants = {state: round(rng.uniform(-1, 1), 2) for state in states}
    definition = nr.cell(
        f"drawn {seed}",
        states=" ".join(f"{state}:{size_of[state]}={constants[state]}" for state in states),
        parameters=" ".join(f"{name}:{size}" for name, size in parameters.items()),
        extra=" ".join(f"{name}:{size}" for name, size in extra.items()),
        output=output,
        phases=list(map(spelled, phases)),
    )
    facts = {"phases": phases, "constants": constants, "size_of": size_of, "output": output}
    return SimpleNamespace(definition=definition, **facts)


def drawn_slot(rng, name, known):
    """What it multiplies, and whether it keeps its sums apart."""
    sources = choice(rng, known, 3) or ["x"]
    return name, sources, len(sources) == 2 and rng.random() < 0.4


def sums_of(slot, sources, apart):
    return [f"{slot}_{source}" for source in sources] if apart else [slot]


def spelled(phase):
    words = [f"{slot}:{('|' if apart else '+').join(sources)}" for slot, sources, apart in phase.slots]
    options = {"units": phase.size, "use_bias": phase.use_bias}
    return nr.phase(" ".join(words), phase.function, " ".join(phase.results), **options)


def as_written(drawn, named, x, extra, states, total):
    """One step of one row, from the text of the definition."""
    taken, biases_taken = dict.fromkeys(named, 0), 0
    matrix_of = {}  # size of what is multiplied -> matrix
    values = dict(zip(drawn.constants, states, strict=True)) | extra | {"x": x}
    values |= {name: array for name, array in named.items() if name.startswith("p")}
    two = any(apart for phase in drawn.phases for *_, apart in phase.slots)
    for phase in drawn.phases:
        units, sums = SIZES[phase.size], {}
        for slot, sources, apart in phase.slots:
            bias = np.zeros((2, units), x.dtype)
            if phase.use_bias:
                bias = np.atleast_2d(named["bias"])[:, biases_taken : biases_taken + units]
                biases_taken += units
            for group in [[source] for source in sources] if apart else [sources]:
                products = []
                for source in group:
                    key = "kernel"
                    if source != "x":
                        first = "recurrent_kernel" if not matrix_of else f"kernel_of_{source}"
                        key = matrix_of.setdefault(drawn.size_of[source], first)
                    products.append((values[source], named[key][:, taken[key] : taken[key] + units]))
                    taken[key] += units
                kinds = sorted({int(source != "x") for source in group})
                of_sum = bias[kinds].sum(axis=0) if two else bias[0]
                # x first: the order in which the products are added, which a plain sum need not know
                sums["_".join([slot, *group]) if apart else slot] = total(of_sum, *products)
        readable = values | sums
        results = phase.function(*(readable[name] for name in phase.reads))
        values |= {
            name: np.broadcast_to(np.asarray(result, x.dtype), units)
            for name, result in zip(phase.results, results, strict=True)
        }
    return values[drawn.output], [values[state] for state in drawn.constants]


def expect(drawn, named, x, extra, dtype, total):
    """Outputs and final states of all rows, from the constants."""
    named = {name: array.astype(dtype) for name, array in named.items()}
    width = SIZES[drawn.size_of[drawn.output]]
    y, final = np.zeros((B, T, width), dtype), []
    for b, n in enumerate(LENGTHS):
        states = [np.full(SIZES[drawn.size_of[s]], c, dtype) for s, c in drawn.constants.items()]
        for t in range(n):
            now = {name: array[b, t].astype(dtype) for name, array in extra.items()}
            with np.errstate(all="ignore"):
                y[b, t], states = as_written(drawn, named, x[b, t].astype(dtype), now, states, total)
        final.append(states)
    return [y, *(np.array(states) for states in zip(*final, strict=True))]


@pytest.mark.parametrize("seed", range(12))
def test_drawn(seed, monkeypatch):
    drawn, rng = draw(seed), np.random.default_rng(1000 + seed)
    dtype, wide = ((np.float32, np.float64), (np.float64, np.longdouble))[seed % 2]
    sizes = {name: SIZES[name] for name in drawn.definition.sizes}
    cell = nr.FusedCell(drawn.definition, SIZES["units"], dtype=dtype, **sizes)
    cell.set_weights([rng.uniform(-0.3, 0.3, shape) for shape in cell.shapes(I).values()])
    x = rng.standard_normal((B, T, I), dtype=dtype)
    extra = {
        name: rng.standard_normal((B, T, size) if size else (B, T), dtype=dtype)
        for name, size in cell.extra_sizes.items()
    }
    layer = nr.RNN(cell, return_sequences=True, return_state=True)
    got = layer(x, lengths=LENGTHS, extra=extra, n_threads=1)
    named = dict(zip(cell.shapes(I), cell.get_weights(), strict=True))
    exact = expect(drawn, named, x, extra, wide, oracle.matrix_sum)
    naive = expect(drawn, named, x, extra, dtype, oracle.ordered_sum)
    for result, right, loop in zip(got, exact, naive, strict=True):
        assert_close(result, right, loop)
    if jit.DISABLED:
        return
    rows = [
        layer(x[b : b + 1], lengths=LENGTHS[b : b + 1], extra={k: a[b : b + 1] for k, a in extra.items()})
        for b in range(B)
    ]
    same(joined(rows), got)
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for schedule in ("rows", "units"):
        monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
        for threads in (2, 3):
            same(layer(x, lengths=LENGTHS, extra=extra, n_threads=threads), got)
