"""Pods that do not work, and those that only look so for a moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import Finding, ObjectRef
from flowmaster.drift import health
from tests.unit.drift.server import NOW

WEB = ObjectRef("Deployment", "flowmaster", "web")
DONE = {"type": "Progressing", "status": "True", "reason": "NewReplicaSetAvailable"}


def stamp(seconds: float) -> str:
    """A time so many seconds ago."""
    return (NOW - timedelta(seconds=seconds)).isoformat()


def pod(container: dict[str, Any], age: float = 600, **status: Any) -> dict[str, Any]:
    """A pod of the Deployment with one container in that state."""
    owner = {"kind": "ReplicaSet", "name": "web-6d4cf56db6"}
    return {
        "kind": "Pod",
        "metadata": {
            "name": "web-6d4cf56db6-x", "labels": {"pod-template-hash": "6d4cf56db6"}, "ownerReferences": [owner],
            "creationTimestamp": stamp(age),
        },
        "spec": {"containers": [{"name": "web", "image": "localhost:30500/web:1"}]},
        "status": {"phase": "Running", "containerStatuses": [{"name": "web", "image": "x:1", **container}], **status},
    }  # fmt: skip


def found(*pods: dict[str, Any], available: int = 0, replicas: int = 1, **status: Any) -> list[Finding]:
    """What is said about a Deployment with these pods."""
    live = LiveState("https://x", "flowmaster")
    body: dict[str, Any] = {"kind": "Deployment", "metadata": {"generation": 3}, "spec": {"replicas": replicas}}
    body["status"] = {"observedGeneration": 3, "availableReplicas": available, "conditions": [DONE], **status}
    live.objects[WEB] = body
    for number, one in enumerate(pods):
        live.objects[ObjectRef("Pod", "flowmaster", f"web-{number}")] = one
    return health.findings([WEB], live, Masker(), NOW)


def running(seconds: float, **more: Any) -> dict[str, Any]:
    return {"state": {"running": {"startedAt": stamp(seconds)}}, **more}


CRASHED = {"exitCode": 1, "reason": "Error", "finishedAt": stamp(5), "message": "cannot\nconnect"}
KILLED = {"exitCode": 137, "reason": "OOMKilled", "finishedAt": stamp(5)}
WAITING = "CrashLoopBackOff"


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (pod({"state": {"waiting": {"reason": WAITING}}, "restartCount": 5, "lastState": {"terminated": CRASHED}}),
         "CrashLoopBackOff: exit code 1 (Error): cannot connect, 5 restarts"),
        (pod({"state": {"terminated": KILLED}, "restartCount": 1}), "crashed: exit code 137 (OOMKilled), 1 restart"),
        (pod(running(3, ready=True, restartCount=4, lastState={"terminated": CRASHED})),
         "keeps crashing: exit code 1 (Error): cannot connect, 4 restarts"),
        (pod({"state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off x:1: failed: not found"}}}),
         "ImagePullBackOff: x:1: not found"),
        (pod({"state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "x" not found'}}}),
         'CreateContainerConfigError: secret "x" not found'),
        (pod(running(300, ready=False)), "not ready: its readiness probe fails"),
        (pod(running(10, ready=False), conditions=[{"type": "Ready", "status": "False",
         "lastTransitionTime": stamp(2)}]), "not ready: its readiness probe fails"),
    ],
)  # fmt: skip
def test_a_container_that_fails(one: dict[str, Any], words: str) -> None:
    (finding,) = found(one)
    assert (finding.path, finding.live) == ("pods.containers[web]", words)


def test_a_pod_that_fits_nowhere() -> None:
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    (finding,) = found(pod({"state": {"waiting": {"reason": "ContainerCreating"}}}, conditions=[condition]))
    assert (finding.path, finding.live) == ("pods", "Unschedulable: 0/1 nodes")


def test_no_pod_at_all() -> None:
    (finding,) = found()
    assert (finding.path, finding.live, finding.declared) == ("status.availableReplicas", 0, 1)


def test_several_pods_that_fail_alike_are_one_finding() -> None:
    failing = pod({"state": {"waiting": {"reason": WAITING}}, "restartCount": 5, "lastState": {"terminated": CRASHED}})
    (finding,) = found(failing, failing, pod(running(900, ready=True)), replicas=3, available=1)
    assert finding.note == "2 of 3 pods"


def test_a_rollout_that_got_stuck() -> None:
    late = {"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded", "message": "timed out"}
    (finding,) = found(conditions=[late])
    assert finding.live == "ProgressDeadlineExceeded: timed out"


@pytest.mark.parametrize(
    "nothing",
    [
        lambda: found(pod(running(900, ready=True)), available=1),
        lambda: found(replicas=0),
        lambda: found(pod(running(5, ready=False), age=8)),
        lambda: found(pod({"state": {"waiting": {"reason": "ContainerCreating"}}}, age=5)),
        lambda: found(observedGeneration=2),
        lambda: found(conditions=[{**DONE, "reason": "ReplicaSetUpdated", "lastUpdateTime": stamp(60)}]),
        # Restarted four times, but it has run since: the restarts are over.
        lambda: found(pod(running(120, ready=True, restartCount=4, lastState={"terminated": CRASHED})), available=1),
        lambda: found(pod({"state": {"terminated": KILLED}}, phase="Failed"), available=1),
    ],
)
def test_nothing_to_say(nothing: Any) -> None:
    assert nothing() == []


def test_a_rollout_beyond_its_deadline_counts() -> None:
    slow = {**DONE, "reason": "ReplicaSetUpdated", "lastUpdateTime": stamp(700)}
    assert [finding.path for finding in found(conditions=[slow])] == ["status.availableReplicas"]


def test_pods_that_could_not_be_read_are_not_said_to_be_missing() -> None:
    live = LiveState("https://x", "flowmaster", unread={"Pod": "forbidden"})
    live.objects[WEB] = {"kind": "Deployment", "metadata": {}, "spec": {}}
    assert health.findings([WEB], live, Masker(), datetime.now(NOW.tzinfo)) == []
