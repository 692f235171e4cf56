"""What machine code is made of: the vectors and fused instructions in it, and the functions it calls.

Run as a program, it compiles the library for the CPU that Numba is told of, computes a sample with it, and
prints one JSON line: the target, and what every function is made of that was compiled on the way.
"""

import json
import re
from functools import partial
from unittest.mock import patch

import llvmlite.binding as llvm
import numpy as np
from bits import same
from llvmlite import ir
from models import MODELS
from numba.core.codegen import CPUCodeLibrary
from tolerance import assert_close

from numbarnn import costs
from numbarnn.kernels import jit, simd

VECTOR_BITS = {"xmm": 128, "ymm": 256, "zmm": 512, "v": 128, "q": 128}
VECTOR = re.compile(r"(?:%(?P<x86>[xyz]mm)\d+|\b(?P<arm>[vq])\d+\b)")
FUSED = re.compile(r"^\s*(?:vfn?m(?:add|sub)\w*|fml[as]|fn?m(?:add|sub))\s", re.MULTILINE)
# A function's name stands in a call or jump, or where its address is put into a register.
CALLED = re.compile(
    r"^\s*(?:callq?|jmpq?|bl?)\s+(?P<direct>[A-Za-z_][\w.$]*)"
    r"|\bmovabsq\s+\$(?P<address>[A-Za-z_][\w.$]*)",
    re.MULTILINE,
)
OBJECT = re.compile(r"^\s*\.type\s+(?P<name>[\w.$]+),\s*@object", re.MULTILINE)  # data of its own


def contents(text):
    """Of assembly: bits of the widest vector in it, fused instructions, names of what it calls."""
    objects = {match["name"] for match in OBJECT.finditer(text)}
    kinds = {match["x86"] or match["arm"] for match in VECTOR.finditer(text)}
    return {
        "widest": max((VECTOR_BITS[kind] for kind in kinds), default=0),
        "fused": sorted({word.strip() for word in FUSED.findall(text)}),
        "calls": sorted({match["direct"] or match["address"] for match in CALLED.finditer(text)} - objects),
    }


def assembled(build, triple, cpu, features=""):
    """Assembly of the function that `build(module, symbol)` adds to an LLVM module, for any CPU there is."""
    llvm.initialize_all_targets()
    llvm.initialize_all_asmprinters()
    machine = llvm.Target.from_triple(triple).create_target_machine(cpu=cpu, features=features, opt=3)
    module = ir.Module("module")
    module.triple, module.data_layout = triple, str(machine.target_data)
    build(module, "function")
    # LLVM needs a parser for it that Numba does not start: the process would end.
    assert " asm " not in str(module), "inline assembly"
    parsed = llvm.parse_assembly(str(module))
    parsed.verify()
    passes = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options(speed_level=3))
    passes.getModulePassManager().run(parsed, passes)
    return machine.emit_assembly(parsed)


def recorded(libraries):
    """While this is in force, every code library that Numba makes is added to the list `libraries`."""
    finalize = CPUCodeLibrary.finalize

    def recording(library):
        finalize(library)
        libraries.append(library)

    return patch.object(CPUCodeLibrary, "finalize", recording)


B, T, I, H = 7, 5, 3, 35  # noqa: E741  # H: three blocks of 16 units, the last one with a tail
LENGTHS = np.array([5, 0, 3, 1, 5, 2, 4])


def compute(model, dtype):
    """Rows of different lengths: as near to the oracle as rounding allows, with the bits each has alone."""
    rng = np.random.default_rng(9)
    layer = model.make(I, H, dtype, return_sequences=True, return_state=True)
    x, initial = rng.standard_normal((B, T, I)).astype(dtype), model.states(B, H, dtype, rng)
    y, *states = layer(x, initial, lengths=LENGTHS, n_threads=2)
    expect = partial(model.expect, layer.get_weights(), x, initial, lengths=LENGTHS)
    exact, naive = expect(), expect(dtype=dtype, naive=True)
    for got, truth, plain in zip([y, *states], [exact[0], *exact[1]], [naive[0], *naive[1]], strict=True):
        assert_close(got, truth, plain, f"{model.name} {dtype}")
    for b, n in enumerate(LENGTHS):
        alone = layer(x[b : b + 1, :n], [state[b : b + 1] for state in initial], n_threads=1)
        same(alone, [y[b : b + 1, :n], *(state[b : b + 1] for state in states)])


def main():
    libraries = []
    launch_always = patch.object(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    with recorded(libraries), launch_always:
        for name in ("lstm", "gru"):
            for dtype in ("float32", "float64"):
                compute(MODELS[name], dtype)
    print(
        json.dumps(
            {
                "target": simd.target()._asdict(),
                "obtained": [(name, how) for name, _, how in jit.compilations],
                "code": [(library.name, contents(library.get_asm_str())) for library in libraries],
            }
        )
    )


if __name__ == "__main__":
    main()
