"""Merge rules and defaults of custom resources, from their definitions on the API server.

The structural schema of the definition says both (`x-kubernetes-list-type`, `x-kubernetes-list-map-keys`, `default`),
so that an object that its author wrote tersely is no finding, and one element of a list is one difference.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from typing import Any, Protocol

from flowmaster.cluster import defaults, schema
from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.kinds import Kind, group_of
from flowmaster.compare.three_way import Schema

Json = Mapping[str, Any]


class Reader(Protocol):
    """The methods used of a connection."""

    def get(self, path: str) -> Any:
        """Get a path; returns the parsed JSON."""


def learn(api: Reader, kind: Kind) -> None:
    """Read the definition of a kind, and use it in comparisons from now on.

    Where it cannot be read (the user may not, or an aggregated API server has the kind), objects of the kind are
    compared by the owners of their fields, and lists as a whole.
    """
    name = f"{kind.plural}.{group_of(kind.version)}"
    try:
        definition = api.get(f"/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}")
    except ApiError:
        return
    version = kind.version.rpartition("/")[2]
    served: Json = next((v for v in definition["spec"]["versions"] if v["name"] == version), {})
    structure = (served.get("schema") or {}).get("openAPIV3Schema") or {}
    schema.learn(kind.name, merging(structure))
    defaults.learn(kind.name, partial(_fill_object, structure))


def merging(structure: Json) -> Schema:
    """Convert a structural schema to the schema of a comparison."""
    if structure.get("type") == "array":
        element = merging(structure.get("items") or {})
        if structure.get("x-kubernetes-list-type") == "map":
            return Schema(keys=tuple(structure.get("x-kubernetes-list-map-keys") or ()), items=element)
        return Schema(scalars=structure.get("x-kubernetes-list-type") == "set", items=element)
    further = structure.get("additionalProperties")
    fields = {name: merging(part) for name, part in (structure.get("properties") or {}).items()}
    if isinstance(further, Mapping) and not fields:
        return Schema(open=True, items=merging(further))
    return Schema(fields=fields)


def _fill_object(structure: Json, body: dict[str, Any]) -> None:
    """Fill in defaults, except in the metadata, to which the API server applies other rules."""
    properties = {k: v for k, v in (structure.get("properties") or {}).items() if k not in ("metadata", "status")}
    fill({"properties": properties}, body)


def fill(structure: Json, value: Any) -> None:
    """Fill defaults into a value as the API server does: only below existing fields, from the outside in."""
    if isinstance(value, dict):
        properties = structure.get("properties") or {}
        for name, part in properties.items():
            if name not in value and "default" in part:
                value[name] = copy.deepcopy(part["default"])
            if name in value:
                fill(part, value[name])
        further = structure.get("additionalProperties")
        if isinstance(further, Mapping):
            for name, part in value.items():
                if name not in properties:
                    fill(further, part)
    elif isinstance(value, list):
        for element in value:
            fill(structure.get("items") or {}, element)
