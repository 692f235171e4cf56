"""Cells written in Python run by the same rules as fused cells: longhand, the layers, recorded results."""

import itertools
import json

import ceiling
import golden.cases
import numpy as np
import oracle
import pytest
from bits import same
from golden import make_nested
from written_cells import LENGTHS, B, H, I, Nested, Sum, T, Wrapped, batch, ones, through_loop, ways

import numbarnn as nr
from numbarnn import nests

pytestmark = pytest.mark.cpu  # where cells written in Python run


def longhand(cell, x, initial, constants, valid, resets, length, go_backwards, zero_output):
    """One row, step by step: outputs in processing order (lists of leaves), the last, the final states."""
    times = list(range(length))[:: -1 if go_backwards else 1]
    output, _ = cell.call(nests.map_structure(lambda leaf: leaf[None, 0], x), constants)
    zeros = [np.zeros_like(leaf) for leaf in nests.flatten(output)]
    states, held, rows = initial, zeros, []
    for taken, t in enumerate(times):
        if resets[t + 1] if go_backwards and taken else resets[t] and not go_backwards:
            states, held = constants, zeros
        if valid[t]:
            output, new = cell.call(nests.map_structure(lambda leaf: leaf[None, t], x), states)  # noqa: B023
            held, states = nests.flatten(output), nests.pack_as(states, nests.flatten(new))
            rows.append(held)
        else:
            rows.append(zeros if zero_output else held)
    return rows, rows[-1] if rows else zeros, nests.flatten(states)


def patterns(kind, rng):
    """Mask or lengths, as arguments and as (valid, length) of each row."""
    if kind == "mask":
        mask = rng.random((B, T)) < 0.5
        mask[0], mask[1] = False, [False, True, True, False, True, False]
        return {"mask": mask}, mask, np.full(B, T)
    if kind == "lengths":
        return {"lengths": LENGTHS}, np.ones((B, T), bool), LENGTHS
    return {}, np.ones((B, T), bool), np.full(B, T)


SETTINGS = list(itertools.product(["dense", "mask", "lengths"], *[[False, True]] * 4))


@ways
@pytest.mark.parametrize("time_major", [False, True])
def test_every_leaf_follows_the_rules(run, time_major):
    """All sequences or the last; from constants of the rows' own or from given states."""
    rng, cell = np.random.default_rng(3), Nested()
    for kind, go_backwards, zero_output, cut, given in SETTINGS:
        x, constants = batch(rng), cell.get_initial_state(B)
        arguments, valid, lengths = patterns(kind, rng)
        resets = np.zeros((B, T), bool)
        if cut:
            arguments["resets"] = resets = rng.random((B, T)) < 0.4
        initial = nests.map_structure(lambda a: rng.standard_normal(a.shape).astype(a.dtype), constants)
        wanted = [
            longhand(
                cell, *(nests.map_structure(lambda leaf, r=rows: leaf[r], nest)
                        for nest, rows in ((x, b), (initial if given else constants, [b]), (constants, [b]))),
                valid[b], resets[b], lengths[b], go_backwards, zero_output,
            )
            for b in range(B)
        ]  # fmt: skip
        if time_major:
            arguments = {k: v if k == "lengths" else v.T for k, v in arguments.items()}
            x = nests.map_structure(lambda leaf: leaf.swapaxes(0, 1), x)
        for sequences in (False, True):
            y, states = run(
                cell, x, initial if given else None, **arguments, go_backwards=go_backwards,
                zero_output_for_mask=zero_output, time_major=time_major, return_sequences=sequences,
            )  # fmt: skip
            assert type(y) is tuple and list(y[1]) == ["grid", "count"]
            for k, leaf in enumerate(nests.flatten(y)):
                assert leaf.shape[2 if sequences else 1 :] == [(4,), (), (1, 2, 3)][k]
                leaf = leaf.swapaxes(0, 1) if sequences and time_major else leaf
                for b, (rows, last, _) in enumerate(wanted):
                    if not sequences:
                        same([leaf[b : b + 1]], [last[k]])
                        continue
                    ends = np.zeros_like(leaf[b, len(rows) :])
                    same([leaf[b]], [np.concatenate([*(row[k] for row in rows), ends])])
            for k, leaf in enumerate(nests.flatten(states)):
                same([leaf], [np.concatenate([final[k] for _, _, final in wanted])])


