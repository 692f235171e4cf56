"""The CUDA kernels' code keeps its budgets, as compiled and assembled here for GPUs; see `device_code`.

No spills, no stack, registers for two blocks at once, vectors wherever weights are fetched and multiplied,
and as many products for each load from shared memory as the shape of the tile allows.
"""

import re

import device_code
import numpy as np
import pytest
from device_code import Case

from numbarnn.schedules_cuda import TILES, forming_tile

needs_compiler = pytest.mark.skipif(device_code.missing() is not None, reason=str(device_code.missing()))


def chosen():
    """A cell of one phase and one of two; of each schedule the widest tile and the narrowest."""
    for cell, phases in (("lstm", 1), ("gru_before", 2)):
        for dtype in ("float32", "float64"):
            tiles = TILES[np.dtype(dtype).itemsize]
            forming = [
                forming_tile(tile, np.dtype(dtype).itemsize) for tile in tiles["steps"] + tiles["units"]
            ]
            for pick, hoisted in ((max, False), (min, True)):
                for p in range(phases):
                    yield Case("step", cell, dtype, pick(tiles["steps"]), p, hoisted)
                yield Case("form", cell, dtype, pick(forming), 0)
                for schedule in ("rows", "units"):
                    yield Case(schedule, cell, dtype, pick(tiles[schedule]))


CHOSEN = tuple(chosen())


@pytest.fixture(scope="module")
def codes():
    return dict(zip(CHOSEN, device_code.measure(CHOSEN), strict=True))


@needs_compiler
@pytest.mark.parametrize("case", CHOSEN, ids=lambda case: " ".join(case.key))
def test_budgets(case, codes):
    """All of them, on all architectures."""
    assert not codes[case].broken


@needs_compiler
def test_what_is_not_compiled():
    """9.0 has the PTX of 8.0, so that the budgets are those of its kernels too."""

    def body(capability):
        return re.sub(r"_ZN\w+|_smem_\d+", "", device_code.compiled(CHOSEN[0], capability)).split(".entry")[1]

    assert body((8, 0)) == body((9, 0))


def test_the_table_has_all_kernels():
    """bench/CUDA_CODE.md names the kernels and tiles that there are, each once."""
    there = [case.key for case in device_code.cases()]
    assert set(CHOSEN) <= set(device_code.cases())
    assert device_code.listed() == there, "write it again: python tests/device_code.py"
