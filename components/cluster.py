"""How this program speaks to the cluster through the Kubernetes provider."""

from __future__ import annotations

import pulumi

from components.kubernetes import KubernetesProvider
from config.settings import Settings

_QPS, _BURST = 1000, 2000
"""Requests a second: the provider's default of 50 triples the time of a run with a few hundred objects."""


def cluster_provider(settings: Settings) -> KubernetesProvider:
    """The provider for the stack's cluster.

    The kubeconfig itself stays outside of the state (``KUBECONFIG``, as for kubectl), so that a run from another
    machine is no change; the context is named, so that it is never whichever one happens to be current.
    ConfigMaps and Secrets change in place: pods follow by their checksum annotation, not by a new name.
    What is there already is taken over: providers before 4.29 do so anyway and know no such setting, later ones refuse.
    """
    return KubernetesProvider(
        settings.name,
        {
            "context": settings.stack.cluster.context,
            "clusterIdentifier": settings.stack.cluster.context,
            "enableServerSideApply": True,
            "enableConfigMapMutable": True,
            "enableSecretMutable": True,
            "kubeClientSettings": {"qps": _QPS, "burst": _BURST},
            "upsertExistingObjects": True,
        },
    )


def options(settings: Settings, provider: KubernetesProvider) -> pulumi.ResourceOptions:
    """Options for everything in the cluster: what was taken over from a live server is protected against deletion."""
    return pulumi.ResourceOptions(providers=[provider], protect=settings.stack.adopted is not None or None)
