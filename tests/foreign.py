"""Other libraries' arrays, without the libraries: their memory is NumPy's, and a simulated device reads it
where it lies.
"""

import ctypes
from types import SimpleNamespace

import numpy as np

from numbarnn.device import SimulatedDevice

CUDA = 2  # DLPack's number of CUDA memory
CODES = {"i": 0, "u": 1, "f": 2, "b": 6}


class Numbered(SimulatedDevice):
    """One of several simulated devices."""

    def __init__(self, number):
        self.number, self.name = number, f"simulator {number}"


class Foreign:
    """An array of some library's.

    Parameters
    ----------
    host : ndarray
        Its memory, which may be a view.
    number : int
        Of its device.
    """

    def __init__(self, host, number=0):
        self.host, self.number = np.asarray(host), number

    shape = property(lambda self: self.host.shape)

    def __dlpack_device__(self):
        return CUDA, self.number


class Interfaced(Foreign):
    """With ``__cuda_array_interface__``; strides are told if they must be, or with ``strides=True``."""

    def __init__(self, host, number=0, strides=False, read_only=False, **more):
        super().__init__(host, number)
        self.strides, self.read_only, self.more = strides, read_only, more

    dtype = property(lambda self: self.host.dtype)

    @property
    def __cuda_array_interface__(self):
        told = self.strides or not self.host.flags.c_contiguous
        return {
            "shape": self.host.shape,
            "strides": self.host.strides if told else None,
            "typestr": self.host.dtype.str,
            "data": (self.host.__array_interface__["data"][0], self.read_only),
            "version": 3,
        } | self.more


class NumbaLike:
    """With the interface alone: which device it is, its memory's context tells."""

    def __init__(self, host, number=0):
        self.host, self._interfaced = host, Interfaced(host)
        self.gpu_data = SimpleNamespace(context=SimpleNamespace(device=SimpleNamespace(id=number)))

    __cuda_array_interface__ = property(lambda self: self._interfaced.__cuda_array_interface__)


class Standard(Interfaced):
    """Of a library that follows the array API standard: its namespace makes arrays of its kind."""

    @property
    def device(self):
        return f"device {self.number}"

    def __array_namespace__(self):
        return Namespace


class Namespace:
    """What makes a `Standard`; its dtypes are no NumPy dtypes, and new arrays hold NaN."""

    float32, float64 = SimpleNamespace(of="float32"), SimpleNamespace(of="float64")

    @staticmethod
    def empty(shape, *, dtype, device):
        return Standard(np.full(shape, np.nan, dtype.of), int(device.removeprefix("device ")))


class Differentiable(Standard):
    """As PyTorch's tensors that require a gradient: interfaces refuse."""

    requires_grad = True

    @property
    def __cuda_array_interface__(self):
        raise RuntimeError("Can't get __cuda_array_interface__ on Variable that requires grad.")


class BrainFloats(Interfaced):
    """bfloat16, whose interface tells of another type of two bytes."""

    class dtype:
        def __str__(self):
            return "torch.bfloat16"

    dtype = dtype()


# DLPack: a capsule is read where the standard says that things lie, with nothing of the library's.


class Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p), ("device_type", ctypes.c_int32), ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32), ("code", ctypes.c_uint8), ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16), ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)), ("byte_offset", ctypes.c_uint64),
    )  # fmt: skip


class Managed(ctypes.Structure):
    _fields_ = (("tensor", Tensor), ("context", ctypes.c_void_p), ("deleter", ctypes.c_void_p))


Callback = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_NAME = b"dltensor"
_python = ctypes.PyDLL(None)  # prototypes of our own
_python.PyCapsule_New.restype = ctypes.py_object
_python.PyCapsule_New.argtypes = ctypes.c_void_p, ctypes.c_char_p, Callback
_python.PyCapsule_IsValid.argtypes = ctypes.c_void_p, ctypes.c_char_p
_python.PyCapsule_GetPointer.restype = ctypes.c_void_p
_python.PyCapsule_GetPointer.argtypes = ctypes.c_void_p, ctypes.c_char_p
_exported = {}  # address of a managed tensor: it, and all that it needs


@Callback
def _delete(address):
    exporter, *_ = _exported.pop(address)
    exporter.deleted += 1


@Callback
def _destroy(capsule):
    """A capsule that nobody has taken over deletes its tensor."""
    if _python.PyCapsule_IsValid(capsule, _NAME):
        address = _python.PyCapsule_GetPointer(capsule, _NAME)
        Callback(Managed.from_address(address).deleter)(address)


class Exchanged(Foreign):
    """With ``__dlpack__`` and ``__dlpack_device__`` alone.

    Attributes
    ----------
    streams : list
        That it was asked to hand out its memory for.
    deleted : int
        Capsules that are gone; their data would be freed.
    """

    shape = property()  # not even that is known of it

    def __init__(self, host, number=0, strides=True, code=None, byte_offset=0):
        super().__init__(host, number)
        self.strides, self.code, self.byte_offset = strides, code, byte_offset
        self.streams, self.deleted = [], 0

    def __dlpack__(self, *, stream=None):
        self.streams.append(stream)
        host, axes = self.host, ctypes.c_int64 * self.host.ndim
        shape, strides = axes(*host.shape), axes(*(stride // host.itemsize for stride in host.strides))
        tensor = Tensor(
            host.__array_interface__["data"][0] - self.byte_offset, CUDA, self.number, host.ndim,
            CODES[host.dtype.kind] if self.code is None else self.code, 8 * host.itemsize, 1,
            shape, strides if self.strides else None, self.byte_offset,
        )  # fmt: skip
        managed = Managed(tensor, None, ctypes.cast(_delete, ctypes.c_void_p))
        address = ctypes.addressof(managed)
        _exported[address] = self, managed, shape, strides, host
        return _python.PyCapsule_New(address, _NAME, _destroy)


class Withheld(Exchanged):
    """Its library refuses to export it."""

    def __dlpack__(self, *, stream=None):
        raise BufferError("tensors with a sparse layout cannot be exported")
