"""All declared objects as plain bodies. `pulumi up` applies them, and drift detection compares with them."""

from __future__ import annotations

from typing import cast

from config.settings import Settings
from flowmaster.render import microservice, namespace, objects
from flowmaster.render.kubernetes_types import Manifest


def manifests(settings: Settings) -> list[Manifest]:
    """Return all bodies in the order of their dependencies.

    :raises config.errors.ConfigError: if a secret has no value.
    """
    catalogue = settings.catalogue
    services = (microservice.service(settings, name) for name in settings.services)
    return [
        namespace.namespace(settings),
        *(namespace.config_map(settings, name) for name in catalogue.config_maps),
        *(namespace.secret(settings, name) for name in catalogue.secrets),
        *(namespace.external_service(settings, name) for name in catalogue.external_services),
        *(namespace.raw_service(settings, name) for name in catalogue.raw_services),
        *(body for body in services if body is not None),
        *(microservice.deployment(settings, name) for name in settings.services),
        *(cast(Manifest, objects.manifest(settings, body)) for body in settings.objects.values()),
    ]
