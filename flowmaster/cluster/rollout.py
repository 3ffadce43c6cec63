"""Waits for rollouts, and explains failures.

One LIST of Deployments and one of Pods each half second serve all services. The provider would watch each object
by itself and settle each Service for ten seconds, and on failure does not say what the container printed last.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.errors import UserError
from flowmaster.cluster.errors import UnreachableError
from flowmaster.compare.finding import ObjectRef

Json = Mapping[str, Any]
Get = Callable[[str, Mapping[str, Any]], Any]
"""``get(path, parameters)``: the answer of the API server, JSON decoded, or text where it is text."""

POLL_SECONDS = 0.5
FAILING_SECONDS = 30
"""When nothing makes progress any more and what is left fails, wait this long for it to recover."""
RECOVERY_SECONDS = 5
"""What is well again for less than this has not recovered: between two crashes a container runs for a moment."""
LOG_LINES = 5
_NAMED = 5
_HOPELESS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError", "CrashLoopBackOff"}
)


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How far one workload is."""

    name: str
    """As :func:`workload` calls it."""
    done: bool
    failing: bool = False
    """It will not run without somebody's help, as far as one look can tell."""
    reason: str = ""
    pod: str = ""
    container: str = ""
    crashed: bool = False
    """The container ended by itself, so that its log tells why."""

    @property
    def title(self) -> str:
        """`Kind/name`."""
        return self.name if "/" in self.name else f"Deployment/{self.name}"


class RolloutError(UserError):
    """Pods that did not start in time. ``others`` has what is said about each further service, by name."""

    def __init__(self, found: str, breaks: str, remedy: str, others: Mapping[str, str]) -> None:
        super().__init__(found, breaks, remedy)
        self.others = others


