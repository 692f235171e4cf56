"""The layers that masks come from."""

import threading

import numpy as np

from . import checks, checks_models, construction, dispatch, places
from .device_arrays import OnDevice
from .ragged import Ragged
from .weights import INITIALIZERS

_BUILDING = threading.Lock()  # threads that share a new layer share one draw of its table
EMBEDDING_INITIALIZERS = INITIALIZERS | {
    "uniform": lambda shape, generator: generator.uniform(-0.05, 0.05, shape)
}


class Masking:
    """Mask the time steps whose features all equal `mask_value`.

    Parameters
    ----------
    mask_value : float
        Compared in the dtype of the inputs.
    name : str, optional

    Notes
    -----
    As in Keras 3, the outputs are the inputs with masked steps set to 0; tf_keras multiplies by the mask,
    which leaves -0.0 and NaN. A step with a NaN is not masked.

    Examples
    --------
    >>> layer, x = nr.Masking(-1.0), np.array([[[3.0, -1.0], [-1.0, -1.0]]])
    >>> layer(x)
    array([[[ 3., -1.],
            [ 0.,  0.]]])
    >>> layer.compute_mask(x)
    array([[ True, False]])
    """

    supports_masking = True

    def __init__(self, mask_value=0.0, name=None):
        self.mask_value = checks_models.number("mask_value", mask_value)
        self.name = construction.layer_name(name, "masking")

    def __repr__(self):
        return f"<Masking {self.name!r}: {self.mask_value!r}>"

    def compile_kernels(self):
        """Nothing is compiled."""

    def compute_mask(self, x, mask=None):
        """True where a step is used, (batch, time), in host memory; `mask` changes nothing."""
        x = checks_models.masking_inputs(places.adopt("x", x))
        return self._on_device(x)[1] if isinstance(x, OnDevice) else self._used(x)

    def _value(self, dtype):
        return dtype.type(self.mask_value) if dtype.kind == "f" else self.mask_value

    def _used(self, x):
        return (x != self._value(x.dtype)).any(axis=-1)

    def _on_device(self, x):
        """The outputs on the device of x, and the mask in host memory."""
        from .kernels.rows_cuda import clear_rows

        y, used = places.new_like(x, x.shape, x.dtype), np.zeros(x.shape[:-1], np.bool_)
        if x.size:
            flags, value = places.placed(used, x.device), self._value(x.dtype)
            kernel, arguments = clear_rows(x.dtype.type), (x.flat, value, flags.flat, y.flat)
            places.launch_over(x.device, kernel, used.size, *arguments)
            places.copy(flags, used)
        return y, used

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for inputs of that shape."""
        return tuple(input_shape)

    def __call__(self, x, training=False):
        """Set masked steps to 0.

        Parameters
        ----------
        x : array_like, shape (batch, time, features)
        training : bool
            Accepted; nothing depends on it.

        Returns
        -------
        ndarray, shape (batch, time, features)

        Raises
        ------
        TypeError, ValueError
            No numbers, too few axes, a strided array on a CUDA device.
        """
        checks.flag("training", training)
        x = checks_models.masking_inputs(places.adopt("x", x))
        if isinstance(x, OnDevice):
            return places.as_given(self._on_device(x)[:1])[0]
        y = dispatch.empty(x.shape, x.dtype)
        y[...] = x
        y[~self._used(x)] = 0
        return y


class Embedding:
    """Look up rows of a table.

    Parameters
    ----------
    input_dim, output_dim : int
        Rows of the table, and numbers in each.
    mask_zero : bool
        Mask the steps whose id is 0. Their row is looked up all the same, as in Keras.
    weights : array_like, shape (input_dim, output_dim), or a list of it, optional
    embeddings_initializer : str or callable
        "uniform" (from -0.05 to 0.05), or as of `FusedCell`.
    dtype : {"float32", "float64"}
    seed : int, optional
    name : str, optional

    Notes
    -----
    Keras 3 takes negative ids from the table's end, tf_keras and TensorFlow refuse them; here they are
    refused, since they mostly come from a mistake.

    Examples
    --------
    >>> layer = nr.Embedding(3, 2, mask_zero=True, weights=np.array([[0.0, 0.5], [1.0, 1.5], [2.0, 2.5]]))
    >>> layer([[2, 0]])
    array([[[2. , 2.5],
            [0. , 0.5]]], dtype=float32)
    >>> layer.compute_mask([[2, 0]])
    array([[ True, False]])
    """

    builds_itself = True

    def __init__(
        self,
        input_dim,
        output_dim,
        mask_zero=False,
        weights=None,
        embeddings_initializer="uniform",
        dtype="float32",
        seed=None,
        name=None,
    ):
        self.input_dim = checks.whole("input_dim", input_dim, 1)
        self.output_dim = checks.whole("output_dim", output_dim, 1)
        self.mask_zero = self.supports_masking = checks.flag("mask_zero", mask_zero)
        self.dtype = checks.dtype(dtype)
        self.seed = construction.seed(seed)
        self.name = construction.layer_name(name, "embedding")
        self.initializer = embeddings_initializer
        if not callable(embeddings_initializer):
            construction.one_of("embeddings_initializer", embeddings_initializer, EMBEDDING_INITIALIZERS)
        self._table, self._tables = None, {}
        if weights is not None:
            self.set_weights(checks_models.table(weights))

    def __repr__(self):
        return f"<Embedding {self.name!r}: {self.input_dim} rows of {self.output_dim}, {self.dtype}>"

    @property
    def _shapes(self):
        return {"embeddings": (self.input_dim, self.output_dim)}

    def build(self, input_shape=None):
        """Draw the table. A second call changes nothing."""
        with _BUILDING:
            if self._table is None:
                [shape] = self._shapes.values()
                if callable(self.initializer):
                    drawn = self.initializer(shape)
                else:
                    drawn = EMBEDDING_INITIALIZERS[self.initializer](shape, np.random.default_rng(self.seed))
                self._use([drawn])

    def compile_kernels(self):
        """Nothing is compiled."""

    def get_weights(self):
        """The table, a read-only array, in a list; nothing before `build`."""
        return [] if self._table is None else [self._table]

    def set_weights(self, weights):
        """Take a copy of the table in the list `weights`; another float dtype is rounded once.

        Raises
        ------
        TypeError, ValueError
            No list of one array of floating-point numbers, a wrong shape.
        """
        self._use(weights)

    def _use(self, arrays):
        [table] = checks.weights(arrays, self._shapes, self.dtype)
        table.flags.writeable = False
        self._table, self._tables = table, {}  # copies, by device

    def compute_mask(self, ids, mask=None):
        """True where an id is not 0, or None without ``mask_zero``; `mask` changes nothing."""
        if not self.mask_zero or isinstance(ids, Ragged):
            return None
        return checks_models.ids(ids, self.input_dim) != 0

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for ids of that shape."""
        return (*input_shape, self.output_dim)

    def __call__(self, ids, training=False):
        """Look the ids up.

        Parameters
        ----------
        ids : array_like of int, any shape, or Ragged of ids (steps,)
            From 0 to input_dim - 1. A Ragged has no padding, so none of its ids is masked. Ids on a CUDA
            device are looked at in host memory; their rows come from a copy of the table there.
        training : bool
            Accepted; nothing depends on it.

        Returns
        -------
        ndarray, shape (..., output_dim), or Ragged

        Raises
        ------
        TypeError, ValueError
            No integers, an id outside the table (the first is named).
        """
        checks.flag("training", training)
        if isinstance(ids, Ragged):
            return Ragged(self(ids.values, training), ids.offsets)
        given = places.adopt("ids", ids)
        ids = checks_models.ids(places.to_host("ids", ids), self.input_dim)
        self.build()
        if isinstance(given, OnDevice):
            return self._on_device(given, ids)
        y = dispatch.empty(self.compute_output_shape(ids.shape), self.dtype)
        return np.take(self._table, ids, axis=0, out=y, mode="clip")  # the ids have been checked

    def _on_device(self, given, ids):
        from .kernels.rows_cuda import take_rows

        y, at = places.new_like(given, self.compute_output_shape(ids.shape), self.dtype), given.device
        with _BUILDING:
            if at not in self._tables:
                self._tables[at] = at.upload(self._table)
            table = self._tables[at]
        rows = at.upload(ids.astype(np.int64))
        places.launch_over(at, take_rows(self.dtype.type), y.size, table, rows, y.flat)
        return places.as_given([y])[0]

    def __getstate__(self):
        return self.__dict__ | {"_tables": {}}
