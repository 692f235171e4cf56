"""Keras on PyTorch, in a process of its own: called in inference mode. Told its threads by
``torch.set_num_threads``.
"""

from . import keras_process


def prepare(problem, data, threads):
    return keras_process.start("torch", problem, data, threads, {})
