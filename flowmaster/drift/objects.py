"""Compares desired Kubernetes objects with live ones; each difference becomes a finding."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flowmaster.cluster import field_managers
from flowmaster.cluster.defaults import KEPT_ON_REMOVAL, Body, fill, known
from flowmaster.cluster.describe import describe, service
from flowmaster.cluster.immutable_fields import immutable
from flowmaster.cluster.kinds import kind_name
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.normalise import kept_fields, normalise, without_allocated
from flowmaster.cluster.reader import LiveState, is_terminating
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import ABSENT, ALLOCATED, ENDING, OPAQUE, Change, Finding, FindingClass, ObjectRef
from flowmaster.compare.path import Item, Path, render
from flowmaster.compare.three_way import Difference, apply, compare, same
from flowmaster.drift import notes
from flowmaster.drift.last_applied import Applied
from flowmaster.render.objects import CLUSTER_SCOPED

_GENERATED_SECRET_TYPES = frozenset({"kubernetes.io/service-account-token"})
"""Types of Secrets that Kubernetes creates."""

_GENERATED_OBJECTS = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
"""Objects that Kubernetes creates in every namespace, and recreates."""


@dataclass(frozen=True)
class Comparison:
    """The inputs of a comparison besides the objects."""

    applied: Applied
    live: LiveState
    masker: Masker

    @cached_property
    def bounds(self) -> Mapping[ObjectRef, tuple[int, int]]:
        """Minimum and maximum replicas of autoscaled objects."""
        return notes.autoscaled(self.live)

    def last(self, ref: ObjectRef) -> Any:
        """Return the last applied body: ABSENT if there is none, OPAQUE if unknown."""
        return OPAQUE if self.applied.problem else self.applied.bodies.get(ref, ABSENT)


def reference(body: Body, namespace: str) -> ObjectRef:
    """Return a body's reference; `namespace` is the default."""
    kind, metadata = kind_name(str(body.get("apiVersion", "")), str(body["kind"])), body["metadata"]
    outside = kind in CLUSTER_SCOPED
    return ObjectRef(kind, "" if outside else metadata.get("namespace") or namespace, metadata["name"])


def findings(declared: Iterable[Body], applied: Applied, live: LiveState, masker: Masker) -> list[Finding]:
    """Return all differences between desired and live objects. What could not be read is unknown."""
    desired = {reference(body, live.namespace): body for body in declared}
    if live.unreachable:
        return [_unreachable(live)]
    unread = [_unread_kind(kind, reason, desired, live) for kind, reason in sorted(live.unread.items())]
    comparison = Comparison(applied, live, masker)
    if not live.exists and "Namespace" not in live.unread:
        return [*unread, _namespace_gone(desired, comparison)]
    found = list(unread)
    found += _terminating(live)
    for ref, body in desired.items():
        if ref.kind in live.unread:
            continue
        live_body = live.objects.get(ref)
        if live_body is None:
            found.append(_missing(ref, body, comparison))
        else:
            found += compare_object(ref, body, live_body, comparison)
    return found + undeclared(desired, comparison)


def compare_object(ref: ObjectRef, declared: Body, live: Body, comparison: Comparison) -> list[Finding]:
    """Return the findings about one object that is both declared and live."""
    return [finding for _, finding in findings_with_differences(ref, declared, live, comparison)]


def findings_with_differences(
    ref: ObjectRef, declared: Body, live: Body, comparison: Comparison
) -> list[tuple[list[Difference], Finding]]:
    """Return the findings about one object, each with the differences that it summarises."""
    if is_terminating(live) and ref.kind != "Namespace":
        return [([], _ending(ref, declared, live))]
    desired = fill(ref.kind, normalise(declared), ref.name)
    live_body = without_allocated(normalise(live), desired, ref.kind)
    last = comparison.last(ref)
    kept = kept_fields(last)
    if last is not ABSENT and last is not OPAQUE:
        last = fill(ref.kind, normalise(last), ref.name)
    differences = compare(desired, live_body, last, schema(ref.kind))
    address_change = _address_change(ref, declared, live, comparison) if ref.kind == "Service" else []
    if not differences:
        return address_change
    written = normalise(declared)
    refined = (_refine(difference, ref, written, live_body, last, live) for difference in differences)
    refined_differences = [_class_of_kept_field(difference, kept) for difference in refined if difference is not None]
    shown = (
        _merge_type_switch(refined_differences, desired, live_body) if ref.kind == "Service" else refined_differences
    )
    switched = len(shown) != len(refined_differences)
    return address_change + [
        (_spec_differences(refined_differences) if switched and difference.path == ("spec", "type") else [difference],
         _finding(difference, ref, live, comparison))
        for difference in shown
    ]  # fmt: skip


