"""Code for other CPUs than this one: their vectors and no wider ones, no call to a library, right results.

LLVM generates code for all of them here. What this CPU can run is also run, with the sample of `assembly`.
"""

import json
import math
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import patch

import llvmlite.binding as llvm
import numpy as np
import pytest
from assembly import assembled, contents
from llvmlite import ir
from models import MODELS, every_dtype
from numba import types
from numba.core import config

import numbarnn as nr
from numbarnn.kernels import activations, atomics, jit, plan, program, simd
from numbarnn.kernels.emit_cpu import epilogue
from numbarnn.kernels.simd import BYTE_POINTER, I64, Target
from numbarnn.kernels.trace import trace

X86, ARM = "x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"
CPUS = {
    (X86, "znver4", ""): Target("znver4", 512, 32, True),
    (X86, "skylake-avx512", ""): Target("skylake-avx512", 512, 32, True),
    (X86, "znver4", "-avx512f"): Target("znver4", 256, 16, True),
    (X86, "haswell", ""): Target("haswell", 256, 16, True),
    (X86, "haswell", "+rdrnd"): Target("haswell", 256, 16, True),
    (X86, "haswell", "-avx2"): Target("haswell", 128, 16, False),
    (X86, "haswell", "-fma"): Target("haswell", 128, 16, False),
    (X86, "znver4", "-avx"): Target("znver4", 128, 16, False),
    (X86, "x86-64", ""): Target("x86-64", 128, 16, False),
    (X86, "x86-64", "+avx2,+fma"): Target("x86-64", 256, 16, True),
    (X86, "x86-64", "+avx512f"): Target("x86-64", 512, 32, True),
    (ARM, "neoverse-n1", ""): Target("neoverse-n1", 128, 32, True),
    (ARM, "generic", ""): Target("generic", 128, 32, True),
}
CELLS = [name for name in MODELS if name != "toy"]


def known(triple):
    """Whether this LLVM generates code for the architecture."""
    llvm.initialize_all_targets()
    try:
        llvm.Target.from_triple(triple)
    except RuntimeError:
        return False
    return True


def of(cpus):
    """Parametrise over CPUs."""

    def param(cpu):
        triple, name, features = cpu
        lacking = pytest.mark.skipif(not known(triple), reason=f"this LLVM generates no code for {triple}")
        return pytest.param(cpu, id=f"{triple.partition('-')[0]}-{name}{features}", marks=lacking)

    return pytest.mark.parametrize("cpu", [param(cpu) for cpu in cpus])


@pytest.fixture
def emitted(cpu, monkeypatch):
    """Name and contents of each function that the library generates during a test, all for `cpu`."""
    made = []

    def compile_ir(name, key, build):
        made.append((name, contents(assembled(build, *cpu))))
        return 0

    monkeypatch.setattr(jit, "target_key", lambda: cpu)
    monkeypatch.setattr(jit, "compile_ir", compile_ir)
    return made


def generate(layer):
    """Everything that the layer's own cell needs."""
    layer.build(3)
    assert layer.cell.program.table.size


@of(CPUS)
def test_target_is_what_the_code_generator_has(cpu, emitted):
    """Its vectors are used and fit; where it multiplies and adds in one go, the code does, else nowhere."""
    target = CPUS[cpu]
    assert simd.target() == target
    generate(nr.SimpleRNN(5))
    assert [name for name, _ in emitted] == ["tiles", "epilogue"]
    for name, found in emitted:
        assert found["widest"] == target.vector_bits, name
        assert bool(found["fused"]) == target.has_fma, name
        assert found["calls"] == [], name


READ_FLOAT16 = {
    (X86, "x86-64", ""): False,
    (X86, "x86-64", "+avx,+f16c"): True,
    (X86, "x86-64", "+avx512f"): True,
    (X86, "x86-64", "+avx2,+fma"): False,
    (X86, "haswell", ""): True,
    (X86, "haswell", "-f16c"): False,
    (X86, "znver4", ""): True,
    (X86, "znver4", "-avx"): False,
    (ARM, "generic", ""): True,
}


