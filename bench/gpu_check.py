"""What only a machine with an NVIDIA GPU can show, by one command, in under 8 minutes:

    python bench/gpu_check.py [--out FILE] [--quick]

Stages run in processes of their own, each with a time limit: the tests of behaviour on the device; results
bit by bit; the tools of compute-sanitizer; memory; much shared memory; CUDA graphs; speed. FILE is JSON. Exit
code 0: nothing failed; 1: something did; 2: there is no device, and nothing has been checked.
"""

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple
from unittest.mock import patch

import bench_cuda
import numpy as np
from bench_cuda import put, taken

from numbarnn import GRU, LSTM, benchmarks, device, schedules_cuda
from numbarnn.benchmarks import Problem
from numbarnn.kernels.jit_cuda import SIMULATED, cuda

ROOT, HERE = Path(__file__).resolve().parents[1], Path(__file__).resolve()
PASSED, FAILED, NO_DEVICE, SKIPPED = 0, 1, 2, 77  # exit codes; the last one of stages only
WHOLE_SECONDS = 465
WORKERS = os.cpu_count() or 1  # stages beside each other: most of their time is compiling, on one core each
LAST_LINES = 25
FACTS = "{facts}"  # in a command: the file for the stage's JSON
SCHEDULES = schedules_cuda.SCHEDULES
LAYERS = {"lstm": LSTM, "gru_before": lambda units, **options: GRU(units, reset_after=False, **options)}


class Stage(NamedTuple):
    """A command with a time limit."""

    name: str
    seconds: float
    command: tuple = ()
    skip: str = ""  # why it cannot be run


class Skipped(Exception):
    """This stage needs something that is not here."""


def stages(quick):
    """Groups of stages, one group after the other; those of a group run beside each other."""
    python, often = sys.executable, ("--quick",) if quick else ()

    def own(name, seconds):
        return Stage(name, seconds, (python, str(HERE), "--stage", name, "--out", FACTS, *often))

    speed = (python, str(HERE.with_name("bench_cuda.py")), "--out", FACTS)
    bench_seconds = 20 if quick else bench_cuda.SECONDS
    together = [*map(sanitizer, ("memcheck", "racecheck", "initcheck", "synccheck")), *tests(quick)]
    return [
        [own("facts", 30)],
        [*(own(f"bits {name}", 200) for name in LAYERS), *together],
        [own("memory", 40)],  # alone, since free memory is the whole device's
        [own("shared memory", 30), own("graphs", 30)],
        [Stage("speed", bench_seconds + 30, (*speed, "--seconds", str(bench_seconds)))],
    ]


def tests(quick):
    """The tests of behaviour, in several processes, since compiling takes most of their time."""
    missing = [name for name in ("pytest", "hypothesis", "mpmath") if find_spec(name) is None]
    skip = f"not installed: {', '.join(missing)}" if missing else ""
    common = (sys.executable, "-m", "pytest", "--device", "cuda", "-q", "-p", "no:cacheprovider")
    chosen = {"tests": [f"tests/test_{name}.py" for name in ("layers", "stateful", "ragged")]}
    names = ["lstm"] if quick else ["lstm", "gru and not gru_before", "gru_before", "simple", "toy"]
    for name in names:
        for dtype in ("float32", "float64"):
            oracle = ["tests/test_oracle_agreement.py", "-k", f"{name} and {dtype}"]
            chosen[f"oracle {name.split()[0]} {dtype}"] = oracle
    return [Stage(name, 220, (*common, *arguments), skip) for name, arguments in chosen.items()]


