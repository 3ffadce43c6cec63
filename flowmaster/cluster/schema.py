"""Schemas of Kubernetes objects: how lists and maps merge (`listMapKey` and `patchMergeKey` of the API types)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flowmaster.cluster.env_references import references
from flowmaster.cluster.quantity import integer_or_string, quantity, timestamp
from flowmaster.compare.three_way import Schema

Refers = Callable[[Any], Iterable[Any]] | None

OPEN = Schema(open=True)
QUANTITIES = Schema(open=True, items=Schema(canonical=quantity))
NUMBER_OR_NAME = Schema(canonical=integer_or_string)


def _by(
    *keys: str, alias: str | None = None, ordered: bool = False, refers: Refers = None, element: Schema | None = None
) -> Schema:
    return Schema(keys=keys, alias=alias, ordered=ordered, refers=refers, items=element)


METADATA = Schema(
    fields={
        "labels": OPEN,
        "annotations": Schema(open=True, items=Schema(canonical=timestamp)),
        "finalizers": Schema(scalars=True),
        "ownerReferences": _by("uid"),
    }
)

_HANDLERS = frozenset({"exec", "grpc", "httpGet", "tcpSocket", "sleep"})
_PORT = Schema(fields={"port": NUMBER_OR_NAME})
_PROBE = Schema(union=_HANDLERS, fields={"httpGet": _PORT, "tcpSocket": _PORT})
_ENV = Schema(
    union=frozenset({"value", "valueFrom"}),
    fields={
        "valueFrom": Schema(
            union=frozenset({"configMapKeyRef", "fieldRef", "resourceFieldRef", "secretKeyRef"}),
            fields={"resourceFieldRef": Schema(fields={"divisor": Schema(canonical=quantity)})},
        )
    },
)
_CONTAINER = Schema(
    fields={
        # A variable sees only the values of those before it.
        "env": _by("name", refers=references, element=_ENV),
        # A renumbered port keeps its name: one change, not one missing and one added.
        "ports": _by("containerPort", "protocol", alias="name"),
        "resources": Schema(fields={"limits": QUANTITIES, "requests": QUANTITIES, "claims": _by("name")}),
        "volumeMounts": _by("mountPath", alias="name"),
        "volumeDevices": _by("devicePath", alias="name"),
        "livenessProbe": _PROBE,
        "readinessProbe": _PROBE,
        "startupProbe": _PROBE,
        "lifecycle": Schema(fields={"postStart": _PROBE, "preStop": _PROBE}),
    }
)
VOLUME_SOURCES = frozenset(
    {
        "awsElasticBlockStore",
        "azureDisk",
        "azureFile",
        "cephfs",
        "cinder",
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "fc",
        "flexVolume",
        "flocker",
        "gcePersistentDisk",
        "gitRepo",
        "glusterfs",
        "hostPath",
        "image",
        "iscsi",
        "nfs",
        "persistentVolumeClaim",
        "photonPersistentDisk",
        "portworxVolume",
        "projected",
        "quobyte",
        "rbd",
        "scaleIO",
        "secret",
        "storageos",
        "vsphereVolume",
    }
)
_VOLUME = Schema(union=VOLUME_SOURCES, fields={"emptyDir": Schema(fields={"sizeLimit": Schema(canonical=quantity)})})
_PODS = Schema(
    fields={
        "containers": _by("name", element=_CONTAINER),
        # These run one after the other, so their order is part of what they do.
        "initContainers": _by("name", ordered=True, element=_CONTAINER),
        "volumes": _by("name", element=_VOLUME),
        "imagePullSecrets": _by("name"),
        "hostAliases": _by("ip"),
        "topologySpreadConstraints": _by("topologyKey", "whenUnsatisfiable"),
        "schedulingGates": _by("name"),
        "resourceClaims": _by("name"),
        "nodeSelector": OPEN,
        "overhead": QUANTITIES,
    }
)
_TEMPLATE = Schema(fields={"metadata": METADATA, "spec": _PODS})
_SELECTOR = Schema(fields={"matchLabels": OPEN})
_CLAIM = Schema(fields={"resources": Schema(fields={"requests": QUANTITIES, "limits": QUANTITIES})})
_WORKLOAD = Schema(
    fields={
        "selector": _SELECTOR,
        "template": _TEMPLATE,
        "strategy": Schema(
            fields={"rollingUpdate": Schema(fields={"maxSurge": NUMBER_OR_NAME, "maxUnavailable": NUMBER_OR_NAME})}
        ),
    }
)
_SERVICE = Schema(
    fields={
        "ports": _by("port", "protocol", alias="name", element=Schema(fields={"targetPort": NUMBER_OR_NAME})),
        "selector": OPEN,
        "externalIPs": Schema(scalars=True),
        "loadBalancerSourceRanges": Schema(scalars=True),
    }
)

_PARTS: dict[str, dict[str, Schema]] = {
    "Deployment": {"spec": _WORKLOAD},
    "StatefulSet": {"spec": _WORKLOAD},
    "DaemonSet": {"spec": _WORKLOAD},
    "ReplicaSet": {"spec": _WORKLOAD},
    "Job": {"spec": _WORKLOAD},
    "CronJob": {"spec": Schema(fields={"jobTemplate": Schema(fields={"metadata": METADATA, "spec": _WORKLOAD})})},
    "Pod": {"spec": _PODS},
    "Service": {"spec": _SERVICE},
    "ConfigMap": {"data": OPEN, "binaryData": OPEN},
    "Secret": {"data": OPEN, "stringData": OPEN},
    "ServiceAccount": {"secrets": _by("name")},
    "PersistentVolumeClaim": {"spec": _CLAIM},
    "NetworkPolicy": {"spec": Schema(fields={"podSelector": _SELECTOR, "policyTypes": Schema(scalars=True)})},
    "HorizontalPodAutoscaler": {"spec": Schema()},
    "PodDisruptionBudget": {
        "spec": Schema(fields={"selector": _SELECTOR, "minAvailable": NUMBER_OR_NAME, "maxUnavailable": NUMBER_OR_NAME})
    },
    "ResourceQuota": {"spec": Schema(fields={"hard": QUANTITIES, "scopes": Schema(scalars=True)})},
    "LimitRange": {"spec": Schema(fields={"limits": _by("type", element=Schema(items=QUANTITIES))})},
    "Role": {"rules": Schema()},
    "EndpointSlice": {"ports": _by("name")},
}
_SCHEMAS = {kind: Schema(fields={"metadata": METADATA, **parts}) for kind, parts in _PARTS.items()}
_OTHER = Schema(fields={"metadata": METADATA})


def schema(kind: str) -> Schema:
    """How objects of that kind are to be compared; of a kind not known here, only the metadata merges."""
    return _SCHEMAS.get(kind, _OTHER)


def learn(kind: str, parts: Schema) -> None:
    """Know how objects of a further kind merge: as its definition on the API server says."""
    _SCHEMAS[kind] = Schema(fields={**parts.fields, "metadata": METADATA})
