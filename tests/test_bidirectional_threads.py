"""How two directions run side by side: as if each were alone."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numba
import numpy as np
import pytest
from bits import same
from directions import BATCHES, MERGES, B, I, T, both, inputs, merged
from models import MODELS, every_model

import numbarnn as nr
from numbarnn import call, costs, dispatch
from numbarnn.kernels import jit

LSTM, GRU = MODELS["lstm"], MODELS["gru"]
pytestmark = [
    pytest.mark.cpu,
    pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; there are no kernel entries"),
]


@pytest.fixture
def launched(monkeypatch):
    """For each parallel region, how many calls took part in it."""
    calls, launch = [], dispatch.team.launch

    def counted(crew):
        calls.append(len({*crew[::2].tolist()}))
        launch(crew)

    monkeypatch.setattr(dispatch.team, "launch", counted)
    return calls


@pytest.mark.parametrize("merge_mode", MERGES)
def test_large_layers_run_side_by_side(merge_mode, launched):
    layer, x = both(LSTM, merge_mode, 200), inputs(2, 200, I)
    wanted = merged(layer, x)
    launched.clear()
    same(layer(x, n_threads=1), wanted)
    assert launched == []
    same(layer(x, n_threads=2), wanted)
    assert launched and set(launched) == {2}


def test_small_layers_run_one_after_the_other(launched):
    both(LSTM)(inputs(B, T, I), n_threads=2)
    assert launched == []


@every_model
def test_any_number_of_threads(model, launched, monkeypatch):
    """One entry of each in one region, whatever the batch; rows and units divided too."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for merge_mode in MERGES:
        layer, x = both(model, merge_mode, 33), inputs(B, T, I)
        for given in BATCHES.values():
            wanted = merged(layer, x, n_threads=1, **given)
            for threads in (2, 3, 4, 5, 1, None):
                launched.clear()
                same(layer(x, n_threads=threads, **given), wanted)
                assert threads != 2 or launched == [2]
    for schedule in ("rows", "units"):
        monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
        for given in BATCHES.values():
            same(layer(x, n_threads=4, **given), merged(layer, x, n_threads=1, **given))


@pytest.mark.parametrize("worth", [0.0, 1.0])
@pytest.mark.parametrize("merge_mode", MERGES)
def test_several_waves_and_entries(worth, merge_mode, launched, monkeypatch):
    """One direction may need more of them than the other: a backward layer of more units, for one."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", worth)
    units = {"concat": 40, None: 40}.get(merge_mode, 5)
    options = {"return_sequences": True, "return_state": True}
    other = LSTM.make(I, units, go_backwards=True, seed=9, **options)
    layer = nr.Bidirectional(LSTM.make(I, 5, **options), merge_mode, other)
    rows = 23
    rng = np.random.default_rng(2)
    batches = [{}, {"lengths": rng.integers(0, T + 1, rows)}, {"mask": rng.random((rows, T)) < 0.5}]
    batches += [given | {"resets": rng.random((rows, T)) < 0.3} for given in batches]
    x = inputs(rows, T, I)
    wanted = [merged(layer, x, **given) for given in batches]
    monkeypatch.setattr(dispatch, "FIRST_ENTRY_SECONDS", 1e-12)
    monkeypatch.setattr(call, "ENTRY_SECONDS", 0.0)
    for wave in (1, 4, 240):
        monkeypatch.setattr(dispatch, "WAVE_ROWS", wave)
        for given, expected in zip(batches, wanted, strict=True):
            for threads in (1, 2, 4):
                same(layer(x, n_threads=threads, **given), expected)
    assert (set(launched) >= {2}) == (worth == 0.0)


def test_an_interrupt_between_entries(monkeypatch):
    """Of both together: the states are the old ones, and the layer goes on."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "FIRST_ENTRY_SECONDS", 1e-12)
    monkeypatch.setattr(call, "ENTRY_SECONDS", 0.0)
    layer, x, left, launch = both(GRU, stateful=True), inputs(B, T, I), [3], dispatch.team.launch
    layer(x)
    kept = layer.states

    def interrupted(crew):
        launch(crew)
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(dispatch.team, "launch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            layer(x, n_threads=2)
    same(layer.states, kept)
    same(layer(x, n_threads=2), both(GRU)(x, kept))


WARM = """
import json, sys
import numpy as np
from numba.core import event
from directions import BATCHES, MERGES, B, I, T, both, inputs, listed
from models import MODELS
import numbarnn as nr
from numbarnn import costs
from numbarnn.kernels import jit

found = []
with event.install_recorder("numba:compile") as recorder:
    for merge_mode in MERGES:
        layer = both(MODELS["gru"], merge_mode, 9, stateful=True)
        nr.warmup(layer)
        before = len(jit.compilations), len(recorder.buffer)
        costs.LAUNCH_WORTH_SECONDS = 0.0
        x = inputs(B, T, I)
        for given in BATCHES.values():
            for threads in (1, 2, 5):
                results = layer(x, n_threads=threads, **given)
                layer(x[:, ::-1], out=results, **given)
        layer(nr.Ragged(x[0], [0, 0, 2, 5, 5, 6]))
        layer.explain(x, measure=True)
        layer = nr.Bidirectional(nr.GRU(7, seed=1), merge_mode)
        layer(x[:0]), layer(x[:, :0]), layer(x[:1])
        found.append([len(jit.compilations) - before[0], len(recorder.buffer) - before[1]])
print(json.dumps(found))
"""


def test_nothing_is_compiled_after_warmup():
    """In a process that has compiled nothing before, for any way to merge."""
    here = str(Path(__file__).parent)
    paths = os.pathsep.join([here, os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, "-c", WARM], env=os.environ | {"PYTHONPATH": paths}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [[0, 0]] * len(MERGES)


def test_threads_of_numba_are_as_before():
    """What a call may use is no setting that it leaves behind."""
    before = numba.get_num_threads()
    both(LSTM)(inputs(B, T, I), n_threads=1)
    assert numba.get_num_threads() == before
