"""Users' own cells on CUDA devices: vectors of several sizes, parameters, extra inputs.

In Numba's simulator, which shows the logic but not the bits: there they are within the bound of the longhand.
By the emulator, where they have the bits of the CPU's kernels.
"""

import numpy as np
import on_devices
import pytest
from bits import same, take
from directions import turned
from emulator import EmulatedDevice, needs_emulator
from foreign import Standard
from on_devices import of_kind, strided
from oracle import sigmoid
from tolerance import assert_close
from users_cells import lstm
from users_cells_oracle import USERS, Users, expect, gap, share

import numbarnn as nr
from numbarnn import device, schedules_cuda
from numbarnn.device import SimulatedDevice
from numbarnn.kernels.jit_cuda import SIMULATED
from numbarnn.kernels.program_cuda import prepared
from numbarnn.schedules_cuda import SIMULATED_TILES, TILES

two = on_devices.two  # the fixture
simulated = on_devices.simulated
pytestmark = [pytest.mark.cpu, *([] if SIMULATED else [needs_emulator])]  # they say themselves where they run

# No multiples of vectors or tiles; several blocks of rows and of units, of the projections fewer and more.
B, T, I, H = (5, 4, 3, 6) if SIMULATED else (37, 4, 21, 38)  # noqa: E741
NARROW, WIDE = (3, 9) if SIMULATED else (11, 70)
TILE = {"steps": 2, "rows": 0, "units": 0}  # the number of the tile under which that is so
ALL = {"return_sequences": True, "return_state": True}