@ways
@pytest.mark.parametrize("make", [nr.LSTMCell, nr.GRUCell])
def test_a_fused_cell_called_from_python_has_the_same_bits(run, make):
    """Every kind of batch, direction, return and layout."""
    rng, cell = np.random.default_rng(5), make(H, seed=1)
    x = rng.standard_normal((B, T, I)).astype(np.float32)
    for kind, go_backwards, zero_output, cut, sequences in SETTINGS:
        time_major = bool(rng.integers(2))
        options = {"go_backwards": go_backwards, "zero_output_for_mask": zero_output}
        options |= {"return_sequences": sequences, "time_major": time_major}
        arguments = patterns(kind, rng)[0] | ({"resets": rng.random((B, T)) < 0.4} if cut else {})
        if time_major:
            arguments = {k: v if k == "lengths" else v.T for k, v in arguments.items()}
        given = x.swapaxes(0, 1) if time_major else x
        initial = [state + np.float32(0.3) for state in cell.get_initial_state(B)] if sequences else None
        y, *states = nr.RNN(cell, return_state=True, **options)(given, initial, **arguments)
        got, final = run(Wrapped(cell), given, initial, **arguments, **options)
        same([got, *final], [y, *states])


class NumpyLSTM:
    """The published equations, for a batch."""

    def __init__(self, weights):
        self.weights, self.state_size = weights, [len(weights[1])] * 2

    def call(self, inputs, states):
        return oracle.lstm(self.weights, inputs, states, np.tanh, oracle.sigmoid, oracle.matrix_sum)


@ways
def test_an_lstm_in_numpy_agrees_with_the_layer(run):
    """Both within what rounding explains of the exact result, and so of each other."""
    rng = np.random.default_rng(7)
    weights = [rng.uniform(-0.6, 0.6, shape).astype(np.float32) for shape in ((I, 4 * H), (H, 4 * H), 4 * H)]
    x, mask = rng.standard_normal((B, T, I)).astype(np.float32), rng.random((B, T)) < 0.6
    exact = oracle.run("lstm", weights, x, mask=mask, dtype=np.longdouble)
    limits = ceiling.run("lstm", weights, x, np.float32, mask=mask)
    layer = nr.LSTM(H, return_sequences=True, return_state=True)
    layer.set_weights(weights)
    y, *states = layer(x, mask=mask)
    for outputs, final in ((y, states), run(NumpyLSTM(weights), x, mask=mask, return_sequences=True)):
        for got, wanted, limit in zip(
            [outputs, *final], [exact[0], *exact[1]], [limits[0], *limits[1]], strict=True
        ):
            assert got.dtype == np.float32 and (abs(got - wanted) <= limit).all()


class GuideCell:
    """The nested cell of Keras' guide."""

    state_size = tuple(nr.Shape(*size) for size in make_nested.STATES)

    def __init__(self, kernels):
        self.kernels = kernels

    def call(self, inputs, states):
        outputs = (inputs[0] @ self.kernels[0], np.einsum("bij,ijkl->bkl", inputs[1], self.kernels[1]))
        return outputs, tuple(state + output for state, output in zip(states, outputs, strict=True))


