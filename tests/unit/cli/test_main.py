"""The command line itself: what a wrong call gets."""

from __future__ import annotations

import pytest

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
