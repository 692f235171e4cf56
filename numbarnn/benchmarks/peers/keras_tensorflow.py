"""Keras on TensorFlow, in a process of its own: a ``tf.function``. Told its threads by
``tf.config.threading``; oneDNN inside of it takes them from there.
"""

from . import keras_process


def prepare(problem, data, threads):
    return keras_process.start("tensorflow", problem, data, threads, {"TF_CPP_MIN_LOG_LEVEL": "2"})
