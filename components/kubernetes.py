"""Kubernetes objects as Pulumi resources, made from plain manifests.

The classes of ``pulumi_kubernetes`` would convert each key to snake case and back, and take longer to import than all
other Python code of a run (docs/speed.md). To Pulumi the resources are the same: same types, same provider, in the
version of the installed package.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib.metadata import version
from typing import Any

import pulumi

from components import aliases

_HIDDEN = ("data", "stringData", "metadata")
"""What Pulumi keeps encrypted of a Secret where the provider returns it. Annotations of the metadata may hold a copy of
the whole Secret, whoever put them there and whenever."""


class KubernetesObject(pulumi.CustomResource):
    """A Kubernetes object of the kind in its body."""

    metadata: pulumi.Output[Mapping[str, Any]]
    spec: pulumi.Output[Mapping[str, Any]]
    """The live spec; only if the body has one."""

    def __init__(self, body: Mapping[str, Any], opts: pulumi.ResourceOptions, *, alone: bool = False) -> None:
        """The resource has the object's name. Values of the body may be outputs. Data of a Secret is encrypted.

        :param alone: whether no other part of the catalogue can have declared it: it is in another namespace.
        """
        type_, name = type_of(body), body["metadata"]["name"]
        former = [] if alone else aliases.of_object(type_, name, type(opts.parent).__name__)
        own = pulumi.ResourceOptions(
            version=_version(),
            additional_secret_outputs=list(_HIDDEN) if body["kind"] == "Secret" else None,
            aliases=[*former] or None,
        )
        # a copy, since the SDK stores outputs in it
        props = {key: value for key, value in hidden(body).items() if value is not None}
        super().__init__(type_, name, props, pulumi.ResourceOptions.merge(opts, own))


class KubernetesProvider(pulumi.ProviderResource):
    """An instance of the Kubernetes provider."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        """`settings` has the names of the provider's documentation."""
        # properties of a provider are strings
        props = {key: value if isinstance(value, str) else json.dumps(value) for key, value in settings.items()}
        super().__init__("kubernetes", name, props, pulumi.ResourceOptions(version=_version()))


def hidden(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the body with each value of a Secret's data marked as secret; its keys stay readable in the state."""
    if body["kind"] != "Secret" or not body.get("data"):
        return body
    return {**body, "data": {key: pulumi.Output.secret(value) for key, value in body["data"].items()}}


def type_of(body: Mapping[str, Any]) -> str:
    """Return Pulumi's type of an object: ``kubernetes:apps/v1:Deployment``, ``kubernetes:core/v1:Service``."""
    group = body["apiVersion"]
    return f"kubernetes:{group if '/' in group else f'core/{group}'}:{body['kind']}"


@cache
def _version() -> str:
    return version("pulumi-kubernetes")
