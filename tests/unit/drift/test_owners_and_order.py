"""Owner references by hand, and variables in an order that changes what they are."""

from __future__ import annotations

from typing import Any

import pytest

from config.rules import Rule
from flowmaster.compare.finding import Action, Finding
from flowmaster.report.values import line
from tests.unit.drift.server import CONTAINER, NOW, Server, named
from tests.unit.drift.test_table import DRIFT, FOREIGN, MAIN, WEB, env


def owner_reference(name: str, **further: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": f"uid-of-{name}", **further}


def owned(server: Server, *references: dict[str, Any], manager: str = "kubectl-patch") -> None:
    for reference in references:
        server.set(WEB, ("metadata", "ownerReferences", named(reference["uid"], "uid")), reference, manager)


def test_an_owner_reference_set_by_hand_is_foreign_and_says_what_would_happen() -> None:
    server = Server()
    server.create({"kind": "ConfigMap", "metadata": {"name": "stray", "uid": "uid-of-stray", "ownerReferences": [{}]}})
    owned(server, owner_reference("stray"))
    [finding] = server.findings()
    assert (finding.cls, str(finding.object), finding.action) == (FOREIGN, WEB, Action.HEAL)
    assert finding.path == "metadata.ownerReferences[uid-of-stray]"
    assert finding.manager == "kubectl-patch"
    assert finding.note == "this Deployment is deleted with ConfigMap/stray"
    assert ": ConfigMap/stray (by kubectl-patch, 1 h ago): up removes it; this Deployment" in line(finding, NOW)


def test_an_owner_that_is_not_there_and_several_owners_are_said() -> None:
    server = Server()
    owned(server, owner_reference("gone"))
    [finding] = server.findings()
    assert finding.note == "there is no ConfigMap/gone of this uid: Kubernetes deletes this Deployment as an orphan"
    owned(server, owner_reference("other"))
    notes = {finding.note for finding in server.findings()}
    assert "Kubernetes deletes this Deployment once ConfigMap/gone and its 1 other owner are deleted" in notes


@pytest.mark.parametrize(
    ("manager", "controller", "known"),
    [
        ("kubectl-patch", None, False),
        ("kubectl-edit", True, False),
        ("backup-tool", None, False),
        ("web-operator", True, True),
        ("kube-controller-manager", None, True),
        ("k3s", None, True),
    ],
)
def test_an_owner_reference_that_a_controller_set_is_its_own(
    manager: str, controller: bool | None, known: bool
) -> None:
    server = Server()
    owned(server, owner_reference("settings", **({"controller": True} if controller else {})), manager=manager)
    assert (server.findings() == []) == known


def test_a_rule_keeps_an_owner_reference() -> None:
    server = Server()
    server.rules = (Rule(path="metadata.ownerReferences", manager="backup-tool", action=Action.REPORT),)
    owned(server, owner_reference("settings"), manager="backup-tool")
    assert [finding.action for finding in server.findings()] == [Action.REPORT]


def with_env(server: Server, declared: list[tuple[str, str]], live: list[tuple[str, str]]) -> list[Finding]:
    """The findings where one order of variables is declared and applied, another one live."""
    for body in (server.live.objects[next(r for r in server.live.objects if str(r) == WEB)],):
        body["spec"]["template"]["spec"]["containers"][0]["env"] = [env(*pair) for pair in live]
    ours = [env(*pair) for pair in declared]
    server.program(WEB, (*CONTAINER, "env"), ours)
    server.applied[next(r for r in server.applied if str(r) == WEB)]["spec"]["template"]["spec"]["containers"][0][
        "env"
    ] = ours
    return server.findings()


HOST, PLAIN, URL = ("HOST", "db"), ("PLAIN", "1"), ("URL", "tcp://$(HOST):1")


def test_variables_in_an_order_in_which_a_reference_no_longer_expands_are_drift() -> None:
    [finding] = with_env(Server(), [HOST, PLAIN, URL], [URL, HOST, PLAIN])
    assert (finding.cls, finding.path, finding.action) == (DRIFT, f"{MAIN}.env", Action.HEAL)
    assert finding.note == "$(HOST) in URL is not expanded: HOST comes after it"
    assert [part["name"] for part in finding.live] == ["URL", "HOST", "PLAIN"]


@pytest.mark.parametrize(
    ("declared", "live"),
    [
        ([HOST, PLAIN, URL], [PLAIN, HOST, URL]),
        ([HOST, URL, PLAIN], [PLAIN, HOST, URL]),
        ([HOST, ("URL", "$$(HOST)")], [("URL", "$$(HOST)"), HOST]),
        ([HOST, ("URL", "$(ELSEWHERE)")], [("URL", "$(ELSEWHERE)"), HOST]),
        ([("PATH", "$(PATH):/x"), HOST], [HOST, ("PATH", "$(PATH):/x")]),
    ],
)
def test_variables_in_another_order_that_means_the_same_are_no_finding(
    declared: list[tuple[str, str]], live: list[tuple[str, str]]
) -> None:
    assert with_env(Server(), declared, live) == []


def test_a_reference_that_begins_to_expand_is_drift_too() -> None:
    [finding] = with_env(Server(), [URL, HOST], [HOST, URL])
    assert (finding.cls, finding.note) == (DRIFT, "")
