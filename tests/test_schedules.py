"""Schedules that change as rows end: the fastest way is found, and no bit depends on where it changes."""

import itertools

import numpy as np
import pytest
from bits import same
from models import MODELS, every_model

import numbarnn as nr
from numbarnn import costs, dispatch, schedules
from numbarnn.kernels import jit

compiled = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set: there is one schedule")
B, T, I, H = 13, 17, 3, 37  # noqa: E741
LENGTHS = np.array([17, 0, 1, 17, 5, 2, 9, 12, 3, 1, 16, 8, 4])
WAYS = {"rows": 2, "units": 2, "single": 1}


@pytest.mark.parametrize("seed", range(40))
def test_no_other_way_is_faster(seed, monkeypatch):
    """All ways to cut the steps in the order of the schedules, with random costs of up to so many rows."""
    rng = np.random.default_rng(seed)
    active, told = np.sort(-rng.integers(1, 9, 12)), 8 if seed % 2 else 3
    active = -active
    given = np.array([rng.uniform(1e-5, 1e-4, told + 1) * rng.choice([1.0, 30.0]) for _ in WAYS])
    given[:, 0] = 0.0
    entering = np.array([costs.entry_seconds(threads) for threads in WAYS.values()])
    monkeypatch.setattr(schedules, "prices", lambda *_: (given, entering))
    rows = np.arange(9)
    taken = dict(zip(WAYS, rows // told * given[:, [told]] + given[:, rows % told], strict=True))
    path, predicted = schedules.stretches(None, active, 3, WAYS)

    def cost(path):
        entries = sum(costs.entry_seconds(one.threads) for one in path)
        return entries + sum(taken[one.schedule][active[one.begin : one.end]].sum() for one in path)

    others = []
    for first, second in itertools.combinations_with_replacement(range(len(active) + 1), 2):
        ends = zip(WAYS.items(), (0, first, second), (first, second, len(active)), strict=True)
        others.append([schedules.Stretch(a, b, *way) for way, a, b in ends if b > a])
    np.testing.assert_allclose(cost(path), min(map(cost, others)), rtol=1e-12)
    np.testing.assert_allclose(predicted, cost(path), rtol=1e-12)
    assert path[0].begin == 0 and path[-1].end == len(active)
    assert all(a.end == b.begin for a, b in itertools.pairwise(path))


def paths():
    """Steps cut in one or two places, with every order of schedules, and in every step."""
    for first, second, third in itertools.product(WAYS, repeat=3):
        for cut, again in ((1, 2), (4, 16), (9, 9)):
            cuts = [(0, cut, first), (cut, again, second), (again, T, third)]
            yield [schedules.Stretch(a, b, name, WAYS[name]) for a, b, name in cuts if b > a]
    names = itertools.cycle(WAYS)
    yield [
        schedules.Stretch(step, step + 1, name, WAYS[name])
        for step, name in zip(range(T), names, strict=False)
    ]


@compiled
@every_model
def test_no_bit_depends_on_where_the_schedule_changes(model, monkeypatch):
    """Nor on which ones follow each other; several waves of rows, too, and inputs that are hoisted or not."""
    layer = model.make(I, H, return_sequences=True, return_state=True)
    rng = np.random.default_rng(1)
    x, states = rng.standard_normal((B, T, I), dtype=np.float32), model.states(B, H, "float32", rng)
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    given = [{"lengths": LENGTHS}, {"mask": rng.random((B, T)) < 0.7, "resets": rng.random((B, T)) < 0.2}]
    expected = [layer(x, states, n_threads=1, **one) for one in given]
    for path in paths():
        monkeypatch.setattr(schedules, "stretches", lambda *_, path=path: (path, 1e-3))
        for wave in (240, 3):
            monkeypatch.setattr(dispatch, "WAVE_ROWS", wave)
            for one, wanted in zip(given, expected, strict=True):
                same(layer(x, states, n_threads=2, **one), wanted)


@compiled
def test_a_long_row_outlives_the_others():
    """While there are many rows threads divide them, and then not; `explain` tells."""
    layer, lengths = nr.LSTM(64, seed=0), np.array([1000] + 63 * [200])
    decision = layer.explain(np.zeros((64, 1000, 8), np.float32), lengths=lengths, n_threads=2)
    if not dispatch.may_launch():
        assert [one.schedule for one in decision.path] == ["single"]
        return
    many, one = decision.path
    assert (many.begin, many.end, many.schedule) == (0, 200, "rows") and one.schedule != "rows"
    assert f"steps 0 to 200 'rows' on 2, 200 to 1000 {one.schedule!r} on {one.threads}" in str(decision)


@compiled
@pytest.mark.parametrize("name", ["lstm", "gru_before"])
def test_steps_counted(name, monkeypatch):
    """Nothing is computed twice or left out where the schedule changes."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    layer, x = MODELS[name].make(I, H), np.ones((B, T, I), np.float32)
    for path in paths():
        monkeypatch.setattr(schedules, "stretches", lambda *_, path=path: (path, 1e-3))
        decision = layer.explain(x, lengths=LENGTHS, n_threads=2, measure=True)
        assert decision.evaluations == LENGTHS.sum()
        assert decision.entries >= (len(path) if decision.members > 1 else 1)
