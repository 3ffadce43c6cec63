"""The locations of a site's template that pass requests on, with the services behind them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from config import site_template
from config.reverse_proxy import example

Directive = Mapping[str, Any]
_PASS = re.compile(r"(?:proxy|grpc|fastcgi|uwsgi|scgi|memcached)_pass")
_VARIABLE = re.compile(r"\$\{?(\w+)")
_HOST = re.compile(r"(?:[a-z0-9+.-]+://)?([^/:?]+)")
_PLAIN = re.compile(r"/[^\s\\\"']*")
_OTHER_PROTOCOLS = frozenset({"quic", "proxy_protocol"})


@dataclass(frozen=True, slots=True)
class Check:
    """A request, made on the server, that must be answered once the site is served."""

    path: str
    host: str
    port: int
    tls: bool = False


@dataclass(frozen=True, slots=True)
class Route:
    """A location that passes requests on: its path, the services behind it, and a request for it, if there is one."""

    path: str
    services: tuple[str, ...]
    check: Check | None = None


@lru_cache(maxsize=64)
def routes(text: str) -> tuple[Route, ...]:
    """Return the locations of a template that pass requests on; none where it cannot be read by directives."""
    directives = site_template.directives(text)
    behind = _behind(directives)
    found: dict[tuple[str, Check | None], Route] = {}
    for server in directives:
        if server["directive"] == "server" and "block" in server:
            for route in _of_server(server["block"], behind):
                found.setdefault((route.path, route.check), route)
    return tuple(found.values())


def _behind(directives: Iterable[Directive]) -> dict[str, tuple[str, ...]]:
    """Return the services by the names that stand for them: of upstreams, and of variables with a dollar."""
    found: dict[str, tuple[str, ...]] = {}
    for directive in _every(directives):
        name, words = directive["directive"], directive["args"]
        if name == "upstream" and words:
            found[words[0]] = _named(directive["block"], {})
        elif name == "set" and len(words) == 2:
            key = f"${words[0].strip('${}')}"
            found[key] = (*found.get(key, ()), *site_template.services_in(words[1]))
        elif name in ("map", "split_clients") and len(words) == 2:
            key = f"${words[1].strip('${}')}"
            found[key] = (*found.get(key, ()), *_named(directive.get("block", ()), {}))
    return found


def _named(directives: Iterable[Directive], behind: Mapping[str, tuple[str, ...]]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for directive in directives:
        for word in directive["args"]:
            host = _HOST.match(word)
            names = [f"${name}" for name in _VARIABLE.findall(word)] + ([host[1]] if host else [])
            found |= dict.fromkeys(site_template.services_in(word))
            found |= dict.fromkeys(service for name in names for service in behind.get(name, ()))
    return tuple(found)


def _of_server(block: Iterable[Directive], behind: Mapping[str, tuple[str, ...]]) -> Iterator[Route]:
    block = list(block)
    at = _listening(block)
    names = [name.lower() for d in block if d["directive"] == "server_name" for name in d["args"]]
    hosts = sorted(filter(example, names), key=lambda name: "*" in name)
    host = example(hosts[0]) if hosts else "localhost"
    for words, inner in _locations(block):
        passing = [d for d in _within(inner) if _PASS.fullmatch(d["directive"])]
        if not passing or not words:
            continue
        path = words[-1]
        internal = any(d["directive"] == "internal" for d in inner)
        asked = at is not None and words[0] in ("=", "^~", path) and _PLAIN.fullmatch(path) and not internal
        check = Check(path, host, at[0], at[1]) if at is not None and asked else None
        yield Route(" ".join(words), _named(passing, behind), check)


def _listening(block: Iterable[Directive]) -> tuple[int, bool] | None:
    """Return the port, on all IPv4 addresses, by which a server is asked, and whether that is TLS; TLS comes first."""
    directives = list(block)
    always = any(d["directive"] == "ssl" and d["args"] == ["on"] for d in directives)
    found = []
    for words in [d["args"] for d in directives if d["directive"] == "listen" and d["args"]] or [["80"]]:
        port = site_template.any_address(words[0])
        if port is not None and not _OTHER_PROTOCOLS & set(words[1:]):
            found.append((port, always or "ssl" in words[1:]))
    return min(found, key=lambda entry: (not entry[1], found.index(entry)), default=None)


def _locations(block: Iterable[Directive]) -> Iterator[tuple[list[str], list[Directive]]]:
    for directive in block:
        if directive["directive"] == "location" and "block" in directive:
            yield directive["args"], directive["block"]
            yield from _locations(directive["block"])


def _within(block: Iterable[Directive]) -> Iterator[Directive]:
    """Yield the directives of a location, without those of locations in it."""
    for directive in block:
        yield directive
        if directive["directive"] != "location":
            yield from _within(directive.get("block", ()))


def _every(directives: Iterable[Directive]) -> Iterator[Directive]:
    for directive in directives:
        yield directive
        yield from _every(directive.get("block", ()))
