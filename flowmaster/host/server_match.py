"""Finds the nginx server block that answers a request, by address, port and name. Pure."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.reverse_proxy import example
from flowmaster.host import nginx_tree

Directive = Mapping[str, Any]
ANY_ADDRESS = ""
"""IPv4 addresses that no server names."""
_ANY = {"*": ANY_ADDRESS, "0.0.0.0": ANY_ADDRESS}  # noqa: S104  what it is called in a file, not where anybody listens
_ANY_IPV6 = "[::]"
_UNCLAIMED = "flowmaster-check.invalid"
"""A name that nobody has (RFC 6761): it is answered by whoever answers all names."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a server listens. The address is as nginx writes it, empty for all of IPv4."""

    address: str
    port: str
    default: bool = False


@dataclass(frozen=True, slots=True)
class Server:
    """A server block: in which file and line, where it listens, for which names."""

    file: str
    listens: tuple[Listen, ...]
    names: tuple[str, ...]
    line: int = 0


@dataclass(frozen=True, slots=True)
class Taken:
    """Requests to one server that another one answers. `address` is given where this is for the address alone."""

    by: Server
    instead: Server
    port: str
    address: str = ""
    host: str = ""
    """The name asked for; empty for any."""
    name: str = ""
    """The name of the other server that this matches; empty where it answers what no name matches."""


def servers(file: str, text: str) -> list[Server]:
    """The servers of a file of nginx.

    :raises flowmaster.host.nginx_tree.SyntaxProblem: where it is no configuration of nginx.
    """
    return list(_servers(file, nginx_tree.parse(text))) if "server" in text else []


def _servers(file: str, directives: Iterable[Directive]) -> Iterator[Server]:
    for directive in directives:
        if directive["directive"] == "http":
            yield from _servers(file, directive.get("block", ()))
        elif directive["directive"] == "server" and "block" in directive:
            yield server_of(file, directive)


def server_of(file: str, directive: Directive) -> Server:
    """A `server` block of a file."""
    block = directive["block"]
    lines = [d["args"] for d in block if d["directive"] == "listen"]
    names = tuple(word.lower() for d in block if d["directive"] == "server_name" for word in d["args"])
    return Server(file, tuple(listens(lines or [["80"]])), names or ("",), int(directive["line"]))


def listens(lines: Iterable[Sequence[str]]) -> Iterator[Listen]:
    for words in lines:
        where = words[0]
        if where.startswith("unix:"):
            continue
        if where.isdigit():
            address, port = ANY_ADDRESS, where
        elif where.startswith("["):
            address, _, port = where.partition("]")
            address, port = f"{address}]", port.lstrip(":")
        else:
            address, _, port = where.partition(":")
        yield Listen(_ANY.get(address, address), port or "80", bool({"default_server", "default"} & set(words[1:])))


def choose(among: Iterable[Server], address: str, port: str, host: str) -> Server | None:
    """The server that answers requests to this address and port for this name; None where nobody listens there."""
    listening = [(server, listen) for server in among for listen in server.listens if listen.port == port]
    there = [(server, listen) for server, listen in listening if listen.address == address]
    if not there:
        every = _ANY_IPV6 if address.startswith("[") else ANY_ADDRESS
        there = [(server, listen) for server, listen in listening if listen.address == every]
    named = [(rank, server) for server, _ in there if (rank := _rank(server, host)) is not None]
    if named:
        # of several the first one counts
        return min(named, key=lambda entry: entry[0])[1]
    return next((server for server, listen in there if listen.default), there[0][0] if there else None)


def _rank(server: Server, host: str) -> tuple[int, int] | None:
    return min((rank for name in server.names if (rank := _match(name, host)) is not None), default=None)


def _match(name: str, host: str) -> tuple[int, int] | None:
    """How well a name of a server matches, the best first: exactly, by the longest wildcard, by a pattern."""
    if name == host:
        return 0, 0
    if name.startswith("~"):
        return (3, 0) if _pattern_matches(name[1:], host) else None
    if name.startswith(("*.", ".")):
        ending = name.removeprefix("*")
        return (1, -len(ending)) if host.endswith(ending) or name == f".{host}" else None
    if name.endswith(".*"):
        return (2, -len(name)) if host.startswith(name[:-1]) else None
    return None


def _pattern_matches(pattern: str, host: str) -> bool:
    try:
        return re.search(re.sub(r"\(\?<(?=[a-z_])", "(?P<", pattern), host, re.IGNORECASE) is not None
    except re.error:
        # a pattern that only nginx understands: it may match
        return True


def taken(ours: Sequence[Server], all_servers: Sequence[Server], addresses: Collection[str]) -> Iterator[Taken]:
    """What others answer of what ours would answer if they were alone.

    :param all_servers: ours among them, in the order in which nginx reads them.
    :param addresses: those of the machine: whoever answers all names is also asked by them.
    """
    named = sorted({listen.address for server in all_servers for listen in server.listens} - {_ANY_IPV6})
    own = sorted(address for address in addresses if _is_address(address))
    for server in ours:
        for listen in server.listens:
            for address in _reached(listen, named):
                for host in _asked(server, listen, own):
                    if choose(ours, address, listen.port, host) is not server:
                        continue
                    other = choose(all_servers, address, listen.port, host)
                    if other is not None and other not in ours:
                        yield _taken(other, server, listen.port, address, host)


def _taken(by: Server, instead: Server, port: str, address: str, host: str) -> Taken:
    if address and all(listen.address != address for listen in instead.listens):
        return Taken(by, instead, port, address=address)
    matching = [(rank, name) for name in by.names if (rank := _match(name, host)) is not None]
    return Taken(by, instead, port, host="" if host == _UNCLAIMED else host, name=min(matching)[1] if matching else "")


def _reached(listen: Listen, named: Iterable[str]) -> list[str]:
    """The addresses by which a server is reached, as far as it matters."""
    if listen.address not in (ANY_ADDRESS, _ANY_IPV6):
        return [listen.address]
    ipv6 = listen.address == _ANY_IPV6
    return [listen.address, *(name for name in named if name and name.startswith("[") == ipv6)]


def _asked(server: Server, listen: Listen, own: Iterable[str]) -> list[str]:
    """Names that a server is asked for: one for each of its own, and where it answers all, also what nobody has."""
    hosts = [host for name in server.names if name not in ("", "_") and (host := example(name))]
    return [*hosts, *([_UNCLAIMED, *own] if listen.default or {"", "_"} & set(server.names) else [])]


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
