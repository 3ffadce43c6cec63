"""Compares nginx on the server with the declared sites. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from config.reverse_proxy import ReverseProxy, Site, SiteTemplate, served
from config.rules import RELOAD
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import ABSENT, Change, Finding, FindingClass, ObjectRef
from flowmaster.compare.three_way import Difference, compare
from flowmaster.drift import effective_nginx, moved_services
from flowmaster.drift.moved_services import NO_ADDRESS
from flowmaster.host import directive_lines, effective_config, nginx_credentials, nginx_tree, server_match
from flowmaster.host.nginx import ENABLED, File, HostState
from flowmaster.render.nginx import services, site_text

NGINX = ObjectRef("Nginx", "", "nginx")
MODE = "0644"
OWNER = "root:root"


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Declared sites, live state of the host, and last applied texts."""

    proxy: ReverseProxy
    host: HostState
    addresses: Mapping[str, str] = field(default_factory=dict)
    """``CLUSTERIP:PORT`` by service, if known."""
    unread: bool = False
    """Whether the Services could not be read; an unknown address is then not a finding."""
    applied: Mapping[str, str] = field(default_factory=dict)
    """Last applied text of each site."""
    masker: Masker = field(default_factory=Masker)
    projects: frozenset[str] = frozenset()
    """Further sites of this project: those of compose projects."""

    @cached_property
    def effective(self) -> effective_config.Configuration:
        """What nginx loads, by the files as they are."""
        texts = {path: file.content for path, file in self.host.files.items()}
        return effective_config.load(texts, self.host.configuration)


def reference(site: str) -> ObjectRef:
    """Return a site's object reference."""
    return ObjectRef("NginxSite", "", site)


def findings(comparison: Comparison) -> list[Finding]:
    """Return all findings about nginx."""
    nginx = comparison.host.nginx
    if not nginx.installed:
        words = "nginx is not installed"
        return [Finding(FindingClass.UNHEALTHY, NGINX, change=Change.STATE, live=words, note="apt-get install nginx")]
    found = [finding for name, site in comparison.proxy.sites.items() for finding in _site(name, site, comparison)]
    return [
        *found,
        *_nginx_findings(comparison, {finding.object.name for finding in found}),
        *_foreign_sites(comparison),
        *effective_nginx.findings(comparison),
    ]


def declared_text(name: str, comparison: Comparison) -> str:
    """Render the desired site, with a placeholder for the address of a Service that does not exist."""
    site = comparison.proxy.sites[name]
    return site_text(site, {s: comparison.addresses.get(s, NO_ADDRESS.format(s)) for s in services(site)})


def compared_as_text(comparison: Comparison) -> list[str]:
    """Return the sites that are compared as text, since what is declared cannot be read by directives, with why."""
    found = []
    for name in comparison.proxy.sites:
        try:
            nginx_tree.meaning(declared_text(name, comparison))
        except nginx_tree.SyntaxProblem as err:
            found.append(f"directives of the site {name}, which is compared as text ({err})")
    return found


def _site(name: str, site: Site | SiteTemplate, comparison: Comparison) -> Iterator[Finding]:
    file = comparison.host.site(name)
    if name in comparison.host.problems:
        yield _site_outside(name, file, comparison)
        return
    if file is None or file.kind == "broken link":
        yield _missing(name, file, comparison)
        return
    if file.content is None:
        text = f"{file.path} is not a readable file ({file.kind})"
        yield Finding(FindingClass.UNKNOWN, reference(name), change=Change.STATE, live=text)
        return
    yield from _content(name, site, file, file.content, comparison)
    owner = f"{file.owner}:{file.group}"
    for path, found, desired in (("mode", file.mode, MODE), ("owner", owner, OWNER)):
        if found != desired:
            yield Finding(FindingClass.DRIFT, reference(name), path, live=found, declared=desired, when=file.touched)


def _content(
    name: str, site: Site | SiteTemplate, file: File, content: str, comparison: Comparison
) -> Iterator[Finding]:
    """Yield the differences of a site's text, by directives where what is declared can be read so."""
    text, before = declared_text(name, comparison), comparison.applied.get(name)
    try:
        desired = nginx_tree.meaning(text)
    except nginx_tree.SyntaxProblem as err:
        if nginx_tree.readable(content) != nginx_tree.readable(text):
            cls = FindingClass.PENDING if before == nginx_tree.readable(content) else FindingClass.DRIFT
            note = f"compared as text: {err} in {_place(site, 1).rpartition(':')[0] or 'the site'}"
            live = f"another text from line {_first_line(content, text)} on"
            yield Finding(cls, reference(name), "content", live=live, declared="the site's text", when=file.changed,
                          manager=file.manager, note=note)  # fmt: skip
        return
    try:
        live_tree = nginx_tree.meaning(content)
    except nginx_tree.SyntaxProblem as err:
        yield Finding(
            FindingClass.DRIFT, reference(name), "content", live=str(err), declared="a valid site", when=file.changed
        )
        return
    try:
        applied: Any = nginx_tree.meaning(before) if before is not None else ABSENT
    except nginx_tree.SyntaxProblem:
        applied = ABSENT
    for difference in compare(desired, live_tree, applied):
        if not (comparison.unread and _unknown_address(difference)):
            yield _difference(name, site, file, difference, comparison)


