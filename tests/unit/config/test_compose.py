"""What a stack may say of a compose project: one bad word, one message of three lines at most."""

from __future__ import annotations

from typing import Any

import pytest

from config import load
from config.compose import ComposeProject, Phase
from config.errors import MAX_LINES, ConfigError
from flowmaster.compose.translate import translate
from tests.unit.compose.projects import SURROUNDINGS

SOURCE: dict[str, Any] = {"files": {}, "services": {"backend": {"keys": {"image": "x"}}}}
BAD: dict[str, tuple[dict[str, Any], list[str]]] = {
    "no folder": ({"phase": "docker"}, ["folder", "a value is needed"]),
    "a folder that is none": ({"folder": "shop"}, ["folder", "'shop'"]),
    "a phase that is none": ({"folder": "/opt/shop", "phase": "moon"}, ["phase", "'docker', 'shadow', 'cluster'"]),
    "a phase with no source": ({"folder": "/opt/shop", "phase": "shadow"}, ["phase shadow", "flowmaster compose"]),
    "a check of no service": (
        {"folder": "/opt/shop", "source": SOURCE, "checks": {"backnd": "/"}},
        ["checks.backnd", "did you mean 'backend'?", "services: backend"],
    ),
    "an unknown key": ({"folder": "/opt/shop", "phse": "docker"}, ["'phse'", "did you mean 'phase'?"]),
    "an unknown key of the source": (
        {"folder": "/opt/shop", "source": SOURCE | {"service": {}}},
        ["source", "'service'", "did you mean 'services'?"],
    ),
    "a size that is none": ({"folder": "/opt/shop", "storage": {"size": "much"}}, ["storage.size", "'much'"]),
}


@pytest.mark.parametrize("case", BAD)
def test_a_bad_word_is_named(case: str) -> None:
    values, words = BAD[case]
    with pytest.raises(ConfigError) as caught:
        load.validate(ComposeProject, values, "Pulumi.demo.yaml")
    message = str(caught.value)
    assert [word for word in words if word not in message] == [], message
    assert len(message.splitlines()) <= MAX_LINES


def test_what_was_not_read_is_not_translated() -> None:
    project = ComposeProject(folder="/opt/shop")
    assert project.phase is Phase.DOCKER
    with pytest.raises(ConfigError, match=r"(?s)has no source yet.*flowmaster compose shop"):
        translate("shop", project, SURROUNDINGS)


def test_secrets_are_not_shown() -> None:
    project = ComposeProject.model_validate({"folder": "/opt/shop", "sealed": {"a.KEY": "hush-hush"}})
    assert "hush-hush" not in repr(project)
