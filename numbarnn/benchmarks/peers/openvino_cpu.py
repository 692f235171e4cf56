"""OpenVINO's CPU plugin on the ONNX model, compiled for latency, in float32 (it would else compute in
bfloat16 where the CPU can) and told its threads. A call shares arrays with it where that is safe.
"""

from io import BytesIO

import numpy as np
import openvino

from . import Peer, refuse, time_major, without_padding
from .onnx_model import beside, model_of, states_of

REASONS = {
    "float64": "OpenVINO's CPU plugin computes float64 in float32",
    "resets": "OpenVINO's recurrent operators take no resets inside a sequence",
    "left": "OpenVINO's recurrent operators take lengths, so padding on the right only",
}


def prepare(problem, data, threads):
    """Steps are inferences whose states are fed back."""
    refuse(problem, REASONS)
    core = openvino.Core()
    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "f32",
    }
    model = core.compile_model(core.read_model(BytesIO(model_of(problem, data))), "CPU", settings)
    request, x = model.create_infer_request(), time_major(data.x)
    if problem.each_step:
        return _stepping(problem, request, x)
    feed = {"x": x} if data.lengths is None else {"x": x, "lengths": data.lengths.astype(np.int32)}

    def run():
        return request.infer(feed, share_inputs=True, share_outputs=True)

    return Peer(run, lambda: without_padding(problem, beside(run()["y"])))


def _stepping(problem, request, x):
    """Outputs are copies here: an array that is shared would be read and written by the next step at once."""
    names, first = states_of(problem), x[:1]
    feed = {}

    def reset():
        feed.update((name, np.zeros((1, problem.B, problem.H), np.float32)) for name in names)

    def step(x_t=first):
        feed["x"] = x_t
        found = request.infer(feed, share_inputs=True)
        for name in names:
            feed[name] = found[f"new_{name}"]
        return found["y"]

    def result():
        reset()
        return np.concatenate([beside(step(x_t[None])) for x_t in x], axis=1)

    reset()
    return Peer(step, result)
