"""Computes the override of a service: the patch from its rendered body to the live one."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from flowmaster.adopt.desired import Body, with_defaults
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import ABSENT
from flowmaster.compare.path import Item, Path, render
from flowmaster.compare.three_way import Difference, compare
from flowmaster.render.override import AFTER, REMOVE, REPLACE, merge


class InexpressibleError(Exception):
    """A difference that no override can express; its argument is the path of the field."""


def override(kind: str, name: str, rendered: Body, wanted: Body) -> Body:
    """Return the merge patch from `rendered` to `wanted`; empty if they are equal.

    :raises InexpressibleError: where that cannot be said.
    """
    target = with_defaults(kind, name, wanted)
    differences = compare(target, with_defaults(kind, name, rendered), schema=schema(kind))
    remaining: list[Difference] = []
    for by_name in (_renamed, _as_it_is):
        patch: Body = {}
        for difference in differences:
            _add(patch, replace(difference, path=by_name(difference.path, rendered, wanted)), wanted, rendered)
        _keep_order(patch, rendered, merge(rendered, patch), wanted)
        remaining = compare(target, with_defaults(kind, name, merge(rendered, patch)), schema=schema(kind))
        if not remaining:
            return patch
    raise InexpressibleError(render(remaining[0].path))


def fields(patch: Any, prefix: str = "") -> list[str]:
    """Return the paths that a patch sets, for messages."""
    if isinstance(patch, dict):
        found: list[str] = []
        for key, value in patch.items():
            found += fields(value, prefix if key == REPLACE else f"{prefix}.{key}" if prefix else key)
        return found
    if isinstance(patch, list) and patch and all(isinstance(item, dict) and "name" in item for item in patch):
        return [place for item in patch for place in _item_fields(item, prefix)]
    return [prefix]


def _item_fields(item: Body, prefix: str) -> list[str]:
    here = f"{prefix}[{item['name']}]"
    rest = {key: value for key, value in item.items() if key not in ("name", REMOVE, AFTER)}
    return fields(rest, here) if rest and len(rest) < 4 else [here]


def _add(patch: Body, difference: Difference, wanted: Body, rendered: Body) -> None:
    """Add one difference to the patch: lists of named elements by name, other lists as a whole."""
    node: Any = patch
    path = difference.path
    for position, step in enumerate(path):
        last = position == len(path) - 1
        if isinstance(step, Item):
            raise InexpressibleError(render(path))
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
            value = copy.deepcopy(_value(wanted, path, difference.declared))
            if isinstance(value, list) and _at(rendered, path) is not ABSENT:
                value = {REPLACE: value}
            node[key] = None if value is ABSENT else value
            return
        node = node.setdefault(key, {})


def _as_it_is(path: Path, _rendered: Any, _wanted: Any) -> Path:
    return path


def _renamed(path: Path, rendered: Any, wanted: Any) -> Path:
    """Return the path with list elements by name, if they have unique names on both sides.

    That is how the override of a list is merged; to Kubernetes, the elements are told apart by more (a port by its
    number and protocol). The rest of the list then needs no word in the override.
    """
    for position, step in enumerate(path):
        if not isinstance(step, Item):
            ours, theirs = _at(rendered, (step,)), _at(wanted, (step,))
        else:
            ours = _at(rendered, (replace(step, key=step.live or step.key, live=None),))
            theirs = _at(wanted, (step,))
            if not _by_name(step):
                names = {element["name"] for element in (ours, theirs) if element is not ABSENT and "name" in element}
                if not (_told_by_name(rendered) and _told_by_name(wanted)) or len(names) != 1:
                    return path
                by_name = Item(("name",), (names.pop(),))
                return (*path[:position], by_name, *_renamed(path[position + 1 :], ours, theirs))
        rendered, wanted = ours, theirs
    return path


def _keep_order(patch: Body, rendered: Any, made: Any, wanted: Any) -> None:
    """Record the position of elements that a merge would move within their list, which would restart pods."""
    if not isinstance(made, dict) or not isinstance(wanted, dict):
        return
    for key, value in wanted.items():
        before: Any = rendered.get(key) if isinstance(rendered, dict) else None
        other: Any = made.get(key)
        if isinstance(value, dict):
            below = patch[key] if isinstance(patch.get(key), dict) else {}
            _keep_order(below, before, other, value)
            if below and patch.get(key) is None:
                patch[key] = below
        elif _named_list(value) and _named_list(other):
            if not _same_order(other, value):
                _place(patch, key, before, value)
            if not isinstance(patch.get(key), dict):
                _keep_order_within(patch, key, before, value, other)


def _place(patch: Body, key: str, before: Any, wanted: list[Body]) -> None:
    """Record for each new element its predecessor; patch the whole list if that is not sufficient."""
    old = {element["name"] for element in before} if _named_list(before) else set()
    items = {item["name"]: item for item in patch.get(key, ())} if _named_list(patch.get(key)) else {}
    following = ""
    placed = []
    for element in wanted:
        name = element["name"]
        if name in items:
            item = items.pop(name)
            placed.append(item if name in old else {**item, AFTER: following})
        following = name
    patch[key] = [*items.values(), *placed]
    if not _same_order(merge(before, patch[key]), wanted):
        patch[key] = {REPLACE: copy.deepcopy(wanted)}


def _same_order(made: list[Body], wanted: list[Body]) -> bool:
    return [item["name"] for item in made] == [item["name"] for item in wanted]


def _keep_order_within(patch: Body, key: str, before: Any, wanted: list[Body], made: list[Body]) -> None:
    items: list[Body] = patch.get(key, [])
    old = {element["name"]: element for element in before} if _told_by_name(before) else {}
    by_name = {element["name"]: element for element in made}
    for theirs in wanted:
        own = next((item for item in items if item["name"] == theirs["name"]), {"name": theirs["name"]})
        _keep_order(own, old.get(theirs["name"]), by_name[theirs["name"]], theirs)
        if len(own) > 1 and own not in items:
            items.append(own)
    if items:
        patch[key] = items


def _told_by_name(value: Any) -> bool:
    return _named_list(value) and len({item["name"] for item in value}) == len(value)


def _named_list(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(item, dict) and "name" in item for item in value)


def _below(difference: Difference, rest: Path) -> Difference:
    return replace(difference, path=rest)


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
    """Return the value as it was written, if it was written."""
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
