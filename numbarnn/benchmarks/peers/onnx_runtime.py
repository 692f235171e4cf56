"""ONNX Runtime: one session, told its threads, whose weights are constants that it packs beforehand."""

import numpy as np
import onnxruntime

from . import Peer, refuse, time_major, without_padding
from .onnx_model import beside, model_of, states_of

REASONS = {
    "float64": "ONNX Runtime's recurrent operators take float32 only",
    "resets": "ONNX's recurrent operators take no resets inside a sequence",
    "left": "ONNX's recurrent operators take lengths, so padding on the right only",
}


def prepare(problem, data, threads):
    """Steps are calls of ``run`` whose states are fed back."""
    refuse(problem, REASONS)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    model = model_of(problem, data)
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    x = time_major(data.x)
    if problem.each_step:
        return _stepping(problem, session, x)
    feed = {"x": x} if data.lengths is None else {"x": x, "lengths": data.lengths.astype(np.int32)}

    def run():
        return session.run(None, feed)[0]

    return Peer(run, lambda: without_padding(problem, beside(run())))


def _stepping(problem, session, x):
    names, first = states_of(problem), x[:1]
    feed = {}

    def reset():
        feed.update((name, np.zeros((1, problem.B, problem.H), np.float32)) for name in names)

    def step(x_t=first):
        feed["x"] = x_t
        y, *states = session.run(None, feed)
        feed.update(zip(names, states, strict=True))
        return y

    def result():
        reset()
        return np.concatenate([beside(step(x_t[None])) for x_t in x], axis=1)

    reset()
    return Peer(step, result)
