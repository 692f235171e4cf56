"""A fully connected layer: to the kernels every row of its inputs is a step that knows of no other."""

from functools import lru_cache

import numpy as np

from . import checks, checks_models, construction, dispatch, places
from .fused import FusedCell
from .kernels import declaration, matrices, plan
from .kernels.program import Program
from .math import exp
from .ragged import Ragged


def _exponential(e):
    return exp(e)


EXPONENTIAL = declaration.cell("exponential", states="e", phases=[declaration.phase("", _exponential)])


class Dense:
    """A fully connected layer: y = activation(x W + b) on the last axis.

    Parameters
    ----------
    units : int
    activation : str, callable or None
        As of `SimpleRNN`, or "softmax" over the last axis.
    use_bias : bool
    kernel_initializer, bias_initializer, dtype, seed
        As of `FusedCell`.
    device : {"auto", "cpu", "cuda"}
        As of `RNN`.
    name : str, optional
    weights_dtype : {None, "float16", "bfloat16"}
        As of `FusedCell`.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.
    DeviceNotAvailable
        ``device="cuda"`` where there is none.

    Notes
    -----
    Weights in Keras' layout: kernel (features, units), bias (units,). The kernels are those of recurrent
    layers, so the bits of a row's results do not depend on the other rows or on the number of threads. A mask
    passes, and masked steps are computed like others, as in Keras.

    Examples
    --------
    >>> layer = nr.Dense(4, "softmax", seed=0)
    >>> y = layer(np.ones((2, 5, 3), np.float32))
    >>> y.shape, bool(np.allclose(y.sum(axis=-1), 1))
    ((2, 5, 4), True)
    """

    supports_masking = True

    def __init__(
        self,
        units,
        activation=None,
        use_bias=True,
        kernel_initializer="glorot_uniform",
        bias_initializer="zeros",
        dtype="float32",
        seed=None,
        device="auto",
        name=None,
        weights_dtype=None,
    ):
        self.softmax = isinstance(activation, str) and activation == "softmax"
        self.device = construction.one_of("device", device, ("auto", "cpu", "cuda"))
        self.name = construction.layer_name(name, "dense")
        self._cell = FusedCell(
            construction.table_cell("dense"),
            units,
            use_bias,
            kernel_initializer,
            "zeros",  # of the recurrent kernel, which has no columns
            bias_initializer,
            dtype,
            seed,
            activation=None if self.softmax else activation,
            weights_dtype=weights_dtype,
        )
        checks.weights_for(self.device if self.device == "cuda" else None, self.weights_dtype)
        places.device_of(self.device)

    @property
    def units(self):
        return self._cell.units

    @property
    def dtype(self):
        return self._cell.dtype

    @property
    def weights_dtype(self):
        return self._cell.weights_dtype

    @property
    def use_bias(self):
        return self._cell.use_bias

    @property
    def input_size(self):
        """Features, or None before `build`."""
        return self._cell.input_size

    def __repr__(self):
        return f"<Dense {self.name!r}: {self.units} units, {self.dtype}>"

    def build(self, input_size):
        """Draw the weights for inputs of `input_size` features; see `FusedCell.build`."""
        self._cell.build(input_size)

    def compile_kernels(self):
        """What `numbarnn.warmup` does."""
        for program in checks.has_weights(self, [self._cell.program]):
            dispatch.compile_all(program)
        if self.softmax:
            dispatch.compile_all(_exponential_program(self.units, self.dtype))

    def get_weights(self):
        """Kernel and, with ``use_bias``, bias: read-only arrays; nothing before `build`."""
        weights = self._cell.get_weights()
        return weights[:1] + weights[2:]  # without the recurrent kernel

    def set_weights(self, weights):
        """Take copies of `weights`, a list as `get_weights` returns it; see `FusedCell.set_weights`."""
        shapes = {"kernel": (self.input_size, self.units)}
        if self.use_bias:
            shapes["bias"] = (self.units,)
        kernel, *bias = checks.weights(weights, shapes, self.dtype)
        self._cell.set_weights([kernel, np.zeros((self.units, 0), self.dtype), *bias])

    def compute_mask(self, x, mask=None):
        """The mask of the outputs: `mask`."""
        return mask

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for inputs of that shape."""
        return (*input_shape[:-1], self.units)

    def __call__(self, x, training=False, n_threads=None, *, stream=None):
        """Run the layer.

        Parameters
        ----------
        x : array_like, shape (..., features), or Ragged
            At least two axes.
        training : bool
            Accepted; nothing depends on it.
        n_threads : int, optional
            At most so many. Default: what the work is worth.
        stream : int or object, optional
            As of `RNN`.

        Returns
        -------
        ndarray, shape (..., units), or Ragged

        Raises
        ------
        TypeError, ValueError
            A wrong dtype or shape.
        """
        checks.flag("training", training)
        n_threads = None if n_threads is None else checks.whole("n_threads", n_threads, 1)
        if isinstance(x, Ragged):
            return Ragged(self(x.values, training, n_threads, stream=stream), x.offsets)
        x = places.adopt("x", x, self.device, checks.stream(stream))
        x = checks_models.dense_inputs(x, self.input_size, self.dtype)
        device = places.device_of(self.device, x)
        checks.weights_for(device, self.weights_dtype)
        checks.stream_of(stream, device)
        self.build(x.shape[-1])
        y = places.new_like(x, self.compute_output_shape(x.shape), self.dtype)
        rows = int(np.prod(x.shape[:-1], dtype=np.int64))
        steps, kept = _plan(rows, device)
        inputs, outputs = x.reshape(rows, x.shape[-1]), y.reshape(rows, self.units)
        ways = {"n_threads": n_threads, "device": device, "stream": stream}
        if self.softmax and device is not None:
            outputs = places.workspace(device, outputs.shape, self.dtype)
        dispatch.run(self._cell.program, steps, inputs, outputs, [None], [None], again=kept, **ways)
        if self.softmax and rows and device is None:
            _softmax(outputs, n_threads)
        elif self.softmax and rows:
            _softmax_on_device(outputs, y.reshape(rows, self.units), ways)
        return places.as_given([y])[0]


def _plan(rows, device):
    """A plan for so many rows, and whether it is kept.

    On a device every row is a sequence. On the CPU they are the steps of few sequences, since the kernels can
    be interrupted between steps only, and come back to Python for every further wave of sequences.
    """
    if device is not None:
        return dispatch.dense_plan(rows, 1), rows <= dispatch.KEPT_STEPS
    kept = rows <= dispatch.KEPT_STEPS
    return (_kept_steps if kept else _steps)(rows), kept


def _steps(rows):
    sequences = max(1, min(rows, dispatch.WAVE_ROWS))
    return plan.build(sequences, 0, offsets=np.arange(sequences + 1, dtype=np.int64) * rows // sequences)


_kept_steps = lru_cache(maxsize=dispatch.KEPT_PLANS)(_steps)


def _softmax(z, n_threads):
    """Replace the rows of z by their softmax. What is added is paired by its column alone."""
    with np.errstate(invalid="ignore", over="ignore"):  # inf - inf is NaN, and far below the maximum is -inf
        z -= z.max(axis=1, keepdims=True)
    exponentials = dispatch.empty(z.shape, z.dtype)
    inputs = dispatch.empty((len(z), 0), z.dtype)
    steps = dispatch.dense_plan(len(z), 1)
    dispatch.run(
        _exponential_program(z.shape[1], z.dtype), steps, inputs, exponentials, [z], [None], n_threads
    )
    total = exponentials
    while total.shape[1] > 1:
        half = -(-total.shape[1] // 2)
        rest = total[:, half:]
        total = total[:, :half].copy()
        total[:, : rest.shape[1]] += rest
    with np.errstate(invalid="ignore"):
        np.divide(exponentials, total, out=z)


def _softmax_on_device(z, y, ways):
    """y, wherever it lies, becomes the softmax of the rows of z, which is overwritten."""
    from .kernels import rows_cuda

    device, stream, kind = ways["device"], ways["stream"], z.dtype.type
    rows, made = z.shape[0], places.workspace(device, z.shape, z.dtype)
    places.launch_over(device, rows_cuda.less_maximum(kind), rows, z.flat, rows, stream=stream)
    program, nothing = _exponential_program(z.shape[1], z.dtype), np.empty((rows, 0), z.dtype)
    dispatch.run(program, dispatch.dense_plan(rows, 1), nothing, made, [z], [None], **ways)
    places.launch_over(device, rows_cuda.over_sum(kind), rows, made.flat, rows, z.flat, stream=stream)
    places.copy(z, y, stream)


@lru_cache(maxsize=8)
def _exponential_program(units, dtype):
    sizes = matrices.sizes_of(units)
    shapes = matrices.shapes(EXPONENTIAL, sizes, 0)
    arrays = {name: np.empty(shape, dtype) for name, shape in shapes.items()}
    return Program(EXPONENTIAL, {}, sizes, arrays, dispatch.empty)
