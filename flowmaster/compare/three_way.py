"""The pure three-way comparison of plain structures: what is declared, what is live, what was applied last.

It knows maps, lists and scalars, and nothing of where they come from. How lists are to be read is the caller's
knowledge, given as a `Schema` that is walked along with the structures.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from flowmaster.compare.finding import ABSENT, OPAQUE, Change, FindingClass
from flowmaster.compare.path import Item, Key, Path

ItemKey = tuple[Any, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """How one place of a structure is to be read. Without any of these, maps are walked and lists are atomic.

    fields: the places below it, by key.   items: the place of every other key, or of every element of a list.
    keys: the list is a set of maps, told apart by these fields.   alias: elements left over on both sides belong
    together if this field agrees (a port that got another number keeps its name).   ordered: their order matters.
    scalars: the list is a set of scalars.   open: a map in which any key may appear, so none at all means empty.
    union: of these keys one excludes the other, so a switch is one change of the whole.
    canonical: two values are the same if this gives the same for both (`1000m` and `1`).
    """

    fields: Mapping[str, Schema] = field(default_factory=dict)
    items: Schema | None = None
    keys: tuple[str, ...] = ()
    alias: str | None = None
    ordered: bool = False
    scalars: bool = False
    open: bool = False
    union: frozenset[str] = frozenset()
    canonical: Callable[[Any], Any] | None = None

    def below(self, name: str) -> Schema:
        """The place of a key."""
        return self.fields.get(name) or self.items or PLAIN

    @property
    def element(self) -> Schema:
        """The place of each element of the list."""
        return self.items or PLAIN


PLAIN = Schema()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where live is not as declared.

    `cls` is None where what was applied last is opaque, so that somebody else must tell drift and pending apart.
    `position` is where a missing element of an ordered list belongs.
    """

    path: Path
    change: Change
    declared: Any
    live: Any
    applied: Any
    cls: FindingClass | None
    position: int | None = None


def compare(declared: Any, live: Any, applied: Any = ABSENT, schema: Schema = PLAIN) -> list[Difference]:
    """All differences, each once, at the highest place where one side has nothing or where the values differ.

    `applied` absent means that nothing was ever applied: then what differs is pending. Opaque means that it cannot
    be known. A field that only live has is foreign, unless it was applied: then the program gave it up.
    """
    return list(_walk((), declared, live, applied, schema, applied is ABSENT))


def same(one: Any, other: Any, schema: Schema = PLAIN) -> bool:
    """Whether two structures say the same."""
    return one == other or next(_walk((), one, other, OPAQUE, schema, False), None) is None


def _walk(path: Path, declared: Any, live: Any, applied: Any, schema: Schema, never: bool) -> Iterator[Difference]:
    if declared == live and declared is not OPAQUE:
        return
    if schema.open or schema.keys or schema.scalars:
        empty: Any = {} if schema.open else []
        declared = empty if declared is ABSENT else declared
        live = empty if live is ABSENT else live
    if isinstance(declared, dict) and isinstance(live, dict):
        if schema.union and not _same_member(declared, live, schema.union):
            yield _difference(path, declared, live, applied, schema, never)
        else:
            yield from _walk_map(path, declared, live, applied, schema, never)
    elif isinstance(declared, list) and isinstance(live, list) and (schema.keys or schema.scalars):
        yield from _walk_list(path, declared, live, applied, schema, never)
    elif not _equal_scalars(declared, live, schema):
        yield _difference(path, declared, live, applied, schema, never)


def _equal_scalars(one: Any, other: Any, schema: Schema) -> bool:
    if schema.canonical is None or isinstance(one, (dict, list)) or isinstance(other, (dict, list)):
        return False
    if one in (ABSENT, OPAQUE) or other in (ABSENT, OPAQUE):
        return False
    return bool(schema.canonical(one) == schema.canonical(other))


def _same_member(declared: dict[str, Any], live: dict[str, Any], union: frozenset[str]) -> bool:
    ours, theirs = union & declared.keys(), union & live.keys()
    return ours == theirs or not ours or not theirs


def _walk_map(
    path: Path, declared: dict[str, Any], live: dict[str, Any], applied: Any, schema: Schema, never: bool
) -> Iterator[Difference]:
    step: type[str] = Key if schema.open else str
    for name, wanted in declared.items():
        yield from _walk(
            (*path, step(name)), wanted, live.get(name, ABSENT), _get(applied, name), schema.below(name), never
        )
    for name, found in live.items():
        if name not in declared:
            yield from _walk((*path, step(name)), ABSENT, found, _get(applied, name), schema.below(name), never)


