"""Pods of declared workloads that are not what their template says. Pure.

Few fields of a pod can change: images, resources, a deadline, labels, and ephemeral containers. Of these, what its
creator or admission set is the cluster's own; a finding is what somebody else wrote later. `up` does not write pods,
so each finding is reported only, with what undoes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from flowmaster.cluster import field_managers
from flowmaster.cluster.defaults import Body
from flowmaster.cluster.field_managers import Owner
from flowmaster.cluster.kinds import REPLICA_SET
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState
from flowmaster.cluster.schema import QUANTITIES
from flowmaster.compare.finding import ABSENT, LEFT, OPAQUE, Change, Finding, FindingClass, ObjectRef
from flowmaster.compare.path import Item, Key, Path, render
from flowmaster.compare.three_way import Schema, compare
from flowmaster.drift.health import WORKLOADS, by_workload

_RESOURCES = Schema(fields={"limits": QUANTITIES, "requests": QUANTITIES})
_FINISHED = ("Succeeded", "Failed")
_HASH = "pod-template-hash"
_SHOWN = ("name", "image", "command", "args")


@dataclass(frozen=True)
class _Pod:
    """A pod, the workload that it belongs to, and the template that it was made from."""

    workload: ObjectRef
    body: Body
    template: Body
    masker: Masker

    def writer(self, path: Path) -> Owner | None:
        """Return who wrote a field after the pod was made."""
        creator = field_managers.creator(self.body)
        owners = field_managers.owners(self.body, path)
        return next((owner for owner in owners if creator is None or owner.manager != creator.manager), None)

    def finding(
        self, path: Path, change: Change, live: Any, declared: Any, writer: Owner | None, note: str = ""
    ) -> Finding:
        """Return a finding about a field; `path` is within the pod's spec, or the path of a label."""
        name = str(self.body["metadata"]["name"])
        undo = f"undone by `kubectl delete pod {name}`"
        return Finding(
            FindingClass.FOREIGN if change is Change.ADDED else FindingClass.DRIFT,
            self.workload, render(("pods", _named(name), *path)), change,
            live=self.masker.mask("Pod", path, live)[0], declared=self.masker.mask("Pod", path, declared)[0],
            manager=writer.manager if writer else None, when=writer.when if writer else None,
            note=f"{note}; {undo}" if note else undo, conditions=frozenset({LEFT}),
        )  # fmt: skip


def findings(refs: Iterable[ObjectRef], live: LiveState, found: Iterable[Finding], masker: Masker) -> list[Finding]:
    """Return the findings so far, those about pods that were let loose with a note, and further ones about pods."""
    workloads = {ref: live.objects[ref] for ref in refs if ref.kind in WORKLOADS and ref in live.objects}
    noted = [_with_former_workload(finding, workloads, live) for finding in found]
    if "Pod" in live.unread:
        return noted
    pods = by_workload(live)
    for ref, body in workloads.items():
        for pod in pods.get(ref, ()):
            template = _template(ref, body, pod, live)
            if template is not None and (pod.get("status") or {}).get("phase") not in _FINISHED:
                noted += _differences(_Pod(ref, pod, template, masker))
        if ref.kind == "Deployment":
            noted += _scaled(ref, body, live)
    return noted


def _template(ref: ObjectRef, body: Body, pod: Body, live: LiveState) -> Body | None:
    """Return the template that a pod was made from; None if that is not known for certain."""
    owner = pod["metadata"]["ownerReferences"][0]
    spec, status = body.get("spec") or {}, body.get("status") or {}
    if ref.kind == "Deployment":
        made_from = live.derived.get(ObjectRef(REPLICA_SET.name, ref.namespace, str(owner["name"])))
        return (made_from.get("spec") or {}).get("template") if made_from else None
    if int(status.get("observedGeneration") or 0) < int(body["metadata"].get("generation") or 0):
        return None
    if ref.kind == "StatefulSet":
        revision = (pod["metadata"].get("labels") or {}).get("controller-revision-hash")
        current = revision is not None and revision == status.get("updateRevision")
    else:
        current = status.get("updatedNumberScheduled") == status.get("desiredNumberScheduled")
    return spec.get("template") if current else None


def _differences(pod: _Pod) -> Iterator[Finding]:
    spec, meant = pod.body.get("spec") or {}, pod.template.get("spec") or {}
    for kind in ("initContainers", "containers"):
        declared = {container["name"]: container for container in meant.get(kind) or ()}
        for container in spec.get(kind) or ():
            if container["name"] in declared:
                yield from _container(pod, kind, container, declared[container["name"]])
    deadline = spec.get("activeDeadlineSeconds", ABSENT)
    if deadline != meant.get("activeDeadlineSeconds", ABSENT) and (
        writer := pod.writer(("spec", "activeDeadlineSeconds"))
    ):
        declared_deadline = meant.get("activeDeadlineSeconds", ABSENT)
        change = Change.ADDED if declared_deadline is ABSENT else Change.CHANGED
        yield pod.finding(("activeDeadlineSeconds",), change, deadline, declared_deadline, writer)
    yield from _ephemeral(pod)
    yield from _labels(pod)


