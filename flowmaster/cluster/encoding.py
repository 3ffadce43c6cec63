"""Encodes a body for the API server."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from flowmaster.compare.path import Item, Path

_ESCAPED = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff\ufeff\ufffe\uffff]")
"""Characters that YAML forbids in the clear, or takes for the end of a line (and changes)."""

_UNSENDABLE = re.compile("[\x7f-\x9f\ufffe\uffff]")
"""Characters that the Kubernetes provider of Pulumi sends in the clear: U+0085 arrives as another one, and for the
rest the API server refuses the whole body."""


def encoded(body: Any) -> bytes:
    r"""The body as UTF-8 that reads the same as JSON and as YAML, which is how an apply patch is read.

    JSON's way of writing characters above U+FFFF (two escapes, a surrogate pair) is an error in YAML, so they stand as
    they are; control characters and the line ends of Unicode, which YAML would not keep, are escaped (``\u0085``).

    :raises TypeError: where the body holds what JSON has no form for.
    """
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return _ESCAPED.sub(lambda found: f"\\u{ord(found.group()):04x}", text).encode()


def unsendable(body: Any) -> list[tuple[Path, str]]:
    """The places whose text, or whose key, the Kubernetes provider cannot send as it is, each with the character."""
    return [(path, found.group()) for path, text in _texts(body, ()) if (found := _UNSENDABLE.search(text))]


def _texts(node: Any, path: Path) -> Iterator[tuple[Path, str]]:
    if isinstance(node, str):
        yield path, node
    elif isinstance(node, dict):
        for key, value in node.items():
            yield (*path, key), key
            yield from _texts(value, (*path, key))
    elif isinstance(node, list):
        for position, value in enumerate(node):
            named = isinstance(value, dict) and "name" in value
            yield from _texts(
                value, (*path, Item(("name",), (value["name"],)) if named else Item((), (str(position),)))
            )
