"""Progress appears on long work only, on standard error; colour appears where rich meets a terminal."""

import importlib.util
import io

import pytest

from numbarnn import terminal

BATCHES = [["a", "b"], ["c"], ["d", "e", "f"]]


class Screen(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def long_work(monkeypatch):
    monkeypatch.setattr(terminal, "QUIET_SECONDS", 0.0)


@pytest.mark.parametrize("stream", [io.StringIO, Screen])
def test_short_work_is_silent(stream):
    stream = stream()
    assert list(terminal.track(BATCHES, "words", stream)) == BATCHES
    assert stream.getvalue() == ""


def test_long_work_in_plain_lines(long_work):
    stream = io.StringIO()
    assert list(terminal.track(BATCHES, "words", stream)) == BATCHES
    assert stream.getvalue() == "words: 2 of 6 (33%)\nwords: 3 of 6 (50%)\nwords: 6 of 6 (100%)\n"


def test_long_work_on_a_screen(long_work):
    pytest.importorskip("rich", reason="the bar is drawn by rich, the extra `cli`")
    stream = Screen()
    assert list(terminal.track(BATCHES, "words", stream)) == BATCHES
    assert "6/6" in stream.getvalue()
    assert "words: " not in stream.getvalue()


def test_a_bar_given_up_halfway_is_taken_down(long_work):
    pytest.importorskip("rich", reason="the bar is drawn by rich, the extra `cli`")
    stream = Screen()
    batches = terminal.track(BATCHES, "words", stream)
    next(batches), next(batches)
    batches.close()
    hide_cursor, show_cursor = "\x1b[?25l", "\x1b[?25h"
    assert 0 <= stream.getvalue().rfind(hide_cursor) < stream.getvalue().rfind(show_cursor)


def test_progress_goes_to_standard_error(long_work, capsys):
    list(terminal.track(BATCHES, "words"))
    out, err = capsys.readouterr()
    assert out == "" and "6 of 6" in err


def test_lines(monkeypatch):
    pytest.importorskip("rich", reason="colour comes from rich, the extra `cli`")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen, pipe, bare = Screen(), io.StringIO(), Screen()
    terminal.write("[42] one", "cyan", screen)
    terminal.write("[42] one", "cyan", pipe)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    terminal.write("[42] one", "cyan", bare)
    assert "[42] one" in screen.getvalue() and "\x1b[36m" in screen.getvalue()
    assert pipe.getvalue() == bare.getvalue() == "[42] one\n"


def test_a_table(monkeypatch):
    """In columns for a pipe, in a frame by rich; brackets are text."""
    pytest.importorskip("rich", reason="frames come from rich, the extra `cli`")
    monkeypatch.setenv("TERM", "xterm")
    screen, pipe, bare = Screen(), io.StringIO(), Screen()
    title, rows = ["what", "s"], [["[red] a", "1.25"], ["b", "10.50"]]
    terminal.table(title, rows, screen)
    terminal.table(title, rows, pipe)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    terminal.table(title, rows, bare)
    assert pipe.getvalue() == bare.getvalue() == "what         s\n[red] a   1.25\nb        10.50\n"
    assert all(word in screen.getvalue() for word in ("[red] a", "10.50", "│"))
