"""The proof that an object recreated from its declaration would equal the live one.

The API server itself says so: a dry run makes the object under a name that is free, by the same server-side apply that
the provider and the undoing of drift use. All of it is compared with the live object, whatever the fields are called,
but for what the server hands out and what is pinned: addresses and ports on the nodes.
"""

from __future__ import annotations

import copy
import secrets
from typing import Any

from flowmaster.cluster.connection import Api
from flowmaster.cluster.encoding import encoded
from flowmaster.cluster.errors import ApiError, UnreachableError
from flowmaster.cluster.kinds import path_of
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import ObjectRef
from flowmaster.compare.path import render
from flowmaster.compare.three_way import compare
from flowmaster.render.names import FIELD_MANAGER

Body = dict[str, Any]
_IDENTITY = ("apiVersion", "kind", "metadata", "status")
_HANDED_OUT = ("clusterIP", "clusterIPs", "healthCheckNodePort")


def recreated(api: Api, ref: ObjectRef, declared: Body, live: Body) -> tuple[tuple[str, ...], str]:
    """Return the fields that would differ, and the API server's message if it rejects the object.

    :raises UnreachableError: where the API server is gone.
    """
    trial = ObjectRef(ref.kind, ref.namespace, f"proof-of-adoption-{secrets.token_hex(4)}")
    try:
        response = api.request(
            "PATCH",
            path_of(trial),
            {"dryRun": "All", "fieldManager": FIELD_MANAGER, "force": "true"},
            {"Content-Type": "application/apply-patch+yaml"},
            encoded(_trial(declared, trial.name)),
        )
    except UnreachableError:
        raise
    except ApiError as err:
        return (), err.reason
    return _differences(ref.kind, _content(response.json()), _content(live)), ""


def _trial(declared: Body, name: str) -> Body:
    """Return the declared object under another name, without the addresses and ports that the live one occupies."""
    body = copy.deepcopy(declared)
    body["metadata"]["name"] = name
    if body["kind"] == "Service":
        spec = body["spec"]
        addresses = [a for a in spec.get("clusterIPs") or [spec.get("clusterIP")] if a and a != "None"]
        if addresses:
            # what the server would tell from the address
            spec.setdefault("ipFamilies", ["IPv6" if ":" in address else "IPv4" for address in addresses])
        _without_handed_out(spec)
    return body


def _content(body: Body) -> Body:
    content = copy.deepcopy({key: value for key, value in body.items() if key not in _IDENTITY})
    if body.get("kind") == "Service":
        _without_handed_out(content["spec"])
    template = content.get("spec", {}).get("template") if isinstance(content.get("spec"), dict) else None
    if isinstance(template, dict) and "metadata" in template:
        template["metadata"].pop("creationTimestamp", None)
    return content


def _without_handed_out(spec: Body) -> None:
    for key in _HANDED_OUT:
        if spec.get(key) not in ("None", ["None"]):
            spec.pop(key, None)
    for port in spec.get("ports") or ():
        port.pop("nodePort", None)


def _differences(kind: str, made: Body, live: Body) -> tuple[str, ...]:
    if made == live:
        return ()
    found = compare(made, live, schema=schema(kind))
    paths = dict.fromkeys(render(difference.path) for difference in found)
    # what differs without a difference is the order of a list
    return tuple(paths) or tuple(sorted(key for key in made.keys() | live.keys() if made.get(key) != live.get(key)))
