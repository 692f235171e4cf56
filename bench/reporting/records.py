"""What is kept of a run: facts about the machine, and of every row what the report tells."""

import json
from collections import Counter
from itertools import zip_longest

NAMES = {
    "numbarnn": "numbarnn",
    "torch": "PyTorch",
    "torch_packed": "PyTorch, packed",
    "torch_cells": "PyTorch, cells",
    "onnxruntime": "ONNX Runtime",
    "openvino": "OpenVINO",
    "keras_tensorflow": "Keras on TensorFlow",
    "keras_jax": "Keras on JAX",
    "keras_torch": "Keras on PyTorch",
    "numpy": "NumPy",
}
PACKAGES = (
    "numbarnn",
    "numba",
    "llvmlite",
    "numpy",
    "torch",
    "onnxruntime",
    "openvino",
    "keras",
    "tensorflow",
    "tensorflow_cpu",
    "jax",
)
FACTS = ("Date", "CPU", "Vectors", "System", "Threads", "Versions", "Command")
KEPT = ("packages", "python", "platform", "cpu", "threads", "command")  # facts about the machine
LEFT_OUT = {
    "minimum",
    "calls",
    "p99",
    "bound",
    "error",
}  # of a row: `used` says how the errors lie to the bound
DIGITS = 4


class Unlike(ValueError):
    """Runs that have no common report."""


def condense(run):
    """A run of pytest-benchmark as the report needs it; numbers to four digits."""
    info = run["machine_info"]
    return {
        "date": run["datetime"][:16].replace("T", " "),
        "brand": info["cpu"].get("brand_raw", info["numbarnn"]["cpu"]["host"]),
        **{name: info["numbarnn"][name] for name in KEPT},
        "rows": [_row(row) for row in run["benchmarks"]],
    }


def join(parts):
    """The condensed parts of one run as that run: their rows one after the other.

    Raises
    ------
    Unlike
        They were made on or with something else, or a row is there twice.
    """
    first, rows = parts[0], [row for part in parts for row in part["rows"]]
    for name in ("brand", *KEPT):
        if name != "command" and any(part[name] != first[name] for part in parts):
            values = list(dict.fromkeys(json.dumps(part[name]) for part in parts))
            raise Unlike(f"the parts of a run differ in {name}: {' and '.join(values)}; expected one machine")
    twice = [name for name, count in Counter(row["name"] for row in rows).items() if count > 1]
    if twice:
        raise Unlike(f"the parts of a run hold {twice[0]} twice; expected each benchmark once")
    return first | {"command": _common([part["command"] for part in parts]), "rows": rows}


def _common(commands):
    """Of commands that measure a part each, the words that all have."""
    if len(commands) == 1:
        return commands[0]
    words = [word for word in commands[0].split() if all(word in one.split() for one in commands)]
    return f"{' '.join(words)}, in {len(commands)} parts"


def _row(row):
    extra = row["extra_info"]
    kept = {name: value for name, value in extra.items() if name not in LEFT_OUT}
    if "error" in extra:
        kept["used"] = {name: error / extra["bound"] for name, error in extra["error"].items()}
    stats = {figure: row["stats"][figure] for figure in ("median", "min")}
    return _rounded({"name": row["fullname"], "stats": stats, **kept})


def _rounded(value):
    if isinstance(value, float):
        return float(f"{value:.{DIGITS}g}")
    if isinstance(value, dict):
        return {name: _rounded(one) for name, one in value.items()}
    return [_rounded(one) for one in value] if isinstance(value, list) else value


def facts(run):
    """What a run was made on and with, as text: {one of `FACTS`: text}."""
    cpu, packages = run["cpu"], run["packages"]
    versions = [f"{name} {packages[name]}" for name in PACKAGES if packages.get(name)]
    return {
        "Date": run["date"],
        "CPU": f"{run['brand']}, {cpu['cores']} cores",
        "Vectors": f"{cpu['vector_bits']} bits, for {cpu['target']}",
        "System": run["platform"],
        "Threads": f"{run['threads']['count']}, {run['threads']['layers_in_order'][0]}",
        "Versions": ", ".join([run["python"], *versions]),
        "Command": f"`{run['command']}`",
    }


def same_rows(runs):
    """Refuse runs that cannot stand beside each other.

    Raises
    ------
    Unlike
        They hold different rows.
    """
    for rows in zip_longest(*([row["name"] for row in run["rows"]] for run in runs)):
        if len(set(rows)) > 1:
            raise Unlike(
                f"the runs hold different benchmarks, first {rows}; expected runs made with the same ARGS"
            )


def points(runs, suite):
    """The points of a suite in the order of the first run, each a tuple of rows: one for every run."""
    together = zip(*(run["rows"] for run in runs), strict=True)
    return [rows for rows in together if rows[0].get("suite") == suite]


def thread_counts(found):
    return sorted({rows[0]["threads"] for rows in found})


def rivals(found):
    """Names of the libraries that any point has a ratio to, in the order of `NAMES`."""
    names = {name for rows in found for row in rows for name in row["ratio"]}
    return [name for name in NAMES if name in names and name != "numbarnn"]


def ratio(row, name):
    """The ratio to a rival, or None where it was not timed."""
    return row["ratio"].get(name)


def to_the_fastest(row, names=tuple(NAMES)):
    """The ratio to the fastest of the named rivals that was timed, or None."""
    return min((row["ratio"][name] for name in names if name in row["ratio"]), default=None)
