"""The same call gives the same bits: again and again, and in any other process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import digests
import numpy as np
import pytest
from models import every_dtype, every_model
from shapes import SHAPES

from numbarnn import costs, dispatch
from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="promised of compiled code; NUMBA_DISABLE_JIT=1 is set")

REPEATS = 250
LARGER = {
    "two_waves": (245, 1, 3, 5),
    "b1_wide": (1, 5, 20, 100),
    "two_rows_wide": (2, 5, 20, 100),
    "b40": (40, 3, 7, 34),
}
NAN = 0x7FF4_0000_7FA0_0000  # signalling in one half, quiet in the other


class Noise:
    """Allocations of random sizes, full of NaN: some freed at once, so that the library gets them next."""

    def __init__(self):
        self.rng, self.kept = np.random.default_rng(13), [None] * 8

    def make(self):
        for size in self.rng.integers(1, 1 << self.rng.integers(4, 14), 6):
            self.kept[self.rng.integers(8)] = np.full(size, NAN, np.uint64)


def again_and_again(call, repeats):
    """Fail unless every result has all the bits of the first."""
    noise, first = Noise(), None
    for _ in range(repeats):
        results = [array.tobytes() for array in call()]
        first = first or results
        assert results == first
        noise.make()


def batches(B, T):
    lengths = np.random.default_rng(1).integers(0, T + 1, B)
    lengths[:3] = [T, 0, 1][:B]
    mask, resets = np.random.default_rng(2).random((2, B, T)) < 0.5
    return [{"lengths": lengths}, {"mask": mask, "resets": resets}]


@pytest.mark.parametrize("shape", [*LARGER, "tail_h", "t1", "wide", "prime_all"])
@every_dtype
@every_model
def test_a_call_repeated(model, dtype, shape):
    """Memory that nobody wrote shows up in some runs only."""
    B, T, *sizes = LARGER.get(shape) or SHAPES[shape]
    layer, x, initial = model.batch(B, T, *sizes, dtype)
    again_and_again(lambda: layer(x, initial), REPEATS)
    for batch in batches(B, T):
        again_and_again(lambda batch=batch: layer(x, initial, **batch), REPEATS // 10)


@pytest.mark.parametrize(("schedule", "threads"), [("rows", 2), ("units", 2)])
@every_model
def test_a_call_on_several_threads_repeated(model, schedule, threads, monkeypatch):
    """A race shows up in some runs only."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
    layer, x, initial = model.batch(9, 2, 5, 50)
    again_and_again(lambda: layer(x, initial, n_threads=threads), REPEATS)
    for batch in batches(9, 2):
        again_and_again(lambda batch=batch: layer(x, initial, **batch, n_threads=threads), REPEATS // 10)


@every_dtype
@every_model
def test_a_stepper_started_over(model, dtype):
    layer, x, _ = model.batch(3, 4, 5, 35, dtype)
    stepper = layer.stepper(3)

    def steps():
        stepper.reset()
        return [stepper(x[:, t]) for t in range(4)]

    again_and_again(steps, REPEATS)


def process(**variables):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("NUMBARNN_")}
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("digests.py"))]
    return subprocess.Popen(
        command, env=environment | variables, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def said_by(process):
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()
    return json.loads(out)


def test_other_processes(tmp_path):
    """With a cold cache, with a warm one, with none: compiled there, loaded there, the same bits as here."""
    cold, off = process(NUMBARNN_CACHE_DIR=str(tmp_path)), process(NUMBARNN_CACHE="0")
    expected = digests.digests()
    found = {
        "cold": said_by(cold),
        "off": said_by(off),
        "warm": said_by(process(NUMBARNN_CACHE_DIR=str(tmp_path))),
    }
    for name, how in (("cold", "compiled"), ("off", "compiled"), ("warm", "loaded")):
        assert found[name] == {"digests": expected, "how": [how], "failures": []}, name
