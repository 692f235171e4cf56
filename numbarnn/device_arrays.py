"""Arrays that lie on a CUDA device, whoever made them: what checks and kernels need to know of them, and new
ones of the caller's kind.
"""

import math

import numpy as np

from . import device, dlpack


class OnDevice:
    """An array on a device, with as much of `numpy.ndarray`'s face as checks look at.

    Attributes
    ----------
    given : object
        The caller's array.
    device : Device
    address : int
    shape, strides : tuple
        `strides` in bytes.
    dtype : numpy.dtype
    writable : bool
    owner : object
        What keeps the memory.
    """

    def __init__(
        self, given, device, address, shape, strides, dtype, writable=True, writes_of=None, owner=None
    ):
        self.given, self.device, self.address, self.owner = given, device, address, owner
        self.shape, self.dtype, self.writable = tuple(shape), np.dtype(dtype), writable
        self.strides = _contiguous(self.shape, self.dtype.itemsize) if strides is None else tuple(strides)
        self._writes_of = writes_of

    ndim = property(lambda self: len(self.shape))
    size = property(lambda self: math.prod(self.shape))
    itemsize = property(lambda self: self.dtype.itemsize)

    @property
    def flags(self):
        return self

    @property
    def aligned(self):
        return self.address % self.itemsize == 0

    @property
    def c_contiguous(self):
        wanted = _contiguous(self.shape, self.itemsize)
        return self.size == 0 or all(
            have == want or n == 1 for have, want, n in zip(self.strides, wanted, self.shape, strict=True)
        )

    @property
    def carray(self):
        return self.c_contiguous and self.aligned and self.writable

    def reshape(self, *shape):
        """The same elements, which are contiguous."""
        shape = shape[0] if len(shape) == 1 and isinstance(shape[0], tuple) else shape
        known = -math.prod(shape) if -1 in shape else 1
        shape = tuple(self.size // max(1, known) if n == -1 else n for n in shape)
        return OnDevice(
            self.given,
            self.device,
            self.address,
            shape,
            None,
            self.dtype,
            self.writable,
            self._writes_of,
            self.owner,
        )

    def __getitem__(self, places):
        """Columns of rows: ``array[:, begin:end]``."""
        _, columns = places
        begin, end, _ = columns.indices(self.shape[1])
        address = self.address + begin * self.itemsize
        return OnDevice(
            self.given, self.device, address, (self.shape[0], end - begin), self.strides, self.dtype,
            self.writable, self._writes_of, self.owner,
        )  # fmt: skip

    @property
    def span(self):
        """Lowest address and one past the highest."""
        if self.size == 0:
            return self.address, self.address
        reach = [(n - 1) * stride for n, stride in zip(self.shape, self.strides, strict=True)]
        lowest = self.address + sum(step for step in reach if step < 0)
        return lowest, self.address + sum(step for step in reach if step > 0) + self.itemsize

    @property
    def flat(self):
        """All of its memory as the device's own one-dimensional array."""
        return self._memory(self.dtype)

    @property
    def bytes(self):
        """`flat`, whatever its strides: they need not be multiples of its elements."""
        return self._memory(np.dtype(np.uint8))

    def _memory(self, dtype):
        lowest, end = self.span
        if lowest == end:
            return self.device.empty(0, dtype)
        return self.device.adopt(lowest, (end - lowest) // dtype.itemsize, dtype, self.owner, self._writes_of)

    @property
    def first(self):
        """Which element of `flat` is the array's first."""
        return (self.address - self.span[0]) // self.itemsize

    def vectors_aligned(self, vector_bytes):
        """Whether every row, along the last axis, can be read by vectors."""
        return not any(n % vector_bytes for n in (self.address, *self.strides[:-1]))


def _contiguous(shape, itemsize):
    strides = [itemsize]
    for n in reversed(shape[1:]):
        strides.append(strides[-1] * n)
    return tuple(reversed(strides))[: len(shape)]


def is_on_device(value):
    """Whether a value is an array in the memory of a CUDA device."""
    if isinstance(value, (OnDevice, np.ndarray, list, tuple)) or value is None:
        return isinstance(value, OnDevice)
    # DLPack's answer first: a tensor of PyTorch's that requires a gradient refuses the other one.
    return dlpack.is_on_device(value) or getattr(value, "__cuda_array_interface__", None) is not None


def adopt(name, value, stream=None):
    """The `OnDevice` of an array on a device; everything else as it is.

    Parameters
    ----------
    name : str
        Of the argument, for messages.
    value : object
    stream : int, optional
        Number of the stream that will use it.

    Raises
    ------
    TypeError
        Elements that NumPy has no type for, a tensor that requires a gradient, what its library does not hand
        out.
    DeviceNotAvailable
    """
    if isinstance(value, OnDevice) or not is_on_device(value):
        return value
    # Before any interface: bfloat16 would be read as something else of two bytes.
    if str(getattr(value, "dtype", "")).endswith("bfloat16"):
        raise TypeError(f"{name} has dtype bfloat16; expected float32 or float64: convert it first")
    if getattr(value, "requires_grad", False):
        raise TypeError(
            f"{name} is a tensor that requires a gradient, which would be lost; expected one without: call "
            ".detach() on it first"
        )
    at = device.find(_number(value), f"{name} lies on a CUDA device")
    interface, owner = getattr(value, "__cuda_array_interface__", None), value
    if interface is None:
        try:
            interface, owner = dlpack.described(value, stream or 1)  # DLPack's number of the default stream
        except TypeError as error:
            raise TypeError(f"{name}: {error}; expected float32 or float64: convert it first") from error
        except BufferError as error:
            raise TypeError(
                f"{name} is not handed out by its library: {error}; expected a dense array: convert it first"
            ) from error
    if interface.get("mask") is not None:
        raise TypeError(f"{name} is a masked array, whose mask would be lost; expected a plain one")
    address, read_only = interface["data"]
    dtype = np.dtype(interface["typestr"])
    return OnDevice(
        value, at, address, interface["shape"], interface.get("strides"), dtype, not read_only,
        interface.get("stream"), owner,
    )  # fmt: skip


def _number(value):
    """The number of the device it lies on; None: the current one."""
    if hasattr(value, "__dlpack_device__"):
        return int(value.__dlpack_device__()[1])
    context = getattr(getattr(value, "gpu_data", None), "context", None)
    return None if context is None else context.device.id


def new(at, shape, dtype):
    """An array of our own on the device `at`."""
    memory = at.empty(math.prod(shape), dtype)
    return OnDevice(memory.reshape(shape), at, at.address(memory), shape, None, dtype, owner=memory)


def to_host(name, value):
    """A host copy of an array on a device; everything else as it is."""
    adopted = adopt(name, value)
    if not isinstance(adopted, OnDevice):
        return value
    copied = np.empty(adopted.bytes.size, np.uint8)
    adopted.device.download(adopted.bytes, copied)
    first = adopted.address - adopted.span[0]
    return np.ndarray(adopted.shape, adopted.dtype, copied, first, adopted.strides)


def empty_like(model, shape, dtype):
    """A new array of the kind, and on the device, of the `OnDevice` `model`: as `OnDevice`, whose `given` it
    is. Where nobody tells how to make one of its kind, it is one of our own.
    """
    given, name = model.given, np.dtype(dtype).name
    module = type(given).__module__.partition(".")[0]
    if module == "torch":
        import torch

        made = torch.empty(shape, dtype=getattr(torch, name), device=given.device)
    elif module == "cupy":
        import cupy

        with given.device:
            made = cupy.empty(shape, name)
    elif hasattr(given, "__array_namespace__"):
        space = given.__array_namespace__()
        made = space.empty(shape, dtype=getattr(space, name), device=given.device)
    else:
        return new(model.device, shape, dtype)
    return adopt("out", made)
