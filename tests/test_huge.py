"""Sizes at which 32 bits, a block of memory or patience run out."""

import sys
from contextlib import contextmanager
from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from bits import joined, same
from models import MODELS, every_model

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import jit, plan

compiled = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; so many steps take minutes")
on_linux = pytest.mark.skipif(
    sys.platform != "linux", reason="needs Linux' sparse files and limits of memory"
)


@compiled
@pytest.mark.parametrize("name", ["gru", "simple"])
def test_a_million_steps(name):
    """In one call, and in pieces; one row ends where 16 bits do."""
    steps, edge = 10**6, 2**16
    x = np.random.default_rng(0).standard_normal((2, steps, 2), dtype=np.float32)
    layer = MODELS[name].make(2, 3, return_sequences=True, return_state=True)
    whole = layer(x)
    ends, pieces, states = [0, 1, edge - 1, edge, 10 * edge + 1, steps], [], None
    for begin, end in pairwise(ends):
        y, *states = layer(x[:, begin:end], states)
        pieces.append(y)
    same([np.concatenate(pieces, axis=1), *states], whole)
    y, *states = layer(x, lengths=[edge, steps])
    same([y[1], y[0, :edge]], [whole[0][1], whole[0][0, :edge]])
    assert not y[0, edge:].any()


@compiled
@every_model
def test_a_million_rows(model):
    """Among them, those at both ends and where 16 bits end are as they are alone."""
    rows, chosen = 10**6, np.array([0, 1, 2**16 - 1, 2**16, 2**16 + 1, 10**6 - 1])
    x = np.random.default_rng(1).standard_normal((rows, 2, 1), dtype=np.float32)
    lengths = np.resize(np.array([2, 0, 1, 2], np.int8), rows)
    layer = model.make(1, 3, return_sequences=True, return_state=True)
    few = joined(layer(x[b : b + 1], lengths=lengths[b : b + 1]) for b in chosen)
    same([array[chosen] for array in layer(x, lengths=lengths, n_threads=1)], few)


# Row numbers beyond 32 bits, in files that hold next to nothing

B, T, I, H = 4, 6, 1, 18  # noqa: E741  # H: more than one vector, so that units can be divided
APART = 2**29  # from step to step, so that the last lie beyond 2**31
MASK = np.random.default_rng(2).random((B, T)) < 0.5
MASK[1], MASK[3] = False, [False, True, False, False, True, False]
RESETS = np.random.default_rng(3).random((B, T)) < 0.3


