"""Rules for unmanaged objects found at adoption, so that reports do not list them as foreign."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from glob import escape
from typing import Any

from config.rules import Rule, decide
from flowmaster.compare.finding import Action, Finding

WHY = "was there when the namespace was taken over"


def rules(found: Iterable[Finding], before: Sequence[Rule]) -> list[dict[str, Any]]:
    """Return an ignore rule, as in the stack file, for each foreign object that no rule ignores yet.

    Those of an adoption before count for nothing: all are made anew, and what is managed by now, or gone, needs none.
    """
    own = [rule for rule in before if rule.why != WHY]
    return [_rule(finding) for finding in found if decide(finding, own) is not Action.IGNORE]


def _rule(finding: Finding) -> dict[str, Any]:
    about = {"kind": finding.object.kind, "name": escape(finding.object.name), "path": ""}
    return {**about, "class": "foreign", "action": "ignore", "why": WHY}
