"""Where the declared sites listen, and for which names, as their text says it. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from config.reverse_proxy import ReverseProxy, example
from flowmaster.host import nginx_tree, server_match
from flowmaster.host.ports import Place
from flowmaster.render.nginx import services, site_text

_RANGE = re.compile(r"(|.*:)(\d+)-(\d+)")


@dataclass(frozen=True, slots=True)
class Listening:
    """One `listen` of a server of a site."""

    site: str
    place: tuple[str, int]
    names: tuple[str, ...]
    tls: bool = False
    proxied: bool = False
    """Whether what connects has to begin with the PROXY protocol."""

    @property
    def name(self) -> str | None:
        """What is asked for by TLS, empty for no name at all; None where no handshake is made."""
        hosts = sorted(filter(None, map(example, self.names)), key=lambda name: name.startswith("flowmaster-check"))
        return next(iter(hosts), "") if self.tls and not self.proxied else None


def listening(site: str, text: str) -> Iterator[Listening]:
    """Where the servers of a site's text listen for TCP connections.

    :raises flowmaster.host.nginx_tree.SyntaxProblem: where it is no configuration of nginx.
    """
    for server in nginx_tree.every(nginx_tree.parse(text)):
        if server["directive"] != "server" or "block" not in server:
            continue
        block = server["block"]
        lines = [d["args"] for d in block if d["directive"] == "listen"] or [["80"]]
        names = tuple(word.lower() for d in block if d["directive"] == "server_name" for word in d["args"])
        for words in lines:
            flags = set(words[1:])
            if "quic" in flags or words[0].startswith("unix:") or "$" in words[0]:
                continue
            for where in _each(words[0]):
                for at in server_match.listens([[where]]):
                    place = (at.address, int(at.port))
                    yield Listening(site, place, names, "ssl" in flags, "proxy_protocol" in flags)


def _each(where: str) -> Iterator[str]:
    """What a `listen` names, port by port where it names a range of them."""
    match = _RANGE.fullmatch(where)
    if match is None:
        yield where
        return
    for port in range(int(match[2]), int(match[3]) + 1):
        yield f"{match[1]}{port}"


def declared_texts(proxy: ReverseProxy | None) -> dict[str, str]:
    """The declared sites, by name, with placeholders for the addresses of Services: where they listen is the same."""
    return {
        name: site_text(site, dict.fromkeys(services(site), "service:0"))
        for name, site in (proxy.sites.items() if proxy else ())
    }


def places(texts: Mapping[str, str]) -> list[Place]:
    """The places to ask of sites, given by name.

    Not asked is what takes the PROXY protocol and TLS: nginx logs an error of a connection without a byte.
    """
    return [
        Place(*place, tuple(dict.fromkeys(entry.name for entry in entries if entry.name is not None)))
        for place, entries in sorted(_by_place(texts).items())
        if not _is_error(entries)
    ]


def left_out(texts: Mapping[str, str]) -> list[str]:
    """What is not asked of sites, each with its reason."""
    unread = [site for site, text in texts.items() if not readable(site, text)]
    errors = {place[1]: None for place, entries in sorted(_by_place(texts).items()) if _is_error(entries)}
    found = [f"port {port} (nginx would log an error: proxy_protocol)" for port in errors]
    return [*found, *(f"ports of {site} (none is found in its text)" for site in unread)]


def _by_place(texts: Mapping[str, str]) -> dict[tuple[str, int], list[Listening]]:
    found: dict[tuple[str, int], list[Listening]] = {}
    for site, text in texts.items():
        for entry in readable(site, text):
            found.setdefault(entry.place, []).append(entry)
    return found


def _is_error(entries: Iterable[Listening]) -> bool:
    # options of one place hold for all servers there
    return any(entry.tls for entry in entries) and any(entry.proxied for entry in entries)


def readable(site: str, text: str | None) -> list[Listening]:
    try:
        return list(listening(site, text)) if text else []
    except (nginx_tree.SyntaxProblem, ValueError):
        return []
