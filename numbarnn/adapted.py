"""Layers of any make, called alike: ours, objects of a user's class, functions."""

import inspect
import math
import warnings

import numpy as np

from . import checks_models
from .ragged import Ragged
from .recurrent import Recurrent


class Adapted:
    """A layer as models see it.

    Parameters
    ----------
    name : str
        What messages call it.
    layer : object
        A layer of ours; an object that can be called, or has ``call()``, with inputs and, if it takes
        arguments of these names, `mask` and `training`. It may have ``build(input_shape)``, called once,
        ``compute_mask(inputs, mask)``, ``supports_masking``, ``compute_output_shape(input_shape)``,
        ``get_weights()`` and ``set_weights(weights)``, with Keras' meanings; a ``build`` whose argument is
        called `input_size` is given the number of features.
    """

    def __init__(self, name, layer):
        self.layer = checks_models.layer(name, layer)
        own_call = getattr(layer, "call", None)
        self.function = layer if callable(layer) else own_call
        accepted = _parameters(own_call if callable(own_call) else layer)
        self.takes_mask, self.takes_training = "mask" in accepted, "training" in accepted
        self.supports_masking = getattr(layer, "supports_masking", hasattr(layer, "compute_mask"))
        self.stateful = bool(getattr(layer, "stateful", False))
        self.through = getattr(layer, "outputs_and_mask", None)  # of a model
        self.by_size = hasattr(layer, "build") and next(iter(_parameters(layer.build)), None) == "input_size"
        # The others are built before their first call; these see to it themselves, once inputs are checked.
        self.builds_itself = self.by_size or getattr(layer, "builds_itself", False)
        self.built = not hasattr(layer, "build") or getattr(layer, "built", False) is True
        self.output_shape = None  # the batch's size is None
        self.told = False
        self.name = _name(layer)
        self.kind = "Function" if inspect.isroutine(layer) else type(layer).__name__

    def build(self, input_shape):
        """Call the layer's build, once. The shape of its outputs is kept, where it tells."""
        if not self.built:
            self.layer.build(input_shape[-1] if self.by_size else input_shape)
            self.built = True
        self.output_shape = output_shape(self.layer, input_shape)

    def outputs(self, x, mask=None, training=False):
        """What the layer returns for inputs with that mask."""
        if not self.built and not self.builds_itself:
            self.build(batch_shape(x))
        given = {"mask": mask} if self.takes_mask and mask is not None else {}
        if self.takes_training:
            given["training"] = training
        return self.function(x, **given)

    def __call__(self, x, mask=None, training=False):
        """Outputs and their mask."""
        if self.through is not None:
            y, mask_after = self.through(x, mask, training)
        else:
            y = self.outputs(x, mask, training)
            mask_after = self.mask_after(x, mask)
        if self.output_shape is None:
            self.output_shape = batch_shape(y)
        return y, mask_after

    def mask_after(self, x, mask):
        """The mask of the outputs. A layer that does not support masking loses it, and this is told once."""
        if self.supports_masking:
            return self.layer.compute_mask(x, mask) if hasattr(self.layer, "compute_mask") else mask
        if mask is not None and not self.told:
            self.told = True
            warnings.warn(
                f"Layer {self.name!r} (of type {self.kind}) was passed a mask and does not support masking: "
                "the layers after it will not see the mask. If it may pass, give the layer "
                "supports_masking = True",
                stacklevel=2,
            )
        return None

    def get_weights(self):
        """The layer's weights, if it has any."""
        return list(self.layer.get_weights()) if hasattr(self.layer, "get_weights") else []

    def compile_kernels(self):
        """What `numbarnn.warmup` does, for layers of ours."""
        if hasattr(self.layer, "compile_kernels"):
            self.layer.compile_kernels()

    def count_params(self):
        """The number of its weights' elements."""
        return sum(math.prod(np.shape(array)) for array in self.get_weights())


def _parameters(function):
    """Names of the parameters of a function or layer; none where it does not tell."""
    try:
        return list(inspect.signature(function).parameters)
    except ValueError:  # some functions written in C
        return []


def _name(layer):
    named = getattr(layer, "name", None) or getattr(layer, "__name__", None)
    return named if isinstance(named, str) else type(layer).__name__.lower()


def batch_shape(x):
    """The shape of an array, or of each in a list; None for the batch's size and the time of a Ragged."""
    if isinstance(x, Ragged):
        return (None, None, *x.values.shape[1:])
    if isinstance(x, (list, tuple)) and any(hasattr(part, "shape") for part in x):
        return [batch_shape(part) for part in x]
    return (None, *np.shape(x)[1:])


def output_shape(layer, input_shape):
    """The shape of a layer's outputs, or None where it is not known before a call."""
    if hasattr(layer, "compute_output_shape"):
        return layer.compute_output_shape(input_shape)
    if not isinstance(layer, Recurrent) or layer.return_state or getattr(layer, "merge_mode", "") is None:
        return None
    if not isinstance(layer.units, int):  # of a cell in Python, which need not tell
        return None
    batch = 1 if layer.time_major else 0
    return (*(input_shape[:2] if layer.return_sequences else (input_shape[batch],)), layer.units)
