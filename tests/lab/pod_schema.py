"""Pod templates made from the API's own schema: each field that a pod has, with each odd value that it may be given."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
POD_SPEC = "io.k8s.api.core.v1.PodSpec"
_SAMPLES: Json = {
    "image": "IMAGE",
    "topologyKey": "kubernetes.io/hostname",
    "whenUnsatisfiable": "ScheduleAnyway",
    "operator": "Exists",
    "mountPath": "/x",
    "devicePath": "/dev/x",
    "hostPath": {"path": "/srv"},
    "path": "x",
    "ip": "192.0.2.1",
    "resourceName": "cpu",
    "restartPolicy": "Always",
    "action": "Restart",
    "signerName": "example.com/x",
    "keyType": "ED25519",
    "mode": 0o644,
}
"""Values, by the name of the field, where a mere `x` or 1 would be refused."""
_NEEDS: dict[str, Json] = {
    "emptyDir": {},
    "items": {"key": "x", "path": "x"},
    "preStop": {"exec": {"command": ["true"]}},
    "postStart": {"exec": {"command": ["true"]}},
    "livenessProbe": {"tcpSocket": {"port": 80}},
    "readinessProbe": {"tcpSocket": {"port": 80}},
    "startupProbe": {"tcpSocket": {"port": 80}},
}
"""What a part of a pod has to have besides, by the name of the field that holds it."""
_HANDLERS = ("exec", "grpc", "httpGet", "tcpSocket", "sleep")


@dataclass(frozen=True)
class Case:
    """A pod's spec with one odd value."""

    path: str
    value: Any
    spec: Json


def cases(document: Json) -> Iterator[Case]:
    """All cases that the OpenAPI document makes, refused by the server or not.

    :param document: what `/openapi/v3/apis/apps/v1` answers.
    """
    schemas: dict[str, Json] = document["components"]["schemas"]
    container = {"name": "main", "image": "IMAGE"}
    for path, odd in _fields(schemas, POD_SPEC, (), set()):
        spec: Json = {"containers": [copy.deepcopy(container)]}
        for value in odd:
            yield Case(".".join(path), value, _with(schemas, POD_SPEC, spec, path, value))


def _fields(
    schemas: dict[str, Json], name: str, path: tuple[str, ...], seen: set[str]
) -> Iterator[tuple[tuple[str, ...], list[Any]]]:
    """Every field of every type that a pod is made of, where it is met first."""
    seen.add(name)
    for key, part in schemas[name].get("properties", {}).items():
        here = (*path, key)
        if key == "ephemeralContainers":
            # no template may have them
            continue
        yield here, _odd(part)
        below = _reference(part) or _reference(part.get("items", {}))
        if below and below not in _LEAVES | seen:
            yield from _fields(schemas, below, here, seen)


_LEAVES = frozenset(
    {
        "io.k8s.apimachinery.pkg.api.resource.Quantity",
        "io.k8s.apimachinery.pkg.util.intstr.IntOrString",
        "io.k8s.apimachinery.pkg.apis.meta.v1.Time",
        "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta",
    }
)


def _reference(part: Json) -> str:
    found = part.get("$ref") or next((one["$ref"] for one in part.get("allOf", ()) if "$ref" in one), "")
    return str(found).rpartition("/")[2]


_ODD: dict[str, list[Any]] = {
    "string": ["", "x"],
    "integer": [0, 1],
    "boolean": [False, True],
    "array": [[]],
    "Quantity": ["0", "1000m"],
    "IntOrString": [0, "", "x"],
}
_ANY: Json = {"string": "x", "integer": 1, "boolean": True, "Quantity": "1", "IntOrString": 80}


def _type(part: Json) -> str:
    """What a field holds: a type of JSON or the last part of a type's name; a number counts as an integer."""
    reference = _reference(part)
    return reference.rpartition(".")[2] if reference else str(part.get("type", "object")).replace("number", "integer")


def _odd(part: Json) -> list[Any]:
    """The odd values of a field."""
    return _ODD.get(_type(part), [{}])


def _with(schemas: dict[str, Json], name: str, node: Json, path: tuple[str, ...], value: Any) -> Json:
    """The node, of that schema, with the value at the path; whatever leads there is made as small as it may be."""
    key, rest = path[0], path[1:]
    if not rest:
        return {**node, key: value}
    part = schemas[name]["properties"][key]
    if key in ("containers", "initContainers"):
        reference = _reference(part["items"])
        own = {"name": "main" if key == "containers" else "first", "image": "IMAGE"}
        return {**node, key: [_with(schemas, reference, own, rest, value)]}
    below = _reference(part)
    if below:
        return {**node, key: _with(schemas, below, _smallest(schemas, below, key, rest[0]), rest, value)}
    below = _reference(part["items"])
    return {**node, key: [_with(schemas, below, _smallest(schemas, below, key, rest[0]), rest, value)]}


def _smallest(schemas: dict[str, Json], name: str, key: str, asked: str) -> Json:
    """The smallest object of a schema: what it has to have, with values that are mostly accepted."""
    schema = schemas[name]
    found = {field: _sample(schemas, field, schema["properties"][field]) for field in schema.get("required", ())}
    if key in _NEEDS and asked not in _HANDLERS:
        found |= copy.deepcopy(_NEEDS[key])
    return found


def _sample(schemas: dict[str, Json], field: str, part: Json) -> Any:
    if field in _SAMPLES:
        return copy.deepcopy(_SAMPLES[field])
    if (kind := _type(part)) in _ANY:
        return _ANY[kind]
    if kind == "array":
        return [_sample(schemas, field, part["items"])]
    reference = _reference(part)
    return _smallest(schemas, reference, field, "") if reference else {}
