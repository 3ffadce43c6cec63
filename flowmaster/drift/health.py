"""Whether what runs works: the pods of declared workloads, and what their controllers say about them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flowmaster.cluster.defaults import Body
from flowmaster.cluster.field_managers import moment
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef

WORKLOADS = frozenset({"Deployment", "StatefulSet", "DaemonSet"})
STARTING = timedelta(seconds=30)
"""How long a container may take to become ready for the first time before it counts as unready."""
SETTLED = timedelta(seconds=30)
"""How long a container has to run after several crashes before it counts as recovered."""
CRASHES = 3
"""Restarts from which a container that has only just been started again counts as crashing."""

_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
_WAITING_NORMALLY = frozenset({"ContainerCreating", "PodInitializing", ""})


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with one pod: `place` is the container, or empty for the pod as a whole."""

    place: str
    words: str
    since: datetime | None


def findings(refs: Iterable[ObjectRef], live: LiveState, masker: Masker, now: datetime | None = None) -> list[Finding]:
    """One finding for each container that fails, or for a workload that has fewer pods than it should.

    A rollout that goes on as it should is no finding, nor is a workload that is scaled to nothing.
    """
    now = now or datetime.now(UTC)
    if "Pod" in live.unread:
        return []
    pods = by_workload(live)
    found: list[Finding] = []
    for ref in refs:
        body = live.objects.get(ref)
        if ref.kind in WORKLOADS and body is not None and _wanted(body):
            found += _workload(ref, body, pods.get(ref, []), masker, now)
    return found


def ill(refs: Iterable[ObjectRef], live: LiveState, now: datetime | None = None) -> list[ObjectRef]:
    """The Deployments among the declared objects whose pods do not run, other than because they have only begun to."""
    found = findings((ref for ref in refs if ref.kind == "Deployment"), live, Masker(), now)
    return sorted({finding.object for finding in found})


def _workload(ref: ObjectRef, body: Body, pods: list[Body], masker: Masker, now: datetime) -> list[Finding]:
    wanted, desired = _wanted(body), "running"
    grouped: dict[tuple[str, str], list[Trouble]] = {}
    for pod in pods:
        for trouble in _troubles(pod, now):
            reason = trouble.words.split(":", 1)[0]
            grouped.setdefault((trouble.place, reason), []).append(trouble)
    found = []
    for (place, _), troubles in sorted(grouped.items()):
        worst = max(troubles, key=lambda trouble: len(trouble.words))
        since = min((trouble.since for trouble in troubles if trouble.since), default=None)
        path = f"pods.containers[{place}]" if place else "pods"
        note = f"{len(troubles)} of {wanted} pods" if wanted > 1 else ""
        words = masker.text(worst.words)
        found.append(
            Finding(FindingClass.UNHEALTHY, ref, path, Change.STATE, words, desired, when=since, note=note)
        )  # fmt: skip
    if found:
        return found
    stuck = _stuck(body)
    if stuck:
        words = masker.text(stuck)
        return [Finding(FindingClass.UNHEALTHY, ref, "status", Change.STATE, words, f"{wanted} available")]
    available = int((body.get("status") or {}).get("availableReplicas") or 0)
    if available < wanted and not _progressing(body, now) and not _starting(pods, now):
        return [
            Finding(
                FindingClass.UNHEALTHY, ref, "status.availableReplicas", Change.STATE, available, wanted,
                when=_condition(body, "Available", now)[1],
            )
        ]  # fmt: skip
    return []


