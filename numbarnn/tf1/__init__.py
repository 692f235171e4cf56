"""TensorFlow 1's names: its cells and layers with their variables, gate orders, biases and states, on this
library's kernels.

>>> import numpy as np
>>> from numbarnn import tf1
>>> cell = tf1.GRUCell(4, seed=0)
>>> outputs, state = tf1.dynamic_rnn(cell, np.ones((2, 5, 3), np.float32), sequence_length=[5, 2])
>>> outputs.shape, bool((outputs[1, 1] == state[1]).all())
((2, 5, 4), True)
"""

from ..dynamic import bidirectional_dynamic_rnn, dynamic_rnn
from .base import LSTMStateTuple
from .cells import BasicRNNCell, CudnnCompatibleGRUCell, GRUBlockCell, GRUBlockCellV2, GRUCell
from .layers import CudnnGRU, CudnnLSTM, CudnnRNNRelu, CudnnRNNTanh, LSTMBlockFusedCell
from .lstm import BasicLSTMCell, CudnnCompatibleLSTMCell, LSTMBlockCell, LSTMCell
from .stack import MultiRNNCell
from .wrappers import DropoutWrapper, ResidualWrapper

__all__ = [
    "BasicLSTMCell",
    "BasicRNNCell",
    "CudnnCompatibleGRUCell",
    "CudnnCompatibleLSTMCell",
    "CudnnGRU",
    "CudnnLSTM",
    "CudnnRNNRelu",
    "CudnnRNNTanh",
    "DropoutWrapper",
    "GRUBlockCell",
    "GRUBlockCellV2",
    "GRUCell",
    "LSTMBlockCell",
    "LSTMBlockFusedCell",
    "LSTMCell",
    "LSTMStateTuple",
    "MultiRNNCell",
    "ResidualWrapper",
    "bidirectional_dynamic_rnn",
    "dynamic_rnn",
]
