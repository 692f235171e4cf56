"""CUDA devices: which there are, their memory, and how kernels are launched on them."""

import ctypes
import sys
import warnings
from functools import cache, lru_cache

import numpy as np


class DeviceNotAvailable(RuntimeError):
    """The device asked for is not there; the message says what was looked for."""


INSTALL = 'pip install "numbarnn[cuda13]", or "numbarnn[cuda12]" for a driver that knows CUDA 12 only'
FREELY_SHARED_BYTES = 48 << 10  # of a block's shared memory; a kernel must ask for more
KEPT_LAUNCHES = 1024  # configurations of kernels that are made once


def find(number=None, why="device = 'cuda'"):
    """A `Device`: the one of this number, or the current one; `why` it is wanted begins the message.

    Raises
    ------
    DeviceNotAvailable
        The package, the driver or the device is missing.
    """
    from .kernels.jit_cuda import SIMULATED, cuda

    if SIMULATED:
        return _simulated()
    looked_for = f"{why}: looked for the package numba-cuda, an NVIDIA driver and a device"
    remedy = "use device='cpu', or arrays in host memory with device='auto', which runs where the data are"
    if cuda.implementation == "Built-in":
        raise DeviceNotAvailable(f"{looked_for}; numba-cuda is not installed: {INSTALL}; or {remedy}")
    if not cuda.is_available():
        reason = " ".join(str(cuda.cuda_error() or "no device is visible, see CUDA_VISIBLE_DEVICES").split())
        raise DeviceNotAvailable(f"{looked_for}; found the package only ({reason}): {remedy}")
    return _numbered(cuda.get_current_device().id if number is None else number)


@cache
def _numbered(number):
    return Device(number)


@cache
def _simulated():
    return SimulatedDevice()


class Device:
    """One CUDA device.

    Arrays on it are one-dimensional and C-contiguous; what is allocated is uninitialised.

    Attributes
    ----------
    number : int
    name : str
    processors : int
        Multiprocessors: so many blocks run at once, at least.
    shared_bytes : int
        Shared memory that a block can ask for.
    clock_hz : float
    """

    simulated = False

    def __init__(self, number):
        from .kernels.jit_cuda import cuda

        self._cuda = cuda
        self.number = number
        device = cuda.gpus[number]
        with device:
            self.name = device.name if isinstance(device.name, str) else device.name.decode()
            self.processors = device.MULTIPROCESSOR_COUNT
            self.shared_bytes = device.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN
            self.clock_hz = device.CLOCK_RATE * 1e3
            self.compute_capability = tuple(device.compute_capability)
            self._default_stream = cuda.default_stream()
        # Made once each: a new one costs microseconds of Python at every launch.
        self._external_stream = cache(cuda.external_stream)
        self._configured = lru_cache(maxsize=KEPT_LAUNCHES)(_configured)
        self._opt_in = cache(_opt_in)

    def __repr__(self):
        return f"<CUDA device {self.number}: {self.name}>"

    def empty(self, size, dtype):
        """Allocate `size` elements.

        Raises
        ------
        MemoryError
            The device has no room.
        """
        from numba.cuda.cudadrv.driver import CudaAPIError

        try:
            with self._cuda.gpus[self.number]:
                return self._cuda.device_array(max(1, size), dtype)[:size]
        except CudaAPIError as error:
            if "OUT_OF_MEMORY" not in str(error):
                raise
            needed = size * np.dtype(dtype).itemsize
            raise MemoryError(
                f"{self!r} has no room for {needed} bytes: split the batch, or free other arrays"
            ) from error

    def upload(self, array, target=None):
        """A copy of a host array, flat; in `target` where given. The host array may change after it."""
        flat = np.ascontiguousarray(array).reshape(-1)
        if target is None:
            target = self.empty(flat.size, flat.dtype)
        if flat.size:
            with self._cuda.gpus[self.number]:
                target.copy_to_device(flat)
                self._cuda.default_stream().synchronize()  # other streams may read before all has arrived
        return target

    def download(self, source, target, stream=None):
        """Fill a C-contiguous host array; waits for what `stream` has to do, by default for all streams."""
        with self._cuda.gpus[self.number]:
            if stream is None:
                self._cuda.synchronize()
            if target.size:
                source.copy_to_host(target.reshape(-1), stream=0 if stream is None else stream)
            if stream is not None:
                stream.synchronize()

    def copy(self, source, target, stream):
        """From array to array on the device."""
        if target.size:
            with self._cuda.gpus[self.number]:
                target.copy_to_device(source, stream=stream)

    def finish(self, stream):
        """Wait for what `stream` has to do."""
        with self._cuda.gpus[self.number]:
            stream.synchronize()

    def address(self, array):
        return array.device_ctypes_pointer.value or 0

    def adopt(self, address, size, dtype, owner, writes_of=None):
        """`size` elements from `address` on as an array that keeps `owner` alive; first waits for the stream
        with the number `writes_of`.
        """
        described = {"shape": (size,), "typestr": np.dtype(dtype).str, "data": (address, False), "version": 3}
        with self._cuda.gpus[self.number]:
            return self._cuda.from_cuda_array_interface(described | {"stream": writes_of}, owner=owner)

    def is_stream(self, value):
        """Whether it is a stream of our own kind."""
        return type(value) is type(self._default_stream)

    def stream(self, given):
        """The stream that a caller names: None, a number, or an object of Numba's, CuPy's, PyTorch's or with
        ``__cuda_stream__``.

        Raises
        ------
        TypeError
            Anything else.
        """
        with self._cuda.gpus[self.number]:
            if given is None:
                return self._default_stream
            if self.is_stream(given):
                return given
            return self._external_stream(stream_number(given))

    def launch(self, kernel, grid, threads, shared_bytes, stream, *arguments):
        """Start a kernel of ``grid`` blocks; those that meet in the grid are started together."""
        with self._cuda.gpus[self.number]:
            if shared_bytes > FREELY_SHARED_BYTES:
                self._opt_in(kernel, tuple(map(kernel.typeof_pyval, arguments)), shared_bytes)
            self._configured(kernel, grid, threads, stream, shared_bytes)(*arguments)


