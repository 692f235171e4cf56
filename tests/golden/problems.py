"""Random problems put to TensorFlow 1's cells, TensorFlow's block operators, PyTorch and ONNX Runtime.

A problem is one call of one system, in that system's names, gate orders and layouts of weights. This file
needs NumPy alone, since every system that is recorded draws its problems anew. All numbers are float32, so
that they are the same in float64.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, field

import numpy as np

from golden.configurations import Draw

SEED = 20261124
COUNTS = {"rnn_cell": 180, "block_ops": 120, "torch": 150, "onnxruntime": 150}
DTYPES = {
    "rnn_cell": ("float32", "float64"),
    "block_ops": ("float32",),  # the operators have half and float
    "torch": ("float32", "float64"),
    "onnxruntime": ("float32",),  # it has no kernels of these operators in double
}
ACTIVATIONS = ("tanh", "tanh", "relu", "sigmoid")
FORGET_BIASES = (1.0, 1.0, 0.0, 0.5, -0.75, 2.5)
CELL_CLIPS = (None, None, 0.25, 0.5, 0.0, -0.5)
PROJECTION_CLIPS = (None, None, 0.25, 0.5)
CLIPS = (None, None, 0.25, 0.5, 1.0)
STARTS = ("given", "given", "zeros")
ONNX_GATES = (("Sigmoid",), ("Sigmoid",), ("HardSigmoid",), ("HardSigmoid", 0.25, 0.375), ("Softsign",))
ONNX_VALUES = (
    ("Tanh",),
    ("Tanh",),
    ("Relu",),
    ("ScaledTanh", 1.5, 0.75),
    ("LeakyRelu", 0.125),
    ("ThresholdedRelu", 0.25),
    ("Elu", 0.75),
    ("Affine", 0.5, 0.25),
    ("Softsign",),
    ("Softplus",),
    ("Sigmoid",),
    ("HardSigmoid", 0.25, 0.375),
)
UNBOUNDED = ("relu", "Relu", "LeakyRelu", "ThresholdedRelu", "Elu", "Affine", "Softplus")
ONNX_DEFAULTS = {
    "RNN": [("Tanh",)],
    "GRU": [("Sigmoid",), ("Tanh",)],
    "LSTM": [("Sigmoid",), ("Tanh",), ("Tanh",)],
}
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}


@dataclass
class Cell:
    """One cell: of a layer, of one of its directions or of a stack.

    `options` are in the system's words, `weights` in its order; `initial` None: it starts from zeros.
    """

    kind: str
    inputs: int
    units: int
    options: dict
    weights: list[np.ndarray] = field(default_factory=list)
    initial: list[np.ndarray] | None = None

    @property
    def state_sizes(self):
        """Of the states in the system's order; an LSTM's are c, h in TensorFlow and h, c elsewhere."""
        if "LSTM" not in self.kind:
            return [self.units]
        h = self.options.get("num_proj") or self.options.get("proj_size") or self.units
        return [self.units, h] if "Cell" in self.kind or "Block" in self.kind else [h, self.units]

    @property
    def output_size(self):
        return self.options.get("num_proj") or self.options.get("proj_size") or self.units


@dataclass
class Problem:
    """One call. `layers` are lists of cells, one for each direction; x is (B, T, I) whatever the layout, and
    past a row's length it may be not a number.
    """

    number: int
    system: str
    form: str
    options: dict
    layers: list[list[Cell]]
    x: np.ndarray
    lengths: np.ndarray | None

    @property
    def cells(self):
        return [cell for layer in self.layers for cell in layer]

    @property
    def name(self):
        return "-".join([f"{self.number:03d}", self.form, *dict.fromkeys(cell.kind for cell in self.cells)])


def draw_sizes(draw, *highest, projections=()):
    """No two are equal. A projection has at least three values: of fewer, rounding by chance says little."""
    while True:
        sizes = draw.distinct(*highest)
        if all(sizes[k] >= 3 for k in projections):
            return sizes


def draw_lengths(draw, B, T, least=0):
    """Unsorted, often one of the extremes."""
    ends = [least, 1, T]
    return np.array(
        [
            draw.one_of(ends) if draw.chance(0.5) else least + int(draw.random() * (T + 1 - least))
            for _ in range(B)
        ]
    )


def shapes(cell, system):
    """Of the cell's weights, each with the number of products of which its sums consist; 0: a vector."""
    inputs, H, out, options = cell.inputs, cell.units, cell.output_size, cell.options
    if system in ("rnn_cell", "block_ops"):
        if cell.kind.startswith("GRU"):
            return [
                ((inputs + H, 2 * H), inputs + H),
                ((2 * H,), 0),
                ((inputs + H, H), inputs + H),
                ((H,), 0),
            ]
        columns = 4 * H if "LSTM" in cell.kind else H
        found = [((inputs + out, columns), inputs + out), ((columns,), 0)]
        found += [((H,), 0)] * (3 * options.get("use_peepholes", False))
        return found + [((H, out), H)] * ("num_proj" in options)
    rows = GATES[cell.kind] * H
    found = [((rows, inputs), inputs), ((rows, out), out)]
    if system == "torch":
        found += [((rows,), 0)] * (2 * options["bias"])
        return found + [((out, H), H)] * ("proj_size" in options)
    return found + [((2 * rows,), 0)] * options["bias"] + [((3 * H,), 0)] * options.get("peepholes", False)


