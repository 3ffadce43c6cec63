"""What a file of nginx says, as a plain structure: comments, blanks, quotes and ways to write a time do not count.

Two files with the same meaning are served alike, so only a difference of meaning is drift.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from config.nginx_syntax import SyntaxProblem, build, parse

__all__ = ["SyntaxProblem", "build", "parse"]

Tree = dict[str, Any]
Directive = Mapping[str, Any]

HEADERS = re.compile(r"^add_header$|_(?:set|hide|pass)_header$")
"""Directives whose first word is the name of a header."""
_KEYED = frozenset({"set", "error_page"})
"""Directives of which several stand side by side, told apart by their first word, as those of headers are."""
_IN_ORDER = frozenset({"rewrite", "return", "if", "set", "break", "allow", "deny"})
"""Directives whose order among each other decides."""
ORDER = "(order)"
"""The key under which that order stands: each directive with its first word, conditions and patterns whole."""
DEFAULT = "(default)"
"""The key under which stands, by what is listened on, which of several servers takes requests for unknown names."""
_ACRONYMS = frozenset({"api", "id", "ip", "ssl", "uri", "url", "www", "xss"})
_SEVERAL = re.compile(r" \(\d+\)$")
_WORDS = re.compile(r'"((?:\\.|[^"\\])*)"|(\S+)')
_BARE = re.compile(r'[^\s"]+')
_TIMES = re.compile(r"(?:_timeout|_delay|_time|^expires|_valid)$")
_SIZES = re.compile(r"(?:_size)$")
_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_TIME = re.compile(r"(\d+)(ms|s|m|h|d|w)?")
_PARTS = re.compile(r"(\d+)([kmg]?)", re.IGNORECASE)


def every(directives: Iterable[Directive]) -> Iterator[Directive]:
    """Directives and all that stand in their blocks, as they stand in the file, comments included."""
    for directive in directives:
        yield directive
        yield from every(directive.get("block", ()))


def readable(text: str) -> str:
    """A file's text as it can be shown and kept: bytes that are no UTF-8 are written out, such as ``\\xf6``."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


@lru_cache(maxsize=64)
def _meaning(text: str) -> Tree:
    return tree(parse(readable(text)))


def meaning(text: str) -> Tree:
    """The structure of a file.

    :raises SyntaxProblem: where it is no configuration of nginx.
    """
    return _meaning(text)


def same(one: str, other: str) -> bool:
    """Whether two files are served alike."""
    if one == other:
        return True
    try:
        return meaning(one) == meaning(other)
    except SyntaxProblem:
        return False


def joined(words: Iterable[str]) -> str:
    """Words as one text, those with blanks in quotes: what nginx keeps apart is told apart."""
    return " ".join(w if _BARE.fullmatch(w) else '"' + re.sub(r'(["\\])', r"\\\1", w) + '"' for w in words)


def split(text: str) -> list[str]:
    """The words of a text that :func:`joined` made."""
    return [match[2] if match[2] is not None else re.sub(r"\\(.)", r"\1", match[1]) for match in _WORDS.finditer(text)]


def header(name: str) -> str:
    """A header's name as it is usually written: `host` and `Host` are one."""
    return "-".join(part.upper() if part.lower() in _ACRONYMS else part.capitalize() for part in name.split("-"))


def tree(directives: Iterable[Directive]) -> Tree:
    """Directives as a structure of names: blocks and keyed directives become maps, repeated ones lists."""
    found: Tree = {}
    several: dict[str, list[list[str]]] = {}
    order = []
    listening: list[tuple[str, list[str]]] = []
    for directive in directives:
        name, words = str(directive["directive"]), list(directive["args"])
        if name == "#":
            continue
        if name in _IN_ORDER or (name == "location" and words and words[0].startswith("~")):
            order.append(joined([name, *(words if "block" in directive else words[:1])]))
        if "block" in directive:
            within = tree(directive["block"])
            if name == "server":
                within.setdefault("listen", "80")
            key = _put(found.setdefault(name, {}), label(name, words, directive["block"]), within)
            if name == "server":
                listening.append((key, _listening(directive["block"])))
        elif HEADERS.search(name) and words:
            _put(found.setdefault(name, {}), header(words[0]), joined(words[1:]))
        elif name in _KEYED and words:
            _put(found.setdefault(name, {}), words[0], joined(words[1:]))
        else:
            several.setdefault(name, []).append(words)
    for name, repeated in several.items():
        values = [_value(name, words) for words in repeated]
        # the order tells those apart that begin differently
        alike = name in _IN_ORDER and len({tuple(words[:1]) for words in repeated}) < len(repeated)
        found[name] = values[0] if len(values) == 1 else values if alike else sorted(values)
    if len(order) > 1:
        found[ORDER] = order
    if defaults := _defaults(listening):
        found[DEFAULT] = defaults
    return found


