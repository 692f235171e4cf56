"""Several Python threads: one layer serves them all; one state serves one call, and refuses a second."""

import itertools
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import numpy as np
import pytest
from bits import same
from models import MODELS, every_model

import numbarnn as nr
from numbarnn import costs, dispatch
from numbarnn.kernels import jit

B, T, I, H = 4, 6, 3, 5  # noqa: E741


def ready(model):
    """A stateful layer, the same without states that returns all it can, inputs, and random states."""
    rng = np.random.default_rng(3)
    stateful = model.make(I, H, stateful=True, return_sequences=True)
    plain = model.make(I, H, return_sequences=True, return_state=True)
    x = rng.standard_normal((B, T, I), dtype=np.float32)
    return stateful, plain, x, model.states(B, H, "float32", rng)


@contextmanager
def under_way(call, monkeypatch):
    """Another thread in the middle of `call`, until the block ends; yields its future result."""
    entered, leave = threading.Event(), threading.Event()

    def slow(function):
        def wrapped(*arguments, **options):
            entered.set()
            assert leave.wait(60)
            return function(*arguments, **options)

        return wrapped

    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as patch:
        patch.setattr(dispatch, "run", slow(dispatch.run))
        patch.setattr(dispatch.Call, "step", slow(dispatch.Call.step))
        future = pool.submit(call)
        assert entered.wait(60)
        patch.undo()
        try:
            yield future
        finally:
            leave.set()


def test_two_calls_of_one_stateful_layer(monkeypatch):
    """The second is refused, and so is a reset; the first ends as if it had been alone."""
    stateful, plain, x, states = ready(MODELS["lstm"])
    stateful.reset_states(states)
    with under_way(lambda: stateful(x), monkeypatch) as first:
        for refused in (
            lambda: stateful(x),
            stateful.reset_states,
            lambda: stateful.reset_states(rows=[1]),
            lambda: stateful.reset_states(states),
        ):
            with pytest.raises(RuntimeError, match=r"in use by another thread.*expected one call at a time"):
                refused()
        same(stateful.states, states)
    y, *final = plain(x, states)
    same([first.result(), *stateful.states], [y, *final])
    same(stateful(x)[np.newaxis], plain(x, final)[:1])


@pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1 is set; there is no compiled step to hold up")
def test_two_steps_of_one_stepper(monkeypatch):
    """Also where the inputs of the second must be copied before kernels can read them."""
    _, layer, x, _ = ready(MODELS["gru"])
    stepper, twin = layer.stepper(B), layer.stepper(B)
    for t in range(2):
        same([stepper(x[:, t])], [twin(x[:, t])])
    with under_way(lambda: stepper(x[:, 2]), monkeypatch) as first:
        for refused in (lambda: stepper(x[:, 3]), lambda: stepper(x[:, 3].copy()), stepper.reset):
            with pytest.raises(RuntimeError, match=r"in use by another thread"):
                refused()
    same([first.result()], [twin(x[:, 2])])
    same([stepper(x[:, 3])], [twin(x[:, 3])])


@every_model
def test_eight_threads_on_one_layer(model):
    """Each gets the bits of a call alone, from the very first call of the layer on."""
    rng = np.random.default_rng(9)
    batches = [rng.standard_normal((rows, 20, I), dtype=np.float32) for rows in (1, 2, 3, 7, 13, 1, 40, 7)]
    expected = [model.make(I, 33, return_state=True)(x) for x in batches]
    with ThreadPoolExecutor(8) as pool:
        for _ in range(10):
            layer, start = model.make(I, 33, return_state=True), threading.Barrier(8)

            def call(x, layer=layer, start=start):
                start.wait(60)
                return [layer(x) for _ in range(5)]

            for results, wanted in zip(pool.map(call, batches), expected, strict=True):
                for result in results:
                    same(result, wanted)


def test_the_first_calls_of_eight_threads_draw_the_weights_once():
    drawn, start = [], threading.Barrier(8)

    def draw(shape):
        drawn.append(shape)
        threading.Event().wait(0.02)
        return np.random.default_rng(len(drawn)).standard_normal(shape)

    layer, x = nr.GRU(H, kernel_initializer=draw), np.ones((B, T, I), np.float32)

    def call(_):
        start.wait(60)
        return layer(x)

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(call, range(8)))
    assert drawn == [(I, 3 * H)]
    same(results, [layer(x)] * 8)