def fill(draw, cell, system):
    """Weights, small ones where a state has no bound, and initial states."""
    names = [cell.options.get("activation"), cell.options.get("nonlinearity")]
    names += [name for name, *_ in cell.options.get("activations", ())]
    scale = 0.6 if any(name in UNBOUNDED for name in names) else 2.0
    for shape, fan in shapes(cell, system):
        limit = scale * fan**-0.5 if fan else 0.5 * scale
        cell.weights.append(draw.array(shape, limit, np.float32))
    return cell


def start(draw, cells, B):
    """The cells' initial states, all given or all zeros."""
    if draw.one_of(STARTS) == "given":
        for cell in cells:
            cell.initial = [draw.array((B, size), 1.0, np.float32) for size in cell.state_sizes]


def draw_rnn_cell(draw, sizes):
    """A cell of TensorFlow 1, perhaps in wrappers that change no number or add the inputs."""
    inputs, units, projection = sizes
    kind = draw.one_of(("BasicRNNCell", "GRUCell", "BasicLSTMCell", "LSTMCell", "LSTMCell", "LSTMCell"))
    options = {"activation": draw.one_of(ACTIVATIONS)}
    if "LSTM" in kind:
        options["forget_bias"] = draw.one_of(FORGET_BIASES)
        if draw.chance(0.15):
            options["state_is_tuple"] = False
    if kind == "LSTMCell":
        options["use_peepholes"] = draw.chance(0.6)
        options["cell_clip"] = draw.one_of(CELL_CLIPS)
        if draw.chance(0.5):
            options |= {"num_proj": projection, "proj_clip": draw.one_of(PROJECTION_CLIPS)}
    if draw.chance(0.3):
        options["wrapper"] = draw.one_of(("ResidualWrapper", "DropoutWrapper"))
    if options.get("wrapper") == "ResidualWrapper":
        if "num_proj" in options:
            options["num_proj"] = inputs
        else:
            units = inputs
    return Cell(kind, inputs, units, options)


def draw_rnn_cells(draw, number):
    """`dynamic_rnn`, `bidirectional_dynamic_rnn`, or the first of a `MultiRNNCell`."""
    form = draw.one_of(("dynamic", "dynamic", "bidirectional", "stack"))
    B, T, inputs, *sizes = draw_sizes(draw, 5, 7, 6, 9, 8, 8, 7, projections=(4, 6))
    cells, size = [], inputs
    for k in range(1 if form == "dynamic" else 2):
        cells.append(draw_rnn_cell(draw, (size, *sizes[2 * k : 2 * k + 2])))
        size = cells[-1].output_size if form == "stack" else inputs
    lengths = draw_lengths(draw, B, T) if draw.chance(0.7) else None
    if form != "bidirectional" and lengths is not None and draw.chance(0.08):
        lengths[-1] = T + 2
    options = {"time_major": draw.chance(0.3)}
    layers = [cells] if form == "bidirectional" else [[cell] for cell in cells]
    return Problem(
        number, "rnn_cell", form, options, layers, draw.array((B, T, inputs), 2.0, np.float32), lengths
    )


def draw_block_ops(draw, number):
    """Cells run by `dynamic_rnn`, or the operators that run a whole sequence."""
    kind = draw.one_of(("LSTMBlockCell", "GRUBlockCell", "BlockLSTM", "BlockLSTM", "BlockLSTMV2"))
    B, T, inputs, units = draw_sizes(draw, 5, 7, 6, 9)
    options = {}
    if kind != "GRUBlockCell":
        options = {"use_peepholes": draw.chance(0.5), "cell_clip": draw.one_of(CELL_CLIPS)}
        if kind != "BlockLSTMV2":
            options["forget_bias"] = draw.one_of(FORGET_BIASES)
    whole = kind.startswith("BlockLSTM")
    lengths = draw_lengths(draw, B, T) if draw.chance(0.7) else None
    call = {"time_major": whole or draw.chance(0.3)}
    x = draw.array((B, T, inputs), 2.0, np.float32)
    form = "fused" if whole else "dynamic"
    return Problem(number, "block_ops", form, call, [[Cell(kind, inputs, units, options)]], x, lengths)