def sanitizer(tool):
    """One tool of compute-sanitizer over a few calls."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/local/cuda/bin"])
    found = shutil.which("compute-sanitizer", path=path)
    skip = "" if found else "compute-sanitizer, a part of the CUDA toolkit, is not on the PATH"
    options = ("--tool", tool, "--error-exitcode", str(FAILED), sys.executable, str(HERE), "--one-call")
    return Stage(tool, 150, (found, *options), skip)


def check(groups, out, limit=WHOLE_SECONDS, workers=WORKERS):
    """Run groups of stages and write the report. The very first stage decides whether others make sense.

    Returns
    -------
    int
        Exit code.
    """
    begun, report = time.monotonic(), {"skipped": None, "stages": []}
    for group in groups:
        report["stages"] += run_group(group, begun + limit, workers)
        report["seconds"] = time.monotonic() - begun
        first = report["stages"][0]
        if first["outcome"] == "skipped":
            report["skipped"] = first["reason"]
        report["passed"] = not report["skipped"] and all(s["outcome"] != "failed" for s in report["stages"])
        out.write_text(json.dumps(report, indent=1), encoding="utf-8")
        if first["outcome"] != "passed":
            break
    return NO_DEVICE if report["skipped"] else PASSED if report["passed"] else FAILED


def run_group(group, deadline, workers):
    """The outcomes of stages that run beside each other, at most so many at once."""
    waiting, running, found = list(group), {}, {}
    with tempfile.TemporaryDirectory() as folder:
        try:
            while waiting or running:
                while waiting and len(running) < workers:
                    stage = waiting.pop(0)
                    limit = min(stage.seconds, deadline - time.monotonic())
                    if stage.skip or limit <= 0:
                        found[stage] = outcome("skipped", stage.skip or "no time was left")
                    else:
                        running[stage] = Running(stage, Path(folder, stage.name.replace(" ", "_")), limit)
                for stage, process in list(running.items()):
                    ended = process.ended()
                    if ended:
                        found[stage] = ended
                        del running[stage]
                time.sleep(0.02)
        finally:
            for process in running.values():
                process.kill()
    return [{"name": stage.name} | found[stage] for stage in group]


class Running:
    """A stage at work, in a group of processes of its own: a kernel that hangs ends with its process only."""

    def __init__(self, stage, folder, seconds):
        folder.mkdir()
        self.begun, self.seconds = time.monotonic(), seconds
        self.facts, self.output = folder / "facts.json", folder / "output"
        command = [str(self.facts) if part == FACTS else part for part in stage.command]
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},  # lines in the order in which they were printed
                start_new_session=True,
            )

    def kill(self):
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def ended(self):
        """The outcome, or None while it runs."""
        code, taken_seconds = self.process.poll(), time.monotonic() - self.begun
        if code is None and taken_seconds < self.seconds:
            return None
        if code is None:
            self.kill()
            how, reason = "failed", f"it had not ended after {self.seconds:.0f} s"
        lines = self.output.read_text(encoding="utf-8", errors="replace").splitlines()[-LAST_LINES:]
        last = lines[-1] if lines else "no output"
        if code is not None:
            how = {PASSED: "passed", SKIPPED: "skipped"}.get(code, "failed")
            reason = {"passed": "", "skipped": last, "failed": f"exit code {code}: {last}"}[how]
        facts = json.loads(self.facts.read_text(encoding="utf-8")) if self.facts.exists() else None
        return outcome(how, reason, taken_seconds, lines, facts)


def outcome(how, reason, seconds=0.0, lines=(), facts=None):
    """What the report says of a stage."""
    return {"outcome": how, "reason": reason, "seconds": seconds, "output": list(lines), "facts": facts}


@contextmanager
def only(schedule, tile=None):
    """Have calls take this schedule, and this tile where one is given."""
    tables = [schedules_cuda.SIMULATED_TILES, *schedules_cuda.TILES.values()]
    with patch.object(schedules_cuda, "SCHEDULES", (schedule,)):
        if tile is None:
            yield
        else:
            with patch.dict(tables[SIMULATED], {schedule: (tile,)}):
                yield


def batch(B, T, I, H):  # noqa: E741
    """Inputs, initial states of an LSTM, and lengths with 0, 1 and T among them."""
    rng = np.random.default_rng(3)
    lengths = rng.integers(0, T + 1, B)
    lengths[:3] = [T, 0, 1]
    x, *states = (rng.standard_normal(shape).astype("f4") for shape in ((B, T, I), (B, H), (B, H)))
    return x, states, lengths


def same(got, wanted, what):
    """Fail unless arrays are equal bit for bit."""
    for k, (one, other) in enumerate(zip(got, wanted, strict=True)):
        differ = int(np.sum(one.view("u4") != other.view("u4")))
        if differ:
            raise AssertionError(f"{what}: result {k} differs in {differ} of {one.size} values")


def bits(name, quick):
    """A row's bits on the device are the same alone, in any batch, beside rows that are not numbers, in every
    repeat, with every schedule and tile, and while another stream is at work. How near those of the CPU are
    is told, not demanded.
    """
    at, first, told = device.find(), None, {}
    T, I, H = (3, 5, 7) if SIMULATED else (7, 10, 35)  # noqa: E741
    tables = schedules_cuda.SIMULATED_TILES if SIMULATED else schedules_cuda.TILES[4]
    most = 2 * max(tile.block_rows for tiles in tables.values() for tile in tiles) + 1
    whole_batch = batch(most, T, I, H)
    for schedule in SCHEDULES:
        for tile in tables[schedule][: 1 if quick else None]:
            call = caller(LAYERS[name], H, *whole_batch)
            with only(schedule, tile):
                results = invariant(call, whole_batch[0], tile.block_rows, quick)
                if not SIMULATED:
                    beside_others(at, LAYERS[name], H, whole_batch[0], schedule)
            first = first or results
            same(results, first, f"{schedule} {tile} beside the first schedule")
            told[f"{schedule} {'x'.join(map(str, tile))}"] = "equal"
    on_cpu = caller(LAYERS[name], H, *whole_batch, device="cpu")(np.arange(most))
    pairs = list(zip(first, on_cpu, strict=True))
    equal = [float(np.mean(ours.view("u4") == theirs.view("u4"))) for ours, theirs in pairs]
    told["share equal to the CPU's bits"] = equal
    told["largest difference from the CPU's"] = [float(np.abs(a - b).max()) for a, b in pairs]
    return told


def caller(kind, H, x, states, lengths, device="cuda"):
    """A call on some rows of a batch, given by number."""
    layer = kind(H, return_sequences=True, return_state=True, device=device, seed=1)
    layer.build(x.shape[2])
    states = states[: len(layer.cell.definition.states)]

    def call(rows, x=x):
        return layer(x[rows], [state[rows] for state in states], lengths=lengths[rows])

    return call


def invariant(call, x, tile_rows, quick):
    """Results for all rows, which have been shown not to depend on what else is in the batch."""
    rng, most = np.random.default_rng(2), len(x)
    every = np.arange(most)
    whole = call(every)
    for _ in range(1 if SIMULATED else 20 if quick else 250):
        same(call(every), whole, "a repeat")
    around = {1, tile_rows - 1, tile_rows, tile_rows + 1, 2 * tile_rows + 1} - {0}
    for size in [*sorted(around), *[1] * (2 if SIMULATED else 40)]:
        rows = rng.permutation(most)[:size]
        same(call(rows), [result[rows] for result in whole], f"{size} rows")
    spoilt = rng.random(most) < 0.5
    others = [result[~spoilt] for result in whole]
    for special in (np.nan,) if SIMULATED else (np.nan, np.inf):
        results = call(every, np.where(spoilt[:, None, None], np.float32(special), x))
        same([result[~spoilt] for result in results], others, f"beside {special}")
    return whole


def beside_others(at, kind, H, x, schedule):
    """Results on one stream do not depend on what another one does meanwhile."""
    layer, other = (kind(units, return_sequences=True, seed=1) for units in (H, 2 * H))
    given, out = put(at, x), put(at, np.zeros((*x.shape[:2], H), x.dtype))
    more, target = (
        put(at, np.tile(x, (8, 4, 1))),
        put(at, np.zeros((8 * len(x), 4 * x.shape[1], 2 * H), "f4")),
    )
    ours, busy = cuda.stream(), cuda.stream()
    assert layer.explain(given).schedule == schedule
    wanted = taken(at, layer(given))
    with only("steps"):  # which needs no shared memory for all weights
        other(more, out=target, stream=busy)
    for _ in range(20):
        with only("steps"):
            other(more, out=target, stream=busy)
        layer(given, out=out, stream=ours)
        at.finish(ours)
        same([taken(at, out)], [wanted], f"{schedule} beside a busy stream")
    at.finish(busy)


def one_call():
    """A call of each schedule, for tools that watch: lengths with 0, 1 and T, one phase and two."""
    for schedule in SCHEDULES:
        for kind in LAYERS.values():
            x, states, lengths = batch(5, 3, 5, 9) if SIMULATED else batch(70, 4, 10, 35)
            with only(schedule):
                results = caller(kind, states[0].shape[1], x, states, lengths)(np.arange(len(x)))
            assert all(np.isfinite(result).all() for result in results)
            print(f"one call, schedule {schedule!r}: {[result.shape for result in results]}", flush=True)


def free_bytes():
    """Of the device, after all that nobody holds has been given back."""
    context = cuda.current_context()
    cuda.synchronize()
    context.deallocations.clear()
    return context.get_memory_info().free


def memory(quick):
    """A thousand calls leave free memory where it was; where there is no room, a call says so, changes
    nothing, and the next, smaller one works.
    """
    at, told = device.find(), {}
    x, states, lengths = batch(64, 16, 10, 64)
    layer, given = LSTM(64, return_sequences=True, seed=1), put(at, x)
    on_rows, rows = caller(LSTM, 64, x, states, lengths), np.arange(64)
    calls = {
        "dense": lambda: layer(given),
        "lengths": lambda: layer(given, lengths=lengths),
        "host arrays": lambda: on_rows(rows),
    }
    for name, call in calls.items():
        call()
        before = free_bytes()
        for _ in range(1000):
            call()
        told[name] = before - free_bytes()
        # What calls allocate is the plan's words, about 12 KiB, and more: 1000 of them are beyond the 2 MiB
        # that the driver takes at a time.
        assert told[name] <= 2 << 20, f"{name}: {told[name]} bytes of the device are gone"
    return told | out_of_memory(at)


def out_of_memory(at):
    """With a quarter of a gigabyte left, outputs of half a gigabyte have no room."""
    layer, undisturbed = (
        LSTM(256, return_sequences=True, stateful=True, device="cuda", seed=1) for _ in range(2)
    )
    small = np.random.default_rng(1).standard_normal((4, 3, 1)).astype("f4")
    layer(small)
    states, x = layer.states, put(at, np.zeros((4, 1 << 17, 1), "f4"))
    filler = at.empty(free_bytes() - (256 << 20), np.uint8)
    try:
        layer(x)
    except MemoryError as error:
        message = str(error)
    else:
        raise AssertionError("outputs of 512 MiB found room in 256 MiB")
    same(layer.states, states, "states after a call that failed")
    undisturbed(small)
    same([layer(small)], [undisturbed(small)], "the call after one that failed")
    return {"message": message, "filled_bytes": filler.size}


def shared_memory(quick):
    """A block that keeps all weights in shared memory, more than every kernel may have, computes the right
    thing.
    """
    problem = Problem("lstm", 16, 20, 32, 64)
    data = benchmarks.draw(problem)
    layer = bench_cuda.layer_of(problem, data, "cuda")
    exact, bound = benchmarks.reference(problem, data)
    with only("rows"):
        decision = layer.explain(data.x)
        error = float(np.abs(layer(data.x) - exact).max())
        again = layer(data.x, lengths=[problem.T] * problem.B)
    assert decision.shared_bytes > device.FREELY_SHARED_BYTES, decision
    assert error <= bound and np.abs(again - exact).max() <= bound, f"error {error}, bound {bound}"
    return {"decision": str(decision), "shared_bytes": decision.shared_bytes, "error": error, "bound": bound}


def graphs(quick):
    """A call that has run before and writes into given arrays can be captured, and replayed on new inputs."""
    try:
        from cuda.bindings import driver
    except ImportError as error:
        raise Skipped(f"capturing needs cuda-bindings: {error}") from error

    def checked(returned):
        code, *values = returned
        assert code == driver.CUresult.CUDA_SUCCESS, code
        return values[0] if values else None

    at, told = device.find(), {}
    x, *_ = batch(16, 7, 10, 35)
    for schedule in SCHEDULES:
        layer, stream = LSTM(35, return_sequences=True, seed=1), cuda.stream()
        given, out = put(at, x), put(at, np.zeros((16, 7, 35), "f4"))
        with only(schedule):
            for _ in range(2):
                layer(given, out=out, stream=stream)
            free_bytes()  # nothing is to be given back while the stream is captured
            mode = driver.CUstreamCaptureMode.CU_STREAM_CAPTURE_MODE_THREAD_LOCAL
            checked(driver.cuStreamBeginCapture(int(stream), mode))
            try:
                layer(given, out=out, stream=stream)
            finally:
                graph = checked(driver.cuStreamEndCapture(int(stream)))
            replay = checked(driver.cuGraphInstantiate(graph, 0))
            at.upload(-x, given.reshape(-1))
            wanted = taken(at, layer(given))
        at.upload(np.zeros_like(wanted), out.reshape(-1))
        checked(driver.cuGraphLaunch(replay, int(stream)))
        at.finish(stream)
        same([taken(at, out)], [wanted], f"{schedule}, replayed")
        told[schedule] = "captured and replayed"
    return told


OWN = {
    "facts": lambda quick: bench_cuda.facts(bench_cuda.look()),
    **{f"bits {name}": lambda quick, name=name: bits(name, quick) for name in LAYERS},
    "memory": memory,
    "shared memory": shared_memory,
    "graphs": graphs,
}


def run_stage(name, out, quick):
    """In the stage's own process: its JSON, and its exit code."""
    try:
        facts = OWN[name](quick)
    except (Skipped, device.DeviceNotAvailable) as reason:
        print(reason)
        return SKIPPED
    out.write_text(json.dumps(facts), encoding="utf-8")
    return PASSED


def main(arguments=None):
    """The command."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"), metavar="FILE")
    parser.add_argument("--quick", action="store_true", help="fewer repeats, fewer tests, few speeds")
    parser.add_argument("--one-call", action="store_true", help="a few small calls and nothing else")
    parser.add_argument("--stage", choices=OWN, help="one stage alone, in this process")
    options = parser.parse_args(arguments)
    if options.one_call:
        return one_call() or PASSED
    if options.stage:
        return run_stage(options.stage, options.out, options.quick)
    code = check(stages(options.quick), options.out)
    report = json.loads(options.out.read_text(encoding="utf-8"))
    if report["skipped"]:
        print(f"skipped: {report['skipped']}")
        return code
    for stage in report["stages"]:
        print(f"{stage['outcome']:8}{stage['seconds']:6.1f} s  {stage['name']:24}{stage['reason']}")
    skipped = sum(stage["outcome"] == "skipped" for stage in report["stages"])
    verdict = f"{'passed' if report['passed'] else 'FAILED'}, {skipped} skipped, {report['seconds']:.0f} s"
    print(f"{verdict}; all of it: {options.out}")
    return code


if __name__ == "__main__":
    sys.exit(main())
