"""Keeps live values that a rule protects, by adjusting the inputs that Pulumi gets. Pure.

Pulumi writes all inputs of a resource if one of them changed. So if an object is written anyway, its inputs carry the
live values of kept fields, and an annotation lists the fields. If nothing is written, the inputs equal those of the
last update: Pulumi sees no change, and the fields stay.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flowmaster.cluster.defaults import fill
from flowmaster.cluster.normalise import (
    HEALED_FROM,
    KEPT,
    KEPT_SEPARATOR,
    annotation,
    healed_from,
    kept_fields,
    normalise,
)
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import ABSENT, OPAQUE, Change, ObjectRef
from flowmaster.compare.path import Item, Path, render
from flowmaster.compare.three_way import Difference, apply, compare
from flowmaster.drift.objects import value_at

Body = dict[str, Any]
HEALED = "flowmaster.io/healed"
"""The annotation with the time and the fields of the last heal. A new value makes Pulumi see a change: the program's
other inputs equal those of the last update, whatever happened on the server."""

_REMEMBERED = 20
"""Fields of one object whose writers are remembered."""


def writers_annotation(last: Any, writers: Iterable[tuple[str, str]]) -> str:
    """Return the annotation that remembers whose values were undone, the latest last; empty if nobody's were.

    :param last: the last applied body.
    :param writers: the programs whose values the next update undoes, by field.
    """
    found = healed_from(last)
    for path, name in writers:
        found.pop(path, None)
        found[path] = name
    return json.dumps(dict([*found.items()][-_REMEMBERED:])) if found else ""


def pulumi_inputs(ref: ObjectRef, declared: Body, last: Any, kept: Iterable[Difference], written: bool) -> Body | None:
    """Return the inputs for Pulumi in place of the declared body; None if that can be used.

    :param last: the last applied body.
    :param kept: the differences that a rule keeps.
    :param written: whether other fields of the object are going to be written.
    """
    kept = [difference for difference in kept if difference.change is not Change.ADDED]
    kept_annotation = annotation(last, KEPT)
    if not isinstance(last, dict) or not (kept or kept_annotation):
        return None
    if not written:
        unchanged = _as_last_applied(ref, declared, last, kept, kept_annotation)
        if _agree_where_readable(_without_own_annotations(unchanged), _without_own_annotations(last)):
            return None if unchanged == declared else unchanged
    if not kept:
        return None
    body = _with_values(declared, {difference.path: difference.live for difference in kept})
    names = KEPT_SEPARATOR.join(sorted(render(difference.path) for difference in kept))
    body["metadata"].setdefault("annotations", {})[KEPT] = names
    return body


def _as_last_applied(ref: ObjectRef, declared: Body, last: Body, kept: list[Difference], kept_annotation: str) -> Body:
    """Return the declared body with the last applied values of fields that are or were kept."""
    values = {difference.path: value_at(last, difference.path) for difference in kept}
    if kept_annotation:
        desired, applied = (fill(ref.kind, normalise(body), ref.name) for body in (declared, last))
        for difference in compare(desired, applied, OPAQUE, schema(ref.kind)):
            if render(difference.path) in kept_fields(last):
                values[difference.path] = difference.live
    # an opaque value counts as equal to the declared one
    body = _with_values(declared, {path: value for path, value in values.items() if value is not OPAQUE})
    if kept_annotation:
        body["metadata"].setdefault("annotations", {})[KEPT] = kept_annotation
    return body


def _with_values(body: Body, values: Mapping[Path, Any]) -> Body:
    changes = [
        Difference(_declared_path(body, path), Change.CHANGED, value, ABSENT, ABSENT, None)
        for path, value in values.items()
    ]
    return dict(apply(changes, body))


def _declared_path(body: Any, path: Path) -> Path:
    """Return the path with the keys of the declared body, which may omit fields that the server fills in."""
    found: list[Any] = []
    for step in path:
        body = value_at(body, (step,))
        if isinstance(step, Item):
            key = tuple(body.get(name) for name in step.fields) if isinstance(body, dict) else step.key
            found.append(replace(step, key=key, live=None))
        else:
            found.append(step)
    return tuple(found)


def _without_own_annotations(body: Body) -> Body:
    metadata = body.get("metadata") or {}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in (HEALED, HEALED_FROM, KEPT)}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def _agree_where_readable(one: Any, other: Any) -> bool:
    """Return whether two values are equal, ignoring opaque parts."""
    if one is OPAQUE or other is OPAQUE:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            _agree_where_readable(part, other[name]) for name, part in one.items()
        )
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree_where_readable, one, other))
    return bool(one == other)
