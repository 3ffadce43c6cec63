"""Live and declared bodies brought to one form, so that only what somebody meant is left to compare."""

from __future__ import annotations

import base64
from typing import Any

from flowmaster.cluster.copies import is_copy
from flowmaster.cluster.defaults import ALLOCATED, Body
from flowmaster.cluster.schema import VOLUME_SOURCES, schema
from flowmaster.compare.finding import OPAQUE
from flowmaster.compare.three_way import Schema

METADATA_KEPT = frozenset({"labels", "annotations", "finalizers", "ownerReferences"})
"""What people may set in the metadata; the rest (uid, resourceVersion, managedFields ...) is the server's."""

OWN_ANNOTATIONS = ("pulumi.com/", "flowmaster.io/")
"""Annotations that steer this program and mean nothing to the cluster."""

KEPT = "flowmaster.io/kept"
"""The annotation that names the fields which the last update left as they were on the server."""
KEPT_SEPARATOR = ", "

_MEANT_EMPTY = VOLUME_SOURCES | {"podSelector", "namespaceSelector"}
_DROPPED_WHEN_ZERO = frozenset(
    {
        "stdin",
        "stdinOnce",
        "tty",
        "workingDir",
        "value",
        "readOnly",
        "subPath",
        "subPathExpr",
        "initialDelaySeconds",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostname",
        "subdomain",
        "nodeName",
        "serviceAccountName",
        "serviceAccount",
        "priorityClassName",
        "minReadySeconds",
        "paused",
        "medium",
        "publishNotReadyAddresses",
        "externalName",
        "nodePort",
        "hostPort",
        "hostIP",
        "loadBalancerIP",
        "fsType",
        "partition",
    }
)
"""Fields that the API does not tell apart from absent ones when they are false, 0 or empty."""


def normalise(body: Body) -> Body:
    """The body without status, server's metadata, own annotations, and without what is empty and means nothing."""
    kind = str(body.get("kind", ""))
    place = schema(kind)
    result: Body = {}
    for name, value in body.items():
        if name in ("status", "apiVersion", "kind") or name.startswith("__"):
            continue
        meant = _metadata(value, kind) if name == "metadata" else value
        kept = _clean(meant, place.below(name), name)
        if kept is not None:
            result[name] = kept
    result.setdefault("metadata", {})
    if "stringData" in result:
        _encode(result)
    return result


def annotation(body: Any, name: str) -> str:
    """The value of an annotation of a body, where there is a body and it can be read; else empty."""
    annotations = (body.get("metadata") or {}).get("annotations") if isinstance(body, dict) else None
    found = annotations.get(name) if isinstance(annotations, dict) else None
    return found if isinstance(found, str) else ""


def kept_fields(body: Any) -> frozenset[str]:
    """The paths of the fields that were applied with the server's own values."""
    return frozenset(filter(None, annotation(body, KEPT).split(KEPT_SEPARATOR)))


def _encode(secret: Body) -> None:
    """Put the plain `stringData` of a Secret where the server puts it."""
    plain, data = secret.pop("stringData"), secret.get("data")
    if plain is OPAQUE or data is OPAQUE:
        secret["data"] = OPAQUE
        return
    encoded = {name: value if value is OPAQUE else encode(str(value)) for name, value in plain.items()}
    secret["data"] = {**(data or {}), **encoded}


def encode(text: str) -> str:
    """The text as the `data` of a Secret holds it."""
    return base64.b64encode(text.encode()).decode()


def _metadata(metadata: dict[str, Any] | None, kind: str) -> dict[str, Any]:
    """What people may set in it. A copy of the object, secrets included, is never compared and never shown."""
    own = str((metadata or {}).get("name", ""))
    kept = {name: part for name, part in (metadata or {}).items() if name in METADATA_KEPT}
    if isinstance(kept.get("annotations"), dict):
        kept["annotations"] = {
            name: value
            for name, value in kept["annotations"].items()
            if not name.startswith(OWN_ANNOTATIONS) and not (isinstance(value, str) and is_copy(name, value, kind, own))
        }
    return kept


def _clean(value: Any, place: Schema, name: str) -> Any:
    """The value without empty parts, or None if nothing is left of it."""
    if isinstance(value, dict):
        return _clean_map(value, place, name)
    if isinstance(value, list):
        if value and value[0].__class__ is dict:
            element = place.element
            # An element stays even if nothing is left of it: the length of a list means something.
            return [_clean(part, element, "") or {} for part in value]
        return value or None
    return None if not value and name in _DROPPED_WHEN_ZERO else value


def _clean_map(value: dict[str, Any], place: Schema, name: str) -> dict[str, Any] | None:
    if place.open:
        # Here an empty text is a value of its own.
        return {key: part for key, part in value.items() if part is not None} or None
    kept = {}
    for key, part in value.items():
        cleaned = _clean(part, place.below(key), key)
        if cleaned is not None:
            kept[key] = cleaned
    return kept if kept or name in _MEANT_EMPTY else None


def without_allocated(live: Body, declared: Body, kind: str) -> Body:
    """The live body without what the server handed out, where nobody declared it. Both are in normal form."""
    allocated = ALLOCATED.get(kind)
    spec, wanted = live.get("spec"), declared.get("spec") or {}
    if not allocated or not isinstance(spec, dict):
        return live
    spec = {name: value for name, value in spec.items() if name not in allocated or name in wanted}
    if kind == "Service" and isinstance(spec.get("ports"), list):
        spec["ports"] = _without_node_ports(spec["ports"], wanted.get("ports") or [])
    rest = {name: part for name, part in live.items() if name != "spec"}
    return {**rest, "spec": spec} if spec else rest


def _without_node_ports(live: list[Body], declared: list[Body]) -> list[Body]:
    asked = {(port.get("port"), port.get("protocol", "TCP")) for port in declared if "nodePort" in port}
    return [
        port
        if (port.get("port"), port.get("protocol", "TCP")) in asked
        else {name: value for name, value in port.items() if name != "nodePort"}
        for port in live
    ]
