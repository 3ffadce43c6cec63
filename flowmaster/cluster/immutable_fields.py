"""Fields that the API server does not allow to change in place."""

from __future__ import annotations

from flowmaster.cluster.defaults import Body
from flowmaster.compare.finding import ObjectRef
from flowmaster.compare.path import covers

IMMUTABLE: dict[str, tuple[str, ...]] = {
    "Service": ("spec.clusterIP",),
    "Deployment": ("spec.selector",),
    "StatefulSet": ("spec.selector", "spec.serviceName", "spec.volumeClaimTemplates", "spec.podManagementPolicy"),
    "DaemonSet": ("spec.selector",),
    "Job": ("spec.template", "spec.selector", "spec.completions", "spec.completionMode"),
    "RoleBinding": ("roleRef",),
    "PersistentVolumeClaim": (
        "spec.accessModes",
        "spec.dataSource",
        "spec.dataSourceRef",
        "spec.resources",
        "spec.selector",
        "spec.storageClassName",
        "spec.volumeMode",
        "spec.volumeName",
    ),
    "Secret": ("type",),
}
"""Fields that can only be changed by recreating the object. (Resources of a claim: they cannot be reduced.)"""

IRREPLACEABLE = frozenset({"PersistentVolumeClaim", "StatefulSet"})
"""Kinds whose objects are never recreated for a field, since their data could be lost."""

_IMMUTABLE_DATA = ("data", "binaryData", "immutable")
"""Fields of an immutable ConfigMap or Secret that cannot be changed."""


def immutable(ref: ObjectRef, text: str, live: Body) -> bool:
    """Return whether a field can only be changed by recreating the object."""
    fixed = IMMUTABLE.get(ref.kind, ()) + (_IMMUTABLE_DATA if has_immutable_data(live) else ())
    return any(covers(path, text) for path in fixed)


def has_immutable_data(live: Body) -> bool:
    """Return whether a ConfigMap or Secret is immutable."""
    return live.get("immutable") is True
