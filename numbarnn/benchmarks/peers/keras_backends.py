"""How each backend of Keras is told its threads, and how it wants layers to be called: compiled where it can
be.

`compiled(layers, forward)` returns a function of tensors, which calls ``forward(call, *tensors)``, where
``call(k, ...)`` calls layer k; it returns when the result is there.
"""

import numpy as np


class TensorFlow:
    """A ``tf.function``."""

    def __init__(self, threads):
        import tensorflow

        self.tensorflow, threading = tensorflow, tensorflow.config.threading
        threading.set_intra_op_parallelism_threads(threads)
        threading.set_inter_op_parallelism_threads(1)
        self.to_tensor = tensorflow.constant

    def to_numpy(self, tensor):
        return tensor.numpy()

    def compiled(self, layers, forward):
        def call(k, *arguments, **options):
            return layers[k](*arguments, training=False, **options)

        return self.tensorflow.function(lambda *tensors: forward(call, *tensors))


class Jax:
    """A jitted ``stateless_call``; threads are the processors that the process may run on."""

    def __init__(self, threads):
        import jax

        self.jax, self.to_tensor = jax, jax.numpy.asarray

    def to_numpy(self, tensor):
        return np.asarray(tensor)

    def compiled(self, layers, forward):
        def values(variables):
            return [variable.value for variable in variables]

        def function(variables, *tensors):
            def call(k, *arguments, **options):
                return layers[k].stateless_call(*variables[k], *arguments, training=False, **options)[0]

            return forward(call, *tensors)

        variables = [
            (values(layer.trainable_variables), values(layer.non_trainable_variables)) for layer in layers
        ]
        jitted, finished = self.jax.jit(function), self.jax.block_until_ready
        return lambda *tensors: finished(jitted(variables, *tensors))


class Torch:
    """Called as it is, in inference mode."""

    def __init__(self, threads):
        import torch

        torch.set_num_threads(threads)
        self.torch, self.to_tensor = torch, torch.from_numpy

    def to_numpy(self, tensor):
        return tensor.numpy()

    def compiled(self, layers, forward):
        def call(k, *arguments, **options):
            return layers[k](*arguments, training=False, **options)

        def function(*tensors):
            with self.torch.inference_mode():
                return forward(call, *tensors)

        return function


BACKENDS = {"tensorflow": TensorFlow, "jax": Jax, "torch": Torch}