def _defaults(servers: Iterable[tuple[str, list[str]]]) -> dict[str, str]:
    """The first server on each address that several listen on, where none of them is named as the default."""
    found: dict[str, list[str]] = {}
    named = set()
    for label, listening in servers:
        for address, *options in (entry.split() for entry in listening):
            found.setdefault(address, []).append(label)
            if "default_server" in options:
                named.add(address)
    return {address: labels[0] for address, labels in found.items() if len(labels) > 1 and address not in named}


def _listening(block: Iterable[Directive]) -> list[str]:
    return [listen(d["args"]) for d in block if d["directive"] == "listen"] or ["80"]


def label(name: str, words: list[str], block: list[Directive]) -> str:
    """What a block is told apart by: its words, or a server's ports and its first name."""
    if name != "server":
        return joined(words)
    ports = sorted({entry.split()[0] for entry in _listening(block)})
    names = [word for d in block if d["directive"] == "server_name" for word in d["args"]]
    return " ".join([",".join(ports), *names[:1]])


def _put(place: Tree, key: str, value: Any) -> str:
    """Set a key; where it is taken, the next free one with a number, which is returned (:func:`plain` takes it off)."""
    number, free = 1, key
    while free in place:
        number += 1
        free = f"{key} ({number})"
    place[free] = value
    return free


def plain(key: str) -> str:
    """A key without the number that tells it apart from others of its name."""
    return _SEVERAL.sub("", key)


def _value(name: str, words: list[str]) -> str:
    if name == "listen":
        return listen(words)
    if name == "server_name":
        return joined(sorted(words))
    if len(words) == 1 and _TIMES.search(name):
        return seconds(words[0])
    if len(words) == 1 and _SIZES.search(name):
        return _bytes(words[0])
    return joined(words)


def listen(words: list[str]) -> str:
    """`80`, `*:80` and `0.0.0.0:80` are one address; `default` is the old word for `default_server`."""
    address, *options = words
    address = address.removeprefix("*:").removeprefix("0.0.0.0:")
    return " ".join([address, *sorted("default_server" if o == "default" else o for o in options)])


def seconds(text: str) -> str:
    """A time of nginx in seconds: `1h` is `3600s`; what is none stays as it is."""
    parts = list(_TIME.finditer(text.replace(" ", "")))
    if not parts or "".join(part.group() for part in parts) != text.replace(" ", ""):
        return text
    total = sum(int(part[1]) * _UNITS[part[2] or "s"] for part in parts)
    return f"{total:g}s" if total < 1_000_000 else f"{int(total)}s"


def _bytes(text: str) -> str:
    match = _PARTS.fullmatch(text)
    if not match:
        return text
    value = int(match[1]) * {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}[match[2].lower()]
    for unit, size in (("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)):
        if value and value % size == 0:
            return f"{value // size}{unit}"
    return str(value)


def upstreams(text: str) -> list[tuple[str, str]]:
    """Each address that the file passes requests to, `HOST:PORT`, with the location it stands in.

    :raises SyntaxProblem: where it is no configuration of nginx.
    """
    return list(_upstreams(parse(text), ""))


def _upstreams(directives: Iterable[Directive], where: str) -> Iterator[tuple[str, str]]:
    for directive in directives:
        name, words = directive["directive"], directive["args"]
        if name == "proxy_pass" and words:
            yield words[0].partition("://")[2].partition("/")[0], where
        elif name == "server" and "block" not in directive and words:
            yield words[0], where
        if "block" in directive:
            yield from _upstreams(directive["block"], " ".join(words) if name == "location" else where)
