"""Start a script of this folder in a process of its own, and read the JSON it prints."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT_SECONDS = 200  # a standstill ends the test; no process needs a tenth of it


def environment(**variables):
    """This process's environment with `variables` set; those that are None are taken out.

    The library of the tbb layer, installed by pip, lies where the system's loader does not look.
    """
    given = dict(os.environ)
    if variables.get("NUMBA_THREADING_LAYER") == "tbb":
        given["LD_LIBRARY_PATH"] = os.pathsep.join([f"{sys.prefix}/lib", given.get("LD_LIBRARY_PATH", "")])
    given |= variables
    return {name: value for name, value in given.items() if value is not None}


def finished(script, *arguments, cwd=None, **variables):
    """The ended process. Skips where this machine lacks the threading layer asked for."""
    command = [sys.executable, "-W", "error", Path(__file__).parent / script, *arguments]
    done = subprocess.run(
        command, env=environment(**variables), cwd=cwd, capture_output=True, text=True, timeout=LIMIT_SECONDS
    )
    if "No threading layer could be loaded" in done.stderr:
        pytest.skip(f"the threading layer {variables['NUMBA_THREADING_LAYER']!r} is not installed here")
    return done


def printed(script, *arguments, **variables):
    """The JSON that the script prints; it must end well and say nothing on stderr. (On stdout Numba itself
    may remark that it cannot stop the threads of tbb before a fork; such a line, blank or not, may come after
    ours.)
    """
    done = finished(script, *arguments, **variables)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    ours = [line for line in done.stdout.splitlines() if line.startswith(("{", "["))]
    assert len(ours) == 1, done.stdout
    return json.loads(ours[0])
