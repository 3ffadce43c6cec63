"""Bodies of the objects that stand as manifests in a folder of the stack: as they are, of whatever kind."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from config.settings import Settings
from flowmaster.render import names

Body = dict[str, Any]
CLUSTER_SCOPED = frozenset(
    {
        "APIService", "CSIDriver", "ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "IngressClass",
        "MutatingWebhookConfiguration", "Namespace", "Node", "PersistentVolume", "PriorityClass", "RuntimeClass",
        "StorageClass", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration", "VolumeAttributesClass",
    }
)  # fmt: skip
"""Built-in kinds whose objects are in no namespace."""


def manifest(settings: Settings, body: Mapping[str, Any]) -> Body:
    """An object as its file has it, in the stack's namespace where the file names none."""
    result = copy.deepcopy(dict(body))
    metadata = result["metadata"]
    if result["kind"] not in CLUSTER_SCOPED:
        metadata.setdefault("namespace", settings.namespace)
    metadata["annotations"] = {**names.PROVIDER, **(metadata.get("annotations") or {})}
    return result
