"""A phase's graph as a CUDA device function, in Python source: the same lowered graph as the CPU's epilogue,
so the same polynomials, in the same order, each operation rounded once.

Every sum and product names its rounding (`fadd_rn`), since the compiler would else fuse some of them, and not
the same ones in every kernel. The simulator has none of these functions: it gets plain operators, which shows
the logic, not the bits.
"""

import numpy as np

from .jit_cuda import SIMULATED, cuda, libdevice
from .lowering import lower
from .trace import PRIMITIVES

PLAIN = {
    "add": "{} + {}",
    "sub": "{} - {}",
    "mul": "{} * {}",
    "div": "{} / {}",
    "fma": "{} * {} + {}",
    "neg": "-{}",
    "lt": "{} < {}",
    "le": "{} <= {}",
    "and": "{} and {}",
    "or": "{} or {}",
    "not": "not {}",
    "select": "{1} if {0} else {2}",
}
ON_DEVICE = {
    4: {
        "add": "fadd_rn({}, {})",
        "sub": "fsub_rn({}, {})",
        "mul": "fmul_rn({}, {})",
        "div": "fdiv_rn({}, {})",
        "fma": "fmaf_rn({}, {}, {})",
        "abs": "fabsf({})",
        "copysign": "copysignf({}, {})",
        "rint": "fsub_rn(fadd_rn({}, ROUND), ROUND)",
        "pow2": "int_as_float(int32((float_as_int({}) << 23) + ONE_BITS))",
        "exponent": "fsub_rn(int_as_float(int32((float_as_int({}) >> 23) + EXPONENT_BITS)), ROUND)",
    },
    8: {
        "add": "dadd_rn({}, {})",
        "sub": "dadd_rn({}, -{})",
        "mul": "dmul_rn({}, {})",
        "div": "ddiv_rn({}, {})",
        "fma": "fma_rn({}, {}, {})",
        "abs": "fabs({})",
        "copysign": "copysign({}, {})",
        "rint": "dadd_rn(dadd_rn({}, ROUND), -ROUND)",
        "pow2": "longlong_as_double((double_as_longlong({}) << 52) + ONE_BITS)",
        "exponent": "dadd_rn(longlong_as_double((double_as_longlong({}) >> 52) + EXPONENT_BITS), -ROUND)",
    },
}


def _limits(dtype):
    """Where the bits of a number of this type begin and what its 1 looks like, for `pow2`, `exponent` and
    `rint`; see `simd.Vectors`, which does the same.
    """
    mantissa = 23 if dtype.itemsize == 4 else 52
    one = (1 << 8 * dtype.itemsize - 2) - (1 << mantissa)
    shifted = (mantissa << mantissa) + (1 << mantissa - 1)
    bias = (one >> mantissa) - 1
    integer = np.int32 if dtype.itemsize == 4 else np.int64
    names = {"ROUND": dtype.type(1.5 * 2.0**mantissa), "ONE_BITS": integer(one)}
    return names | {"EXPONENT_BITS": integer(one + shifted - bias), "int32": np.int32}


# What a function reads beside sums: its k-th such value, the n-th extra input.
READ = {
    "vector": "values[places[{k}] + at]",
    "parameter": "weights[places[{k}] + unit]",
    "extra": "extra[{n}][x_row * places[{k}] + unit]",
    "extra per row": "extra[{n}][x_row]",
}


def source(graph, sums, kinds, dtype, simulated=SIMULATED):
    """The function's text, and what it refers to by name.

    Returns
    -------
    text : str
        ``def epilogue(...)``, one line per operation; see `epilogue`.
    names : dict
        Constants, of `dtype`, and the functions of the device or of NumPy.
    """
    dtype = np.dtype(dtype)
    lowered = lower(graph, dtype)
    table = PLAIN if simulated else PLAIN | ON_DEVICE[dtype.itemsize]
    names = dict(PRIMITIVES) if simulated else _limits(dtype) | vars(libdevice)
    read = [name for name in graph.inputs if name not in sums]
    inputs = {name: f"sums[row, {a}]" for a, name in enumerate(sums)}
    for k, (name, (kind, n)) in enumerate(zip(read, kinds, strict=True)):
        inputs[name] = READ[kind].format(k=k, n=n)
    lines = [f"i{k} = {inputs[name]}" for k, name in enumerate(graph.inputs)]

    def constant(value):
        name = f"c{len(names)}"
        names[name] = dtype.type(value)
        return name

    def primitive(op, *values):
        form = table.get(op, f"{op}({', '.join(['{}'] * len(values))})")
        lines.append(f"v{len(lines)} = {form.format(*values)}")
        return f"v{len(lines) - 1}"

    results = lowered.interpret({name: f"i{k}" for k, name in enumerate(graph.inputs)}, constant, primitive)
    lines += [f"values[places[{len(read) + k}] + at] = {value}" for k, value in enumerate(results)]
    head = "def epilogue(sums, row, values, places, at, weights, extra, x_row, unit):"
    return "\n    ".join([head, *lines]), names


def epilogue(graph, sums, kinds, dtype):
    """The device function ``f(sums, row, values, places, at, weights, extra, x_row, unit)``.

    ``sums[row]`` are the accumulators, in the order of the names `sums`; of what else the graph reads,
    `kinds` are the kinds, pairs of a key of `READ` and the number of an extra input. ``values`` holds all
    vectors; those that the graph reads, and then those it computes, begin at ``places``, and this row and
    unit stand ``at`` elements further. A parameter begins at its place in ``weights``. ``extra`` is a tuple
    of arrays, whose row is ``x_row`` and has as many elements as its place says. Inputs are read before
    results are written: a result may be an input.
    """
    text, names = source(graph, sums, kinds, dtype)
    exec(compile(text, f"<epilogue {graph.key}>", "exec"), names)
    return cuda.jit(device=True, forceinline=True)(names["epilogue"])
