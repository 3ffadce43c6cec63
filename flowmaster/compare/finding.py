"""What drift is made of: one finding says what differs, where, since when, by whom, and what the next update does."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import Enum, StrEnum
from typing import Any, Final


class Mark(Enum):
    """Values that no structure can hold."""

    ABSENT = "absent"
    OPAQUE = "opaque"

    def __repr__(self) -> str:
        return self.value


ABSENT: Final = Mark.ABSENT
"""There is no such field."""
OPAQUE: Final = Mark.OPAQUE
"""There is such a field, but its value cannot be read here (it is encrypted)."""


class FindingClass(StrEnum):
    """The classes of findings, the most pressing first."""

    UNKNOWN = "unknown"
    CONFLICT = "conflict"
    DRIFT = "drift"
    FOREIGN = "foreign"
    UNHEALTHY = "unhealthy"
    STALE = "stale"
    PENDING = "pending"

    @property
    def rank(self) -> int:
        """Importance: 0 is looked at first."""
        return _RANK[self]

    @property
    def meaning(self) -> str:
        """One line that explains the class."""
        return _MEANING[self]


_MEANING = {
    FindingClass.UNKNOWN: "could not be read, so nothing is known about it",
    FindingClass.CONFLICT: "changed on the server and in the program",
    FindingClass.DRIFT: "changed on the server",
    FindingClass.FOREIGN: "on the server, but nobody declared it",
    FindingClass.UNHEALTHY: "as declared, but it does not work",
    FindingClass.STALE: "runs something older than what its name stands for now",
    FindingClass.PENDING: "changed in the program, not yet applied",
}
_RANK = {cls: rank for rank, cls in enumerate(FindingClass)}


class Action(StrEnum):
    """What a rule says is to be done about a finding."""

    HEAL = "heal"
    REPORT = "report"
    IGNORE = "ignore"


class Change(StrEnum):
    """How live and declared differ. A state is no difference of a field: pods that fail, a tag that moved."""

    CHANGED = "changed"
    MISSING = "missing"
    ADDED = "added"
    STATE = "state"


@dataclass(frozen=True, slots=True, order=True)
class ObjectRef:
    """The thing a finding is about. An empty namespace means that it has none."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.name}"


@dataclass(frozen=True, slots=True)
class Finding:
    """One difference. Values of secrets are masked before they get here; `secret` says that this was done.

    `revision` changes whenever a masked value does, and reveals nothing about it. `conditions` are words that rules
    can ask for. `short` is how the values of a whole part (a container) are told in a few words.
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
        """Importance, then object, then field."""
        return (self.cls.rank, self.object, self.path)

    @property
    def heals(self) -> bool:
        """Whether the next `up` changes something on the server because of this."""
        return self.action is Action.HEAL or (self.cls is FindingClass.PENDING and self.action is not Action.IGNORE)

    def with_action(self, action: Action) -> Finding:
        """The same finding, to be dealt with in that way."""
        return replace(self, action=action)


ALLOCATED = "allocated"
"""The condition of a value that the server hands out: nobody declared it, but others may rely on what it was."""

ENDING = "ending"
"""The condition of an object that was deleted, and is not gone yet."""


def consequence(finding: Finding, declared: str = "") -> str:
    """What the next `up` does about it, as a short phrase that names the declared value if it is given."""
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
    ALLOCATED: "up takes note of it",
    ENDING: "up waits until it is gone and makes it again",
}
_REPORTED = {
    FindingClass.UNKNOWN: "not looked at",
    FindingClass.FOREIGN: "kept; reported only",
    FindingClass.UNHEALTHY: "up does not change it",
    FindingClass.STALE: "up does not change it",
}


def ordered(findings: Iterable[Finding]) -> list[Finding]:
    """The most pressing first, then by object and field."""
    return sorted(findings, key=lambda finding: finding.sort_key)


_LIVE_STATE = frozenset({FindingClass.CONFLICT, FindingClass.DRIFT, FindingClass.FOREIGN, FindingClass.PENDING})


def identity(finding: Finding) -> str:
    """What makes two findings the same one for an approval: all but who, when and how it is explained."""
    parts = (finding.cls, finding.object, finding.path, finding.change, finding.action, finding.revision)
    return repr((*map(str, parts), finding.object.namespace, finding.live, finding.declared))


def fingerprint(findings: Iterable[Finding]) -> str:
    """A short stable name of a set of findings: the same server and the same program give the same one.

    Only differences count. Pods that restart and tags that move change nothing about what an update does.
    """
    digest = hashlib.sha256()
    for text in sorted(identity(finding) for finding in findings if finding.cls in _LIVE_STATE):
        digest.update(text.encode("utf-8", "surrogatepass"))
        digest.update(b"\0")
    return digest.hexdigest()[:16]
