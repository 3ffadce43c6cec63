"""Masks secrets in findings."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

from flowmaster.cluster.copies import holds_a_secret
from flowmaster.cluster.decoding import TooMuchError, contents, runs
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
_QUOTES = b"\"' \t\r\n"
_SHORTEST = 6
"""Characters: shorter values of Secrets are words that other fields have too, and are not looked for there."""


def telling(name: str) -> bool:
    """Return whether a variable's name shows that its value is secret."""
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
    """Masks values of Secrets wherever they occur, and values whose name shows that they are secret."""

    def __init__(self, bodies: Iterable[Body] = ()) -> None:
        secrets = [body for body in bodies if body.get("kind") == "Secret"]
        found = {(name, value) for body in secrets for name, value in _texts(body)}
        values = {value for _, value in found if len(value) >= _SHORTEST}
        self._secrets = secrets
        self._known = sorted(values, key=len, reverse=True)
        self._strong = {value for value in values if not plain(value)}
        self._weak = {value for name, value in found if telling(name) and plain(value)}

    def mask(self, kind: str, path: Path, value: Any, changed: bool = False) -> tuple[Any, bool]:
        """Return a value with secrets masked, and whether anything was masked."""
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
        """Mask every known secret in a text, such as a message or a log line."""
        return str(self._string(text, changed=False))

    def reveals(self, text: str) -> bool:
        """Whether text that is to be written down gives a secret away: what a Secret holds stands in it, plain or in
        another encoding, or a password by its form. What is but a word (the name of a user, of a host, a weak
        password) does not count, unless somebody took the trouble to encode it."""
        if any(known in text for known in self._strong) or _formed(text) != text:
            return True
        return self._encoded(_bytes(text), every=False)

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
        original = value
        for known in self._known:
            if known in value:
                if known == value:
                    return _size(value, False, changed)
                value = value.replace(known, "(secret)")
        if self._encoded(_bytes(value)):
            value = self._without_encoded(value, _size(original, False, changed))
        return _formed(value)

    def _without_encoded(self, text: str, otherwise: str) -> str:
        """The text without the parts in which a secret can be read; `otherwise` where these are not one part of it."""
        content = _bytes(text)
        spans = {(start, end) for start, end, part in runs(content) if self._encoded(part, decoded=True)}
        if any(end - start == len(content) for start, end in spans):
            return otherwise
        for part in sorted({content[start:end] for start, end in spans}, key=len, reverse=True):
            content = content.replace(part, b"(secret)")
        return otherwise if self._encoded(content) else content.decode(errors="surrogatepass")

    def _encoded(self, content: bytes, decoded: bool = False, every: bool = True) -> bool:
        """Whether what a Secret holds can be read in it, once it is decoded.

        :param decoded: whether it was decoded already, so that what stands there as it is counts, too.
        :param every: whether a plain word counts where it is but a part of what can be read.
        """
        try:
            readings = contents(content)
            if not decoded:
                next(readings)
            return any(self._stands_in(reading, every) for reading in readings)
        except TooMuchError:
            # nobody knows what else there is in it
            return True

    def _stands_in(self, reading: bytes, every: bool) -> bool:
        values, beginnings = self._as_bytes
        if reading.strip(_QUOTES) in values or reading in values or holds_a_secret(reading):
            return True
        for position in range(len(reading) - _SHORTEST + 1):
            for value in beginnings.get(reading[position : position + _SHORTEST], ()):
                if (every or values[value]) and reading.startswith(value, position):
                    return True
        return False

    @cached_property
    def _as_bytes(self) -> tuple[dict[bytes, bool], dict[bytes, list[bytes]]]:
        """Each value that is looked for, and whether it is more than words; and the values by how they begin."""
        values: dict[bytes, bool] = {}
        beginnings: dict[bytes, list[bytes]] = {}
        for value in {value for body in self._secrets for value in _values(body) if len(value) >= _SHORTEST}:
            values[value] = not plain(value.decode(errors="replace"))
            beginnings.setdefault(value[:_SHORTEST], []).append(value)
        return values, beginnings


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
    for name, value in _pairs(body):
        with suppress(UnicodeDecodeError):
            yield name, value.decode()


def _values(body: Body) -> Iterable[bytes]:
    """The values of a Secret, those included that are no text."""
    return (value for _, value in _pairs(body))


def _pairs(body: Body) -> Iterable[tuple[str, bytes]]:
    data, given = body.get("data"), body.get("stringData")
    for name, value in data.items() if isinstance(data, dict) else ():
        with suppress(TypeError, ValueError):
            yield name, base64.b64decode(value)
    for name, value in given.items() if isinstance(given, dict) else ():
        if isinstance(value, str):
            yield name, _bytes(value)


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")
