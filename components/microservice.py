"""One service of FlowMaster in the cluster."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import pulumi

from components.base import Component
from components.bodies import microservice
from components.bodies.types import DeploymentBody, ServiceBody
from components.kubernetes import KubernetesObject
from config.settings import Settings


@dataclass(frozen=True, kw_only=True)
class MicroserviceArgs:
    """The bodies of a service; no Service where its port is unknown."""

    deployment: DeploymentBody
    service: ServiceBody | None
    sealed: frozenset[str] = frozenset()
    """Variables of the Deployment whose values are secrets: the state has them encrypted."""

    @classmethod
    def of(cls, settings: Settings, name: str) -> MicroserviceArgs:
        """From the service's entry in the catalogue and its release in the stack."""
        return cls(
            deployment=microservice.deployment(settings, name),
            service=microservice.service(settings, name),
            sealed=frozenset(key.rpartition(".")[2] for key in settings.stack.sealed.get(name, ())),
        )


class Microservice(Component):
    """A Deployment and, where it listens, the Service before it."""

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
    """The Deployment with the values of the sealed variables marked as secret for Pulumi."""
    if not sealed:
        return deployment
    marked: Any = copy.deepcopy(deployment)
    pod = marked["spec"]["template"]["spec"]
    for container in (*pod["containers"], *pod.get("initContainers", ())):
        for variable in container.get("env", ()):
            if variable["name"] in sealed and "value" in variable:
                variable["value"] = pulumi.Output.secret(variable["value"])
    return cast(Mapping[str, Any], marked)
