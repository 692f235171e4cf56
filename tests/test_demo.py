"""`numbarnn demo`: the trained network says known words, alone or in company, and the command obeys."""

import importlib.util
import io
import json
import subprocess
import sys

import pytest

from numbarnn import demo
from numbarnn.__main__ import main

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("g2p_en") is None,
    reason="the trained weights are in the package g2p-en; `make test` installs it",
)

SAID_BY_G2P_EN = {  # by g2p_en.G2p().predict of version 2.1.0
    "a": "AA1",
    "aren't": "AA1 R AH0 N T",
    "beautiful": "B Y UW1 T AH0 F AH0 L",
    "numba": "N AH1 M B AH0",
    "o'clock": "OW1 K L AA2 K",
    "python": "P AY1 TH AH0 N",
    "readability": "R IY2 AH0 D AE1 B AH0 L AY0 T IY0",
    "x": "EH1 K S",
}


@pytest.fixture(scope="module")
def model():
    return demo.load_model()


def run_json(capsys, *arguments):
    assert main(["demo", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@needs_model
@pytest.mark.parametrize("speaker", [demo.Batched, demo.PlainLoop])
def test_known_words(model, speaker):
    spoken = speaker(model)(list(SAID_BY_G2P_EN))
    assert [" ".join(phonemes) for phonemes in spoken] == list(SAID_BY_G2P_EN.values())


@needs_model
def test_company_changes_nothing(model):
    """Long and short words in one batch, in another order, and each alone."""
    words = ["internationalization", "a", "supercalifragilisticexpialidocious", "of", "implementation"]
    batched = demo.Batched(model)
    assert batched(words) == [batched([word])[0] for word in words]
    assert batched(words[::-1]) == batched(words)[::-1]
    assert batched([]) == []


@needs_model
def test_speech_stops_at_the_limit(model):
    word = "pneumonoultramicroscopicsilicovolcanoconiosis"
    (spoken,) = demo.Batched(model)([word])
    assert len(spoken) == demo.MAX_PHONEMES
    assert spoken == demo.PlainLoop(model).pronounce(word)


@needs_model
def test_default_text_as_json(capsys):
    report = run_json(capsys)
    assert set(report) == {
        *("words", "not_pronounced", "different", "identical"),
        *("words_per_second", "plain_words_per_second", "first_call_seconds"),
    }
    assert report["words"]["beautiful"] == SAID_BY_G2P_EN["beautiful"].split()
    assert len(report["words"]) == 85
    assert {phoneme for spoken in report["words"].values() for phoneme in spoken} <= set(demo.PHONEMES[4:])
    assert report["identical"] == 1 and report["different"] == [] and report["not_pronounced"] == []
    assert min(report["words_per_second"], report["plain_words_per_second"]) > 0


@needs_model
def test_more_words_than_a_batch(capsys, monkeypatch):
    monkeypatch.setattr(demo, "BATCH", 7)
    in_sevens = run_json(capsys)["words"]
    monkeypatch.undo()
    assert in_sevens == run_json(capsys)["words"]


@needs_model
def test_lines_stand_above_their_phonemes(capsys):
    assert main(["demo", "Python, 3 times.\n\nA мир"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "Python, 3 times."
    assert lines[1].strip().startswith("P AY1 TH AH0 N | [3] | ")
    assert lines[2:5] == ["", "A мир", "    AA1 | [мир]"]
    assert "2 not pronounced" in lines[6]
    assert any(line.startswith("identical") and line.endswith("3 of 3 words") for line in lines)


@needs_model
@pytest.mark.parametrize("way", ["argument", "file", "standard input"])
def test_text_comes_from(way, capsys, monkeypatch, tmp_path):
    text = "\ufeffCafé, CAFÉ and x"
    if way == "argument":
        arguments = [text[1:]]
    elif way == "file":
        (tmp_path / "words.txt").write_text(text, encoding="utf-8")
        arguments = ["--file", str(tmp_path / "words.txt")]
    else:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        arguments = ["-"]
    assert list(run_json(capsys, *arguments)["words"]) == ["cafe", "and", "x"]


@needs_model
@pytest.mark.parametrize("text", ["", " \n\n", "42 -- ?!"])
def test_no_words(text, capsys):
    assert run_json(capsys, text)["words"] == {}
    assert main(["demo", text]) == 0
    assert "No words to pronounce." in capsys.readouterr().out


@needs_model
def test_a_reader_that_leaves_is_no_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "numbarnn", "demo", "x"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    with process:
        assert process.stderr.read() == b""
    assert process.returncode == 1


@needs_model
def test_weights_are_read_without_importing_their_package(model):
    assert model["enc_w_ih"].shape[0] == 3 * model["enc_w_hh"].shape[1]
    assert "g2p_en" not in sys.modules


def test_without_the_weights(capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["demo", "hello"]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert "g2p-en" in err and "make demo" in err and "pip install --no-deps g2p-en" in err


@pytest.mark.parametrize(
    "arguments",
    [["--frobnicate"], ["one", "two"], ["one", "--file", "two"], ["--file", "no/such/file"], ["--file"]],
    ids=" ".join,
)
def test_wrong_usage_exits_2(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["demo", *arguments])
    assert stop.value.code == 2
    assert capsys.readouterr().err.startswith("usage: numbarnn")


def test_a_file_that_is_no_text(capsys, tmp_path):
    (tmp_path / "noise").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(SystemExit) as stop:
        main(["demo", "--file", str(tmp_path / "noise")])
    assert stop.value.code == 2
    assert "cannot read" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("line", "pairs"),
    [
        ("Isn’t it?", [("Isn’t", "isn't"), ("it", "it")]),
        ("'quoted' one--two", [("quoted", "quoted"), ("one", "one"), ("two", "two")]),
        (
            "snake_case naïve nai\u0308ve",
            [("snake", "snake"), ("case", "case"), ("naïve", "naive"), ("nai\u0308ve", "naive")],
        ),
        ("3rd straße", [("3rd", None), ("straße", None)]),
        ("...", []),
    ],
)
def test_split(line, pairs):
    assert demo.split(line) == pairs


def test_default_text_is_silent(capsys):
    assert demo.default_text().startswith("The Zen of Python, by Tim Peters")
    assert capsys.readouterr().out == ""
