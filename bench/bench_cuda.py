"""Layers on a CUDA device: numbarnn, each schedule and the one that it picks, against PyTorch with cuDNN.

    python bench/bench_cuda.py --out FILE [--seconds SECONDS]

All rivals run on one stream and are timed in turn by CUDA events, from before a call is made until the
device has done it. Every call takes another copy of the inputs, so that none finds its own in the cache;
weights stay where the call before has left them, for everybody. numbarnn writes into arrays that are there,
PyTorch into those that its allocator keeps. Packed sequences are packed before; what numbarnn plans for them
in every call counts.
"""

import argparse
import gc
import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np

from numbarnn import Ragged, benchmarks, device, info, layers, schedules_cuda
from numbarnn.benchmarks import Problem
from numbarnn.kernels.jit_cuda import SIMULATED, cuda
from numbarnn.weights import from_torch

NO_DEVICE = 2  # exit code
SECONDS = 110  # for all points
SIZES = (256, 64, 1024, 128, 512)  # in this order: what a short time still reaches should say the most
BATCHES = ((16, 50), (1, 100), (64, 40), (128, 20))  # B, T
ROUNDS, ROUNDS_SECONDS = 20, 0.2  # of a point: at least so many, and new ones until so much time is over
ROTATED_BYTES, MOST_COPIES = 128 << 20, 64  # of the inputs: twice the largest caches, unless they are small
STEPS, STEPS_IN_FLIGHT = 200, 20
SCHEDULES = schedules_cuda.SCHEDULES
PACKAGES = ("numba", "cuda", "nvidia", "torch")  # what the names of those that matter begin with


class Point(NamedTuple):
    """One layer over one batch."""

    problem: Problem
    lengths: tuple | None = None  # of packed rows; None: all have T steps

    def __str__(self):
        return f"{self.problem}{'' if self.lengths is None else ' packed'}"

    @property
    def valid(self):
        """Which steps are there, (B, T)."""
        B, T = self.problem.B, self.problem.T
        return np.arange(T) < np.reshape([T] * B if self.lengths is None else self.lengths, (B, 1))


class Rival(NamedTuple):
    """A library, ready to run a point."""

    name: str
    ready: Callable  # no arguments: makes the process's settings its own, before it is timed
    run: Callable  # the number of the copy of the inputs: what is timed
    result: Callable  # no arguments: runs, and returns the outputs of valid steps as an array (steps, H)
    facts: dict


def points():
    """The grid, what says most first. Lengths of packed rows are uniform from 1 to T."""
    rng = np.random.default_rng(5)
    for H in SIZES:
        for cell in benchmarks.GATES:
            for B, T in BATCHES:
                problem = Problem(cell, B, T, H, H)
                yield Point(problem)
                if B > 1:
                    yield Point(problem, tuple(rng.integers(1, T + 1, B).tolist()))
                elif H <= 128:
                    yield Point(Problem(cell, 16, 50, H, H, "float64"))


def look():
    """The device to be measured.

    Raises
    ------
    DeviceNotAvailable
        There is none, or only Numba's simulator.
    """
    if SIMULATED:
        raise device.DeviceNotAvailable("NUMBA_ENABLE_CUDASIM is set, and Numba's simulator is no device")
    return device.find()


def facts(at):
    """What explains a speed or a fault on this device; ready for JSON."""
    every = sorted((one.name or "", one.version) for one in metadata.distributions())
    return {
        "device": at.name,
        "compute_capability": list(at.compute_capability),
        "processors": at.processors,
        "shared_bytes": at.shared_bytes,
        "clock_hz": at.clock_hz,
        "runtime": ".".join(map(str, cuda.runtime.get_version())),
        "nvidia_smi": _nvidia_smi(),
        "device_packages": {name: version for name, version in every if name.startswith(PACKAGES)},
        **info.collect(),
    }


