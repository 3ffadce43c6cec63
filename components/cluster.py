"""The Kubernetes provider, and the options of all resources in the cluster."""

from __future__ import annotations

import pulumi

from components.kubernetes import KubernetesProvider
from config.settings import Settings

_QPS, _BURST = 1000, 2000
"""Requests per second. The provider's default of 50 triples the time of a run with a few hundred objects."""


def cluster_provider(settings: Settings) -> KubernetesProvider:
    """Return the provider of the stack's cluster.

    The kubeconfig (``KUBECONFIG``, as for kubectl) is not part of the state, so a run from another machine changes
    nothing. The context is fixed, so the current context does not matter. ConfigMaps and Secrets are updated in place;
    a checksum annotation rolls the pods. Existing objects are adopted (`upsertExistingObjects`): providers before 4.29
    do so without that setting, later ones refuse otherwise.
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
    """Return the options of resources in the cluster. An adopted stack is protected against deletion."""
    return pulumi.ResourceOptions(providers=[provider], protect=settings.stack.adopted is not None or None)
