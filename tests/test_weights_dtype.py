"""Weights in 16 bits: the very bits of a float32 layer whose matrices were rounded beforehand.

The rounding here is arithmetic on significands and knows nothing of bits; biases and parameters keep all of
theirs, so a bias that were rounded too would be seen.
"""

import copy
import pickle
import re

import llvmlite.binding as llvm
import numpy as np
import pytest
import users_cells
from bits import same
from processes import printed

import numbarnn as nr
from numbarnn import costs, dispatch, places
from numbarnn.kernels import halves, jit, matrices, simd

pytestmark = pytest.mark.cpu
compiled = pytest.mark.skipif(jit.DISABLED, reason="about compiled code; NUMBA_DISABLE_JIT=1 is set")
unread = pytest.mark.skipif(
    not (jit.DISABLED or simd.widens_float16()), reason="this target has no instruction that reads float16"
)
every_kind = pytest.mark.parametrize("kind", [pytest.param("float16", marks=unread), "bfloat16"])
# Significant bits, and the least exponent of a normal number.
PRECISION = {"float16": (11, -14), "bfloat16": (8, -126)}


def nearest(values, kind):
    """float32 numbers rounded to a 16-bit kind, ties to even."""
    significant, least = PRECISION[kind]
    exact = values.astype(np.float64)
    place = np.maximum(np.frexp(exact)[1] - 1, least) - significant + 1
    return np.ldexp(np.rint(np.ldexp(exact, -place)), place).astype(np.float32)


