"""`numbarnn info`: everything a report of a fault needs, for people and as JSON."""

import json
import platform

from numba.core import config

from numbarnn import info
from numbarnn.__main__ import main
from numbarnn.kernels import simd, store


def test_facts_as_json(capsys, monkeypatch):
    monkeypatch.setenv("NUMBARNN_FOR_THIS_TEST", "on")
    assert main(["info", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["packages"]["numba"] and facts["packages"]["numbarnn"]
    assert platform.python_version() in facts["python"]
    assert facts["cpu"]["target"] == simd.target().name
    assert facts["cpu"]["vector_bits"] == simd.target().vector_bits
    assert facts["threads"]["count"] == config.NUMBA_NUM_THREADS
    assert facts["cache"] == store.cache_info()
    assert facts["environment"]["NUMBARNN_FOR_THIS_TEST"] == "on"


def test_facts_as_text(capsys):
    assert main(["info"]) == 0
    lines = capsys.readouterr().out.splitlines()
    named = {line.split("  ")[0]: line.split("  ")[-1].strip() for line in lines}
    assert named["python"] == f"{platform.python_implementation()} {platform.python_version()}"
    assert named["cpu fma"] == ("yes" if simd.target().has_fma else "no")
    assert named["cache stamp"] == store.cache_info()["stamp"]


def test_layers_in_order_are_available():
    """The workqueue layer is part of Numba itself, so one is always there."""
    threads = info.collect()["threads"]
    assert "workqueue" in threads["layers_in_order"]
    for layer in threads["layers_in_order"]:
        assert threads[f"layer_{layer}"] == "available"


def test_absent_facts_are_named():
    text = info.render({"packages": {"rich": None}, "cache": {"failures": []}, "environment": {}})
    assert text.splitlines() == ["packages rich   none", "cache failures  none", "environment     none"]
