"""Record TensorFlow 1's dynamic_rnn and bidirectional_dynamic_rnn in dynamic_rnn.npz, beside this file.

Run: TF_USE_LEGACY_KERAS=1 python tests/golden/make_dynamic_rnn.py        (needs tensorflow, tf_keras, numpy)

In graph mode, with the BasicRNNCell, GRUCell and LSTMCell of tf.compat.v1 and their variables' own layouts.
`dynamic` runs full sequences, time first, from zero states; `lengths` is bidirectional, batch first, with
sequence lengths and given states: its two directions are two cases of the tests.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras

CELLS = {
    "basic_rnn": tf.compat.v1.nn.rnn_cell.BasicRNNCell,
    "gru": tf.compat.v1.nn.rnn_cell.GRUCell,
    "lstm": tf.compat.v1.nn.rnn_cell.LSTMCell,
}
SIZES = {"dynamic": (3, 7, 4, 5), "lengths": (7, 9, 2, 6)}
LENGTHS = np.array([4, 0, 9, 1, 7, 9, 0], np.int32)


def random_variables(cell, H, rng):
    """Values for the cell's variables, in order; b_f > 0, for ceiling.py wants biases of one sign added."""
    scale = H ** -0.5
    values = [rng.uniform(-scale, scale, v.shape) for v in cell.variables]
    if len(values) == 2 and len(values[1]) == 4 * H:
        values[1][2 * H:3 * H] = abs(values[1][2 * H:3 * H])
    return values


def record(kind, scope, dtype, rng):
    """The arrays of one case: variable_fw_0.., initial_fw_0.., final_fw_0..; an LSTM's states are c, h."""
    B, T, features, H = SIZES[scope]
    directions = ["fw"] if scope == "dynamic" else ["fw", "bw"]
    rows = (T, B) if scope == "dynamic" else (B, T)
    arrays = {"x": rng.standard_normal((*rows, features)).astype(dtype)}
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        x = tf.constant(arrays["x"])
        cells = [CELLS[kind](H, dtype=dtype) for _ in directions]
        if scope == "dynamic":
            output, state = tf.compat.v1.nn.dynamic_rnn(cells[0], x, dtype=dtype, time_major=True)
            outputs, states = [output], [state]
        else:
            arrays["lengths"] = LENGTHS
            initial = [[rng.uniform(-1, 1, (B, H)).astype(dtype) for _ in range(2 if kind == "lstm" else 1)]
                       for _ in directions]
            for name, values in zip(directions, initial, strict=True):
                arrays |= {f"initial_{name}_{k}": value for k, value in enumerate(values)}
            start = [tf.compat.v1.nn.rnn_cell.LSTMStateTuple(*s) if kind == "lstm" else tf.constant(s[0])
                     for s in initial]
            outputs, states = tf.compat.v1.nn.bidirectional_dynamic_rnn(
                *cells, x, LENGTHS, initial_state_fw=start[0], initial_state_bw=start[1])
        for name, cell in zip(directions, cells, strict=True):
            for k, value in enumerate(random_variables(cell, H, rng)):
                arrays[f"variable_{name}_{k}"] = value.astype(dtype)
                cell.variables[k].load(arrays[f"variable_{name}_{k}"], session)
        outputs, states = session.run([outputs, states])
    for name, output, state in zip(directions, outputs, states, strict=True):
        arrays[f"output_{name}"] = output
        arrays |= {f"final_{name}_{k}": value for k, value in enumerate(state if kind == "lstm" else [state])}
    return arrays


def main():
    rng = np.random.default_rng(20240604)
    versions = f"tensorflow {tf.__version__}, tf_keras {tf_keras.__version__}, numpy {np.__version__}"
    file = {"versions": np.array(versions)}
    for kind in CELLS:
        for scope in SIZES:
            for dtype in ("float32", "float64"):
                case = f"{kind}-{scope}-{dtype}"
                file |= {f"{case}/{name}": array for name, array in record(kind, scope, dtype, rng).items()}
    np.savez_compressed(Path(__file__).with_name("dynamic_rnn.npz"), **file)


if __name__ == "__main__":
    main()
