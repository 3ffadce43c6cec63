"""An ExternalName service: a name in the namespace for an external host."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.base import Component
from components.kubernetes import KubernetesObject
from config.settings import Settings
from flowmaster.render import namespace
from flowmaster.render.kubernetes_types import ServiceBody


@dataclass(frozen=True, kw_only=True)
class ExternalServiceArgs:
    """The body of an ExternalName service."""

    service: ServiceBody

    @classmethod
    def of(cls, settings: Settings, name: str) -> ExternalServiceArgs:
        """From the catalogue's ``externalServices``."""
        return cls(service=namespace.external_service(settings, name))


class ExternalService(Component):
    """An ExternalName service: cluster DNS answers its name with a CNAME to the host."""

    service: KubernetesObject
    host: str
    """The DNS name it stands for."""

    def __init__(self, name: str, args: ExternalServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.host = args.service["spec"]["externalName"]
        self.service = KubernetesObject(args.service, self.child())
        self.register_outputs({"host": self.host})
