"""Defaults of kinds without pods: policies, autoscalers, role bindings, quotas, endpoints.

A port of `SetDefaults_*` of Kubernetes 1.34 (pkg/apis/networking/v1, autoscaling/v2, rbac/v1, core/v1, discovery/v1).
Every function changes the body that it is given.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any

Body = dict[str, Any]
_RBAC = "rbac.authorization.k8s.io"


def _maps(elements: Any) -> Iterable[Body]:
    return (element for element in elements if isinstance(element, dict)) if isinstance(elements, list) else ()


def _network_policy(body: Body) -> None:
    spec = body.setdefault("spec", {})
    for rule in (*_maps(spec.get("ingress")), *_maps(spec.get("egress"))):
        for port in _maps(rule.get("ports")):
            port.setdefault("protocol", "TCP")
    if not spec.get("policyTypes"):
        spec["policyTypes"] = ["Ingress", *(["Egress"] if spec.get("egress") else [])]


def _autoscaler(body: Body) -> None:
    spec = body.setdefault("spec", {})
    spec.setdefault("minReplicas", 1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": 80}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    behavior = spec.get("behavior")
    if not isinstance(behavior, dict):
        return
    for direction, rules in _SCALING.items():
        given = behavior.get(direction)
        behavior[direction] = {**copy.deepcopy(rules), **(given if isinstance(given, dict) else {})}


_SCALING: dict[str, Body] = {
    "scaleUp": {
        "stabilizationWindowSeconds": 0,
        "selectPolicy": "Max",
        "policies": [
            {"type": "Pods", "value": 4, "periodSeconds": 15},
            {"type": "Percent", "value": 100, "periodSeconds": 15},
        ],
    },
    "scaleDown": {
        "selectPolicy": "Max",
        "policies": [{"type": "Percent", "value": 100, "periodSeconds": 15}],
    },
}


def _role_binding(body: Body) -> None:
    if isinstance(body.get("roleRef"), dict):
        body["roleRef"].setdefault("apiGroup", _RBAC)
    for subject in _maps(body.get("subjects")):
        if subject.get("kind") in ("User", "Group"):
            subject.setdefault("apiGroup", _RBAC)


def _limit_range(body: Body) -> None:
    for limit in _maps((body.get("spec") or {}).get("limits")):
        if limit.get("type") != "Container":
            continue
        default = {**(limit.get("max") or {}), **(limit.get("default") or {})}
        request = {**(limit.get("min") or {}), **default, **(limit.get("defaultRequest") or {})}
        for name, amounts in (("default", default), ("defaultRequest", request)):
            if amounts:
                limit[name] = amounts


def _endpoint_slice(body: Body) -> None:
    for port in _maps(body.get("ports")):
        port.setdefault("protocol", "TCP")
        port.setdefault("name", "")


def _nothing(_body: Body) -> None:
    """Fill in nothing: this kind has no defaults."""


POLICIES: dict[str, Callable[[Body], None]] = {
    "NetworkPolicy": _network_policy,
    "HorizontalPodAutoscaler": _autoscaler,
    "RoleBinding": _role_binding,
    "Role": _nothing,
    "LimitRange": _limit_range,
    "ResourceQuota": _nothing,
    "PodDisruptionBudget": _nothing,
    "ServiceAccount": _nothing,
    "Ingress": _nothing,
    "EndpointSlice": _endpoint_slice,
}