def _address_change(
    ref: ObjectRef, declared: Body, live: Body, comparison: Comparison
) -> list[tuple[list[Difference], Finding]]:
    """Return a finding for a Service that was recreated with another address, if none is declared."""
    now, before = (live.get("spec") or {}).get("clusterIP"), comparison.applied.addresses.get(ref)
    if not now or not before or now == before or "clusterIP" in (declared.get("spec") or {}):
        return []
    owner = field_managers.creator(live)
    finding = Finding(
        FindingClass.DRIFT, ref, "spec.clusterIP", live=now, declared=before,
        manager=owner.manager if owner else None, when=field_managers.moment(live["metadata"].get("creationTimestamp")),
        note="recreated: clients that hold the old address fail", conditions=frozenset({ALLOCATED}),
    )  # fmt: skip
    return [([], finding)]


def _class_of_kept_field(difference: Difference, kept: frozenset[str]) -> Difference:
    """Classify as drift a field whose live value the last update kept: the program did not change it."""
    return replace(difference, cls=FindingClass.DRIFT) if render(difference.path) in kept else difference


def _spec_differences(differences: list[Difference]) -> list[Difference]:
    """Return the differences in spec of a Service whose type switched."""
    return [difference for difference in differences if difference.path[0] == "spec"]


def _refine(
    difference: Difference, ref: ObjectRef, written: Body, live_body: Body, last: Any, live: Body
) -> Difference | None:
    """Correct a difference for defaults; None if it only shows what the server filled in."""
    path = difference.path
    if difference.declared is not ABSENT and value_at(written, path) is ABSENT:
        # The declared value is a default. A live value without owner is a default, too, from the object's creation
        # (the pull policy follows the tag, but only once). Only zero replicas have no owner.
        if difference.change is Change.MISSING or not (
            field_managers.owners(live, path) or path == ("spec", "replicas")
        ):
            return None
        foreign = last is ABSENT or last is OPAQUE or value_at(last, path) == difference.declared
        cls = FindingClass.FOREIGN if foreign else difference.cls
        if path[0] == "spec" and path[1:] and path[1] in KEPT_ON_REMOVAL.get(ref.kind, ()):
            return replace(difference, cls=_class_by_owner(replace(difference, cls=cls), live, last))
        difference = replace(difference, change=Change.ADDED, declared=ABSENT, cls=cls)
    elif difference.change is Change.ADDED and _filled_in(difference, ref, live_body, live):
        return None
    if difference.declared is OPAQUE and difference.live is not ABSENT and field_managers.owned_by_us(live, path):
        return None
    return replace(difference, cls=_class_by_owner(difference, live, last))


def _filled_in(difference: Difference, ref: ObjectRef, live_body: Body, live: Body) -> bool:
    """Return whether the server defaulted this field: it would return if removed."""
    path = difference.path
    if path[0] == "metadata":
        return False
    if not known(ref.kind):
        # The defaults of this kind are unknown; a field counts if another manager set it later.
        owner, first = field_managers.other(live, path), field_managers.creator(live)
        return owner is None or (first is not None and owner.manager == first.manager)
    without = fill(ref.kind, apply([difference], live_body), ref.name)
    return same(value_at(without, path), difference.live)


