"""A program that sets a field again and again: undone once, then told with its name and left until a rule decides."""

from __future__ import annotations

import json
from typing import Any

import pytest

from config.rules import Rule
from flowmaster.cluster.normalise import HEALED_FROM
from flowmaster.compare.finding import ABSENT, Action, Finding
from flowmaster.compare.path import Key
from flowmaster.drift.objects import reference
from flowmaster.heal.kept_fields import writers_annotation
from tests.unit.drift.server import CONTAINER, NAMESPACE, Server, named, ref
from tests.unit.drift.test_table import MAIN, WEB, env
from tests.unit.heal.updates import plan_of, update

LEVEL = (*CONTAINER, "env", named("LOG_LEVEL"), "value")
ADDED = (*CONTAINER, "env", named("INJECTED"))
REPEATED = "set it again after up had undone it: a rule has to say who is right"


def up(server: Server) -> list[str]:
    """Update, and remember whose values were undone, as the program does; returns the fields that were."""
    last = dict(server.applied)
    todo = update(server)
    for found, body in server.applied.items():
        writers = todo.steps[found].writers if found in todo.steps else ()
        if text := writers_annotation(last.get(found), writers):
            for noted in (body, *(each for each in server.declared if reference(each, NAMESPACE) == found)):
                noted["metadata"].setdefault("annotations", {})[HEALED_FROM] = text
    return [path for step in todo.steps.values() for path in step.paths]


def meddle(server: Server, manager: str = "meddler", path: tuple[Any, ...] = LEVEL, value: Any = "debug") -> None:
    server.set(WEB, path, value, manager)


def only(server: Server) -> Finding:
    [finding] = server.findings()
    return finding


@pytest.mark.parametrize(
    ("path", "value", "text"),
    [(LEVEL, "debug", f"{MAIN}.env[LOG_LEVEL].value"), (ADDED, env("INJECTED", "1"), f"{MAIN}.env[INJECTED]")],
    ids=["changed", "added"],
)
def test_a_program_that_sets_it_again_is_named_and_left(path: tuple[Any, ...], value: Any, text: str) -> None:
    server = Server()
    meddle(server, path=path, value=value)
    assert only(server).action is Action.HEAL
    assert up(server) == [text]
    assert server.findings() == []
    meddle(server, path=path, value=value)
    finding = only(server)
    assert (finding.path, finding.action, finding.manager) == (text, Action.REPORT, "meddler")
    assert finding.note == f"meddler has {REPEATED}"
    assert server.report().exit_code == 4
    assert up(server) == []
    assert only(server).action is Action.REPORT


@pytest.mark.parametrize("action", [Action.HEAL, Action.IGNORE])
def test_a_rule_decides(action: Action) -> None:
    server = Server()
    meddle(server)
    up(server)
    meddle(server)
    server.rules = (Rule(manager="meddler", path="spec", action=action),)
    assert [finding.action for finding in server.findings()] == ([Action.HEAL] if action is Action.HEAL else [])
    assert bool(up(server)) == (action is Action.HEAL)


def test_a_person_and_another_program_are_undone_each_time() -> None:
    server = Server()
    for manager in ("kubectl-edit", "kubectl-edit", "meddler", "other-meddler"):
        meddle(server, manager)
        assert up(server) == [f"{MAIN}.env[LOG_LEVEL].value"], manager


def test_what_the_program_changes_meanwhile_is_written_all_the_same() -> None:
    server = Server()
    meddle(server)
    up(server)
    meddle(server)
    server.program(WEB, LEVEL, "warn")
    assert (only(server).cls, only(server).action) == ("conflict", Action.HEAL)


def test_what_has_no_name_is_a_webhook_where_something_was_added() -> None:
    server = Server()
    for _ in range(2):
        meddle(server, path=ADDED, value=env("INJECTED", "1"))
        entries = server.live.objects[ref(WEB)]["metadata"]["managedFields"]
        entries[:] = [entry for entry in entries if entry["manager"] != "meddler"]
        finding = only(server)
        up(server)
    assert finding.note == f"a webhook, or a program without a name, has {REPEATED}"


def test_what_was_removed_twice_is_added_twice() -> None:
    server = Server()
    for _ in range(2):
        meddle(server, path=(*CONTAINER, "env", named("LOG_LEVEL")), value=ABSENT)
        assert up(server) == [f"{MAIN}.env[LOG_LEVEL]"]


def test_another_field_that_is_undone_does_not_forget_who_set_the_first() -> None:
    server = Server()
    meddle(server)
    up(server)
    server.set(WEB, ("metadata", "labels", Key("team")), "blue", "other")
    up(server)
    meddle(server)
    assert only(server).action is Action.REPORT
    assert plan_of(server).steps == {}


def test_few_fields_of_an_object_are_remembered_the_latest() -> None:
    last: dict[str, Any] = {"metadata": {"annotations": {}}}
    for number in range(30):
        text = writers_annotation(last, [(f"data[{number}]", "meddler")])
        last["metadata"]["annotations"][HEALED_FROM] = text
    assert list(json.loads(text)) == [f"data[{number}]" for number in range(10, 30)]
    assert writers_annotation(last, ()) == text
    assert writers_annotation({"metadata": {}}, ()) == ""
    broken = {"metadata": {"annotations": {HEALED_FROM: "no JSON"}}}
    assert writers_annotation(broken, [("data[a]", "")]) == '{"data[a]": ""}'
