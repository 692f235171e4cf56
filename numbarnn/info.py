"""What this installation is and runs on: the facts that explain a result, a speed or a fault."""

import importlib
import importlib.metadata
import os
import platform

import llvmlite.binding
from numba.core import config

from numbarnn import device
from numbarnn.kernels import signals, simd, store

PACKAGES = ("numbarnn", "numba", "llvmlite", "numpy", "rich")
THREADING_LAYERS = {"tbb": "tbbpool", "omp": "omppool", "workqueue": "workqueue"}
OURS = ("NUMBARNN_", "NUMBA_")


def collect():
    """Gather the facts.

    Returns
    -------
    dict
        Ready for JSON: `packages` {name: version, None where not installed}, `python`, `platform`, `cpu`,
        `threads`, `cuda`, `cache`, `environment` {variable: value}.
    """
    return {
        "packages": {name: _version(name) for name in PACKAGES},
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "cpu": _cpu(),
        "threads": _threads(),
        "cuda": _cuda(),
        "cache": store.cache_info(),
        "environment": {name: fact for name, fact in sorted(os.environ.items()) if name.startswith(OURS)},
    }


def render(facts):
    """The facts of `collect` as text for a person, one aligned line each."""
    lines = []
    for topic, value in facts.items():
        parts = value if isinstance(value, dict) and value else {"": value}
        lines += [(f"{topic} {name}".rstrip(), fact) for name, fact in parts.items()]
    width = max(len(name) for name, _ in lines)
    return "\n".join(f"{name:<{width}}  {_text(fact)}" for name, fact in lines)


def _text(fact):
    if isinstance(fact, bool):
        return "yes" if fact else "no"
    if isinstance(fact, list):
        fact = ", ".join(map(str, fact))
    return "none" if fact in (None, "", {}) else str(fact)


def _version(name):
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu():
    target = simd.target()
    with signals.waiting():
        host = llvmlite.binding.get_host_cpu_name()
    return {
        "host": host,
        "target": target.name,
        "vector_bits": target.vector_bits,
        "vector_registers": target.registers,
        "fma": target.has_fma,
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
    }


def _cuda():
    try:
        found = repr(device.find())
    except device.DeviceNotAvailable as reason:
        found = f"none; {reason}"
    return {"numba-cuda": _version("numba-cuda"), "device": found}


def _threads():
    layers = {name: _availability(module) for name, module in THREADING_LAYERS.items()}
    usable = [name for name in config.THREADING_LAYER_PRIORITY if layers[name] == "available"]
    return {
        "count": config.NUMBA_NUM_THREADS,
        "layer_asked_for": config.THREADING_LAYER,
        "layers_in_order": usable,
        **{f"layer_{name}": fact for name, fact in layers.items()},
    }


def _availability(module):
    try:
        importlib.import_module(f"numba.np.ufunc.{module}")
    except ImportError as error:
        return f"not available: {error}"
    return "available"
