"""Masking: nothing that is secret gets into a finding."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

from drift.finding import ABSENT, OPAQUE
from drift.kubernetes.defaults import Body
from drift.path import Item, Path

_TELLING = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|credential|private|(api|access|encryption|signing|jwt)_?-?key)s?($|[^a-z])"
    r"|(^|[_.-])(key|pwd|auth)$",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"(name|file|path|ref|url|id)$", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_SHORTEST = 6
"""Characters: shorter values of Secrets are words that other fields have too, and are not looked for there."""


def telling(name: str) -> bool:
    """Whether a variable's name says that its value is secret."""
    return bool(_TELLING.search(name)) and not _REFERENCE.search(name)


class Masker:
    """Masks what Secrets hold, wherever else it turns up, and what its own name says is secret."""

    def __init__(self, bodies: Iterable[Body] = ()) -> None:
        values: set[str] = set()
        for body in bodies:
            if body.get("kind") == "Secret":
                values.update(_plain_values(body))
        self._known = sorted((value for value in values if len(value) >= _SHORTEST), key=len, reverse=True)

    def mask(self, kind: str, path: Path, value: Any, changed: bool = False) -> tuple[Any, bool]:
        """The value as it may be shown, and whether something in it was masked."""
        if value is ABSENT:
            return value, False
        if value is OPAQUE:
            return "(secret)", True
        if kind == "Secret" and path[:1] in (("data",), ("stringData",)):
            if isinstance(value, dict):
                return {name: _size(part, True, changed) for name, part in value.items()}, True
            return _size(value, True, changed), True
        shown = self._within(value, _named(path), changed)
        return shown, shown != value

    def text(self, text: str) -> str:
        """Free text (a message, a log line) with every known secret in it masked."""
        return str(self._string(text, changed=False))

    def _within(self, value: Any, secret: bool, changed: bool) -> Any:
        if isinstance(value, dict):
            own = secret or ("value" in value and telling(str(value.get("name", ""))))
            return {name: self._within(part, own and name == "value", changed) for name, part in value.items()}
        if isinstance(value, list):
            return [self._within(part, secret, changed) for part in value]
        if secret and isinstance(value, (str, int)) and not isinstance(value, bool):
            return _size(value, False, changed)
        return self._string(value, changed) if isinstance(value, str) else value

    def _string(self, value: str, changed: bool) -> str:
        for known in self._known:
            if known in value:
                if known == value:
                    return _size(value, False, changed)
                value = value.replace(known, "(secret)")
        return _PASSWORD_IN_URL.sub(r"\1:(secret)@", value) if "://" in value else value


def _named(path: Path) -> bool:
    """Whether the way to a value names it as secret: `env[DB_PASSWORD].value`, `data[api-key]`."""
    steps = [str(step) for step in path]
    if steps and steps[-1] == "value" and len(path) > 1 and isinstance(path[-2], Item):
        return telling(steps[-2])
    return bool(steps) and len(steps) > 1 and steps[-2] in ("data", "annotations") and telling(steps[-1])


def _size(value: Any, encoded: bool, changed: bool) -> str:
    if value is ABSENT or value is OPAQUE:
        return "(secret)"
    text = str(value)
    size = len(text.encode("utf-8", "replace"))
    if encoded:
        with suppress(binascii.Error, ValueError):
            size = len(base64.b64decode(text, validate=True))
    return f"(secret, {size} bytes{', changed' if changed else ''})"


def _plain_values(body: Body) -> Iterable[str]:
    data = body.get("data")
    for value in data.values() if isinstance(data, dict) else ():
        try:
            yield base64.b64decode(value).decode()
        except (TypeError, ValueError):
            continue
    plain = body.get("stringData")
    for value in plain.values() if isinstance(plain, dict) else ():
        if isinstance(value, str):
            yield value
