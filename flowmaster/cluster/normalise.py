"""Normalises live and desired bodies, so that equivalent bodies are equal."""

from __future__ import annotations

import base64
import json
from typing import Any

from flowmaster.cluster.copies import is_copy
from flowmaster.cluster.defaults import ALLOCATED, Body
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import OPAQUE
from flowmaster.compare.three_way import Schema

METADATA_KEPT = frozenset({"labels", "annotations", "finalizers", "ownerReferences"})
"""Metadata that users may set; the server sets the rest (uid, resourceVersion, managedFields ...)."""

OWN_ANNOTATIONS = ("pulumi.com/", "flowmaster.io/")
"""Annotations for this program, without meaning for the cluster."""

KEPT = "flowmaster.io/kept"
"""The annotation that lists the fields whose live values the last update kept."""
KEPT_SEPARATOR = ", "
HEALED_FROM = "flowmaster.io/healed-from"
"""The annotation with the programs whose values were undone, by field. A program without a name has an empty one."""

_SAME_AS_ABSENT = frozenset(
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
        "prefix",
        "effect",
        "operator",
        "host",
        "publishNotReadyAddresses",
        "externalName",
        "nodePort",
        "hostPort",
        "hostIP",
        "loadBalancerIP",
        "fsType",
        "partition",
        "schedulerName",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "imagePullPolicy",
    }
)
"""Scalars that the server does not tell apart from absent ones when they are false, 0 or empty: in the Go types of
k8s.io/api they are no pointers, and say `omitempty`. All other ones mean something, also when they are empty."""

_MEANT_UNDER = {
    "value": frozenset({"httpHeaders", "sysctls", "options"}),
    "readOnly": frozenset({"azureDisk", "csi"}),
    "fsType": frozenset({"azureDisk", "csi"}),
    "partition": frozenset({"rollingUpdate"}),
    "operator": frozenset({"matchExpressions", "matchFields"}),
}
"""Below these, a field of that name is a pointer, or is written in any case: there its emptiness is a value."""

_OPEN_MAPS = frozenset({"labels", "annotations", "matchLabels", "nodeSelector", "overhead", "volumeAttributes"})
"""Maps of names that people choose: none at all is the same as no map. (Schemas know of more: `limits`, `data`.)"""

_ALWAYS_THERE = frozenset({"metadata", "spec", "template", "strategy", "updateStrategy", "preference"})
"""Parts that are there with every object, whether or not anything is in them."""


def normalise(body: Body) -> Body:
    """The body without status, server's metadata, own annotations, and without what is as good as absent.

    What is empty and means something stays: a `labelSelector: {}` selects every pod, none at all selects no pod.
    """
    kind = str(body.get("kind", ""))
    place = schema(kind)
    result: Body = {}
    for name, value in body.items():
        if name in ("status", "apiVersion", "kind") or name.startswith("__"):
            continue
        meant = _metadata(value, kind) if name == "metadata" else value
        kept = _clean(meant, place.below(name), (kind, name))
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
    """Return the paths of fields that were applied with their live values."""
    return frozenset(filter(None, annotation(body, KEPT).split(KEPT_SEPARATOR)))


def healed_from(body: Any) -> dict[str, str]:
    """Return the programs whose values were undone, by field."""
    try:
        found = json.loads(annotation(body, HEALED_FROM) or "{}")
    except ValueError:
        return {}
    return {str(path): str(name) for path, name in found.items()} if isinstance(found, dict) else {}


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


def _clean(value: Any, place: Schema, way: tuple[str, ...]) -> Any:
    """The value without parts that are as good as absent; None if it is so itself.

    :param way: the keys that lead to it; an element of a list has that of the list twice.
    """
    if isinstance(value, dict):
        return _clean_map(value, place, way)
    if isinstance(value, list):
        if value and value[0].__class__ is dict:
            # An element stays even if nothing is left of it: the length of a list means something.
            return [_clean(part, place.element, (*way, way[-1])) or {} for part in value]
        return value or None
    if value or value is None or way[-1] not in _SAME_AS_ABSENT:
        return value
    return value if way[-2] in _MEANT_UNDER.get(way[-1], ()) else None


def _clean_map(value: dict[str, Any], place: Schema, way: tuple[str, ...]) -> dict[str, Any] | None:
    if place.open or way[-1] in _OPEN_MAPS:
        # Here an empty text is a value of its own.
        return {key: part for key, part in value.items() if part is not None} or None
    kept = {}
    for key, part in value.items():
        cleaned = _clean(part, place.below(key), (*way, key))
        if cleaned is not None:
            kept[key] = cleaned
    return kept if kept or not _always_there(way) else None


def _always_there(way: tuple[str, ...]) -> bool:
    # of a pod as a whole, resources are a pointer: there nothing at all is not the same as an empty map
    return way[-1] in _ALWAYS_THERE or (way[-1] == "resources" and way[-3:-1] != ("template", "spec"))


def without_allocated(live: Body, declared: Body, kind: str) -> Body:
    """The live body without what the server handed out, where nobody declared it. Both are in normal form."""
    spec, wanted = live.get("spec"), declared.get("spec") or {}
    allocated = ALLOCATED.get(kind, frozenset())
    if not isinstance(spec, dict) or (not allocated and kind != "Service"):
        return live
    spec = {name: value for name, value in spec.items() if name not in allocated or name in wanted}
    if kind == "Service":
        for name in _usual_addresses(spec) - wanted.keys():
            spec.pop(name, None)
        if isinstance(spec.get("ports"), list):
            spec["ports"] = _without_node_ports(spec["ports"], wanted.get("ports") or [])
    rest = {name: part for name, part in live.items() if name != "spec"}
    return {**rest, "spec": spec} if spec else rest


def _usual_addresses(spec: Body) -> set[str]:
    """The fields of a Service that are as the server sets them for one that asks for nothing: one address.

    No address at all (`None`), a second one, or another family than the address has, is somebody's wish.
    """
    address = str(spec.get("clusterIP") or "")
    usual = set() if address == "None" else {"clusterIP"}
    if len(spec.get("clusterIPs") or ()) < 2:
        usual.add("clusterIPs")
    if spec.get("ipFamilyPolicy") == "SingleStack":
        usual.add("ipFamilyPolicy")
    families = spec.get("ipFamilies") or []
    # without an address, the one family is the cluster's own
    if len(families) < 2 and (address in ("", "None") or families == ["IPv6" if ":" in address else "IPv4"]):
        usual.add("ipFamilies")
    return usual


def _without_node_ports(live: list[Body], declared: list[Body]) -> list[Body]:
    asked = {(port.get("port"), port.get("protocol", "TCP")) for port in declared if "nodePort" in port}
    return [
        port
        if (port.get("port"), port.get("protocol", "TCP")) in asked
        else {name: value for name, value in port.items() if name != "nodePort"}
        for port in live
    ]
