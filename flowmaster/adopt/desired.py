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
"""Annotations that controllers write on the objects themselves."""


def desired_body(live: Body) -> Body:
    """The object as a person would write it down, with nothing lost: filled in again, it is the live one."""
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
    """What the server may have handed out and clients outside of the cluster know: a Service made again keeps it."""
    spec = service.get("spec", {})
    return {"spec": {key: spec[key] for key in ("ports", "healthCheckNodePort") if key in spec}}


def with_defaults(kind: str, name: str, body: Body) -> Body:
    """A body in normal form with all that the server would fill in."""
    return fill(kind, normalise({"kind": kind, **copy.deepcopy(body)}), name)


def _without_defaults(kind: str, name: str, body: Body) -> Body:
    """Take away, from the leaves up, whatever the server would put back as it was."""
    whole = with_defaults(kind, name, body)
    result = copy.deepcopy(body)
    for parent, key in _places(result):
        value = parent.pop(key)
        if not same(with_defaults(kind, name, result), whole, schema(kind)):
            parent[key] = value
    return result


def _places(node: Any) -> list[tuple[dict[str, Any], str]]:
    """Every key of every map below, children before parents; never what an element of a list is known by."""
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
