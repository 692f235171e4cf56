"""Layers that are made of layers."""

import sys

import numpy as np

from . import checks, checks_models, construction, dispatch
from .adapted import Adapted, output_shape
from .ragged import Ragged
from .summary import summary_of


class TimeDistributed:
    """Apply a layer to every time step.

    Parameters
    ----------
    layer : layer, function, or object with call()
        Called once, with all steps of all rows as its batch. Keras 3 calls it step by step: the same result
        for a layer whose results for one row do not depend on the others. A stateful layer is called step by
        step here too.
    name : str, optional

    Notes
    -----
    As in Keras 3, the mask passes unchanged, and reaches the layer if it takes one, a step's flags at a time;
    masked steps are computed like others. tf_keras asks the layer for the mask of the outputs.

    Examples
    --------
    >>> nr.TimeDistributed(nr.LSTM(4, seed=0))(np.ones((2, 5, 7, 3), np.float32)).shape
    (2, 5, 4)
    """

    supports_masking = builds_itself = True

    def __init__(self, layer, name=None):
        self.layer = layer
        self.name = construction.layer_name(name, "time_distributed")
        self._adapted = Adapted("layer", layer)

    def __repr__(self):
        return f"<TimeDistributed {self.name!r}: {self.layer!r}>"

    @property
    def stateful(self):
        return self._adapted.stateful

    def reset_states(self):
        """Reset the states of a stateful layer."""
        self.layer.reset_states()

    def build(self, input_shape):
        """Build the layer for inputs (batch, time, ...) of that shape."""
        shape = checks_models.input_shape(input_shape)
        self._adapted.build((None, *shape[2:]))

    def compile_kernels(self):
        """What `numbarnn.warmup` does."""
        self._adapted.compile_kernels()

    def get_weights(self):
        """The layer's weights."""
        return self._adapted.get_weights()

    def set_weights(self, weights):
        """Give the layer its weights."""
        self.layer.set_weights(weights)

    def compute_mask(self, x, mask=None):
        """The mask of the outputs: `mask`."""
        return mask

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for inputs of that shape, or None where the layer does not tell."""
        inner = output_shape(self.layer, (None, *input_shape[2:]))
        return None if inner is None else (*input_shape[:2], *inner[1:])

    def __call__(self, x, mask=None, training=False):
        """Run the layer on every step.

        Parameters
        ----------
        x : array_like, shape (batch, time, ...)
            At least three axes.
        mask : array_like of bool, shape (batch, time, ...), optional
        training : bool
            Passed on to a layer that takes it.

        Returns
        -------
        ndarray, shape (batch, time, ...)

        Raises
        ------
        TypeError, ValueError
            Wrong axes; a layer that does not return one row for each of its rows.
        """
        checks.flag("training", training)
        x = checks_models.time_steps(x)
        B, T = x.shape[:2]
        if mask is not None:
            mask = checks_models.mask_of_steps(mask, x.shape)
        label = f"the layer of {self.name!r}"
        if self.stateful:
            checks_models.some_steps(self.name, x.shape)
            masks = [None] * T if mask is None else mask.swapaxes(0, 1)
            steps = [self._adapted.outputs(x[:, t], masks[t], training) for t in range(T)]
            return np.stack([checks_models.one_array(label, y, B) for y in steps], axis=1)
        flat = None if mask is None else mask.reshape(B * T, *mask.shape[2:])
        y = self._adapted.outputs(x.reshape((B * T, *x.shape[2:])), flat, training)
        y = checks_models.one_array(label, y, B * T)
        return y.reshape((B, T, *y.shape[1:]))


class Sequential:
    """Layers one after the other, with masks handed along as Keras does.

    Parameters
    ----------
    layers : list, optional
        Layers of ours, functions, and objects of your own: see the notes.
    name : str, optional

    Notes
    -----
    A layer of your own is an object that can be called, or has ``call()``. An argument `mask` or `training`
    is given if it takes one. After each layer the mask is what its ``compute_mask(inputs, mask)`` returns, or
    the one before if it only has ``supports_masking = True``; otherwise the mask ends there, and a warning
    says so once, as in Keras. A plain function ends it too, as Keras' Lambda does. ``build(input_shape)`` is
    called before the first call; ``get_weights`` and ``set_weights`` are used where they are there.

    A model inside a model passes the mask on, without the warning that Keras 3 gives there. Two layers may
    have one name; the summary numbers them.

    Examples
    --------
    >>> model = nr.Sequential([
    ...     nr.Embedding(10, 4, mask_zero=True, seed=0),
    ...     nr.LSTM(8, seed=1),
    ...     nr.Dense(1, "sigmoid", seed=2),
    ... ])
    >>> model.predict(np.array([[3, 1, 4, 0], [5, 0, 0, 0]])).shape
    (2, 1)
    """

    supports_masking = builds_itself = True

    def __init__(self, layers=None, name=None):
        self.name = construction.layer_name(name, "sequential")
        self._adapted = []
        for layer in [] if layers is None else checks_models.layers(layers):
            self.add(layer)

    def __repr__(self):
        return f"<Sequential {self.name!r}: {len(self._adapted)} layers>"

    @property
    def layers(self):
        """The layers, in a list of their own."""
        return [adapted.layer for adapted in self._adapted]

    def add(self, layer):
        """Put a layer behind the others."""
        self._adapted.append(Adapted(f"layers[{len(self._adapted)}]", layer))

    def pop(self):
        """Take the last layer away and return it."""
        checks_models.has_layers(self.name, self._adapted)
        return self._adapted.pop().layer

    @property
    def stateful(self):
        """Whether a layer keeps states."""
        return any(adapted.stateful for adapted in self._adapted)

    def reset_states(self):
        """Reset the states of all layers that keep them."""
        for adapted in self._adapted:
            if adapted.stateful:
                adapted.layer.reset_states()

    def build(self, input_shape):
        """Make the weights for inputs of that shape, such as (None, 7, 3), up to the first layer that cannot
        tell the shape of its outputs; the others are built by the first call.

        Raises
        ------
        TypeError, ValueError
            No shape; no layers; what a layer's own build finds.
        """
        shape = checks_models.input_shape(input_shape)
        checks_models.has_layers(self.name, self._adapted)
        for adapted in self._adapted:
            adapted.build(shape)
            shape = adapted.output_shape
            if shape is None:
                return

    def compute_output_shape(self, input_shape):
        """The shape of the outputs for inputs of that shape, or None where a layer does not tell."""
        for adapted in self._adapted:
            input_shape = output_shape(adapted.layer, input_shape)
            if input_shape is None:
                return None
        return input_shape

    @property
    def _owners(self):
        """Each layer once, in order."""
        return list({id(adapted.layer): adapted for adapted in self._adapted}.values())

    @property
    def weights(self):
        """All weights in one list, layer after layer."""
        return [array for adapted in self._owners for array in adapted.get_weights()]

    def get_weights(self):
        """`weights`: in Keras' order, a layer that occurs twice once."""
        return self.weights

    def set_weights(self, weights):
        """Take copies of `weights`, a flat list as `get_weights` returns it.

        Raises
        ------
        TypeError, ValueError
            Another number of arrays, a wrong shape or dtype; no layer has changed then. A layer that has no
            weights yet.
        """
        weighted = [adapted for adapted in self._owners if hasattr(adapted.layer, "set_weights")]
        checks_models.is_built(self.name, all(one.built or one.get_weights() for one in weighted))
        before = self.weights
        checks_models.count_of_weights(self.name, weights, len(before))
        try:
            self._hand_out(weights)
        except BaseException:
            self._hand_out(before)
            raise

    def _hand_out(self, weights):
        begin = 0
        for adapted in self._owners:
            count = len(adapted.get_weights())
            if count:
                adapted.layer.set_weights(list(weights[begin : begin + count]))
            begin += count

    def compile_kernels(self):
        """What `numbarnn.warmup` does."""
        for adapted in self._adapted:
            adapted.compile_kernels()

    def count_params(self):
        """The number of elements of all weights."""
        return sum(adapted.count_params() for adapted in self._owners)

    def summary(self, print_fn=print):
        """Hand a table of the layers to `print_fn`: names and types, shapes of outputs, numbers of weights.
        "?" and "(unbuilt)" stand where neither `build` nor a call has told yet.
        """
        print_fn(summary_of(self.name, self._adapted, self.count_params(), self.weights))

    def compute_mask(self, x, mask=None):
        """The mask of the outputs. All layers but the last are run for it; none of them may be stateful."""
        checks_models.has_layers(self.name, self._adapted)
        *before, last = self._adapted
        checks_models.no_states(self.name, any(adapted.stateful for adapted in before))
        for adapted in before:
            x, mask = adapted(x, mask)
        return last.mask_after(x, mask)

    def outputs_and_mask(self, x, mask=None, training=False):
        """What a call returns, and its mask."""
        checks_models.has_layers(self.name, self._adapted)
        for adapted in self._adapted:
            x, mask = adapted(x, mask, training)
        return x, mask

    def __call__(self, x, mask=None, training=False):
        """Run the layers.

        Parameters
        ----------
        x : array_like or Ragged
            What the first layer takes.
        mask : array_like of bool, shape (batch, time), optional
        training : bool
            Passed on to layers that take it.

        Returns
        -------
        ndarray, Ragged, or what the last layer returns

        Raises
        ------
        ValueError
            There are no layers.
        TypeError, ValueError
            What a layer finds.
        """
        checks.flag("training", training)
        return self.outputs_and_mask(x, mask, training)[0]

    def predict(self, x, batch_size=32, verbose="auto"):
        """Run the layers on batches of the rows of x: the bits of one call on everything, as long as no layer
        of your own lets rows depend on each other.

        Parameters
        ----------
        x : array_like or Ragged
            In host memory.
        batch_size : int
            A model with stateful layers carries states from batch to batch: all have one size then.
        verbose : {"auto", 0, 1, 2}
            After two seconds progress is shown: "auto" on a terminal, 1 and 2 anywhere, 0 nowhere.

        Returns
        -------
        ndarray, Ragged, or a list or tuple of them

        Raises
        ------
        TypeError, ValueError
            What a layer finds; a number of rows that a stateful model cannot divide.
        """
        batch_size = checks.whole("batch_size", batch_size, 1)
        verbose = checks_models.verbosity(verbose)
        if not isinstance(x, Ragged):
            x = checks_models.host_array("x", x, "predict")
        count = len(x)
        if self.stateful:
            checks_models.stateful_batches(count, batch_size)
        batches = [range(b, min(b + batch_size, count)) for b in range(0, count, batch_size)] or [range(0)]
        shown = verbose in (1, 2) or (verbose == "auto" and sys.stderr.isatty())
        results = [self(_rows_of(x, batch)) for batch in (_tracked(batches, self.name) if shown else batches)]
        return _joined(results, [len(batch) for batch in batches])


def _tracked(batches, name):
    from . import terminal  # which importing numbarnn alone need not load

    return terminal.track(batches, name)


def _rows_of(x, batch):
    if not isinstance(x, Ragged):
        return x[batch.start : batch.stop]
    offsets = x.offsets[batch.start : batch.stop + 1]
    return Ragged(x.values[offsets[0] : offsets[-1]], offsets - offsets[0])


def _joined(results, counts):
    """The results of batches as one."""
    first = results[0]
    if isinstance(first, (list, tuple)):
        parts = [_joined(list(part), counts) for part in zip(*results, strict=True)]
        return first._make(parts) if hasattr(first, "_make") else type(first)(parts)
    if isinstance(first, Ragged):
        lengths = np.concatenate([[0], *(result.lengths for result in results)])
        return Ragged(np.concatenate([result.values for result in results]), np.cumsum(lengths))
    arrays = [
        checks_models.one_array("the last layer", result, count)
        for result, count in zip(results, counts, strict=True)
    ]
    joined = dispatch.empty((sum(counts), *first.shape[1:]), first.dtype)
    return np.concatenate(arrays, out=joined)