def stream_number(given):
    """The number of a CUDA stream; see `Device.stream`."""
    protocol = getattr(given, "__cuda_stream__", None)
    if protocol is not None:
        return protocol()[1] if callable(protocol) else protocol[1]
    for name in ("cuda_stream", "ptr"):  # PyTorch's and CuPy's
        if isinstance(getattr(given, name, None), int):
            return getattr(given, name)
    if isinstance(given, int) and not isinstance(given, bool):
        return given
    raise TypeError(
        f"stream is of type {type(given).__name__}; expected a stream of Numba, CuPy or PyTorch, an object "
        "with __cuda_stream__, or its number"
    )


def _configured(kernel, grid, threads, stream, shared_bytes):
    """A kernel ready to be launched. Numba warns of grids below 128 blocks, which here are meant."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Grid size")
        return kernel[grid, threads, stream, shared_bytes]


def _opt_in(kernel, signature, shared_bytes):
    """Let a kernel, compiled for these arguments, have more shared memory than every one may have."""
    from numba.cuda.cudadrv.driver import binding, driver

    function = kernel.compile(signature)._codelibrary.get_cufunc()
    attribute = binding.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
    driver.cuKernelSetAttribute(attribute, shared_bytes, function.handle, function.device.id)


class HostMemory:
    """The part of a `Device` that concerns memory, on host arrays: where kernels run without a device."""

    def __repr__(self):
        return f"<CUDA device {self.number}: {self.name}>"

    def empty(self, size, dtype):
        return np.empty(size, dtype)

    def upload(self, array, target=None):
        flat = np.array(array).reshape(-1)
        if target is None:
            return flat
        target[:] = flat
        return target

    def download(self, source, target, stream=None):
        target.reshape(-1)[:] = source

    def copy(self, source, target, stream):
        target[:] = source

    def finish(self, stream):
        pass

    def address(self, array):
        return array.ctypes.data

    def adopt(self, address, size, dtype, owner, writes_of=None):
        memory = (ctypes.c_char * (size * np.dtype(dtype).itemsize)).from_address(address)
        memory.owner = owner
        return np.frombuffer(memory, dtype)

    def is_stream(self, value):
        return False

    def stream(self, given):
        return given if given is None else stream_number(given)


class SimulatedDevice(HostMemory):
    """Numba's simulator, which runs one block at a time, a Python thread for each of its threads."""

    simulated = True
    number, name, compute_capability = 0, "Numba's CUDA simulator", (9, 0)
    processors, shared_bytes, clock_hz = 1, 1 << 17, 1e9

    def launch(self, kernel, grid, threads, shared_bytes, stream, *arguments):
        # Its threads do little between two meetings: taking turns often makes it two to three times as fast.
        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-4)
        try:
            kernel[grid, threads, 0, shared_bytes](*arguments)
        finally:
            sys.setswitchinterval(interval)
