"""Three-way comparison of plain data: declared (desired), live, and last applied. Pure.

It handles maps, lists and scalars, whatever they describe. The caller passes a `Schema` that says how to match the
elements of lists.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowmaster.compare.finding import ABSENT, OPAQUE, Change, FindingClass
from flowmaster.compare.path import Item, Key, Path

ItemKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """How to compare one place of a structure. By default maps are compared by key, and lists as a whole.

    fields: schemas of the fields, by key.   items: schema of every other key, or of every element of a list.
    keys: the list is a set of maps, identified by these fields.   alias: unmatched elements are paired by this field
    (a renumbered port keeps its name).   ordered: the order of elements matters.
    refers: the keys of elements that an element refers to; whether they come before it matters.
    scalars: the list is a set of scalars.   open: a map with free keys; absent means empty.
    union: mutually exclusive keys; switching between them is one change of the whole.
    canonical: values are equal if this function gives the same for both (`1000m` and `1`).
    """

    fields: Mapping[str, Schema] = field(default_factory=dict)
    items: Schema | None = None
    keys: tuple[str, ...] = ()
    alias: str | None = None
    ordered: bool = False
    refers: Callable[[Any], Iterable[Any]] | None = None
    scalars: bool = False
    open: bool = False
    union: frozenset[str] = frozenset()
    canonical: Callable[[Any], Any] | None = None

    def below(self, name: str) -> Schema:
        """Return the schema of a key."""
        return self.fields.get(name) or self.items or PLAIN

    @property
    def element(self) -> Schema:
        """The schema of the list's elements."""
        return self.items or PLAIN


