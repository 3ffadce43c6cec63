"""Objects of the kinds for which the catalogue has no entry, as somebody might have made them by hand."""

from __future__ import annotations

from typing import Any

Body = dict[str, Any]
GROUP = "lab.flowmaster.test"
DEFINITION: Body = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": f"gateways.{GROUP}"},
    "spec": {
        "group": GROUP,
        "scope": "Namespaced",
        "names": {"kind": "Gateway", "plural": "gateways", "singular": "gateway", "listKind": "GatewayList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "mode": {"type": "string", "default": "strict"},
                                    "selector": {"type": "object", "additionalProperties": {"type": "string"}},
                                    "servers": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["name"],
                                        "items": {
                                            "type": "object",
                                            "required": ["name"],
                                            "properties": {
                                                "name": {"type": "string"},
                                                "port": {"type": "integer"},
                                                "protocol": {"type": "string", "default": "TCP"},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    }
                },
            }
        ],
    },
}
_PODS: Body = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "a", "image": "IMAGE"}]}}


def made(kind: str, name: str, version: str = "v1", **parts: Any) -> Body:
    """A manifest."""
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **parts}


MANIFESTS: list[Body] = [
    made(
        "Ingress",
        "edge",
        "networking.k8s.io/v1",
        spec={
            "ingressClassName": "nobody",
            "rules": [
                {
                    "host": "shop.example.com",
                    "http": {
                        "paths": [
                            {
                                "path": "/",
                                "pathType": "Prefix",
                                "backend": {"service": {"name": "web", "port": {"number": 80}}},
                            }
                        ]
                    },
                }
            ],
        },
    ),
    made(
        "NetworkPolicy",
        "nobody",
        "networking.k8s.io/v1",
        spec={"podSelector": {"matchLabels": {"app": "x"}}, "ingress": [{"from": [{"podSelector": {}}]}]},
    ),
    made(
        "HorizontalPodAutoscaler",
        "hub",
        "autoscaling/v2",
        spec={
            "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "hub"},
            "maxReplicas": 2,
            "behavior": {"scaleDown": {"stabilizationWindowSeconds": 60}},
        },
    ),
    made(
        "PodDisruptionBudget",
        "web",
        "policy/v1",
        spec={"maxUnavailable": "50%", "selector": {"matchLabels": {"tier": "front"}}},
    ),
    made(
        "Role",
        "reads",
        "rbac.authorization.k8s.io/v1",
        rules=[{"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}],
    ),
    made(
        "RoleBinding",
        "web-reads",
        "rbac.authorization.k8s.io/v1",
        roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reads"},
        subjects=[{"kind": "ServiceAccount", "name": "web", "namespace": "NAMESPACE"}],
    ),
    made(
        "PersistentVolumeClaim",
        "data",
        spec={
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": "none-such",
            "resources": {"requests": {"storage": "1Gi"}},
        },
    ),
    made("Service", "by-hand", spec={"ports": [{"port": 5432}]}),
    {
        **made("EndpointSlice", "by-hand-1", "discovery.k8s.io/v1"),
        "metadata": {"name": "by-hand-1", "labels": {"kubernetes.io/service-name": "by-hand"}},
        "addressType": "IPv4",
        "ports": [{"port": 5432}],
        "endpoints": [{"addresses": ["192.0.2.10"]}],
    },
    made(
        "DaemonSet",
        "nowhere",
        "apps/v1",
        spec={
            "selector": {"matchLabels": {"app": "x"}},
            "template": {**_PODS, "spec": {**_PODS["spec"], "nodeSelector": {"there": "is-none"}}},
        },
    ),
    made("LimitRange", "sizes", spec={"limits": [{"type": "Container", "max": {"memory": "1Gi"}}]}),
    made(
        "Gateway",
        "edge",
        f"{GROUP}/v1",
        spec={"selector": {"app": "x"}, "servers": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]},
    ),
]

CHANGES: dict[str, tuple[str, str]] = {
    "Ingress/edge": (
        "spec.rules",
        '[{"op": "replace", "path": "/spec/rules/0/host", "value": "elsewhere.example.com"}]',
    ),
    "NetworkPolicy/nobody": ("spec.ingress", '[{"op": "remove", "path": "/spec/ingress"}]'),
    "HorizontalPodAutoscaler/hub": ("spec.maxReplicas", '[{"op": "replace", "path": "/spec/maxReplicas", "value": 9}]'),
    "PodDisruptionBudget/web": (
        "spec.maxUnavailable",
        '[{"op": "replace", "path": "/spec/maxUnavailable", "value": "100%"}]',
    ),
    "Role/reads": ("rules", '[{"op": "add", "path": "/rules/0/verbs/-", "value": "delete"}]'),
    "RoleBinding/web-reads": ("subjects", '[{"op": "replace", "path": "/subjects/0/name", "value": "default"}]'),
    "ServiceAccount/web": (
        "automountServiceAccountToken",
        '[{"op": "add", "path": "/automountServiceAccountToken", "value": false}]',
    ),
    "ResourceQuota/most": ("spec.hard[pods]", '[{"op": "replace", "path": "/spec/hard/pods", "value": "2"}]'),
    "CronJob/nightly": ("spec.suspend", '[{"op": "replace", "path": "/spec/suspend", "value": true}]'),
    "StatefulSet/store": ("spec.replicas", '[{"op": "replace", "path": "/spec/replicas", "value": 1}]'),
    "EndpointSlice/by-hand-1": (
        "endpoints",
        '[{"op": "replace", "path": "/endpoints/0/addresses/0", "value": "192.0.2.66"}]',
    ),
    f"Gateway.{GROUP}/edge": (
        "spec.servers[b].port",
        '[{"op": "replace", "path": "/spec/servers/1/port", "value": 8443}]',
    ),
}
"""By object: a JSON patch, and the path of what `flowmaster drift` says of it."""
