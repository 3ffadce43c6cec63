"""Rules: who may change what."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from config.rules import Rule, decide
from flowmaster.compare.finding import Action, Finding, FindingClass, ObjectRef
from tests.unit.drift.server import CONTAINER, Server, named

WEB = ObjectRef("Deployment", "flowmaster", "web")


def finding(
    cls: FindingClass = FindingClass.DRIFT, path: str = "spec.replicas", manager: str | None = "kubectl"
) -> Finding:
    return Finding(cls, WEB, path, manager=manager)


@pytest.mark.parametrize(
    ("cls", "path", "action"),
    [
        (FindingClass.DRIFT, "spec.replicas", Action.HEAL),
        (FindingClass.CONFLICT, "spec.replicas", Action.HEAL),
        (FindingClass.PENDING, "spec.replicas", Action.HEAL),
        (FindingClass.FOREIGN, "metadata.labels[x]", Action.HEAL),
        (FindingClass.FOREIGN, "", Action.REPORT),
        (FindingClass.UNHEALTHY, "pods", Action.REPORT),
        (FindingClass.STALE, "pods", Action.REPORT),
        (FindingClass.UNKNOWN, "", Action.REPORT),
    ],
)
def test_without_rules(cls: FindingClass, path: str, action: Action) -> None:
    assert decide(finding(cls, path)) is action


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        ({}, True),
        ({"kind": "Deployment"}, True),
        ({"kind": "Service"}, False),
        ({"name": "w*"}, True),
        ({"name": "x*"}, False),
        ({"path": "spec"}, True),
        ({"path": "spec.*"}, True),
        ({"path": ""}, False),
        ({"manager": "kube*"}, True),
        ({"manager": "helm"}, False),
        ({"class": "drift"}, True),
        ({"class": ["foreign", "pending"]}, False),
        ({"when": "autoscaled"}, False),
        ({"kind": "Deployment", "manager": "helm"}, False),
    ],
)
def test_a_rule_matches_if_all_that_it_says_does(rule: dict[str, object], matches: bool) -> None:
    assert Rule.model_validate({"action": "ignore", **rule}).matches(finding()) is matches


def test_the_first_rule_that_matches_decides() -> None:
    rules = [Rule(name="web", action=Action.REPORT), Rule(action=Action.IGNORE)]
    assert decide(finding(), rules) is Action.REPORT


def test_a_rule_of_the_stack_comes_before_the_defaults() -> None:
    path = "spec.template.metadata.annotations[kubectl.kubernetes.io/restartedAt]"
    foreign = finding(FindingClass.FOREIGN, path)
    assert decide(foreign) is Action.IGNORE
    assert decide(foreign, [Rule(path=path, action=Action.REPORT)]) is Action.REPORT


def test_ill_health_cannot_be_healed() -> None:
    assert decide(finding(FindingClass.UNHEALTHY), [Rule(action=Action.HEAL)]) is Action.REPORT


def test_foreign_objects_can_be_deleted_by_a_rule() -> None:
    assert decide(finding(FindingClass.FOREIGN, ""), [Rule(path="", action=Action.HEAL)]) is Action.HEAL


def test_a_rule_that_names_a_manager_does_not_match_where_nobody_is_known() -> None:
    assert not Rule(manager="*", action=Action.IGNORE).matches(finding(manager=None))


@pytest.mark.parametrize("wrong", [{"actoin": "heal"}, {"action": "delete"}, {"action": "heal", "class": "drfit"}])
def test_a_rule_is_checked(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Rule.model_validate(wrong)


def test_a_rule_works_on_a_whole_report() -> None:
    server = Server()
    server.set("Deployment/web", (*CONTAINER, "env", named("NEW")), {"name": "NEW", "value": "1"}, "otel-operator")
    server.set("Deployment/web", (*CONTAINER, "image"), "localhost:30500/x:1", "kubectl-set")
    server.rules = (Rule(path="**.env", manager="otel-*", action=Action.IGNORE, why="injected"),)
    report = server.report()
    assert [found.path.rpartition(".")[2] for found in report.findings] == ["image"]
    assert report.ignored == Server().report().ignored + 1
