"""Who set a field last, and when: read from `metadata.managedFields`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from drift.path import Item, Path

OWN_PREFIXES = ("pulumi-kubernetes", "pulumi-resource-kubernetes", "flowmaster")
"""Field managers that are this program."""


@dataclass(frozen=True, slots=True)
class Owner:
    """A field manager that has a field, and when it last wrote to the object."""

    manager: str
    when: datetime | None

    @property
    def own(self) -> bool:
        """Whether this program is meant."""
        return self.manager.startswith(OWN_PREFIXES)


def owners(body: dict[str, Any], path: Path) -> list[Owner]:
    """All managers that have the field, or a part of it, the latest first."""
    found = _having(body, path)
    if not found and path[:1] == ("data",):
        # Applied as `stringData`, a value of a Secret is kept under that name until somebody changes it.
        found = _having(body, ("stringData", *path[1:]))
    return sorted(found, key=lambda owner: owner.when.timestamp() if owner.when else 0.0, reverse=True)


def _having(body: dict[str, Any], path: Path) -> list[Owner]:
    entries = (body.get("metadata") or {}).get("managedFields") or ()
    return [_owner(entry) for entry in entries if _has(entry.get("fieldsV1") or {}, path)]


def owned_by_us(body: dict[str, Any], path: Path) -> bool:
    """Whether this program has the field: then nobody has changed it since it was applied."""
    return any(owner.own for owner in owners(body, path))


def other(body: dict[str, Any], path: Path) -> Owner | None:
    """The latest manager of the field that is not this program."""
    return next((owner for owner in owners(body, path) if not owner.own), None)


def touched_by_us(body: dict[str, Any]) -> bool:
    """Whether this program ever applied the object."""
    entries = (body.get("metadata") or {}).get("managedFields") or ()
    return any(str(entry.get("manager", "")).startswith(OWN_PREFIXES) for entry in entries)


def creator(body: dict[str, Any]) -> Owner | None:
    """Who most likely made the object: the first manager that wrote to it, other than to its status."""
    entries = (body.get("metadata") or {}).get("managedFields") or ()
    written = [_owner(entry) for entry in entries if entry.get("subresource") != "status"]
    return min(written, key=lambda owner: owner.when.timestamp() if owner.when else 0.0, default=None)


def _owner(entry: dict[str, Any]) -> Owner:
    return Owner(str(entry.get("manager") or "unknown"), moment(entry.get("time")))


def moment(text: Any) -> datetime | None:
    """A time as the API writes it, or None."""
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _has(fields: dict[str, Any], path: Path) -> bool:
    """Whether a set of fields has this one, one below it, or an atomic one above it."""
    for step in path:
        if not fields:
            # Nothing below, not even the dot that stands for the mere presence: the field is owned as a whole.
            return True
        following = next((fields[name] for name in _names(step, fields) if name in fields), None)
        if following is None:
            return False
        fields = following
    return True


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
        # The server may leave out a part of the key that has its default.
        if name.startswith("k:") and _key_agrees(json.loads(name[2:]), wanted):
            yield name


def _key_agrees(found: dict[str, Any], wanted: dict[str, Any]) -> bool:
    return all(found.get(name, part) == part for name, part in wanted.items()) and bool(found.keys() & wanted.keys())
