"""The examples in the docstrings run and print what they say, and everything that users call has one."""

import doctest
import importlib
import inspect
import pkgutil

import numpy as np
import pytest

import numbarnn as nr
from numbarnn import benchmarks
from numbarnn.kernels import jit

MODULES = [f"numbarnn.{module.name}" for module in pkgutil.iter_modules(nr.__path__) if not module.ispkg]
MODULES += [
    f"{package.__name__}.{module.name}"
    for package in (nr.layouts, nr.tf1, benchmarks)
    for module in pkgutil.iter_modules(package.__path__)
]
MODULES += ["numbarnn", "numbarnn.tf1", "numbarnn.layouts", "numbarnn.benchmarks.peers"]
MODULES += [f"numbarnn.kernels.{name}" for name in ("declaration", "definition", "plan")]
COMPILED = {f"numbarnn.benchmarks.limits.{name}" for name in ("FmaLoop", "ReadLoop", "BarrierLoop")}
COMPILED |= {"numbarnn.benchmarks.compare.compare"}
HANDED_OUT = {"Decision", "DeviceNotAvailable", "State", "Stepper"}  # users get these and make none


def examples():
    """Every docstring with an example, with the names that a reader takes for granted."""
    for name in MODULES:
        found = doctest.DocTestFinder().find(importlib.import_module(name), extraglobs={"nr": nr, "np": np})
        yield from (example for example in found if example.examples)


@pytest.mark.parametrize("example", list(examples()), ids=lambda example: example.name)
def test_example(example, capsys):
    if jit.DISABLED and example.name in COMPILED:
        pytest.skip("NUMBA_DISABLE_JIT=1: what it measures is not compiled")
    failed, tried = doctest.DocTestRunner(optionflags=doctest.FAIL_FAST).run(example)
    assert tried and not failed, capsys.readouterr().out


@pytest.mark.parametrize("name", nr.__all__)
def test_public_names_are_documented(name):
    """A docstring; for what users call, its parameters and an example."""
    thing = getattr(nr, name)
    text = inspect.getdoc(thing)
    assert text
    if callable(thing) and name not in HANDED_OUT:
        assert "\nParameters\n----------\n" in text
        assert ">>> " in text.partition("\nExamples\n--------\n")[2]


@pytest.mark.parametrize("name", [name for name in nr.__all__ if inspect.isclass(getattr(nr, name))])
def test_public_methods_are_documented(name):
    for method, function in vars(getattr(nr, name)).items():
        if callable(function) and (method == "__call__" or not method.startswith("_")):
            assert inspect.getdoc(function), method
