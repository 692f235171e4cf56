"""`dynamic_rnn` and `bidirectional_dynamic_rnn` on arrays of a CUDA device, in Numba's simulator."""

import numpy as np
import on_devices
import pytest
from bits import same
from foreign import Standard
from models import every_model
from on_devices import LENGTHS, H, batch, of_kind, simulated
from written_cells import Wrapped

import numbarnn as nr
from numbarnn import nests

two = on_devices.two  # the fixture
pytestmark = [pytest.mark.cpu, simulated]  # they say themselves where they run


def on_device(arrays, number=0):
    return [Standard(array, number) for array in arrays]


@every_model
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["dense", "lengths"])
def test_results_lie_where_the_inputs_do(two, model, lengths):
    """Results of the same kind, on the inputs' device, with the bits of the layer there."""
    layer, sent, x, initial = batch(model)
    expected = sent(x, initial, lengths=lengths)
    for number in (0, 1):
        start = on_device(initial, number)
        y, state = nr.dynamic_rnn(layer.cell, Standard(x, number), lengths, start)
        same(of_kind([y, *nests.flatten(state)], number=number), expected)
    upper = nr.GRUCell(3, seed=2)
    outputs, states = nr.bidirectional_dynamic_rnn(
        upper, layer.cell, Standard(x, 1), lengths, initial_state_bw=on_device(initial, 1)
    )
    layers = nr.RNN(upper, True, True), nr.RNN(layer.cell, True, True, go_backwards=True)
    one, other = (
        layers[0](Standard(x), lengths=lengths),
        layers[1](Standard(x), on_device(initial), lengths=lengths),
    )
    got = of_kind([*outputs, *nests.flatten(states)], number=1)
    same([got[0], *got[2:]], of_kind([one[0], *one[1:], *other[1:]]))
    [reverse] = of_kind([other[0]])
    for b, n in enumerate([len(row) for row in x] if lengths is None else lengths):
        same([got[1][b, :n], got[1][b, n:]], [reverse[b, :n][::-1], 0 * reverse[b, n:]])


def test_ragged(two):
    layer, sent, x, _ = batch()
    values, offsets = x.reshape(-1, x.shape[-1])[:7].copy(), [0, 3, 3, 7]
    y, state = nr.dynamic_rnn(layer.cell, nr.Ragged(Standard(values), offsets))
    expected, *final = sent(nr.Ragged(values, offsets))
    same(of_kind([y.values, *state]), [expected.values, *final])


def test_refusals(two):
    """Every array of a call lies in one place; cells written in Python run in host memory."""
    layer, _, x, initial = batch()
    with pytest.raises(ValueError, match=r"^initial_state\[0\] lies in host memory, x on"):
        nr.dynamic_rnn(layer.cell, Standard(x), initial_state=initial)
    with pytest.raises(ValueError, match=r"^initial_state_bw\[1\] lies on .*, x in host memory"):
        mixed = [initial[0], Standard(initial[1])]
        nr.bidirectional_dynamic_rnn(layer.cell, layer.cell, x, initial_state_bw=mixed)
    with pytest.raises(ValueError, match=r"^inputs\['a'\] lies on a CUDA device, and the cell is written"):
        nr.dynamic_rnn(Wrapped(nr.GRUCell(H)), {"a": Standard(x)})
    with pytest.raises(TypeError, match=r"^inputs lies on a CUDA device with dtype float64"):
        nr.dynamic_rnn(layer.cell, Standard(x.astype(np.float64)))
