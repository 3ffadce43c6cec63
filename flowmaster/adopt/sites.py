"""Adopts a hand-written nginx site as configuration of the same meaning.

What the configuration has no field for is carried as it stands, under `extra`, and told. The proof is in the end: the
site is rendered from the new configuration and must mean what the file means, or it is refused. Nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping

from pydantic import ValidationError

from config.errors import from_validation
from config.reverse_proxy import Site
from flowmaster.adopt.site_directives import (
    AGAIN,
    LEAVE,
    AdoptedSite,
    Directive,
    SiteAdoptionError,
    SiteReader,
    proxies,
    refused,
)
from flowmaster.compare.three_way import Difference, compare
from flowmaster.host import nginx_credentials, nginx_tree, server_match
from flowmaster.host.directive_lines import line_of
from flowmaster.host.nginx import ENABLED, HostState
from flowmaster.render.nginx import site_text

__all__ = ["AdoptedSite", "SiteAdoptionError", "site", "sites", "unadopted"]
_BLOCKS = frozenset({"server", "location", "if", "limit_except"})


def site(name: str, text: str, addresses: Mapping[str, str]) -> AdoptedSite:
    """The configuration of a site from its file.

    :param addresses: ``CLUSTERIP:PORT`` by service: these become locations of the service, others stay addresses.
    :raises SiteAdoptionError: where the file is no valid site, has a plaintext credential, or says something that
        cannot be carried over.
    """
    try:
        directives = nginx_tree.parse(text)
    except nginx_tree.SyntaxProblem as err:
        raise SiteAdoptionError(f"site {name}: {err}", "", "correct the file on the server (nginx -t)") from err
    _refuse_unreadable(name, directives)
    _refuse_credentials(name, directives)
    adopted = AdoptedSite({}, comments=list(_comments(directives)))
    servers = [d for d in directives if d["directive"] == "server"]
    strange = [d for d in directives if d["directive"] not in ("server", "#")]
    if strange:
        what = f"directive {strange[0]['directive']!r} beside the server cannot be taken over"
        raise refused(name, strange[0], what, "a site is one server, or two of which one sends to HTTPS", LEAVE)
    redirect = next((s for s in servers if len(servers) == 2 and proxies(s["block"])), None)
    if len(servers) != (2 if redirect else 1):
        found = f"{len(servers)} server blocks" if len(servers) != 2 else "two servers, neither of which only redirects"
        raise SiteAdoptionError(
            f"site {name}: {found}: cannot be taken over",
            "a site is one server, or two of which one sends to HTTPS",
            LEAVE,
        )
    main = next(s for s in servers if s is not redirect)
    SiteReader(name, addresses, adopted).read(main, redirect)
    _prove(name, text, adopted, addresses)
    return adopted


def sites(names: Iterable[str], host: HostState, addresses: Mapping[str, str]) -> dict[str, AdoptedSite]:
    """Those of the named sites that the server has, each as its configuration.

    :raises SiteAdoptionError: where one cannot be taken over.
    """
    found = {name: host.site(name) for name in names}
    return {name: site(name, file.content, addresses) for name, file in found.items() if file and file.content}


def unadopted(names: Collection[str], host: HostState) -> list[tuple[str, str]]:
    """The files of enabled sites that are not among those named, each with what it serves."""
    found = []
    for path, file in sorted(host.files.items()):
        folder, _, name = path.rpartition("/")
        if folder == ENABLED and name not in names:
            found.append((path, _served(file.content or "")))
    return found


def _served(content: str) -> str:
    try:
        found = server_match.servers("", content)
    except nginx_tree.SyntaxProblem:
        return "cannot be read"
    servers = [
        f"{' '.join(sorted({*server.names} - {'', '_'})) or 'any name'} on port "
        f"{', '.join(sorted({listen.port for listen in server.listens}))}"
        for server in found
    ]
    return "; ".join(servers) or "no server"


def _refuse_unreadable(name: str, directives: Iterable[Directive]) -> None:
    for directive in nginx_tree.every(directives):
        # what stands for such a byte (surrogateescape)
        if any("\udc80" <= char <= "\udcff" for word in directive["args"] for char in word):
            what = f"{directive['directive']} has bytes that are no UTF-8"
            raise refused(name, directive, what, "configuration is UTF-8", f"write that line in UTF-8, {AGAIN}")


def _exposed(directive: Directive) -> bool:
    words = list(directive["args"])
    return nginx_credentials.masked(directive["directive"], words) != words


def _refuse_credentials(name: str, directives: Iterable[Directive]) -> None:
    for directive in nginx_tree.every(directives):
        if _exposed(directive):
            what = " ".join([directive["directive"], *directive["args"][: len(directive["args"]) > 1]])
            raise refused(
                name,
                directive,
                f"{what} has a credential in the clear",
                "it would get into the stack's configuration and state",
                f"put that line into a file of its own under /etc/nginx/snippets, include it, {AGAIN}",
            )


def _comments(directives: Iterable[Directive]) -> Iterator[str]:
    """The comments; a directive that was commented out may hold a credential, and is then told by its name alone."""
    for directive in nginx_tree.every(directives):
        if directive["directive"] == "#":
            text = str(directive["comment"]).strip()
            try:
                exposed = next(filter(_exposed, nginx_tree.every(nginx_tree.parse(text))), None)
            except nginx_tree.SyntaxProblem:
                exposed = None
            yield text if exposed is None else f"{exposed['directive']} {nginx_credentials.HIDDEN}"


def _prove(name: str, text: str, adopted: AdoptedSite, addresses: Mapping[str, str]) -> None:
    try:
        # as Pulumi hands it over: keys sorted
        known = json.loads(json.dumps(adopted.data, sort_keys=True))
        rendered = site_text(Site.model_validate(known), addresses)
    except ValidationError as err:
        found = from_validation(err, Site, f"site {name}")
        raise SiteAdoptionError(found.found, "configuration has no field for that", LEAVE) from err
    differing = compare(nginx_tree.meaning(rendered), nginx_tree.meaning(text))
    if differing:
        first = differing[0]
        raise SiteAdoptionError(
            f"site {name}, line {line_of(nginx_tree.parse(text), first.path)}: {_change(first)}",
            "what nginx serves would change",
            f"write it so on the server, reload nginx, {AGAIN}, or {LEAVE}",
        )


def _change(found: Difference) -> str:
    live, declared = (_named(found, value) for value in (found.live, found.declared))
    if not live:
        return f"configuration would add `{declared}`"
    if isinstance(found.live, list) and isinstance(found.declared, str):
        return f"`{live}` stands there {len(found.live)} times, and configuration says it once"
    return f"`{live}` would become `{declared}`" if declared and declared != live else f"`{live}` cannot be said"


def _named(found: Difference, value: object) -> str:
    """A place by its directive, with its words where these are few; nothing where there is none."""
    if not isinstance(value, (str, dict, list)):
        return ""
    above, last = ["", *map(str, found.path)][-2:]
    if last in (nginx_tree.ORDER, nginx_tree.DEFAULT):
        return f"the order in {above or 'the file'}"
    words = [last] if above not in _BLOCKS and not nginx_tree.HEADERS.search(above) else [above, last]
    return " ".join([*words, value] if isinstance(value, str) else words)
