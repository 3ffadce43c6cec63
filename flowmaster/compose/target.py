"""The cluster that a stack's compose projects move to: namespace, registry, databases outside it."""

from __future__ import annotations

from collections.abc import Mapping

from config.settings import Settings
from flowmaster.compose.result import Target
from flowmaster.render import names


def target_of(settings: Settings, external_hosts: Mapping[str, str] | None = None, node_address: str = "") -> Target:
    """Return the target of the stack's compose projects."""
    return Target(
        namespace=settings.namespace,
        registry=settings.catalogue.registry.partition("/")[0],
        external_hosts=dict(external_hosts or {}),
        node_address=node_address,
        labels=names.shared_labels(settings, {}),
        selector="app" if settings.catalogue.conventions.labels == "app" else "app.kubernetes.io/name",
    )
