"""Numba's CUDA target, imported here and nowhere else: the decorator of the kernels, their vector loads, and
whether the simulator stands in for a device.

`numba-cuda` takes the place of Numba's own `numba.cuda` where it is installed. Importing this module looks
for no device; it is imported when a layer is first asked to run on one.
"""

from llvmlite import ir
from numba import cuda
from numba.core import config

SIMULATED = bool(config.ENABLE_CUDASIM)
VECTOR_BYTES = 16  # the widest load that a thread has

__all__ = ["SIMULATED", "VECTOR_BYTES", "cuda", "libdevice", "load_vector", "store_vector"]

if SIMULATED:
    from functools import partial, wraps
    from types import SimpleNamespace

    import numpy as np
    from numba.cuda.simulator import kernel as running

    libdevice = None

    class Simulator:
        """`numba.cuda` as a simulated thread sees it.

        The simulator itself puts its context into the globals of each function that is called, and takes it
        out on return, which threads that share a device function do to each other.
        """

        def __getattr__(self, name):
            return getattr(running._get_kernel_context() or cuda_module, name)

        def jit(self, function=None, device=False, **options):
            """A function of the device stays as it is; no device warns of an overflow, so neither does a
            kernel.
            """
            if function is None:
                return partial(self.jit, device=device, **options)

            @wraps(function)
            def quietly(*arguments):
                with np.errstate(all="ignore"):
                    function(*arguments)

            return function if device else cuda_module.jit(quietly)

        @property
        def shared(self):
            """Dynamic shared memory; the simulator knows no alignment."""
            array = running._get_kernel_context().shared.array
            return SimpleNamespace(array=lambda shape, dtype, alignment: array(shape, np.dtype(dtype)))

    cuda_module, cuda = cuda, Simulator()

    def load_vector(array, index):
        """As many neighbours from `index` on as a vector holds."""
        return tuple(array[index + k] for k in range(VECTOR_BYTES // array.dtype.itemsize))

    def store_vector(array, index, values):
        """Set the neighbours from `index` on."""
        for k, value in enumerate(values):
            array[index + k] = value

else:
    from numba.cuda import libdevice, types
    from numba.cuda.extending import intrinsic

    I32 = ir.IntType(32)

    def _count(array):
        return VECTOR_BYTES // (array.dtype.bitwidth // 8)

    def _place(context, builder, array_type, array, index):
        """Pointer to neighbours as one vector, in the array's own address space."""
        element = context.get_value_type(array_type.dtype)
        first = builder.gep(context.make_array(array_type)(context, builder, array).data, [index])
        vector = ir.VectorType(element, _count(array_type))
        return builder.bitcast(first, vector.as_pointer(first.type.addrspace))

    @intrinsic
    def load_vector(typing_context, array, index):
        """As many neighbours as a vector holds, from `index` on, which is a multiple of their number: one
        load.
        """

        def codegen(context, builder, signature, arguments):
            loaded = builder.load(_place(context, builder, signature.args[0], *arguments))
            loaded.align = VECTOR_BYTES
            values = [builder.extract_element(loaded, I32(k)) for k in range(_count(signature.args[0]))]
            return context.make_tuple(builder, signature.return_type, values)

        return types.UniTuple(array.dtype, _count(array))(array, types.int64), codegen

    @intrinsic
    def store_vector(typing_context, array, index, values):
        """Set the neighbours from `index` on, which is a multiple of their number: one store."""

        def codegen(context, builder, signature, arguments):
            array, index, values = arguments
            place = _place(context, builder, signature.args[0], array, index)
            vector = ir.Constant(place.type.pointee, ir.Undefined)
            for k in range(_count(signature.args[0])):
                vector = builder.insert_element(vector, builder.extract_value(values, k), I32(k))
            builder.store(vector, place).align = VECTOR_BYTES
            return context.get_dummy_value()

        return types.void(array, types.int64, types.UniTuple(array.dtype, _count(array))), codegen
