"""Derives the desired object from a live one: without status, defaults and allocated values."""

from __future__ import annotations

import copy
from typing import Any

from flowmaster.cluster.defaults import fill
from flowmaster.cluster.normalise import normalise, without_allocated
from flowmaster.cluster.schema import schema
from flowmaster.compare.three_way import same

Body = dict[str, Any]
_CONTROLLED = ("deployment.kubernetes.io/",)
"""Annotations that controllers write."""


def desired_body(live: Body) -> Body:
    """Return the object without defaults and allocated values. Filled in again, it equals the live object."""
    kind, name = str(live["kind"]), str(live["metadata"]["name"])
    normal = normalise(live)
    body = without_allocated(normal, _pinned(normal) if kind == "Service" else {}, kind)
    annotations = body["metadata"].get("annotations", {})
    body["metadata"]["annotations"] = {k: v for k, v in annotations.items() if not k.startswith(_CONTROLLED)}
    for key in ("finalizers", "ownerReferences"):
        body["metadata"].pop(key, None)
    if not body["metadata"]["annotations"]:
        del body["metadata"]["annotations"]
    return _without_defaults(kind, name, body)


def _pinned(service: Body) -> Body:
    """Allocated values that clients outside the cluster may know. A recreated Service keeps them."""
    spec = service.get("spec", {})
    return {"spec": {key: spec[key] for key in ("ports", "healthCheckNodePort") if key in spec}}


def with_defaults(kind: str, name: str, body: Body) -> Body:
    """Return a body in normal form, with all defaults filled in."""
    return fill(kind, normalise({"kind": kind, **copy.deepcopy(body)}), name)


def _without_defaults(kind: str, name: str, body: Body) -> Body:
    """Remove, from the leaves up, everything that the server would fill in again."""
    whole = with_defaults(kind, name, body)
    result = copy.deepcopy(body)
    for parent, key in _places(result):
        value = parent.pop(key)
        if not same(with_defaults(kind, name, result), whole, schema(kind)):
            parent[key] = value
    return result


def _places(node: Any) -> list[tuple[dict[str, Any], str]]:
    """Yield the paths of all keys below, children first, except the merge keys of list elements."""
    found: list[tuple[dict[str, Any], str]] = []
    if isinstance(node, dict):
        for key, value in list(node.items()):
            found += _places(value)
            if key not in ("name", "metadata"):
                found.append((node, key))
    elif isinstance(node, list):
        for element in node:
            found += _places(element)
    return found
