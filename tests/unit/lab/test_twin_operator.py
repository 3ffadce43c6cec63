"""The operator's copies follow the project's files until somebody changes them; their limits fit the machine."""

from pathlib import Path

import pytest
import yaml

from config.stack import Cluster
from lab.twin import operator


def settings(monkeypatch: pytest.MonkeyPatch, patience: str) -> dict[str, object]:
    monkeypatch.setenv("FLOWMASTER_PATIENCE", patience)
    document = yaml.safe_load(operator._settings("encryptionsalt: v1:abc\n"))
    assert document["encryptionsalt"] == "v1:abc"
    found: dict[str, object] = document["config"]["flowmaster:cluster"]
    return found


def test_a_slow_machine_has_longer_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = settings(monkeypatch, "1")
    assert settings(monkeypatch, "8") == {**usual, "requestTimeout": 80, "rolloutTimeout": 960}


def test_the_limits_are_those_that_the_program_has() -> None:
    usual = Cluster(context="any", namespace="any")
    expected = {"requestTimeout": usual.request_timeout, "rolloutTimeout": usual.rollout_timeout}
    assert expected == operator._LIMITS


def test_a_copy_follows_until_somebody_changes_it(tmp_path: Path) -> None:
    copy = tmp_path / "catalogue.yaml"
    operator._follow("first\n", copy)
    operator._follow("second\n", copy)
    assert copy.read_text() == "second\n"
    copy.write_text("by hand\n")
    operator._follow("third\n", copy)
    assert copy.read_text() == "by hand\n"
