"""Masking: nothing that is secret gets into a finding."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any

from flowmaster.cluster.defaults import Body
from flowmaster.compare.finding import ABSENT, OPAQUE
from flowmaster.compare.path import Item, Path

_TELLING = re.compile(
    r"(pass(word|wd|phrase)?|secret|token|credential|private|(api|access|encryption|signing|jwt)_?-?key)s?($|[^a-z])"
    r"|(^|[_.-])(key|pwd|auth|authorization)$",
    re.IGNORECASE,
)
_REFERENCE = re.compile(r"(name|file|path|ref|url|id)$", re.IGNORECASE)
_PASSWORD_IN_URL = re.compile(r"(?<=://)([^/\s:@]*):([^/\s@]+)@")
_ASSIGNED = re.compile(
    r"((?:pass(?:word|wd|phrase)?|pwd|token|secret|(?:api|access|private)[_-]?key)[\"']?\s*=\s*)"
    r"(\"[^\"]+\"|'[^']+'|(?![$%{<\"'])[^\s;&,\"']+)",
    re.IGNORECASE,
)
"""`Password=...` within a connection string, an argument or a line of settings; not what names a variable (`$(X)`)."""
_CREDENTIALS = re.compile(r"\b((?i:Bearer|Basic)\s+)(?=\S*(?:[\d=]|[a-z][A-Z]))[A-Za-z0-9._~+/=-]{6,}")
"""What follows in a header; a plain word after them is prose."""
_WORD = re.compile(r"(?:[A-Z]?[a-z]+|[A-Z]+)\d{0,3}|\d+", re.ASCII)
_BETWEEN_WORDS = re.compile(r"[-_.:/@, ]+")
_SHORTEST = 6
"""Characters: shorter values of Secrets are words that other fields have too, and are not looked for there."""


def telling(name: str) -> bool:
    """Whether a variable's name says that its value is secret."""
    return bool(_TELLING.search(name)) and not _REFERENCE.search(name)


def plain(text: str) -> bool:
    """Whether a text is what other fields say, too, without giving anything away: words, the name of a host, a region
    or a version, a number, an address; or too short to be looked for."""
    return len(text) < _SHORTEST or all(_WORD.fullmatch(part) for part in _BETWEEN_WORDS.split(text.strip()) if part)


def option(words: Sequence[Any], position: int) -> str:
    """The name of the option that a word of a command is the value of (`--token WORD`); empty where it is of none."""
    word, before = words[position], words[position - 1] if position else None
    if not isinstance(before, str) or not before.startswith("-") or "=" in before or str(word).startswith(("-", "$(")):
        return ""
    return before.lstrip("-")


class Masker:
    """Masks what Secrets hold, wherever else it turns up, and what its own name says is secret."""

    def __init__(self, bodies: Iterable[Body] = ()) -> None:
        found = {(name, value) for body in bodies if body.get("kind") == "Secret" for name, value in _texts(body)}
        values = {value for _, value in found if len(value) >= _SHORTEST}
        self._known = sorted(values, key=len, reverse=True)
        self._strong = {value for value in values if not plain(value)}
        self._weak = {value for name, value in found if telling(name) and plain(value)}

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

    def reveals(self, text: str) -> bool:
        """Whether text that is to be written down gives a secret away: what a Secret holds stands in it, or a password
        by its form. What is but a word (the name of a user, of a host, a weak password) does not count."""
        return any(known in text for known in self._strong) or _formed(text) != text

    def holds(self, text: str) -> bool:
        """Whether a text is as a whole what a Secret holds under a key that tells, be it but a word."""
        return text in self._weak

    def _within(self, value: Any, secret: bool, changed: bool) -> Any:
        if isinstance(value, dict):
            own = secret or ("value" in value and telling(str(value.get("name", ""))))
            return {name: self._within(part, own and name == "value", changed) for name, part in value.items()}
        if isinstance(value, list):
            named = [secret or telling(option(value, position)) for position in range(len(value))]
            return [self._within(part, own, changed) for part, own in zip(value, named, strict=True)]
        if secret and isinstance(value, (str, int)) and not isinstance(value, bool):
            return _size(value, False, changed)
        return self._string(value, changed) if isinstance(value, str) else value

    def _string(self, value: str, changed: bool) -> str:
        for known in self._known:
            if known in value:
                if known == value:
                    return _size(value, False, changed)
                value = value.replace(known, "(secret)")
        return _formed(value)


def _formed(text: str) -> str:
    """The text without what its own form says is secret."""
    if "://" in text:
        text = _PASSWORD_IN_URL.sub(r"\1:(secret)@", text)
    if "=" in text:
        text = _ASSIGNED.sub(r"\1(secret)", text)
    return _CREDENTIALS.sub(r"\1(secret)", text) if " " in text else text


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


def _texts(body: Body) -> Iterable[tuple[str, str]]:
    """The texts of a Secret with their keys."""
    data = body.get("data")
    for name, value in data.items() if isinstance(data, dict) else ():
        try:
            yield name, base64.b64decode(value).decode()
        except (TypeError, ValueError):
            continue
    given = body.get("stringData")
    for name, value in given.items() if isinstance(given, dict) else ():
        if isinstance(value, str):
            yield name, value
