"""What is said of a step that takes its time: on a terminal a line that goes again, elsewhere lines of a log."""

from __future__ import annotations

import io
import os
import pty
import select
import threading
import time

import pytest

from flowmaster.report import progress as module
from flowmaster.report.progress import progress
from flowmaster.report.screen import columns, console, show, table, text


def until(stream: io.StringIO, words: str) -> None:
    end = time.monotonic() + 10
    while words not in stream.getvalue():
        assert time.monotonic() < end, stream.getvalue()
        time.sleep(0.01)


def test_a_quick_step_says_nothing() -> None:
    stream = io.StringIO()
    with progress("reading", stream=stream):
        pass
    assert stream.getvalue() == ""


def test_a_slow_step_says_each_thing_once_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE", 0.02)
    monkeypatch.setattr(module, "EVERY", 0.02)
    stream = io.StringIO()
    with progress("reading", stream=stream) as say:
        until(stream, "reading ...\n")
        time.sleep(0.1)
        say("proving web")
        until(stream, "proving web ...\n")
    assert stream.getvalue() == "reading ...\nproving web ...\n"
    assert not [t for t in threading.enumerate() if t.name.startswith("progress")]


def test_a_slow_step_may_be_silent_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LATE", 0.0)
    stream = io.StringIO()
    with progress("reading", stream=stream, lines=False):
        time.sleep(0.05)
    assert stream.getvalue() == ""


def test_a_step_that_fails_ends_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    before = threading.active_count()
    with pytest.raises(ValueError, match="no"), progress("reading", stream=io.StringIO()):
        raise ValueError("no")
    assert threading.active_count() == before


def test_a_terminal_has_a_line_that_goes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "SOON", 0.0)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    master, slave = pty.openpty()
    seen = ""
    with os.fdopen(slave, "w") as stream:
        with progress("reading [web]", stream=stream):
            while "reading [web]" not in seen:
                assert select.select([master], [], [], 30)[0], seen
                seen += os.read(master, 65536).decode()
        stream.flush()
        while select.select([master], [], [], 0.2)[0]:
            seen += os.read(master, 65536).decode()
    os.close(master)
    assert "reading [web]" in seen
    # the line is erased, and the cursor shown again
    assert seen.rstrip().endswith("\x1b[2K")
    assert "\x1b[?25h" in seen


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_terminals_that_want_them(
    variables: dict[str, str], coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    for stream, expected in ((Terminal(), coloured), (io.StringIO(), False)):
        show(console(stream), [text("red", "bold red")])
        assert ("\x1b[" in stream.getvalue()) == expected
        assert "red" in stream.getvalue()


def test_a_pipe_is_as_wide_as_values_are_long_and_has_no_blanks_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    stream = io.StringIO()
    show(console(stream), [table([[[("a", "")], [("x" * 100, "")]], [[("bcd", "")], [("", "")]]]), ""])
    assert stream.getvalue() == f"a    {'x' * 100}\nbcd\n\n"


def test_a_narrow_terminal_wraps_and_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    stream = io.StringIO()
    show(console(stream), [table([[[("spec.template.spec", "")], [("日本語 [bold]", "")]]])])
    lines = stream.getvalue().splitlines()
    assert all(columns(line) <= 20 for line in lines)
    assert sorted("".join(stream.getvalue().split())) == sorted("spec.template.spec日本語[bold]")
