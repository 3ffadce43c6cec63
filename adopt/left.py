"""What is left alone: a rule for each object that was there and is not managed, so that no report tells of it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from glob import escape
from typing import Any

from drift.finding import Action, Finding, FindingClass
from drift.rules import Rule, decide

WHY = "was there when the namespace was taken over"


def rules(found: Iterable[Finding], before: Sequence[Rule]) -> tuple[Rule, ...]:
    """The stack's rules, with one for each foreign object of which they do not say already that it is ignored.

    Those of an adoption before are made anew: what is managed by now, or gone, needs none.
    """
    kept = tuple(rule for rule in before if rule.why != WHY)
    return kept + tuple(_rule(finding) for finding in found if decide(finding, kept) is not Action.IGNORE)


def _rule(finding: Finding) -> Rule:
    return Rule.model_validate(
        {
            "kind": finding.object.kind,
            "name": escape(finding.object.name),
            "path": "",
            "class": FindingClass.FOREIGN,
            "action": Action.IGNORE,
            "why": WHY,
        }
    )


def written(rules: Iterable[Rule]) -> list[dict[str, Any]]:
    """Those of the rules that an adoption makes, as the stack's file has them."""
    return [
        {**rule.model_dump(by_alias=True, mode="json", exclude_defaults=True), "class": FindingClass.FOREIGN.value}
        for rule in rules
        if rule.why == WHY
    ]
