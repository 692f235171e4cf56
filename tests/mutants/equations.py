"""Faults of what one unit computes."""

from .mutation import TRUTH, Mutation

EQUATIONS, MATHFN, LOWERING = "kernels/equations.py", "kernels/mathfn.py", "kernels/lowering.py"

MUTATIONS = [
    Mutation(
        "LSTM: input and forget gate change places",
        EQUATIONS,
        "recurrent_activation(f) * c + recurrent_activation(i) * activation(g)",
        "recurrent_activation(i) * c + recurrent_activation(f) * activation(g)",
    ),
    Mutation(
        "LSTM: the candidate is squashed like a gate",
        EQUATIONS,
        "recurrent_activation(i) * activation(g)",
        "recurrent_activation(i) * recurrent_activation(g)",
    ),
    Mutation(
        "LSTM: the output shows the old cell state",
        EQUATIONS,
        """    c = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
    return recurrent_activation(o) * activation(c), c
""",
        """    new = recurrent_activation(f) * c + recurrent_activation(i) * activation(g)
    return recurrent_activation(o) * activation(c), new
""",
    ),
    Mutation(
        "GRU: update and reset gate change places",
        EQUATIONS,
        """    n = activation(n_x + recurrent_activation(r) * n_h)
    return _mix(recurrent_activation(z), h, n)
""",
        """    n = activation(n_x + recurrent_activation(z) * n_h)
    return _mix(recurrent_activation(r), h, n)
""",
    ),
    Mutation(
        "GRU: z and 1 - z change places",
        EQUATIONS,
        "return z * h + (1.0 - z) * n",
        "return (1.0 - z) * h + z * n",
    ),
    Mutation(
        "GRU, reset after: the candidate is not reset",
        EQUATIONS,
        "n_x + recurrent_activation(r) * n_h",
        "n_x + n_h",
    ),
    Mutation(
        "GRU, reset before: the candidate is not reset",
        EQUATIONS,
        "return recurrent_activation(z), recurrent_activation(r) * h",
        "return recurrent_activation(z), h",
    ),
    Mutation(
        "sigmoid is clipped at 16",
        MATHFN,
        "limited = _at_most(-real.one_low, _at_least(real.exp_low, x))",
        "limited = _at_most(16.0, _at_least(-16.0, x))",
        ("edges", "golden", "functions"),
    ),
    Mutation(
        "tanh goes one eps beyond 1",
        MATHFN,
        "far = 1.0 - 2.0 / fma(power, p, 1.0 + power)",
        "far = (1.0 - 2.0 / fma(power, p, 1.0 + power)) * (1.0 + 8.0 * real.tiny)",
        ("functions",),
    ),
    Mutation(
        "a closed gate leaks",
        LOWERING,
        "falling(x, real.exp_low, real, real.exp, real.scale)",
        "falling(x, real.one_low, real, real.exp, real.scale)",
        ("products",),
    ),
    Mutation(
        "small products of a gate and a tanh are lost",
        LOWERING,
        "lines.append(a / (b * d) * c)",
        "lines.append((a * 1e-20) * c / (b * d) * 1e20)",
        ("products",),
    ),
    Mutation(
        "float64 has the polynomials of float32",
        LOWERING,
        "real = REALS[np.dtype(dtype)]",
        "real = REALS[np.dtype(np.float32)]",
        (*TRUTH, "functions"),
    ),
    Mutation(
        "a limit swallows NaN",
        MATHFN,
        "return where(x < low, low, x)",
        "return where(x > low, x, low)",
        ("edges", "functions"),
    ),
    Mutation(
        "one compiled equation for all activations",
        "kernels/emit_cpu.py",
        "key = (graph.text, tuple(sums),",
        "key = (tuple(sums),",
    ),
]
