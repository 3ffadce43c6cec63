"""The cluster's objects as Pulumi's resources: a body as Kubernetes writes it is all there is to one.

Bodies come whole from pure functions, keys as in a manifest. The classes of ``pulumi_kubernetes`` would translate each
key to Python's way and back, and take longer to import than the rest of a run's Python together (docs/speed.md). The
resources are the same ones to Pulumi: same types, same provider, whose version is that of the installed package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import pulumi

_HIDDEN = ("data", "stringData", "metadata")
"""What Pulumi keeps encrypted of a Secret where the provider returns it. Annotations of the metadata may hold a copy of
the whole Secret, whoever put them there and whenever."""


class KubernetesObject(pulumi.CustomResource):
    """An object of the cluster, of whatever kind its body says."""

    metadata: pulumi.Output[Mapping[str, Any]]
    spec: pulumi.Output[Mapping[str, Any]]
    """As the cluster has it; only where the body has one."""

    def __init__(self, body: Mapping[str, Any], opts: pulumi.ResourceOptions) -> None:
        """The resource's name is the object's; values of the body may be outputs. A Secret's data is kept encrypted."""
        own = pulumi.ResourceOptions(
            version=_version(), additional_secret_outputs=list(_HIDDEN) if body["kind"] == "Secret" else None
        )
        # a copy: the SDK keeps the outputs in it
        props = {key: value for key, value in hidden(body).items() if value is not None}
        super().__init__(type_of(body), body["metadata"]["name"], props, pulumi.ResourceOptions.merge(opts, own))


class KubernetesProvider(pulumi.ProviderResource):
    """A connection of the Kubernetes provider."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        """`settings` are the provider's own, by the names of its documentation."""
        # a provider takes nothing but strings
        props = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
        super().__init__("kubernetes", name, props, pulumi.ResourceOptions(version=_version()))


def hidden(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """The body; a Secret's data marked value by value, so that the state tells its keys and nothing else."""
    if body["kind"] != "Secret" or not body.get("data"):
        return body
    return {**body, "data": {key: pulumi.Output.secret(value) for key, value in body["data"].items()}}


def type_of(body: Mapping[str, Any]) -> str:
    """Pulumi's type of an object: ``kubernetes:apps/v1:Deployment``, ``kubernetes:core/v1:Service``."""
    group = body["apiVersion"]
    return f"kubernetes:{group if '/' in group else f'core/{group}'}:{body['kind']}"


@cache
def _version() -> str:
    return version("pulumi-kubernetes")