def draw_torch(draw, number):
    """`nn.RNN`, `nn.LSTM` or `nn.GRU`; with lengths it is given a packed sequence."""
    kind = draw.one_of(("RNN", "LSTM", "LSTM", "GRU"))
    B, T, inputs, units, projection = draw_sizes(draw, 5, 7, 6, 9, 6, projections=(4,))
    options = {"bias": draw.chance(0.8)}
    if kind == "RNN":
        options["nonlinearity"] = draw.one_of(("tanh", "relu"))
    if kind == "LSTM" and projection < units and draw.chance(0.8):
        options["proj_size"] = projection
    directions, layers, size = 1 + draw.chance(0.45), [], inputs
    for _ in range(1 + draw.chance(0.45) + draw.chance(0.3)):
        layers.append([Cell(kind, size, units, dict(options)) for _ in range(directions)])
        size = directions * layers[-1][0].output_size
    lengths = draw_lengths(draw, B, T, least=1) if draw.chance(0.6) else None
    x = draw.array((B, T, inputs), 2.0, np.float32)
    form = "-".join([("one", "two", "three")[len(layers) - 1], *["bidirectional"] * (directions - 1)])
    return Problem(number, "torch", form, {"batch_first": draw.chance(0.5)}, layers, x, lengths)


def draw_onnxruntime(draw, number):
    """One node `RNN`, `GRU` or `LSTM`; each direction has activations of its own."""
    kind = draw.one_of(("RNN", "GRU", "GRU", "LSTM", "LSTM", "LSTM"))
    form = draw.one_of(("forward", "reverse", "bidirectional"))
    B, T, inputs, units = draw_sizes(draw, 5, 7, 6, 9)
    options = {"bias": draw.chance(0.85), "clip": draw.one_of(CLIPS)}
    if kind == "LSTM":
        options |= {"peepholes": draw.chance(0.6), "input_forget": draw.chance(0.3)}
    if kind == "GRU":
        options["linear_before_reset"] = draw.chance(0.5)
    chosen, cells = draw.chance(0.6), []
    for _ in range(2 if form == "bidirectional" else 1):
        own = dict(options)
        own["activations"] = ONNX_DEFAULTS[kind]
        if chosen:
            pools = [ONNX_GATES, ONNX_VALUES, ONNX_VALUES] if kind != "RNN" else [ONNX_VALUES]
            own["activations"] = [draw.one_of(pool) for pool in pools[: len(ONNX_DEFAULTS[kind])]]
        cells.append(Cell(kind, inputs, units, own))
    lengths = draw_lengths(draw, B, T) if draw.chance(0.7) else None
    x = draw.array((B, T, inputs), 2.0, np.float32)
    return Problem(number, "onnxruntime", form, {}, [cells], x, lengths)


DRAWN_BY = {
    "rnn_cell": draw_rnn_cells,
    "block_ops": draw_block_ops,
    "torch": draw_torch,
    "onnxruntime": draw_onnxruntime,
}


def draw_problem(number, system):
    draw = Draw(SEED, number)
    problem = DRAWN_BY[system](draw, number)
    for cell in problem.cells:
        fill(draw, cell, system)
    # Each direction of TensorFlow's has states of its own.
    apart = system == "rnn_cell" and problem.form == "bidirectional"
    for cells in [[cell] for cell in problem.cells] if apart else [problem.cells]:
        start(draw, cells, len(problem.x))
    if problem.lengths is not None and draw.chance(0.25):
        problem.x[np.arange(problem.x.shape[1]) >= problem.lengths[:, None]] = np.nan
    return problem


def draw_all():
    systems = [system for system, count in COUNTS.items() for _ in range(count)]
    return [draw_problem(number, system) for number, system in enumerate(systems)]


def digest(problems):
    """Of everything that the recorded systems were given."""
    found = hashlib.sha256()

    def described(value):
        found.update(value.tobytes())
        return [value.dtype.str, value.shape]

    for problem in problems:
        found.update(json.dumps(asdict(problem), default=described).encode())
    return found.hexdigest()