def _class_by_owner(difference: Difference, live: Body, last: Any) -> FindingClass:
    """Classify by field manager, if the last applied value is unknown or was overwritten by a refresh.

    A manager of server-side apply owns a field until another one changes it. So a field that we own has the last
    applied value, and the difference is a change of the program, unless Pulumi's state shows the declared value as
    applied: Pulumi does not write it then.
    """
    cls, path = difference.cls, difference.path
    if difference.live is ABSENT:
        return cls or FindingClass.DRIFT
    owned_by_us = field_managers.owned_by_us(live, path)
    if cls is None:
        if owned_by_us:
            return FindingClass.PENDING
        return FindingClass.FOREIGN if difference.declared is ABSENT else FindingClass.DRIFT
    if (
        cls is FindingClass.PENDING
        and not owned_by_us
        and field_managers.touched_by_us(live)
        and field_managers.other(live, path)
    ):
        # A refresh wrote the changed value into the state, as if it had been applied.
        return FindingClass.FOREIGN if difference.declared is ABSENT else FindingClass.DRIFT
    if cls is FindingClass.FOREIGN and owned_by_us and last is ABSENT and field_managers.other(live, path) is None:
        return FindingClass.PENDING
    return cls


def _merge_type_switch(differences: list[Difference], desired: Body, live_body: Body) -> list[Difference]:
    """Merge the differences of a Service whose type switched into one."""
    kinds = {str((body.get("spec") or {}).get("type")) for body in (desired, live_body)}
    if len(kinds) == 1 or "ExternalName" not in kinds:
        return differences
    kept = []
    for difference in differences:
        if difference.path == ("spec", "type"):
            desired_service, live_service = (service(body.get("spec") or {}) for body in (desired, live_body))
            kept.append(replace(difference, change=Change.CHANGED, declared=desired_service, live=live_service))
        elif difference.path[0] != "spec":
            kept.append(difference)
    return kept


def _finding(difference: Difference, ref: ObjectRef, live: Body, comparison: Comparison) -> Finding:
    path, text = difference.path, render(difference.path)
    cls = difference.cls or FindingClass.DRIFT
    owner = None
    if difference.live is not ABSENT and cls is not FindingClass.PENDING:
        owner = field_managers.other(live, path)
        if owner is None and field_managers.owned_by_us(live, path):
            owner = next(iter(field_managers.owners(live, path)), None)
        if owner is None and immutable(ref, text, live):
            # An immutable field was set by the object's creator.
            owner = field_managers.creator(live)
    changed = difference.change is Change.CHANGED
    live_value, live_masked = comparison.masker.mask(ref.kind, path, difference.live, changed)
    declared_value, declared_masked = comparison.masker.mask(ref.kind, path, difference.declared)
    finding = Finding(
        cls=cls,
        object=ref,
        path=text,
        change=difference.change,
        live=live_value,
        declared=declared_value,
        manager=owner.manager if owner else None,
        when=owner.when if owner else None,
        secret=live_masked or declared_masked,
        note=notes.note(difference, ref, live, cls, comparison.live),
        revision=_revision(live) if live_masked or declared_masked else "",
        conditions=notes.conditions(ref, difference, owner.manager if owner else None, live, comparison.bounds),
    )
    return notes.with_recurrence(finding, comparison.last(ref))


def _missing(ref: ObjectRef, body: Body, comparison: Comparison) -> Finding:
    last = comparison.last(ref)
    cls = FindingClass.PENDING if last is ABSENT else FindingClass.DRIFT
    return Finding(cls, ref, change=Change.MISSING, declared=describe(body) or "declared", note=_missing_note(cls))


def _missing_note(cls: FindingClass) -> str:
    return "deleted from the server" if cls is FindingClass.DRIFT else "not on the server yet"


def _namespace_gone(desired: Mapping[ObjectRef, Body], comparison: Comparison) -> Finding:
    ref = ObjectRef("Namespace", "", comparison.live.namespace)
    inside = sum(other != ref for other in desired)
    ever = comparison.applied.problem or any(other in comparison.applied for other in desired)
    cls = FindingClass.DRIFT if ever else FindingClass.PENDING
    note = f"{_missing_note(cls)}, with {inside} declared objects in it"
    return Finding(cls, ref, change=Change.MISSING, declared=f"{inside} objects", note=note)


