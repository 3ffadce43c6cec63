"""What a finding says besides its values: a note for the reader, and the conditions that rules match. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from config.rules import CONTROLLERS
from flowmaster.cluster.defaults import Body
from flowmaster.cluster.env_references import unresolved
from flowmaster.cluster.field_managers import OWN, by_a_person
from flowmaster.cluster.immutable_fields import IRREPLACEABLE, immutable
from flowmaster.cluster.kinds import KINDS, kind_name
from flowmaster.cluster.normalise import healed_from
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ABSENT, Change, Finding, FindingClass, ObjectRef
from flowmaster.compare.path import Path, render
from flowmaster.compare.three_way import Difference

_RECURRENT = frozenset({FindingClass.DRIFT, FindingClass.FOREIGN})
_READ = frozenset(kind.name for kind in KINDS)


def note(difference: Difference, ref: ObjectRef, live: Body, cls: FindingClass, state: LiveState) -> str:
    """Return what the reader has to know about a difference of an object, besides its values."""
    notes = []
    if _is_owner_reference(difference.path):
        notes.append(_deletion(ref, difference.live, state))
    if difference.path[-1:] == ("env",):
        notes.append(_order(difference.declared, difference.live))
    if cls is FindingClass.CONFLICT and difference.declared is not ABSENT:
        notes.append("the program changed it, too; up overwrites the live value")
    elif cls is FindingClass.CONFLICT:
        notes.append("the program no longer declares it, and it was changed meanwhile")
    if immutable(ref, render(difference.path), live):
        again = "left unchanged, since its data could be lost" if ref.kind in IRREPLACEABLE else "is recreated"
        notes.append(f"cannot be changed in place: the {ref.kind} {again}")
    return "; ".join(filter(None, notes))


def conditions(
    ref: ObjectRef,
    difference: Difference,
    manager: str | None,
    live: Body,
    bounds: Mapping[ObjectRef, tuple[int, int]],
) -> frozenset[str]:
    """Return the conditions that hold for a difference.

    :param manager: who set the live value.
    :param bounds: the replicas of autoscaled objects (:func:`autoscaled`).
    """
    text, value = render(difference.path), difference.live
    if _is_owner_reference(difference.path):
        return frozenset({"controlled"}) if _controlled(value, manager) else frozenset()
    if ref.kind in IRREPLACEABLE and immutable(ref, text, live):
        return frozenset({"irreplaceable"})
    limits = bounds.get(ref)
    within = limits and text == "spec.replicas" and isinstance(value, int) and limits[0] <= value <= limits[1]
    return frozenset({"autoscaled"}) if within else frozenset()


def writer(finding: Finding) -> str | None:
    """Return the program that set a field and may set it again; empty for one without a name, None for a person.

    Whoever has no name is a program only where something was added: Kubernetes names nobody for what was removed.
    """
    if finding.manager is None:
        return "" if finding.change is Change.ADDED and finding.path else None
    return None if by_a_person(finding.manager) else finding.manager


def with_recurrence(finding: Finding, last: Any) -> Finding:
    """Mark a difference that a program has made again, after the last update had undone the same one.

    :param last: the last applied body, which names these programs (:func:`flowmaster.cluster.normalise.healed_from`).
    """
    name = writer(finding)
    recurs = name is not None and finding.cls in _RECURRENT and healed_from(last).get(finding.path) == name
    if not recurs:
        return finding
    own = any(name == manager for manager, _ in OWN)
    who = f"{name} has" if name and not own else "a webhook, or a program without a name, has"
    words = f"{who} set it again after up had undone it: a rule has to say who is right"
    conditions = finding.conditions | {"repeated"}
    return replace(finding, conditions=conditions, note="; ".join(filter(None, (finding.note, words))))


def autoscaled(live: LiveState) -> dict[ObjectRef, tuple[int, int]]:
    """Return the targets of autoscalers, with minimum and maximum replicas."""
    found = {}
    for ref, body in live.of("HorizontalPodAutoscaler"):
        spec = body.get("spec") or {}
        target = spec.get("scaleTargetRef") or {}
        aim = ObjectRef(str(target.get("kind")), ref.namespace, str(target.get("name")))
        found[aim] = (int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 1))
    return found


def _is_owner_reference(path: Path) -> bool:
    return path[:2] == ("metadata", "ownerReferences")


def _controlled(reference: Any, manager: str | None) -> bool:
    """Return whether a controller set an owner reference: Kubernetes itself, or one that claims the object.

    A reference that a person's tool set is not a controller's, whatever it says.
    """
    if manager in CONTROLLERS:
        return True
    claims = isinstance(reference, dict) and bool(reference.get("controller"))
    return claims and (manager is None or not by_a_person(manager))


def _deletion(ref: ObjectRef, reference: Any, state: LiveState) -> str:
    """Say when the garbage collector would delete an object because of an owner reference."""
    if not isinstance(reference, dict):
        return ""
    kind = kind_name(str(reference.get("apiVersion")), str(reference.get("kind")))
    owner = ObjectRef(kind, ref.namespace, str(reference.get("name")))
    others = len(((state.objects.get(ref) or {}).get("metadata") or {}).get("ownerReferences") or ()) - 1
    if others > 0:
        plural = "s" if others > 1 else ""
        return f"Kubernetes deletes this {ref.kind} once {owner} and its {others} other owner{plural} are deleted"
    if owner.kind in _READ and owner.kind not in state.unread:
        found = state.objects.get(owner)
        if found is None or found["metadata"].get("uid") != reference.get("uid"):
            return f"there is no {owner} of this uid: Kubernetes deletes this {ref.kind} as an orphan"
    return f"this {ref.kind} is deleted with {owner}"


def _order(declared: Any, live: Any) -> str:
    """Say which references of variables to others no longer expand, because these now come later."""
    if not isinstance(declared, list) or not isinstance(live, list):
        return ""
    broken = unresolved(live) - unresolved(declared)
    return "; ".join(f"$({name}) in {user} is not expanded: {name} comes after it" for user, name in sorted(broken))