def oscillators(units, **options):
    for_cell = {name: options.pop(name) for name in ("weights_dtype", "seed") if name in options}
    return nr.RNN(nr.FusedCell(users_cells.OSCILLATORS, units, ears=units // 2 + 1, **for_cell), **options)


def mingru(units, weights_dtype=None, **options):
    return nr.RNN(nr.FusedCell(users_cells.MINGRU, units, weights_dtype=weights_dtype), **options)


def reset_before(units, **options):
    return nr.GRU(units, reset_after=False, **options)


MADE = {
    "lstm": nr.LSTM,
    "gru": nr.GRU,
    "gru_before": reset_before,
    "simple": nr.SimpleRNN,
    "oscillators": oscillators,
    "mingru": mingru,
}
every_cell = pytest.mark.parametrize("make", MADE.values(), ids=MADE)


def fill(layer, kind, seed=1, narrow=True):
    """Give the layer random weights, of which, unless it is `narrow`, matrices are rounded.

    Most are small, some so small that they are subnormal or vanish, and some lie in the middle of two.
    """
    rng, features, arrays = np.random.default_rng(seed), layer.input_size, []
    for cell in layer.cells:
        for name, shape in cell.shapes(features).items():
            small = 2.0 ** -rng.choice([0, 0, 0, 9, 23], shape)
            drawn = (rng.normal(scale=sum(shape) ** -0.5, size=shape) * small).astype(np.float32)
            halfway = drawn.view(np.uint32) & np.uint32(0xFFFF8000) | np.uint32(0x8000)
            drawn = np.where(rng.random(shape) < 0.1, halfway.view(np.float32), drawn)
            rounds = not narrow and name in matrices.matrices(cell.definition)
            arrays.append(nearest(drawn, kind) if rounds else drawn)
        features = cell.output_size
    layer.set_weights(arrays)
    return layer


def pair(make, kind, features, *sizes, **options):
    """A layer with weights in 16 bits, and one of float32 with the rounded ones."""
    layers = [make(*sizes, weights_dtype=name, **options) for name in (kind, None)]
    for layer in layers:
        layer.build(features)
    return [fill(layer, kind, narrow=narrow) for layer, narrow in zip(layers, (True, False), strict=True)]


def flat(result):
    """All arrays of a result."""
    if not isinstance(result, (list, tuple)):
        return [result]
    return [array for part in result for array in flat(part)]


def given_to(layer, B, T, features, seed=3):
    """Inputs, and all the extra inputs that the layer asks of."""
    rng = np.random.default_rng(seed)
    extra = {n: rng.random((B, T, s) if s else (B, T), np.float32) for n, s in layer.extra_sizes.items()}
    return rng.standard_normal((B, T, features), np.float32), extra or None


ALL = {"return_sequences": True, "return_state": True}
# B, T, I, H: all different; of the units' blocks one, several, and more than a tile takes.
SIZES = [(1, 4, 3, 5), (2, 3, 7, 19), (5, 4, 2, 33), (13, 2, 5, 70), (1, 9, 6, 150), (7, 1, 0, 3)]
SIZES += [(29, 3, 4, 11)]


def all_bits_of(kind):
    """Every number of 16 bits, as float32."""
    return halves.from_bits(np.arange(1 << 16, dtype=np.uint16), kind)


@pytest.mark.parametrize("kind", halves.DTYPES)
def test_rounding(kind):
    """Every number stays, ties go to the even one, what lies beside a tie goes to the nearer."""
    numbers = all_bits_of(kind)
    same([halves.rounded(numbers, kind)], [numbers])
    finite = np.unique(numbers[np.isfinite(numbers)])
    assert len(finite) == {"float16": 63487, "bfloat16": 65279}[kind]
    with np.errstate(over="ignore"):
        middle = ((finite[1:].astype(np.float64) + finite[:-1]) / 2).astype(np.float32)
        beside = np.nextafter([middle, middle], np.float32([[np.inf], [-np.inf]]))
    drawn = np.random.default_rng(0).integers(0, 1 << 32, 300_000, np.uint32).view(np.float32)
    drawn = drawn[abs(drawn) < finite[-1]]
    for values in (middle, *beside, drawn):
        np.testing.assert_array_equal(halves.rounded(values, kind), nearest(values, kind), strict=True)
    nan = np.array([0x7F800001, 0x7FFFFFFF, 0xFF800001, 0xFFFFFFFF], np.uint32).view(np.float32)
    assert np.isnan(halves.rounded(nan, kind)).all()


@every_kind
@every_cell
@pytest.mark.parametrize("sizes", SIZES, ids=str)
def test_any_size(make, kind, sizes):
    B, T, features, units = sizes
    layer, plain = pair(make, kind, features, units, **ALL)
    x, extra = given_to(layer, B, T, features)
    same(layer(x, extra=extra), plain(x, extra=extra))


@every_kind
@every_cell
def test_any_batch(make, kind):
    """Lengths, masks, resets, both ways and both orders of axes."""
    B, T, features, units, rng = 9, 6, 4, 21, np.random.default_rng(5)
    lengths = rng.permutation([0, 1, T, *rng.integers(0, T + 1, B - 3)])
    mask, resets = rng.random((2, B, T)) < 0.6
    for options in ({}, {"go_backwards": True}, {"time_major": True}, {"return_sequences": False}):
        layer, plain = pair(make, kind, features, units, **ALL | options)
        x, extra = given_to(layer, B, T, features)
        described = [
            {"lengths": lengths},
            {"mask": mask},
            {"resets": resets},
            {"mask": mask, "resets": resets},
        ]
        for given in described:
            if "time_major" in options:
                given = {name: value if name == "lengths" else value.T for name, value in given.items()}
            axes = (lambda a: a.swapaxes(0, 1)) if "time_major" in options else (lambda a: a)
            given["extra"] = extra and {name: axes(value) for name, value in extra.items()}
            same(layer(axes(x), **given), plain(axes(x), **given))


@compiled
@every_kind
@every_cell
def test_any_schedule(make, kind, monkeypatch):
    """Rows or units divided among threads; a row alone has the bits that it has in company."""
    layer, plain = pair(make, kind, 5, 83, **ALL)
    x, extra = given_to(layer, 11, 4, 5)
    expected = plain(x, extra=extra)
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    for schedule, threads in (("single", 1), ("rows", 2), ("rows", 3), ("units", 2), ("units", 3)):
        monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
        same(layer(x, extra=extra, n_threads=threads), expected)
    for b in range(len(x)):
        row = slice(b, b + 1)
        own = extra and {name: value[row] for name, value in extra.items()}
        same(layer(x[row], extra=own), [array[row] for array in expected])


@every_kind
@every_cell
def test_step_by_step(make, kind):
    """A stepper, the cell itself, and a stateful layer in pieces."""
    layer, plain = pair(make, kind, 4, 18, **ALL)
    x, extra = given_to(layer, 3, 5, 4)
    y, *states = plain(x, extra=extra)
    stepper, at, steps = layer.stepper(3), layer.cell.get_initial_state(3), range(x.shape[1])
    for t in steps:
        own = extra and {name: value[:, t] for name, value in extra.items()}
        same([stepper(x[:, t], extra=own)], [y[:, t]])
        output, at = layer.cell(x[:, t], at, extra=own)
        same([output], [y[:, t]])
    same([*stepper.states, *at], states * 2)
    kept, _ = pair(make, kind, 4, 18, stateful=True, **ALL)
    pieces = [slice(0, 1), slice(1, 1), slice(1, 5)]
    parts = [kept(x[:, p], extra=extra and {n: v[:, p] for n, v in extra.items()}) for p in pieces]
    same([np.concatenate([part[0] for part in parts], axis=1), *parts[-1][1:]], [y, *states])


@every_kind
def test_layers_around_it(kind):
    """Two directions, stacks of cells of which one has 16 bits, wrappers, dropout, dense layers."""
    x = np.random.default_rng(2).standard_normal((4, 5, 6), np.float32)
    both = [nr.Bidirectional(layer) for layer in pair(nr.GRU, kind, 6, 11, **ALL)]
    for two, layer in zip(both, pair(nr.GRU, kind, 6, 11, **ALL), strict=True):
        two.build(6)
        two.set_weights([*layer.get_weights(), *(-array for array in layer.get_weights())])
    same(flat(both[0](x, lengths=[5, 0, 1, 3])), flat(both[1](x, lengths=[5, 0, 1, 3])))

    def stack(units, weights_dtype, **options):
        cells = [nr.LSTMCell(units, weights_dtype=weights_dtype, dropout=0.25, recurrent_dropout=0.5, seed=3)]
        return nr.RNN([*cells, nr.SimpleRNNCell(units + 2)], **options)

    layer, plain = pair(stack, kind, 6, 9, **ALL)
    plain.set_weights([*plain.get_weights()[:3], *layer.get_weights()[3:]])  # the second cell rounds nothing
    for training in (False, True):
        same(flat(layer(x, training=training)), flat(plain(x, training=training)))
    wrapped = [nr.tf1.ResidualWrapper(one.cell) for one in pair(nr.LSTM, kind, 6, 6)]
    same(*(flat(nr.dynamic_rnn(cell, x, dtype="float32")) for cell in wrapped))
    dense = [nr.Dense(7, "softmax", weights_dtype=name) for name in (kind, None)]
    W, b = np.random.default_rng(4).standard_normal((7, 7), np.float32)[:6], np.float32([0.1] * 7)
    dense[0](x), dense[1](x)
    dense[0].set_weights([W, b])
    dense[1].set_weights([nearest(W, kind), b])
    same([dense[0](x)], [dense[1](x)])


@every_kind
def test_weights_come_back_as_given(kind):
    """Unrounded, from any float dtype; copies and pickles keep them, and what is drawn is not rounded."""
    layer, _ = pair(nr.LSTM, kind, 3, 10, **ALL)
    weights, x = layer.get_weights(), np.ones((2, 4, 3), np.float32)
    assert all(array.dtype == np.float32 for array in weights)
    assert (nearest(weights[0], kind) != weights[0]).any()
    expected = layer(x)
    for other in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        same(other.get_weights(), weights)
        same(other(x), expected)
        assert other.weights_dtype == other.cell.weights_dtype == kind
        assert other.cell.program.weights_dtype == kind
    layer.set_weights([array.astype(np.float64) + 1e-12 for array in weights])
    same(layer.get_weights(), [(array + 1e-12).astype(np.float32) for array in weights])
    drawn = [nr.GRU(6, seed=2, weights_dtype=name) for name in (kind, None)]
    for one in drawn:
        one.build(3)
    same(drawn[0].get_weights(), drawn[1].get_weights())


@every_kind
def test_weights_that_are_no_numbers(kind):
    """NaN and infinity are kept, and reach what they multiply."""
    layer, plain = pair(nr.LSTM, kind, 3, 10, **ALL)
    kernel, *others = plain.get_weights()
    kernel = kernel.copy()
    kernel[1, 7], kernel[2, 12], kernel[0, 31] = np.nan, np.inf, -np.inf
    results = []
    for one in (layer, plain):
        one.set_weights([kernel, *others])
        results.append(one(np.random.default_rng(0).standard_normal((3, 4, 3), np.float32)))
    assert np.isnan(results[0][0]).any() and not np.isnan(results[0][0]).all()
    same(*results)


@compiled
@every_kind
def test_nothing_compiles_late(kind):
    """After `warmup`, whatever the shape; and half the bytes are counted, which `explain` tells of."""
    layer, plain = pair(nr.GRU, kind, 20, 40)
    nr.warmup(layer)
    known = len(jit.compilations)
    for B, T in ((1, 1), (3, 2), (8, 5)):
        layer(np.ones((B, T, 20), np.float32), mask=np.ones((B, T), bool))
    layer.stepper(2)(np.ones((2, 20), np.float32))
    assert len(jit.compilations) == known
    programs = layer.cell.program, plain.cell.program
    units = plain.cell.program.target.lanes("float32") * plain.cell.program.unit_blocks
    assert programs[0].weight_bytes * 2 == programs[1].weight_bytes == 4 * (20 + 40) * 3 * units
    stored = [sum(panels.nbytes for panels in program.panels) for program in programs]
    biases = 4 * 4 * 48  # of the sums, in whole vectors, at most
    assert stored[0] - biases <= (stored[1] - biases) / 2 + 64 * programs[0].unit_blocks
    x = np.ones((1, 2, 20), np.float32)
    assert [one.explain(x).weights for one in (layer, plain)] == [kind, "float32"]
    assert f"weights in {kind}" in str(layer.explain(x))
    assert repr(layer).endswith(f"float32, weights in {kind}>>") and "weights" not in repr(plain)


def refused(error, message, call, *arguments, **options):
    with pytest.raises((TypeError, ValueError)) as caught:
        call(*arguments, **options)
    assert caught.type is error and re.search(message, str(caught.value)), repr(caught.value)


@every_kind
def test_refusals(kind, monkeypatch):
    """The other dtype, devices, what is no cell of ours."""
    for make in (nr.LSTM, nr.GRUCell, nr.Dense):
        message = f"weights_dtype = '{kind}' with dtype = 'float64'; expected dtype 'float32'"
        refused(ValueError, message, make, 3, dtype="float64", weights_dtype=kind)
    refused(TypeError, "'weights_dtype'", nr.RNN, nr.LSTMCell(3), weights_dtype=kind)
    on_device = f"weights_dtype = '{kind}'; expected None on a CUDA device"
    refused(ValueError, on_device, nr.LSTM, 3, weights_dtype=kind, device="cuda")
    refused(ValueError, on_device, nr.Dense, 3, weights_dtype=kind, device="cuda")
    layer, x = nr.RNN([nr.GRUCell(3), nr.LSTMCell(4, weights_dtype=kind)]), np.ones((2, 5, 3), np.float32)
    cell, dense, stepper = (
        nr.GRUCell(3, weights_dtype=kind),
        nr.Dense(3, weights_dtype=kind),
        layer.stepper(2),
    )
    layer.build(3)
    monkeypatch.setattr(places, "device_of", lambda device, x=None: "a device")
    for call in (layer, layer.explain, nr.Bidirectional(layer), dense):
        refused(ValueError, on_device, call, x)
    refused(ValueError, on_device, cell, x[:, 0], cell.get_initial_state(2))
    refused(ValueError, on_device, stepper._step_arranged, x[:, 0], None, None)


@every_kind
def test_weights_out_of_range(kind):
    """What would become infinite, by the name of its array; the old weights stay. The largest are taken."""
    largest = all_bits_of(kind)
    largest = largest[np.isfinite(largest)].max()
    least = np.float32({"float16": 65520, "bfloat16": 2.0**128 - 2.0**119}[kind])
    assert np.isinf(halves.rounded(np.array([least]), kind)).all()
    layer, _ = pair(nr.LSTM, kind, 3, 2)
    kept = layer.get_weights()
    for k, name in enumerate(("kernel", "recurrent_kernel")):
        weights = [array.copy() for array in kept]
        weights[k][1, 5] = -least
        refused(
            ValueError,
            rf"^{name} has 1 value\(s\), such as -.*weights_dtype = '{kind}'",
            layer.set_weights,
            weights,
        )
        same(layer.get_weights(), kept)
        weights[k][1, 5] = np.nextafter(least, np.float32(0))
        layer.set_weights(weights)
        assert layer.cell.program.weights.block(0, "xh"[k], 2)[1, 1] == largest
        layer.set_weights(kept)
    kept = [*kept[:2], np.full_like(kept[2], 3e38)]
    layer.set_weights(kept)
    same(layer.get_weights(), kept)
    of_all = nr.GRU(3, kernel_initializer=lambda shape: np.full(shape, 3.4e38), weights_dtype=kind)
    refused(ValueError, "^kernel has 18 value", of_all.build, 2)
    assert of_all.get_weights() == []


CPUS = {
    "AVX2": ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": ""}, 256, []),
    "SSE2": ({"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": ""}, 128, ["float16"]),
    "AVX without F16C": ({"NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "-f16c"}, 256, ["float16"]),
    "not compiled": ({"NUMBA_DISABLE_JIT": "1"}, None, []),
}
x86 = pytest.mark.skipif(simd.machine() != "x86_64", reason="names x86 CPUs")


@x86
@pytest.mark.parametrize(("variables", "bits", "refused"), CPUS.values(), ids=CPUS)
def test_other_code(variables, bits, refused):
    """Narrower vectors, no fused multiply-add, no instruction that reads float16, no compiler."""
    has = llvm.get_host_cpu_features()
    if bits == 256 and not (has.get("avx2") and has.get("fma")):
        pytest.skip("this CPU has no AVX2 and FMA")
    found = printed("weights_dtype_process.py", **{"NUMBA_DISABLE_JIT": None} | variables)
    assert found["bits"] == bits
    for kind in halves.DTYPES:
        if kind in refused:
            assert re.search("weights_dtype = 'float16'.*F16C.*'bfloat16'", found[kind])
        else:
            assert found[kind] == "same"
