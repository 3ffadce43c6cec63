"""What this project relies on of Pulumi's command plugin, held against the one that is installed: official or built.

The program uses ``command:local:Command`` with ``create``, ``dir``, ``environment`` and ``logging``, and nothing else.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from components import nginx_check
from tests.contract.plugin import Plugin, running

TOKEN = "command:local:Command"
USED = {"create": "string", "dir": "string", "environment": "object", "logging": None}


@pytest.fixture(scope="module")
def plugin() -> Iterator[Plugin]:
    with running("command", TOKEN) as plugin:
        yield plugin


def inputs(create: str, **how: Any) -> dict[str, Any]:
    return {"create": create, "logging": "none", **how}


def test_the_program_uses_nothing_outside_of_this_contract() -> None:
    assert set(nginx_check.USED) == set(USED)


def test_the_schema_has_the_token_and_every_property_that_is_used(plugin: Plugin) -> None:
    resource = json.loads(plugin.schema())["resources"][TOKEN]
    for name, kind in USED.items():
        assert name in resource["inputProperties"]
        assert name not in resource.get("requiredInputs", [])
        if kind:
            assert resource["inputProperties"][name]["type"] == kind
    for name in ("stdout", "stderr"):
        assert resource["properties"][name]["type"] == "string"


def test_the_properties_that_are_used_are_taken(plugin: Plugin) -> None:
    assert plugin.check(inputs("true", dir="/", environment={"A": "b"})) == []


def test_create_runs_the_command_in_its_directory_with_its_environment(plugin: Plugin, tmp_path: Path) -> None:
    identity, state = plugin.create(
        inputs('pwd; echo "$GREETING"; echo no >&2', dir=str(tmp_path), environment={"GREETING": "good day"})
    )
    assert identity
    assert state["stdout"] == f"{tmp_path}\ngood day"
    assert state["stderr"] == "no"
    assert state["create"].startswith("pwd")


def test_the_environment_of_the_run_is_there_too(plugin: Plugin) -> None:
    _, state = plugin.create(inputs("echo ${PATH:+there}"))
    assert state["stdout"] == "there"


def test_a_command_that_fails_fails_the_update_with_what_it_said(plugin: Plugin) -> None:
    with pytest.raises(grpc.RpcError) as failed:
        plugin.create(inputs("echo location / answers 502; exit 3"))
    assert "exit status 3" in failed.value.details()
    assert "location / answers 502" in failed.value.details()


def test_a_preview_runs_nothing(plugin: Plugin, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    asked = inputs(f"touch {mark}")
    plugin.create(asked, preview=True)
    plugin.update({**asked, "stdout": "", "stderr": ""}, asked, inputs(f"touch {mark}; true"), preview=True)
    assert not mark.exists()


def test_nothing_changed_is_no_change(plugin: Plugin) -> None:
    asked = inputs("echo x", environment={"SITES": "1"})
    _, state = plugin.create(asked)
    assert plugin.diff(state, asked, asked) == (False, [])


def test_another_environment_is_an_update_that_runs_the_command_again(plugin: Plugin) -> None:
    asked, then = inputs("echo $SITES", environment={"SITES": "1"}), inputs("echo $SITES", environment={"SITES": "2"})
    _, state = plugin.create(asked)
    assert plugin.diff(state, asked, then) == (True, [])
    assert plugin.update(state, asked, then)["stdout"] == "2"


def test_removing_it_runs_nothing(plugin: Plugin, tmp_path: Path) -> None:
    mark = tmp_path / "count"
    _, state = plugin.create(inputs(f"echo run >>{mark}"))
    plugin.delete(state)
    assert mark.read_text() == "run\n"


def test_what_it_says_is_not_logged(plugin: Plugin) -> None:
    plugin.create(inputs("echo marker-of-output; echo marker-of-errors >&2"))
    assert "marker-of" not in plugin.said