def _terminating(live: LiveState) -> list[Finding]:
    ref = ObjectRef("Namespace", "", live.namespace)
    phase = ((live.objects.get(ref) or {}).get("status") or {}).get("phase")
    if phase != "Terminating":
        return []
    note = "being deleted with everything in it; nothing can be created in it until then"
    return [
        Finding(
            FindingClass.UNHEALTHY, ref, "status.phase", Change.STATE, live=phase, declared="Active", note=note,
            when=field_managers.moment(live.objects[ref]["metadata"].get("deletionTimestamp")),
        )
    ]  # fmt: skip


def _ending(ref: ObjectRef, declared: Body, live: Body) -> Finding:
    """Return the finding for an object that is being deleted; other differences do not matter."""
    held = ", ".join(live["metadata"].get("finalizers") or ())
    return Finding(
        FindingClass.DRIFT, ref, live="being deleted" + (f", held by finalizer {held}" if held else ""),
        declared=describe(declared) or "declared", when=field_managers.moment(live["metadata"]["deletionTimestamp"]),
        conditions=frozenset({ENDING}),
    )  # fmt: skip


def undeclared(desired: Container[ObjectRef], comparison: Comparison) -> list[Finding]:
    """Return findings about live objects that users created and that are not declared."""
    objects = comparison.live.objects.items()
    return [
        _undeclared(ref, body, comparison) for ref, body in objects if ref not in desired and _created_by_user(body)
    ]


def _undeclared(ref: ObjectRef, body: Body, comparison: Comparison) -> Finding:
    first = field_managers.creator(body)
    what = comparison.masker.text(describe(body)) or "present"
    if ref in comparison.applied:
        note = "no longer declared"
        return Finding(FindingClass.PENDING, ref, change=Change.ADDED, live=what, note=note)
    created = field_managers.moment(body["metadata"].get("creationTimestamp"))
    who = first.manager if first else None
    return Finding(FindingClass.FOREIGN, ref, change=Change.ADDED, live=what, manager=who, when=created)


def _created_by_user(body: Body) -> bool:
    kind, metadata = body["kind"], body["metadata"]
    if kind == "Namespace" or metadata.get("ownerReferences") or (kind, metadata["name"]) in _GENERATED_OBJECTS:
        return False
    return body.get("type") not in _GENERATED_SECRET_TYPES


def _unread_kind(kind: str, reason: str, desired: Mapping[ObjectRef, Body], live: LiveState) -> Finding:
    count = sum(ref.kind == kind for ref in desired)
    note = f"{count} declared of this kind were not compared" if count else "foreign ones would go unnoticed"
    ref = ObjectRef(kind, live.namespace, "*")
    return Finding(FindingClass.UNKNOWN, ref, change=Change.STATE, live=reason, note=note)


def _unreachable(live: LiveState) -> Finding:
    return Finding(
        FindingClass.UNKNOWN, ObjectRef("Cluster", "", live.server), change=Change.STATE, live=live.unreachable,
        note="the state of the cluster is unknown",
    )  # fmt: skip


def _revision(live: Body) -> str:
    metadata = live.get("metadata") or {}
    return f"{metadata.get('uid')}/{metadata.get('resourceVersion')}"


def value_at(body: Any, path: Path) -> Any:
    """Return the value at a path; ABSENT if there is none."""
    for step in path:
        if isinstance(step, Item):
            body = next((part for part in body if _matches(part, step)), ABSENT) if isinstance(body, list) else ABSENT
        else:
            body = body.get(step, ABSENT) if isinstance(body, dict) else ABSENT
        if body is ABSENT:
            return ABSENT
    return body


def _matches(element: Any, step: Item) -> bool:
    """Return whether an element has a step's key; fields that the element omits match anything."""
    if not step.fields:
        return bool((element,) == step.key)
    return any(
        all(element.get(name) in (None, part) for name, part in zip(step.fields, key, strict=True))
        for key in (step.key, step.live)
        if key is not None and isinstance(element, dict)
    )