def _walk_list(
    path: Path, declared: list[Any], live: list[Any], applied: Any, schema: Schema, never: bool
) -> Iterator[Difference]:
    ours, theirs = keyed(declared, schema), keyed(live, schema)
    if ours is None or theirs is None:
        yield _difference(path, declared, live, applied, schema, never)
        return
    if schema.ordered and [key for key in ours if key in theirs] != [key for key in theirs if key in ours]:
        yield _difference(path, declared, live, applied, schema, never)
        return
    before = OPAQUE if applied is OPAQUE else (keyed(applied, schema) if isinstance(applied, list) else None) or {}
    moved = _moved(ours, theirs, schema)
    for position, (key, wanted) in enumerate(ours.items()):
        found = theirs.get(moved.get(key, key), ABSENT)
        step = Item(schema.keys, key, moved.get(key))
        for difference in _walk((*path, step), wanted, found, _get(before, key), schema.element, never):
            if schema.ordered and difference.change is Change.MISSING and len(difference.path) == len(path) + 1:
                yield replace(difference, position=position)
            else:
                yield difference
    taken = set(moved.values())
    for key, found in theirs.items():
        if key not in ours and key not in taken:
            step = Item(schema.keys, key)
            yield from _walk((*path, step), ABSENT, found, _get(before, key), schema.element, never)


def keyed(elements: list[Any], schema: Schema) -> dict[ItemKey, Any] | None:
    """The elements by their key, or None where they cannot be told apart, so that the list has to count as one."""
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


def _moved(ours: dict[ItemKey, Any], theirs: dict[ItemKey, Any], schema: Schema) -> dict[ItemKey, ItemKey]:
    """Elements whose key changed but whose alias did not: declared key to live key."""
    if schema.alias is None:
        return {}
    left = _by_alias({key: value for key, value in ours.items() if key not in theirs}, schema.alias)
    right = _by_alias({key: value for key, value in theirs.items() if key not in ours}, schema.alias)
    return {key: right[alias] for alias, key in left.items() if alias in right}


def _by_alias(elements: dict[ItemKey, Any], alias: str) -> dict[Any, ItemKey]:
    found: dict[Any, list[ItemKey]] = {}
    for key, element in elements.items():
        name = element.get(alias)
        if not isinstance(name, (dict, list)):
            found.setdefault(name, []).append(key)
    return {name: keys[0] for name, keys in found.items() if len(keys) == 1}


def _get(applied: Any, name: Any) -> Any:
    if applied is OPAQUE:
        return OPAQUE
    return applied.get(name, ABSENT) if isinstance(applied, dict) else ABSENT


def _difference(path: Path, declared: Any, live: Any, applied: Any, schema: Schema, never: bool) -> Difference:
    change = Change.ADDED if declared is ABSENT else Change.MISSING if live is ABSENT else Change.CHANGED
    return Difference(path, change, declared, live, applied, _classify(declared, live, applied, schema, never))


def _classify(declared: Any, live: Any, applied: Any, schema: Schema, never: bool) -> FindingClass | None:
    if never:
        return FindingClass.FOREIGN if declared is ABSENT else FindingClass.PENDING
    if applied is ABSENT and declared is ABSENT:
        return FindingClass.FOREIGN
    if opaque(applied) or opaque(declared):
        return None
    if declared is not ABSENT and applied is not ABSENT and same(applied, declared, schema):
        return FindingClass.DRIFT
    if (applied is ABSENT and live is ABSENT) or same(applied, live, schema):
        return FindingClass.PENDING
    return FindingClass.CONFLICT


def opaque(value: Any) -> bool:
    """Whether some part of it cannot be read."""
    if isinstance(value, dict):
        return any(opaque(part) for part in value.values())
    if isinstance(value, list):
        return any(opaque(part) for part in value)
    return value is OPAQUE


def apply(differences: list[Difference], live: Any) -> Any:
    """The live structure with every difference settled as declared. Neither argument is changed."""
    result = {"": copy.deepcopy(live)}
    # All places are looked up before anything is changed, because settling one may rename the way to another.
    settled = [(_place(result, difference.path), difference) for difference in differences]
    # What goes goes first: the positions of what comes are those among the elements that stay.
    for (parent, step), difference in sorted(settled, key=lambda found: found[1].declared is not ABSENT):
        wanted = copy.deepcopy(difference.declared)
        if isinstance(parent, dict):
            if wanted is ABSENT:
                parent.pop(step, None)
            else:
                parent[step] = wanted
        else:
            _settle_element(parent, step, wanted, difference.position)
    return result[""]


def _settle_element(elements: list[Any], found: Any, wanted: Any, position: int | None) -> None:
    index = next((index for index, element in enumerate(elements) if element is found), None)
    if wanted is ABSENT:
        if index is not None:
            del elements[index]
    elif index is not None:
        elements[index] = wanted
    else:
        elements.insert(len(elements) if position is None else position, wanted)


def _place(root: dict[str, Any], path: Path) -> tuple[Any, Any]:
    """The map and key, or the list and element, that the last step of the path means; ways that lack are made."""
    parent: Any = root
    step: Any = ""
    for following in path:
        here = parent[step] if isinstance(parent, dict) else step
        if here is ABSENT:
            here = parent[step] = [] if isinstance(following, Item) else {}
        parent = here
        if isinstance(following, Item):
            step = next((element for element in parent if _is(element, following)), ABSENT)
        else:
            parent.setdefault(following, ABSENT)
            step = following
    return parent, step


def _is(element: Any, step: Item) -> bool:
    key = step.live or step.key
    if not step.fields:
        return (element,) == key
    return isinstance(element, dict) and tuple(element.get(name) for name in step.fields) == key
