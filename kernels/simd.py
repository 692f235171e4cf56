"""Vectors: what the target CPU has, and a builder of vector operations in LLVM IR, none of which is a library
call.
"""

from typing import NamedTuple

import numpy as np
from llvmlite import ir
from numba.core import cgutils

from . import jit

I32, I64, BYTE_POINTER = ir.IntType(32), ir.IntType(64), ir.IntType(8).as_pointer()

AVX512_CPUS = (
    "skylake-avx512",
    "cascadelake",
    "cooperlake",
    "icelake",
    "rocketlake",
    "tigerlake",
    "sapphirerapids",
    "emeraldrapids",
    "graniterapids",
    "diamondrapids",
    "znver4",
    "znver5",
    "x86-64-v4",
)
AVX2_CPUS = (
    "haswell",
    "broadwell",
    "skylake",
    "alderlake",
    "raptorlake",
    "meteorlake",
    "znver1",
    "znver2",
    "znver3",
    "x86-64-v3",
)


X86 = ("x86_64", "i386", "i686")


class Target(NamedTuple):
    """The vector unit that code is generated for: its widest registers (bits, how many) and whether it
    multiplies and adds in one go.
    """

    name: str
    vector_bits: int
    registers: int
    has_fma: bool

    def lanes(self, dtype):
        return self.vector_bits // (8 * np.dtype(dtype).itemsize)


def machine():
    """The architecture that code is generated for: "x86_64", "aarch64", ..."""
    name = jit.target_key()[0].split("-")[0]
    return {"amd64": "x86_64", "arm64": "aarch64"}.get(name, name)


def target():
    """The target as Numba's code generator sees it, not the host: NUMBA_CPU_NAME and NUMBA_CPU_FEATURES are
    followed.

    Of a listed feature the list decides, of any other the CPU's name, as in the code generator itself.
    """
    _, cpu, _ = jit.target_key()
    if machine() == "aarch64":
        return Target(cpu, 128, 32, True)
    if machine() not in X86 or not (_has("avx2") and _has("fma")):
        return Target(cpu, 128, 16, False)
    return Target(cpu, 512, 32, True) if _has("avx512f") else Target(cpu, 256, 16, True)


def widens_float16():
    """Whether the target has an instruction for it, so that no library is called for every number."""
    return machine() == "aarch64" or (machine() in X86 and _has("f16c"))


def _has(feature):
    """Whether an x86 target has AVX-512F, or one of those that every CPU with it has, AVX2, FMA and F16C."""
    _, cpu, features = jit.target_key()
    listed, by_name = features.split(","), cpu.startswith(AVX512_CPUS)
    if feature != "avx512f":
        by_name = by_name or cpu in AVX2_CPUS or "+avx512f" in listed
    return "-avx" not in listed and (f"+{feature}" in listed or (by_name and f"-{feature}" not in listed))


class Vectors:
    """Emits operations on vectors of `lanes` elements of `dtype` at the position of an IR builder.

    Loads and stores assume the alignment of one element only. `fma` is one rounding where the target has it,
    else a product and a sum.
    """

    def __init__(self, builder, dtype, lanes, has_fma):
        self.builder, self.lanes, self.has_fma = builder, lanes, has_fma
        self.itemsize = np.dtype(dtype).itemsize
        double = self.itemsize == 8
        self.element = ir.DoubleType() if double else ir.FloatType()
        self.integer = ir.IntType(8 * self.itemsize)
        self.type = ir.VectorType(self.element, lanes)
        self.integers = ir.VectorType(self.integer, lanes)
        self.mantissa_bits = 52 if double else 23
        self.one_bits = 1023 << 52 if double else 127 << 23
        self.round = (
            1.5 * 2.0**self.mantissa_bits
        )  # added and taken away, it leaves a whole number, ties to even

    def constant(self, value):
        return ir.Constant(self.type, [ir.Constant(self.element, float(value))] * self.lanes)

    def load(self, pointer):
        loaded = self.builder.load(self.builder.bitcast(pointer, self.type.as_pointer()))
        loaded.align = self.itemsize
        return loaded

    def load_one(self, pointer):
        """One element, in all lanes."""
        loaded = self.builder.load(self.builder.bitcast(pointer, self.element.as_pointer()))
        loaded.align = self.itemsize
        return self.splat(loaded)

    def store(self, vector, pointer):
        self.builder.store(
            vector, self.builder.bitcast(pointer, self.type.as_pointer())
        ).align = self.itemsize

    def splat(self, scalar):
        empty = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(empty, scalar, I32(0))
        return self.builder.shuffle_vector(
            first, empty, ir.Constant(ir.VectorType(I32, self.lanes), [0] * self.lanes)
        )

    def _intrinsic(self, name, *arguments):
        kind = ir.FunctionType(self.type, [self.type] * len(arguments))
        full_name = f"{name}.v{self.lanes}f{8 * self.itemsize}"
        return self.builder.call(
            cgutils.get_or_insert_function(self.builder.module, kind, full_name), arguments
        )

    def _repeat(self, integer):
        return ir.Constant(self.integers, [self.integer(integer)] * self.lanes)

    def fma(self, a, b, c):
        if self.has_fma:
            return self._intrinsic("llvm.fma", a, b, c)
        return self.builder.fadd(self.builder.fmul(a, b), c)

    def pow2(self, number):
        """2**k from the bits of k + round, whose low ones are k itself: no conversion, so a NaN does no
        harm.
        """
        bits = self.builder.bitcast(number, self.integers)
        shifted = self.builder.shl(bits, self._repeat(self.mantissa_bits))
        return self.builder.bitcast(self.builder.add(shifted, self._repeat(self.one_bits)), self.type)

    def exponent(self, a):
        """The whole k with 2**(k - 1) <= a < 2**k from the bits of a normal a > 0, added to those of round:
        no conversion, so other values do no harm.
        """
        biased = self.builder.lshr(self.builder.bitcast(a, self.integers), self._repeat(self.mantissa_bits))
        bias = (self.one_bits >> self.mantissa_bits) - 1
        exponent, half = self.mantissa_bits << self.mantissa_bits, 1 << self.mantissa_bits - 1
        bits = self.builder.add(biased, self._repeat(self.one_bits + exponent + half - bias))
        return self.builder.fsub(self.builder.bitcast(bits, self.type), self.constant(self.round))

    def primitive(self, op, *arguments):
        """One of `trace.PRIMITIVES`. `rint` holds for magnitudes below 2**22, which is all that `mathfn`
        asks.
        """
        builder = self.builder
        match op:
            case "add" | "sub" | "mul" | "div":
                return getattr(builder, "f" + op)(*arguments)
            case "neg":
                return builder.fneg(*arguments)
            case "fma":
                return self.fma(*arguments)
            case "pow2":
                return self.pow2(*arguments)
            case "exponent":
                return self.exponent(*arguments)
            case "rint":
                shifted = builder.fadd(*arguments, self.constant(self.round))
                return builder.fsub(shifted, self.constant(self.round))
            case "abs":
                return self._intrinsic("llvm.fabs", *arguments)
            case "copysign":
                return self._intrinsic("llvm.copysign", *arguments)
            case "lt":
                return builder.fcmp_ordered("<", *arguments)
            case "le":
                return builder.fcmp_ordered("<=", *arguments)
            case "and":
                return builder.and_(*arguments)
            case "or":
                return builder.or_(*arguments)
            case "not":
                return builder.not_(*arguments)
            case "select":
                return builder.select(*arguments)
        raise KeyError(op)
