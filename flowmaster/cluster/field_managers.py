"""Field managers: who set a field last, and when (`metadata.managedFields`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from flowmaster.compare.path import Item, Path

OWN = frozenset({("flowmaster", "Apply"), ("pulumi-kubernetes", "Update")})
"""What this program writes as: the provider's server-side apply (`render.names.FIELD_MANAGER`) and the write that
undoes drift (`cluster.writes.MANAGER`). Whoever writes under a name that is merely like these is somebody else."""

PEOPLE = (
    "kubectl*", "kustomize", "before-first-apply", "unknown", "Mozilla", "dashboard*", "kubernetes-dashboard*",
    "headlamp*", "k9s*", "Lens*", "OpenLens*", "freelens*", "node-fetch", "octant*", "rancher", "Kui*",
    "OpenAPI-Generator", "Swagger-Codegen", "python-*", "Python-*", "kr8s*", "curl", "Wget", "HTTPie", "axios",
    "node", "okhttp", "Go-http-client", "PostmanRuntime", "kompose", "skaffold*", "tilt*", "devspace*",
)  # fmt: skip
"""Field managers of tools that a person or a script runs once."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A field manager that owns a field, and the time of its last write to the object."""

    manager: str
    when: datetime | None
    own: bool = False
    """Whether this program is the manager."""


def owners(body: dict[str, Any], path: Path) -> list[Owner]:
    """Return all managers that own a field, or a part of it, latest first."""
    found = _having(body, path)
    if not found and path[:1] == ("data",):
        # Applied as `stringData`, a value of a Secret is kept under that name until somebody changes it.
        found = _having(body, ("stringData", *path[1:]))
    return sorted(found, key=lambda owner: owner.when.timestamp() if owner.when else 0.0, reverse=True)


def _having(body: dict[str, Any], path: Path) -> list[Owner]:
    return [_owner(entry) for entry in _entries(body) if _below(entry.get("fieldsV1") or {}, path) is not None]


def _entries(body: dict[str, Any]) -> list[dict[str, Any]]:
    return (body.get("metadata") or {}).get("managedFields") or []


def owned_by_us(body: dict[str, Any], path: Path) -> bool:
    """Whether this program has all of the field: then nobody has changed it since it was applied.

    Of a whole element, nobody else may have a part that is not this program's, too. The elements of a list that are
    told apart by keys have owners; their order has none, nor that one of them is there twice: such a list is nobody's.
    """
    ours, theirs = _parts(body, path)
    if not ours and path[:1] == ("data",):
        ours, theirs = _parts(body, ("stringData", *path[1:]))
    if any(name.startswith("k:") for part in ours for name in part):
        return False
    return bool(ours) and all(any(_within(part, own) for own in ours) for part in theirs)


def _parts(body: dict[str, Any], path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """What this program has of a field, and what others have of it."""
    ours: list[dict[str, Any]] = []
    theirs: list[dict[str, Any]] = []
    for entry in _entries(body):
        part = _below(entry.get("fieldsV1") or {}, path)
        if part is not None:
            (ours if _owner(entry).own else theirs).append(part)
    return ours, theirs


def _within(part: dict[str, Any], whole: dict[str, Any]) -> bool:
    """Whether one set of fields is in another; a field without any below it is there as a whole."""
    if not part or not whole:
        return part == whole
    return all(name in whole and _within(below, whole[name]) for name, below in part.items())


def other(body: dict[str, Any], path: Path) -> Owner | None:
    """Return the latest manager of a field other than this program."""
    return next((owner for owner in owners(body, path) if not owner.own), None)


def touched_by_us(body: dict[str, Any]) -> bool:
    """Return whether this program ever applied the object."""
    return any(_owner(entry).own for entry in _entries(body))


def creator(body: dict[str, Any]) -> Owner | None:
    """Return the probable creator of an object: the first manager that wrote to it, except to its status."""
    written = [_owner(entry) for entry in _entries(body) if entry.get("subresource") != "status"]
    return min(written, key=lambda owner: owner.when.timestamp() if owner.when else 0.0, default=None)


def by_a_person(manager: str) -> bool:
    """Return whether a field manager is a tool with which a person writes."""
    return any(fnmatchcase(manager, pattern) for pattern in PEOPLE)


def _owner(entry: dict[str, Any]) -> Owner:
    name = str(entry.get("manager") or "unknown")
    return Owner(name, moment(entry.get("time")), (name, entry.get("operation")) in OWN)


def moment(text: Any) -> datetime | None:
    """Parse a time of the API; None if there is none."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _below(fields: dict[str, Any], path: Path) -> dict[str, Any] | None:
    """What a set of fields has at a place: nothing below it if it, or an atomic one above it, is there as a whole.

    None where it does not have the place.
    """
    for step in path:
        if not fields:
            # Nothing below, not even the dot that stands for the mere presence: the field is owned as a whole.
            return fields
        following = next((fields[name] for name in _names(step, fields) if name in fields), None)
        if following is None:
            return None
        fields = following
    return fields


def _names(step: str | Item, fields: dict[str, Any]) -> Iterator[str]:
    if isinstance(step, str):
        yield f"f:{step}"
        return
    key = step.live or step.key
    if not step.fields:
        yield f"v:{json.dumps(key[0])}"
        return
    wanted = {name: part for name, part in zip(step.fields, key, strict=True) if part is not None}
    for name in fields:
        # The server may omit a part of the key that has its default.
        if name.startswith("k:") and _key_agrees(json.loads(name[2:]), wanted):
            yield name


def _key_agrees(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(found.get(name, part) == part for name, part in wanted.items()) and bool(found.keys() & wanted.keys())