def test_the_tables_behind_a_layer_are_made_once():
    """Kernels follow addresses in them, so two threads that make them at once must not end up with two."""
    weights = MODELS["gru"].make(I, 33).get_weights()
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            for _ in range(20):
                layer, start = nr.GRU(33), threading.Barrier(8)
                layer.set_weights(weights)

                def table(_, layer=layer, start=start):
                    start.wait(60)
                    return layer.cell.program.table

                assert len({id(made) for made in list(pool.map(table, range(8)))}) == 1
    finally:
        sys.setswitchinterval(interval)


@pytest.mark.skipif(jit.DISABLED, reason="NUMBA_DISABLE_JIT=1: no thread is started")
@pytest.mark.parametrize("schedule", ["rows", "units"])
def test_sixteen_threads_on_one_stateful_layer(schedule, monkeypatch):
    """Calls that meet another one are refused; the others are those of one thread, each taken once."""
    monkeypatch.setattr(costs, "LAUNCH_WORTH_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "SCHEDULES", (schedule,))
    stateful, plain = (
        MODELS["lstm"].make(I, 40, **options) for options in ({"stateful": True}, {"return_state": True})
    )
    x = np.random.default_rng(1).standard_normal((B, 200, I), dtype=np.float32)
    stateful.reset_states([np.zeros((B, 40), np.float32)] * 2)
    start, taken, refused = threading.Barrier(16), [], []

    def call(_):
        start.wait(60)
        for _ in range(12):
            try:
                taken.append(stateful(x, n_threads=2).tobytes())
            except RuntimeError as error:
                refused.append(str(error))

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(call, range(16)))
    assert refused and set(refused) == {refused[0]} and "in use by another thread" in refused[0]
    states, expected = None, []
    for _ in taken:
        y, *states = plain(x, states)
        expected.append(y.tobytes())
    assert sorted(taken) == sorted(expected)
    same(stateful.states, states)


class Stop(BaseException):
    """Raised by a signal handler, wherever the main thread happens to be."""


@contextmanager
def stopped(seconds):
    """Raise `Stop` after so many seconds of the processor."""

    def stop(*_):
        raise Stop

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        with np.errstate():  # the signal may come inside NumPy's own, which would then last
            yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0.0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the signals of POSIX")
@pytest.mark.parametrize("kind", ["stepper", "layer"])
def test_a_signal_at_any_moment_leaves_the_old_state_or_the_new_one(kind):
    """Also between taking the state and working on it: the next call is not refused."""
    rng = np.random.default_rng(2)
    layer, xs = nr.LSTM(H, stateful=True, seed=1), rng.standard_normal((64, 2, 1, I), dtype=np.float32)
    layer.build(I)

    def fresh():
        if kind == "stepper":
            stepper = layer.stepper(2)
            return lambda k: stepper(xs[k % 64, :, 0]), lambda: stepper.states
        one = nr.LSTM(H, stateful=True)
        one.set_weights(layer.get_weights())
        return lambda k: one(xs[k % 64]), lambda: one.states

    (call, states), (twin, twins_states) = fresh(), fresh()
    calls, taken = itertools.count(), 0
    call(next(calls)), twin(taken)
    for _ in range(250):
        number = None
        with pytest.raises(Stop), stopped(rng.uniform(1e-4, 4e-3)):
            while True:
                number = next(calls)
                call(number)
        while taken < number - 1:
            taken += 1
            twin(taken)
        if any(a.tobytes() != b.tobytes() for a, b in zip(states(), twins_states(), strict=True)):
            taken += 1
            twin(taken)
        same(states(), twins_states())
        calls = itertools.count(taken + 1)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs the signals of POSIX")
def test_a_signal_during_a_reset_leaves_the_old_states_or_the_new_ones():
    layer = nr.LSTM(H, stateful=True, seed=1)
    ones, twos = ([np.full((3, H), value, np.float32)] * 2 for value in (1.0, 2.0))
    layer.reset_states(ones)
    found, rng = set(), np.random.default_rng(3)
    for _ in range(150):
        with pytest.raises(Stop), stopped(rng.uniform(1e-4, 4e-3)):
            while True:
                layer.reset_states(twos, rows=[0, 1, 2])
                layer.reset_states(ones, rows=[0, 1, 2])
        h, c = layer.states
        same([h], [c])
        found.add(float(h[0, 0]))
        assert np.ptp(h) == 0.0
    assert found == {1.0, 2.0}
