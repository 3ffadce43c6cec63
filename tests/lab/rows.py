"""The table of drift: what is done to the server by hand, and the findings that it has to give, word for word.

Every row has an object of its own, so that all can be done at once, and each be looked at by itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from tests.lab.operate import NAMESPACE, encoded
from tests.lab.row import (
    HEAL,
    POD,
    REPORT,
    Expected,
    Row,
    container,
    deployment,
    json_patch,
    main,
    patch,
    pods,
    set_env,
)

UNI = "first line\n  second: ünïcödé ☃ 漢字\n\nlast\n"
UNI_BY_HAND = "first line\n  second: by hand ☠\n"
LONG, LONG_BY_HAND = "x" * 5000, "y" * 6000
HAND_SECRET = "set-by-hand-0f9a7c"
FOREIGN_SECRET = "intruder-51c2e8"
ENV_SECRET = "typed-in-clear-7d31"
SEALED = "sealed-value-2c90"
SIGN = "a rocket: \N{ROCKET}\x85\n"
TLS_KEY = "-----BEGIN KEY-----\nbG9uZyBzZWNyZXQga2V5\n-----END KEY-----\n"
OLD_IMAGE = "localhost:30500/flowmaster/agent-service:r40"
OWN_ADDRESS, OTHER_ADDRESS, ANOTHER_ADDRESS = "10.43.60.60", "10.43.77.77", "10.43.78.78"

SIDECAR = {"name": "sidecar", "image": OLD_IMAGE, "imagePullPolicy": "IfNotPresent"}
INIT = {**SIDECAR, "name": "prepare", "command": ["/service", "sleep", "10ms"]}
LABEL_PART_OF = "app.kubernetes.io/part-of"

OF_DEPLOYMENTS = {
    "image": deployment(
        "agent-service", ("set", "image", "deployment/agent-service", f"agent-service={OLD_IMAGE}"),
        Expected("drift", f"{main('agent-service')}.image", OLD_IMAGE,
                 "localhost:30500/flowmaster/agent-service:r47", "kubectl-set"),
    ),
    "replicas": deployment(
        "ai-agent", ("scale", "deployment/ai-agent", "--replicas=2"),
        Expected("drift", "spec.replicas", 2, 1, "kubectl"),
    ),
    "declared env changed": deployment(
        "api-gateway", set_env("api-gateway", "LOG_LEVEL=debug"),
        Expected("drift", f"{main('api-gateway')}.env[LOG_LEVEL].value", "debug", "info", "kubectl-set"),
    ),
    "env added": deployment(
        "auth-service", set_env("auth-service", "DEBUG=1"),
        Expected("foreign", f"{main('auth-service')}.env[DEBUG]", {"name": "DEBUG", "value": "1"}, None, "kubectl-set"),
    ),
    "env removed": deployment(
        "bac-marketplace", set_env("bac-marketplace", "LOG_LEVEL-"),
        Expected("drift", f"{main('bac-marketplace')}.env[LOG_LEVEL]", None, {"name": "LOG_LEVEL", "value": "info"}),
    ),
    "resources": deployment(
        "business-rules-engine", ("set", "resources", "deployment/business-rules-engine", "--limits=memory=200Mi"),
        Expected("drift", f"{main('business-rules-engine')}.resources.limits[memory]", "200Mi", "128Mi", "kubectl-set"),
    ),
    "probe": deployment(
        "document-intelligence", container("document-intelligence", {"readinessProbe": {"periodSeconds": 7}}),
        Expected("drift", f"{main('document-intelligence')}.readinessProbe.periodSeconds", 7, 5, "kubectl-patch"),
    ),
    "label changed": deployment(
        "dxg-service", ("label", "deployment/dxg-service", f"{LABEL_PART_OF}=other", "--overwrite"),
        Expected("drift", f"metadata.labels[{LABEL_PART_OF}]", "other", "flowmaster", "kubectl-label"),
    ),
    "label added": deployment(
        "engage-app", ("label", "deployment/engage-app", "team=blue"),
        Expected("foreign", "metadata.labels[team]", "blue", None, "kubectl-label"),
    ),
    "annotation added": deployment(
        "event-bus", ("annotate", "deployment/event-bus", "example.com/owner=someone"),
        Expected("foreign", "metadata.annotations[example.com/owner]", "someone", None, "kubectl-annotate"),
    ),
    "command": deployment(
        "execution-engine", container("execution-engine", {"command": ["/service", "serve"]}),
        Expected("foreign", f"{main('execution-engine')}.command", ["/service", "serve"], None, "kubectl-patch"),
    ),
    "sidecar added": deployment(
        "external-integration", pods("external-integration", {"containers": [SIDECAR]}),
        Expected("foreign", f"{POD}containers[sidecar]", SIDECAR, None, "kubectl-patch"),
    ),
    "init container added": deployment(
        "frontend", pods("frontend", {"initContainers": [INIT]}),
        Expected("foreign", f"{POD}initContainers[prepare]", INIT, None, "kubectl-patch"),
    ),
    "volume added": deployment(
        "human-task", pods("human-task", {"volumes": [{"name": "scratch", "emptyDir": {}}]}),
        Expected("foreign", f"{POD}volumes[scratch]", {"name": "scratch", "emptyDir": {}}, None, "kubectl-patch"),
    ),
    "node selector added": deployment(
        "knowledge-hub", pods("knowledge-hub", {"nodeSelector": {"kubernetes.io/os": "linux"}}),
        Expected("foreign", f"{POD}nodeSelector[kubernetes.io/os]", "linux", None, "kubectl-patch"),
    ),
    "image pull policy": deployment(
        "legal-entity-service", container("legal-entity-service", {"imagePullPolicy": "IfNotPresent"}),
        Expected("drift", f"{main('legal-entity-service')}.imagePullPolicy", "IfNotPresent", "Always", "kubectl-patch"),
    ),
    "multi-line unicode value": deployment(
        "manager-app", container("manager-app", {"env": [{"name": "BANNER", "value": UNI_BY_HAND}]}, "kubectl-edit"),
        Expected("drift", f"{main('manager-app')}.env[BANNER].value", UNI_BY_HAND, UNI, "kubectl-edit"),
    ),
    "very long value": deployment(
        "mcp-server", container("mcp-server", {"env": [{"name": "LONG", "value": LONG_BY_HAND}]}, "kubectl-edit"),
        Expected("drift", f"{main('mcp-server')}.env[LONG].value", LONG_BY_HAND, LONG, "kubectl-edit"),
    ),
    "two fields by two managers": Row(
        "Deployment/notification",
        [(*container("notification", {"terminationMessagePolicy": "FallbackToLogsOnError"}, "alice"),),
         ("label", "deployment/notification", "tier=gold", "--field-manager=bob")],
        (Expected("foreign", f"{main('notification')}.terminationMessagePolicy", "FallbackToLogsOnError", None,
                  "alice"),
         Expected("foreign", "metadata.labels[tier]", "gold", None, "bob")),
    ),
    "conflict": deployment(
        "process-design", set_env("process-design", "LOG_LEVEL=debug"),
        Expected("conflict", f"{main('process-design')}.env[LOG_LEVEL].value", "debug", "warn", "kubectl-set"),
    ),
    "scaled to 0 by hand": deployment(
        "process-designer", ("scale", "deployment/process-designer", "--replicas=0"),
        # the API notes no owner of nothing
        Expected("drift", "spec.replicas", 0, 1),
    ),
    "Deployment deleted": deployment(
        "process-analytics", ("delete", "deployment", "process-analytics", "--wait=false"),
        Expected("drift", "", None, "image localhost:30500/flowmaster/process-analytics:latest"),
    ),
    "value into a reference, where the state is encrypted": deployment(
        "data-intelligence",
        json_patch("deployment/data-intelligence", {
            "op": "replace", "path": "/spec/template/spec/containers/0/env/1",
            "value": {"name": "MODE", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}}),
        Expected("drift", f"{main('data-intelligence')}.env[MODE]",
                 {"name": "MODE", "valueFrom": {"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.name"}}},
                 {"name": "MODE", "value": "plain"}, "kubectl-patch"),
    ),
    "secret typed in as env": deployment(
        "service-registry", set_env("service-registry", f"DB_PASSWORD={ENV_SECRET}"),
        Expected("foreign", f"{main('service-registry')}.env[DB_PASSWORD]",
                 {"name": "DB_PASSWORD", "value": f"(secret, {len(ENV_SECRET)} bytes)"}, None, "kubectl-set"),
    ),
    "kept by a rule while another field is healed": Row(
        "Deployment/scheduling",
        [("scale", "deployment/scheduling", "--replicas=2"), ("label", "deployment/scheduling", "team=blue")],
        (Expected("drift", "spec.replicas", 2, 1, "kubectl", REPORT),
         Expected("foreign", "metadata.labels[team]", "blue", None, "kubectl-label")),
        [("scale", "deployment/scheduling", "--replicas=1")],
    ),
}  # fmt: skip

OF_SERVICES = {
    "Service port": Row(
        "Service/agent-service",
        [json_patch("service/agent-service", {"op": "replace", "path": "/spec/ports/0/port", "value": 9999})],
        (Expected("drift", "spec.ports[9016/TCP].port", 9999, 9016, "kubectl-patch"),),
    ),
    "Service type": Row(
        "Service/auth-service", [patch("service/auth-service", {"spec": {"type": "NodePort"}})],
        (Expected("drift", "spec.type", "NodePort", "ClusterIP", "kubectl-patch"),),
    ),
    "Service selector": Row(
        "Service/bac-marketplace",
        [("set", "selector", "service/bac-marketplace", "app.kubernetes.io/name=other")],
        (Expected("drift", "spec.selector[app.kubernetes.io/name]", "other", "bac-marketplace", "kubectl-set"),),
    ),
    "Service deleted": Row(
        "Service/business-rules-engine", [("delete", "service", "business-rules-engine")],
        (Expected("drift", "", None, "ClusterIP 8018/TCP"),),
    ),
    "Service made again with another ClusterIP": Row(
        "Service/human-task", [],
        (Expected("drift", "spec.clusterIP", OTHER_ADDRESS, OWN_ADDRESS, "kubectl-create"),),
        address=OTHER_ADDRESS,
    ),
    "Service without an address of its own made again": Row(
        "Service/ai-agent", [],
        (Expected("drift", "spec.clusterIP", ANOTHER_ADDRESS, re.compile(r"10\.43\.\d+\.\d+"), "kubectl-create"),),
        address=ANOTHER_ADDRESS,
    ),
    "label by somebody whose name begins like the provider's": Row(
        "Service/frontend",
        [("label", "service/frontend", "team=blue", "--field-manager=pulumi-kubernetes-1a2b3c4d")],
        (Expected("foreign", "metadata.labels[team]", "blue", None, "pulumi-kubernetes-1a2b3c4d"),),
    ),
    "label by somebody under this program's name": Row(
        "Service/api-gateway", [("label", "service/api-gateway", "team=blue", "--field-manager=flowmaster")],
        (Expected("foreign", "metadata.labels[team]", "blue", None, "flowmaster"),),
    ),
    "externalName": Row(
        "Service/arangodb", [patch("service/arangodb", {"spec": {"externalName": "elsewhere.example.com"}})],
        (Expected("drift", "spec.externalName", "elsewhere.example.com", "arangodb.databases.svc.cluster.local",
                  "kubectl-patch"),),
    ),
    "ExternalName into ClusterIP": Row(
        "Service/postgres",
        [patch("service/postgres",
               {"spec": {"type": "ClusterIP", "externalName": None, "ports": [{"port": 5432}]}})],
        (Expected("drift", "spec.type", re.compile(r"ClusterIP (10\.43\.\d+\.\d+ )?5432/TCP"),
                  "ExternalName postgres.databases.svc.cluster.local", "kubectl-patch"),),
    ),
}  # fmt: skip

OF_CONFIGURATION = {
    "ConfigMap data": Row(
        "ConfigMap/flowmaster-environment",
        [patch("configmap/flowmaster-environment", {"data": {"REDIS_HOST": "elsewhere"}}, "kubectl-edit")],
        (Expected("drift", "data[REDIS_HOST]", "elsewhere", "redis", "kubectl-edit"),),
    ),
    "ConfigMap data of many lines": Row(
        "ConfigMap/texts",
        [patch("configmap/texts", {"data": {"message.txt": UNI_BY_HAND, "long": LONG_BY_HAND}}, "kubectl-edit")],
        (Expected("drift", "data[long]", LONG_BY_HAND, LONG, "kubectl-edit"),
         Expected("drift", "data[message.txt]", UNI_BY_HAND, UNI, "kubectl-edit")),
    ),
    "Secret data": Row(
        "Secret/flowmaster-secrets",
        [patch("secret/flowmaster-secrets", {"data": {"JWT_SECRET": encoded(HAND_SECRET)}})],
        (Expected("drift", "data[JWT_SECRET]", f"(secret, {len(HAND_SECRET)} bytes, changed)",
                  re.compile(r"\(secret, \d+ bytes\)"), "kubectl-patch"),),
    ),
    "Secret deleted": Row(
        "Secret/certificates", [("delete", "secret", "certificates")],
        (Expected("drift", "", None, "1 key: TLS_KEY"),),
    ),
    "ConfigMap with a rare character deleted": Row(
        "ConfigMap/signs", [("delete", "configmap", "signs")], (Expected("drift", "", None, "1 key: sign"),)
    ),
    "ConfigMap made immutable": Row(
        "ConfigMap/fixed", [patch("configmap/fixed", {"immutable": True})],
        (Expected("foreign", "immutable", True, None, "kubectl-patch"),),
    ),
    "binary data into data": Row(
        "ConfigMap/bytes", [patch("configmap/bytes", {"binaryData": None, "data": {"raw": "text"}})],
        (Expected("drift", "binaryData[raw]", None, "AAEC"),
         Expected("foreign", "data[raw]", "text", None, "kubectl-patch")),
    ),
    "immutable Secret made again with other data": Row(
        "Secret/seal",
        [("delete", "secret", "seal"), ("create", "secret", "generic", "seal", f"--from-literal=TLS_KEY={HAND_SECRET}"),
         patch("secret/seal", {"immutable": True})],
        (Expected("drift", "data[TLS_KEY]", f"(secret, {len(HAND_SECRET)} bytes, changed)",
                  f"(secret, {len(TLS_KEY)} bytes)", "kubectl-create"),
         Expected("drift", "metadata.labels[app.kubernetes.io/managed-by]", None, "pulumi"),
         Expected("drift", f"metadata.labels[{LABEL_PART_OF}]", None, "flowmaster")),
    ),
    "namespace labelled": Row(
        f"Namespace/{NAMESPACE}", [("label", "namespace", NAMESPACE, "team=blue")],
        (Expected("foreign", "metadata.labels[team]", "blue", None, "kubectl-label"),),
    ),
}  # fmt: skip


def foreign(kind: str, words: Sequence[str], live: Any, name: str = "intruder", action: str = REPORT) -> Row:
    """A row about an object that nobody declared."""
    finding = Expected("foreign", "", live, None, "kubectl-create", action)
    return Row(f"{kind}/{name}", [("create", *words)], (finding,), [("delete", kind.lower(), name)])


FOREIGN = {
    "foreign Deployment": foreign(
        "Deployment", ("deployment", "intruder", f"--image={OLD_IMAGE}", "--replicas=0"),
        f"image {OLD_IMAGE}, 0 replicas",
    ),
    "foreign Service": foreign(
        "Service", ("service", "clusterip", "intruder", "--tcp=80"), re.compile(r"ClusterIP 10\.43\.\d+\.\d+ 80/TCP")
    ),
    "foreign ConfigMap": foreign("ConfigMap", ("configmap", "intruder", "--from-literal=a=b"), "1 key: a"),
    "foreign Secret": foreign(
        "Secret", ("secret", "generic", "intruder", f"--from-literal=key={FOREIGN_SECRET}"), "1 key: key"
    ),
    "foreign CronJob": foreign(
        "CronJob", ("cronjob", "intruder", f"--image={OLD_IMAGE}", "--schedule=0 3 1 1 *"),
        f"0 3 1 1 *, image {OLD_IMAGE}",
    ),
    "foreign ConfigMap that a rule gives up": foreign(
        "ConfigMap", ("configmap", "leftover-1", "--from-literal=a=b"), "1 key: a", "leftover-1", HEAL
    ),
}  # fmt: skip

ROWS = {**OF_DEPLOYMENTS, **OF_SERVICES, **OF_CONFIGURATION, **FOREIGN}

RULES = [
    {"kind": "HorizontalPodAutoscaler", "name": "process-versioning", "path": "", "action": "ignore",
     "why": "it was agreed on with those who look after the service"},
    {"kind": "Deployment", "name": "scheduling", "path": "spec.replicas", "manager": "kubectl", "action": "report",
     "why": "whoever is on call scales it"},
    {"kind": "ConfigMap", "name": "leftover-*", "path": "", "class": "foreign", "action": "heal",
     "why": "left behind by an installer"},
]  # fmt: skip


def declare(catalogue: dict[str, Any]) -> None:
    """Add to the catalogue what the rows change."""
    services = catalogue["services"]
    for name in ("api-gateway", "bac-marketplace", "process-design"):
        services[name]["env"] = {"LOG_LEVEL": "info"}
    services["manager-app"]["env"] = {"BANNER": UNI}
    services["mcp-server"]["env"] = {"LONG": LONG}
    services["event-bus"]["probes"] = {"readiness": {"http": "/health", "period": 1, "failures": 1}}
    services["prompt-engineering"] |= {
        "resources": {"requests": {"cpu": "0.010", "memory": "65536Ki"}, "limits": {"cpu": "1000m", "memory": "128Mi"}},
        "annotations": {"example.com/since": "2026-02-08T11:00:00+04:00"},
    }
    services["websocket-gateway"] |= {
        "env": {"FIRST": "1", "SECOND": "2", "THIRD": "3"},
        "extraPorts": [{"name": "metrics", "port": 9110}],
    }
    services["data-intelligence"]["env"] = {"TOKEN": {"sealed": True}, "MODE": "plain"}
    catalogue["configMaps"] |= {
        "texts": {"data": {"message.txt": UNI, "long": LONG}},
        "signs": {"data": {"sign": SIGN}},
        "fixed": {"data": {"a": "b"}},
        "bytes": {"binaryData": {"raw": "AAEC"}},
    }
    catalogue["secrets"] |= {
        "certificates": {"keys": ["TLS_KEY"]},
        "seal": {"keys": ["TLS_KEY"], "immutable": True},
        "nothing": {"keys": []},
    }


def change_program(catalogue: dict[str, Any]) -> None:
    """What the program changes while somebody changes the server: one field that is changed there too, one not."""
    catalogue["services"]["process-design"]["env"]["LOG_LEVEL"] = "warn"
    catalogue["services"]["process-versioning"]["env"] = {"ADDED_BY_PROGRAM": "yes"}


def settle(settings: dict[str, Any]) -> None:
    """The stack's side of what the rows change."""
    settings["rules"] = RULES
    settings["services"]["human-task"]["clusterIP"] = OWN_ADDRESS
