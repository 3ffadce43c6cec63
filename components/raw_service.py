"""A Kubernetes Service that does not belong to a single Deployment."""

from __future__ import annotations

from dataclasses import dataclass

import pulumi

from components.base import Component
from components.kubernetes import KubernetesObject
from config.settings import Settings
from flowmaster.render import namespace
from flowmaster.render.kubernetes_types import ServiceBody


@dataclass(frozen=True, kw_only=True)
class RawServiceArgs:
    """The body of the Service."""

    service: ServiceBody

    @classmethod
    def of(cls, settings: Settings, name: str) -> RawServiceArgs:
        """From the catalogue's ``rawServices``."""
        return cls(service=namespace.raw_service(settings, name))


class RawService(Component):
    """A Service given as a manifest: headless, with manual endpoints, or for several Deployments."""

    service: KubernetesObject

    def __init__(self, name: str, args: RawServiceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.service = KubernetesObject(args.service, self.child())
        self.register_outputs({"name": name})