PLAIN = Schema()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where the live state differs from the declared one.

    `cls` is None if the last applied value is opaque; the caller must then tell drift and pending apart.
    `position` is the index of a missing element of an ordered list.
    """

    path: Path
    change: Change
    declared: Any
    live: Any
    applied: Any
    cls: FindingClass | None
    position: int | None = None


def compare(declared: Any, live: Any, applied: Any = ABSENT, schema: Schema = PLAIN) -> list[Difference]:
    """Return all differences, each at the highest place where one side is absent or the values differ.

    If `applied` is ABSENT, nothing was ever applied and differences are pending. If it is OPAQUE, it is unknown.
    A field that only the live state has is foreign, unless it was applied: then the program no longer declares it.
    """
    return list(_walk((), declared, live, applied, schema, applied is ABSENT))


def same(one: Any, other: Any, schema: Schema = PLAIN) -> bool:
    """Return whether two structures are equal under a schema."""
    return one == other or next(_walk((), one, other, OPAQUE, schema, False), None) is None


def _walk(
    path: Path, declared: Any, live: Any, applied: Any, schema: Schema, never_applied: bool
) -> Iterator[Difference]:
    if declared == live and declared is not OPAQUE:
        return
    if schema.open or schema.keys or schema.scalars:
        empty: Any = {} if schema.open else []
        declared = empty if declared is ABSENT else declared
        live = empty if live is ABSENT else live
    if isinstance(declared, dict) and isinstance(live, dict):
        if schema.union and not _same_union_member(declared, live, schema.union):
            yield _difference(path, declared, live, applied, schema, never_applied)
        else:
            yield from _walk_map(path, declared, live, applied, schema, never_applied)
    elif isinstance(declared, list) and isinstance(live, list) and (schema.keys or schema.scalars):
        yield from _walk_list(path, declared, live, applied, schema, never_applied)
    elif not _equal_scalars(declared, live, schema):
        yield _difference(path, declared, live, applied, schema, never_applied)


def _equal_scalars(one: Any, other: Any, schema: Schema) -> bool:
    if schema.canonical is None or isinstance(one, (dict, list)) or isinstance(other, (dict, list)):
        return False
    if one in (ABSENT, OPAQUE) or other in (ABSENT, OPAQUE):
        return False
    return bool(schema.canonical(one) == schema.canonical(other))


def _same_union_member(declared: dict[str, Any], live: dict[str, Any], union: frozenset[str]) -> bool:
    desired_items, live_items = union & declared.keys(), union & live.keys()
    return desired_items == live_items or not desired_items or not live_items


def _walk_map(
    path: Path, declared: dict[str, Any], live: dict[str, Any], applied: Any, schema: Schema, never_applied: bool
) -> Iterator[Difference]:
    step: type[str] = Key if schema.open else str
    for name, desired in declared.items():
        yield from _walk(
            (*path, step(name)),
            desired,
            live.get(name, ABSENT),
            _applied_value(applied, name),
            schema.below(name),
            never_applied,
        )
    for name, found in live.items():
        if name not in declared:
            yield from _walk(
                (*path, step(name)), ABSENT, found, _applied_value(applied, name), schema.below(name), never_applied
            )


def _walk_list(
    path: Path, declared: list[Any], live: list[Any], applied: Any, schema: Schema, never_applied: bool
) -> Iterator[Difference]:
    desired_items, live_items = keyed(declared, schema), keyed(live, schema)
    if desired_items is None or live_items is None:
        yield _difference(path, declared, live, applied, schema, never_applied)
        return
    if _order_differs(desired_items, live_items, schema):
        yield _difference(path, declared, live, applied, schema, never_applied)
        return
    applied_items = (
        OPAQUE if applied is OPAQUE else (keyed(applied, schema) if isinstance(applied, list) else None) or {}
    )
    renamed = _renamed_items(desired_items, live_items, schema)
    for position, (key, desired) in enumerate(desired_items.items()):
        found = live_items.get(renamed.get(key, key), ABSENT)
        step = Item(schema.keys, key, renamed.get(key))
        for difference in _walk(
            (*path, step), desired, found, _applied_value(applied_items, key), schema.element, never_applied
        ):
            if schema.ordered and difference.change is Change.MISSING and len(difference.path) == len(path) + 1:
                yield replace(difference, position=position)
            else:
                yield difference
    taken = set(renamed.values())
    for key, found in live_items.items():
        if key not in desired_items and key not in taken:
            step = Item(schema.keys, key)
            yield from _walk(
                (*path, step), ABSENT, found, _applied_value(applied_items, key), schema.element, never_applied
            )


def _order_differs(desired_items: dict[ItemKey, Any], live_items: dict[ItemKey, Any], schema: Schema) -> bool:
    """Return whether the elements that both lists have are in an order that means something else."""
    if not schema.ordered and schema.refers is None:
        return False
    ours, theirs = ([key for key in one if key in other] for one, other in
                    ((desired_items, live_items), (live_items, desired_items)))  # fmt: skip
    if schema.refers is None or ours == theirs:
        return ours != theirs
    position = {key: place for place, key in enumerate(theirs)}
    for place, key in enumerate(ours):
        before = set(ours[:place])
        for name in schema.refers(desired_items[key]):
            named = (name,)
            if named != key and named in position and (named in before) != (position[named] < position[key]):
                return True
    return False


def keyed(elements: list[Any], schema: Schema) -> dict[ItemKey, Any] | None:
    """Return the elements by key; None if the keys are not unique, so that the list is compared as a whole."""
    found: dict[ItemKey, Any] = {}
    for element in elements:
        if schema.keys:
            if not isinstance(element, dict):
                return None
            key = tuple(element.get(name) for name in schema.keys)
            if all(part is None for part in key):
                return None
        else:
            key = (element,)
        if any(isinstance(part, (dict, list)) for part in key) or key in found:
            return None
        found[key] = element
    return found


def _renamed_items(
    desired_items: dict[ItemKey, Any], live_items: dict[ItemKey, Any], schema: Schema
) -> dict[ItemKey, ItemKey]:
    """Map declared to live keys of elements whose key changed but whose alias did not."""
    if schema.alias is None:
        return {}
    left = _by_alias({key: value for key, value in desired_items.items() if key not in live_items}, schema.alias)
    right = _by_alias({key: value for key, value in live_items.items() if key not in desired_items}, schema.alias)
    return {key: right[alias] for alias, key in left.items() if alias in right}


def _by_alias(elements: dict[ItemKey, Any], alias: str) -> dict[Any, ItemKey]:
    found: dict[Any, list[ItemKey]] = {}
    for key, element in elements.items():
        name = element.get(alias)
        if not isinstance(name, (dict, list)):
            found.setdefault(name, []).append(key)
    return {name: keys[0] for name, keys in found.items() if len(keys) == 1}


def _applied_value(applied: Any, name: Any) -> Any:
    if applied is OPAQUE:
        return OPAQUE
    return applied.get(name, ABSENT) if isinstance(applied, dict) else ABSENT


def _difference(path: Path, declared: Any, live: Any, applied: Any, schema: Schema, never_applied: bool) -> Difference:
    change = Change.ADDED if declared is ABSENT else Change.MISSING if live is ABSENT else Change.CHANGED
    return Difference(path, change, declared, live, applied, _classify(declared, live, applied, schema, never_applied))


def _classify(declared: Any, live: Any, applied: Any, schema: Schema, never_applied: bool) -> FindingClass | None:
    if never_applied:
        return FindingClass.FOREIGN if declared is ABSENT else FindingClass.PENDING
    if applied is ABSENT and declared is ABSENT:
        return FindingClass.FOREIGN
    if has_opaque(applied) or has_opaque(declared):
        return None
    if declared is not ABSENT and applied is not ABSENT and same(applied, declared, schema):
        return FindingClass.DRIFT
    if (applied is ABSENT and live is ABSENT) or same(applied, live, schema):
        return FindingClass.PENDING
    return FindingClass.CONFLICT


def has_opaque(value: Any) -> bool:
    """Return whether any part of a value is opaque."""
    if isinstance(value, dict):
        return any(has_opaque(part) for part in value.values())
    if isinstance(value, list):
        return any(has_opaque(part) for part in value)
    return value is OPAQUE


def apply(differences: list[Difference], live: Any) -> Any:
    """Return a copy of the live structure with every difference set to the declared value."""
    result = {"": copy.deepcopy(live)}
    # All targets are located first, because a change may rename a step of another path.
    targets = [(_locate(result, difference.path), difference) for difference in differences]
    # Removals come first: positions of insertions count the remaining elements.
    for (parent, step), difference in sorted(targets, key=lambda found: found[1].declared is not ABSENT):
        desired = copy.deepcopy(difference.declared)
        if isinstance(parent, dict):
            if desired is ABSENT:
                parent.pop(step, None)
            else:
                parent[step] = desired
        else:
            _set_element(parent, step, desired, difference.position)
    return result[""]


def _set_element(elements: list[Any], found: Any, desired: Any, position: int | None) -> None:
    index = next((index for index, element in enumerate(elements) if element is found), None)
    if desired is ABSENT:
        if index is not None:
            del elements[index]
    elif index is not None:
        elements[index] = desired
    else:
        elements.insert(len(elements) if position is None else position, desired)


def _locate(root: dict[str, Any], path: Path) -> tuple[Any, Any]:
    """Return the map and key, or the list and element, of a path's last step; create missing parents."""
    parent: Any = root
    step: Any = ""
    for following in path:
        here = parent[step] if isinstance(parent, dict) else step
        if here is ABSENT:
            here = parent[step] = [] if isinstance(following, Item) else {}
        parent = here
        if isinstance(following, Item):
            step = next((element for element in parent if _matches(element, following)), ABSENT)
        else:
            parent.setdefault(following, ABSENT)
            step = following
    return parent, step


def _matches(element: Any, step: Item) -> bool:
    key = step.live or step.key
    if not step.fields:
        return (element,) == key
    return isinstance(element, dict) and tuple(element.get(name) for name in step.fields) == key
