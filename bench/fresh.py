"""Fresh processes with an empty cache and with a filled one."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path


def reports(script, rounds):
    """What processes that run a script of this folder report in JSON: lists by "cold" and "warm". Of each two
    in one directory, the first finds it empty.
    """
    found = {"cold": [], "warm": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as directory:
            for cache in found:
                found[cache].append(_report(script, directory))
    return found


def _report(script, directory):
    """The report of one process that keeps compiled functions in `directory`."""
    environment = {name: value for name, value in os.environ.items() if name != "NUMBARNN_CACHE"}
    done = subprocess.run(
        [sys.executable, str(Path(__file__).with_name(script))],
        env=environment | {"NUMBARNN_CACHE_DIR": directory},
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)
