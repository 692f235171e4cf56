"""What the suites share: a way for durations into pytest-benchmark's table, and facts about the machine."""

from importlib.metadata import version
from pathlib import Path

import pytest

from numbarnn import info

_shown = 0.0


def recorded():
    """A clock that only `record` moves, by durations measured before."""
    return _shown


def _advance(seconds):
    global _shown
    _shown += seconds


def pytest_collection_modifyitems(items):
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.benchmark(timer=recorded))


@pytest.fixture
def record(benchmark):
    """`record(durations, group, **extra_info)`: a row of pytest-benchmark's table.

    pytest-benchmark would time one call over and over; rivals have to be timed in turn. So the durations are
    measured by ourselves and replayed, and there is one figure and not two for the same thing.
    """

    def enter(durations, group, **extra_info):
        benchmark.group = group
        benchmark.extra_info.update(extra_info)
        remaining = iter(durations)
        benchmark.pedantic(_advance, setup=lambda: ((next(remaining),), {}), rounds=len(durations))

    return enter


def pytest_benchmark_update_machine_info(config, machine_info):
    facts = info.collect()
    machine_info["numbarnn"] = {
        "packages": facts["packages"] | {name: version(name) for name in ("torch", "onnxruntime", "onnx")},
        "python": facts["python"],
        "platform": facts["platform"],
        "cpu": facts["cpu"],
        "threads": facts["threads"],
        "environment": facts["environment"],
        "command": " ".join(["pytest", *map(str, config.invocation_params.args)]),
    }
