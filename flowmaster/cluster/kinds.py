"""Kinds of objects: their names in findings and rules, and their paths in the API.

A built-in kind is called by its name alone (`Ingress`), any other one by name and group, as kubectl takes it
(`Gateway.networking.istio.io`): two groups may have a kind of the same name.
"""

from __future__ import annotations

from dataclasses import dataclass

from flowmaster.compare.finding import ObjectRef


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of object, and its place in the API."""

    name: str
    version: str
    plural: str
    namespaced: bool = True

    def path(self, namespace: str) -> str:
        """Return the path of its LIST: in a namespace, or of the cluster if the kind or the caller has none."""
        root = "/api/v1" if self.version == "v1" else f"/apis/{self.version}"
        where = f"namespaces/{namespace}/" if self.namespaced and namespace else ""
        return f"{root}/{where}{self.plural}"


# The large ones first, so that the small ones are read beside them.
KINDS = (
    Kind("Pod", "v1", "pods"),
    Kind("Deployment", "apps/v1", "deployments"),
    Kind("Service", "v1", "services"),
    Kind("Secret", "v1", "secrets"),
    Kind("ConfigMap", "v1", "configmaps"),
    Kind("StatefulSet", "apps/v1", "statefulsets"),
    Kind("DaemonSet", "apps/v1", "daemonsets"),
    Kind("Job", "batch/v1", "jobs"),
    Kind("CronJob", "batch/v1", "cronjobs"),
    Kind("Ingress", "networking.k8s.io/v1", "ingresses"),
    Kind("NetworkPolicy", "networking.k8s.io/v1", "networkpolicies"),
    Kind("HorizontalPodAutoscaler", "autoscaling/v2", "horizontalpodautoscalers"),
    Kind("PodDisruptionBudget", "policy/v1", "poddisruptionbudgets"),
    Kind("PersistentVolumeClaim", "v1", "persistentvolumeclaims"),
    Kind("ServiceAccount", "v1", "serviceaccounts"),
    Kind("Role", "rbac.authorization.k8s.io/v1", "roles"),
    Kind("RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings"),
    Kind("ResourceQuota", "v1", "resourcequotas"),
    Kind("LimitRange", "v1", "limitranges"),
)
"""What is read of a namespace."""

ENDPOINT_SLICE = Kind("EndpointSlice", "discovery.k8s.io/v1", "endpointslices")
ENDPOINTS = Kind("Endpoints", "v1", "endpoints")
REPLICA_SET = Kind("ReplicaSet", "apps/v1", "replicasets")
DERIVED = (ENDPOINT_SLICE, ENDPOINTS, REPLICA_SET)
"""What Kubernetes itself makes of declared objects. A report reads the first, and of the others what it needs."""

_NAMESPACE = Kind("Namespace", "v1", "namespaces", namespaced=False)
_BUILT_IN = frozenset(
    {
        "", "admissionregistration.k8s.io", "apiextensions.k8s.io", "apiregistration.k8s.io", "apps", "autoscaling",
        "batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io",
        "flowcontrol.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy", "rbac.authorization.k8s.io",
        "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io",
    }
)  # fmt: skip
"""The groups of Kubernetes itself, none of which has a kind of another's name but for `Event`."""
_served: dict[str, Kind] = {kind.name: kind for kind in (*KINDS, *DERIVED, _NAMESPACE)}
"""Known kinds by name: those above, and those discovered from the API server."""


def group_of(version: str) -> str:
    """Return the group of an apiVersion; empty for ``v1``."""
    return version.rpartition("/")[0]


def kind_name(version: str, kind: str) -> str:
    """Return the name of a kind in findings, rules and reports."""
    group = group_of(version)
    return kind if group in _BUILT_IN else f"{kind}.{group}"


def remember(kind: Kind) -> None:
    """Register a kind that was discovered from the API server under :attr:`Kind.name`."""
    _served.setdefault(kind.name, kind)


def kind_of(ref: ObjectRef) -> Kind:
    """Return the kind of an object.

    :raises KeyError: if the kind is neither above nor discovered.
    """
    return _served[ref.kind]


def path_of(ref: ObjectRef) -> str:
    """Return the API path of an object.

    :raises KeyError: for a kind that neither stands above nor was named by the API server.
    """
    return f"{_served[ref.kind].path(ref.namespace)}/{ref.name}"
