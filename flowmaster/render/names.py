"""All names, labels and annotations that this program sets."""

from __future__ import annotations

from collections.abc import Mapping

from config.settings import Settings

PART_OF = "flowmaster"
MANAGED_BY = "pulumi"
FIELD_MANAGER = "flowmaster"
"""The field manager that owns declared fields."""
PROVIDER = {
    "pulumi.com/deletionPropagationPolicy": "background",
    "pulumi.com/patchFieldManager": FIELD_MANAGER,
    "pulumi.com/patchForce": "true",
    "pulumi.com/skipAwait": "true",
}
"""Annotations for the Kubernetes provider, on every object. Conflicting fields are taken over from other managers,
instead of failing in the preview. :mod:`flowmaster.cluster.rollout` does the waiting. Deletion is in the background: an
object that stays until its pods are gone could not be recreated, and the provider, which watches the deletion,
sometimes misses its end and waits for ten minutes."""
AWAITED = {key: value for key, value in PROVIDER.items() if key != "pulumi.com/skipAwait"}
"""The same for the namespace, whose deletion is awaited: a stack is destroyed once it is gone."""
CONFIG_CHECKSUM = "checksum/config"
"""The pod annotation with the checksum of the ConfigMaps and Secrets that a service reads; a change rolls its pods."""


def selector(settings: Settings, name: str) -> dict[str, str]:
    """Return the labels by which Deployment and Service select pods. They are immutable in Kubernetes."""
    own = settings.services[name].selector
    if own is not None:
        return dict(own)
    if settings.conventions(name).labels == "app":
        return {"app": name}
    return {"app.kubernetes.io/name": name}


def object_labels(settings: Settings, name: str) -> dict[str, str]:
    """Return the labels of a service's Deployment and Service."""
    if settings.conventions(name).labels == "app":
        return {**selector(settings, name), **settings.services[name].labels}
    return {**_recommended(name), **settings.services[name].labels}


def pod_labels(settings: Settings, name: str) -> dict[str, str]:
    """Return the labels of a service's pods. The version is not among them, since the image has it."""
    own = {**selector(settings, name), **settings.services[name].pod_labels}
    if settings.conventions(name).labels == "app":
        return own
    return {**_recommended(name), **own}


def shared_labels(settings: Settings, extra: Mapping[str, str]) -> dict[str, str]:
    """Return the labels of objects that do not belong to a single service."""
    if settings.catalogue.conventions.labels == "app":
        return dict(extra)
    return {"app.kubernetes.io/part-of": PART_OF, "app.kubernetes.io/managed-by": MANAGED_BY, **extra}


def _recommended(name: str) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": PART_OF,
        "app.kubernetes.io/managed-by": MANAGED_BY,
    }
