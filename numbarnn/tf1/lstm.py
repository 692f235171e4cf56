"""TensorFlow 1's LSTM cells: each an entry of the cell table with the variables that TensorFlow has for
it.
"""

from .. import checks, construction
from . import checks as tf1_checks
from .base import GLOROT, LSTMStateTuple, TF1Cell, Variable, over_and_under, rows


class _LSTM(TF1Cell):
    """Gates i, j (candidate), f, o; states c, h."""

    peepholes = ()  # names, in the order of creation
    state_is_tuple = True

    def __init__(self, num_units, activation, dtype, seed, name, reuse, num_proj=None, **options):
        self._initializer = options.pop("initializer", GLOROT)
        entry = "tf1_lstm" + ("_peephole" if self.peepholes else "")
        if num_proj is not None:
            entry, options["projection"] = f"{entry}_projection", num_proj
        options["forget_bias"] = tf1_checks.number("forget_bias", options["forget_bias"])
        super().__init__(entry, num_units, activation, dtype, seed, name, reuse, **options)

    def variables(self, input_size):
        H, P = self.units, self.output_size
        made = {
            "kernel": Variable((rows(input_size, P), 4 * H), self._initializer),
            "bias": Variable((4 * H,), "zeros"),
        }
        made |= {name: Variable((H,), self._initializer) for name in self.peepholes}
        if "projection" in self.sizes:
            made["projection/kernel"] = Variable((H, P), self._initializer)
        return made

    def arrays(self, variables):
        kernel, recurrent_kernel = over_and_under(variables["kernel"], self.output_size)
        made = {"kernel": kernel, "recurrent_kernel": recurrent_kernel, "bias": variables["bias"]}
        if "projection" in self.sizes:
            made["kernel_of_m"] = variables["projection/kernel"]
        return made | {name: variables[name] for name in self.definition.parameters}

    @property
    def undropped(self):
        """States that `DropoutWrapper` leaves."""
        return ("c",) if self.state_is_tuple else ()

    @property
    def state_size(self):
        sizes = LSTMStateTuple(self.units, self.output_size)
        return sizes if self.state_is_tuple else sum(sizes)

    def get_initial_state(self, batch_size, dtype=None):
        """A list of arrays, as `state_size` has it: the state before any step."""
        state = self.zero_state(batch_size, dtype)
        return list(state) if self.state_is_tuple else [state]

    def pack_state(self, states):
        return LSTMStateTuple(*states) if self.state_is_tuple else tf1_checks.joined(states)

    def flat_state(self, state):
        if self.state_is_tuple:
            return list(tf1_checks.parts("state", state, 2, ": LSTMStateTuple(c, h)"))
        return tf1_checks.one_matrix("state", state, (self.units, self.output_size))


class BasicLSTMCell(_LSTM):
    """Long short-term memory without peepholes, ``tf.nn.rnn_cell.BasicLSTMCell``.

    c' = c sigmoid(f + forget_bias) + sigmoid(i) activation(j), h' = activation(c') sigmoid(o). Variables:
    kernel (I + H, 4H) with columns i, j, f, o, bias (4H,), which begins with 0.

    Parameters
    ----------
    num_units : int
        H.
    forget_bias : float
        Added to f in each step; no part of the bias.
    state_is_tuple : bool
        States are ``LSTMStateTuple(c, h)``; else one matrix (B, 2H), c beside h.
    activation : str or callable, optional
        None: tanh.
    reuse
        None: weights are shared by using one cell twice.
    name : str, optional
    dtype : dtype, optional
        None: float32.
    seed : int, optional
        Of the initial weights.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.

    Examples
    --------
    >>> cell = nr.tf1.BasicLSTMCell(4, seed=0)
    >>> output, (c, h) = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> [array.shape for array in cell.get_weights()], bool((output == h).all())
    ([(7, 16), (16,)], True)
    """

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        state_is_tuple=True,
        activation=None,
        reuse=None,
        name=None,
        dtype=None,
        *,
        seed=None,
    ):
        self.state_is_tuple = checks.flag("state_is_tuple", state_is_tuple)
        super().__init__(num_units, activation, dtype, seed, name, reuse, forget_bias=forget_bias)


