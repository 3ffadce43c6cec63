"""Edits of YAML files: values at paths. Everything else in the file, comments included, stays as it is. Pure."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import Any

import yaml
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import SingleQuotedScalarString

from flowmaster.compare.finding import ABSENT

_WIDTH = 110
"""Columns from which long plain text is folded, unless the file has longer lines."""
_INDENTED_LIST = re.compile(r"^( *)[^\s#-][^\n]*:[^\S\n]*(?:#[^\n]*)?\n\1 +- ", re.MULTILINE)
"""A list whose elements are indented below their key."""
Steps = tuple[str, ...]
Edits = dict[Steps, Any]
"""The new value at each path of mappings; ABSENT removes the key."""


def changed(before: Mapping[str, Any], after: Mapping[str, Any], at: Steps = ()) -> Edits:
    """Return the edits that turn one mapping into another; mappings are compared by key, all else as a whole."""
    found: Edits = {}
    for key in {**before, **after}:
        old, new = before.get(key, ABSENT), after.get(key, ABSENT)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found |= changed(old, new, (*at, key))
        elif old != new:
            found[*at, key] = new
    return found


def applied(edits: Edits, data: Mapping[str, Any]) -> dict[str, Any]:
    """Return plain data with the edits applied."""
    result = dict(data)
    for path, value in edits.items():
        _set(result, path, value, dict)
    return result


def edited(text: str, edits: Edits) -> str:
    """Return the text of a YAML file with the edits applied; lists stay indented as the file has them."""
    editor = YAML()
    editor.preserve_quotes = True
    editor.width = max(_WIDTH, *map(len, text.splitlines()), 0)
    if _INDENTED_LIST.search(text):
        editor.indent(mapping=2, sequence=4, offset=2)
    document = editor.load(text)
    for path, value in edits.items():
        _set(document, path, _quoted(value), CommentedMap)
    stream = io.StringIO()
    editor.dump(document, stream)
    return stream.getvalue()


def _quoted(value: Any) -> Any:
    """Return the value with those texts in quotes that a reader of YAML 1.1 would take for something else."""
    if isinstance(value, Mapping):
        return CommentedMap((_quoted(key), _quoted(part)) for key, part in value.items())
    if isinstance(value, (list, tuple)):
        return [_quoted(part) for part in value]
    if isinstance(value, str) and "\n" not in value and _misread(value):
        return SingleQuotedScalarString(value)
    return value


def _misread(text: str) -> bool:
    try:
        return bool(yaml.safe_load(text) != text)
    except yaml.YAMLError:
        return False


def _set(data: Any, path: Steps, value: Any, mapping: type[dict[str, Any]]) -> None:
    key, *rest = path
    if rest:
        below = data.get(key)
        # plain data may be shared with a model, so that it is copied on the way down
        if not isinstance(below, Mapping):
            data[key] = mapping()
        elif mapping is dict:
            data[key] = dict(below)
        _set(data[key], tuple(rest), value, mapping)
        if not data[key] and value is ABSENT:
            del data[key]
    elif value is ABSENT:
        data.pop(key, None)
    else:
        data[key] = value
