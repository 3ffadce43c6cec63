"""From what differs to what is to be done about each object. Pure: nothing is read or written here."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

from drift.applied import Applied
from drift.compare import Difference, apply
from drift.finding import ABSENT, Action, Change, Finding, FindingClass, ObjectRef
from drift.kubernetes.objects import IMMUTABLE, Comparison, reference, settled
from drift.kubernetes.reader import LiveState
from drift.kubernetes.secrets import Masker
from drift.path import Path, covers, render
from drift.rules import Rule, decide

Body = dict[str, Any]
HEALED = "flowmaster.io/healed"
"""The annotation that says when drift of an object was last undone, and of which fields. It is also what makes
Pulumi see a change: the program's inputs are those of the last update, whatever happened on the server meanwhile."""
_FIELDS_NAMED = 5
_LIVE = frozenset({FindingClass.DRIFT, FindingClass.CONFLICT, FindingClass.FOREIGN})


class Way(StrEnum):
    """How an object is brought back."""

    PATCH = "patch"
    """In place, in one write, so that pods roll at most once."""
    REMAKE = "remake"
    """Deleted where it is still there, and made again: it is gone, or differs in what cannot be changed."""
    DELETE = "delete"
    """Nobody declared it, and a rule says that such a thing goes."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What is to be done about one object."""

    ref: ObjectRef
    way: Way
    paths: tuple[str, ...] = ()
    live: Body | None = None
    """The object as it was seen; it is changed only as long as it still is so."""
    healed: Body | None = None
    """What it is to be: for a patch the whole live object with the drift undone, to make it again what is declared."""

    @property
    def summary(self) -> str:
        """The fields, few of them by name; never a value, which might be a secret."""
        named = ", ".join(self.paths[:_FIELDS_NAMED]) or "the whole object"
        return named + (f" and {len(self.paths) - _FIELDS_NAMED} more" if self.paths[_FIELDS_NAMED:] else "")


@dataclass(frozen=True)
class Plan:
    """Everything that the next update does besides what the program changed."""

    steps: Mapping[ObjectRef, Step] = field(default_factory=dict)
    deletions: Sequence[Step] = ()
    kept: Mapping[ObjectRef, Body] = field(default_factory=dict)
    """Declared bodies with the live values that a rule says stay, for objects that are going to be written anyway."""

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.steps and not self.deletions and not self.kept


def plan(
    declared: Iterable[Body],
    applied: Applied,
    live: LiveState,
    findings: Iterable[Finding] = (),
    rules: Sequence[Rule] = (),
) -> Plan:
    """What is to be done about each declared object that differs, and about foreign ones that a rule gives up.

    `findings` are those of the report on the same live state, with their actions.
    """
    wanted = {reference(body, live.namespace): body for body in declared}
    masker = Masker([*wanted.values(), *(body for _, body in live.of("Secret"))])
    comparison = Comparison(applied, live, masker)
    steps: dict[ObjectRef, Step] = {}
    kept: dict[ObjectRef, Body] = {}
    for ref, body in wanted.items():
        if ref.kind in live.unread or ref not in applied:
            # what was never applied is created or adopted by Pulumi itself
            continue
        there = live.objects.get(ref)
        if there is None:
            if live.exists or ref.kind == "Namespace" or "Namespace" not in live.unread:
                steps[ref] = Step(ref=ref, way=Way.REMAKE, healed=body)
            continue
        step, keeping = _of_object(ref, body, there, comparison, rules)
        if step is not None:
            steps[ref] = step
        if keeping is not None:
            kept[ref] = keeping
    return Plan(steps, _deletions(findings, live), kept)


def _of_object(
    ref: ObjectRef, declared: Body, live: Body, comparison: Comparison, rules: Sequence[Rule]
) -> tuple[Step | None, Body | None]:
    found = settled(ref, declared, live, comparison)
    acted = [(differences, finding.with_action(decide(finding, rules))) for differences, finding in found]
    undone = [(d, f) for d, f in acted if f.action is Action.HEAL and f.cls in _LIVE]
    pending = [(d, f) for d, f in acted if f.cls is FindingClass.PENDING and f.heals]
    keeping = [d for ds, f in acted if f.action is not Action.HEAL and f.cls in _LIVE for d in ds]
    body = _keeping(declared, keeping, comparison.last(ref), bool(undone or pending))
    if not undone:
        return None, body
    paths = tuple(f.path for _, f in undone)
    if any(_immutable(ref, d) for ds, _ in undone for d in ds):
        return Step(ref=ref, way=Way.REMAKE, paths=paths, live=live, healed=body or declared), body
    differences = [d for ds, _ in (*undone, *pending) for d in ds]
    return Step(ref=ref, way=Way.PATCH, paths=paths, live=live, healed=apply(differences, live)), body


def _immutable(ref: ObjectRef, difference: Difference) -> bool:
    text = render(difference.path)
    if difference.change is Change.ADDED:
        return False
    return any(covers(fixed, text) for fixed in IMMUTABLE.get(ref.kind, ()))


def _keeping(declared: Body, differences: list[Difference], last: Any, written: bool) -> Body | None:
    """The declared body with live values where a rule says that they stay; None where the declared one will do.

    As long as nothing is written to the object, the declared body stands: Pulumi knows it, and nothing happens.
    """
    turned = [
        replace(d, declared=d.live, live=d.declared, change=_TURNED[d.change])
        for d in differences
        if d.change is not Change.ADDED and (written or _at(last, d.path) == d.live)
    ]
    return apply(turned, copy.deepcopy(declared)) if turned else None


_TURNED = {Change.CHANGED: Change.CHANGED, Change.MISSING: Change.ADDED, Change.ADDED: Change.MISSING}


def _at(body: Any, path: Path) -> Any:
    for step in path:
        if not isinstance(step, str) or not isinstance(body, Mapping):
            return ABSENT
        body = body.get(step, ABSENT)
    return body


def _deletions(findings: Iterable[Finding], live: LiveState) -> list[Step]:
    doomed = (f.object for f in findings if f.cls is FindingClass.FOREIGN and not f.path and f.action is Action.HEAL)
    return [Step(ref=ref, way=Way.DELETE, live=live.objects[ref]) for ref in doomed]
