"""Health of declared workloads: their pods, and the conditions that their controllers report."""

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
STARTUP_TIME = timedelta(seconds=30)
"""Time in which a new container may become ready before it counts as unhealthy."""
RECOVERY_TIME = timedelta(seconds=30)
"""Time that a container must run after crashes before it counts as recovered."""
CRASH_RESTARTS = 3
"""Restarts after which a container that just restarted counts as crashing."""

_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff"})
_WAITING_NORMALLY = frozenset({"ContainerCreating", "PodInitializing", ""})


@dataclass(frozen=True, slots=True)
class Problem:
    """A problem of one pod; `container` is empty if it concerns the whole pod."""

    container: str
    message: str
    since: datetime | None


def findings(refs: Iterable[ObjectRef], live: LiveState, masker: Masker, now: datetime | None = None) -> list[Finding]:
    """Return a finding for each failing container, and for each workload with too few available pods.

    A rollout in progress is not a finding, nor is a workload scaled to zero.
    """
    now = now or datetime.now(UTC)
    if "Pod" in live.unread:
        return []
    pods = by_workload(live)
    found: list[Finding] = []
    for ref in refs:
        body = live.objects.get(ref)
        if ref.kind in WORKLOADS and body is not None and _desired_replicas(body):
            found += _workload(ref, body, pods.get(ref, []), masker, now)
    return found


def ill(refs: Iterable[ObjectRef], live: LiveState, now: datetime | None = None) -> list[ObjectRef]:
    """The Deployments among the declared objects whose pods do not run, other than because they have only begun to."""
    found = findings((ref for ref in refs if ref.kind == "Deployment"), live, Masker(), now)
    return sorted({finding.object for finding in found})


def _workload(ref: ObjectRef, body: Body, pods: list[Body], masker: Masker, now: datetime) -> list[Finding]:
    desired, running = _desired_replicas(body), "running"
    grouped: dict[tuple[str, str], list[Problem]] = {}
    for pod in pods:
        for problem in _problems(pod, now):
            reason = problem.message.split(":", 1)[0]
            grouped.setdefault((problem.container, reason), []).append(problem)
    found = []
    for (container, _), problems in sorted(grouped.items()):
        worst = max(problems, key=lambda problem: len(problem.message))
        since = min((problem.since for problem in problems if problem.since), default=None)
        path = f"pods.containers[{container}]" if container else "pods"
        note = f"{len(problems)} of {desired} pods" if desired > 1 else ""
        text = masker.text(worst.message)
        found.append(
            Finding(FindingClass.UNHEALTHY, ref, path, Change.STATE, text, running, when=since, note=note)
        )  # fmt: skip
    if found:
        return found
    failure = _controller_failure(body)
    if failure:
        text = masker.text(failure)
        return [Finding(FindingClass.UNHEALTHY, ref, "status", Change.STATE, text, f"{desired} available")]
    available = int((body.get("status") or {}).get("availableReplicas") or 0)
    if available < desired and not _progressing(body, now) and not _starting(pods, now):
        return [
            Finding(
                FindingClass.UNHEALTHY, ref, "status.availableReplicas", Change.STATE, available, desired,
                when=_condition(body, "Available", now)[1],
            )
        ]  # fmt: skip
    return []


