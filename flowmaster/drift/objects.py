"""Declared bodies against live objects: every difference as a finding."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from flowmaster.cluster import field_managers
from flowmaster.cluster.defaults import KEPT_ON_REMOVAL, Body, fill, known
from flowmaster.cluster.describe import describe, service
from flowmaster.cluster.kinds import CLUSTER_SCOPED, kind_name
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.normalise import kept_fields, normalise, without_allocated
from flowmaster.cluster.reader import LiveState, ending
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import ABSENT, ALLOCATED, ENDING, OPAQUE, Change, Finding, FindingClass, ObjectRef
from flowmaster.compare.path import Item, Path, covers, render
from flowmaster.compare.three_way import Difference, apply, compare, same
from flowmaster.drift.last_applied import Applied

IMMUTABLE: dict[str, tuple[str, ...]] = {
    "Service": ("spec.clusterIP",),
    "Deployment": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates", "spec.podManagementPolicy"),
    "DaemonSet": ("spec.selector",),
    "Job": ("spec.template", "spec.selector", "spec.completions", "spec.completionMode"),
    "RoleBinding": ("roleRef",),
    "PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.dataSource",
        "spec.dataSourceRef",
        "spec.resources",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.volumeName",
    ),
    "Secret": ("type",),
}
"""Fields that can only be changed by making the object again (of a claim's resources: that cannot be set back)."""

IRREPLACEABLE = frozenset({"PersistentVolumeClaim", "StatefulSet"})
"""Kinds whose objects are not made again for a field: what they hold could be lost with them."""

_FROZEN = ("data", "binaryData", "immutable")
"""What cannot be changed either where a ConfigMap or a Secret says that it is immutable."""

_NOT_FOREIGN = frozenset({"kubernetes.io/service-account-token"})
"""Types of Secrets that Kubernetes makes."""

_IN_EVERY_NAMESPACE = frozenset({("ConfigMap", "kube-root-ca.crt"), ("ServiceAccount", "default")})
"""What Kubernetes itself puts there, and puts back: no rule can give it up."""


@dataclass(frozen=True)
class Comparison:
    """Everything that declared and live objects are compared with."""

    applied: Applied
    live: LiveState
    masker: Masker

    @cached_property
    def bounds(self) -> Mapping[ObjectRef, tuple[int, int]]:
        """The replicas within which autoscalers keep what they aim at."""
        return _autoscaled(self.live)

    def last(self, ref: ObjectRef) -> Any:
        """The body that was applied last: absent if none was, opaque if that is not known."""
        return OPAQUE if self.applied.problem else self.applied.bodies.get(ref, ABSENT)


def reference(body: Body, namespace: str) -> ObjectRef:
    """What a body is called; objects that name no namespace are in the one given."""
    kind, metadata = kind_name(str(body.get("apiVersion", "")), str(body["kind"])), body["metadata"]
    outside = kind in CLUSTER_SCOPED
    return ObjectRef(kind, "" if outside else metadata.get("namespace") or namespace, metadata["name"])


def findings(declared: Iterable[Body], applied: Applied, live: LiveState, masker: Masker) -> list[Finding]:
    """All differences between what is declared and what is there. What could not be read is unknown."""
    wanted = {reference(body, live.namespace): body for body in declared}
    if live.unreachable:
        return [_unreachable(live)]
    unread = [_unread(kind, reason, wanted, live) for kind, reason in sorted(live.unread.items())]
    comparison = Comparison(applied, live, masker)
    if not live.exists and "Namespace" not in live.unread:
        return [*unread, _namespace_gone(wanted, comparison)]
    found = list(unread)
    found += _terminating(live)
    for ref, body in wanted.items():
        if ref.kind in live.unread:
            continue
        there = live.objects.get(ref)
        if there is None:
            found.append(_missing(ref, body, comparison))
        else:
            found += compare_object(ref, body, there, comparison)
    return found + undeclared(wanted, comparison)


def compare_object(ref: ObjectRef, declared: Body, live: Body, comparison: Comparison) -> list[Finding]:
    """The findings about one object that is declared and there."""
    return [finding for _, finding in settled(ref, declared, live, comparison)]


def settled(
    ref: ObjectRef, declared: Body, live: Body, comparison: Comparison
) -> list[tuple[list[Difference], Finding]]:
    """The findings about one object that is declared and there, each with the differences it stands for."""
    if ending(live) and ref.kind != "Namespace":
        return [([], _ending(ref, declared, live))]
    wanted = fill(ref.kind, normalise(declared), ref.name)
    there = without_allocated(normalise(live), wanted, ref.kind)
    last = comparison.last(ref)
    kept = kept_fields(last)
    if last is not ABSENT and last is not OPAQUE:
        last = fill(ref.kind, normalise(last), ref.name)
    differences = compare(wanted, there, last, schema(ref.kind))
    moved = _moved(ref, declared, live, comparison) if ref.kind == "Service" else []
    if not differences:
        return moved
    written = normalise(declared)
    refined = (_refine(difference, ref, written, there, last, live) for difference in differences)
    left = [_of_server(difference, kept) for difference in refined if difference is not None]
    shown = _type_switch(left, wanted, there) if ref.kind == "Service" else left
    switched = len(shown) != len(left)
    return moved + [
        (_of_switch(left) if switched and difference.path == ("spec", "type") else [difference],
         _finding(difference, ref, live, comparison))
        for difference in shown
    ]  # fmt: skip


def _moved(
    ref: ObjectRef, declared: Body, live: Body, comparison: Comparison
) -> list[tuple[list[Difference], Finding]]:
    """A Service that was made again and got another address than it had, where none is declared."""
    now, before = (live.get("spec") or {}).get("clusterIP"), comparison.applied.addresses.get(ref)
    if not now or not before or now == before or "clusterIP" in (declared.get("spec") or {}):
        return []
    owner = field_managers.creator(live)
    finding = Finding(
        FindingClass.DRIFT, ref, "spec.clusterIP", live=now, declared=before,
        manager=owner.manager if owner else None, when=field_managers.moment(live["metadata"].get("creationTimestamp")),
        note="made again: whatever knew the old address leads nowhere", conditions=frozenset({ALLOCATED}),
    )  # fmt: skip
    return [([], finding)]


def _of_server(difference: Difference, kept: frozenset[str]) -> Difference:
    """The difference, where the last update applied the server's own value: then the program did not change it."""
    return replace(difference, cls=FindingClass.DRIFT) if render(difference.path) in kept else difference


def _of_switch(differences: list[Difference]) -> list[Difference]:
    """What a Service that became another sort of thing differs in."""
    return [difference for difference in differences if difference.path[0] == "spec"]


def _refine(
    difference: Difference, ref: ObjectRef, written: Body, there: Body, last: Any, live: Body
) -> Difference | None:
    """The difference as a person would see it, or None where it only shows what the server filled in."""
    path = difference.path
    if difference.declared is not ABSENT and value_at(written, path) is ABSENT:
        # The declared value is a default that nobody wrote. A live value that nobody set is a default too, of
        # when the object was made (the pull policy follows the tag, but only once); only zero replicas have no owner.
        if difference.change is Change.MISSING or not (
            field_managers.owners(live, path) or path == ("spec", "replicas")
        ):
            return None
        foreign = last is ABSENT or last is OPAQUE or value_at(last, path) == difference.declared
        cls = FindingClass.FOREIGN if foreign else difference.cls
        if path[0] == "spec" and path[1:] and path[1] in KEPT_ON_REMOVAL.get(ref.kind, ()):
            return replace(difference, cls=_settled(replace(difference, cls=cls), live, last))
        difference = replace(difference, change=Change.ADDED, declared=ABSENT, cls=cls)
    elif difference.change is Change.ADDED and _filled_in(difference, ref, there, live):
        return None
    if difference.declared is OPAQUE and difference.live is not ABSENT and field_managers.owned_by_us(live, path):
        return None
    return replace(difference, cls=_settled(difference, live, last))


def _filled_in(difference: Difference, ref: ObjectRef, there: Body, live: Body) -> bool:
    """Whether the server itself put this field there: it would come back if it were taken away."""
    path = difference.path
    if path[0] == "metadata":
        return False
    if not known(ref.kind):
        # Of such a kind the defaults are not known; a field counts if somebody else set it later.
        owner, first = field_managers.other(live, path), field_managers.creator(live)
        return owner is None or (first is not None and owner.manager == first.manager)
    without = fill(ref.kind, apply([difference], there), ref.name)
    return same(value_at(without, path), difference.live)


def _settled(difference: Difference, live: Body, last: Any) -> FindingClass:
    """The class, where what was applied last is unknown or was overwritten by a refresh: by who owns the field.

    An owner by server-side apply keeps a field only as long as nobody else changes it, so a field that is ours has
    the value that was applied last. That makes it a change of the program only where Pulumi does not know better:
    what is declared as it was applied, Pulumi does not write.
    """
    cls, path = difference.cls, difference.path
    if difference.live is ABSENT:
        return cls or FindingClass.DRIFT
    ours = field_managers.owned_by_us(live, path)
    if cls is None:
        if ours:
            return FindingClass.PENDING
        return FindingClass.FOREIGN if difference.declared is ABSENT else FindingClass.DRIFT
    if (
        cls is FindingClass.PENDING
        and not ours
        and field_managers.touched_by_us(live)
        and field_managers.other(live, path)
    ):
        # A refresh wrote the changed value into the state, so that it looks as if it had been applied.
        return FindingClass.FOREIGN if difference.declared is ABSENT else FindingClass.DRIFT
    if cls is FindingClass.FOREIGN and ours and last is ABSENT and field_managers.other(live, path) is None:
        return FindingClass.PENDING
    return cls


def _type_switch(differences: list[Difference], wanted: Body, there: Body) -> list[Difference]:
    """A Service that became another sort of thing: one finding, not one for every field that came with it."""
    kinds = {str((body.get("spec") or {}).get("type")) for body in (wanted, there)}
    if len(kinds) == 1 or "ExternalName" not in kinds:
        return differences
    kept = []
    for difference in differences:
        if difference.path == ("spec", "type"):
            ours, theirs = (service(body.get("spec") or {}) for body in (wanted, there))
            kept.append(replace(difference, change=Change.CHANGED, declared=ours, live=theirs))
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
            # Nobody could set this but by making the object.
            owner = field_managers.creator(live)
    changed = difference.change is Change.CHANGED
    shown, masked = comparison.masker.mask(ref.kind, path, difference.live, changed)
    meant, also = comparison.masker.mask(ref.kind, path, difference.declared)
    return Finding(
        cls=cls,
        object=ref,
        path=text,
        change=difference.change,
        live=shown,
        declared=meant,
        manager=owner.manager if owner else None,
        when=owner.when if owner else None,
        secret=masked or also,
        note=_note(difference, ref, live, cls),
        revision=_revision(live) if masked or also else "",
        conditions=_conditions(ref, text, difference.live, live, comparison),
    )


def _note(difference: Difference, ref: ObjectRef, live: Body, cls: FindingClass) -> str:
    notes = []
    if cls is FindingClass.CONFLICT and difference.declared is not ABSENT:
        notes.append("the program changed it too: up overwrites the live value")
    elif cls is FindingClass.CONFLICT:
        notes.append("the program gave it up, and it was changed meanwhile")
    if immutable(ref, render(difference.path), live):
        again = "left as it is, since what it holds could be lost" if ref.kind in IRREPLACEABLE else "is made again"
        notes.append(f"cannot be changed in place: the {ref.kind} {again}")
    return "; ".join(notes)


def immutable(ref: ObjectRef, text: str, live: Body) -> bool:
    """Whether the field of the object as it is can only be changed by making it again."""
    fixed = IMMUTABLE.get(ref.kind, ()) + (_FROZEN if frozen(live) else ())
    return any(covers(path, text) for path in fixed)


def frozen(live: Body) -> bool:
    """Whether it is a ConfigMap or a Secret whose data nobody can change."""
    return live.get("immutable") is True


def _conditions(ref: ObjectRef, text: str, value: Any, live: Body, comparison: Comparison) -> frozenset[str]:
    if ref.kind in IRREPLACEABLE and immutable(ref, text, live):
        return frozenset({"irreplaceable"})
    bounds = comparison.bounds.get(ref)
    within = bounds and text == "spec.replicas" and isinstance(value, int) and bounds[0] <= value <= bounds[1]
    return frozenset({"autoscaled"}) if within else frozenset()


def _autoscaled(live: LiveState) -> dict[ObjectRef, tuple[int, int]]:
    """What autoscalers aim at, with their bounds."""
    found = {}
    for ref, body in live.of("HorizontalPodAutoscaler"):
        spec = body.get("spec") or {}
        target = spec.get("scaleTargetRef") or {}
        aim = ObjectRef(str(target.get("kind")), ref.namespace, str(target.get("name")))
        found[aim] = (int(spec.get("minReplicas") or 1), int(spec.get("maxReplicas") or 1))
    return found


def _missing(ref: ObjectRef, body: Body, comparison: Comparison) -> Finding:
    last = comparison.last(ref)
    cls = FindingClass.PENDING if last is ABSENT else FindingClass.DRIFT
    return Finding(cls, ref, change=Change.MISSING, declared=describe(body) or "declared", note=_deleted(cls))


def _deleted(cls: FindingClass) -> str:
    return "deleted from the server" if cls is FindingClass.DRIFT else "not on the server yet"


def _namespace_gone(wanted: Mapping[ObjectRef, Body], comparison: Comparison) -> Finding:
    ref = ObjectRef("Namespace", "", comparison.live.namespace)
    inside = sum(other != ref for other in wanted)
    ever = comparison.applied.problem or any(other in comparison.applied for other in wanted)
    cls = FindingClass.DRIFT if ever else FindingClass.PENDING
    note = f"{_deleted(cls)}, with {inside} declared objects in it"
    return Finding(cls, ref, change=Change.MISSING, declared=f"{inside} objects", note=note)


def _terminating(live: LiveState) -> list[Finding]:
    ref = ObjectRef("Namespace", "", live.namespace)
    phase = ((live.objects.get(ref) or {}).get("status") or {}).get("phase")
    if phase != "Terminating":
        return []
    note = "being deleted with all that is in it; nothing can be created in it until that is over"
    return [
        Finding(
            FindingClass.UNHEALTHY, ref, "status.phase", Change.STATE, live=phase, declared="Active", note=note,
            when=field_managers.moment(live.objects[ref]["metadata"].get("deletionTimestamp")),
        )
    ]  # fmt: skip


def _ending(ref: ObjectRef, declared: Body, live: Body) -> Finding:
    """Whatever else differs goes with the object."""
    held = ", ".join(live["metadata"].get("finalizers") or ())
    return Finding(
        FindingClass.DRIFT, ref, live="being deleted" + (f", held by finalizer {held}" if held else ""),
        declared=describe(declared) or "declared", when=field_managers.moment(live["metadata"]["deletionTimestamp"]),
        conditions=frozenset({ENDING}),
    )  # fmt: skip


def undeclared(wanted: Container[ObjectRef], comparison: Comparison) -> list[Finding]:
    """The findings about whole objects that somebody made and that are not among those wanted."""
    objects = comparison.live.objects.items()
    return [_undeclared(ref, body, comparison) for ref, body in objects if ref not in wanted and _made_by_people(body)]


def _undeclared(ref: ObjectRef, body: Body, comparison: Comparison) -> Finding:
    first = field_managers.creator(body)
    what = comparison.masker.text(describe(body)) or "present"
    if ref in comparison.applied:
        note = "no longer declared"
        return Finding(FindingClass.PENDING, ref, change=Change.ADDED, live=what, note=note)
    created = field_managers.moment(body["metadata"].get("creationTimestamp"))
    who = first.manager if first else None
    return Finding(FindingClass.FOREIGN, ref, change=Change.ADDED, live=what, manager=who, when=created)


def _made_by_people(body: Body) -> bool:
    kind, metadata = body["kind"], body["metadata"]
    if kind == "Namespace" or metadata.get("ownerReferences") or (kind, metadata["name"]) in _IN_EVERY_NAMESPACE:
        return False
    return body.get("type") not in _NOT_FOREIGN


def _unread(kind: str, reason: str, wanted: Mapping[ObjectRef, Body], live: LiveState) -> Finding:
    count = sum(ref.kind == kind for ref in wanted)
    note = f"{count} declared of this kind were not compared" if count else "foreign ones would not be seen"
    ref = ObjectRef(kind, live.namespace, "*")
    return Finding(FindingClass.UNKNOWN, ref, change=Change.STATE, live=reason, note=note)


def _unreachable(live: LiveState) -> Finding:
    return Finding(
        FindingClass.UNKNOWN, ObjectRef("Cluster", "", live.server), change=Change.STATE, live=live.unreachable,
        note="nothing can be said about what runs there",
    )  # fmt: skip


def _revision(live: Body) -> str:
    metadata = live.get("metadata") or {}
    return f"{metadata.get('uid')}/{metadata.get('resourceVersion')}"


def value_at(body: Any, path: Path) -> Any:
    """What stands at a path, or absent."""
    for step in path:
        if isinstance(step, Item):
            body = next((part for part in body if _is(part, step)), ABSENT) if isinstance(body, list) else ABSENT
        else:
            body = body.get(step, ABSENT) if isinstance(body, dict) else ABSENT
        if body is ABSENT:
            return ABSENT
    return body


def _is(element: Any, step: Item) -> bool:
    """Whether an element is meant; a part of the key that it does not write out agrees with anything."""
    if not step.fields:
        return bool((element,) == step.key)
    return any(
        all(element.get(name) in (None, part) for name, part in zip(step.fields, key, strict=True))
        for key in (step.key, step.live)
        if key is not None and isinstance(element, dict)
    )
