"""Two layers over the same sequences, one from the beginning and one from the end."""

from functools import cached_property
from itertools import zip_longest

import numpy as np

from . import construction, places
from .batch import Batch
from .beside import run_both
from .device_arrays import OnDevice
from .kernels import merge
from .recurrent import Recurrent
from .stacked import set_weights

MERGE_MODES = ("concat", *merge.MODES, None)
SHARED = ("return_sequences", "return_state", "stateful", "time_major", "device", "dtype")


class Bidirectional(Recurrent):
    """Run a layer forward and another one backward over the same sequences, and merge what they return.

    Parameters
    ----------
    layer : RNN
        A pattern: both layers are made like it, without its weights, which is used no further. Its `seed`
        draws the forward weights; the backward ones come from another stream of the same seed.
    merge_mode : {"concat", "sum", "mul", "ave", None}
        What becomes of the two outputs: one after the other along the features, sum, product, mean, or both
        for themselves.
    backward_layer : RNN, optional
        Used as it is, in place of the second copy. It runs in the other direction, and has otherwise the
        options of `layer`; with "concat" and None its units may be others.
    name : str, optional

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value; layers that do not fit together.

    Attributes
    ----------
    forward_layer, backward_layer : RNN

    Notes
    -----
    Semantics are those of Keras 3.15: masked steps output 0 with ``return_sequences`` (the layers' own
    ``zero_output_for_mask`` is set to it, as Keras does); outputs stand at the time of their inputs in both
    directions; states are the forward ones, then the backward ones (LSTM: h, c, h, c), and `initial_state`
    likewise. A layer with ``go_backwards=True`` is refused (tf_keras turns it round), unless a
    `backward_layer` is given, which must then run forward: outputs come in reverse. With `lengths` or a
    Ragged the backward layer starts at each row's own end, as in ``tf.nn.bidirectional_dynamic_rnn``.

    The two layers run side by side where there are threads for it; "concat" is written in place, the other
    modes take one pass over the valid rows.

    Source: Schuster and Paliwal 1997.

    Examples
    --------
    >>> layer = nr.Bidirectional(nr.LSTM(4, return_sequences=True, seed=0))
    >>> layer(np.ones((2, 5, 3), np.float32), lengths=[5, 2]).shape
    (2, 5, 8)
    >>> layer = nr.Bidirectional(nr.LSTM(4, return_state=True, seed=0), merge_mode="sum")
    >>> y, forward_h, forward_c, backward_h, backward_c = layer(np.ones((2, 5, 3), np.float32))
    >>> bool((y == forward_h + backward_h).all())
    True
    """

    def __init__(self, layer, merge_mode="concat", backward_layer=None, name=None):
        construction.rnn("layer", layer)
        if merge_mode is not None:
            construction.one_of("merge_mode", merge_mode, MERGE_MODES[:-1])
        if layer.go_backwards and backward_layer is None:
            raise ValueError(
                "layer has go_backwards=True; expected False: the layer runs forward, and one that runs "
                "backward is made like it; or give a backward_layer that runs forward"
            )
        self.merge_mode = merge_mode
        self.name = construction.layer_name(name, "bidirectional")
        self.forward_layer = layer.unbuilt(f"forward_{layer.name}", layer.go_backwards)
        if backward_layer is None:
            backward_layer = layer.unbuilt(f"backward_{layer.name}", True, stream=2)
        self.backward_layer = _fitting(construction.rnn("backward_layer", backward_layer), layer, merge_mode)
        for one in self._layers:
            one.zero_output_for_mask = one.return_sequences

    def __new__(cls, layer=None, merge_mode="concat", backward_layer=None, *_, **__):
        if cls is Bidirectional:
            from .loop_rnn import LoopBidirectional, LoopRNN

            if isinstance(layer, LoopRNN) or isinstance(backward_layer, LoopRNN):
                return object.__new__(LoopBidirectional)
        return object.__new__(cls)

    @property
    def _layers(self):
        return self.forward_layer, self.backward_layer

    @property
    def return_sequences(self):
        return self.forward_layer.return_sequences

    @property
    def return_state(self):
        return self.forward_layer.return_state

    @property
    def stateful(self):
        return self.forward_layer.stateful

    @property
    def time_major(self):
        return self.forward_layer.time_major

    @property
    def device(self):
        return self.forward_layer.device

    @property
    def dtype(self):
        return self.forward_layer.dtype

    @property
    def weights_dtype(self):
        """As of `RNN`, of both layers."""
        return construction.weights_dtype_of(self._layers)

    @property
    def input_size(self):
        return self.forward_layer.input_size

    @property
    def units(self):
        """Features of the output, or of each of the two."""
        if self.merge_mode == "concat":
            return self.forward_layer.units + self.backward_layer.units
        return self.forward_layer.units

    @cached_property
    def layout(self):
        return self.forward_layer.layout + self.backward_layer.layout

    @property
    def _outputs(self):
        return 2 if self.merge_mode is None else 1

    def __repr__(self):
        return f"<{self._kind} {self.name!r}, {self.merge_mode!r}: {self.forward_layer!r}>"

    def build(self, input_size):
        """Draw the weights of both layers; see `FusedCell.build`."""
        for layer in self._layers:
            layer.build(input_size)

    def compile_kernels(self):
        """What `numbarnn.warmup` does."""
        for layer in self._layers:
            layer.compile_kernels()
        if self.merge_mode in merge.MODES:
            nothing = np.empty((0, self.units), self.dtype)
            merge.merge(nothing, nothing, np.arange(0), merge.MODES.index(self.merge_mode))

    def get_weights(self):
        """The forward layer's weights, then the backward layer's, as read-only arrays."""
        return [array for layer in self._layers for array in layer.get_weights()]

    def set_weights(self, weights):
        """Take copies of `weights`, a list as `get_weights` returns it; all or none.

        Raises
        ------
        TypeError, ValueError
            Another number of arrays; see `FusedCell.set_weights`.
        """
        set_weights([layer.cells for layer in self._layers], weights)

    def compute_mask(self, x, mask=None):
        """The mask of the outputs, as `RNN.compute_mask`; of both with ``merge_mode=None``."""
        masks = [mask if self.return_sequences else None] * self._outputs
        if self.return_state:
            masks += [None] * len(self.layout)
        return masks if len(masks) > 1 else masks[0]

    @cached_property
    def extra_sizes(self):
        return construction.extra_of_all(self.forward_layer.cells + self.backward_layer.cells)

    def explain(
        self,
        x,
        initial_state=None,
        mask=None,
        lengths=None,
        resets=None,
        n_threads=None,
        measure=False,
        *,
        extra=None,
    ):
        """How either layer would run such a call by itself; see `RNN.explain`.

        Returns
        -------
        tuple
            The forward layer's decision and the backward layer's.
        """
        batch = Batch(self, x, mask, lengths, resets, extra=extra)
        self._initial(initial_state, batch)
        halves = [None, None]
        if initial_state is not None:
            count = len(self.forward_layer.layout)
            halves = [initial_state[:count], initial_state[count:]]
        given = {"mask": mask, "lengths": lengths, "resets": resets, "extra": extra}
        return tuple(
            layer.explain(x, half, **given, n_threads=n_threads, measure=measure)
            for layer, half in zip(self._layers, halves, strict=True)
        )

    def _output_shapes(self, batch):
        axes = batch.axes if self.return_sequences else (batch.B,)
        if self.merge_mode is None:
            names = ("y of forward_layer", "y of backward_layer")
            return [(name, (*axes, layer.units)) for name, layer in zip(names, self._layers, strict=True)]
        return [("y", (*axes, self.units))]

    def _run(self, batch, initial, outputs, final, training, ways):
        count = sum(map(len, self.forward_layer.layout))
        rows = [output.reshape(-1, output.shape[-1]) for output in outputs]
        if batch.device is not None:
            rows = [
                y if isinstance(y, OnDevice) else places.workspace(batch.device, y.shape, self.dtype)
                for y in rows
            ]
        forward, backward = self._targets(rows, batch.device)
        steps_plan = None  # of the last forward cell
        stream = ways["stream"]
        runs = (
            self.forward_layer.runs(batch, initial[:count], forward, final[:count], training, stream),
            self.backward_layer.runs(
                batch, initial[count:], backward, final[count:], training, stream, turned=True
            ),
        )
        for both in zip_longest(*runs):
            steps_plan = both[0].steps_plan if both[0] is not None else steps_plan
            if None in both:
                (one,) = (one for one in both if one is not None)
                one.start(**ways)
            else:
                run_both(*both, **ways)
        if self.merge_mode in merge.MODES:
            valid = steps_plan.y_row if self.return_sequences else np.arange(batch.B)
            self._merge(forward, backward, valid, ways)
        for array, output in zip(rows, outputs, strict=True):
            if type(array) is not type(output):
                places.copy(array, output, stream)

    def _targets(self, rows, device):
        """Where each layer writes its output rows."""
        if self.merge_mode is None:
            return rows
        (y,) = rows
        if self.merge_mode == "concat":
            units = self.forward_layer.units
            return y[:, :units], y[:, units:]
        return y, places.workspace(device, y.shape, self.dtype)

    def _merge(self, y, other, rows, ways):
        if ways["device"] is None:
            merge.merge(y, other, rows, merge.MODES.index(self.merge_mode))
        else:
            from .kernels import elementwise_cuda

            kernel = elementwise_cuda.merge(self.dtype.type, self.merge_mode)
            places.launch_over(ways["device"], kernel, y.size, y.flat, other.flat, stream=ways["stream"])


def _fitting(backward_layer, layer, merge_mode):
    """A backward layer that goes with the forward one."""
    if backward_layer.go_backwards == layer.go_backwards:
        raise ValueError(
            f"backward_layer has go_backwards={layer.go_backwards}, as layer has; expected the other "
            "direction"
        )
    for option in SHARED:
        theirs, ours = getattr(backward_layer, option), getattr(layer, option)
        told = theirs is not None and ours is not None  # a cell written in Python need not tell
        if told and theirs != ours:
            raise ValueError(
                f"backward_layer has {option} = {theirs!r}, layer {ours!r}; expected the same in both"
            )
    units = backward_layer.units, layer.units
    if merge_mode in merge.MODES and None not in units and units[0] != units[1]:
        raise ValueError(
            f"backward_layer has {backward_layer.units} units, layer {layer.units}; expected the same with "
            f"merge_mode = {merge_mode!r}: use 'concat' or None"
        )
    return backward_layer
