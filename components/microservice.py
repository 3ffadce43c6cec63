"""One service of FlowMaster in the cluster."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pulumi

from components.base import Component
from components.kubernetes import KubernetesObject
from config.settings import Settings
from flowmaster.render import microservice
from flowmaster.render.kubernetes_types import DeploymentBody, ServiceBody

_NAMES = frozenset({"apiVersion", "kind", "name", "namespace", "labels", "matchLabels"})


@dataclass(frozen=True, kw_only=True)
class MicroserviceArgs:
    """The bodies of a service; without a Service if its port is unknown."""

    deployment: DeploymentBody
    service: ServiceBody | None
    sealed: frozenset[str] = field(default=frozenset(), repr=False)
    """Secret values in the Deployment, which the state keeps encrypted."""

    @classmethod
    def of(cls, settings: Settings, name: str) -> MicroserviceArgs:
        """Build from the service's entry in the catalogue and its release in the stack."""
        return cls(
            deployment=microservice.deployment(settings, name),
            service=microservice.service(settings, name),
            sealed=frozenset(
                value for secret in settings.stack.sealed.get(name, {}).values() if (value := secret.get_secret_value())
            ),
        )


class Microservice(Component):
    """A Deployment and, if it listens, its Service."""

    deployment: KubernetesObject
    service: KubernetesObject | None
    image: str
    """The reference of the image it runs."""
    address: pulumi.Output[str] | None
    """``CLUSTERIP:PORT`` inside the cluster; None without a Service."""

    def __init__(self, name: str, args: MicroserviceArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__(name, opts)
        self.image = args.deployment["spec"]["template"]["spec"]["containers"][0]["image"]
        self.service = None
        self.address = None
        if args.service is not None:
            self.service = KubernetesObject(args.service, self.child())
            port = args.service["spec"]["ports"][0]["port"]
            self.address = self.service.spec.apply(lambda spec: f"{spec.get('clusterIP')}:{port}")
        self.deployment = KubernetesObject(_with_secrets(args.deployment, args.sealed), self.child())
        self.register_outputs({"image": self.image, "address": self.address})


def _with_secrets(deployment: DeploymentBody, sealed: frozenset[str]) -> Mapping[str, Any]:
    """Return the Deployment with sealed values marked as secret for Pulumi."""
    if not sealed:
        return deployment
    return {**deployment, "spec": _marked(deployment["spec"], sealed)}


def _marked(node: Any, sealed: frozenset[str]) -> Any:
    if isinstance(node, dict):
        # names are not secrets, even if they equal one
        return {key: value if key in _NAMES else _marked(value, sealed) for key, value in node.items()}
    if isinstance(node, list):
        return [_marked(part, sealed) for part in node]
    return pulumi.Output.secret(node) if isinstance(node, str) and node in sealed else node
