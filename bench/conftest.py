"""What the suites share: tiers, rows for pytest-benchmark's table, facts about the machine."""

from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

from numbarnn import info
from numbarnn.benchmarks.compare import compare
from numbarnn.benchmarks.peers import child
from numbarnn.benchmarks.problems import Problem

TIERS = ("quick", "full")
SECONDS = {"quick": 0.4, "full": 1.0}  # for the rounds of one point, and for each library that is slow
ROUNDS = {"quick": 3, "full": 5}  # at least
ALTERNATING = {"quick": 0.8, "full": 1.6}  # seconds of a point where no other library takes part
PEERS = (
    "torch", "onnxruntime", "onnx", "openvino", "keras", "tensorflow", "tensorflow_cpu", "jax",
)  # fmt: skip

_shown = 0.0


def recorded():
    """A clock that only `record` moves, by durations measured before."""
    return _shown


def _advance(seconds):
    global _shown
    _shown += seconds


def pytest_addoption(parser):
    parser.addoption(
        "--tier",
        choices=TIERS,
        default="quick",
        help="a choice of points in minutes; or all points, all libraries",
    )


def pytest_configure(config):
    config.addinivalue_line("markers", "full: a point of the full tier only")


def pytest_collection_modifyitems(config, items):
    quick = config.getoption("--tier") == "quick"
    left_out = [item for item in items if quick and item.get_closest_marker("full")]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.benchmark(timer=recorded))


@pytest.fixture(scope="session", autouse=True)
def children():
    """Libraries that run in processes of their own are started once for all points."""
    with child.kept():
        yield


@pytest.fixture
def tier(request):
    return request.config.getoption("--tier")


@pytest.fixture
def pace(tier):
    """How long a point is measured: keywords of `timing.interleave`."""
    return {"seconds": SECONDS[tier], "rounds": ROUNDS[tier], "patience": SECONDS[tier]}


@pytest.fixture
def alternating(tier):
    """Keywords of `timing.alternate`."""
    return {"seconds": ALTERNATING[tier]}


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


@pytest.fixture
def measured(pace):
    """`measured(problem, names, threads, beside=None)`: what `compare` tells of numbarnn beside those peers,
    and numbarnn's durations.
    """

    def measure(problem, names, threads, beside=None):
        durations = {}
        found = compare(problem, names, threads, **pace, beside=beside, durations=durations)
        return found, durations["numbarnn"]

    return measure


@pytest.fixture
def row(record):
    """`row(suite, found, durations, **more)`: what was measured, as a row of the table."""

    def enter(suite, found, durations, **more):
        group = f"{suite} {Problem(**found['problem'])}, {found['threads']} thread(s)"
        record(durations, group, **found | {"suite": suite} | more)

    return enter


def pytest_benchmark_update_machine_info(config, machine_info):
    facts = info.collect()
    machine_info["numbarnn"] = {
        "packages": facts["packages"] | {name: _version(name) for name in PEERS},
        "python": facts["python"],
        "platform": facts["platform"],
        "cpu": facts["cpu"],
        "threads": facts["threads"],
        "environment": facts["environment"],
        "tier": config.getoption("--tier"),
        "command": " ".join(["pytest", *map(str, config.invocation_params.args)]),
    }


def _version(name):
    try:
        return version(name)
    except PackageNotFoundError:
        return None
