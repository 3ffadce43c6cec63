"""Bodies of the namespace, ConfigMaps, Secrets, ExternalName services and raw Services."""

from __future__ import annotations

import base64
from typing import cast

from config.settings import Settings
from flowmaster.render import names
from flowmaster.render.kubernetes_types import ConfigMapBody, Metadata, NamespaceBody, SecretBody, ServiceBody


def namespace(settings: Settings) -> NamespaceBody:
    """Return the namespace."""
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
    """Return a ConfigMap of the catalogue."""
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
    """Return a Secret of the catalogue, with values in base64.

    :raises config.errors.ConfigError: if a key has no value.
    """
    entry = settings.catalogue.secrets[name]
    values = settings.secret_values(name)
    body: SecretBody = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": _metadata(settings, name, dict(entry.labels), dict(entry.annotations)),
        "type": entry.type,
    }
    # the server drops an empty map, which would show as a change in every update
    if values:
        body["data"] = {
            key: value if key in entry.binary_keys else base64.b64encode(value.encode()).decode()
            for key, value in values.items()
        }
    if entry.immutable is not None:
        body["immutable"] = entry.immutable
    return body


def external_service(settings: Settings, name: str) -> ServiceBody:
    """Return an ExternalName service of the catalogue."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": _metadata(settings, name, {}, {}),
        "spec": {"type": "ExternalName", "externalName": settings.catalogue.external_services[name]},
    }


def raw_service(settings: Settings, name: str) -> ServiceBody:
    """Return a raw Service of the catalogue."""
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
