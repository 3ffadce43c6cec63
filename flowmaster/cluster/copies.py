"""Finds annotations that hold a copy of their object, in any encoding: some tools keep what they applied.

With a Secret its values are in the copy, too. So no copy is compared, shown, backed up or written down.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from flowmaster.cluster.decoding import TooMuchError, contents

LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
"""The annotation of `kubectl apply`. Only that command reads it, and works without it: an update removes it."""
_SHORTEST = 40
"""Minimum length of a copy, in characters."""
_AN_OBJECT = re.compile(rb"""kind\\*["']?\s*:""")
_YAML_SIZE = 1024 * 1024


@lru_cache(maxsize=1024)
def is_copy(annotation: str, text: str, kind: str, name: str) -> bool:
    """Return whether an annotation holds a copy of its object, or of any Secret.

    A text that cannot be looked through to its end counts as one.
    """
    if annotation == LAST_APPLIED:
        return True
    if len(text) < _SHORTEST:
        return False
    try:
        return any(
            _is_of(body, kind, name)
            for content in contents(text.encode(errors="surrogatepass"))
            if _AN_OBJECT.search(content)
            for body in _objects(content)
        )
    except TooMuchError:
        return True


def copies(body: Any) -> list[str]:
    """Return the names of the annotations of a live object that hold a copy of it."""
    metadata = body.get("metadata") or {}
    own = (str(body.get("kind", "")), str(metadata.get("name", "")))
    annotations = metadata.get("annotations") or {}
    return [name for name, text in annotations.items() if isinstance(text, str) and is_copy(name, text, *own)]


def holds_a_secret(content: bytes) -> bool:
    """Return whether the text is a Secret with values."""
    return bool(_AN_OBJECT.search(content)) and any(_is_secret(body) for body in _objects(content))


def _is_of(body: dict[str, Any], kind: str, name: str) -> bool:
    metadata = body.get("metadata")
    if not isinstance(metadata, dict):
        return _is_secret(body)
    own = body.get("kind") == kind and metadata.get("name", name) == name
    return own or _is_secret(body)


def _is_secret(body: dict[str, Any]) -> bool:
    return body.get("kind") == "Secret" and bool(body.get("data") or body.get("stringData"))


def _objects(content: bytes) -> Iterator[dict[str, Any]]:
    """Yield all mappings with a kind in a JSON or YAML text, including those in nested texts."""
    waiting = _parsed(content)
    while waiting:
        node = waiting.pop()
        if isinstance(node, str) and _AN_OBJECT.search(inner := node.encode(errors="surrogatepass")):
            # a text that is but itself once more would be parsed for ever
            waiting.extend(part for part in _parsed(inner) if part != node)
        elif isinstance(node, dict):
            if isinstance(node.get("kind"), str):
                yield node
            waiting.extend(node.values())
        elif isinstance(node, list):
            waiting.extend(node)


def _parsed(content: bytes) -> list[Any]:
    import yaml

    # something may stand around an object: a quote that is left of another encoding, a prefix
    for text in (content, content[content.find(b"{") : content.rfind(b"}") + 1]):
        try:
            return [json.loads(text)]
        except (ValueError, RecursionError):
            continue
    if len(content) > _YAML_SIZE:
        return []
    try:
        return list(yaml.load_all(content.decode(), getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    except (ValueError, RecursionError, yaml.YAMLError):
        return []
