"""Live objects as a test needs them: with the API server's defaults, and nothing that the test does not speak of."""

from __future__ import annotations

import base64
from typing import Any

from flowmaster.adopt.desired import with_defaults
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import ObjectRef
from flowmaster.drift.objects import reference

Body = dict[str, Any]
NAMESPACE = "shop"
REGISTRY = "localhost:30500/flowmaster"
COMMON = {
    "labels": "app",
    "probes": "none",
    "resources": "none",
    "security": "none",
    "strategy": "default",
    "portName": "",
    "imagePullPolicy": "Always",
}


def live(body: Body) -> Body:
    """As the API server would give it back: with its defaults."""
    filled = with_defaults(body["kind"], body["metadata"]["name"], body)
    given = {key: value for key, value in body["metadata"].items() if key in ("name", "namespace", "ownerReferences")}
    filled["metadata"] = {**filled["metadata"], **given, "uid": "u", "resourceVersion": "1"}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], **filled}


def state(*bodies: Body) -> LiveState:
    """A namespace with these objects in it."""
    found = LiveState("https://10.77.0.2:6443", NAMESPACE)
    found.objects[ObjectRef("Namespace", "", NAMESPACE)] = _object("Namespace", NAMESPACE)
    for body in bodies:
        found.objects[reference(body, NAMESPACE)] = live(body)
    return found


def deployment(name: str, *others: Body, pod: Body | None = None, **container: Any) -> Body:
    """A Deployment whose container has its name; `others` are containers besides."""
    main = {"name": name, "image": f"{REGISTRY}/{name}:r1", **container}
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [main, *others], **(pod or {})}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return _object("Deployment", name, "apps/v1", spec=spec)


def service(name: str, ports: list[Body], **spec: Any) -> Body:
    """A Service before the pods of the Deployment of its name."""
    return _object("Service", name, spec={"type": "ClusterIP", "selector": {"app": name}, "ports": ports, **spec})


def config_map(name: str, data: Body, **metadata: Any) -> Body:
    """A ConfigMap."""
    body = _object("ConfigMap", name, data=data)
    body["metadata"].update(metadata)
    return body


def secret(name: str, data: dict[str, str], **metadata: Any) -> Body:
    """A Secret; the values are given in the clear."""
    encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
    body = _object("Secret", name, type="Opaque", data=encoded)
    body["metadata"].update(metadata)
    return body


def _object(kind: str, name: str, version: str = "v1", **parts: Any) -> Body:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **parts}
