"""Numba's CUDA target, imported here and nowhere else: the decorator of the kernels, their vector loads, and whether
the simulator stands in for a device.

`numba-cuda` takes the place of Numba's own `numba.cuda` where it is installed. Importing this module looks for no
device; it is imported when a layer is first asked to run on one.
"""

from llvmlite import ir
from numba import cuda
from numba.core import config

SIMULATED = bool(config.ENABLE_CUDASIM)

__all__ = ["SIMULATED", "cuda", "libdevice", "load4", "shared_floats", "store4"]

if SIMULATED:
    libdevice = None

    def load4(array, index):
        """Four neighbours from `index` on."""
        return array[index], array[index + 1], array[index + 2], array[index + 3]

    def store4(array, index, values):
        """Set four neighbours from `index` on."""
        for k in range(4):
            array[index + k] = values[k]

else:
    from numba.cuda import libdevice
    from numba.cuda import types
    from numba.cuda.extending import intrinsic

    I32 = ir.IntType(32)

    def _place(context, builder, array_type, array, index):
        """Pointer to four neighbours as one vector, in the array's own address space."""
        element = context.get_value_type(array_type.dtype)
        first = builder.gep(context.make_array(array_type)(context, builder, array).data, [index])
        return builder.bitcast(first, ir.VectorType(element, 4).as_pointer(first.type.addrspace))

    @intrinsic
    def load4(typing_context, array, index):
        """Four neighbours from `index` on, which begin at a multiple of 16 bytes: one or two 128-bit loads."""

        def codegen(context, builder, signature, arguments):
            loaded = builder.load(_place(context, builder, signature.args[0], *arguments))
            loaded.align = 16
            values = [builder.extract_element(loaded, I32(k)) for k in range(4)]
            return context.make_tuple(builder, signature.return_type, values)

        return types.UniTuple(array.dtype, 4)(array, types.int64), codegen

    @intrinsic
    def store4(typing_context, array, index, values):
        """Set four neighbours from `index` on, which begin at a multiple of 16 bytes."""

        def codegen(context, builder, signature, arguments):
            array, index, values = arguments
            place = _place(context, builder, signature.args[0], array, index)
            vector = ir.Constant(place.type.pointee, ir.Undefined)
            for k in range(4):
                vector = builder.insert_element(vector, builder.extract_value(values, k), I32(k))
            builder.store(vector, place).align = 16
            return context.get_dummy_value()

        return types.void(array, types.int64, types.UniTuple(array.dtype, 4)), codegen
