"""Calls from inside other people's pools: of threads, of joblib, of dask."""

import json
import subprocess
import sys

import numpy as np
import pytest
from processes import environment, printed

from numbarnn.kernels import jit

pytestmark = pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: no thread is started")


@pytest.mark.parametrize("layer", ["omp", "tbb", "workqueue"])
@pytest.mark.parametrize("pool", ["threads", "joblib", "dask"])
def test_pools_of_threads(pool, layer):
    """The bits of one thread under both schedules, also of steppers that were prepared on the main thread.
    Numba's `workqueue` would abort the process at a second parallel loop.
    """
    if pool != "threads":
        pytest.importorskip(pool, reason=f"{pool} is not installed")
    found = printed("process_pools.py", pool, NUMBA_THREADING_LAYER=layer)
    assert found["layer"] == layer
    assert len(found["digests"]) == 7 and len(set(found["digests"].values())) == 1, found["digests"]


LOKY = """
import json, joblib, numba, numpy as np
import numbarnn as nr

if __name__ == "__main__":
    layer = nr.LSTM(200, recurrent_initializer="glorot_uniform", seed=1)
    batches = np.random.default_rng(1).standard_normal((4, 3, 60, 9), dtype=np.float32)
    expected = [layer(x) for x in batches]
    with joblib.parallel_config("loky", inner_max_num_threads=THREADS):
        results = joblib.Parallel(2)(joblib.delayed(layer)(x) for x in batches)
        threads = joblib.Parallel(2)(joblib.delayed(numba.get_num_threads)() for _ in range(2))
    same = [y.tobytes() == wanted.tobytes() for y, wanted in zip(results, expected, strict=True)]
    print(json.dumps({"same": same, "threads": threads}))
"""


@pytest.mark.parametrize("threads", [1, 2])
def test_processes_of_joblib(threads, tmp_path):
    """A layer goes to workers as it is; the bits are those of the parent, the threads those joblib allows."""
    pytest.importorskip("joblib", reason="joblib is not installed")
    script = tmp_path / "loky.py"
    script.write_text(LOKY.replace("THREADS", str(threads)))
    allowed = environment(NUMBA_NUM_THREADS=None)
    done = subprocess.run([sys.executable, script], env=allowed, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["same"] == [True] * 4
    assert np.all(np.array(found["threads"]) == threads)