def far(rows):
    """Where the rows of a time-major batch go: those of a step together, the steps far apart."""
    return np.where(rows < 0, rows, rows // B * APART + rows % B)


def far_states(rows):
    return np.where(rows < 0, rows, rows * APART * 2)


def sparse(path, rows, values, count):
    """A file of `count` rows, full of zeros that take no space, with `values` at `rows`."""
    array = np.memmap(path, np.float32, "w+", shape=(count, values.shape[1]))
    array[rows] = values
    return array


@on_linux
@pytest.mark.parametrize("schedule", ["single", "rows", "units"])
@every_model
def test_rows_beyond_two_to_the_31(model, schedule, tmp_path, monkeypatch):
    """Inputs, outputs, held outputs, rows of zeros, states of all kinds; and nothing is written elsewhere."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
    rng = np.random.default_rng(4)
    program = model.make(I, H).cell.program
    x, initial = rng.standard_normal((T * B, I), dtype=np.float32), model.states(B, H, "float32", rng)
    near = plan.build(B, T, mask=MASK, resets=RESETS, time_major=True)
    assert all(len(part) for part in (near.zero_rows, near.copy_rows)) and near.y_repeat.any()
    y, *final = (np.full(shape, 7, np.float32) for shape in [(T * B, H)] + [(B, H)] * len(initial))
    dispatch.run(program, near, x, y, initial, final, n_threads=2)

    steps = near._replace(
        x_row=far(near.x_row),
        y_row=far(near.y_row),
        zero_rows=far(near.zero_rows),
        y_stride=APART,
        init_row=far_states(near.init_row),
        final_row=far_states(near.final_row),
        copy_rows=far_states(near.copy_rows),
    )
    everywhere, batch = far(np.arange(T * B)), far_states(np.arange(B))
    assert min(everywhere[-1], batch[-1]) > 2**31
    inputs = partial(sparse, rows=everywhere, count=everywhere[-1] + 1)
    states = partial(sparse, rows=batch, count=batch[-1] + 1)
    far_x, far_y = inputs(tmp_path / "x", values=x), inputs(tmp_path / "y", values=np.full_like(y, 7))
    starts = [states(tmp_path / f"start {k}", values=state) for k, state in enumerate(initial)]
    ends = [states(tmp_path / f"end {k}", values=np.full((B, H), 7, np.float32)) for k in range(len(initial))]
    decision = dispatch.run(program, steps, far_x, far_y, starts, ends, n_threads=2)
    assert decision.schedule == ("reference" if jit.DISABLED else schedule)
    same([far_y[everywhere], *(end[batch] for end in ends)], [y, *final])
    for path in tmp_path.iterdir():
        assert path.stat().st_blocks * 512 < 2**20, "written where nothing belongs"
        path.unlink()


@compiled
def test_inputs_of_more_than_two_to_the_31_elements_that_repeat():
    """A view of a few numbers is not copied, whichever of its axes repeat."""
    row = np.random.default_rng(5).standard_normal(2**17 + 1, dtype=np.float32)
    layer = nr.SimpleRNN(1, return_sequences=True, seed=1)
    x = np.broadcast_to(row, (2, 2**13, row.size))
    assert x.size > 2**31
    y = layer(x)
    same([y[1], y[0, :2]], [y[0], layer(row[None, None].repeat(2, axis=1))[0]])
    one = nr.GRU(2, seed=2)
    lengths = [3, 0, 1]
    x = np.broadcast_to(row[:1], (3, 2**30, 1))
    same([one(x, lengths=lengths)], [one(np.full((3, 3, 1), row[0]), lengths=lengths)])


# No memory


@contextmanager
def scarce_memory(more):
    """No more than `more` bytes of address space beside what is in use."""
    import resource

    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    limits = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (used + more, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


FEW, MANY = 2**27, 2**29  # bytes


def too_many(what):
    """Arguments of a call of two rows, 64 features and 512 units, a part of which takes MANY bytes."""
    one, row = np.ones(1, np.float32), np.ones(64, np.float32)
    if what == "inputs to convert":
        return {"x": np.broadcast_to(one, (2, MANY // 2**8, 64)), "lengths": [1, 0]}
    if what == "plan":
        return {"x": np.broadcast_to(row, (2, MANY // 2**5, 64))}
    return {"x": np.broadcast_to(row, (2, MANY // 2**11, 64)), "lengths": [1, 0]}


@on_linux
@pytest.mark.parametrize("what", ["inputs to convert", "plan", "outputs"])
@pytest.mark.parametrize("name", ["lstm", "gru"])
def test_memory_that_cannot_be_had(name, what):
    """The error comes before anything is written, and the layer goes on as if there had been no call."""
    sequences = what == "outputs"
    options = {"stateful": True, "return_sequences": sequences, "return_state": True}
    layer, twin = (MODELS[name].make(64, 512, **options) for _ in range(2))
    x = np.random.default_rng(6).standard_normal((2, 3, 64), dtype=np.float32)
    layer(x), twin(x)
    out = None if sequences else tuple(np.full((2, 512), 7, np.float32) for _ in range(1 + len(layer.states)))
    given = too_many(what)
    with scarce_memory(FEW), pytest.raises(MemoryError):
        layer(**given, out=out)
    assert all((array == 7).all() for array in out or ())
    same(layer.states, twin.states)
    same(layer(x), twin(x))