@of(READ_FLOAT16)
def test_float16_is_read_by_an_instruction(cpu, emitted):
    """Where a target is said to have one, no library is called; else such weights are refused."""
    assert simd.widens_float16() == READ_FLOAT16[cpu]
    if READ_FLOAT16[cpu]:
        generate(nr.GRU(5, weights_dtype="float16"))
        assert [(name, found["calls"]) for name, found in emitted] == [("tiles", []), ("epilogue", [])]
    else:
        with pytest.raises(ValueError, match=f"weights_dtype = 'float16'.*{cpu[1]}.*use 'bfloat16'"):
            nr.GRU(5, weights_dtype="float16")
    generate(nr.GRU(5, weights_dtype="bfloat16"))
    assert emitted[-2][1]["calls"] == []


# "icelake" is how the names of two CPUs begin.
LISTED = [name.replace("icelake", "icelake-server") for name in simd.AVX512_CPUS + simd.AVX2_CPUS]


@of([(X86, name, "") for name in LISTED])
def test_named_cpus_have_what_they_are_listed_for(cpu):
    """A multiply-add of a whole vector is one instruction."""
    with patch.object(jit, "target_key", lambda: cpu):
        target = simd.target()

    def build(module, symbol):
        function = ir.Function(module, ir.FunctionType(ir.VoidType(), [BYTE_POINTER]), symbol)
        builder = ir.IRBuilder(function.append_basic_block())
        vectors = simd.Vectors(builder, "float32", target.lanes("float32"), target.has_fma)
        value = vectors.load(function.args[0])
        vectors.store(vectors.fma(value, value, value), function.args[0])
        builder.ret_void()

    found = contents(assembled(build, *cpu))
    assert (found["widest"], found["calls"]) == (target.vector_bits, [])
    assert len(found["fused"]) == 1


@of([(ARM, "neoverse-n1", ""), (ARM, "generic", ""), (X86, "x86-64", "")])
@every_dtype
@pytest.mark.parametrize("cell", CELLS)
def test_cells_call_nothing(cell, dtype, cpu, emitted):
    """Tiles and epilogues of every built-in cell; two of them form products ahead where registers suffice."""
    target = CPUS[cpu]
    generate(MODELS[cell].layer(5, dtype=dtype))
    ahead = {"ahead"} if target.registers == 32 and cell in ("lstm", "gru") else set()
    assert {name for name, _ in emitted} == {"tiles", "epilogue"} | ahead
    for name, found in emitted:
        assert (found["widest"], found["calls"]) == (target.vector_bits, []), name
        assert bool(found["fused"]) == target.has_fma, name


@of([(ARM, "generic", ""), (X86, "x86-64", "")])
@every_dtype
def test_activations_call_nothing(dtype, cpu, emitted):
    for name, function in activations.ACTIVATIONS.items():
        epilogue(trace(function, ["a"], ["y"]), ["a"], np.dtype(dtype), CPUS[cpu])
        assert (emitted[-1][1]["widest"], emitted[-1][1]["calls"]) == (128, []), name
    assert len(emitted) == len(activations.ACTIVATIONS)


@of([(X86, "x86-64", "")])
@pytest.mark.parametrize(("dtype", "called"), [("float32", "fmaf"), ("float64", "fma")])
def test_a_call_would_be_found(dtype, called, cpu, emitted):
    """A target that claims a fused multiply-add which the CPU lacks: LLVM then calls the C library's."""
    with patch.object(program, "target", lambda: Target("x86-64", 128, 16, True)):
        generate(nr.SimpleRNN(5, dtype=dtype))
    assert [found["calls"] for _, found in emitted] == [[called], [called]]


SHARED = (
    "fetch_add",
    "load_shared",
    "store_shared",
    "replace_shared",
    "pause",
    "yield_core",
    "exchange_float_mode",
)
LLVM_TYPES = {types.int64: I64, types.voidptr: BYTE_POINTER, types.void: ir.VoidType()}


