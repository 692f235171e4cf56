"""Stacked layers in one direction or two, with weights and states as cuDNN has them."""

import copy
import threading

import numpy as np

from .. import checks, checks_dynamic, construction
from ..arrays import real_array
from ..bidirectional import Bidirectional
from ..layouts.cudnn import from_cudnn
from ..rnn import RNN
from ..weights import draw
from . import checks as tf1_checks
from .skipping import SkippingCell

_BUILDING = threading.RLock()  # threads that share a new layer share one draw of its weights
INPUT_MODES = ("linear_input", "skip_input", "auto_select")
DIRECTIONS = ("unidirectional", "bidirectional")


class CudnnLayer:
    """Layers one upon the other, in one direction or two; what inherits says of which cells."""

    rnn_mode = None  # what TensorFlow calls it
    _entry = "simple_rnn"  # of `layouts`
    gates, _states, _activation = 1, ("h",), "tanh"

    def __init__(
        self,
        num_layers,
        num_units,
        input_mode="linear_input",
        direction="unidirectional",
        dropout=0.0,
        seed=None,
        dtype="float32",
        kernel_initializer=None,
        bias_initializer=None,
        name=None,
    ):
        self.num_layers = checks.whole("num_layers", num_layers, 1)
        self.num_units = checks.whole("num_units", num_units, 1)
        self.input_mode = construction.one_of("input_mode", input_mode, INPUT_MODES)
        self.direction = construction.one_of("direction", direction, DIRECTIONS)
        self.dropout, self.seed = checks.rate("dropout", dropout), construction.seed(seed)
        self.dtype, self.name = (
            tf1_checks.dtype(dtype),
            construction.layer_name(name, type(self).__name__.lower()),
        )
        self._initializers = (
            construction.initializer("kernel_initializer", kernel_initializer or "glorot_uniform"),
            construction.initializer("bias_initializer", bias_initializer or "zeros"),
        )
        self.num_dirs = DIRECTIONS.index(direction) + 1
        self.input_size = self._opaque = None
        self._generator = np.random.default_rng(None if seed is None else [seed, 1])
        self._make_layers()

    def _make_layers(self):
        layers = [self._layer(k == 0 and self.skips_input) for k in range(self.num_layers)]
        self._layers = {True: layers, False: [_batch_major(layer) for layer in layers]}  # time-major or not

    def _layer(self, skips):
        def cell():
            if skips:
                return SkippingCell(self._entry, self.num_units, self._activation, self.dtype)
            return self._cell()

        options = {"return_sequences": True, "return_state": True, "time_major": True}
        layer = RNN(cell(), **options)
        if self.num_dirs == 1:
            return layer
        return Bidirectional(layer, backward_layer=RNN(cell(), go_backwards=True, **options))

    def _cells(self):
        """One for each layer and direction, in the order of the states."""
        for layer in self._layers[True]:
            one = [layer] if self.num_dirs == 1 else [layer.forward_layer, layer.backward_layer]
            yield from (direction.cell for direction in one)

    def __repr__(self):
        size = f"{self.num_layers} x {self.num_units} units"
        return f"<{type(self).__name__} {size}, {self.direction}, {self.dtype}>"

    def state_shape(self, batch_size):
        """The shapes of the states: a tuple with a list ``[num_layers * num_dirs, batch_size, num_units]``
        for each.
        """
        return tuple([self.num_layers * self.num_dirs, batch_size, self.num_units] for _ in self._states)

    @property
    def skips_input(self):
        """Whether the first layer's gates take the inputs as they are, without a product."""
        same = self.input_size == self.num_units
        return self.input_mode == "skip_input" or (self.input_mode == "auto_select" and same)

    @property
    def canonical_weight_shapes(self):
        """The shapes of cuDNN's matrices, layer after layer and direction after direction: those of the
        inputs, then the recurrent ones, each (H, columns), in cuDNN's order of gates.
        """
        H, shapes = self.num_units, []
        for k in range(self.num_layers):
            inputs = [(H, self.num_dirs * H if k else self.input_size)] * self.gates
            own = ([] if k == 0 and self.skips_input else inputs) + [(H, H)] * self.gates
            shapes += own * self.num_dirs
        return shapes

    @property
    def canonical_bias_shapes(self):
        """The shapes of cuDNN's biases: (H,) for each gate's input product, then for each recurrent one."""
        return [(self.num_units,)] * (2 * self.gates * self.num_layers * self.num_dirs)

    def build(self, input_size):
        """Draw the weights for inputs of `input_size` features. A second call with the same size changes
        nothing.

        Raises
        ------
        TypeError, ValueError
            `input_size` is no number of features, or weights for another are there already; what an
            initialiser returns has a wrong dtype or shape.
        """
        input_size = checks.whole("input_size", input_size, 0)
        with _BUILDING:
            if self._opaque is None:
                self._draw(input_size)
            elif input_size != self.input_size:
                raise ValueError(
                    f"input_size = {input_size}; the layer has weights for {self.input_size} features: make "
                    "another layer"
                )

    def _draw(self, input_size):
        self._take_size(input_size)
        generator = np.random.default_rng(self.seed)
        shapes = self.canonical_weight_shapes, self.canonical_bias_shapes
        drawn = [
            [_first(initializer, shape, generator) for shape in given]
            for initializer, given in zip(self._initializers, shapes, strict=True)
        ]
        self.set_canonical_weights(*drawn)

    def _take_size(self, input_size):
        if self.input_mode == "skip_input" and input_size != self.num_units:
            raise ValueError(
                f"input_size = {input_size} and input_mode = 'skip_input'; expected {self.num_units} "
                "features, one for each unit, or another input_mode"
            )
        self.input_size = input_size
        if self.input_mode == "auto_select":
            self._make_layers()

    def get_weights(self):
        """TensorFlow's one variable, ``[opaque_kernel]``: all matrices row by row, then all biases, in the
        order of `canonical_weight_shapes` and `canonical_bias_shapes`. Read-only.
        """
        return [] if self._opaque is None else [self._opaque]

    def set_weights(self, weights):
        """Take a copy of the variable, as `get_weights` returns it; the input size must be known (`build`).

        Raises
        ------
        TypeError, ValueError
            Another number of arrays, a wrong shape, integers; a layer that has not been built.
        """
        if self.input_size is None:
            raise ValueError(
                "the layer knows no input size yet; call its build(input_size) before set_weights"
            )
        shapes = self.canonical_weight_shapes + self.canonical_bias_shapes
        total = sum(int(np.prod(shape)) for shape in shapes)
        (opaque,) = checks.weights(weights, {"opaque_kernel": (total,)}, self.dtype)
        parts, at = [], 0
        for shape in shapes:
            size = int(np.prod(shape))
            parts.append(opaque[at : at + size].reshape(shape))
            at += size
        opaque.flags.writeable = False
        self._use(opaque, parts)

    def canonical_weights(self):
        """cuDNN's matrices and biases as two lists of arrays; see `canonical_weight_shapes`."""
        if self._opaque is None:
            return [], []
        count = len(self.canonical_weight_shapes)
        return list(self._parts[:count]), list(self._parts[count:])

    def set_canonical_weights(self, weights, biases):
        """Take copies of cuDNN's matrices and biases, two lists as `canonical_weights` returns them.

        Raises
        ------
        TypeError, ValueError
            Another number of arrays, a wrong shape, integers; a layer that has not been built.
        """
        if self.input_size is None:
            raise ValueError("the layer knows no input size yet; call its build(input_size) first")
        arrays = []
        for name, given, shapes in (
            ("weights", weights, self.canonical_weight_shapes),
            ("biases", biases, self.canonical_bias_shapes),
        ):
            tf1_checks.parts(name, given, len(shapes))
            named = {f"{name}[{k}]": shape for k, shape in enumerate(shapes)}
            arrays += checks.weights(list(given), named, self.dtype)
        self.set_weights([np.concatenate([array.ravel() for array in arrays])])

    def _use(self, opaque, parts):
        biases, per_cell = parts[len(self.canonical_weight_shapes) :], 2 * self.gates
        at = 0
        for k, cell in enumerate(self._cells()):
            skips = k < self.num_dirs and self.skips_input
            matrices = [np.eye(self.num_units, dtype=self.dtype)] * (self.gates if skips else 0)
            count = per_cell - len(matrices)
            matrices, at = matrices + parts[at : at + count], at + count
            made = from_cudnn(self._entry, matrices, biases[k * per_cell : (k + 1) * per_cell])
            if skips:
                cell.set_arrays(made.recurrent_kernel, made.bias)
            else:
                cell.set_weights([made.kernel, made.recurrent_kernel, made.bias])
        self._opaque, self._parts = opaque, parts

    def compile_kernels(self):
        """What `numbarnn.warmup` does."""
        for layer in self._layers[True]:
            layer.compile_kernels()

    def __call__(
        self,
        inputs,
        initial_state=None,
        sequence_lengths=None,
        time_major=True,
        training=True,
        *,
        n_threads=None,
    ):
        """Run the layers.

        Parameters
        ----------
        inputs : array_like, shape (T, B, I), or (B, T, I) without `time_major`
            In host memory.
        initial_state : tuple of array_like, optional
            h, of an LSTM h and c: shape (num_layers * num_dirs, B, H) each, as `state_shape` says, the two
            directions of a layer in succession; (B, num_layers * num_dirs, H) without `time_major`. Default:
            zeros.
        sequence_lengths : array_like of int, shape (B,), optional
            Valid steps of each row, 0 to T (cuDNN has none of length 0).
        time_major : bool
        training : bool
            Drop between the layers.
        n_threads : int, optional

        Returns
        -------
        outputs : ndarray, shape (T, B, num_dirs * H), or (B, T, num_dirs * H)
            0 past a row's length; the two directions side by side.
        states : tuple of ndarray
            As `initial_state`: after the last valid step, of the backward direction after the first.

        Raises
        ------
        TypeError, ValueError
            A wrong argument.
        """
        checks.flag("training", training)
        y = checks_dynamic.fused_inputs(
            tf1_checks.dense("inputs", inputs), self, checks.flag("time_major", time_major)
        )
        tf1_checks.on_host("inputs", y)
        B, lengths = checks_dynamic.rows_and_lengths(y, sequence_lengths, time_major, "sequence_lengths")
        initial = self._initial(initial_state, B, time_major)
        self.build(y.shape[2])
        final, each = [], self.num_dirs * len(self._states)
        for k, layer in enumerate(self._layers[time_major]):
            if k and training and self.dropout:
                y = self._dropped(y)
            own = None if initial is None else initial[k * each : (k + 1) * each]
            y, *states = layer(y, own, lengths=lengths, n_threads=n_threads)
            final += states
        axis, kinds = 0 if time_major else 1, len(self._states)
        return y, tuple(np.stack(final[kind::kinds], axis) for kind in range(kinds))

    def _initial(self, value, B, time_major):
        """The states that the layers start from, one layer and direction after the other: of an LSTM h and c
        of each.
        """
        if value is None:
            return None
        count = len(self._states)
        tf1_checks.parts("initial_state", value, count, f": ({', '.join(self._states)}{',' * (count == 1)})")
        shape, arrays = self.state_shape(B)[0], []
        for k, given in enumerate(value):
            name = f"initial_state[{k}] ({self._states[k]})"
            array = real_array(name, given, self.dtype)
            tf1_checks.on_host(name, array)
            wanted = shape if time_major else [shape[1], shape[0], shape[2]]
            checks.has_shape(name, array, tuple(wanted))
            arrays.append(array if time_major else array.swapaxes(0, 1))
        return [array[k] for k in range(shape[0]) for array in arrays]

    def _dropped(self, y):
        drawn = self._generator.random(y.shape)
        return y * np.where(drawn < self.dropout, 0.0, 1.0 / (1.0 - self.dropout)).astype(self.dtype)


def _batch_major(layer):
    """A layer with the same cells that takes the batch axis first."""
    made = copy.copy(layer)
    if isinstance(made, Bidirectional):
        made.forward_layer, made.backward_layer = map(_batch_major, (made.forward_layer, made.backward_layer))
    else:
        made.time_major = False
    return made


def _first(initializer, shape, generator):
    """What a matrix or bias begins with."""
    return initializer(shape) if callable(initializer) else draw(initializer, shape, generator)
