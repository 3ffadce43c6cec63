"""What is done by hand to where traffic goes, to what holds an object, and to pods; and what has to be found of it.

In commands, objects and paths, `{pod:NAME}` is the pod that the service had before, `{set:NAME}` its ReplicaSet, and
`{uid:KIND/NAME}` an object's uid.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.lab.operate import Operator
from tests.lab.row import HEAL, REPORT, Expected, Row, container, json_patch, main
from tests.lab.rows import OLD_IMAGE

NAME = "app.kubernetes.io/name"
ENV = [{"name": "HOST", "value": "db"}, {"name": "URL", "value": "tcp://$(HOST):1"}]
CURRENT_IMAGE = "localhost:30500/flowmaster/agent-service:r47"
SLEEPS = ("--command", "--", "/service", "sleep", "1h")


def _slice(name: str, service: str) -> dict[str, Any]:
    """An EndpointSlice with the label of a Service and an address of somebody else."""
    return {
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": service}},
        "endpoints": [{"addresses": ["10.9.9.9"]}], "ports": [{"name": "http", "port": 80}],
    }  # fmt: skip


def _copy(name: str, service: str) -> dict[str, Any]:
    """A Deployment whose pod has the labels of another one's, so that its Service catches it."""
    labels = {NAME: service, "copy": "yes"}
    container = {"name": "copy", "image": OLD_IMAGE, "command": ["/service", "sleep", "1h"]}
    spec = {
        "replicas": 1, "selector": {"matchLabels": {"copy": "yes"}},
        "template": {"metadata": {"labels": labels},
                     "spec": {"terminationGracePeriodSeconds": 1, "containers": [container]}},
    }  # fmt: skip
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def _pod(name: str, path: str) -> str:
    return f"pods[{{pod:{name}}}].{path}"


def _undo(name: str) -> tuple[str, ...]:
    return ("delete", "pod", f"{{pod:{name}}}", "--now", "--ignore-not-found")


_STRAY = {"apiVersion": "v1", "kind": "ConfigMap", "name": "stray", "uid": "{uid:configmap/stray}"}
_LIMIT = {"spec": {"containers": [{"name": "human-task", "resources": {"limits": {"memory": "222Mi"}}}]}}

ROWS = {
    "EndpointSlice of a Service by hand": Row(
        "EndpointSlice/stray", [],
        (Expected("foreign", "", "10.9.9.9:80", None, "kubectl-create", REPORT,
                  "part of the traffic of Service/frontend goes to 10.9.9.9:80"),),
        [("delete", "endpointslice", "stray")], made=[_slice("stray", "frontend")],
    ),
    "EndpointSlice by hand that a rule gives up": Row(
        "EndpointSlice/leftover-1", [],
        (Expected("foreign", "", "10.9.9.9:80", None, "kubectl-create", HEAL, "Service/knowledge-hub goes to"),),
        made=[_slice("leftover-1", "knowledge-hub")],
    ),
    "bare pod that a Service catches": Row(
        "Pod/intruder",
        [("run", "intruder", f"--image={OLD_IMAGE}", f"--labels={NAME}=frontend", *SLEEPS)],
        (Expected("foreign", "", f"image {OLD_IMAGE}", None, "kubectl-run", REPORT,
                  "gets traffic of Service/frontend"),),
        [("delete", "pod", "intruder", "--now")],
    ),
    "foreign Deployment whose pods a Service catches": Row(
        "Deployment/copy", [],
        (Expected("foreign", "", f"image {OLD_IMAGE}", None, "kubectl-create", REPORT,
                  "its pods get traffic of Service/frontend"),),
        [("delete", "deployment", "copy")], made=[_copy("copy", "frontend")],
    ),
    "owner reference": Row(
        "Deployment/auth-service",
        [json_patch("deployment/auth-service", {"op": "add", "path": "/metadata/ownerReferences", "value": [_STRAY]})],
        (Expected("foreign", "metadata.ownerReferences[{uid:configmap/stray}]", {"kind": "ConfigMap"}, None,
                  "kubectl-patch", HEAL, "this Deployment is deleted with ConfigMap/stray"),),
    ),
    "order of variables in which one no longer expands": Row(
        "Deployment/api-gateway",
        [json_patch("deployment/api-gateway",
                    {"op": "replace", "path": "/spec/template/spec/containers/0/env", "value": ENV[::-1]})],
        (Expected("drift", f"{main('api-gateway')}.env", ENV[::-1], ENV, None, HEAL,
                  "$(HOST) in URL is not expanded: HOST comes after it"),),
    ),
    "image set on a pod": Row(
        "Deployment/agent-service",
        [("set", "image", "pod/{pod:agent-service}", f"agent-service={OLD_IMAGE}")],
        (Expected("drift", _pod("agent-service", "containers[agent-service].image"), OLD_IMAGE, CURRENT_IMAGE,
                  "kubectl-set", REPORT, "undone by `kubectl delete pod {pod:agent-service}`"),),
        [_undo("agent-service")],
    ),
    "pod resized in place": Row(
        "Deployment/human-task",
        [("patch", "pod", "{pod:human-task}", "--subresource=resize", "--patch", json.dumps(_LIMIT))],
        (Expected("drift", _pod("human-task", "containers[human-task].resources.limits[memory]"), "222Mi", "128Mi",
                  "kubectl-patch", REPORT, "undone by"),),
        [_undo("human-task")],
    ),
    "ephemeral container": Row(
        "Deployment/event-bus",
        [("debug", "{pod:event-bus}", f"--image={OLD_IMAGE}", "--container=debugger", "--profile=general",
          *SLEEPS[1:])],
        (Expected("foreign", _pod("event-bus", "ephemeralContainers[debugger]"),
                  {"name": "debugger", "image": OLD_IMAGE}, None, "kubectl", REPORT, "undone by"),),
        [_undo("event-bus")],
    ),
    "label of a pod changed": Row(
        "Deployment/notification",
        [("label", "pod", "{pod:notification}", "app.kubernetes.io/part-of=other", "--overwrite")],
        (Expected("drift", _pod("notification", "metadata.labels[app.kubernetes.io/part-of]"), "other", "flowmaster",
                  "kubectl-label", REPORT, "undone by"),),
        [_undo("notification")],
    ),
    "label of a pod added": Row(
        "Deployment/scheduling", [("label", "pod", "{pod:scheduling}", "team=blue")],
        (Expected("foreign", _pod("scheduling", "metadata.labels[team]"), "blue", None, "kubectl-label", REPORT,
                  "undone by"),),
        [_undo("scheduling")],
    ),
    "label taken off a pod, which its Deployment loses": Row(
        "Pod/{pod:mcp-server}", [("label", "pod", "{pod:mcp-server}", "pod-template-hash-")],
        (Expected("foreign", "", re.compile(r"image localhost:30500/flowmaster/mcp-server:\S+"), None, None, REPORT,
                  "was a pod of Deployment/mcp-server until its label pod-template-hash was taken off;"
                  " gets traffic of Service/mcp-server"),),
        [_undo("mcp-server")],
    ),
}  # fmt: skip

