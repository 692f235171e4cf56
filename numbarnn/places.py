"""Where arrays lie, in host memory or on a CUDA device, and what is done alike in either place."""

from . import device as devices
from . import device_arrays, dispatch
from .device_arrays import OnDevice


def device_of(device, x=None):
    """The `Device` to run on, or None for the CPU: where `x` lies, or the one asked for.

    Raises
    ------
    DeviceNotAvailable
        It cannot be had; nothing else is tried in its place.
    """
    if isinstance(x, OnDevice):
        return x.device
    return devices.find() if device == "cuda" else None


def adopt(name, value, device="auto", stream=None):
    """An argument that may lie on a CUDA device, as `OnDevice` if it does; everything else as it is. `stream`
    is the number of the stream that will use it.
    """
    if device == "cpu" and device_arrays.is_on_device(value):
        raise ValueError(
            f"{name} lies on a CUDA device, and device = 'cpu'; expected an array in host memory: copy it "
            "there first, or make the layer with device='auto'"
        )
    return device_arrays.adopt(name, value, stream)


def new_like(x, shape, dtype):
    """An array to write, where `x` is and of its kind."""
    if isinstance(x, OnDevice):
        return device_arrays.empty_like(x, shape, dtype)
    return dispatch.empty(shape, dtype)


def workspace(device, shape, dtype):
    """An array of our own, on a device or, with None, in host memory."""
    return dispatch.empty(shape, dtype) if device is None else device_arrays.new(device, shape, dtype)


def as_given(results):
    """Results as callers know them."""
    return [array.given if isinstance(array, OnDevice) else array for array in results]


def to_host(name, value):
    """An argument that the plan is made from, in host memory: copied there if it lies on a CUDA device."""
    return device_arrays.to_host(name, value) if device_arrays.is_on_device(value) else value


def placed(array, device):
    """A new array with the values of a host array: on a device, or with None in host memory."""
    made = workspace(device, array.shape, array.dtype)
    fill(made, array)
    return made


def fill(target, array):
    """Give an array, wherever it lies, the values of a host array."""
    if isinstance(target, OnDevice):
        target.device.upload(array, target.flat)
    else:
        target[...] = array


def copy(source, target, stream=None):
    """From array to array: in the same place, or from a device to host memory."""
    if isinstance(target, OnDevice):
        source.device.copy(source.flat, target.flat, source.device.stream(stream))
    elif isinstance(source, OnDevice):
        source.device.download(source.flat, target, source.device.stream(stream))
    else:
        target[...] = source


ELEMENT_THREADS = 128  # of a block


def launch_over(device, kernel, count, *arguments, stream=None):
    """Start a kernel that passes over `count` elements."""
    if count:
        blocks = min(device.processors * 8, -(-count // ELEMENT_THREADS))
        device.launch(kernel, (blocks, 1), ELEMENT_THREADS, 0, device.stream(stream), *arguments)
