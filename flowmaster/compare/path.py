"""Field paths: their structure, their text form, and patterns that match them.

A path is a tuple of steps: a string for a field, a `Key` for a free key of a map, an `Item` for an element of a list
that is identified by key fields. As text: `spec.containers[web].env[LOG_LEVEL].value`, `metadata.labels[app]`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import Any


@dataclass(frozen=True, slots=True)
class Item:
    """An element of a keyed list (`fields` name its key) or, with no fields, an element of a set of scalars.

    `live` is the element's key in the live list, if it differs from the declared one (a renumbered port).
    """

    fields: tuple[str, ...]
    key: tuple[Any, ...]
    live: tuple[Any, ...] | None = None

    def __str__(self) -> str:
        return "/".join(str(part) for part in self.key if part is not None)


class Key(str):
    """A key of a map with free keys (labels, data)."""

    __slots__ = ()


Step = str | Item
Path = tuple[Step, ...]

_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*\Z")
_BRACKET = re.compile(r"\[(.*?)\](?=$|[.\[])")


def render(path: Path) -> str:
    """Render a path as text; the empty path, the whole object, gives an empty string."""
    text = ""
    for step in path:
        if isinstance(step, (Item, Key)):
            text += f"[{step}]"
        elif _PLAIN.match(step):
            text += f".{step}" if text else step
        else:
            text += f"[{step}]"
    return text


@lru_cache(maxsize=4096)
def segments(text: str) -> tuple[str, ...]:
    """Split a path's text into its steps: `a[b.c].d` gives `a`, `b.c`, `d`."""
    found: list[str] = []
    position = 0
    while position < len(text):
        if text[position] == "[" and (bracket := _BRACKET.match(text, position)):
            found.append(bracket.group(1))
            position = bracket.end()
        else:
            end = position + 1
            while end < len(text) and text[end] not in ".[":
                end += 1
            found.append(text[position:end])
            position = end
        if position < len(text) and text[position] == ".":
            position += 1
    return tuple(found)


def covers(pattern: str, text: str) -> bool:
    """Return whether a pattern matches this field or one that contains it.

    `*` matches within one step, `**` any number of steps.
    """
    return _covers(segments(pattern), segments(text))


def _covers(pattern: tuple[str, ...], text: tuple[str, ...]) -> bool:
    if not pattern:
        return True
    if pattern[0] == "**":
        return any(_covers(pattern[1:], text[start:]) for start in range(len(text) + 1))
    return bool(text) and fnmatchcase(text[0], pattern[0]) and _covers(pattern[1:], text[1:])