def _desired_replicas(body: Body) -> int:
    if body["kind"] == "DaemonSet":
        return int((body.get("status") or {}).get("desiredNumberScheduled") or 0)
    replicas = (body.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def by_workload(live: LiveState) -> dict[ObjectRef, list[Body]]:
    """Return the pods of each workload. A ReplicaSet's name is its Deployment's plus the hash in its pods' labels."""
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


def _problems(pod: Body, now: datetime) -> Iterator[Problem]:
    status = pod.get("status") or {}
    if status.get("phase") in ("Succeeded", "Failed"):
        # A finished pod: its controller has replaced it, or reports that it could not.
        return
    failing = False
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        words = _failure(container, now)
        if words:
            failing = True
            yield Problem(str(container["name"]), words, _since(container))
    if failing:
        return
    scheduled = _pod_condition(pod, "PodScheduled")
    if scheduled.get("status") == "False" and scheduled.get("reason") == "Unschedulable":
        since = moment(scheduled.get("lastTransitionTime"))
        yield Problem("", f"Unschedulable: {scheduled.get('message', '')}", since)
        return
    for container in status.get("containerStatuses") or ():
        started = moment(((container.get("state") or {}).get("running") or {}).get("startedAt"))
        if started is None or container.get("ready"):
            continue
        ready = _pod_condition(pod, "Ready")
        changed = moment(ready.get("lastTransitionTime"))
        was_ready = changed is not None and changed > started + timedelta(seconds=1)
        if was_ready or now - started > STARTUP_TIME:
            yield Problem(str(container["name"]), "not ready: its readiness probe fails", changed or started)


def _failure(container: dict[str, Any], now: datetime) -> str:
    """Describe a container's failure; empty if there is none."""
    state, restarts = container.get("state") or {}, int(container.get("restartCount") or 0)
    last = (container.get("lastState") or {}).get("terminated") or {}
    if waiting := state.get("waiting"):
        reason = str(waiting.get("reason") or "")
        if reason in _WAITING_NORMALLY:
            return ""
        if reason == "CrashLoopBackOff":
            return f"{reason}: {_exit_text(last)}, {_restarts_text(restarts)}"
        message = " ".join(str(waiting.get("message") or "").split())
        if reason in _NO_IMAGE:
            # The cause comes last in a chain that repeats the image.
            message = f"{container.get('image')}: {message.rpartition(': ')[2]}"
        return f"{reason}: {message}".rstrip(": ")
    if ended := state.get("terminated"):
        return f"crashed: {_exit_text(ended)}, {_restarts_text(restarts)}" if ended.get("exitCode") else ""
    started = moment((state.get("running") or {}).get("startedAt"))
    if last.get("exitCode") and restarts >= CRASH_RESTARTS and started is not None and now - started < RECOVERY_TIME:
        return f"keeps crashing: {_exit_text(last)}, {_restarts_text(restarts)}"
    return ""


def _exit_text(terminated: dict[str, Any]) -> str:
    code, reason = terminated.get("exitCode"), terminated.get("reason")
    signal = f", signal {terminated['signal']}" if terminated.get("signal") else ""
    message = " ".join(str(terminated.get("message") or "").split())
    words = f"exit code {code}" + (f" ({reason}{signal})" if reason else signal)
    return f"{words}: {message[-200:]}" if message else words


def _restarts_text(restarts: int) -> str:
    return f"{restarts} restart{'' if restarts == 1 else 's'}"


def _since(container: dict[str, Any]) -> datetime | None:
    last = (container.get("lastState") or {}).get("terminated") or {}
    ended = (container.get("state") or {}).get("terminated") or {}
    return moment(ended.get("finishedAt") or last.get("finishedAt"))


def _controller_failure(body: Body) -> str:
    """Return the controller's message if it gave up."""
    for condition in (body.get("status") or {}).get("conditions") or ():
        failed = condition.get("type") == "ReplicaFailure" and condition.get("status") == "True"
        late = condition.get("type") == "Progressing" and condition.get("reason") == "ProgressDeadlineExceeded"
        if failed or late:
            return f"{condition.get('reason')}: {condition.get('message', '')}"
    return ""


def _progressing(body: Body, now: datetime) -> bool:
    """Return whether a rollout is in progress and within its deadline."""
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
    """Return whether a pod was created so recently that it may still be starting."""
    created = (moment(pod["metadata"].get("creationTimestamp")) for pod in pods)
    return any(at is not None and now - at < STARTUP_TIME for at in created)


def _pod_condition(pod: Body, kind: str) -> dict[str, Any]:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return next((condition for condition in conditions if condition.get("type") == kind), {})
