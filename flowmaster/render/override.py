"""Applies a service's override to its rendered body."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

REPLACE = "$replace"
REMOVE = "$remove"
AFTER = "$after"
_KEYS = ("name", "mountPath", "containerPort", "port", "ip")


def merge(body: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386): ``null`` removes a key, mappings merge, other values replace.

    Beyond the RFC, lists whose items have a key field (``name``, ``mountPath``, ``containerPort``, ``port`` or ``ip``)
    merge item by item. An item ``{name: x, $remove: true}`` removes the item x; ``{name: x, $after: y}`` places it
    after the item y (first for ``""``, last without such an item); ``{$replace: [...]}`` replaces the list.
    """
    if isinstance(patch, Mapping) and set(patch) == {REPLACE}:
        return patch[REPLACE]
    if isinstance(patch, Mapping):
        result = dict(body) if isinstance(body, Mapping) else {}
        for key, value in patch.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merge(result.get(key), value)
        return result
    if isinstance(patch, list):
        key = _list_key(body, patch) if isinstance(body, list) else None
        return _merged_list(body, patch, key) if key else _without_directives(patch)
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
            continue
        by_key[item[key]] = merge(by_key.get(item[key]), {k: v for k, v in item.items() if k != AFTER})
        if AFTER in item:
            by_key = _reordered(by_key, item[key], item[AFTER])
    return list(by_key.values())


def _reordered(by_key: dict[Any, Any], moving: Any, after: Any) -> dict[Any, Any]:
    order = [key for key in by_key if key != moving]
    position = 0 if after == "" else order.index(after) + 1 if after in order else len(order)
    return {key: by_key[key] for key in (*order[:position], moving, *order[position:])}


def _without_directives(patch: list[Any]) -> list[Any]:
    """Return a list of a patch without directives, for a body that has no such list."""
    items = (item for item in patch if not (isinstance(item, Mapping) and item.get(REMOVE)))
    return [{k: v for k, v in i.items() if k != AFTER} if isinstance(i, Mapping) and AFTER in i else i for i in items]