def _nvidia_smi():
    """Driver, clocks and power as the driver's own tool tells them, or why it does not."""
    asked = (
        "name,driver_version,clocks.sm,clocks.max.sm,clocks.mem,power.limit,temperature.gpu,mig.mode.current"
    )
    command = ["nvidia-smi", f"--query-gpu={asked}", "--format=csv"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"not available: {error}"
    return (done.stdout + done.stderr).strip()


def put(at, array):
    """A copy of a host array on the device."""
    return at.upload(array).reshape(array.shape)


def taken(at, array):
    """A copy on the host of an array on the device."""
    host = np.empty(array.shape, array.dtype)
    at.download(array.reshape(-1), host)
    return host


def layer_of(problem, data, device="auto", **options):
    """Our layer with the weights of `data`."""
    kind = {"lstm": layers.LSTM, "gru": layers.GRU}[problem.cell]
    layer = kind(problem.H, return_sequences=True, dtype=problem.dtype, device=device, **options)
    [[weights]] = data.weights
    layer.set_weights(from_torch(problem.cell, *weights))
    return layer


def copies(nbytes):
    """How many copies of inputs of so many bytes the calls take in turn."""
    return min(MOST_COPIES, max(3, -(-ROTATED_BYTES // max(1, nbytes))))


def numbarnn_rivals(at, stream, point, data):
    """Ours, with the schedule that it picks and with each one; and why some are missing."""
    values = data.x if point.lengths is None else data.x[point.valid]
    inputs = [put(at, values) for _ in range(copies(values.nbytes))]
    outputs = [at.empty(values[..., 0].size * point.problem.H, values.dtype) for _ in inputs]
    outputs = [y.reshape((*values.shape[:-1], point.problem.H)) for y in outputs]
    given = inputs
    if point.lengths is not None:
        offsets = np.cumsum([0, *point.lengths])
        given = [Ragged(x, offsets) for x in inputs]
    rivals, missing = [], {}
    for name, schedules in {"numbarnn": SCHEDULES, **{f"numbarnn {s}": (s,) for s in SCHEDULES}}.items():
        layer = layer_of(point.problem, data)
        ready, run = _ours(layer, schedules, given, outputs, stream)
        ready()
        try:
            decision = layer.explain(given[0])
        except ValueError as error:
            missing[name] = str(error)
            continue
        told = {"schedule": decision.schedule, "tile": list(decision.tile), "blocks": list(decision.blocks)}
        told |= {"launches": decision.launches, "predicted_seconds": decision.predicted_seconds}
        rivals.append(Rival(name, ready, run, _our_result(at, stream, run, outputs), told))
    return rivals, missing


def _ours(layer, schedules, given, outputs, stream):
    def ready():
        schedules_cuda.SCHEDULES = schedules

    def run(k):
        layer(given[k % len(given)], out=outputs[k % len(given)], stream=stream)

    return ready, run


def _our_result(at, stream, run, outputs):
    def result():
        run(0)
        at.finish(stream)
        return taken(at, outputs[0]).reshape(-1, outputs[0].shape[-1])

    return result


def torch_rivals(stream, point, data):
    """PyTorch with and without TF32 for its products, or why it is missing."""
    if find_spec("torch") is None:
        return [], {"torch": "PyTorch is not installed"}
    import torch

    if not torch.cuda.is_available():
        return [], {"torch": f"PyTorch {torch.__version__} sees no device"}
    from numbarnn.benchmarks.peers.torch_whole import module_of

    torch.cuda.set_stream(torch.cuda.ExternalStream(int(stream)))
    module = module_of(point.problem, data).cuda()
    x = torch.from_numpy(np.ascontiguousarray(data.x.swapaxes(0, 1))).cuda()
    pack = torch.nn.utils.rnn.pack_padded_sequence
    inputs = [x.clone() for _ in range(copies(data.x.nbytes))]
    if point.lengths is not None:
        inputs = [pack(one, torch.tensor(point.lengths), enforce_sorted=False) for one in inputs]

    def run(k):
        with torch.inference_mode():
            return module(inputs[k % len(inputs)])[0]

    def result():
        y = run(0)
        if point.lengths is not None:
            y = torch.nn.utils.rnn.pad_packed_sequence(y, total_length=point.problem.T)[0]
        return y.swapaxes(0, 1).cpu().numpy()[point.valid]

    names = {"torch": False, "torch tf32": True} if point.problem.dtype == "float32" else {"torch": False}
    told = {"cudnn": torch.backends.cudnn.version()}
    return [Rival(name, _tf32(torch, on), run, result, told) for name, on in names.items()], {}


def _tf32(torch, allowed):
    def ready():
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = allowed

    return ready


def interleave(rivals, stream, seconds=ROUNDS_SECONDS, rounds=ROUNDS):
    """Time rivals in turn; every round begins with another one.

    Returns
    -------
    dict
        By name, lists of seconds: `device` by the events around a call, `host` until the call has returned.
    """
    start, stop = cuda.event(), cuda.event()
    for rival in rivals:
        rival.ready()
        for k in range(3):
            rival.run(k)
    stream.synchronize()
    found = {rival.name: {"device": [], "host": []} for rival in rivals}
    order, end, collecting = list(rivals), time.perf_counter() + seconds, gc.isenabled()
    gc.disable()
    try:
        for k in count():
            if k >= rounds and time.perf_counter() >= end:
                return found
            for rival in order:
                rival.ready()
                begun = time.perf_counter()
                start.record(stream)
                rival.run(k)
                stop.record(stream)
                found[rival.name]["host"].append(time.perf_counter() - begun)
                stop.synchronize()
                found[rival.name]["device"].append(cuda.event_elapsed_time(start, stop) / 1e3)
            order.append(order.pop(0))
    finally:
        if collecting:
            gc.enable()


def measure(at, stream, point):
    """Rows of one point, one for each rival: its speed and, beside it, its error against float64."""
    data = benchmarks.draw(point.problem)
    exact, bound = benchmarks.reference(point.problem, data)
    exact = exact[point.valid]
    ours, missing = numbarnn_rivals(at, stream, point, data)
    theirs, more_missing = torch_rivals(stream, point, data)
    rivals, errors = [*ours, *theirs], {}
    for rival in rivals:
        rival.ready()
        errors[rival.name] = float(np.abs(rival.result() - exact).max(initial=0))
    durations = interleave(rivals, stream)
    rows = []
    for rival in rivals:
        seconds = durations[rival.name]
        rows.append({
            "point": str(point),
            "problem": point.problem._asdict(),
            "lengths": point.lengths,
            "rival": rival.name,
            "median_seconds": median(seconds["device"]),
            "least_seconds": min(seconds["device"]),
            "median_host_seconds": median(seconds["host"]),
            "calls": len(seconds["device"]),
            "max_abs_error": errors[rival.name],
            "bound": bound,
            **rival.facts,
        })  # fmt: skip
    return rows, missing | more_missing


def step_latency(at, cell, B, H):
    """Seconds until one stepper call has returned to Python, the device still at work."""
    problem = Problem(cell, B, 1, H, H)
    data = benchmarks.draw(problem)
    stepper, x_t = layer_of(problem, data).stepper(B), put(at, data.x[:, 0])
    out = put(at, np.zeros((B, H), np.float32))
    calls = {"numbarnn": lambda: stepper(x_t, out=out)}
    if find_spec("torch") is not None:
        calls["torch"] = _torch_step(problem, data)
    found = {name: [] for name in calls}
    for k in range(-STEPS_IN_FLIGHT, STEPS):
        for name, call in calls.items():
            begun = time.perf_counter()
            call()
            if k >= 0:
                found[name].append(time.perf_counter() - begun)
        if k % STEPS_IN_FLIGHT == 0:
            cuda.synchronize()
    cuda.synchronize()
    return {"cell": cell, "B": B, "H": H, "median_host_seconds": {n: median(s) for n, s in found.items()}}


def _torch_step(problem, data):
    import torch

    from numbarnn.benchmarks.peers.torch_whole import module_of

    module, x = module_of(problem, data).cuda(), torch.from_numpy(data.x.swapaxes(0, 1)).cuda()
    kept = [None]

    def step():
        with torch.inference_mode():
            _, kept[0] = module(x, kept[0])

    return step


def run(at, seconds, save):
    """All points that the time allows; `save` is called with the results so far after each one."""
    end, stream = time.perf_counter() + seconds, cuda.stream()
    results: dict[str, Any] = {"facts": facts(at), "steps": [], "rows": [], "missing": {}, "left_out": []}
    schedules_cuda.SCHEDULES = SCHEDULES
    for cell in benchmarks.GATES:
        for B, H in ((1, 64), (16, 256)):
            results["steps"].append(step_latency(at, cell, B, H))
    save(results)
    for point in points():
        if time.perf_counter() >= end:
            results["left_out"].append(str(point))
            continue
        rows, missing = measure(at, stream, point)
        results["rows"] += rows
        if missing:
            results["missing"][str(point)] = missing
        save(results)
    save(results)
    return results


def table(results):
    """The results as text: a line for each point."""
    lines, by_point = [], {}
    for row in results["rows"]:
        by_point.setdefault(row["point"], []).append(row)
    for point, rows in by_point.items():
        times = ", ".join(f"{r['rival']} {1e3 * r['median_seconds']:.3g} ms" for r in rows)
        wrong = [r["rival"] for r in rows if not r["max_abs_error"] <= r["bound"]]
        lines.append(f"{point}: {times}{f'; beyond the bound of error: {wrong}' if wrong else ''}")
    for step in results["steps"]:
        times = ", ".join(f"{n} {1e6 * s:.3g} us" for n, s in step["median_host_seconds"].items())
        lines.append(f"a step of {step['cell']} B{step['B']} H{step['H']}, on the host: {times}")
    if results["left_out"]:
        lines.append(f"left out, no time: {len(results['left_out'])} points")
    return "\n".join(lines)


def main(arguments=None):
    """The command."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=raw)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="JSON")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="begin no new point after so long")
    options = parser.parse_args(arguments)

    def save(results):
        part = options.out.with_name(options.out.name + ".part")  # who is ended meanwhile leaves the last one
        part.write_text(json.dumps(results, indent=1), encoding="utf-8")
        part.replace(options.out)

    try:
        at = look()
    except device.DeviceNotAvailable as error:
        save({"skipped": str(error)})
        print(f"skipped: {error}")
        return NO_DEVICE
    print(table(run(at, options.seconds, save)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
