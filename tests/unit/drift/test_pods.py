"""Pods that are not what their template says: told once, with who; what admission set at their start is silent."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from config.rules import Rule
from flowmaster.compare.finding import ABSENT, Action, Finding, FindingClass
from flowmaster.compare.path import Item, Key
from flowmaster.compare.path import Path as FieldPath
from flowmaster.heal.approval import changes_since
from flowmaster.report import as_json
from tests.unit.drift.server import Server, named, ref

MAIN: FieldPath = ("spec", "containers", Item(("name",), ("web",)))
POD = "web-6d4-x"
UNDO = f"undone by `kubectl delete pod {POD}`"
TEMPLATE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web", "tier": "front", "pod-template-hash": "6d4"}},
    "spec": {"containers": [{"name": "web", "image": "web:1", "resources": {"limits": {"memory": "1Gi"}}}]},
}
DRIFT, FOREIGN = FindingClass.DRIFT, FindingClass.FOREIGN


def owner(kind: str, name: str, uid: str = "1") -> list[dict[str, Any]]:
    return [{"apiVersion": "apps/v1", "kind": kind, "name": name, "uid": uid, "controller": True}]


def running(kind: str = "ReplicaSet", name: str = "web-6d4", **labels: str) -> Server:
    """A server on which the Deployment `web`, or another workload, has one pod."""
    server = Server()
    labels = {**TEMPLATE["metadata"]["labels"], **labels}
    metadata = {"name": POD, "generateName": "web-6d4-", "labels": labels, "ownerReferences": owner(kind, name)}
    spec = {**copy.deepcopy(TEMPLATE["spec"]), "nodeName": "n", "tolerations": [{"key": "x"}], "priority": 0}
    created = {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": {"phase": "Running"}}
    server.create(created, "kube-controller-manager")
    replica_set = {
        "kind": "ReplicaSet", "apiVersion": "apps/v1", "spec": {"replicas": 0, "template": copy.deepcopy(TEMPLATE)},
        "metadata": {"name": "web-6d4", "ownerReferences": owner("Deployment", "web", uid_of(server))},
    }  # fmt: skip
    server.create(replica_set, "kube-controller-manager")
    server.live.derived[ref("ReplicaSet/web-6d4")] = server.live.objects.pop(ref("ReplicaSet/web-6d4"))
    entries = server.live.objects[ref(f"Pod/{POD}")]["metadata"]["managedFields"]
    entries[0] |= {"time": "2026-11-23T10:00:00+00:00", "fieldsV1": {"f:spec": {"f:containers": {}}}}
    return server


def uid_of(server: Server) -> str:
    return str(server.live.objects[ref("Deployment/web")]["metadata"]["uid"])


def change(path: FieldPath, value: Any, manager: str = "kubectl-set") -> Callable[[Server], None]:
    return lambda server: server.set(f"Pod/{POD}", path, value, manager)


def told(finding: Finding) -> tuple[Any, ...]:
    return (finding.cls, str(finding.object), finding.path, finding.live, finding.declared, finding.manager)


LIMIT = (*MAIN, "resources", "limits", "memory")
DEBUGGER = {"name": "dbg", "image": "debug:1", "tty": True, "command": ["sh", "--token", "abc123def"]}
ROWS = {
    "image": (change((*MAIN, "image"), "web:2"), DRIFT, "containers[web].image", "web:2", "web:1"),
    "resized": (change(LIMIT, "2Gi"), DRIFT, "containers[web].resources.limits[memory]", "2Gi", "1Gi"),
    "request added": (
        change((*MAIN, "resources", "requests", "cpu"), "1"), FOREIGN, "containers[web].resources.requests[cpu]",
        "1", ABSENT,
    ),
    "deadline": (change(("spec", "activeDeadlineSeconds"), 60), FOREIGN, "activeDeadlineSeconds", 60, ABSENT),
    "ephemeral container": (
        change(("spec", "ephemeralContainers", named("dbg")), DEBUGGER), FOREIGN, "ephemeralContainers[dbg]",
        {"name": "dbg", "image": "debug:1", "command": ["sh", "--token", "(secret, 9 bytes)"]}, ABSENT,
    ),
    "label added": (
        change(("metadata", "labels", Key("team")), "blue"), FOREIGN, "metadata.labels[team]", "blue", ABSENT
    ),
    "label changed": (
        change(("metadata", "labels", Key("tier")), "back"), DRIFT, "metadata.labels[tier]", "back", "front"
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_what_somebody_changed_of_a_pod_is_told_once_and_left(row: tuple[Any, ...]) -> None:
    by_hand, cls, path, live, declared = row
    server = running()
    assert server.findings() == []
    by_hand(server)
    [finding] = server.findings()
    assert told(finding) == (cls, "Deployment/web", f"pods[{POD}].{path}", live, declared, "kubectl-set")
    assert (finding.action, finding.note) == (Action.REPORT, UNDO)
    assert server.report().exit_code == 4


def test_a_label_taken_off_has_nobodys_name() -> None:
    server = running()
    change(("metadata", "labels", Key("tier")), ABSENT)(server)
    [finding] = server.findings()
    assert told(finding) == (DRIFT, "Deployment/web", f"pods[{POD}].metadata.labels[tier]", ABSENT, "front", None)


def test_no_rule_promises_to_heal_a_pod_but_one_may_ignore_it() -> None:
    server = running()
    change((*MAIN, "image"), "web:2")(server)
    server.rules = (Rule(path="pods[*].containers[*].image", action=Action.HEAL),)
    assert [finding.action for finding in server.findings()] == [Action.REPORT]
    server.rules = (Rule(path="pods[*]", manager="kubectl-set", action=Action.IGNORE),)
    assert server.findings() == []


@pytest.mark.parametrize(
    "by_nature",
    [
        change((*MAIN, "image"), "web:1@sha256:0", "kube-controller-manager"),
        change(LIMIT, "2Gi", "vpa-updater"),
        change(LIMIT, "1024Mi", "kubectl-patch"),
        change(("metadata", "labels", Key("role")), "primary", "Patroni"),
    ],
    ids=["digest by admission", "an autoscaler", "the same in other words", "a label by the program in the pod"],
)
def test_what_a_healthy_cluster_does_to_pods_is_no_finding(by_nature: Callable[[Server], None]) -> None:
    server = running()
    by_nature(server)
    assert server.findings() == []


def test_an_ephemeral_container_that_has_ended_is_said_to_have() -> None:
    server = running()
    change(("spec", "ephemeralContainers", named("dbg")), DEBUGGER)(server)
    ended = {"name": "dbg", "state": {"terminated": {"exitCode": 0}}}
    server.live.objects[ref(f"Pod/{POD}")]["status"]["ephemeralContainerStatuses"] = [ended]
    assert [finding.note for finding in server.findings()] == [f"has ended; {UNDO}"]


def test_a_pod_changed_by_hand_is_not_part_of_an_approval() -> None:
    server = running()
    before = server.report()
    change((*MAIN, "image"), "web:2")(server)
    after = server.report()
    assert before.fingerprint == after.fingerprint
    server.set("Deployment/web", ("metadata", "labels", Key("team")), "blue")
    lines = changes_since(as_json.document(after), as_json.document(server.report()))
    assert lines == ["new: foreign Deployment/web metadata.labels[team]: blue"]


@pytest.mark.parametrize("unknown", ["revision", "not observed", "no ReplicaSet"])
def test_a_pod_whose_template_is_not_known_for_certain_is_not_compared(unknown: str) -> None:
    if unknown == "no ReplicaSet":
        server = running()
        server.live.derived.clear()
    else:
        server = running("StatefulSet", "store", **{"controller-revision-hash": "store-2"})
        status = server.live.objects[ref("StatefulSet/store")].setdefault("status", {})
        status |= {"updateRevision": "store-2", "observedGeneration": 0 if unknown == "not observed" else 99}
        status |= {"updateRevision": "store-3"} if unknown == "revision" else {}
    change((*MAIN, "image"), "web:2")(server)
    assert server.findings() == []


def test_a_pod_of_a_stateful_set_is_compared_with_its_template() -> None:
    server = running("StatefulSet", "store", **{"controller-revision-hash": "store-2"})
    store = server.live.objects[ref("StatefulSet/store")]
    store["status"] = {"updateRevision": "store-2", "observedGeneration": 99, "availableReplicas": 9}
    pod = server.live.objects[ref(f"Pod/{POD}")]
    pod["metadata"]["labels"] = copy.deepcopy(store["spec"]["template"]["metadata"]["labels"]) | {
        "controller-revision-hash": "store-2"
    }
    pod["spec"]["containers"] = copy.deepcopy(store["spec"]["template"]["spec"]["containers"])
    name = pod["spec"]["containers"][0]["name"]
    assert server.findings() == []
    change(("spec", "containers", named(name), "image"), "other:1")(server)
    assert [finding.path for finding in server.findings()] == [f"pods[{POD}].containers[{name}].image"]


@pytest.mark.parametrize(("value", "how"), [("other", "changed: it is other now"), (ABSENT, "was taken off")])
def test_a_pod_let_loose_is_told_with_whose_it_was(value: Any, how: str) -> None:
    server = running()
    del server.live.objects[ref(f"Pod/{POD}")]["metadata"]["ownerReferences"]
    change(("metadata", "labels", Key("app")), value, "kubectl-label")(server)
    [finding] = server.findings()
    assert (finding.cls, str(finding.object), finding.action) == (FOREIGN, f"Pod/{POD}", Action.REPORT)
    assert finding.note == f"was a pod of Deployment/web until its label app {how}"
    assert finding.manager == (None if value is ABSENT else "kubectl-label")


def test_a_pod_let_loose_may_still_get_traffic() -> None:
    server = running()
    del server.live.objects[ref(f"Pod/{POD}")]["metadata"]["ownerReferences"]
    change(("metadata", "labels", Key("pod-template-hash")), ABSENT)(server)
    [finding] = server.findings()
    assert finding.note.startswith(
        "was a pod of Deployment/web until its label pod-template-hash was taken off; gets tra"
    )


def test_a_replica_set_that_somebody_scaled_is_told_and_one_of_a_rollout_is_not() -> None:
    server = running()
    found = server.live.derived[ref("ReplicaSet/web-6d4")]
    found["spec"]["replicas"] = 3
    for manager, count in (("kube-controller-manager", 0), ("kubectl", 1)):
        found["metadata"]["managedFields"][0] |= {"manager": manager, "fieldsV1": {"f:spec": {"f:replicas": {}}}}
        assert len(server.findings()) == count
    [finding] = server.findings()
    path = "replicaSets[web-6d4].spec.replicas"
    assert told(finding) == (DRIFT, "Deployment/web", path, 3, 0, "kubectl")
    assert finding.action is Action.REPORT