def _first_line(one: str, other: str) -> int:
    """The first line in which two texts differ."""
    lines, others = one.split("\n"), other.split("\n")
    pairs = zip(lines, others, strict=False)
    return next((number for number, pair in enumerate(pairs, 1) if pair[0] != pair[1]), min(len(lines), len(others)))


def _place(site: Site | SiteTemplate, line: int) -> str:
    """A line of a site's template; nothing for a site that has none."""
    return f"{site.template}:{line}" if isinstance(site, SiteTemplate) else ""


def _site_outside(name: str, file: File | None, comparison: Comparison) -> Finding:
    """Return the finding for a site that an update does not write; its differences are not listed."""
    same = (
        file is not None and file.content is not None and nginx_tree.same(file.content, declared_text(name, comparison))
    )
    says = "as declared" if same else "not as declared"
    return Finding(
        FindingClass.UNHEALTHY,
        reference(name),
        change=Change.STATE,
        live=f"the site {comparison.host.problems[name]}",
        when=file.touched if file is not None else None,
        note=f"{says}, but up does not write there; remove {ENABLED}/{name} first",
    )


def _unknown_address(found: Difference) -> bool:
    return isinstance(found.declared, str) and NO_ADDRESS.partition("{")[0] in found.declared


def _missing(name: str, file: File | None, comparison: Comparison) -> Finding:
    kept = comparison.host.disabled(name)
    cls = FindingClass.DRIFT if kept or file or name in comparison.applied else FindingClass.PENDING
    note = f"disabled: it exists only as {kept.path}" if kept else ""
    if file is not None:
        note = f"{file.path} points to {file.target}, which does not exist"
    return Finding(
        cls, reference(name), change=Change.MISSING, declared=_summary(comparison.proxy.sites[name]), note=note
    )


def _summary(site: Site | SiteTemplate) -> str:
    if isinstance(site, SiteTemplate):
        names = ", ".join(f"{name or 'any name'} on port {port}" for port, name in served(site))
        return f"{site.template}: {names or 'no server'}"
    return f"{' '.join(site.server_names)} on port {site.listen}: {', '.join(site.locations)}"


def _difference(name: str, site: Site | SiteTemplate, file: File, found: Difference, comparison: Comparison) -> Finding:
    cls, note = found.cls or FindingClass.DRIFT, _place_of(name, site, found, comparison)
    if recreated := moved_services.moved(site, found, comparison.addresses):
        # the Service was recreated: the server changed, not the program
        (service, address), cls = recreated, FindingClass.DRIFT
        has = comparison.addresses.get(service)
        why = f"no Service has the address {address}; {service} {f'has {has}' if has else 'does not exist'}"
        note = f"{why}; {note}" if note else why
    return finding_of(reference(name), found, file, comparison.masker, cls, note)


def _place_of(name: str, site: Site | SiteTemplate, found: Difference, comparison: Comparison) -> str:
    """The line of a site's template that a difference is about: that of the directive, or of the block around it."""
    if not isinstance(site, SiteTemplate):
        return ""
    return _place(site, directive_lines.line_of(nginx_tree.parse(declared_text(name, comparison)), found.path))


def finding_of(
    ref: ObjectRef, found: Difference, file: File, masker: Masker, cls: FindingClass, note: str = ""
) -> Finding:
    """Return a difference in a site's file as a finding, with credentials masked."""
    live, hidden_live = nginx_credentials.shown(found.path, found.live, masker)
    declared, hidden = nginx_credentials.shown(found.path, found.declared, masker)
    return Finding(
        cls,
        ref,
        nginx_credentials.where(found.path, masker),
        found.change,
        live=live,
        declared=declared,
        manager=file.manager,
        when=file.changed,
        note=note,
        secret=hidden or hidden_live,
        revision=_revision(found.live) if hidden_live else "",
    )


