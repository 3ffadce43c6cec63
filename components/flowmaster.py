"""The namespace, the services, and the external hosts that they depend on."""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from components.base import Component
from components.declared_object import DeclaredObject, DeclaredObjectArgs, resource_name
from components.external_service import ExternalService, ExternalServiceArgs
from components.microservice import Microservice, MicroserviceArgs
from components.namespace import SharedSpace, SharedSpaceArgs
from components.raw_service import RawService, RawServiceArgs
from config.settings import Settings
from flowmaster.render.ineffective_fields import ineffective_fields


class FlowMaster(Component):
    """All objects of FlowMaster in the cluster."""

    space: SharedSpace
    services: Mapping[str, Microservice]
    external_services: Mapping[str, ExternalService]
    objects: Mapping[str, DeclaredObject]
    """Objects that stand as manifests, by file."""

    def __init__(self, name: str, settings: Settings, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.space = SharedSpace(settings.namespace, SharedSpaceArgs.of(settings), self.child())
        self.external_services = {
            service: ExternalService(
                service,
                ExternalServiceArgs.of(settings, service),
                self.child(depends_on=[self.space.namespace]),
            )
            for service in settings.catalogue.external_services
        }
        for service in settings.catalogue.raw_services:
            RawService(service, RawServiceArgs.of(settings, service), self.child(depends_on=[self.space.namespace]))
        self.services = {
            service: Microservice(service, MicroserviceArgs.of(settings, service), self.child(depends_on=[self.space]))
            for service in settings.services
        }
        self.objects = {
            where: DeclaredObject(
                resource_name(body), DeclaredObjectArgs.of(settings, where), self.child(depends_on=[self.space])
            )
            for where, body in settings.objects.items()
        }
        for service, made in self.services.items():
            if without_effect := ineffective_fields(settings, service):
                pulumi.log.warn(f"{service}: {', '.join(without_effect)} without effect: the override sets it", made)
        self.register_outputs({"services": len(self.services)})

    @property
    def addresses(self) -> dict[str, pulumi.Output[str]]:
        """``CLUSTERIP:PORT`` by service."""
        return {name: s.address for name, s in self.services.items() if s.address is not None}

    @property
    def versions(self) -> dict[str, str]:
        """Image references by service."""
        return {name: service.image for name, service in self.services.items()}

    @property
    def hosts(self) -> dict[str, str]:
        """The host behind each ExternalName service."""
        return {name: service.host for name, service in self.external_services.items()}
