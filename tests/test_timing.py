"""Rivals take turns, in this process and in others."""

import gc
import time

import pytest

from numbarnn import timing


def test_rivals_take_turns(monkeypatch):
    """Each round takes all and begins with another; a long call is counted once, a short one repeated."""
    monkeypatch.setattr(timing, "WAKING_SECONDS", 0)
    order = []

    def long():
        order.append("long")
        time.sleep(0.004)

    def short():
        order.append("short")

    durations = timing.interleave({"long": long, "short": short}, 0, rounds=2, burst_seconds=0.002)
    turns = [name for k, name in enumerate(order) if k == 0 or name != order[k - 1]]
    assert turns == ["long", "short", "long", "short", "long"]
    assert len(durations["long"]) == 2 and order.count("long") == 1 + 2 * 2
    assert min(durations["long"]) >= 0.004
    assert len(durations["short"]) > 2
    assert len(durations["short"]) == order.count("short") - 1 - 2  # the first call of all, and one per burst


def test_calls_in_the_same_threads_alternate(monkeypatch):
    """Burst by burst, each round beginning with another; of each burst the median is kept."""
    monkeypatch.setattr(timing, "WAKING_SECONDS", 0)
    clock, order = Clock(0.0), []
    monkeypatch.setattr(timing, "time", clock)

    def call(name, seconds):
        order.append(name)
        clock.sleep(seconds)

    calls = {"short": lambda: call("short", 0.25), "long": lambda: call("long", 1.5)}
    took = timing.alternate(calls, 0, rounds=3, burst_seconds=1.0)
    assert {name: values.tolist() for name, values in took.items()} == {
        "short": pytest.approx([0.25] * 3),
        "long": pytest.approx([1.5] * 3),
    }
    turns = [name for k, name in enumerate(order) if k == 0 or name != order[k - 1]]
    assert turns == ["short", "long", "short", "long", "short", "long"] and order.count("short") == 1 + 3 * 4
    assert len(timing.alternate(calls, 20.0, rounds=3)["long"]) > 3


def test_patience(monkeypatch):
    """Who is slow is heard three times, who is far too slow once, and who is not as often as is asked for."""
    monkeypatch.setattr(timing, "WAKING_SECONDS", 0)
    clock, took = Clock(0.0), {"quick": 0.125, "slow": 0.5, "hopeless": 4.0}
    monkeypatch.setattr(timing, "time", clock)
    calls = {name: lambda seconds=seconds: clock.sleep(seconds) for name, seconds in took.items()}
    durations = timing.interleave(calls, 0, rounds=6, patience=0.75)
    assert {name: len(found) for name, found in durations.items()} == {"quick": 6, "slow": 3, "hopeless": 1}
    durations = timing.interleave(calls, 0, rounds=4)
    assert {name: len(found) for name, found in durations.items()} == dict.fromkeys(took, 4)


def test_nobody_has_any_time_left(monkeypatch):
    """Then the rounds end before their number is full."""
    clock = Clock(0.0)
    monkeypatch.setattr(timing, "time", clock)
    durations = timing.interleave({"slow": lambda: clock.sleep(1.0)}, 60, rounds=9, patience=1.0)
    assert durations == {"slow": pytest.approx([1.0] * 3)}


def test_waking_threads_is_not_counted(monkeypatch):
    """Calls of the first while, unless one is so long that it does not matter."""
    monkeypatch.setattr(timing, "WAKING_SECONDS", 0.01)
    left = [0.006, 0.006, 0.001]
    assert len(timing.burst(lambda: time.sleep(left.pop(0)), 0)) == 1 and not left
    monkeypatch.setattr(timing, "LONG_CALL_SECONDS", 0.02)
    left = [0.03, 0.01]
    [only] = timing.burst(lambda: time.sleep(left.pop(0)), 0)
    assert only >= 0.03 and left == [0.01]


def test_no_garbage_is_collected_meanwhile():
    """But afterwards, if it was before."""
    collecting = []
    timing.burst(lambda: collecting.append(gc.isenabled()), 0.0001)
    assert gc.isenabled() and not any(collecting)
    gc.disable()
    try:
        timing.burst(lambda: None, 0)
        assert not gc.isenabled()
    finally:
        gc.enable()


class Clock:
    """Time that only sleeping takes, and a process that computes until `quiet_from`."""

    def __init__(self, quiet_from):
        self.now, self.computed, self.quiet_from = 0.0, 0.0, quiet_from

    def perf_counter(self):
        return self.now

    def process_time(self):
        return self.computed

    def sleep(self, seconds):
        self.computed += seconds * (self.now < self.quiet_from)
        self.now += seconds


def test_settle_waits(monkeypatch):
    """Until nothing has been computed for a while."""
    clock = Clock(0.25)
    monkeypatch.setattr(timing, "time", clock)
    timing.settle()
    assert 0.25 < clock.now < 0.26
    began = clock.now
    timing.settle()
    assert clock.now - began < 0.003


def test_settle_does_not_wait_for_ever(monkeypatch):
    monkeypatch.setattr(timing, "time", Clock(99.0))
    with pytest.raises(RuntimeError, match=r"has been computing for 2\.0 s"):
        timing.settle()
