"""Where a stack's compose projects go to: its namespace, its registry, and the databases beside it."""

from __future__ import annotations

from collections.abc import Mapping

from config.settings import Settings
from flowmaster.compose.result import Surroundings
from flowmaster.render import names


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
