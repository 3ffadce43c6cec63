"""An object of any kind that stands as a manifest in a folder of the stack."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pulumi

from components.base import Component
from components.kubernetes import KubernetesObject
from config.settings import Settings
from flowmaster.cluster.kinds import kind_name
from flowmaster.render import objects


@dataclass(frozen=True, kw_only=True)
class DeclaredObjectArgs:
    """The body of the object."""

    body: Mapping[str, Any]
    elsewhere: bool = False
    """Whether it is outside the stack's namespace."""

    @classmethod
    def of(cls, settings: Settings, where: str) -> DeclaredObjectArgs:
        """From a file of the catalogue's ``objects``."""
        body = objects.manifest(settings, settings.objects[where])
        return cls(body=body, elsewhere=body["metadata"].get("namespace") != settings.namespace)


class DeclaredObject(Component):
    """An object as its manifest has it."""

    object: KubernetesObject

    def __init__(self, name: str, args: DeclaredObjectArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.object = KubernetesObject(args.body, self.child(), alone=args.elsewhere)
        self.register_outputs({"name": name})


def resource_name(body: Mapping[str, Any]) -> str:
    """The component's name: by kind and name, so that a file can be renamed without a change of the resource.

    The kind has its group where it is none of Kubernetes' own: two groups may have a kind of the same name.
    """
    return f"{kind_name(body['apiVersion'], body['kind'])}-{body['metadata']['name']}"
