"""What the cost model predicts beside what is measured, for every schedule: whether it picks the fastest.

    python bench/predictions.py [--cells lstm,gru] [--units 64,256] [--rows 1,16]

The constants in numbarnn/costs.py are set so that this table agrees; no result depends on them. A line ends
with how much slower the picked schedule is than the fastest.
"""

import argparse
from unittest.mock import patch

import numba
import numpy as np

import numbarnn as nr
from numbarnn import dispatch, timing

CELLS = {"lstm": nr.LSTM, "gru": nr.GRU}
UNITS, ROWS = (64, 128, 256, 512, 1024), (1, 2, 4, 8, 16, 32, 64)
STEPS, SECONDS, ROUNDS = 50, 0.3, 5


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cells", type=_names, default=tuple(CELLS))
    parser.add_argument("--units", type=_numbers, default=UNITS, help="I = H")
    parser.add_argument("--rows", type=_numbers, default=ROWS)
    options = parser.parse_args()
    threads = numba.get_num_threads()
    names = [name for name in dispatch.SCHEDULES if threads > 1 or name == "single"]
    print("cell    H  rows", *(f"{name:>9}: ms (predicted)" for name in names), "   picked")
    behind = []
    for cell in options.cells:
        for H in options.units:
            for B in options.rows:
                measured, predicted, picked = compare(
                    CELLS[cell](H, return_sequences=True, seed=0), B, threads, names
                )
                behind.append(measured[picked] / min(measured.values()))
                times = (f"{1e3 * measured[name]:12.3f} ({1e3 * predicted[name]:9.3f})" for name in names)
                print(f"{cell:5} {H:4} {B:4} ", *times, f"   {picked:6} {behind[-1]:.2f}", flush=True)
    print(f"picked over fastest: mean {np.exp(np.mean(np.log(behind))):.3f}, worst {max(behind):.2f}")


def compare(layer, B, threads, names):
    """Seconds measured and predicted by schedule, and the one that is picked."""
    x = np.random.default_rng(B).standard_normal((B, STEPS, layer.units), dtype=np.float32)
    y = np.empty_like(x)
    layer(x)

    def only(name, call):
        with patch.object(dispatch, "SCHEDULES", (name,)):
            return call()

    def run():
        return layer(x, out=y, n_threads=threads)

    durations = timing.interleave(
        {name: lambda name=name: only(name, run) for name in names}, SECONDS, ROUNDS
    )
    predicted = {
        name: only(name, lambda: layer.explain(x, n_threads=threads)).predicted_seconds for name in names
    }
    picked = layer.explain(x, n_threads=threads).schedule
    return {name: float(np.median(values)) for name, values in durations.items()}, predicted, picked


def _names(text):
    return tuple(text.split(","))


def _numbers(text):
    return tuple(map(int, text.split(",")))


if __name__ == "__main__":
    main()