def _revision(value: Any) -> str:
    """Hash a masked value, so that a change of it shows."""
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _nginx_findings(comparison: Comparison, differing: set[str]) -> Iterator[Finding]:
    """Yield findings about nginx itself, without the consequences of files that differ."""
    nginx, own = comparison.host.nginx, {f"{ENABLED}/{name}" for name in comparison.proxy.sites}
    if not nginx.running and not effective_nginx.replaced(comparison.host):
        note = "; ".join(f"port {port} is taken by {who}" for port, who in nginx.taken.items())
        yield Finding(
            FindingClass.DRIFT, NGINX, "state", live="stopped", declared="running", note=note or "nothing is served"
        )
    elif stale_sites := sorted(path.rpartition("/")[2] for path in nginx.newer if path in own):
        for name in (name for name in stale_sites if name not in differing):
            yield Finding(
                FindingClass.STALE,
                reference(name),
                change=Change.STATE,
                live="nginx runs an older configuration than this file",
                when=nginx.since,
                conditions=frozenset({RELOAD}),
            )
    elif nginx.newer and nginx.valid:
        text = f"nginx has not read {', '.join(nginx.newer)} since it was changed"
        yield Finding(
            FindingClass.STALE,
            NGINX,
            change=Change.STATE,
            live=text,
            when=nginx.since,
            note="the file is not part of this project",
        )
    if not nginx.valid and not any(f"{ENABLED}/{name}" in nginx.words for name in differing):
        yield Finding(
            FindingClass.UNHEALTHY,
            NGINX,
            change=Change.STATE,
            live=_first_error(nginx.words),
            note="nginx keeps running, but cannot reload or restart",
        )


def _first_error(words: str) -> str:
    lines = [line for line in words.splitlines() if "[emerg]" in line or "[crit]" in line] or words.splitlines()
    return lines[0].removeprefix("nginx: ") if lines else "nginx -t fails"


def _foreign_sites(comparison: Comparison) -> Iterator[Finding]:
    """Yield foreign sites that nginx sends, or may send, requests of declared sites to."""
    own = {f"{ENABLED}/{name}": name for name in comparison.proxy.sites}
    own_servers, all_servers = _loaded_servers(own, comparison)
    foreign = [server for server in all_servers if server.file not in own]
    found = {
        taken.by.file: taken
        for taken in reversed(list(server_match.taken(own_servers, all_servers, comparison.host.addresses)))
    }
    wanted = {(str(port), name): site for site, entry in comparison.proxy.sites.items() for port, name in served(entry)}
    order = {server.file: number for number, server in reversed(list(enumerate(all_servers)))}
    for path in sorted({server.file for server in foreign}):
        if path in found:
            live, note = _takeover_text(found[path], own)
        elif clashes := sorted(_clashes([server for server in foreign if server.file == path], wanted)):
            port, name, site = clashes[0]
            live = f"{path} serves {name or 'any name'} on port {port}, as {site} does"
            before = order[path] < order.get(f"{ENABLED}/{site}", order[path])
            note = "nginx sends the requests to " + ("it" if before else f"{site}, which comes first")
        else:
            continue
        ref, file = reference(path.rpartition("/")[2]), comparison.host.files[path]
        yield Finding(
            FindingClass.FOREIGN,
            ref,
            change=Change.ADDED,
            live=live,
            manager=file.manager,
            when=file.changed,
            note=note,
        )


def _loaded_servers(
    own: Mapping[str, str], comparison: Comparison
) -> tuple[list[server_match.Server], list[server_match.Server]]:
    """The declared servers of sites that nginx loads, or will once they are written, and all servers in their order."""
    declared = {path: _declared_servers(path, declared_text(name, comparison)) for path, name in own.items()}
    same = effective_nginx.same_files(comparison.host, own)
    everything: dict[str, list[server_match.Server]] = {}
    for server in comparison.effective.servers:
        path = same.get(server.match.file, server.match.file)
        if path in own:
            everything.setdefault(path, declared[path])
        else:
            everything.setdefault(path, []).append(server.match)
    order = list(everything)
    for path in sorted(path for path in own if path not in everything and path not in comparison.host.files):
        after = [number for number, other in enumerate(order) if other.startswith(f"{ENABLED}/") and other > path]
        order.insert(after[0] if after else len(order), path)
        everything[path] = declared[path]
    own_servers = [server for path in order if path in own for server in everything[path]]
    return own_servers, [server for path in order for server in everything[path]]


def _declared_servers(path: str, text: str) -> list[server_match.Server]:
    try:
        return server_match.servers(path, text)
    except nginx_tree.SyntaxProblem:
        return []


def _takeover_text(taken: server_match.Taken, own: Mapping[str, str]) -> tuple[str, str]:
    site, path = own[taken.instead.file], f"{taken.by.file}:{taken.by.line}"
    if taken.address:
        live = f"answers all requests to {taken.address}:{taken.port}"
        return live, f"in place of {site}: {path} listens on that address"
    live = f"answers {taken.host or 'any name'} on port {taken.port}"
    how = f"its server_name {taken.name} matches" if taken.name else "it is the default server"
    return live, f"in place of {site}: nginx sends the requests to {path}, because {how}"


def _clashes(
    servers: Iterable[server_match.Server], own_names: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, str, str]]:
    """Yield port, name and site for each server that listens on all addresses with the same name."""
    for server in servers:
        for listen in server.listens:
            names = {*server.names, "_"} if listen.default else set(server.names)
            if listen.address in ("", "[::]"):
                yield from (
                    (listen.port, name, own_names[listen.port, name])
                    for name in names
                    if (listen.port, name) in own_names
                )
