"""Recurrent networks (LSTM, GRU, simple RNN and your own cells) on NumPy arrays, fast and dependable,
compiled by Numba.

>>> import numpy as np, numbarnn as nr
>>> layer = nr.GRU(4, return_sequences=True, seed=0)
>>> layer(np.ones((2, 5, 3), np.float32), lengths=[5, 2]).shape
(2, 5, 4)
"""

try:
    from . import kernels  # noqa: F401
except ImportError as error:
    raise ImportError(
        "numbarnn is not installed: run `pip install -e .` (or `make demo`) in its folder; the sources "
        "of numbarnn.kernels are in kernels/"
    ) from error

from . import checks, math, tf1, weights
from .bidirectional import Bidirectional
from .cells import GRUCell, LSTMCell, SimpleRNNCell
from .decision import Decision
from .dense import Dense
from .device import DeviceNotAvailable
from .dynamic import bidirectional_dynamic_rnn, dynamic_rnn
from .fused import FusedCell
from .kernels.declaration import cell, phase
from .layers import GRU, LSTM, SimpleRNN
from .masking import Embedding, Masking
from .models import Sequential, TimeDistributed
from .nests import Shape
from .ragged import Ragged
from .rnn import RNN
from .stacked import StackedRNNCells
from .stateful import State, Stepper

__version__ = "0.1.0"

__all__ = [
    "GRU",
    "LSTM",
    "RNN",
    "Bidirectional",
    "Decision",
    "Dense",
    "DeviceNotAvailable",
    "Embedding",
    "FusedCell",
    "GRUCell",
    "LSTMCell",
    "Masking",
    "Ragged",
    "Sequential",
    "Shape",
    "SimpleRNN",
    "SimpleRNNCell",
    "StackedRNNCells",
    "State",
    "Stepper",
    "TimeDistributed",
    "bidirectional_dynamic_rnn",
    "cell",
    "dynamic_rnn",
    "math",
    "phase",
    "tf1",
    "warmup",
    "weights",
]


def warmup(layer):
    """Compile, or load from the cache, everything that calls of `layer` need; no call after it compiles
    anything.

    Parameters
    ----------
    layer : RNN
        Built: its input size must be known.

    Examples
    --------
    >>> layer = nr.LSTM(8)
    >>> layer.build(3)
    >>> nr.warmup(layer)
    """
    checks.can_be_compiled(layer).compile_kernels()