def wait_for(
    get: Get,
    namespace: str,
    services: Mapping[str, Json | None],
    timeout: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> list[Rollout]:
    """Wait until all of the Deployments are rolled out; returns those that are not, for which nobody waited.

    :param services: the Deployments by name, other workloads as `Kind/name`; one whose pods did not run already before
        the update is given as it was then. As long as nothing of it was changed, it is not waited for: it is not the
        update's failure.
    :param timeout: seconds for all of them together.
    :raises RolloutError: at the timeout, or earlier when all that is left has been failing for :data:`FAILING_SECONDS`.
    :raises UnreachableError: where the API server does not answer at the timeout; until then it may come back.
    """
    started, last, failing = clock(), "", _Failing()
    while True:
        try:
            rollouts, before = _look(get, namespace, services)
        except UnreachableError:
            if clock() - started >= timeout:
                raise
            sleep(POLL_SECONDS)
            continue
        open_ones = [rollout for rollout in rollouts if not rollout.done]
        if not open_ones:
            return before
        now = clock()
        text = f"{len(services) - len(open_ones) - len(before)} of {len(services)} services run"
        if text != last:
            say(text)
            last = text
        hopeless = failing.seconds(now, all(rollout.failing for rollout in open_ones)) >= FAILING_SECONDS
        if hopeless or now - started >= timeout:
            raise _failure(get, namespace, open_ones, now - started)
        sleep(POLL_SECONDS)


@dataclass
class _Failing:
    """For how long there is no hope."""

    since: float | None = None
    last: float = 0.0

    def seconds(self, now: float, failing: bool) -> float:
        """Seconds without hope until now; 0 while there is some."""
        if failing:
            self.since = now if self.since is None else self.since
            self.last = now
            return now - self.since
        if now - self.last >= RECOVERY_SECONDS:
            self.since = None
        return 0.0


def _look(get: Get, namespace: str, services: Mapping[str, Json | None]) -> tuple[list[Rollout], list[Rollout]]:
    """How far the Deployments are: those that count, and those that were ill before and still are."""
    # resourceVersion=0 is answered from the API server's cache, without asking etcd
    parameters = {"resourceVersion": "0"}
    deployments = get(f"/apis/apps/v1/namespaces/{namespace}/deployments", parameters)["items"]
    pods = get(f"/api/v1/namespaces/{namespace}/pods", parameters)["items"]
    found = {d["metadata"]["name"]: d for d in deployments}
    for kind in sorted({name.partition("/")[0] for name in services if "/" in name}):
        items = get(f"/apis/apps/v1/namespaces/{namespace}/{kind.lower()}s", parameters)["items"]
        found |= {f"{kind}/{item['metadata']['name']}": item for item in items}
    rollouts = [_judge(name)(name, found.get(name), pods) for name in sorted(services)]
    before = [r for r in rollouts if not r.done and _untouched(services[r.name], found.get(r.name))]
    return [rollout for rollout in rollouts if rollout not in before], before


def _untouched(before: Json | None, now: Json | None) -> bool:
    """Whether a Deployment is the one that it was, where it is known what that was."""
    if before is None or now is None:
        return False
    return bool((before["metadata"]["uid"], before["spec"]) == (now["metadata"]["uid"], now["spec"]))


def workload(ref: ObjectRef) -> str:
    """What a workload is called here: a Deployment by its name alone, any other one as `Kind/name`."""
    return ref.name if ref.kind == "Deployment" else str(ref)


def _judge(name: str) -> Callable[[str, Json | None, Sequence[Json]], Rollout]:
    return {"StatefulSet": stateful_set, "DaemonSet": daemon_set}.get(name.partition("/")[0], rollout_of)


def stateful_set(name: str, body: Json | None, pods: Sequence[Json]) -> Rollout:
    """How far a StatefulSet is, as `kubectl rollout status` judges it; one that rolls on delete only is done."""
    if body is None:
        return Rollout(name=name, done=False, reason="not there yet")
    spec, status = body["spec"], body.get("status", {})
    strategy, wanted = spec.get("updateStrategy", {}), spec.get("replicas", 1)
    updated = wanted - min(wanted, (strategy.get("rollingUpdate") or {}).get("partition", 0))
    if strategy.get("type") == "OnDelete":
        updated = 0
    available = status.get("availableReplicas", 0)
    return _of_counts(name, body, pods, available, wanted, status.get("updatedReplicas", 0) >= updated)


def daemon_set(name: str, body: Json | None, pods: Sequence[Json]) -> Rollout:
    """How far a DaemonSet is, as `kubectl rollout status` judges it; one that rolls on delete only is done."""
    if body is None:
        return Rollout(name=name, done=False, reason="not there yet")
    status = body.get("status", {})
    wanted = status.get("desiredNumberScheduled", 0)
    on_delete = body["spec"].get("updateStrategy", {}).get("type") == "OnDelete"
    updated = on_delete or status.get("updatedNumberScheduled", 0) >= wanted
    return _of_counts(name, body, pods, status.get("numberAvailable", 0), wanted, updated)


def _of_counts(name: str, body: Json, pods: Sequence[Json], available: int, wanted: int, updated: bool) -> Rollout:
    seen = body.get("status", {}).get("observedGeneration", 0) >= body["metadata"]["generation"]
    if seen and updated and available >= wanted:
        return Rollout(name=name, done=True)
    found = (_problem(name, pod) for pod in _newest(body["spec"]["selector"].get("matchLabels", {}), pods))
    waiting = Rollout(name=name, done=False, reason=f"{available} of {wanted} pods are ready")
    return next((problem for problem in found if problem), waiting)


def rollout_of(name: str, deployment: Json | None, pods: Sequence[Json]) -> Rollout:
    """How far a Deployment is, as `kubectl rollout status` judges it, and what is wrong with its newest pods."""
    if deployment is None:
        return Rollout(name=name, done=False, reason="not there yet")
    spec, status = deployment["spec"], deployment.get("status", {})
    wanted = spec.get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    available = status.get("availableReplicas", 0)
    if seen and updated >= wanted and total <= updated and available >= updated:
        return Rollout(name=name, done=True)
    if seen and spec.get("paused") and available >= wanted:
        # No pod gets the new template before somebody resumes it: those that there are are all that will be.
        return Rollout(name=name, done=True)
    for condition in status.get("conditions", ()):
        if seen and condition["type"] == "ReplicaFailure" and condition["status"] == "True":
            return Rollout(name=name, done=False, failing=True, reason=condition.get("message", "no pod can be made"))
    for pod in _newest(spec["selector"].get("matchLabels", {}), pods):
        problem = _problem(name, pod)
        if problem:
            return problem
    return Rollout(name=name, done=False, reason=f"{available} of {wanted} pods are ready")


def _newest(labels: Mapping[str, str], pods: Sequence[Json]) -> list[Json]:
    """The pods of the newest template that are to stay, newest first: what older ones lack is no concern any more."""
    own = [
        pod
        for pod in pods
        if labels.items() <= (pod["metadata"].get("labels") or {}).items()
        and not pod["metadata"].get("deletionTimestamp")
    ]
    own.sort(key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)
    return [pod for pod in own if _template(pod) == _template(own[0])]


def _template(pod: Json) -> str | None:
    labels = pod["metadata"].get("labels") or {}
    found: str | None = labels.get("pod-template-hash") or labels.get("controller-revision-hash")
    return found


def _problem(name: str, pod: Json) -> Rollout | None:
    """What keeps a pod from being ready, where that can be told; None where it is merely on its way."""
    pod_name, status = pod["metadata"]["name"], pod.get("status", {})
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Rollout(name=name, done=False, failing=True, reason=condition.get("message", "unschedulable"))
    for state in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        reason, crashed = _hopeless(state)
        if reason:
            container = state["name"]
            return Rollout(
                name=name, done=False, failing=True, reason=reason, pod=pod_name, container=container, crashed=crashed
            )
    for state in status.get("containerStatuses", ()):
        if "running" in state.get("state", {}) and not state["ready"]:
            return Rollout(
                name=name, done=False, reason=f"container {state['name']} runs, but is not ready", pod=pod_name
            )
    return None


def _hopeless(state: Json) -> tuple[str, bool]:
    """Why a container will not start by itself, and whether it ended by itself; no reason where it may yet start."""
    now = state.get("state", {})
    waiting, ended = now.get("waiting") or {}, now.get("terminated")
    if waiting.get("reason") == "CrashLoopBackOff":
        ended = state.get("lastState", {}).get("terminated") or {}
    elif waiting.get("reason") in _HOPELESS:
        return f"{waiting['reason']}: {waiting.get('message') or state.get('image', '')}", False
    if ended is None or ended.get("exitCode") == 0:
        return "", False
    again = state.get("restartCount", 0)
    return (
        f"container {state['name']} crashes: exit code {ended.get('exitCode', '?')} ({ended.get('reason', 'Error')}),"
        f" started again {again} {'time' if again == 1 else 'times'}"
    ), True


def _failure(get: Get, namespace: str, rollouts: Sequence[Rollout], seconds: float) -> RolloutError:
    first, *others = sorted(rollouts, key=lambda r: not r.failing)
    named = ", ".join(r.name for r in others[:_NAMED]) + (", ..." if others[_NAMED:] else "")
    also = f" (and {len(others)} more: {named})" if others else ""
    return RolloutError(
        f"{first.title} does not run after {seconds:.0f} s{also}: {_one_line(first.reason)}",
        _evidence(get, namespace, first),
        "everything else was applied and keeps running; correct it and run `pulumi up` again, which goes on from here",
        {rollout.name: "\n".join(_about(get, namespace, rollout)) for rollout in others[:_NAMED]},
    )


def _about(get: Get, namespace: str, rollout: Rollout) -> Iterator[str]:
    yield f"does not run: {_one_line(rollout.reason)}"
    evidence = _evidence(get, namespace, rollout)
    if evidence:
        yield evidence


def _evidence(get: Get, namespace: str, rollout: Rollout) -> str:
    """The last lines of a crashed container's log, or the newest warning about the pod."""
    if not rollout.pod:
        return ""
    try:
        words = _last_words(get, namespace, rollout) if rollout.crashed else ""
        return words or _newest_warning(get, namespace, rollout.pod)
    except UserError:
        return ""


def _last_words(get: Get, namespace: str, rollout: Rollout) -> str:
    path = f"/api/v1/namespaces/{namespace}/pods/{rollout.pod}/log"
    # Where it was started again just now, only the run before has said something.
    for previous in ("false", "true"):
        log = get(path, {"container": rollout.container, "previous": previous, "tailLines": LOG_LINES})
        if log:
            return f"its last words: {_one_line(' | '.join(str(log).strip().splitlines()))}"
    return ""


def _newest_warning(get: Get, namespace: str, pod: str) -> str:
    selector = {"fieldSelector": f"involvedObject.name={pod},type=Warning"}
    events = get(f"/api/v1/namespaces/{namespace}/events", selector)["items"]
    if not events:
        return ""
    newest = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return f"{newest.get('reason', 'Warning')}: {_one_line(newest.get('message', ''))}"


def _one_line(text: str, longest: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 3] + "..."
