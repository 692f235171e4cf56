"""Layers that people run: their sizes, from the models and reports that the names stand for.

The longest are shortened along the time axis. `block` is one call on a piece of a stream, `step` one time
step a call with the state carried on.
"""

from typing import NamedTuple

import pytest
from points import ALL, EVERY, PADDED, USUAL, point

from numbarnn.benchmarks.problems import Problem


class Workload(NamedTuple):
    """A problem under the name that its row has."""

    name: str
    variant: str
    problem: Problem
    quick: bool = False


def variants(name, first_is_quick=False, **problems):
    """The workloads of one model; keywords are the names of its variants."""
    return [
        Workload(name, variant.replace("_", " "), problem, first_is_quick and place == 0)
        for place, (variant, problem) in enumerate(problems.items())
    ]


VOICE = Problem("lstm", 1, 31, 128, 128, each_step=True)
NOISE = Problem("gru", 1, 1000, 256, 256, layers=3)
SAMPLES_A = Problem("gru", 1, 100, 512, 384, each_step=True)
AMPLIFIER = Problem("lstm", 1, 64, 1, 16)
REVIEWS = Problem("lstm", 32, 200, 128, 64, layers=2, directions=2, padding="left", padded=0.25)
STOCKS = Problem("lstm", 800, 60, 6, 64, layers=2)
RIVERS = Problem("lstm", 256, 365, 31, 64)
UPDATE = Problem("lstm", 128, 16, 256, 256, resets=0.03)
ADDRESSES = Problem("lstm", 1, 63, 24, 32, directions=2)
BLOW_UP = Problem("lstm", 16, 1000, 64, 64, padding="uniform", padded=0.5)

WORKLOADS = [
    *variants("W01 voice detection (Silero)", True, step=VOICE, step_128_streams=VOICE._replace(B=128)),
    *variants("W02 noise suppression (RNNoise)", block=NOISE, step=NOISE._replace(T=100, each_step=True)),
    *variants(
        "W03 speech synthesis (LPCNet)",
        step_A=SAMPLES_A,
        step_B=SAMPLES_A._replace(H=16),
        training_A=SAMPLES_A._replace(B=128, each_step=False),
    ),
    *variants(
        "W04 guitar amplifier (NAM)",
        True,
        block_64=AMPLIFIER,
        block_32=AMPLIFIER._replace(T=32, H=12),
        block_128=AMPLIFIER._replace(T=128, H=24),
        block_64_of_two_layers=AMPLIFIER._replace(H=8, layers=2),
        step=AMPLIFIER._replace(each_step=True),
    ),
    *variants("W11 rows of digits (Keras' guide)", True, batch=Problem("lstm", 64, 28, 28, 64)),
    *variants("W12 film reviews (Keras' example)", True, batch=REVIEWS),
    *variants("W17 stock prices (qlib)", True, LSTM=STOCKS, GRU=STOCKS._replace(cell="gru")),
    *variants(
        "W18 rivers (neuralhydrology)",
        batch=RIVERS,
        H_20=RIVERS._replace(H=20),
        H_256=RIVERS._replace(T=100, H=256),
        float64=RIVERS._replace(T=100, dtype="float64"),
    ),
    *variants(
        "W24 reinforcement learning (TorchRL)",
        True,
        T_16=UPDATE,
        T_128=UPDATE._replace(T=128),
        T_128_GRU=UPDATE._replace(cell="gru", T=128),
        T_16_without_resets=UPDATE._replace(resets=0.0),
        T_16_many_resets=UPDATE._replace(resets=0.1),
    ),
    *variants("W26 DNA bases (Bonito)", batch=Problem("lstm", 96, 5, 1024, 1024, layers=5)),
    *variants(
        "W36 OpenCV's cases", I_64=Problem("lstm", 1, 100, 64, 192), I_192=Problem("lstm", 1, 100, 192, 192)
    ),
    *variants(
        "W37 a customer of oneDNN",
        True,
        T_63=ADDRESSES,
        T_31=ADDRESSES._replace(T=31, I=48),
        T_15=ADDRESSES._replace(T=15, I=96),
    ),
    *variants(
        "W39 PyTorch's regressions",
        long=Problem("lstm", 8, 2000, 256, 256, layers=2),
        short=Problem("lstm", 500, 5, 510, 32),
        float64=Problem("lstm", 32, 60, 4, 64, "float64", layers=3),
    ),
    *variants(
        "W40 packed batches (PyTorch)",
        LSTM=BLOW_UP,
        GRU=BLOW_UP._replace(cell="gru"),
        T_10=BLOW_UP._replace(B=64, T=10),
        T_4000_one_long=BLOW_UP._replace(T=4000, padding="one long", padded=0.9),
    ),
]

GRID = [
    point(
        workload,
        name=f"{workload.name.split()[0]}-{workload.variant.replace(' ', '-')}",
        quick=workload.quick,
    )
    for workload in WORKLOADS
]


def rivals(tier, problem):
    """In the full tier every library is asked, so that who cannot says why."""
    if tier == "full":
        return EVERY
    return PADDED if problem.padding != "none" else ("torch_cells",) if problem.resets else USUAL


@pytest.mark.parametrize("workload", GRID)
def test_workload(measured, row, tier, workload):
    identifier, title = workload.name.split(" ", 1)
    found, durations = measured(workload.problem, rivals(tier, workload.problem), ALL)
    row("workloads", found, durations, workload=identifier, title=title, variant=workload.variant)
