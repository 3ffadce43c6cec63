"""How this program speaks to the cluster through the Kubernetes provider."""

from __future__ import annotations

import pulumi
import pulumi_kubernetes as kubernetes

from config.settings import Settings

_QPS, _BURST = 1000, 2000
"""Requests a second: the provider's default of 50 triples the time of a run with a few hundred objects."""


def cluster_provider(settings: Settings) -> kubernetes.Provider:
    """The provider for the stack's cluster.

    The kubeconfig itself stays outside of the state (``KUBECONFIG``, as for kubectl), so that a run from another
    machine is no change; the context is named, so that it is never whichever one happens to be current.
    ConfigMaps and Secrets change in place: pods follow by their checksum annotation, not by a new name.
    """
    provider: kubernetes.Provider = kubernetes.Provider(
        settings.name,
        context=settings.stack.cluster.context,
        cluster_identifier=settings.stack.cluster.context,
        enable_server_side_apply=True,
        enable_config_map_mutable=True,
        enable_secret_mutable=True,
        kube_client_settings=kubernetes.KubeClientSettingsArgs(qps=_QPS, burst=_BURST),
    )
    return provider


def options(settings: Settings, provider: kubernetes.Provider) -> pulumi.ResourceOptions:
    """Options for everything in the cluster: what was taken over from a live server is protected against deletion."""
    return pulumi.ResourceOptions(providers=[provider], protect=settings.stack.adopted is not None or None)
