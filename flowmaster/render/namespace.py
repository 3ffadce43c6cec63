"""Bodies of what belongs to the namespace as a whole: itself, ConfigMaps, Secrets, ExternalName services."""

from __future__ import annotations

import base64
from typing import cast

from config.settings import Settings
from flowmaster.render import names
from flowmaster.render.kubernetes_types import ConfigMapBody, Metadata, NamespaceBody, SecretBody, ServiceBody


def namespace(settings: Settings) -> NamespaceBody:
    """The namespace that holds everything."""
    entry = settings.catalogue.namespace
    metadata: Metadata = {
        "name": settings.namespace,
        "annotations": {**names.AWAITED, **entry.annotations},
    }
    labels = names.shared_labels(settings, entry.labels)
    if labels:
        metadata["labels"] = labels
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": metadata}


def config_map(settings: Settings, name: str) -> ConfigMapBody:
    """A ConfigMap of the catalogue."""
    entry = settings.catalogue.config_maps[name]
    body: ConfigMapBody = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": _metadata(settings, name, dict(entry.labels), dict(entry.annotations)),
    }
    if entry.data:
        body["data"] = dict(entry.data)
    if entry.binary_data:
        body["binaryData"] = dict(entry.binary_data)
    if entry.immutable is not None:
        body["immutable"] = entry.immutable
    return body


def secret(settings: Settings, name: str) -> SecretBody:
    """A Secret of the catalogue, its values in base64.

    :raises config.errors.ConfigError: where a key has no value.
    """
    entry = settings.catalogue.secrets[name]
    values = settings.secret_values(name)
    body: SecretBody = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(settings, name, dict(entry.labels), dict(entry.annotations)),
        "type": entry.type,
    }
    # the server keeps nothing of an empty map, so that it would be a change with every update
    if values:
        body["data"] = {
            key: value if key in entry.binary_keys else base64.b64encode(value.encode()).decode()
            for key, value in values.items()
        }
    if entry.immutable is not None:
        body["immutable"] = entry.immutable
    return body


def external_service(settings: Settings, name: str) -> ServiceBody:
    """A name inside the namespace for a host outside of it."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(settings, name, {}, {}),
        "spec": {"type": "ExternalName", "externalName": settings.catalogue.external_services[name]},
    }


def raw_service(settings: Settings, name: str) -> ServiceBody:
    """A Service that belongs to no single Deployment, as the catalogue has it."""
    entry = settings.catalogue.raw_services[name]
    metadata = entry.get("metadata", {})
    body = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {
            "name": name,
            "namespace": settings.namespace,
            **{key: dict(value) for key, value in metadata.items()},
            "annotations": {**names.PROVIDER, **metadata.get("annotations", {})},
        },
        "spec": entry["spec"],
    }
    return cast(ServiceBody, body)


def _metadata(settings: Settings, name: str, labels: dict[str, str], annotations: dict[str, str]) -> Metadata:
    metadata: Metadata = {"name": name, "namespace": settings.namespace}
    all_labels = names.shared_labels(settings, labels)
    if all_labels:
        metadata["labels"] = all_labels
    metadata["annotations"] = {**names.PROVIDER, **annotations}
    return metadata
