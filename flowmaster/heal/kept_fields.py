"""Fields whose live value stays because a rule says so, in the words of Pulumi's inputs. Pure.

Pulumi writes all of its inputs whenever one of them changed. So where an object is written anyway, the inputs carry the
live values of such fields, and an annotation says which. Where nothing is written, they are those of the last update,
whatever happened on the server since: then Pulumi sees no change, and the fields are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from flowmaster.cluster.defaults import fill
from flowmaster.cluster.normalise import KEPT, KEPT_SEPARATOR, annotation, kept_fields, normalise
from flowmaster.cluster.schema import schema
from flowmaster.compare.finding import ABSENT, OPAQUE, Change, ObjectRef
from flowmaster.compare.path import Item, Path, render
from flowmaster.compare.three_way import Difference, apply, compare
from flowmaster.drift.objects import value_at

Body = dict[str, Any]
HEALED = "flowmaster.io/healed"
"""The annotation that says when drift of an object was last undone, and of which fields. It is also what makes
Pulumi see a change: the program's inputs are those of the last update, whatever happened on the server meanwhile."""


def inputs(ref: ObjectRef, declared: Body, last: Any, kept: Iterable[Difference], written: bool) -> Body | None:
    """What Pulumi is to be told instead of the declared body; None where the declared one will do.

    :param last: the body that was applied last.
    :param kept: the differences that a rule keeps.
    :param written: whether something else of the object is to be written, as far as the server tells.
    """
    kept = [difference for difference in kept if difference.change is not Change.ADDED]
    noted = annotation(last, KEPT)
    if not isinstance(last, dict) or not (kept or noted):
        return None
    if not written:
        before = _as_before(ref, declared, last, kept, noted)
        if _agree(_without_marks(before), _without_marks(last)):
            return None if before == declared else before
    if not kept:
        return None
    body = _with(declared, {difference.path: difference.live for difference in kept})
    names = KEPT_SEPARATOR.join(sorted(render(difference.path) for difference in kept))
    body["metadata"].setdefault("annotations", {})[KEPT] = names
    return body


def _as_before(ref: ObjectRef, declared: Body, last: Body, kept: list[Difference], noted: str) -> Body:
    """The declared body with what the last update wrote into the fields that are kept now or were kept then."""
    values = {difference.path: value_at(last, difference.path) for difference in kept}
    if noted:
        ours, theirs = (fill(ref.kind, normalise(body), ref.name) for body in (declared, last))
        for difference in compare(ours, theirs, OPAQUE, schema(ref.kind)):
            if render(difference.path) in kept_fields(last):
                values[difference.path] = difference.live
    # what cannot be read is not told apart from what is declared
    body = _with(declared, {path: value for path, value in values.items() if value is not OPAQUE})
    if noted:
        body["metadata"].setdefault("annotations", {})[KEPT] = noted
    return body


def _with(body: Body, values: Mapping[Path, Any]) -> Body:
    changes = [
        Difference(_within(body, path), Change.CHANGED, value, ABSENT, ABSENT, None) for path, value in values.items()
    ]
    return dict(apply(changes, body))


def _within(body: Any, path: Path) -> Path:
    """The path with the keys as the declared body has them: not those of the server, and not written out in full."""
    found: list[Any] = []
    for step in path:
        body = value_at(body, (step,))
        if isinstance(step, Item):
            key = tuple(body.get(name) for name in step.fields) if isinstance(body, dict) else step.key
            found.append(replace(step, key=key, live=None))
        else:
            found.append(step)
    return tuple(found)


def _without_marks(body: Body) -> Body:
    metadata = body.get("metadata") or {}
    annotations = {k: v for k, v in (metadata.get("annotations") or {}).items() if k not in (HEALED, KEPT)}
    return {**body, "metadata": {**metadata, "annotations": annotations}}


def _agree(one: Any, other: Any) -> bool:
    """Whether both are the same as far as they can be read."""
    if one is OPAQUE or other is OPAQUE:
        return True
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(_agree(part, other[name]) for name, part in one.items())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(_agree, one, other))
    return bool(one == other)
