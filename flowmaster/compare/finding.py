"""A finding: one difference, where it is, who made it and when, and what the next update does about it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Final


class Mark(Enum):
    """Marker values that cannot occur in data."""

    ABSENT = "absent"
    OPAQUE = "opaque"

    def __repr__(self) -> str:
        return self.value


ABSENT: Final = Mark.ABSENT
"""The field does not exist."""
OPAQUE: Final = Mark.OPAQUE
"""The field exists, but its value cannot be read (it is encrypted)."""


class FindingClass(StrEnum):
    """Classes of findings, most urgent first."""

    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    DRIFT = "drift"
    FOREIGN = "foreign"
    UNHEALTHY = "unhealthy"
    STALE = "stale"
    PENDING = "pending"

    @property
    def rank(self) -> int:
        """Urgency: 0 comes first."""
        return _RANK[self]

    @property
    def meaning(self) -> str:
        """One line that describes the class."""
        return _MEANING[self]


_MEANING = {
    FindingClass.UNKNOWN: "could not be read, so its state is unknown",
    FindingClass.CONFLICT: "changed on the server and in the program",
    FindingClass.DRIFT: "changed on the server",
    FindingClass.FOREIGN: "on the server, but not declared",
    FindingClass.UNHEALTHY: "as declared, but not working",
    FindingClass.STALE: "runs an older version than its name refers to now",
    FindingClass.PENDING: "changed in the program, not yet applied",
}
_RANK = {cls: rank for rank, cls in enumerate(FindingClass)}


class Action(StrEnum):
    """What to do about a finding, as decided by rules."""

    HEAL = "heal"
    REPORT = "report"
    IGNORE = "ignore"


class Change(StrEnum):
    """How live and declared state differ. STATE is not a field: failing pods, a tag that moved."""

    CHANGED = "changed"
    MISSING = "missing"
    ADDED = "added"
    STATE = "state"


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """The object of a finding. An empty namespace means that it has none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference between the desired state (`declared`) and the live one.

    Values of secrets are masked before; `secret` says so. `revision` changes with a masked value and reveals nothing
    about it. `conditions` are words that rules can match.
    """

    cls: FindingClass
    object: ObjectRef
    path: str = ""
    change: Change = Change.CHANGED
    live: Any = ABSENT
    declared: Any = ABSENT
    manager: str | None = None
    when: datetime | None = None
    action: Action = Action.REPORT
    secret: bool = False
    note: str = ""
    revision: str = ""
    conditions: frozenset[str] = frozenset()

    @property
    def sort_key(self) -> tuple[int, ObjectRef, str]:
        """Urgency, then object, then field."""
        return (self.cls.rank, self.object, self.path)

    @property
    def heals(self) -> bool:
        """Whether the next `up` changes the server because of this finding."""
        return self.action is Action.HEAL or (self.cls is FindingClass.PENDING and self.action is not Action.IGNORE)

    def with_action(self, action: Action) -> Finding:
        """Return a copy with another action."""
        return replace(self, action=action)


ALLOCATED = "allocated"
"""Condition: the server allocated the value. It is not declared, but others may rely on the previous one."""

ENDING = "ending"
"""Condition: the object is being deleted."""

LEFT = "left"
"""Condition: `up` does not write what differs, whatever a rule says: a controller makes it, such as a pod, or it stands
in a file of nginx that is not a declared site's."""


def consequence(finding: Finding, declared: str = "") -> str:
    """Describe what the next `up` does about a finding; `declared` is the value to name."""
    if finding.action is Action.IGNORE:
        return "ignored by a rule"
    if finding.heals and finding.cls is not FindingClass.UNKNOWN:
        return _change_made(finding, declared)
    return _REPORTED.get(finding.cls, "up leaves it; reported only")


def _change_made(finding: Finding, declared: str) -> str:
    whole = not finding.path
    for condition, phrase in _WITH_CONDITION.items():
        if condition in finding.conditions:
            return phrase
    if finding.change is Change.STATE:
        return "up reloads it"
    if finding.change is Change.ADDED:
        return "up deletes it" if whole else "up removes it"
    if finding.change is Change.MISSING:
        again = "" if finding.cls is FindingClass.PENDING else " again"
        return f"up creates it{again}" if whole else f"up adds it{again}"
    if declared:
        return f"up sets {declared}"
    return "up sets the declared value" if finding.cls is FindingClass.PENDING else "up sets it back"


_WITH_CONDITION = {
    ALLOCATED: "up records it",
    ENDING: "up waits until it is gone, then creates it again",
}
_REPORTED = {
    FindingClass.UNKNOWN: "not compared",
    FindingClass.FOREIGN: "kept; reported only",
    FindingClass.UNHEALTHY: "up does not change it",
    FindingClass.STALE: "up does not change it",
}


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Sort findings by urgency, then by object and field."""
    return sorted(findings, key=lambda finding: finding.sort_key)


_LIVE_STATE = frozenset({FindingClass.CONFLICT, FindingClass.DRIFT, FindingClass.FOREIGN, FindingClass.PENDING})


def identity(finding: Finding) -> str:
    """Return what identifies a finding in an approval: everything but manager, time and note."""
    parts = (finding.cls, finding.object, finding.path, finding.change, finding.action, finding.revision)
    return repr((*map(str, parts), finding.object.namespace, finding.live, finding.declared))


def fingerprint(findings: Iterable[Finding]) -> str:
    """Return a short hash of a set of findings: the same live state and program give the same hash.

    Only differences count. Restarted pods and moved tags do not change what an update does.
    """
    digest = hashlib.sha256()
    counted = (finding for finding in findings if finding.cls in _LIVE_STATE and LEFT not in finding.conditions)
    for text in sorted(map(identity, counted)):
        digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()[:16]
