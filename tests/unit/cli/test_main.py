"""The command line itself: what a wrong call gets."""

from __future__ import annotations

import tomllib

import pytest

from config.load import ROOT
from flowmaster.cli.main import EXIT_ERROR, main


@pytest.mark.parametrize("words", [[], ["no-such-verb"], ["drift", "--no-such-option"], ["unlock", "word"]])
def test_a_wrong_call_is_an_error_and_no_verbs_own_answer(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == EXIT_ERROR
    said = capsys.readouterr()
    assert said.err.startswith("usage: flowmaster")
    assert said.err.splitlines()[-1].startswith("error: ")
    assert said.out == ""


def test_the_version_is_that_of_the_project(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert not ended.value.code
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert capsys.readouterr().out == f"flowmaster {project['version']}\n"


@pytest.mark.parametrize("seconds", ["x", "0.5", "-1", "nan", "inf"])
def test_a_time_that_is_none_is_named(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["drift", f"--watch={seconds}"])
    assert ended.value.code == EXIT_ERROR
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"error: argument --watch: {seconds!r}")
    assert "second" in said
    assert "_seconds" not in said


@pytest.mark.parametrize("verb", ["drift", "unlock", "status"])
def test_a_stack_that_is_not_there_is_named(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([verb, "--stack", "nope"]) == EXIT_ERROR
    assert capsys.readouterr().err.startswith("error: there is no stack 'nope'\nstacks of this project: demo\n")
