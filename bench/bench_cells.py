"""Users' own cells against the built-in ones of like cost, and what the first call of a new one waits for."""

import fresh
import numpy as np
import pytest
from points import ALL, point
from users_cells_oracle import USERS

import numbarnn as nr
from numbarnn import timing

POINTS = ((1, 100, 128), (16, 50, 128), (32, 50, 256))  # B, T, I = H
BUILT_IN = {"lstm": nr.LSTMCell, "gru": nr.GRUCell, "gru before": lambda H: nr.GRUCell(H, reset_after=False)}
LIKE = {  # as many sums, in as many phases
    "lstm": "lstm",
    "peephole": "lstm",
    "slstm": "lstm",
    "zoneout": "lstm",
    "zoneout by masks": "lstm",
    "coupled": "gru",
    "mingru": "gru",
    "oscillators": "gru",
    "minimal": "gru before",
    "augru": "gru before",
    "grud": "gru before",
}
PROCESSES = {"quick": 2, "full": 4}

GRID = [
    point(
        name,
        sizes,
        name="-".join(map(str, (name, *sizes))),
        quick=name == "lstm" or sizes == POINTS[1],
    )
    for name in LIKE
    for sizes in POINTS
]


@pytest.mark.parametrize("name, sizes", GRID)
def test_users_cell(record, alternating, name, sizes):
    B, T, H = sizes
    user, x = USERS[name], np.random.default_rng(B).standard_normal((B, T, H), dtype=np.float32)
    own, like = user.cell(H, H), BUILT_IN[LIKE[name]](H)
    extra = user.extra(own, (B, T)) or None
    layers = {kind: nr.RNN(cell, return_sequences=True) for kind, cell in (("own", own), ("like", like))}
    took = timing.alternate(
        {
            "own": lambda: layers["own"](x, extra=extra, n_threads=ALL),
            "like": lambda: layers["like"](x, n_threads=ALL),
        },
        **alternating,
    )
    products = own.program.evaluation_flops / like.program.evaluation_flops
    record(
        took["own"].tolist(),
        group=f"{name} B{B} T{T} H{H}, {ALL} thread(s)",
        suite="cells",
        point={"cell": f"{name} ({LIKE[name]})", "B": B, "T": T, "H": H, "threads": ALL},
        median={"own": float(np.median(took["own"]))},
        against={"products": products, "time": float(np.median(took["own"] / took["like"]))},
    )


@pytest.fixture(scope="module")
def processes(pytestconfig):
    return fresh.reports("cells_process.py", PROCESSES[pytestconfig.getoption("--tier")])


@pytest.mark.parametrize("cache", ["cold", "warm"])
def test_new_cell(record, processes, cache):
    """Definition and first call of a cell that the process has not seen, after an LSTM's."""
    made = {"cold": "compiled", "warm": "loaded"}[cache]
    assert all(how == made for report in processes[cache] for _, how in report["functions"])
    functions = [function for function, _ in processes[cache][0]["functions"]]
    for step in ("define", "first call"):
        assert all(step in report["seconds"] for report in processes[cache])
    record(
        [sum(report["seconds"].values()) for report in processes[cache]],
        group="first call",
        suite="cold",
        what=f"a user's cell (peephole LSTM), {cache} cache",
        functions=functions,
    )
