"""A service's override laid over its rendered body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REPLACE = "$replace"
REMOVE = "$remove"
_KEYS = ("name", "mountPath", "containerPort", "port", "ip")


def merged(body: Any, patch: Any) -> Any:
    """``body`` with a JSON merge patch (RFC 7386) applied: ``null`` removes a key, mappings merge, all else replaces.

    Beyond the RFC, lists whose items carry a name (``name``, ``mountPath``, ``containerPort``, ``port`` or ``ip``)
    merge item by item; an item ``{name: x, $remove: true}`` removes its namesake, and ``{$replace: [...]}`` stands
    for a list that is not to be merged.
    """
    if isinstance(patch, Mapping) and set(patch) == {REPLACE}:
        return patch[REPLACE]
    if isinstance(patch, Mapping):
        result = dict(body) if isinstance(body, Mapping) else {}
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merged(result.get(key), value)
        return result
    if isinstance(patch, list) and isinstance(body, list):
        key = _list_key(body, patch)
        if key:
            return _merged_list(body, patch, key)
    return patch


def _list_key(body: list[Any], patch: list[Any]) -> str | None:
    items = [*body, *patch]
    if not items or not all(isinstance(item, Mapping) for item in items):
        return None
    return next((key for key in _KEYS if all(key in item for item in items)), None)


def _merged_list(body: list[Any], patch: list[Any], key: str) -> list[Any]:
    by_key = {item[key]: item for item in body}
    for item in patch:
        if item.get(REMOVE):
            by_key.pop(item[key], None)
        else:
            by_key[item[key]] = merged(by_key.get(item[key]), item)
    return list(by_key.values())
