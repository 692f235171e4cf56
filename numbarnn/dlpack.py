"""Where the memory of a DLPack capsule lies: the one thing that arrays without ``__cuda_array_interface__``
tell.
"""

import ctypes

import numpy as np

DEVICES = {2: "CUDA", 13: "CUDA managed"}  # numbers of the standard that are memory a CUDA device can read
KINDS = {0: "i", 1: "u", 2: "f", 5: "c", 6: "b"}  # 4 is bfloat16, which NumPy does not have
UNREADABLE = {4: "bfloat16"}


class _Tensor(ctypes.Structure):
    _fields_ = (
        ("data", ctypes.c_void_p),
        ("device_type", ctypes.c_int32),
        ("device_id", ctypes.c_int32),
        ("ndim", ctypes.c_int32),
        ("code", ctypes.c_uint8),
        ("bits", ctypes.c_uint8),
        ("lanes", ctypes.c_uint16),
        ("shape", ctypes.POINTER(ctypes.c_int64)),
        ("strides", ctypes.POINTER(ctypes.c_int64)),
        ("byte_offset", ctypes.c_uint64),
    )


# A prototype of our own: types set on the function itself would be set for everybody in the process.
_pointer = ctypes.PYFUNCTYPE(ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)(
    ("PyCapsule_GetPointer", ctypes.pythonapi)
)


def is_on_device(value):
    """Whether it says that it lies in CUDA memory."""
    where = getattr(value, "__dlpack_device__", None)
    return where is not None and int(where()[0]) in DEVICES


def described(value, stream):
    """The array interface of a value: a dict as `__cuda_array_interface__`, whose owner is the capsule.

    Parameters
    ----------
    value : object with ``__dlpack__``
    stream : int
        Number of the stream that will read: the producer makes it wait for its own work.

    Returns
    -------
    interface : dict
    capsule : object
        Must live as long as the memory is used.

    Raises
    ------
    TypeError
        Elements that NumPy has no type for.
    """
    capsule = value.__dlpack__(stream=stream)
    tensor = _Tensor.from_address(_pointer(capsule, b"dltensor"))
    shape = tuple(tensor.shape[: tensor.ndim])
    if tensor.code not in KINDS or tensor.lanes != 1:
        kind = UNREADABLE.get(tensor.code, f"type code {tensor.code}, {tensor.lanes} lanes")
        raise TypeError(f"elements are {kind}")
    dtype = np.dtype(f"{KINDS[tensor.code]}{tensor.bits // 8}")
    strides = None
    if tensor.strides:
        strides = tuple(stride * dtype.itemsize for stride in tensor.strides[: tensor.ndim])
    address = (tensor.data or 0) + tensor.byte_offset
    return {"shape": shape, "strides": strides, "typestr": dtype.str, "data": (address, False)}, capsule
