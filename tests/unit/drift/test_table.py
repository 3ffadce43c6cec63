"""Every row of the table of drift that plain data allows: one change, exactly one finding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from flowmaster.compare.finding import ABSENT, Action, Finding, FindingClass
from flowmaster.compare.path import Item
from tests.unit.drift.server import CONTAINER, POD, Server, named

WEB = "Deployment/web"
TEMPLATE = "spec.template.spec."
MAIN = f"{TEMPLATE}containers[web]"
DRIFT, FOREIGN, PENDING, CONFLICT = (
    FindingClass.DRIFT,
    FindingClass.FOREIGN,
    FindingClass.PENDING,
    FindingClass.CONFLICT,
)
SIDECAR = {"name": "sidecar", "image": "localhost:30500/x:1", "resources": {}, "imagePullPolicy": "IfNotPresent"}


@dataclass(frozen=True)
class Row:
    """A change by hand, and the one finding that it has to give."""

    change: Callable[[Server], None]
    cls: FindingClass
    object: str
    path: str
    live: Any
    declared: Any
    manager: str | None = "kubectl-edit"
    action: Action = Action.HEAL


def setting(where: str, path: tuple[Any, ...], value: Any, manager: str = "kubectl-edit") -> Callable[[Server], None]:
    """A change of one field."""
    return lambda server: server.set(where, path, value, manager)


def service_type(server: Server) -> None:
    """What the API makes of `type: NodePort`."""
    server.set("Service/web", ("spec", "type"), "NodePort")
    spec = server.live.objects[next(r for r in server.live.objects if str(r) == "Service/web")]["spec"]
    spec["externalTrafficPolicy"] = "Cluster"
    for port in spec["ports"]:
        port["nodePort"] = 30000 + port["port"] % 1000


def to_cluster_ip(server: Server) -> None:
    """What the API makes of an ExternalName that becomes a ClusterIP."""
    server.set("Service/postgres", ("spec", "type"), "ClusterIP")
    spec = server.live.objects[next(r for r in server.live.objects if str(r) == "Service/postgres")]["spec"]
    del spec["externalName"]
    spec |= {"clusterIP": "10.43.1.1", "clusterIPs": ["10.43.1.1"], "internalTrafficPolicy": "Cluster"}
    spec["ports"] = [{"port": 5432, "protocol": "TCP", "targetPort": 5432}]


def port_number(server: Server) -> None:
    """A Service port that gets another number."""
    keys = ("port", "protocol")
    before, after = (("spec", "ports", Item(keys, (number, "TCP")), "port") for number in (9000, 9001))
    server.set("Service/web", before, 9001, owned=after)


def conflict(server: Server) -> None:
    """The same field changed by hand and in the program."""
    server.set(WEB, (*CONTAINER, "image"), "localhost:30500/web:hand")
    server.program(WEB, (*CONTAINER, "image"), "localhost:30500/web:program")


def scale(server: Server, replicas: int, manager: str) -> None:
    """Other replicas, all of them available."""
    server.set(WEB, ("spec", "replicas"), replicas, manager)
    server.set(WEB, ("status", "availableReplicas"), replicas, "kube-controller-manager")


def env(name: str, value: str) -> dict[str, str]:
    return {"name": name, "value": value}


REFERRING = {"name": "LOG_LEVEL", "valueFrom": {"secretKeyRef": {"name": "keys", "key": "level"}}}
IMAGE = "localhost:30500/flowmaster/api-gateway:latest"
LONG = "x" * 5000
TEXT = "first\nsecond\nünïcödé \N{SNOWMAN}"
ROWS = {
    "image": Row(
        setting(WEB, (*CONTAINER, "image"), "localhost:30500/web:2", "kubectl-set"),
        DRIFT, WEB, f"{MAIN}.image", "localhost:30500/web:2", IMAGE, "kubectl-set",
    ),
    "replicas": Row(lambda server: scale(server, 3, "kubectl"), DRIFT, WEB, "spec.replicas", 3, 0, "kubectl"),
    "declared env changed": Row(
        setting(WEB, (*CONTAINER, "env", named("LOG_LEVEL"), "value"), "debug"),
        DRIFT, WEB, f"{MAIN}.env[LOG_LEVEL].value", "debug", "info",
    ),
    "env added": Row(
        setting(WEB, (*CONTAINER, "env", named("NEW")), env("NEW", "1")),
        FOREIGN, WEB, f"{MAIN}.env[NEW]", env("NEW", "1"), ABSENT,
    ),
    "env removed": Row(
        setting(WEB, (*CONTAINER, "env", named("LOG_LEVEL")), ABSENT),
        DRIFT, WEB, f"{MAIN}.env[LOG_LEVEL]", ABSENT, env("LOG_LEVEL", "info"), None,
    ),
    "env switched to a secret": Row(
        setting(WEB, (*CONTAINER, "env", named("LOG_LEVEL")), REFERRING),
        DRIFT, WEB, f"{MAIN}.env[LOG_LEVEL]", REFERRING, env("LOG_LEVEL", "info"),
    ),
    "multi-line unicode value": Row(
        setting(WEB, (*CONTAINER, "env", named("LOG_LEVEL"), "value"), TEXT),
        DRIFT, WEB, f"{MAIN}.env[LOG_LEVEL].value", TEXT, "info",
    ),
    "very long value": Row(
        setting(WEB, (*CONTAINER, "env", named("LOG_LEVEL"), "value"), LONG),
        DRIFT, WEB, f"{MAIN}.env[LOG_LEVEL].value", LONG, "info",
    ),
    "resources": Row(
        setting(WEB, (*CONTAINER, "resources", "limits", "memory"), "2Gi"),
        DRIFT, WEB, f"{MAIN}.resources.limits[memory]", "2Gi", "1024Mi",
    ),
    "probe": Row(
        setting(WEB, (*CONTAINER, "readinessProbe", "periodSeconds"), 50),
        DRIFT, WEB, f"{MAIN}.readinessProbe.periodSeconds", 50, 5,
    ),
    "probe removed": Row(
        setting(WEB, (*CONTAINER, "startupProbe"), ABSENT),
        DRIFT, WEB, f"{MAIN}.startupProbe", ABSENT, {"grpc": {"port": 9000, "service": ""}, "timeoutSeconds": 1,
        "periodSeconds": 10, "successThreshold": 1, "failureThreshold": 3}, None,
    ),
    "probe of another sort": Row(
        setting(WEB, (*CONTAINER, "livenessProbe"), {"exec": {"command": ["true"]}, "timeoutSeconds": 1}),
        DRIFT, WEB, f"{MAIN}.livenessProbe", {"exec": {"command": ["true"]}, "timeoutSeconds": 1},
        {"tcpSocket": {"port": 9000}, "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
        "failureThreshold": 3},
    ),
    "default overridden": Row(
        setting(WEB, (*CONTAINER, "readinessProbe", "failureThreshold"), 30),
        FOREIGN, WEB, f"{MAIN}.readinessProbe.failureThreshold", 30, ABSENT,
    ),
    "label changed": Row(
        setting(WEB, ("metadata", "labels", "app"), "other"), DRIFT, WEB, "metadata.labels[app]", "other", "web"
    ),
    "label added": Row(
        setting(WEB, ("metadata", "labels", "added"), "yes"), FOREIGN, WEB, "metadata.labels[added]", "yes", ABSENT
    ),
    "first label added": Row(
        setting("ConfigMap/settings", ("metadata", "labels", "added"), "yes"),
        FOREIGN, "ConfigMap/settings", "metadata.labels[added]", "yes", ABSENT,
    ),
    "annotation added": Row(
        setting(WEB, ("metadata", "annotations", "example.com/added"), ""),
        FOREIGN, WEB, "metadata.annotations[example.com/added]", "", ABSENT,
    ),
    "command": Row(
        setting(WEB, (*CONTAINER, "command"), ["/bin/sh"]), FOREIGN, WEB, f"{MAIN}.command", ["/bin/sh"], ABSENT
    ),
    "sidecar added": Row(
        setting(WEB, (*POD, "containers", named("sidecar")), SIDECAR),
        FOREIGN, WEB, f"{TEMPLATE}containers[sidecar]",
        {"name": "sidecar", "image": "localhost:30500/x:1", "imagePullPolicy": "IfNotPresent"}, ABSENT,
    ),
    "init container added": Row(
        setting(WEB, (*POD, "initContainers", named("sidecar")), SIDECAR),
        FOREIGN, WEB, f"{TEMPLATE}initContainers[sidecar]",
        {"name": "sidecar", "image": "localhost:30500/x:1", "imagePullPolicy": "IfNotPresent"}, ABSENT,
    ),
    "volume added": Row(
        setting(WEB, (*POD, "volumes", named("more")), {"name": "more", "emptyDir": {}}),
        FOREIGN, WEB, f"{TEMPLATE}volumes[more]", {"name": "more", "emptyDir": {}}, ABSENT,
    ),
    "node selector added": Row(
        setting(WEB, (*POD, "nodeSelector", "disk"), "ssd"),
        FOREIGN, WEB, f"{TEMPLATE}nodeSelector[disk]", "ssd", ABSENT,
    ),
    "image pull policy, undeclared": Row(
        setting(WEB, (*CONTAINER, "imagePullPolicy"), "Never"), FOREIGN, WEB, f"{MAIN}.imagePullPolicy", "Never", ABSENT
    ),
    "paused": Row(
        setting(WEB, ("spec", "paused"), True), FOREIGN, WEB, "spec.paused", True, ABSENT
    ),
    "Service port": Row(port_number, DRIFT, "Service/web", "spec.ports[9000/TCP].port", 9001, 9000),
    "Service port added": Row(
        setting("Service/web", ("spec", "ports", Item(("port", "protocol"), (1234, "TCP"))),
                {"port": 1234, "protocol": "TCP", "targetPort": 1234, "name": "extra"}),
        FOREIGN, "Service/web", "spec.ports[1234/TCP]",
        {"port": 1234, "protocol": "TCP", "targetPort": 1234, "name": "extra"}, ABSENT,
    ),
    "Service type": Row(service_type, FOREIGN, "Service/web", "spec.type", "NodePort", ABSENT),
    "Service selector": Row(
        setting("Service/web", ("spec", "selector", "app"), "other"),
        DRIFT, "Service/web", "spec.selector[app]", "other", "web",
    ),
    "Service deleted": Row(
        lambda server: server.delete("Service/web"),
        DRIFT, "Service/web", "", ABSENT, "ClusterIP 9000/TCP 9100/TCP", None,
    ),
    "Service with another ClusterIP": Row(
        setting("Service/pinned", ("spec", "clusterIP"), "10.43.9.9", "kubectl-create"),
        DRIFT, "Service/pinned", "spec.clusterIP", "10.43.9.9", "10.43.200.7", "kubectl-create",
    ),
    "externalName": Row(
        setting("Service/postgres", ("spec", "externalName"), "evil.example.com"),
        DRIFT, "Service/postgres", "spec.externalName", "evil.example.com", "postgres.databases.svc.cluster.local",
    ),
    "ExternalName into ClusterIP": Row(
        to_cluster_ip, DRIFT, "Service/postgres", "spec.type",
        "ClusterIP 5432/TCP", "ExternalName postgres.databases.svc.cluster.local",
    ),
    "Deployment deleted": Row(
        lambda server: server.delete("Deployment/plain"),
        DRIFT, "Deployment/plain", "", ABSENT, "image localhost:30500/flowmaster/frontend, 0 replicas", None,
    ),
    "namespace deleted": Row(
        lambda server: server.live.objects.clear(),
        DRIFT, "Namespace/specimens", "", ABSENT, "13 objects", None,
    ),
    "ConfigMap data": Row(
        setting("ConfigMap/settings", ("data", "LOG_LEVEL"), "trace"),
        DRIFT, "ConfigMap/settings", "data[LOG_LEVEL]", "trace", "info",
    ),
    "Secret data": Row(
        setting("Secret/keys", ("data", "JWT_SECRET"), "aGFja2VkIQ=="),
        DRIFT, "Secret/keys", "data[JWT_SECRET]", "(secret, 7 bytes, changed)", "(secret, 28 bytes)",
    ),
    "Secret data added": Row(
        setting("Secret/keys", ("data", "MORE"), "aGFja2VkIQ=="),
        FOREIGN, "Secret/keys", "data[MORE]", "(secret, 7 bytes)", ABSENT,
    ),
    "Secret deleted": Row(
        lambda server: server.delete("Secret/keys"),
        DRIFT, "Secret/keys", "", ABSENT, "2 keys: API_KEY, JWT_SECRET", None,
    ),
    "foreign Deployment": Row(
        lambda server: server.create({"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"template": {"spec": {
            "containers": [{"name": "x", "image": "y:1"}]}}}}),
        FOREIGN, "Deployment/x", "", "image y:1", ABSENT, "kubectl-create", Action.REPORT,
    ),
    "foreign Service": Row(
        lambda server: server.create({"kind": "Service", "metadata": {"name": "x"}, "spec": {"ports": [{"port": 80}]}}),
        FOREIGN, "Service/x", "", "ClusterIP 80/TCP", ABSENT, "kubectl-create", Action.REPORT,
    ),
    "foreign ConfigMap": Row(
        lambda server: server.create({"kind": "ConfigMap", "metadata": {"name": "x"}, "data": {"a": "b"}}),
        FOREIGN, "ConfigMap/x", "", "1 key: a", ABSENT, "kubectl-create", Action.REPORT,
    ),
    "foreign Secret": Row(
        lambda server: server.create({"kind": "Secret", "metadata": {"name": "x"}, "data": {"a": "c2VjcmV0c2VjcmV0"}}),
        FOREIGN, "Secret/x", "", "1 key: a", ABSENT, "kubectl-create", Action.REPORT,
    ),
    "foreign CronJob": Row(
        lambda server: server.create({"kind": "CronJob", "metadata": {"name": "x"}, "spec": {"schedule": "@daily",
            "jobTemplate": {"spec": {"template": {"spec": {"containers": [{"name": "x", "image": "y:1"}]}}}}}}),
        FOREIGN, "CronJob/x", "", "@daily, image y:1", ABSENT, "kubectl-create", Action.REPORT,
    ),
    "conflict": Row(
        conflict, CONFLICT, WEB, f"{MAIN}.image", "localhost:30500/web:hand", "localhost:30500/web:program"
    ),
    "program change": Row(
        lambda server: server.program(WEB, ("spec", "replicas"), 2), PENDING, WEB, "spec.replicas", 0, 2, None
    ),
    "program adds an object": Row(
        lambda server: server.declared.append({"kind": "ConfigMap", "metadata": {"name": "new"}, "data": {"a": "b"}}),
        PENDING, "ConfigMap/new", "", ABSENT, "1 key: a", None,
    ),
    "program gives up an object": Row(
        lambda server: server.declared.__delitem__(1),
        PENDING, "ConfigMap/settings", "", "3 keys: EMPTY, LOG_LEVEL, application.yml", ABSENT, None,
    ),
    "program gives up a field": Row(
        lambda server: server.program(WEB, (*CONTAINER, "envFrom"), ABSENT),
        PENDING, WEB, f"{MAIN}.envFrom", [{"configMapRef": {"name": "settings"}}], ABSENT, None,
    ),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS.values(), ids=list(ROWS))
def test_one_change_is_exactly_one_finding(row: Row) -> None:
    server = Server()
    row.change(server)
    found = server.findings()
    assert [(finding.cls, str(finding.object), finding.path) for finding in found] == [(row.cls, row.object, row.path)]
    told = found[0]
    assert (told.live, told.declared, told.manager, told.action) == (row.live, row.declared, row.manager, row.action)


def test_two_fields_of_one_object_by_two_managers() -> None:
    server = Server()
    server.set(WEB, (*CONTAINER, "image"), "localhost:30500/web:2", "bob")
    server.set(WEB, ("metadata", "labels", "added"), "yes", "alice")
    assert {(finding.path, finding.manager) for finding in server.findings()} == {
        (f"{MAIN}.image", "bob"),
        ("metadata.labels[added]", "alice"),
    }


def test_many_findings_at_once_are_all_there() -> None:
    server = Server()
    for number in range(200):
        server.set(WEB, (*CONTAINER, "env", named(f"V{number:03}")), env(f"V{number:03}", "x"))
    assert len(server.findings()) == 200


def test_nothing_was_changed() -> None:
    assert Server().findings() == []


def by_rollout_restart(server: Server) -> None:
    path = (*POD[:2], "metadata", "annotations", "kubectl.kubernetes.io/restartedAt")
    server.set(WEB, path, "2026-11-23T14:00:00Z", "kubectl-rollout")


def by_autoscaler(server: Server) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}
    scaler = {"kind": "HorizontalPodAutoscaler", "metadata": {"name": "web", "ownerReferences": [{"uid": "x"}]}}
    server.create({**scaler, "spec": {"scaleTargetRef": target, "minReplicas": 2, "maxReplicas": 5}})
    scale(server, 4, "kube-controller-manager")


def by_other_spelling(server: Server) -> None:
    server.program(
        WEB,
        (*CONTAINER, "resources"),
        {"requests": {"cpu": "0.05", "memory": "51200Ki"}, "limits": {"cpu": 1, "memory": "1Gi"}},
    )
    server.program(WEB, ("metadata", "annotations", "since"), "2026-11-23T18:00:00+04:00")
    server.set(WEB, ("metadata", "annotations", "since"), "2026-11-23T14:00:00Z")
    server.program("Service/web", ("spec", "ports", Item(("port",), (9100,)), "targetPort"), "9100")


def by_order(server: Server) -> None:
    pod = server.live.objects[next(r for r in server.live.objects if str(r) == WEB)]["spec"]["template"]["spec"]
    for container in pod["containers"]:
        for name in ("env", "ports", "volumeMounts"):
            container.get(name, []).reverse()
    pod["volumes"].reverse()
    server.live.objects[next(r for r in server.live.objects if str(r) == "Service/web")]["spec"]["ports"].reverse()


def by_controllers(server: Server) -> None:
    server.set(WEB, ("metadata", "annotations", "deployment.kubernetes.io/revision"), "7", "kube-controller-manager")
    server.set("Service/balanced", ("metadata", "finalizers"), ["service.kubernetes.io/load-balancer-cleanup"], "k3s")
    server.set("Service/web", ("metadata", "finalizers"), ["service.k8s.aws/resources"], "aws-load-balancer-controller")
    server.create({"kind": "Pod", "metadata": {"name": "web-1-2", "ownerReferences": [{"kind": "ReplicaSet"}]}})


def by_kubectl_apply(server: Server) -> None:
    path = ("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")
    server.set("Secret/keys", path, '{"data":{"JWT_SECRET":"..."}}', "kubectl-client-side-apply")


@pytest.mark.parametrize(
    "change", [by_rollout_restart, by_autoscaler, by_other_spelling, by_order, by_controllers, by_kubectl_apply]
)
def test_what_a_healthy_server_does_is_no_finding(change: Callable[[Server], None]) -> None:
    server = Server()
    change(server)
    assert server.findings() == []


def test_the_order_of_init_containers_is_a_finding() -> None:
    server = Server()
    pod = server.live.objects[next(r for r in server.live.objects if str(r) == WEB)]["spec"]["template"]["spec"]
    pod["initContainers"].reverse()
    assert [finding.path for finding in server.findings()] == [f"{TEMPLATE}initContainers"]


def test_replicas_beyond_the_autoscaler_are_drift() -> None:
    server = Server()
    by_autoscaler(server)
    server.set(WEB, ("spec", "replicas"), 0, "kubectl")
    # Nothing declared differs: 0 is what is declared. So declare something else.
    server.program(WEB, ("spec", "replicas"), 3)
    server.applied[next(r for r in server.applied if str(r) == WEB)]["spec"]["replicas"] = 3
    assert [(finding.cls, finding.live) for finding in server.findings()] == [(DRIFT, 0)]


def told(findings: list[Finding]) -> list[str]:
    return [f"{finding.cls} {finding.object} {finding.path}" for finding in findings]


def test_a_refresh_does_not_turn_drift_into_a_pending_change() -> None:
    server = Server()
    server.set(WEB, (*CONTAINER, "image"), "localhost:30500/web:2", "kubectl-set")
    applied = server.applied[next(r for r in server.applied if str(r) == WEB)]
    applied["spec"]["template"]["spec"]["containers"][0]["image"] = "localhost:30500/web:2"
    assert told(server.findings()) == [f"drift {WEB} {MAIN}.image"]