SCALED = "ReplicaSet scaled past its Deployment, while no controller runs"
REPEATED = "variable that a program sets again after up had removed it"
ALONE = {
    SCALED: Row(
        "Deployment/dxg-service", [("scale", "replicaset/{set:dxg-service}", "--replicas=3")],
        (Expected("drift", "replicaSets[{set:dxg-service}].spec.replicas", 3, 1, "kubectl", REPORT,
                  "the Deployment's controller sets it back"),),
    ),
    REPEATED: Row(
        "Deployment/dxg-service",
        [container("dxg-service", {"env": [{"name": "INJECTED", "value": "1"}]}, "meddler")],
        (Expected("foreign", f"{main('dxg-service')}.env[INJECTED]", {"value": "1"}, None, "meddler", REPORT,
                  "meddler has set it again after up had undone it: a rule has to say who is right"),),
    ),
}  # fmt: skip
"""Rows that need the server for themselves."""
UNREAD = {
    "EndpointSlices may not be listed": Row(
        "EndpointSlice/*", [],
        (Expected("unknown", "", re.compile(".*forbidden.*"), None, None, REPORT,
                  "traffic of declared Services that goes elsewhere would go unnoticed"),),
    ),
    "ReplicaSets may not be listed": Row(
        "ReplicaSet/*", [],
        (Expected("unknown", "", re.compile(".*forbidden.*"), None, None, REPORT,
                  "pods that are not what their template says would go unnoticed"),),
    ),
}  # fmt: skip
"""What may not be looked at."""

RULES = [
    {"kind": "EndpointSlice", "name": "leftover-*", "class": "foreign", "action": "heal", "why": "left by an installer"}
]


class Placeholders:
    """The pods that the services had before anything was done, and uids of objects."""

    def __init__(self, operator: Operator) -> None:
        self._operator = operator
        items = json.loads(operator.kubectl("get", "pods", "--output", "json"))["items"]
        self._pods = {item["metadata"]["labels"].get(NAME): item["metadata"]["name"] for item in items}
        self._sets = {
            item["metadata"]["labels"].get(NAME): item["metadata"]["ownerReferences"][0]["name"]
            for item in items
            if item["metadata"].get("ownerReferences")
        }
        self._uids: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """A text with all placeholders replaced."""
        return re.sub(r"\{(pod|set|uid):([^}]+)\}", self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        if found[1] == "pod":
            return str(self._pods[found[2]])
        if found[1] == "set":
            return str(self._sets[found[2]])
        if found[2] not in self._uids:
            self._uids[found[2]] = self._operator.kubectl("get", found[2], "--output=jsonpath={.metadata.uid}")
        return self._uids[found[2]]


def inject(operator: Operator, row: Row, known: Placeholders) -> None:
    """Do what a row says."""
    for body in row.made:
        operator.kubectl("create", "--filename", "-", text=json.dumps(body))
    for command in row.commands:
        operator.kubectl(*map(known, command))


def declare(catalogue: dict[str, Any]) -> None:
    """Add to the catalogue what the rows change."""
    catalogue["services"]["api-gateway"]["env"] = {part["name"]: part["value"] for part in ENV}


def of_another_namespace(name: str) -> list[dict[str, Any]]:
    """A Service that wants the host's port 80, and an Ingress, in a namespace of their own."""
    ports = [{"name": "web", "port": 80}]
    service = {"type": "LoadBalancer", "ports": ports, "selector": {"app": "balancer"}}
    backend = {"service": {"name": "balancer", "port": {"number": 80}}}
    paths = [{"path": "/", "pathType": "Prefix", "backend": backend}]
    rules = [{"host": "shop.example.com", "http": {"paths": paths}}]
    metadata = {"name": "balancer", "namespace": name}
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
        {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": metadata, "spec": {"rules": rules}},
    ]
