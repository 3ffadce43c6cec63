"""The override that turns one rendered body into another: what the typed fields of a service cannot say."""

from __future__ import annotations

import copy
from typing import Any

from adopt.essence import Body, full
from components.bodies.merge import REMOVE, REPLACE, merged
from drift.compare import Difference, compare
from drift.finding import ABSENT
from drift.kubernetes.schema import schema
from drift.path import Item, Path, render


class NotSayableError(Exception):
    """A difference that no override expresses; its argument is the path of the field."""


def override(kind: str, name: str, rendered: Body, wanted: Body) -> Body:
    """A merge patch that makes `wanted` of `rendered`; empty where they say the same.

    :raises NotSayableError: where that cannot be said.
    """
    target = full(kind, name, wanted)
    patch: Body = {}
    for difference in compare(target, full(kind, name, rendered), schema=schema(kind)):
        _add(patch, difference, wanted, rendered)
    _keep_order(patch, merged(rendered, patch), wanted)
    remaining = compare(target, full(kind, name, merged(rendered, patch)), schema=schema(kind))
    if remaining:
        raise NotSayableError(render(remaining[0].path))
    return patch


def fields(patch: Any, prefix: str = "") -> list[str]:
    """The places that a patch sets, for people to read."""
    if isinstance(patch, dict):
        found: list[str] = []
        for key, value in patch.items():
            found += fields(value, f"{prefix}.{key}" if prefix else key)
        return found
    if isinstance(patch, list) and patch and all(isinstance(item, dict) and "name" in item for item in patch):
        return [place for item in patch for place in _item_fields(item, prefix)]
    return [prefix]


def _item_fields(item: Body, prefix: str) -> list[str]:
    here = f"{prefix}[{item['name']}]"
    rest = {key: value for key, value in item.items() if key not in ("name", REMOVE)}
    return fields(rest, here) if rest and len(rest) < 4 else [here]


def _add(patch: Body, difference: Difference, wanted: Body, rendered: Body) -> None:
    """Put one difference into the patch, at its place; lists of named things by name, all others whole."""
    node: Any = patch
    path = difference.path
    for position, step in enumerate(path):
        last = position == len(path) - 1
        if isinstance(step, Item):
            raise NotSayableError(render(path))
        key = str(step)
        following = path[position + 1] if not last else None
        if isinstance(following, Item) and not _by_name(following):
            # told apart by more than a name: the whole list goes into the override
            there = _at(rendered, path[: position + 1]) is not ABSENT
            value = _at(wanted, path[: position + 1])
            node[key] = None if value is ABSENT else {REPLACE: value} if there else value
            return
        if isinstance(following, Item):
            node = _named_item(node.setdefault(key, []), following)
            rest = path[position + 2 :]
            if not rest:
                _whole_item(node, difference, wanted, path)
                return
            below = path[: position + 2]
            _add(node, _below(difference, rest), _at(wanted, below), _at(rendered, below))
            return
        if last:
            value = _value(wanted, path, difference.declared)
            node[key] = None if value is ABSENT else copy.deepcopy(value)
            return
        node = node.setdefault(key, {})


def _keep_order(patch: Body, made: Any, wanted: Any) -> None:
    """Take lists whole where merging would put their elements in another order: pods would be rolled for it."""
    if not isinstance(made, dict) or not isinstance(wanted, dict):
        return
    for key, value in wanted.items():
        other: Any = made.get(key)
        if isinstance(value, dict):
            below = patch.setdefault(key, {}) if isinstance(patch.get(key, {}), dict) else {}
            _keep_order(below, other, value)
            if not below:
                patch.pop(key, None)
        elif _named_list(value) and _named_list(other):
            if [item["name"] for item in value] != [item["name"] for item in other]:
                patch[key] = {REPLACE: copy.deepcopy(value)}
            else:
                _keep_order_within(patch, key, other, value)


def _keep_order_within(patch: Body, key: str, made: list[Body], wanted: list[Body]) -> None:
    if REPLACE in patch.get(key, ()):
        return
    items: list[Body] = patch.get(key, [])
    for ours, theirs in zip(made, wanted, strict=True):
        own = next((item for item in items if item["name"] == theirs["name"]), {"name": theirs["name"]})
        _keep_order(own, ours, theirs)
        if len(own) > 1 and own not in items:
            items.append(own)
    if items:
        patch[key] = items


def _named_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def _below(difference: Difference, rest: Path) -> Difference:
    return Difference(rest, difference.change, difference.declared, difference.live, difference.applied, difference.cls)


def _by_name(step: Item) -> bool:
    return step.fields == ("name",)


def _named_item(items: list[Body], step: Item) -> Body:
    name = step.key[0]
    found = next((item for item in items if item["name"] == name), None)
    if found is None:
        found = {"name": name}
        items.append(found)
    return found


def _whole_item(item: Body, difference: Difference, wanted: Body, path: Path) -> None:
    value = _value(wanted, path, difference.declared)
    if value is ABSENT:
        item[REMOVE] = True
    else:
        item.update(copy.deepcopy(value))


def _value(wanted: Any, path: Path, otherwise: Any) -> Any:
    """The value as a person would write it, where it is written at all."""
    found = _at(wanted, path)
    return otherwise if found is ABSENT else found


def _at(node: Any, path: Path) -> Any:
    for step in path:
        if isinstance(step, Item):
            if not isinstance(node, list):
                return ABSENT
            key = dict(zip(step.fields, step.key, strict=True))
            node = next((e for e in node if all(e.get(k) in (v, None) for k, v in key.items())), ABSENT)
        else:
            node = node.get(step, ABSENT) if isinstance(node, dict) else ABSENT
        if node is ABSENT:
            return ABSENT
    return node
