"""`flowmaster drift` from its options to its exit code."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from config.settings import Settings
from flowmaster.cli import drift as verb
from flowmaster.drift.engine import Exit, Report
from tests.unit.drift.server import Server


def options(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--stack", default="demo")
    verb.add_arguments(parser)
    return parser.parse_args(words)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch, demo: Settings) -> list[Report]:
    """The reports that the looks give, in turn; the last one again and again."""
    queue: list[Report] = []

    @contextmanager
    def connected(_settings: Settings) -> Iterator[None]:
        yield

    monkeypatch.setattr(verb, "_connected", connected)
    monkeypatch.setattr(verb, "_look", lambda *_: queue.pop(0) if len(queue) > 1 else queue[0])
    return queue


def test_the_exit_code_is_that_of_the_report(reports: list[Report], capsys: pytest.CaptureFixture[str]) -> None:
    server = Server()
    server.delete("Service/web")
    reports.append(server.report())
    assert verb.run(options()) == Exit.DRIFT
    assert "Service/web" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "begins"), [("json", "{"), ("markdown", "### Drift of demo")])
def test_the_other_formats(reports: list[Report], capsys: pytest.CaptureFixture[str], name: str, begins: str) -> None:
    reports.append(Server().report())
    assert verb.run(options("--format", name)) == Exit.CLEAN
    text = capsys.readouterr().out
    assert text.startswith(begins)
    if name == "json":
        assert json.loads(text)["exitCode"] == 0


def test_watching_shows_what_changes_and_ends_with_the_last_code(
    reports: list[Report], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Server()
    reports += [server.report(), server.report()]
    server.delete("Service/web")
    reports.append(server.report())
    slept: list[float] = []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr("time.sleep", sleep)
    assert verb.run(options("--watch", "2")) == Exit.DRIFT
    assert capsys.readouterr().out.count("namespace specimens") == 2
    assert slept == [2, 2, 2]


def test_it_does_not_look_more_than_once_a_second() -> None:
    with pytest.raises(SystemExit):
        options("--watch", "0.1")


def test_the_help_names_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        options("--help")
    text = capsys.readouterr().out
    codes: list[Any] = list(Exit)
    assert all(f"\n  {int(code)}  " in text for code in codes)