_rng = np.random.default_rng(3)
LENGTHS = _rng.integers(0, T + 1, B)
LENGTHS[:3] = 0, 1, T
MASK, RESETS = _rng.random((2, B, T)) < np.array([0.6, 0.3])[:, None, None]
MASK[B // 2] = False
BATCHES = {  # and whether it goes backwards
    "dense": ({}, False),
    "lengths": ({"lengths": LENGTHS, "resets": RESETS}, True),
    "mask and resets": ({"mask": MASK, "resets": RESETS}, True),
}


# An LSTM whose output is a projection of another size, which is what it multiplies in the next step


def peeping(i, f, g, o, c, p_i):
    return lstm(i + p_i * c, f, g, o, c)


def project(p, scale):
    return nr.math.tanh(scale * p)


def projected(name, states, output):
    gates = nr.phase("i:x+h f:x+h g:x+h o:x+h", peeping, "m c")
    return nr.cell(
        name,
        states=states,
        output=output,
        parameters="scale:projection=1.0 p_i=0.5",
        phases=[gates, nr.phase("p:m", project, "h", units="projection", use_bias=False)],
    )


PROJECTED = projected("projected", "h:projection c=0.5", "h")


def projected_longhand(weights, x, states, extra, total):
    h, c = states
    of_gates = (np.split(weights[name], 4, -1) for name in ("kernel", "recurrent_kernel", "bias"))
    i, f, g, o = (total(b, (x, W), (h, U)) for W, U, b in zip(*of_gates, strict=True))
    c = sigmoid(f) * c + sigmoid(i + weights["p_i"] * c) * np.tanh(g)
    m = sigmoid(o) * np.tanh(c)
    return [np.tanh(weights["scale"] * total(0 * h, (m, weights["kernel_of_m"]))), c]


# All kinds of values in one function, none where it was declared, in phases without products


def soften(far, p, h, near, row, q):
    return p * h + near * row - q * far


def mix(h, n, row, soft, other, near):
    return soft + (1.0 - row) * nr.math.tanh(n + near * other - h), n


MIXED = nr.cell(
    "mixed",
    states="rest h=0.25",
    parameters="q=0.5 unread p=-0.5",
    extra="row:1 near other:1 far",
    phases=[nr.phase("", soften, "soft"), nr.phase("n:x+soft", mix, "h rest")],
)


def mixed_longhand(weights, x, states, extra, total):
    _, h = states
    soft = weights["p"] * h + extra["near"] * extra["row"] - weights["q"] * extra["far"]
    rest = total(weights["bias"], (x, weights["kernel"]), (soft, weights["recurrent_kernel"]))
    inner = np.tanh(rest + extra["near"] * extra["other"] - h)
    return [rest, soft + (1 - extra["row"]) * inner]


CELLS = {
    "peephole": USERS["peephole"],
    "augru": USERS["augru"],
    "grud": USERS["grud"],
    "oscillators": USERS["oscillators"],
    "narrow": Users(PROJECTED, projected_longhand, {"projection": NARROW}),
    "wide": Users(PROJECTED, projected_longhand, {"projection": WIDE}),
    "mixed": Users(MIXED, mixed_longhand, drawn={"row": share, "near": gap, "other": share, "far": gap}),
}
OF_KINDS = ("oscillators", "wide", "mixed")
every_kind = pytest.mark.parametrize("user", [CELLS[name] for name in OF_KINDS], ids=OF_KINDS)
every_schedule = pytest.mark.parametrize("schedule", TILE)


@pytest.fixture
def at(monkeypatch):
    """Layers made with device="cuda" run on this device."""
    made = SimulatedDevice() if SIMULATED else EmulatedDevice(processors=7)
    monkeypatch.setattr(device, "find", lambda *_: made)
    return made


def take_only(monkeypatch, schedule, dtype="float32"):
    """Have calls take one schedule, and form sums for a step or two at a time."""
    itemsize = np.dtype(dtype).itemsize
    tile = SIMULATED_TILES[schedule][0] if SIMULATED else TILES[itemsize][schedule][TILE[schedule]]
    monkeypatch.setattr(schedules_cuda, "SCHEDULES", (schedule,))
    monkeypatch.setattr(schedules_cuda, "SIMULATED_TILES", {schedule: (tile,)})
    monkeypatch.setattr(schedules_cuda, "TILES", {itemsize: {schedule: (tile,)}})
    monkeypatch.setattr(schedules_cuda, "FORMED_BYTES", 6 * B * H * itemsize)
    return tile


def batch(user, dtype="float32", **options):
    """A cell, a layer of it on the device, inputs, initial states, extra inputs."""
    cell = user.cell(H, I, dtype)
    x = np.random.default_rng(7).standard_normal((B, T, I)).astype(dtype)
    layer = nr.RNN(cell, **ALL | {"device": "cuda"} | options)
    return cell, layer, x, user.states(cell, B), user.extra(cell, (B, T))


def each(extra, function):
    return {name: function(array) for name, array in extra.items()}


@every_schedule
@pytest.mark.parametrize(
    ("name", "dtype"), [(name, "float32") for name in CELLS] + [(name, "float64") for name in OF_KINDS]
)
def test_values(name, dtype, schedule, at, monkeypatch):
    """Of all outputs and states, from random states and from the cell's constants."""
    user = CELLS[name]
    tile = take_only(monkeypatch, schedule, dtype)
    precise = np.float64 if dtype == "float32" else np.longdouble
    for k, (given, backwards) in enumerate(BATCHES.values()):
        cell, layer, x, initial, extra = batch(user, dtype, go_backwards=backwards)
        start = None if k == 1 else initial
        results = layer(x, start, **given, extra=extra)
        if not SIMULATED:
            on_cpu = nr.RNN(cell, **ALL, go_backwards=backwards)
            same(results, on_cpu(x, start, **given, extra=extra))
            continue
        how = {**given, "initial": start, "extra": extra, "go_backwards": backwards}
        exact, states = expect(user, cell, x, **how, dtype=precise)
        naive, plain = expect(user, cell, x, **how, dtype=np.dtype(dtype).type, naive=True)
        for got, right, loop in zip(results, [exact, *states], [naive, *plain], strict=True):
            assert_close(got, right, loop, f"{schedule} {', '.join(given)}")
    blocks = prepared(cell.program, tile).unit_blocks
    assert max(blocks) > 1 and (user.definition is not PROJECTED or blocks[0] != blocks[1])


@every_schedule
@every_kind
def test_a_row_does_not_know_its_neighbours(user, schedule, at, monkeypatch):
    """Alone and in another order; nor what is beyond its end, or the step that is masked."""
    take_only(monkeypatch, schedule)
    _, layer, x, initial, extra = batch(user)
    for given, _ in list(BATCHES.values())[1:]:
        whole = layer(x, initial, **given, extra=extra)
        for rows in ([2], np.random.default_rng(4).permutation(B)[1:]):
            some = {name: array[rows] for name, array in given.items()}
            got = layer(x[rows], take(initial, rows), **some, extra=each(extra, lambda a: a[rows]))  # noqa: B023
            same(got, take(whole, rows))
        unused = ~MASK if "mask" in given else np.arange(T) >= LENGTHS[:, np.newaxis]
        assert unused.any()
        for array in (spoilt := {"x": x.copy()} | each(extra, np.copy)).values():
            array[unused] = np.nan
        same(layer(spoilt.pop("x"), initial, **given, extra=spoilt), whole)


@every_schedule
def test_in_waves_and_again(schedule, at, monkeypatch):
    """A workspace for a few rows at a time; and a call with other extra inputs, from what was kept."""
    take_only(monkeypatch, schedule)
    user = CELLS["oscillators"]
    _, layer, x, initial, extra = batch(user)
    others = user.extra(layer.cell, (B, T), seed=9)
    whole, changed = layer(x, initial, extra=extra), layer(x, initial, extra=others)
    assert (changed[0] != whole[0]).any()
    same(batch(user)[1](x, initial, extra=others), changed)
    whole = layer(x, initial, lengths=LENGTHS, extra=extra)
    monkeypatch.setattr(schedules_cuda, "WORKSPACE_BYTES", 2 * 4 * 6 * H)
    assert layer.explain(x, lengths=LENGTHS, extra=extra).waves > 1
    same(layer(x, initial, lengths=LENGTHS, extra=extra), whole)


@every_kind
def test_in_pieces(user, at):
    """A stateful layer and a stepper go on as one call does; the cell by itself takes each step."""
    cell, layer, x, _, extra = batch(user)
    whole = layer(x, extra=extra)
    stateful, stepper = (batch(user, stateful=flag)[1] for flag in (True, False))
    stepper, states = stepper.stepper(B), cell.get_initial_state(B)
    for begin, end in ((0, 1), (1, T)):
        piece = stateful(x[:, begin:end], extra=each(extra, lambda a: a[:, begin:end]))  # noqa: B023
        same(piece[:1], [whole[0][:, begin:end]])
    same(piece[1:], whole[1:])
    for t in range(T):
        now = each(extra, lambda a: a[:, t])  # noqa: B023
        same([stepper(x[:, t], extra=now)], [whole[0][:, t]])
        if SIMULATED:
            now, x_t = each(now, lambda a: Standard(a.copy())), Standard(x[:, t].copy())
            output, states = cell(
                x_t, [Standard(np.asarray(getattr(s, "host", s))) for s in states], extra=now
            )
            same(of_kind([output]), [whole[0][:, t]])
    same(stepper.states, whole[1:])


@every_kind
def test_two_directions_and_stacks(user, at):
    """What the layers by themselves compute; extra inputs belong to steps, whatever their order."""
    cell, layer, x, initial, extra = batch(user)
    both = nr.Bidirectional(layer, merge_mode=None)
    both.set_weights([*cell.get_weights(), *user.cell(H, I, draw=9).get_weights()])
    other = nr.RNN(both.backward_layer.cell, **ALL, device="cuda", go_backwards=True)
    y, reverse, *final = both(x, [*initial, *initial], lengths=LENGTHS, extra=extra)
    one, *ends = layer(x, initial, lengths=LENGTHS, extra=extra)
    backward, *more = other(x, initial, lengths=LENGTHS, extra=extra)
    same([y, reverse, *final], [one, turned(backward, LENGTHS), *ends, *more])
    first = nr.GRU(I, return_sequences=True, device="cuda", seed=1)
    stack = nr.RNN([first.cell, cell], **ALL, device="cuda")
    first.build(I)
    y, _, final = stack(x, extra=extra)
    same([y, *final], layer(first(x), extra=extra))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_an_output_that_is_no_state(dtype, at):
    """The same as if it were one."""
    sizes, x = {"projection": NARROW, "dtype": dtype}, np.ones((B, T, I), dtype)
    one, other = (
        nr.RNN(nr.FusedCell(projected("output m", states, "m"), H, seed=1, **sizes), **ALL, device="cuda")
        for states in ("h:projection c", "h:projection m c")
    )
    y, h, c = one(x, lengths=LENGTHS)
    expected, h_2, m, c_2 = other(x, lengths=LENGTHS)
    assert y.shape == (B, T, H) and m.any()
    same([y, h, c], [expected, h_2, c_2])


@pytest.mark.skipif(SIMULATED, reason="bits: the simulator does not have those of the CPU")
def test_dropout(at):
    """Masks of inputs and of recurrent vectors, beside extra inputs and parameters."""
    user, how = CELLS["grud"], {"seed": 5, "dropout": 0.4, "recurrent_dropout": 0.3}
    on_device, on_cpu = (nr.RNN(user.cell(H, I, **how), **ALL, device=place) for place in ("cuda", "cpu"))
    _, _, x, _, extra = batch(user)
    dropped = on_device(x, lengths=LENGTHS, training=True, extra=extra)
    same(dropped, on_cpu(x, lengths=LENGTHS, training=True, extra=extra))
    assert (dropped[0] != on_cpu(x, lengths=LENGTHS, extra=extra)[0]).any()


# Extra inputs that lie on a device


@simulated
@pytest.mark.parametrize("name", ["augru", "mixed"])
def test_extra_inputs_on_a_device(two, name, monkeypatch):
    """Are read where they lie, beside inputs of any layout; padded and ragged."""
    uploaded, upload = [], SimulatedDevice.upload

    def counted(self, array, target=None):
        uploaded.append(array)
        return upload(self, array, target)

    user = CELLS[name]
    cell, sent, x, _, extra = batch(user)
    layer, there = nr.RNN(cell, **ALL), each(extra, Standard)
    monkeypatch.setattr(SimulatedDevice, "upload", counted)
    for number, given in ((0, {}), (1, {"lengths": LENGTHS}), (0, {"mask": MASK, "resets": RESETS})):
        expected = sent(x, **given, extra=extra)
        uploaded.clear()
        there = each(extra, lambda a: Standard(a, number))  # noqa: B023
        same(of_kind(layer(Standard(x, number), **given, extra=there), number=number), expected)
        assert all(array.dtype == np.int64 or array.ndim == 1 for array in uploaded)
    expected, there = sent(x, extra=extra), each(extra, Standard)
    same(of_kind(layer(Standard(strided(x, (2, -3, 1))), extra=there)), expected)
    per_row = each(extra, lambda a: Standard(a[:, :, np.newaxis]) if a.ndim == 2 else Standard(a))
    same(of_kind(layer(Standard(x), extra=per_row)), expected)
    major = nr.RNN(cell, **ALL, time_major=True)
    turned_extra = each(extra, lambda a: Standard(a.swapaxes(0, 1).copy()))
    y, *states = of_kind(major(Standard(x.swapaxes(0, 1).copy()), extra=turned_extra))
    same([y.swapaxes(0, 1), *states], expected)
    steps, offsets = np.arange(T) < LENGTHS[:, np.newaxis], np.append(0, np.cumsum(LENGTHS))
    y, *states = layer(
        nr.Ragged(Standard(x[steps]), offsets), extra=each(extra, lambda a: Standard(a[steps]))
    )
    padded, *ends = sent(x, lengths=LENGTHS, extra=extra)
    same(of_kind([y.values, *states]), [padded[steps], *ends])


@simulated
def test_extra_inputs_elsewhere(two):
    """Are refused, as are arrays on a device that are not contiguous."""
    cell, sent, x, _, extra = batch(CELLS["oscillators"])
    layer, there = nr.RNN(cell), each(extra, Standard)
    here, other = "<CUDA device 0: simulator 0>", "<CUDA device 1: simulator 1>"
    wrong = [
        (
            Standard(x),
            there | {"heard": extra["heard"]},
            ValueError,
            f"heard.* lies in host memory, x on {here}",
        ),
        (x, extra | {"seconds": there["seconds"]}, ValueError, f"seconds.* lies on {here}, x in host memory"),
        (Standard(x, 1), there, ValueError, f"lies on {here}, x on {other}"),
        (
            Standard(x),
            there | {"heard": Standard(strided(extra["heard"], (2, 1, 1)))},
            TypeError,
            "C-contiguous",
        ),
    ]
    for inputs, given, error, message in wrong:
        with pytest.raises(error, match=message):
            layer(inputs, extra=given)
    same(of_kind([layer(Standard(x), extra=there)]), [sent(x, extra=extra)[0][:, -1]])