def _container(pod: _Pod, kind: str, live: Body, declared: Body) -> Iterator[Finding]:
    path: Path = (kind, _named(str(live["name"])))
    writer = pod.writer(("spec", *path, "image"))
    if live.get("image") != declared.get("image") and writer is not None:
        yield pod.finding((*path, "image"), Change.CHANGED, live.get("image"), declared.get("image"), writer)
    for found in compare(declared.get("resources") or {}, live.get("resources") or {}, OPAQUE, _RESOURCES):
        where = (*path, "resources", *found.path)
        writer = pod.writer(("spec", *where))
        if writer is not None or found.change is Change.MISSING:
            yield pod.finding(where, found.change, found.live, found.declared, writer)


def _ephemeral(pod: _Pod) -> Iterator[Finding]:
    statuses = {
        status["name"]: status.get("state") or {}
        for status in (pod.body.get("status") or {}).get("ephemeralContainerStatuses") or ()
    }
    for container in (pod.body.get("spec") or {}).get("ephemeralContainers") or ():
        path: Path = ("ephemeralContainers", _named(str(container["name"])))
        shown = {key: container[key] for key in _SHOWN if key in container}
        state = "has ended" if "terminated" in statuses.get(container["name"], {}) else ""
        yield pod.finding(path, Change.ADDED, shown, ABSENT, pod.writer(("spec", *path)), state)


def _labels(pod: _Pod) -> Iterator[Finding]:
    """Yield labels of the template that the pod has not, and those that a person has given it."""
    live = pod.body["metadata"].get("labels") or {}
    declared = (pod.template.get("metadata") or {}).get("labels") or {}
    for key in sorted({*live, *declared}):
        where: Path = ("metadata", "labels", Key(key))
        if live.get(key) == declared.get(key):
            continue
        writer = pod.writer(where)
        if key in declared:
            change = Change.CHANGED if key in live else Change.MISSING
            if writer is not None or change is Change.MISSING:
                yield pod.finding(where, change, live.get(key, ABSENT), declared[key], writer)
        elif writer is not None and field_managers.by_a_person(writer.manager):
            yield pod.finding(where, Change.ADDED, live[key], ABSENT, writer)


def _scaled(ref: ObjectRef, body: Body, live: LiveState) -> Iterator[Finding]:
    """Yield ReplicaSets that somebody scaled past what their Deployment says."""
    wanted = (body.get("spec") or {}).get("replicas")
    owned = {
        found: replica_set
        for found, replica_set in live.derived.items()
        if found.kind == REPLICA_SET.name
        and any(owner.get("uid") == body["metadata"].get("uid")
                for owner in replica_set["metadata"].get("ownerReferences") or ())
    }  # fmt: skip
    counts = {found: int((replica_set.get("spec") or {}).get("replicas") or 0) for found, replica_set in owned.items()}
    if wanted is None or sum(counts.values()) <= wanted:
        return
    for found, count in counts.items():
        writer = next(iter(field_managers.owners(owned[found], ("spec", "replicas"))), None)
        if count and writer is not None and field_managers.by_a_person(writer.manager):
            yield Finding(
                FindingClass.DRIFT, ref, render(("replicaSets", _named(found.name), "spec", "replicas")),
                live=count, declared=wanted, manager=writer.manager, when=writer.when, conditions=frozenset({LEFT}),
                note="the Deployment's controller sets it back, unless it does not run",
            )  # fmt: skip


def _with_former_workload(finding: Finding, workloads: Mapping[ObjectRef, Body], live: LiveState) -> Finding:
    """Say of a pod that has no owner whose it was, and who let it loose."""
    if finding.object.kind != "Pod" or finding.path or finding.cls is not FindingClass.FOREIGN:
        return finding
    pod = live.objects[finding.object]
    made_as = str(pod["metadata"].get("generateName") or "")
    former = max((ref for ref in workloads if made_as.startswith(f"{ref.name}-")), key=_by_length, default=None)
    if former is None:
        return finding
    selector = (workloads[former].get("spec") or {}).get("selector") or {}
    labels = pod["metadata"].get("labels") or {}
    taken = [key for key, value in (selector.get("matchLabels") or {}).items() if labels.get(key) != value]
    if former.kind == "Deployment" and _HASH not in labels:
        taken.append(_HASH)
    if not taken:
        return finding
    key = taken[0]
    owners = field_managers.owners(pod, ("metadata", "labels", Key(key))) if key in labels else []
    writer = owners[0] if owners else None
    how = f"is {labels[key]} now" if key in labels else "was taken off"
    note = f"was a pod of {former} until its label {key} {'changed: it ' if key in labels else ''}{how}"
    return replace(
        finding, note="; ".join(filter(None, (note, finding.note))),
        manager=writer.manager if writer else None, when=writer.when if writer else finding.when,
    )  # fmt: skip


def _by_length(ref: ObjectRef) -> int:
    return len(ref.name)


def _named(name: str) -> Item:
    return Item(("name",), (name,))
