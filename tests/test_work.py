"""What a call costs, in things that can be counted: evaluations of the cell, kernel entries, compilations."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from models import MODELS, every_model

import numbarnn as nr
from numbarnn import costs, dispatch, kernels
from numbarnn.kernels import block, declaration, jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="counts compiled kernels; NUMBA_DISABLE_JIT=1 is set")

B, T, I, H = 9, 8, 3, 18  # noqa: E741
LENGTHS = np.array([3, 0, 8, 1, 5, 8, 2, 7, 0])
MASK = np.random.default_rng(0).random((B, T)) < 0.5
RESETS = np.random.default_rng(1).random((B, T)) < 0.3
BATCHES = {
    "dense": ({}, B * T),
    "lengths": ({"lengths": LENGTHS}, LENGTHS.sum()),
    "mask": ({"mask": MASK}, MASK.sum()),
    "left padding": ({"mask": np.arange(T) >= T - LENGTHS[:, None]}, LENGTHS.sum()),
    "resets": ({"resets": RESETS}, B * T),
    "mask and resets": ({"mask": MASK, "resets": RESETS}, MASK.sum()),
    "nothing valid": ({"lengths": np.zeros(B, int)}, 0),
}


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("batch", BATCHES)
@every_model
def test_one_evaluation_for_each_valid_step(model, batch, backwards, monkeypatch):
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    layer, x = model.make(I, H, go_backwards=backwards), np.zeros((B, T, I), np.float32)
    given, valid = BATCHES[batch]
    for schedule in ("single", "rows", "units"):
        monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
        decision = layer.explain(x, **given, n_threads=2, measure=True)
        assert (decision.evaluations, decision.valid_steps) == (valid, valid)


@every_model
def test_one_evaluation_for_each_step_of_a_ragged_batch(model):
    rows = nr.Ragged(np.zeros((LENGTHS.sum(), I), np.float32), np.concatenate([[0], np.cumsum(LENGTHS)]))
    assert model.make(I, H).explain(rows, measure=True).evaluations == LENGTHS.sum()


@pytest.fixture
def entered(monkeypatch):
    """A list that grows by one with every entry of a kernel."""
    calls = []
    for name in ("run_alone", "enter", "launch"):
        enter = getattr(dispatch.team, name)
        monkeypatch.setattr(dispatch.team, name, lambda *words, enter=enter: (calls.append(1), enter(*words)))
    return calls


@pytest.mark.parametrize("steps", [1, 10, 1000])
@every_model
def test_a_small_call_is_one_entry_whatever_its_steps(model, steps, entered):
    layer, x = model.make(I, H, go_backwards=True), np.zeros((2, steps, I), np.float32)
    mask = np.arange(2 * steps).reshape(2, steps) % 3 > 0
    for given in ({}, {"lengths": [steps, steps // 2]}, {"mask": mask}):
        entered.clear()
        layer(x, **given)
        assert len(entered) == 1
        assert layer.explain(x, **given, measure=True).entries == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_entries_grow_with_waves_of_segments(threads, entered, monkeypatch):
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "SCHEDULES", ("single", "rows"))
    layer = nr.LSTM(H, seed=0)
    wave = threads * dispatch.WAVE_ROWS
    for rows, waves in ((wave, 1), (wave + 1, 2), (2 * wave, 2), (3 * wave + 5, 4)):
        entered.clear()
        layer(np.zeros((rows, 2, I), np.float32), n_threads=threads)
        assert len(entered) == waves
    entered.clear()
    layer(np.zeros((rows, 2, I), np.float32), resets=np.ones((rows, 2), bool), n_threads=threads)
    assert len(entered) == -(-2 * rows // wave)


@pytest.mark.parametrize(("seconds_per_step", "reach"), [(0.015625, 12), (0.0625, 3), (1.0, 1)])
def test_entries_follow_the_clock(seconds_per_step, reach, monkeypatch):
    """The first is cut by prediction, here to one step; every other takes a fifth of a second, if it can."""
    clock, entries = [0.0], []

    def run_alone(words):
        entries.append(words[block.STEP_BEGIN : block.STEP_END + 1].tolist())
        clock[0] += seconds_per_step * (entries[-1][1] - entries[-1][0])

    monkeypatch.setattr(dispatch.team, "run_alone", run_alone)
    monkeypatch.setattr(dispatch.time, "perf_counter", lambda: clock[0])
    monkeypatch.setattr(dispatch, "FIRST_ENTRY_SECONDS", 1e-12)
    nr.LSTM(H, seed=0)(np.zeros((3, 50, I), np.float32))
    ends = [1, *range(1 + reach, 50, reach), 50]
    assert entries == [[begin, end] for begin, end in zip([0, *ends], ends, strict=False)]


def test_a_stepper_enters_once_for_each_step(entered):
    layer = nr.GRU(H, seed=0)
    stepper, x_t = layer.stepper(2), np.zeros((2, I), np.float32)
    for _ in range(5):
        stepper(x_t)
    assert len(entered) == 5


def python(*arguments, path):
    """Standard output of another Python, which starts in `path` and finds modules there first."""
    paths = os.pathsep.join([str(path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run([sys.executable, *arguments], cwd=path, env=os.environ | {"PYTHONPATH": paths},
                          capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_nothing_is_compiled_after_warmup():
    """The first cell brings the loops with it, every other its equations and perhaps tiles of its shape."""
    here = Path(__file__).parent
    lines = [json.loads(line) for line in python("warm_process.py", path=here).splitlines()]
    assert [line["cell"] for line in lines] == [name for name in MODELS for _ in range(2)]
    for line in lines:
        print(line["cell"], line["dtype"], len(line["by_warmup"]), "functions:", *line["by_warmup"])
        assert line["by_calls"] == []
        assert line["compiled_by_numba"] == 0
    assert 0 < max(len(line["by_warmup"]) for line in lines[1:]) < len(lines[0]["by_warmup"]) <= 12


WITHOUT_LSTM = """
import numbarnn as nr
nr.GRU(3)
print(nr.__file__)
try:
    nr.LSTM(3)
except ValueError as error:
    print(error)
"""


def test_without_its_public_call_the_lstm_is_unknown(tmp_path):
    """The built-in cells are made by `numbarnn.cell` and by nothing else."""
    assert nr.cell is declaration.cell
    shutil.copytree(Path(nr.__file__).parent, tmp_path / "numbarnn")
    shutil.copytree(Path(kernels.__file__).parent, tmp_path / "numbarnn" / "kernels", dirs_exist_ok=True)
    table = tmp_path / "numbarnn" / "kernels" / "cells.py"
    tree = ast.parse(table.read_text())
    kept = [node for node in tree.body if not ast.unparse(node).startswith("LSTM = cell('lstm',")]
    assert len(kept) == len(tree.body) - 1
    table.write_text(ast.unparse(ast.Module(kept, [])))
    where, message = python("-c", WITHOUT_LSTM, path=tmp_path).splitlines()
    assert Path(where).is_relative_to(tmp_path)
    assert "'lstm'" in message
    assert all(name in message for name in ("simple_rnn", "gru", "gru_reset_before"))
