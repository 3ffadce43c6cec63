"""Every name and label that this program makes, in one place."""

from __future__ import annotations

from collections.abc import Mapping

from config.settings import Settings

PART_OF = "flowmaster"
MANAGED_BY = "pulumi"
FIELD_MANAGER = "flowmaster"
"""Who owns the declared fields, in the objects' managedFields."""
PROVIDER = {
    "pulumi.com/deletionPropagationPolicy": "background",
    "pulumi.com/patchFieldManager": FIELD_MANAGER,
    "pulumi.com/patchForce": "true",
    "pulumi.com/skipAwait": "true",
}
"""What the Kubernetes provider is told about every object: take a declared field over from whoever changed it by
hand instead of failing in the preview, and leave the waiting to :mod:`flowmaster.cluster.rollout`. Deleted is
deleted at once: an object that lingers until its pods are gone could not be made again, and the provider, which
watches it go, now and then misses the end and waits for ten minutes."""
AWAITED = {key: value for key, value in PROVIDER.items() if key != "pulumi.com/skipAwait"}
"""For the namespace, which ends last: a stack is destroyed once nothing of it is left."""
CONFIG_CHECKSUM = "checksum/config"
"""The pod annotation that changes with the ConfigMaps and Secrets a service reads, so that its pods are rolled."""


def selector(settings: Settings, name: str) -> dict[str, str]:
    """The labels by which a service's Deployment and Service find its pods. Kubernetes never lets them change."""
    own = settings.services[name].selector
    if own is not None:
        return dict(own)
    if settings.conventions(name).labels == "app":
        return {"app": name}
    return {"app.kubernetes.io/name": name}


def object_labels(settings: Settings, name: str) -> dict[str, str]:
    """The labels of a service's Deployment and Service themselves."""
    if settings.conventions(name).labels == "app":
        return {**selector(settings, name), **settings.services[name].labels}
    return {**_recommended(name), **settings.services[name].labels}


def pod_labels(settings: Settings, name: str) -> dict[str, str]:
    """The labels of a service's pods. No version among them: the image says it, and a label would say it twice."""
    own = {**selector(settings, name), **settings.services[name].pod_labels}
    if settings.conventions(name).labels == "app":
        return own
    return {**_recommended(name), **own}


def shared_labels(settings: Settings, extra: Mapping[str, str]) -> dict[str, str]:
    """The labels of what belongs to no single service."""
    if settings.catalogue.conventions.labels == "app":
        return dict(extra)
    return {"app.kubernetes.io/part-of": PART_OF, "app.kubernetes.io/managed-by": MANAGED_BY, **extra}


def _recommended(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/managed-by": MANAGED_BY,
    }