def _wanted(body: Body) -> int:
    if body["kind"] == "DaemonSet":
        return int((body.get("status") or {}).get("desiredNumberScheduled") or 0)
    replicas = (body.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def by_workload(live: LiveState) -> dict[ObjectRef, list[Body]]:
    """The pods of each workload. A ReplicaSet is named after its Deployment and the hash that its pods carry."""
    found: dict[ObjectRef, list[Body]] = {}
    for ref, pod in live.of("Pod"):
        metadata = pod["metadata"]
        if metadata.get("deletionTimestamp"):
            continue
        for owner in metadata.get("ownerReferences") or ():
            kind, name = owner.get("kind"), str(owner.get("name"))
            if kind == "ReplicaSet":
                generated = (metadata.get("labels") or {}).get("pod-template-hash", "")
                kind, name = "Deployment", name.removesuffix(f"-{generated}")
            found.setdefault(ObjectRef(str(kind), ref.namespace, name), []).append(pod)
    return found


def _troubles(pod: Body, now: datetime) -> Iterator[Trouble]:
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        # Left over; its controller has replaced it, or says that it could not.
        return
    failing = False
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        words = _failure(container, now)
        if words:
            failing = True
            yield Trouble(str(container["name"]), words, _since(container))
    if failing:
        return
    scheduled = _pod_condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        since = moment(scheduled.get("lastTransitionTime"))
        yield Trouble("", f"Unschedulable: {scheduled.get('message', '')}", since)
        return
    for container in status.get("containerStatuses") or ():
        started = moment(((container.get("state") or {}).get("running") or {}).get("startedAt"))
        if started is None or container.get("ready"):
            continue
        ready = _pod_condition(pod, "Ready")
        changed = moment(ready.get("lastTransitionTime"))
        was_ready = changed is not None and changed > started + timedelta(seconds=1)
        if was_ready or now - started > STARTING:
            yield Trouble(str(container["name"]), "not ready: its readiness probe fails", changed or started)


def _failure(container: dict[str, Any], now: datetime) -> str:
    """What a container fails with, or nothing."""
    state, restarts = container.get("state") or {}, int(container.get("restartCount") or 0)
    last = (container.get("lastState") or {}).get("terminated") or {}
    if waiting := state.get("waiting"):
        reason = str(waiting.get("reason") or "")
        if reason in _WAITING_NORMALLY:
            return ""
        if reason == "CrashLoopBackOff":
            return f"{reason}: {_end(last)}, {_times(restarts)}"
        message = " ".join(str(waiting.get("message") or "").split())
        if reason in _NO_IMAGE:
            # The reason comes last in a long chain that names the image again and again.
            message = f"{container.get('image')}: {message.rpartition(': ')[2]}"
        return f"{reason}: {message}".rstrip(": ")
    if ended := state.get("terminated"):
        return f"crashed: {_end(ended)}, {_times(restarts)}" if ended.get("exitCode") else ""
    started = moment((state.get("running") or {}).get("startedAt"))
    if last.get("exitCode") and restarts >= CRASHES and started is not None and now - started < SETTLED:
        return f"crashes again and again: {_end(last)}, {_times(restarts)}"
    return ""


def _end(terminated: dict[str, Any]) -> str:
    code, reason = terminated.get("exitCode"), terminated.get("reason")
    signal = f", signal {terminated['signal']}" if terminated.get("signal") else ""
    message = " ".join(str(terminated.get("message") or "").split())
    words = f"exit code {code}" + (f" ({reason}{signal})" if reason else signal)
    return f"{words}: {message[-200:]}" if message else words


def _times(restarts: int) -> str:
    return f"{restarts} restart{'' if restarts == 1 else 's'}"


def _since(container: dict[str, Any]) -> datetime | None:
    last = (container.get("lastState") or {}).get("terminated") or {}
    ended = (container.get("state") or {}).get("terminated") or {}
    return moment(ended.get("finishedAt") or last.get("finishedAt"))


def _stuck(body: Body) -> str:
    """What the controller says if it has given up."""
    for condition in (body.get("status") or {}).get("conditions") or ():
        failed = condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
        late = condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        if failed or late:
            return f"{condition.get('reason')}: {condition.get('message', '')}"
    return ""


def _progressing(body: Body, now: datetime) -> bool:
    """Whether a rollout is under way and within its deadline."""
    metadata, status, spec = body["metadata"], body.get("status") or {}, body.get("spec") or {}
    if int(status.get("observedGeneration") or 0) < int(metadata.get("generation") or 0):
        return True
    reason, updated = _condition(body, "Progressing", now)
    deadline = timedelta(seconds=int(spec.get("progressDeadlineSeconds") or 600))
    if reason and reason != "NewReplicaSetAvailable":
        return updated is None or now - updated < deadline
    return False


def _condition(body: Body, kind: str, _now: datetime) -> tuple[str, datetime | None]:
    for condition in (body.get("status") or {}).get("conditions") or ():
        if condition.get("type") == kind:
            latest = condition.get("lastUpdateTime") or condition.get("lastTransitionTime")
            return str(condition.get("reason") or ""), moment(latest)
    return "", None


def _starting(pods: list[Body], now: datetime) -> bool:
    """Whether a pod has only just been made, so that it is too early to say."""
    created = (moment(pod["metadata"].get("creationTimestamp")) for pod in pods)
    return any(at is not None and now - at < STARTING for at in created)


def _pod_condition(pod: Body, kind: str) -> dict[str, Any]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})
