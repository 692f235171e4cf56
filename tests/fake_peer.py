"""A peer for a child process that needs no library: it says where it runs and what it was told."""

import os
import time

from numbarnn.benchmarks.peers import Peer

SECONDS = 0.002


def prepare(problem, data, threads):
    print("a library that prints")
    if problem.T == 13:
        raise ValueError("thirteen steps are too many")

    def run():
        time.sleep(SECONDS)

    def result():
        told = {"process": os.getpid(), "threads": threads, "FAKE": os.environ["FAKE"], "sum": data.x.sum()}
        if hasattr(os, "sched_getaffinity"):
            told["processors"] = os.sched_getaffinity(0)
        return told

    return Peer(run, result)