class LSTMCell(_LSTM):
    """Long short-term memory, ``tf.nn.rnn_cell.LSTMCell``: peepholes (Gers and Schmidhuber 2000), clips and a
    projection (Sak et al. 2014) if asked for.

    Variables: kernel (I + P, 4H) with columns i, j, f, o, bias (4H,), which begins with 0; with peepholes
    w_f_diag, w_i_diag, w_o_diag (H,); with `num_proj` projection/kernel (H, P). Without it P is H.

    Parameters
    ----------
    num_units : int
        H.
    use_peepholes : bool
        f and i see c, o sees c'.
    cell_clip : float, optional
        c' is clipped to -cell_clip .. cell_clip before anything sees it; 0.0 makes it 0, a negative one
        -cell_clip, as TensorFlow's clip does.
    initializer : str or callable, optional
        Of kernels and peepholes; None: "glorot_uniform", for each as a whole.
    num_proj : int, optional
        P: the output and h are o activation(c') times the projection kernel.
    proj_clip : float, optional
        With `num_proj`, the output is clipped to -proj_clip .. proj_clip.
    num_unit_shards, num_proj_shards
        None: nothing is partitioned.
    forget_bias : float
        Added to f in each step; no part of the bias.
    state_is_tuple : bool
        States are ``LSTMStateTuple(c, h)``; else one matrix (B, H + P), c beside h.
    activation : str or callable, optional
        None: tanh.
    reuse, name, dtype, seed
        As of `BasicLSTMCell`.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.

    Examples
    --------
    >>> cell = nr.tf1.LSTMCell(4, use_peepholes=True, num_proj=2, seed=0)
    >>> output, (c, h) = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> output.shape, c.shape
    ((2, 2), (2, 4))
    >>> list(cell.shapes(3))
    ['kernel', 'bias', 'w_f_diag', 'w_i_diag', 'w_o_diag', 'projection/kernel']
    """

    def __init__(
        self,
        num_units,
        use_peepholes=False,
        cell_clip=None,
        initializer=None,
        num_proj=None,
        proj_clip=None,
        num_unit_shards=None,
        num_proj_shards=None,
        forget_bias=1.0,
        state_is_tuple=True,
        activation=None,
        reuse=None,
        name=None,
        dtype=None,
        *,
        seed=None,
    ):
        checks.only_default("num_unit_shards", num_unit_shards, None)
        checks.only_default("num_proj_shards", num_proj_shards, None)
        self.state_is_tuple = checks.flag("state_is_tuple", state_is_tuple)
        if checks.flag("use_peepholes", use_peepholes):
            self.peepholes = "w_f_diag", "w_i_diag", "w_o_diag"
        initializer = construction.initializer("initializer", initializer or GLOROT)
        options = {
            "initializer": tf1_checks.fits_matrices(initializer, bool(self.peepholes)),
            "cell_clip": tf1_checks.limit("cell_clip", cell_clip),
            "forget_bias": forget_bias,
        }
        if num_proj is not None:
            options |= {
                "num_proj": checks.whole("num_proj", num_proj, 1),
                "proj_clip": tf1_checks.limit("proj_clip", proj_clip),
            }
        super().__init__(num_units, activation, dtype, seed, name, reuse, **options)


class LSTMBlockCell(_LSTM):
    """``tf.contrib.rnn.LSTMBlockCell``: `LSTMCell` with tanh and no projection.

    Variables: kernel (I + H, 4H) with columns i, j, f, o, bias (4H,), which begins with 0; with peepholes
    w_i_diag, w_f_diag, w_o_diag (H,), in this order.

    Parameters
    ----------
    num_units : int
        H.
    forget_bias : float
        Added to f in each step; no part of the bias.
    cell_clip : float, optional
        c' is clipped to -cell_clip .. cell_clip; None, 0 and negative numbers stand for no limit.
    use_peephole : bool
        f and i see c, o sees c'.
    dtype, reuse, name, seed
        As of `BasicLSTMCell`.

    Raises
    ------
    TypeError, ValueError
        An argument of another type or value.

    Examples
    --------
    >>> cell = nr.tf1.LSTMBlockCell(4, use_peephole=True, seed=0)
    >>> output, (c, h) = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> list(cell.shapes(3))
    ['kernel', 'bias', 'w_i_diag', 'w_f_diag', 'w_o_diag']
    """

    def __init__(
        self,
        num_units,
        forget_bias=1.0,
        cell_clip=None,
        use_peephole=False,
        dtype=None,
        reuse=None,
        name="lstm_cell",
        *,
        seed=None,
    ):
        if checks.flag("use_peephole", use_peephole):
            self.peepholes = "w_i_diag", "w_f_diag", "w_o_diag"
        limit = tf1_checks.limit("cell_clip", cell_clip)
        options = {
            "cell_clip": limit if limit is not None and limit > 0 else None,
            "forget_bias": forget_bias,
        }
        super().__init__(num_units, None, dtype, seed, name, reuse, **options)


class CudnnCompatibleLSTMCell(LSTMBlockCell):
    """``tf.contrib.cudnn_rnn.CudnnCompatibleLSTMCell``: what `CudnnLSTM` computes, step by step:
    `LSTMBlockCell` without forget bias, clip and peepholes.

    Parameters
    ----------
    num_units : int
        H.
    reuse, dtype, name, seed
        As of `LSTMBlockCell`.

    Examples
    --------
    >>> cell = nr.tf1.CudnnCompatibleLSTMCell(4, seed=0)
    >>> output, (c, h) = cell(np.ones((2, 3), np.float32), cell.zero_state(2))
    >>> [array.shape for array in cell.get_weights()]
    [(7, 16), (16,)]
    """

    def __init__(self, num_units, reuse=None, dtype=None, name="cudnn_compatible_lstm_cell", *, seed=None):
        super().__init__(num_units, 0.0, None, False, dtype, reuse, name, seed=seed)
