"""Adopts a hand-written nginx site as configuration of the same meaning.

What the configuration has no field for is carried as it stands, under `extra`, and told. The proof is in the end: the
site is rendered from the new configuration and must mean what the file means, or it is refused. Nothing is dropped.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from pydantic import ValidationError

from config.errors import UserError, closest, from_validation
from config.reverse_proxy import ReverseProxy, Site, SiteTemplate, check_names, ports
from config.settings import Settings
from flowmaster.adopt import site_templates
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
from flowmaster.adopt.site_templates import commented_credential, refuse_credentials
from flowmaster.cluster.masking import Masker
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
    refuse_credentials(name, directives)
    depends = list(site_templates.beside(directives))
    adopted = AdoptedSite({}, comments=list(_comments(directives)), depends=depends)
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


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which sites are adopted, and how."""

    declared: Mapping[str, Site | SiteTemplate]
    """Those of the stack."""
    further: frozenset[str] = frozenset()
    """Patterns of names of enabled sites that the stack does not declare."""
    typed: bool = False
    """Declare by keys, where these say the same, also what the stack does not declare so."""
    folder: str = "nginx"
    """The folder of templates, from that of the stack's file on."""
    reserved: frozenset[str] = frozenset()
    """Names that are not adopted: those of compose projects."""
    beside: Mapping[str, Site | SiteTemplate] = field(default_factory=dict)
    """Sites of the stack that stay as they are declared."""
    ports: Mapping[int, str] = field(default_factory=dict)
    """Ports of the host that others listen on."""
    known: frozenset[str] = frozenset()
    """Services that a site may lead to."""

    def names(self, host: HostState) -> list[str]:
        """The sites on the server that are adopted.

        :raises SiteAdoptionError: where a pattern fits none; it names those that there are.
        """
        enabled = [path.rpartition("/")[2] for path in sorted(host.files) if path.rpartition("/")[0] == ENABLED]
        others = [name for name in enabled if name not in {*self.reserved, *self.beside}]
        for pattern in sorted(self.further):
            if pattern in self.beside:
                raise SiteAdoptionError(f"site {pattern} is declared already", "there is nothing to add", "see `drift`")
            if not any(fnmatchcase(name, pattern) for name in others):
                raise SiteAdoptionError(
                    f"there is no enabled site {pattern}{closest(pattern, others)}",
                    f"enabled on the server: {', '.join(others) or 'none'}",
                    "correct --site",
                )
        asked = [name for name in others if any(fnmatchcase(name, pattern) for pattern in self.further)]
        return list(dict.fromkeys([*(name for name in self.declared if host.site(name)), *asked]))


def sites(
    wanted: Wanted, host: HostState, addresses: Mapping[str, str], masker: Masker
) -> tuple[dict[str, AdoptedSite], dict[str, str]]:
    """Return the sites that are adopted, and those that are left as they are, with why.

    A site that the stack declares by keys is adopted so, if keys say the same; every other one as a template.

    :param addresses: ``CLUSTERIP:PORT`` by service.
    """
    addresses = {name: address for name, address in addresses.items() if name in wanted.known}
    adopted: dict[str, AdoptedSite] = {}
    models: dict[str, Site | SiteTemplate] = {}
    left: dict[str, str] = {}
    for name in wanted.names(host):
        try:
            found = _one(name, wanted, host, addresses, masker)
            model = _model(name, found)
            check_names({**wanted.beside, **models, name: model})
            if taken := [port for port in sorted(ports(model)) if wanted.ports.get(port) not in (None, "nginx")]:
                left[name] = f"the stack says that port {taken[0]} is taken by {wanted.ports[taken[0]]}"
                continue
        except UserError as err:
            left[name] = ": ".join(part for part in (err.found, err.breaks) if part)
            continue
        adopted[name], models[name] = found, model
    return adopted, left


def _one(name: str, wanted: Wanted, host: HostState, addresses: Mapping[str, str], masker: Masker) -> AdoptedSite:
    before, reason = wanted.declared.get(name), ""
    file = before.template if isinstance(before, SiteTemplate) else f"{wanted.folder}/{name}"
    live = host.site(name)
    if (wanted.typed or isinstance(before, Site)) and live is not None and live.content is not None:
        try:
            return site(name, live.content, addresses)
        except SiteAdoptionError as err:
            reason = err.found.removeprefix(f"site {name}, ").removeprefix(f"site {name}: ")
    template = site_templates.site(name, host, addresses, file, masker)
    template.reason = reason
    return template


def _model(name: str, found: AdoptedSite) -> Site | SiteTemplate:
    try:
        model = ReverseProxy.model_validate({"sites": {name: found.data}}).sites[name]
    except ValidationError as err:
        raise from_validation(err, ReverseProxy, f"site {name}") from err
    return model.with_text(found.template or "") if isinstance(model, SiteTemplate) else model


def wanted_of(settings: Settings, further: Collection[str], reserved: Collection[str], *, typed: bool) -> Wanted:
    """Return which sites are adopted for a stack, and how.

    :param further: patterns of names of enabled sites that it does not declare.
    :param reserved: names of sites that are not adopted.
    """
    proxy = settings.stack.reverse_proxy
    return Wanted(
        declared=proxy.sites if proxy else {},
        further=frozenset(further),
        typed=typed,
        folder=f"nginx/{settings.name}",
        reserved=frozenset(reserved),
        ports=settings.stack.host.ports,
        known=frozenset(name for name, entry in settings.services.items() if entry.port is not None),
    )


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


def _comments(directives: Iterable[Directive]) -> Iterator[str]:
    """The comments; a directive that was commented out may hold a credential, and is then told by its name alone."""
    for directive in nginx_tree.every(directives):
        if directive["directive"] == "#":
            text = str(directive["comment"]).strip()
            exposed = commented_credential(text)
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
