"""Where a stack's compose projects go to: its namespace, its registry, and the databases beside it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Protocol

from components import names
from config.settings import Settings
from drift.kubernetes.errors import ApiError
from migration.result import Surroundings

_NOT_FOUND = 404
_IN_CLUSTER = re.compile(r"([a-z0-9-]+)\.([a-z0-9-]+)\.svc(\.cluster\.local)?\.?")
_IPV4 = re.compile(r"\d{1,3}(\.\d{1,3}){3}")


class Reader(Protocol):
    """What is needed of a connection to the API server."""

    def get(self, path: str) -> Any:
        """A decoded answer."""


def surroundings(
    settings: Settings, external_hosts: Mapping[str, str] | None = None, node_address: str = ""
) -> Surroundings:
    """Where the stack's projects go to."""
    return Surroundings(
        namespace=settings.namespace,
        registry=settings.catalogue.registry.partition("/")[0],
        external_hosts=dict(external_hosts or {}),
        node_address=node_address,
        labels=names.shared_labels(settings, {}),
        selector="app" if settings.catalogue.conventions.labels == "app" else "app.kubernetes.io/name",
    )


def external_hosts(api: Reader, settings: Settings) -> dict[str, str]:
    """The stack's ExternalName services by the ClusterIP of what each stands for, where that is in the cluster.

    :raises ApiError: where the API server does not say.
    """
    found: dict[str, str] = {}
    for name, host in sorted(settings.catalogue.external_services.items()):
        match = _IN_CLUSTER.fullmatch(host)
        if match is None:
            continue
        try:
            service = api.get(f"/api/v1/namespaces/{match[2]}/services/{match[1]}")
        except ApiError as err:
            if err.status == _NOT_FOUND:
                continue
            raise
        address = str(service["spec"].get("clusterIP") or "")
        if _IPV4.fullmatch(address):
            found.setdefault(address, name)
    return found
