"""Wrong arguments of calls, as tables: who is called with what, and what the refusal says.

A `Subject` is what the calls are made on. `every_fault` lists all rows of all tables in one form.
"""

import ctypes
from functools import partial
from types import SimpleNamespace

import numpy as np

import numbarnn as nr

B, T, I, H = 2, 3, 4, 5  # noqa: E741


class Subject:
    """Layers of all kinds, most of them at work already, and arrays to pass."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.memory = rng.standard_normal(400, dtype=np.float32)
        self.x, self.x_t = self.memory[: B * T * I].reshape(B, T, I), self.memory[100:][: B * I].reshape(B, I)
        self.h, self.c = rng.standard_normal((2, B, H), dtype=np.float32)
        self.mask = np.ones((B, T), bool)
        self.y = np.full((B, T, H), np.nan, np.float32)
        self.y_t, self.h_out, self.c_out = np.full((3, B, H), np.nan, np.float32)
        self.ragged = nr.Ragged(self.x.reshape(-1, I), [0, 2, B * T])
        self.layer = nr.LSTM(H, return_sequences=True, return_state=True, stateful=True, seed=1)
        self.lstm = partial(self.layer, out=(self.y, self.h_out, self.c_out))
        self.layer(self.x)
        self.cell, self.weights = self.layer.cell, self.layer.get_weights()
        self.gru = nr.GRU(H, return_sequences=True, seed=2)
        self.gru(self.x)
        self.time_major = nr.SimpleRNN(H, time_major=True, seed=3)
        self.time_major.build(I)
        self.fresh = nr.GRU(H, reset_after=False, stateful=True, seed=5)
        self.stepper = self.gru.stepper(B)
        self.stepper(self.x_t)

    def everything(self):
        """The bytes of every array, weight and state."""
        return {name: [array.tobytes() for array in arrays_of(thing)] for name, thing in vars(self).items()}

    def right_calls(self):
        """The bytes of what right calls return next; `fresh` is still free to take other sizes."""
        results = [
            *self.lstm(self.x),
            *self.layer.states,
            self.gru(self.ragged).values,
            self.time_major(self.x),
            self.fresh(self.x[:1, :, 1:]),
            self.stepper(self.x_t, out=self.y_t),
            self.cell(self.x_t, [self.h, self.c])[0],
        ]
        return [array.tobytes() for array in results]


def arrays_of(thing):
    if isinstance(thing, np.ndarray):
        return [thing]
    if isinstance(thing, nr.Ragged):
        return [thing.values, thing.offsets]
    if isinstance(thing, nr.Stepper):
        return thing.states
    if isinstance(thing, nr.RNN):
        return [*thing.get_weights(), *(thing.states or [])]
    return []


# What other libraries pass


class Failing:
    """An array whose library fails to hand it over."""

    def __init__(self, error):
        self.error = error

    def __array__(self, dtype=None, copy=None):
        raise self.error


def failing(array):
    return Failing(RuntimeError("trouble of its own"))


def unknown_dtype(array):
    return Failing(TypeError("Got unsupported ScalarType BFloat16"))


def with_gradient(array):
    return SimpleNamespace(requires_grad=True)


def on_device(array):
    interface = {"shape": array.shape, "typestr": array.dtype.str, "data": (1, False), "version": 3}
    return SimpleNamespace(__cuda_array_interface__=interface)


def sparse(array):
    return SimpleNamespace(shape=array.shape, dtype=array.dtype, toarray=array.copy)


def sparse_tensor(array):
    return SimpleNamespace(layout="torch.sparse_csr", requires_grad=False)


def nested(array):
    return SimpleNamespace(layout="torch.strided", is_nested=True)


def masked_parts(array):
    return [np.ma.array(part) for part in array]


def unequal(array):
    return [[1.0], [1.0, 2.0]]


def no_array(array):
    return object()


ALIENS = [
    (np.ma.array, TypeError, "is a masked array.*expected a plain array.*mask="),
    (masked_parts, TypeError, "is a masked array"),
    (with_gradient, TypeError, "requires a gradient.*detach"),
    (on_device, nr.DeviceNotAvailable, "lies on a CUDA device: looked for.*device='auto'"),
    (sparse, TypeError, "sparse or nested; expected a dense array.*convert it"),
    (sparse_tensor, TypeError, "sparse or nested; expected a dense array"),
    (nested, TypeError, "sparse or nested; expected a dense array"),
    (unknown_dtype, TypeError, "of type Failing.*BFloat16; expected .*convert it"),
    (failing, RuntimeError, "^trouble of its own$"),
    (unequal, ValueError, "has rows of different lengths; expected rows of one length"),
    (no_array, TypeError, "is of type object; expected an array"),
]
DTYPES = {
    "real": ["f8", "i4", "i8", "u8", "?", "F", "O", "g", "S9", "M8[s]", [("a", "f4")]],
    "stored": ["i8", "?", "F", "O", "S9", [("a", "f4")]],
    "whole": ["f4", "f8", "?", "F", "O", "S9", "m8[s]"],
    "flag": ["f4", "i8", "u1", "O", "S9"],
    "rows": ["f8", "O"],
    "any": [],
}

# Array arguments: a call with `wrong(the right array)` in its place, and which of DTYPES are wrong there.
ARRAYS = [
    ("x", "real", lambda s, wrong: s.lstm(wrong(s.x))),
    ("x", "real", lambda s, wrong: s.fresh(wrong(s.x))),
    ("values", "real", lambda s, wrong: s.gru(nr.Ragged(wrong(s.ragged.values), [0, 2, 6]))),
    ("x_t", "real", lambda s, wrong: s.stepper(wrong(s.x_t), out=s.y_t)),
    ("x_t", "real", lambda s, wrong: s.cell(wrong(s.x_t), [s.h, s.c])),
    ("states[1]", "real", lambda s, wrong: s.cell(s.x_t, [s.h, wrong(s.c)])),
    ("initial_state[1]", "real", lambda s, wrong: s.lstm(s.x, [s.h, wrong(s.c)])),
    ("initial_state[0]", "real", lambda s, wrong: s.gru(s.x, (wrong(s.h),))),
    ("states[1]", "stored", lambda s, wrong: s.layer.reset_states([s.h, wrong(s.c)])),
    ("states[0]", "stored", lambda s, wrong: s.layer.reset_states([wrong(s.h), s.c], rows=[0])),
    ("bias", "stored", lambda s, wrong: s.layer.set_weights([*s.weights[:2], wrong(s.weights[2])])),
    ("kernel", "stored", lambda s, wrong: nr.LSTM(H).set_weights([wrong(s.weights[0]), *s.weights[1:]])),
    ("lengths", "whole", lambda s, wrong: s.lstm(s.x, lengths=wrong(np.array([1, 3])))),
    ("offsets", "whole", lambda s, wrong: nr.Ragged(s.ragged.values, wrong(s.ragged.offsets))),
    ("mask", "flag", lambda s, wrong: s.lstm(s.x, mask=wrong(s.mask))),
    ("resets", "flag", lambda s, wrong: s.gru(s.ragged, resets=wrong(s.mask.reshape(6)))),
    ("rows", "rows", lambda s, wrong: s.stepper.reset(rows=wrong(np.array([0, 1])))),
    ("rows[1]", "any", lambda s, wrong: nr.Ragged.from_rows([s.x_t, wrong(s.x_t)])),
]


def f4(*shape):
    return np.zeros(shape, np.float32)


def flags(*shape):
    return np.ones(shape, bool)


def frozen(array):
    array.flags.writeable = False
    return array


def over(array, shape):
    """A writable array on the memory where `array` begins, even if that is read-only."""
    size = int(np.prod(shape)) * array.itemsize
    return np.frombuffer((ctypes.c_byte * size).from_address(array.ctypes.data), array.dtype).reshape(shape)


def of_objects(*parts):
    """An array of arrays."""
    array = np.empty(len(parts), object)
    array[:] = parts
    return array


# Argument, a call with v in its place, and wrong values v, each group with its error and what that says.
CALLS = [
    ("x", lambda s, v: s.lstm(v), [
        ([f4(), f4(I), f4(1, B, T, I)], ValueError, r"expected three axes, \(batch, time, features\)$"),
        ([f4(T, I), f4(T, I).view(np.matrix)], ValueError, r"three axes.*x\[None\] is one sequence"),
        ([None, {}, (part for part in "x")], TypeError, r"of type \w+; expected an array"),
        (["x"], TypeError, "expected float32"),
        ([[[[0.5] * I] * T] * B], TypeError, r"float64; expected float32.*use numpy.asarray\(x, 'float32'\)"),
        ([f4(B, T, I).astype(float)], TypeError, r"float64; expected float32.*use x.astype\('float32'\)"),
        ([f4(B, T, 6)], ValueError, r"\(2, 3, 6\).*with 4 features$"),
        ([f4(B, I, T)], ValueError, "with 4 features.*time and feature axes swapped"),
        ([f4(I, T, B)], ValueError, "with 4 features.*batch and feature axes swapped"),
        ([f4(1, T, I), f4(3, T, I)], ValueError, "batch size [13];.*batch size 2.*reset_states"),
        ([[f4(2, I), f4(3, I)]], ValueError, r"different lengths.*Ragged.from_rows\("),
        ([of_objects(f4(2, I), f4(3, I))], TypeError, r"object; expected float32.*Ragged.from_rows\("),
        ([[nr.Ragged(f4(6, I), [0, 6])]], TypeError, "object; expected float32"),
    ]),
    ("x", lambda s, v: s.time_major(v), [
        ([f4(B, I)], ValueError, r"\(time, batch, features\).*x\[:, None\] is one sequence"),
        ([f4(T, B, 6)], ValueError, r"\(time, batch, features\) with 4 features$"),
        ([f4(T, I, B)], ValueError, "batch and feature axes swapped"),
        ([nr.Ragged(f4(6, I), [0, 6])], ValueError, "time_major.*leave it out"),
    ]),
    ("x.values", lambda s, v: s.gru(nr.Ragged(v, [0, 6])), [
        ([f4(6), f4(6, 3), f4(6, I, 1)], ValueError, r"expected \(steps, 4\)")]),
    ("lengths", lambda s, v: s.lstm(s.x, lengths=v), [
        ([[3, 4]], ValueError, r"\[1\] = 4 exceeds T = 3.*0 <= lengths"),
        ([np.array([0, 2**63 + 1], np.uint64)], ValueError, r"\[1\] = 9223372036854775809 exceeds T = 3"),
        ([np.array([3, -128], np.int8)], ValueError, r"\[1\] = -128 is negative"),
        ([[-1, 3]], ValueError, r"\[0\] = -1 is negative.*0 <= lengths"),
        ([2, [], [2], [[1, 2]]], ValueError, r"expected \(2,\), one length for each row of x.*\(2, 3, 4\)$"),
        ([[1, 2, 2]], ValueError, r"expected \(2,\).*batch and time axes swapped"),
        ([[True, False], flags(B, T)], TypeError, r"bool; expected integers.*mask=.*mask.sum\(axis=1\)"),
        ([[3.0, 2.0]], TypeError, r"float64; expected integers: use numpy.asarray\(lengths, 'int64'\)"),
        ([np.array([3.0, 2.0])], TypeError, r"float64; expected integers: use lengths.astype\('int64'\)"),
        ([[None, 1], [2**64, 1], np.array([1, 2], object)], TypeError, "object; expected integers"),
        ([nr.Ragged(f4(2), [0, 2])], TypeError, "of type Ragged; expected an array"),
    ]),
    ("lengths", lambda s, v: s.time_major(s.x, lengths=v), [([[1, 2]], ValueError, r"expected \(3,\)")]),
    ("lengths", lambda s, v: s.lstm(s.x, lengths=v, mask=s.mask), [([[1, 2]], ValueError, "mask.*one of")]),
    ("lengths", lambda s, v: s.gru(s.ragged, lengths=v), [([[2, 4]], ValueError, "Ragged.*leave it out")]),
    ("lengths", lambda s, v: s.fresh(s.x, lengths=v), [([[1, 4], [3]], ValueError, r"T = 3|\(2,\)")]),
    ("mask", lambda s, v: s.lstm(s.x, mask=v), [
        ([True, flags(B), flags(B, T, 1), flags(B * T)], ValueError, r"expected \(2, 3\)"),
        ([flags(T, B)], ValueError, r"expected \(2, 3\).*swapped"),
        ([np.ones((B, T))], TypeError, r"float64; expected bool: use mask.astype\('bool'\)"),
        ([[[1, 1, 0], [1, 0, 1]]], TypeError, r"int64; expected bool: use numpy.asarray\(mask, 'bool'\)"),
        ([[2, 3], np.array([2, 3])], TypeError, "int64; expected bool.*lengths="),
    ]),
    ("mask", lambda s, v: s.gru(s.ragged, mask=v), [([flags(B * T)], ValueError, "Ragged.*leave it out")]),
    ("resets", lambda s, v: s.lstm(s.x, resets=v), [([flags(B, 2), flags(6)], ValueError, "2, 3")]),
    ("resets", lambda s, v: s.gru(s.ragged, resets=v), [([flags(2, 4), flags(5)], ValueError, "6,")]),
    ("resets", lambda s, v: s.fresh(s.x, resets=v), [([f4(B, T)], TypeError, "expected bool")]),
    ("initial_state", lambda s, v: s.lstm(s.x, v), [
        ([f4(B, H), f4(2, B, H), "hc", {"h": 0, "c": 1}], TypeError, r"expected a list of 2.*\[h, c\]"),
        ([[], [f4(B, H)], [f4(B, H)] * 3], ValueError, r"expected 2: \[h, c\]"),
        ([[f4(B, H), c] for c in (f4(1, H), f4(B, 4), f4(H, B), f4(H))], ValueError, r"\(c\).*\(2, 5\)"),
        ([[f4(B, H), None]], TypeError, r"\[1\] is of type NoneType; expected an array"),
    ]),
    ("initial_state", lambda s, v: s.gru(s.x, v), [
        ([[], (f4(B, H),) * 2], ValueError, r"1: \[h\]"),
        ([f4(1, B, H), f4(1, H), f4(B, 4)], ValueError, r"\[0\] \(h\).*expected \(2, 5\)"),
        ([f4(B, H).astype(float)], TypeError, r"\[0\] has dtype float64; expected float32"),
    ]),
    ("initial_state", lambda s, v: s.fresh(s.x, v), [
        ([f4(1, H), [f4(B, H)] * 2], ValueError, r"expected (\(2, 5\)|1: \[h\])")]),
    ("training", lambda s, v: s.lstm(s.x, training=v), [([1, None], TypeError, "expected True or False")]),
    ("n_threads", lambda s, v: s.lstm(s.x, n_threads=v), [
        ([0, -1], ValueError, "expected an integer >= 1"),
        ([True, 1.5, "2"], TypeError, "expected an integer >= 1"),
    ]),
    ("extra", lambda s, v: s.lstm(s.x, extra=v), [
        ([f4(B, T), [1]], TypeError, "expected None"),
        ([{"gap": f4(B, T)}], ValueError, "'gap', which no cell declares; expected None"),
    ]),
    ("stream", lambda s, v: s.lstm(s.x, stream=v), [([3], ValueError, "3; .*no streams: leave it out")]),
    ("measure", lambda s, v: s.gru.explain(s.x, measure=v), [(["yes"], TypeError, "True or False")]),
    ("lengths", lambda s, v: s.fresh.explain(s.x, lengths=v), [([[1, 4]], ValueError, "exceeds T = 3")]),
    ("x_t", lambda s, v: s.stepper(v, out=s.y_t), [
        ([f4(I), f4(1, I), f4(B, 3), f4(I, B), f4(B, 1, I)], ValueError, r"expected \(2, 4\)"),
        ([nr.Ragged(f4(B, I), [0, B])], TypeError, "of type Ragged; expected an array"),
    ]),
    ("x_t", lambda s, v: s.cell(v, [s.h, s.c]), [([f4(I), f4(B, 3), f4(1, B, I)], ValueError, "batch, 4")]),
    ("states", lambda s, v: s.cell(s.x_t, v), [
        ([None, f4(B, H), {}], TypeError, r"expected a list of 2.*\[h, c\]"),
        ([[f4(B, H)], [f4(B, H), f4(1, H)]], ValueError, r"expected (2: \[h, c\]|\(2, 5\))"),
    ]),
    ("states", lambda s, v: s.fresh.cell(s.x_t, v), [([f4(1, H), [f4(B, H)] * 2], ValueError, r"2, 5|1: ")]),
    ("training", lambda s, v: s.cell(s.x_t, [s.h, s.c], v), [([0], TypeError, "True or False")]),
    ("out", lambda s, v: s.gru(s.x, out=v), [
        (["y", [[0.0]], nr.Ragged(f4(6, H), [0, 6]), [f4(B, T, H)]], TypeError, "expected a NumPy array"),
        ([np.ma.array(f4(B, T, H)), with_gradient(None)], TypeError, "expected a NumPy array"),
        ([f4(B, T, 4), f4(T, B, H), f4(B * T, H)], ValueError, r"expected \(2, 3, 5\)"),
        ([f4(B, T, H).astype(dtype) for dtype in ("f8", ">f4", "i4")], ValueError, "expected float32"),
        ([f4(H, T, B).T, f4(B, T, 9)[..., :H], frozen(f4(B, T, H))], ValueError, "contiguous.*writable"),
        ([np.zeros(121, np.uint8)[1:].view("f4").reshape(B, T, H)], ValueError, "aligned"),
    ]),
    ("out", lambda s, v: s.layer(s.x, out=v), [
        ([f4(B, T, H), [f4(B, T, H), f4(B, H), f4(B, H)], "yhc"], TypeError, "expected a tuple.* y, h, c"),
        ([(f4(B, T, H), f4(B, H))], ValueError, "2 array.*expected 3.* y, h, c"),
    ]),
    ("out[2] (c)", lambda s, v: s.layer(s.x, out=(s.y, s.h_out, v)), [
        ([None, [[0.0]]], TypeError, "expected a NumPy array"),
        ([f4(B, 4), f4(1, H), f4(H, B).T], ValueError, r"expected (\(2, 5\)|an array)"),
    ]),
    ("out", lambda s, v: s.gru(s.ragged, out=v), [
        ([f4(B, 4, H), f4(B, T, H)], ValueError, r"expected \(6, 5\)"),
        ([nr.Ragged(f4(6, H), [0, 3, 6])], ValueError, "other offsets"),
    ]),
    ("out", lambda s, v: s.fresh(s.x, out=v), [([f4(B, 4)], ValueError, r"expected \(2, 5\)")]),
    ("out", lambda s, v: s.stepper(s.x_t, out=v), [
        ([[[0.0]], (f4(B, H),), "y", f4(B, H).view(np.matrix)], TypeError, "expected a NumPy array"),
        ([f4(1, H), frozen(f4(B, H)), f4(B, 6)[:, :H], np.zeros((B, H))], ValueError, r"expected (\(2|an|f)"),
    ]),
    ("out", lambda s, v: s.fresh.stepper(B)(s.x_t, out=v), [([f4(B, 4)], ValueError, r"expected \(2, 5\)")]),
    ("states", lambda s, v: s.layer.reset_states(v), [
        ([f4(B, H), 3, "hc", {}], TypeError, r"expected a list of 2.*\[h, c\]"),
        ([[], [f4(B, H)], [f4(B, H)] * 3], ValueError, r"expected 2: \[h, c\]"),
        ([[f4(B, H), c] for c in (f4(1, H), f4(B, 4), f4(H))], ValueError, r"\(c\).*expected \(2, 5\)"),
    ]),
    ("states", lambda s, v: s.layer.reset_states(v, [0]), [([[f4(1, H)] * 2], ValueError, "2, 5")]),
    ("states", lambda s, v: s.fresh.reset_states(v), [([f4(B, 4), f4(H)], ValueError, r"\([25], 5\)")]),
    ("rows", lambda s, v: s.fresh.reset_states(rows=v), [([[0]], ValueError, "no states yet")]),
    ("rows", lambda s, v: s.layer.reset_states(rows=v), [
        ([2, [2], [-3]], ValueError, r"rows\[0\] = (2|-3); expected .* 0 to 1"),
        ([[1, 5]], ValueError, r"rows\[1\] = 5; expected .* 0 to 1"),
        ([[[0]]], ValueError, r"shape \(1, 1\); expected row numbers"),
    ]),
    ("rows", lambda s, v: s.stepper.reset(v), [([[True], flags(3), True], ValueError, r"expected \(2,\)")]),
    ("reset_states", lambda s, v: s.gru.reset_states(v), [([None], ValueError, "stateful=True")]),
    ("batch_size", lambda s, v: s.layer.stepper(v), [
        ([0, -1], ValueError, "expected an integer >= 1"),
        ([2.0, "2", None, True], TypeError, "expected an integer >= 1"),
    ]),
    ("batch_size", lambda s, v: s.cell.get_initial_state(v), [([2.0], TypeError, "expected an integer")]),
    ("dtype", lambda s, v: s.cell.get_initial_state(B, v), [(["float16"], TypeError, "'float32'")]),
    ("input_size", lambda s, v: s.layer.build(v), [([3], ValueError, "3; .*4 features")]),
    ("input_size", lambda s, v: s.fresh.build(v), [
        ([-1], ValueError, "expected an integer >= 0"),
        ([4.0, True, "4", None], TypeError, "expected an integer >= 0"),
    ]),
    ("weights", lambda s, v: s.layer.set_weights(v), [
        ([None, "abc", f4(I, 20), {1: 1, 2: 2, 3: 3}], TypeError, r"expected a list of 3.* kernel \(4, 20\)"),
        ([[], [f4(I, 20), f4(H, 20)], [f4(20)] * 4], ValueError, r"expected a list of 3.* kernel \(4, 20\)"),
    ]),
    ("kernel", lambda s, v: s.layer.set_weights([v, *s.weights[1:]]), [
        ([f4(3, 20), f4(20), 0.5], ValueError, r"expected \(4, 20\)$"),
        ([f4(20, I)], ValueError, r"expected \(4, 20\).*transposed"),
    ]),
    ("kernel", lambda s, v: s.fresh.set_weights([v, f4(H, 15), f4(15)]), [
        ([f4(15, I)], ValueError, "transposed"),
        ([f4(I, 5), f4(15), 0.5], ValueError, r"expected \((4|features), 15\)$"),
    ]),
    ("recurrent_kernel", lambda s, v: s.layer.set_weights([s.weights[0], v, s.weights[2]]), [
        ([f4(20, H)], ValueError, "transposed")]),
    ("bias", lambda s, v: s.gru.set_weights([f4(I, 15), f4(H, 15), v]), [
        ([f4(15), f4(30), f4(15, 2)], ValueError, r"expected \(2, 15\)")]),
    ("offsets", lambda s, v: nr.Ragged(f4(6, I), v), [
        ([[], 6, [[0, 6]]], ValueError, r"expected \(rows \+ 1,\)"),
        ([[1, 6], [0, 5], [0, 7], [0]], ValueError, "0 to 6, the number of steps in values$"),
        ([[2, 4], np.array([1, 0, 5], np.uint8)], ValueError, r"lengths\? use numpy.cumsum\(\[0, \*lengths"),
        ([[0, 4, 2, 6]], ValueError, r"\[2\] = 2 is below offsets\[1\] = 4"),
        ([np.array([0, 2**63 + 1, 6], np.uint64)], ValueError, r"\[1\] = 9223372036854775809; expected"),
        ([[0, -1, 6]], ValueError, r"\[1\] = -1; expected from 0 to 6"),
    ]),
    ("values", lambda s, v: nr.Ragged(v, [0, 0]), [([3.0], ValueError, r"\(steps, features\)")]),
    ("rows", lambda s, v: nr.Ragged.from_rows(v), [
        ([None, 3], TypeError, "a list of arrays"), ([[]], ValueError, "empty; expected at least one")]),
    ("rows[1]", lambda s, v: nr.Ragged.from_rows([s.x_t, v]), [
        ([f4(2, 3)], ValueError, r"\(2, 3\); expected \(length, 4\)"),
        ([f4(2)], ValueError, r"expected \(length, features\): rows\[1\]\[:, None\]"),
        ([f4(2, I, 1), 0.5], ValueError, r"expected \(length, features\)$"),
    ]),
    ("time", lambda s, v: s.ragged.to_padded(time=v), [
        ([3, -1], ValueError, "4 steps|integer >= 0"), ([5.5, "5", True], TypeError, "expected an integer")]),
    ("fill", lambda s, v: s.ragged.to_padded(fill=v), [(["pad", [1.0, 2.0], 1j], TypeError, "one number")]),
]  # fmt: skip

# An output may share memory with nothing that the call reads, and with no other output.
OVERLAPS = {
    "x": lambda s: s.gru(s.x, out=over(s.x, (B, T, H))),
    "x.values": lambda s: s.gru(s.ragged, out=over(s.ragged.values, (B * T, H))),
    "strided x": lambda s: s.gru(s.memory[:48].reshape(B, T, 8)[..., :I], out=over(s.memory[18:], (B, T, H))),
    "initial state": lambda s: s.layer(s.x, [s.h, s.c], out=(s.y, s.h_out, s.c)),
    "strided state": lambda s: s.gru(s.x, s.memory[:20].reshape(B, 10)[:, :H], out=over(s.memory, (B, T, H))),
    "kernel": lambda s: s.gru(s.x, out=over(s.gru.get_weights()[0], (B, T, H))),
    "recurrent kernel": lambda s: s.gru(s.x, out=over(s.gru.get_weights()[1], (B, T, H))),
    "bias": lambda s: s.gru(s.x, out=over(s.gru.get_weights()[2], (B, T, H))),
    "another output": lambda s: s.layer(s.x, out=(s.y, s.h_out, s.h_out)),
    "part of another output": lambda s: s.layer(s.x, out=(s.y, s.y[0, :B], s.c_out)),
    "x_t": lambda s: s.stepper(s.x_t, out=over(s.x_t, (B, H))),
    "strided x_t": lambda s: s.stepper(s.memory[:16].reshape(B, 8)[:, :I], out=over(s.memory[9:], (B, H))),
}


def described(value):
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(described, value))}]"
    return f"{value.dtype}{value.shape}" if isinstance(value, np.ndarray) else repr(value).split(" at ")[0]


def every_fault():
    """Name, call of a `Subject` and a wrong thing, that thing, error, and what stands in its message."""
    for argument, kind, call in ARRAYS:
        for wrong, error, message in ALIENS:
            named = "" if wrong is failing else argument
            yield f"{argument} {wrong.__name__}", call, wrong, error, (named, message)
        for dtype in DTYPES[kind]:
            wrong = partial(np.ndarray.astype, dtype=dtype)
            yield f"{argument} {dtype}", call, wrong, TypeError, (argument, "has dtype .*; expected")
    for argument, call, faults in CALLS:
        for wrongs, error, message in faults:
            for wrong in wrongs:
                yield f"{argument} {described(wrong)}", call, wrong, error, (argument, message)
    for other, call in OVERLAPS.items():
        yield f"out over {other}", lambda s, call: call(s), call, ValueError, ("out", "overlaps")
