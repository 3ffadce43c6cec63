"""The namespace, with the ConfigMaps and Secrets that its services share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pulumi

from components.base import Component
from components.kubernetes import KubernetesObject
from config.settings import Settings
from flowmaster.render import namespace
from flowmaster.render.kubernetes_types import ConfigMapBody, NamespaceBody, SecretBody


@dataclass(frozen=True, kw_only=True)
class SharedSpaceArgs:
    """The bodies of a namespace, its ConfigMaps and its Secrets."""

    namespace: NamespaceBody
    config_maps: Sequence[ConfigMapBody] = ()
    secrets: Sequence[SecretBody] = ()

    @classmethod
    def of(cls, settings: Settings) -> SharedSpaceArgs:
        """From the catalogue.

        :raises config.errors.ConfigError: where a secret has no value.
        """
        return cls(
            namespace=namespace.namespace(settings),
            config_maps=[namespace.config_map(settings, name) for name in settings.catalogue.config_maps],
            secrets=[namespace.secret(settings, name) for name in settings.catalogue.secrets],
        )


class SharedSpace(Component):
    """A namespace with the ConfigMaps and Secrets that its services read."""

    namespace: KubernetesObject
    config_maps: Mapping[str, KubernetesObject]
    secrets: Mapping[str, KubernetesObject]

    def __init__(self, name: str, args: SharedSpaceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.namespace = KubernetesObject(args.namespace, self.child())
        inside = self.child(depends_on=[self.namespace])
        self.config_maps = {body["metadata"]["name"]: KubernetesObject(body, inside) for body in args.config_maps}
        self.secrets = {body["metadata"]["name"]: KubernetesObject(body, inside) for body in args.secrets}
        self.register_outputs({"name": name})
