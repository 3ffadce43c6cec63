"""Former URNs of resources: an object that is declared in another part of the catalogue stays the resource that it was.

A URN has the types of all parents. Without an alias, Pulumi would adopt the object for the new URN and then delete it
for the former one (https://www.pulumi.com/docs/iac/concepts/resources/options/aliases/).
"""

from __future__ import annotations

from collections.abc import Mapping

import pulumi

from flowmaster.render import names

_PARTS: Mapping[str, tuple[str, ...]] = {
    "kubernetes:core/v1:Service": ("ExternalService", "RawService", "Microservice", "DeclaredObject"),
    "kubernetes:core/v1:ConfigMap": ("SharedSpace", "DeclaredObject"),
    "kubernetes:apps/v1:Deployment": ("Microservice", "DeclaredObject"),
}
"""Components that may declare an object of a kind. Within the namespace, one of them has the name."""
_ALIKE = ("ExternalService", "RawService")
"""Components of one Service, which bear its name."""


def of_object(type_: str, name: str, parent: str) -> list[str]:
    """Return the URNs that an object has in other parts.

    :param type_: Pulumi's type of the object.
    :param parent: the class of the component that declares it now.
    """
    parts = _PARTS.get(type_, ())
    return [_urn(f"{_token(part)}${type_}", name) for part in parts if part != parent and parent in parts]


def of_component(name: str, own: str) -> list[str]:
    """Return the URNs that a component has where the Service is declared in another way."""
    return [_urn(_token(other), name) for other in _ALIKE if other != own and own in _ALIKE]


def _token(component: str) -> str:
    return f"{names.PART_OF}:index:{component}"


def _urn(types: str, name: str) -> str:
    outer = _token("FlowMaster")
    return f"urn:pulumi:{pulumi.get_stack()}::{pulumi.get_project()}::{outer}${types}::{name}"