@pytest.mark.parametrize("name", make_nested.RUNS)
@ways
def test_recorded_keras_on_the_guides_nested_cell(run, name):
    """Ours and theirs within the bound of any order of summation: (terms + 1) u times the absolute sum, where
    a state has T additions more.
    """
    recorded, runs = golden.cases.read("nested"), make_nested.RUNS
    assert json.loads(str(recorded[""]["runs"])) == json.loads(json.dumps(runs))
    options, names = runs[name]
    x, kernels, initial = make_nested.arguments()

    def call(how, convert):
        given = {"initial_state": [convert(state) for state in initial], "mask": make_nested.MASK}
        arrays = tuple(map(convert, x))
        cell = GuideCell([convert(kernel) for kernel in kernels])
        y, states = how(cell, arrays, **{key: given[key] for key in names}, **options)
        assert type(y) is tuple
        return [*y, *states]

    exact = call(through_loop, np.float64)
    absolute = call(through_loop, lambda array: abs(array.astype(np.float64)))
    theirs = [recorded[name][key] for key in ("output_1", "output_2", "state_1", "state_2")]
    products = [32, 64 * 32]
    for k, (got, their) in enumerate(zip(call(run, np.array), theirs, strict=True)):
        terms = products[k % 2] + (make_nested.T + 1 if k > 1 else 0)
        limit = (terms + 1) * np.finfo(np.float32).eps / 2 * absolute[k]
        assert got.dtype == their.dtype and got.shape == their.shape == exact[k].shape
        assert (abs(got - exact[k]) <= limit).all() and (abs(their - exact[k]) <= limit).all()
        assert abs(exact[k]).max() > 0


@ways
@pytest.mark.parametrize("sequences", [False, True])
@pytest.mark.parametrize(("rows", "steps"), [(0, 4), (2, 0), (0, 0)])
def test_no_step(run, sequences, rows, steps):
    """Outputs by output_size, states as they were."""
    x = {"flat": ones(rows, steps, 4), "deep": ones(rows, steps, 2, 2, 3)}
    y, states = run(Nested(), x, return_sequences=sequences)
    leading, sizes = (rows, steps) if sequences else (rows,), (nr.Shape(4), Nested.output_size[1])
    expected = nests.map_structure(lambda size: np.zeros((*leading, *size), np.float32), sizes)
    assert type(y) is tuple
    same(nests.flatten(y), nests.flatten(expected))
    same(nests.flatten(states), nests.flatten(Nested().get_initial_state(rows)))
    with pytest.raises(ValueError, match=r"^no step is taken, and the cell has no output_size"):
        run(Sum(), ones(rows, steps, I))


@ways
def test_no_row_has_a_step(run):
    y, states = run(Nested(), batch(np.random.default_rng(0)), lengths=0 * LENGTHS, return_sequences=True)
    assert y[1]["grid"].shape == (B, T, 1, 2, 3) and not any(leaf.any() for leaf in nests.flatten(y))
    same(nests.flatten(states), nests.flatten(Nested().get_initial_state(B)))


@ways
@pytest.mark.parametrize("go_backwards", [False, True])
@pytest.mark.parametrize("sequences", [False, True])
def test_ragged(run, go_backwards, sequences):
    """The bits of the padded batch with lengths; every leaf comes back ragged."""

    class Split:
        state_size, output_size = [I, nr.Shape()], [I, nr.Shape()]

        def call(self, inputs, states):
            new = [states[0] + inputs[:, 0], states[1] * np.float32(0.5) + inputs[:, 1, 0]]
            return [new[0] * new[0], new[1]], new

    rng = np.random.default_rng(2)
    values = rng.standard_normal((LENGTHS.sum(), 2, I)).astype(np.float32)
    ragged = nr.Ragged(values, np.cumsum([0, *LENGTHS]))
    flat = rng.random(len(values)) < 0.4
    resets = nr.Ragged(flat, ragged.offsets).to_padded(False)
    options = {"go_backwards": go_backwards, "return_sequences": sequences}
    y, states = run(Split(), ragged, resets=flat, **options)
    wanted, final = run(Split(), ragged.to_padded(), lengths=LENGTHS, resets=resets, **options)
    same(states, final)
    if sequences:
        inside = np.arange(T) < LENGTHS[:, None]
        assert all(type(leaf) is nr.Ragged and (leaf.offsets == ragged.offsets).all() for leaf in y)
        y, wanted = [leaf.values for leaf in y], [leaf[inside] for leaf in wanted]
    same(y, wanted)


def test_options_by_position():
    """As of a fused cell: return_sequences, then return_state."""
    x = batch(np.random.default_rng(0))
    y, *states = nr.RNN(Nested(), True, True)(x)
    expected, *finals = nr.RNN(Nested(), return_sequences=True, return_state=True)(x)
    same(nests.flatten([y, states]), nests.flatten([expected, finals]))
