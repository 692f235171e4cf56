"""Operations: what kernels call and what is written as LLVM IR, on words and pointers.

As Numba's own `intrinsic`, for one signature only: so nothing is to be resolved at each of hundreds of calls.
"""

from numba import types
from numba.core import sigutils
from numba.extending import lower_builtin, models, register_model

ARRAY = types.Array  # in the place of an argument: an array of any kind


class OperationType(types.Callable, types.Opaque):
    """Numba's type of one operation."""

    def __init__(self, name, result, arguments):
        self.result, self.arguments = result, arguments
        super().__init__(f"operation {name}")

    def get_call_type(self, context, arguments, keywords):
        pairs = zip(arguments, self.arguments, strict=True)
        return self.result(*(given if wanted is ARRAY else wanted for given, wanted in pairs))

    def get_call_signatures(self):
        return [], False

    def get_impl_key(self, signature):
        return self.key


register_model(OperationType)(models.OpaqueModel)


class Operation:
    """An operation, in Python: of use to the compiler only."""

    def __init__(self, name, result, arguments, lower):
        self.result, self.arguments, self.lower = result, arguments, lower
        self._numba_type_ = OperationType(name, result, arguments)
        lower_builtin(self._numba_type_.key, *arguments)(lower)


def operation(signature):
    """Decorator of ``emit(builder, *values)``, which returns the result's value, or None. `signature` is
    written as for `numba.njit`.
    """
    arguments, result = sigutils.normalize_signature(signature)

    def decorate(emit):
        def lower(context, builder, signature, values):
            value = emit(builder, *values)
            return context.get_dummy_value() if value is None else value

        return Operation(f"{emit.__module__}.{emit.__name__}", result, arguments, lower)

    return decorate