@of([(ARM, "generic", ""), (X86, "x86-64", "")])
@pytest.mark.parametrize("name", SHARED)
def test_what_threads_meet_by(name, cpu):
    """Instructions, without help but that of the scheduler."""
    operation = getattr(atomics, name)
    context = SimpleNamespace(get_dummy_value=lambda: None)

    def build(module, symbol):
        arguments = [LLVM_TYPES[kind] for kind in operation.arguments]
        kind = ir.FunctionType(LLVM_TYPES[operation.result], arguments)
        function = ir.Function(module, kind, symbol)
        builder = ir.IRBuilder(function.append_basic_block())
        result = operation.lower(context, builder, None, function.args)
        builder.ret_void() if operation.result is types.void else builder.ret(result)

    with patch.object(jit, "target_key", lambda: cpu):
        text = assembled(build, *cpu)
    assert contents(text)["calls"] == (["sched_yield"] if name == "yield_core" else [])
    if name == "exchange_float_mode":
        read, written = {ARM: ("mrs", "msr"), X86: ("stmxcsr", "ldmxcsr")}[cpu[0]]
        assert 0 < text.index(read) < text.index(written)


# Where a function of these names is called, the bits and the speed are the C library's.
BESIDE_PYTHONS = ("exp10", "fma", "fmax", "fmin", "nearbyint", "rint", "round", "roundeven", "sincos")
MATHEMATICS = {name + suffix for name in (*dir(math), *BESIDE_PYTHONS) for suffix in ("", "f", "l")}
OWN = "the CPU of this run"
RUNS_AVX2 = {"avx2", "fma"} <= {name for name, there in llvm.get_host_cpu_features().items() if there}


@pytest.fixture(scope="module", params=["haswell", "x86-64", OWN])
def process(request):
    """What a process said that compiled everything for one CPU and computed a sample (see `assembly`)."""
    if jit.DISABLED:
        pytest.skip("NUMBA_DISABLE_JIT=1: nothing is compiled")
    if simd.machine() != "x86_64":
        pytest.skip("runs code for several CPUs of the x86-64 family")
    if request.param == "haswell" and not RUNS_AVX2:
        pytest.skip("this CPU has no AVX2 or no fused multiply-add")
    variables = os.environ | {"NUMBARNN_CACHE": "0"}
    if request.param != OWN:
        variables |= {"NUMBA_CPU_NAME": request.param, "NUMBA_CPU_FEATURES": ""}
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("assembly.py"))]
    child = subprocess.run(command, env=variables, capture_output=True, text=True)
    assert child.returncode == 0, child.stderr
    said = json.loads(child.stdout.splitlines()[-1])
    expected = simd.target() if request.param == OWN else CPUS[X86, request.param, ""]
    assert said["target"] == expected._asdict()
    return said


def test_all_code_is_examined(process):
    """Everything that the library obtained was compiled there and then, and stands in the list of code."""
    assert {how for _, how in process["obtained"]} == {"compiled"}
    names = [name for name, _ in process["code"]]
    for name, _ in process["obtained"]:
        generated = f"numbarnn_{name}_"
        assert any(found == name or found.startswith(generated) for found in names), name
    assert {"member", "launch", "run_alone", "tiles", "epilogue"} <= {name for name, _ in process["obtained"]}


def test_no_wider_vectors_than_the_cpu_has(process):
    """Nor narrower ones in tiles and epilogues. This CPU's own are found too, so wider ones would be."""
    bits = process["target"]["vector_bits"]
    assert max(found["widest"] for _, found in process["code"]) == bits
    assert {found["widest"] for name, found in process["code"] if name.startswith("numbarnn_")} == {bits}


def test_fused_multiply_add_where_the_cpu_has_it(process):
    for name, found in process["code"]:
        assert bool(found["fused"]) == (process["target"]["has_fma"] and name.startswith("numbarnn_")), name


def test_no_function_of_the_mathematical_library(process):
    """Tiles and epilogues call nothing at all; the loops none of these."""
    for name, found in process["code"]:
        calls = found["calls"]
        if name.startswith("numbarnn_"):
            assert not calls, name
        foreign = [call for call in calls if call in MATHEMATICS or call.startswith(("__svml", "_ZGV"))]
        assert not foreign, name


@pytest.mark.skipif(not config.BOUNDSCHECK or jit.DISABLED, reason="NUMBA_BOUNDSCHECK=1 is not set")
def test_indices_are_checked():
    """Also where code comes from the cache; so `make test-boundscheck` tests what it says."""
    with pytest.raises(IndexError):
        plan.build(2, 3, mask=np.ones((2, 2), np.bool_))
