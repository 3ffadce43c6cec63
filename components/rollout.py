"""Waiting until what was applied runs, and saying why where it does not.

One LIST of Deployments and one of Pods each half second serve all services. The provider would watch each object
by itself and settle each Service for ten seconds, and on failure does not say what the container printed last.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from config.errors import UserError
from config.settings import Settings

if TYPE_CHECKING:
    from components.flowmaster import FlowMaster

Json = Mapping[str, Any]
Get = Callable[[str, Mapping[str, Any]], Any]
"""``get(path, parameters)``: the answer of the API server, JSON decoded, or text where it is text."""

POLL_SECONDS = 0.5
FAILING_SECONDS = 30
"""When nothing makes progress any more and what is left fails, wait this long for it to recover."""
_NAMED = 5
_HOPELESS = frozenset(
    {"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CreateContainerConfigError", "CrashLoopBackOff"}
)


@dataclass(frozen=True, kw_only=True)
class Rollout:
    """How far one Deployment is."""

    name: str
    done: bool
    failing: bool = False
    reason: str = ""
    pod: str = ""
    container: str = ""
    restarted: bool = False


class RolloutError(UserError):
    """Pods that did not start in time."""


def ready(settings: Settings, flowmaster: FlowMaster) -> pulumi.Output[str]:
    """Resolves to a sentence once every service runs as declared; the update fails otherwise, with the reasons.

    In a preview nothing was applied, so nothing is waited for.
    """
    deployments = [service.deployment.metadata for service in flowmaster.services.values()]
    expected = {name: settings.release(name).replicas for name in flowmaster.services}
    sentence = (
        f"{sum(1 for n in expected.values() if n)} services run, {sum(1 for n in expected.values() if not n)} at 0"
    )

    async def wait(_: object) -> str:
        if not pulumi.runtime.is_dry_run():
            await asyncio.to_thread(_wait, settings, flowmaster)
        return sentence

    return pulumi.Output.all(*deployments).apply(wait)


def _wait(settings: Settings, flowmaster: FlowMaster) -> None:
    from drift.kubernetes.connection import connect

    with connect(settings.stack.cluster) as api:
        try:
            wait_for(
                api.get, settings.namespace, set(flowmaster.services), settings.stack.cluster.rollout_timeout, _say
            )
        except RolloutError as err:
            raise pulumi.RunError(str(err)) from None


def _say(text: str) -> None:
    pulumi.log.info(text, ephemeral=True)


def wait_for(
    get: Get,
    namespace: str,
    names: set[str],
    timeout: float,
    say: Callable[[str], None],
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> None:
    """Wait until all of the Deployments are rolled out.

    :param timeout: seconds for all of them together.
    :raises RolloutError: at the timeout, or earlier when all that is left has been failing for :data:`FAILING_SECONDS`.
    """
    started, failing_since, last = clock(), None, ""
    while True:
        rollouts = _look(get, namespace, names)
        open_ones = [rollout for rollout in rollouts if not rollout.done]
        if not open_ones:
            return
        now = clock()
        text = f"{len(names) - len(open_ones)} of {len(names)} services run"
        if text != last:
            say(text)
            last = text
        failing_since = (failing_since or now) if all(r.failing for r in open_ones) else None
        if now - started >= timeout or (failing_since is not None and now - failing_since >= FAILING_SECONDS):
            raise _failure(get, namespace, open_ones, now - started)
        sleep(POLL_SECONDS)


def _look(get: Get, namespace: str, names: set[str]) -> list[Rollout]:
    # resourceVersion=0 is answered from the API server's cache, without asking etcd
    parameters = {"resourceVersion": "0"}
    deployments = get(f"/apis/apps/v1/namespaces/{namespace}/deployments", parameters)["items"]
    pods = get(f"/api/v1/namespaces/{namespace}/pods", parameters)["items"]
    found = {d["metadata"]["name"]: d for d in deployments}
    return [rollout_of(name, found.get(name), pods) for name in sorted(names)]


def rollout_of(name: str, deployment: Json | None, pods: Sequence[Json]) -> Rollout:
    """How far a Deployment is, as `kubectl rollout status` judges it, and what is wrong with its newest pods."""
    if deployment is None:
        return Rollout(name=name, done=False, reason="not there yet")
    spec, status = deployment["spec"], deployment.get("status", {})
    wanted = spec.get("replicas", 1)
    seen = status.get("observedGeneration", 0) >= deployment["metadata"]["generation"]
    updated, total = status.get("updatedReplicas", 0), status.get("replicas", 0)
    if seen and updated >= wanted and total <= updated and status.get("availableReplicas", 0) >= updated:
        return Rollout(name=name, done=True)
    labels = spec["selector"].get("matchLabels", {})
    own = [p for p in pods if labels.items() <= (p["metadata"].get("labels") or {}).items()]
    own.sort(key=lambda pod: pod["metadata"]["creationTimestamp"], reverse=True)
    for pod in own:
        problem = _problem(name, pod)
        if problem:
            return problem
    return Rollout(name=name, done=False, reason=f"{status.get('availableReplicas', 0)} of {wanted} pods are ready")


def _problem(name: str, pod: Json) -> Rollout | None:
    pod_name = pod["metadata"]["name"]
    status = pod.get("status", {})
    for state in [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]:
        waiting = state.get("state", {}).get("waiting")
        if waiting and waiting.get("reason") in _HOPELESS:
            crashed = waiting["reason"] == "CrashLoopBackOff"
            ended = state.get("lastState", {}).get("terminated") or {}
            reason = (
                f"container {state['name']} crashes: exit code {ended.get('exitCode', '?')}"
                f" ({ended.get('reason', 'Error')}), {state.get('restartCount', 0)} restarts"
                if crashed
                else f"{waiting['reason']}: {waiting.get('message') or state.get('image', '')}"
            )
            return Rollout(
                name=name,
                done=False,
                failing=True,
                reason=reason,
                pod=pod_name,
                container=state["name"],
                restarted=crashed,
            )
    for condition in status.get("conditions", ()):
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return Rollout(name=name, done=False, failing=True, reason=condition.get("message", "unschedulable"))
    running = [s for s in status.get("containerStatuses", ()) if s.get("state", {}).get("running") and not s["ready"]]
    if running:
        return Rollout(name=name, done=False, reason="runs, but is not ready", pod=pod_name)
    return None


def _failure(get: Get, namespace: str, rollouts: Sequence[Rollout], seconds: float) -> RolloutError:
    first, *others = sorted(rollouts, key=lambda r: not r.failing)
    named = ", ".join(r.name for r in others[:_NAMED]) + (", ..." if others[_NAMED:] else "")
    also = f" (and {len(others)} more: {named})" if others else ""
    return RolloutError(
        f"Deployment/{first.name} does not run after {seconds:.0f} s{also}: {_one_line(first.reason)}",
        _evidence(get, namespace, first),
        "everything else was applied and keeps running; correct it and run `pulumi up` again, which goes on from here",
    )


def _evidence(get: Get, namespace: str, rollout: Rollout) -> str:
    """The last lines of a crashed container's log, or the newest warning about the pod."""
    if not rollout.pod:
        return ""
    try:
        if rollout.restarted:
            path = f"/api/v1/namespaces/{namespace}/pods/{rollout.pod}/log"
            log = get(path, {"container": rollout.container, "previous": "true", "tailLines": 5})
            return f"its last words: {_one_line(' | '.join(str(log).strip().splitlines()))}" if log else ""
        events = get(
            f"/api/v1/namespaces/{namespace}/events",
            {"fieldSelector": f"involvedObject.name={rollout.pod},type=Warning"},
        )["items"]
    except UserError:
        return ""
    if not events:
        return ""
    newest = max(events, key=lambda event: event.get("lastTimestamp") or event.get("eventTime") or "")
    return f"{newest.get('reason', 'Warning')}: {_one_line(newest.get('message', ''))}"


def _one_line(text: str, longest: int = 300) -> str:
    line = " ".join(text.split())
    return line if len(line) <= longest else line[: longest - 3] + "..."
