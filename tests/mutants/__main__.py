"""Apply every mutation to a copy of the library, one at a time, and see each of its suites fail.

Run: PYTHONPATH=tests python -m mutants [--jobs N] [--suites SUITE ...] [PART-OF-A-NAME ...]        (Linux)

A suite runs in a process of its own, which imports the copy and has its own cache of compiled functions,
until its first failure. It may take 60 seconds of CPU, compiling included; seconds of the clock would depend
on what else the machine does. First all suites must pass on a copy without a mutation. Only a failing
comparison counts: another exception, an error while tests are collected, a crash or too long a run is
reported as what it is. Exit status: 0 if every suite of every mutation fails as it must, else 1.
"""

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from . import MUTATIONS
from .mutation import FOLDERS, SUITES, TESTS

CPU_SECONDS = 60
CLOCK_SECONDS = 1200  # a run that waits for ever takes no CPU
VERDICTS = {0: "SURVIVED", 2: "ERROR WHILE COLLECTING", -signal.SIGXCPU: "TOO SLOW"}
FAILURE = re.compile(r"^(?:FAILED|ERROR) tests/\S*?::(.*?)(?: - (\w+).*)?$", re.MULTILINE)
CAUGHT = {"assert", "AssertionError", "Failed"}  # what a test that compares can fail with

CONFTEST = """
from pathlib import Path

import numbarnn
from numbarnn import kernels

for package in (numbarnn, kernels):
    assert Path(package.__file__).is_relative_to(Path(__file__).parent), "another copy is tested"
"""


class Outcome(NamedTuple):
    """How one suite ended."""

    verdict: str
    seconds: float
    test: str  # the first that failed
    log: str


def copy_library(folder):
    """The library, its tests and their settings, laid out as installed."""
    skip = shutil.ignore_patterns("__pycache__", ".*")
    shutil.copytree(FOLDERS["numbarnn"], folder / "numbarnn", ignore=skip)
    shutil.copytree(FOLDERS["kernels"], folder / "numbarnn" / "kernels", ignore=skip, dirs_exist_ok=True)
    shutil.copytree(TESTS, folder / "tests", ignore=skip)
    shutil.copy(TESTS.parent / "pyproject.toml", folder)
    (folder / "conftest.py").write_text(CONFTEST, encoding="utf-8")


def run(folder, suite, limit):
    """Run one suite in `folder`, for at most `limit` seconds of CPU."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider"]
    command += [f"tests/{word}" if word.endswith(".py") else word for word in SUITES[suite]]
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBARNN_CACHE_DIR": str(folder / "cache")}
    environment["COLUMNS"] = "400"  # or pytest cuts the reason of a failure off
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=log, stderr=log, start_new_session=True
        )
        if limit is not None:
            resource.prlimit(process.pid, resource.RLIMIT_CPU, (limit, limit + 5))
        timer = threading.Timer(CLOCK_SECONDS, os.killpg, (process.pid, signal.SIGKILL))
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        log.seek(0)
        text = log.read()
    seconds = usage.ru_utime + usage.ru_stime
    first = FAILURE.search(text)
    test, reason = first.groups() if first else ("", "")
    verdict = VERDICTS.get(process.returncode, f"ENDED WITH {process.returncode}")
    if process.returncode == 1:
        verdict = "caught" if reason in CAUGHT else f"RAISED {reason}"
    elif process.returncode < 0 and reason in CAUGHT:
        verdict = f"caught, then {verdict.lower()}"  # Python stumbled over what the fault had overwritten
    if limit is not None and seconds > limit:
        verdict = "TOO SLOW"
    return Outcome(verdict, seconds, test, text)


def control(folder, suites, jobs):
    """Whether all suites pass without a mutation."""
    with ThreadPoolExecutor(jobs) as pool:
        outcomes = list(pool.map(lambda suite: run(folder, suite, None), suites))
    for suite, outcome in zip(suites, outcomes, strict=True):
        passed = "passed" if outcome.verdict == "SURVIVED" else f"{outcome.verdict}\n{outcome.log}"
        print(f"{suite:10} {outcome.seconds:5.0f} s  {passed}", flush=True)
    return all(outcome.verdict == "SURVIVED" for outcome in outcomes)


def mutated(mutation, folder):
    """The mutation's file in a copy of the library, and its text with the fault."""
    file = folder / mutation.file.replace("kernels/", "numbarnn/kernels/")
    return file, mutation.applied(file.read_text(encoding="utf-8"))


def try_out(mutation, original):
    """The outcome of each suite of a mutation of the library in `original`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "mutant"
        shutil.copytree(original, folder, ignore=shutil.ignore_patterns("__pycache__", "cache", ".*"))
        file, text = mutated(mutation, folder)
        file.write_text(text, encoding="utf-8")
        outcomes = {suite: run(folder, suite, CPU_SECONDS) for suite in mutation.suites}
    lines = [f"{mutation.name} ({mutation.file})"]
    for suite, outcome in outcomes.items():
        lines.append(f"    {suite:10} {outcome.seconds:5.1f} s  {outcome.verdict}  {outcome.test}")
    print(*lines, sep="\n", flush=True)
    return outcomes


def main():
    parser = argparse.ArgumentParser(prog="mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="only mutations with one of these in their name or file")
    parser.add_argument("--suites", nargs="+", choices=SUITES, default=list(SUITES), help="only these")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once (default 1)")
    parser.add_argument(
        "--log", action="store_true", help="print what pytest said where a fault was not caught"
    )
    given = parser.parse_args()
    chosen = [
        mutation._replace(suites=tuple(suite for suite in mutation.suites if suite in given.suites))
        for mutation in MUTATIONS
        if not given.names or any(name in f"{mutation.name} {mutation.file}" for name in given.names)
    ]
    chosen = [mutation for mutation in chosen if mutation.suites]
    if not chosen:
        parser.error("no mutation of such a name or file has one of these suites")
    suites = [suite for suite in SUITES if any(suite in mutation.suites for mutation in chosen)]

    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(given.jobs) as pool:
        original = Path(scratch)
        copy_library(original)
        for mutation in chosen:
            mutated(mutation, original)  # raises where one does not apply
        print("Without a mutation")
        if not control(original, suites, given.jobs):
            print("The tests fail without a mutation: nothing can be learnt from one.")
            return 1
        print("\nWith one: seconds of CPU, and the first test that failed")
        outcomes = pool.map(lambda mutation: try_out(mutation, original), chosen)
        found = dict(zip(chosen, outcomes, strict=True))
    missed = {
        (mutation, suite): outcome
        for mutation, outcomes in found.items()
        for suite, outcome in outcomes.items()
        if not outcome.verdict.startswith("caught")
    }
    runs = sum(len(outcomes) for outcomes in found.values())
    print(f"\n{len(found)} mutations, {runs} runs, {runs - len(missed)} caught")
    for (mutation, suite), outcome in missed.items():
        print(f"NOT CAUGHT by {suite}: {mutation.name} ({mutation.file}): {outcome.verdict}")
        if given.log:
            print(outcome.log)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
