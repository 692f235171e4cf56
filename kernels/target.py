"""A target of Numba's with what kernels need and no more: integers, ranges, arrays.

It generates the code of Numba's own target for this CPU, in the same engine. That one, before it compiles or
loads anything, imports all that Numba knows of, and SciPy where it is installed. What Numba writes as
overloads, such as `min` or NumPy's functions, is unknown here.
"""

from functools import cached_property

from numba.core import typing
from numba.core.cpu import CPUContext
from numba.core.registry import CPUDispatcher, CPUTarget, cpu_target
from numba.core.runtime import rtsys
from numba.core.typing import arraydecl, builtins, templates

TYPED_IN = builtins.__name__, arraydecl.__name__


class _Typing(typing.BaseContext):
    """How operations on values are typed: as Numba's registry says, but for what was added by overloads."""

    def _load_builtins(self):
        if self._registries:
            return
        known, needed = templates.builtin_registry, templates.Registry()
        needed.functions += [kind for kind in known.functions if kind.__module__ in TYPED_IN]
        needed.attributes += [kind for kind in known.attributes if kind.__module__ in TYPED_IN]
        needed.globals += known.globals
        self.install_registry(needed)


class _Context(CPUContext):
    """How operations on values are lowered."""

    def init(self):
        self.is32bit = cpu_target.target_context.is32bit
        self._internal_codegen = cpu_target.target_context.codegen()

    def load_additional_registries(self):
        from numba.cpython import builtins, numbers, rangeobj, tupleobj  # noqa: F401
        from numba.np import arrayobj  # noqa: F401

        rtsys.initialize(cpu_target.target_context)


class _Target(CPUTarget):
    @cached_property
    def _toplevel_typing_context(self):
        return _Typing()

    @cached_property
    def _toplevel_target_context(self):
        return _Context(self.typing_context, self._target_name)


TARGET = _Target("cpu")


class Dispatcher(CPUDispatcher):
    """A function compiled for it."""

    targetdescr = TARGET
