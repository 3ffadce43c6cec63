"""The rules by which what is not managed stays out of reports."""

from __future__ import annotations

from typing import Any

import yaml

from config.rules import Rule, decide
from flowmaster.adopt import unmanaged
from flowmaster.adopt.write import stack_text
from flowmaster.compare.finding import Action, Change, Finding, FindingClass, ObjectRef

MARKS = {"at": "2026-11-25T00:00:00Z", "uid": "u"}
STACK = """\
config:
  flowmaster:cluster: {context: demo, namespace: shop}
  flowmaster:services: {}
"""
OWN = Rule.model_validate({"kind": "CronJob", "path": "", "class": "foreign", "action": "ignore", "why": "nightly"})


def foreign(kind: str, name: str, path: str = "") -> Finding:
    return Finding(FindingClass.FOREIGN, ObjectRef(kind, "shop", name), path, Change.ADDED, live="present")


def read(rules: list[dict[str, Any]]) -> list[Rule]:
    return [Rule.model_validate(rule) for rule in rules]


def test_each_object_gets_a_rule_that_is_about_it_alone() -> None:
    rules = read(unmanaged.rules([foreign("StatefulSet", "store"), foreign("Role", "a[b]*")], ()))
    for kind, name in (("StatefulSet", "store"), ("Role", "a[b]*")):
        assert decide(foreign(kind, name), rules) is Action.IGNORE
    for other in (foreign("StatefulSet", "store2"), foreign("Role", "ab"), foreign("Deployment", "store")):
        assert decide(other, rules) is Action.REPORT
    # what is managed later is compared as everything is
    assert decide(foreign("StatefulSet", "store", "spec.replicas"), rules) is Action.HEAL


def test_what_the_stack_ignores_already_needs_none() -> None:
    assert unmanaged.rules([foreign("CronJob", "nightly")], (OWN,)) == []


def test_those_of_an_adoption_before_are_made_anew() -> None:
    before = unmanaged.rules([foreign("StatefulSet", "store"), foreign("Job", "once")], (OWN,))
    again = unmanaged.rules([foreign("StatefulSet", "store")], (OWN, *read(before)))
    assert [(rule["kind"], rule["name"]) for rule in again] == [("StatefulSet", "store")]


def test_the_file_keeps_the_rules_of_others_with_their_comments() -> None:
    old = unmanaged.rules([foreign("Job", "once")], ())
    first = stack_text(
        STACK + "  flowmaster:rules:\n    # at night\n    - {kind: CronJob, action: report}\n", {}, MARKS, rules=old
    )
    new = unmanaged.rules([foreign("StatefulSet", "store")], ())
    text = stack_text(first, {}, MARKS, rules=new)
    assert "# at night" in text
    assert yaml.safe_load(text)["config"]["flowmaster:rules"] == [
        {"kind": "CronJob", "action": "report"},
        {
            "kind": "StatefulSet",
            "name": "store",
            "path": "",
            "class": "foreign",
            "action": "ignore",
            "why": "was there when the namespace was taken over",
        },
    ]


def test_a_namespace_where_all_is_managed_gets_no_rules() -> None:
    assert "rules" not in stack_text(STACK, {}, MARKS)
