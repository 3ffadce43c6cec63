"""From what was read of the server to findings. Pure: nothing is read here."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from config.reverse_proxy import Location, ReverseProxy, Site, served
from config.rules import RELOAD
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import ABSENT, Change, Finding, FindingClass, ObjectRef
from flowmaster.compare.three_way import Difference, compare
from flowmaster.host import nginx_credentials, nginx_tree, server_match
from flowmaster.host.nginx import AVAILABLE, ENABLED, File, HostState
from flowmaster.render import nginx as body

NGINX = ObjectRef("Nginx", "", "nginx")
MODE = "0644"
OWNER = "root:root"
_NO_ADDRESS = "address-of-{}:0"


@dataclass(frozen=True, kw_only=True)
class Situation:
    """What is declared, what is live, and what was applied last: everything that findings come from."""

    proxy: ReverseProxy
    host: HostState
    addresses: Mapping[str, str] = field(default_factory=dict)
    """``CLUSTERIP:PORT`` by service, as far as it is known."""
    unread: bool = False
    """Whether the Services could not be read, so that an address which is not known says nothing."""
    applied: Mapping[str, str] = field(default_factory=dict)
    """The text of each site as it was applied last."""
    masker: Masker = field(default_factory=Masker)


def reference(site: str) -> ObjectRef:
    """A site as the object of a finding."""
    return ObjectRef("NginxSite", "", site)


def findings(now: Situation) -> list[Finding]:
    """All findings about the server."""
    nginx = now.host.nginx
    if not nginx.installed:
        words = "nginx is not installed"
        return [Finding(FindingClass.UNHEALTHY, NGINX, change=Change.STATE, live=words, note="apt-get install nginx")]
    found = [finding for name, site in now.proxy.sites.items() for finding in _site(name, site, now)]
    return [*found, *_state(now, {finding.object.name for finding in found}), *_others(now)]


def declared_text(name: str, now: Situation) -> str:
    """The site as it is to be, with a word in place of the address of a Service that is not there."""
    site = now.proxy.sites[name]
    services = {entry.service for entry in site.locations.values() if entry.service}
    return body.site(site, {s: now.addresses.get(s, _NO_ADDRESS.format(s)) for s in services})


def _site(name: str, site: Site, now: Situation) -> Iterator[Finding]:
    file = now.host.site(name)
    before = now.applied.get(name)
    if name in now.host.problems:
        yield _elsewhere(name, file, now)
        return
    if file is None or file.kind == "broken link":
        yield _missing(name, file, now)
        return
    if file.content is None:
        text = f"{file.path} is no file that can be read ({file.kind})"
        yield Finding(FindingClass.UNKNOWN, reference(name), change=Change.STATE, live=text)
        return
    try:
        live = nginx_tree.meaning(file.content)
    except nginx_tree.SyntaxProblem as err:
        yield Finding(
            FindingClass.DRIFT, reference(name), "content", live=str(err), declared="a valid site", when=file.changed
        )
    else:
        applied = nginx_tree.meaning(before) if before is not None else ABSENT
        for difference in compare(nginx_tree.meaning(declared_text(name, now)), live, applied):
            if not (now.unread and _unknown_address(difference)):
                yield _difference(name, site, file, difference, now)
    owner = f"{file.owner}:{file.group}"
    for path, found, wanted in (("mode", file.mode, MODE), ("owner", owner, OWNER)):
        if found != wanted:
            yield Finding(FindingClass.DRIFT, reference(name), path, live=found, declared=wanted, when=file.touched)


def _elsewhere(name: str, file: File | None, now: Situation) -> Finding:
    """A site that an update does not write: told alone, for nothing that differs in it is set back."""
    same = file is not None and file.content is not None and nginx_tree.same(file.content, declared_text(name, now))
    says = "as declared" if same else "not as declared"
    return Finding(
        FindingClass.UNHEALTHY,
        reference(name),
        change=Change.STATE,
        live=f"the site {now.host.problems[name]}",
        when=file.touched if file is not None else None,
        note=f"{says}, and up does not write there: remove {ENABLED}/{name} first",
    )


def _unknown_address(found: Difference) -> bool:
    return isinstance(found.declared, str) and _NO_ADDRESS.partition("{")[0] in found.declared


def _missing(name: str, file: File | None, now: Situation) -> Finding:
    kept = now.host.disabled(name)
    cls = FindingClass.DRIFT if kept or file or name in now.applied else FindingClass.PENDING
    note = f"disabled: it is only in {kept.path}" if kept else ""
    if file is not None:
        note = f"{file.path} leads to {file.target}, which is not there"
    return Finding(cls, reference(name), change=Change.MISSING, declared=_summary(now.proxy.sites[name]), note=note)


def _summary(site: Site) -> str:
    return f"{' '.join(site.server_names)} on port {site.listen}: {', '.join(site.locations)}"


def _difference(name: str, site: Site, file: File, found: Difference, now: Situation) -> Finding:
    cls, note = found.cls or FindingClass.DRIFT, ""
    if found.path[-1] == "proxy_pass" and isinstance(found.live, str):
        address = found.live.partition("://")[2].partition("/")[0]
        location = site.locations.get(str(found.path[-2]))
        if location is not None and location.service and address not in _known(now, location):
            # the Service was made again: the program is as it was, the server is not
            cls = FindingClass.DRIFT
            note = f"no Service has the address {address}; {location.service} " + (
                f"has {now.addresses[location.service]}" if location.service in now.addresses else "is not there"
            )
    return of_difference(reference(name), found, file, now.masker, cls, note)


def of_difference(
    ref: ObjectRef, found: Difference, file: File, masker: Masker, cls: FindingClass, note: str = ""
) -> Finding:
    """What differs in a site's file as a finding, with credentials hidden."""
    live, hidden_live = nginx_credentials.shown(found.path, found.live, masker)
    declared, hidden = nginx_credentials.shown(found.path, found.declared, masker)
    return Finding(
        cls,
        ref,
        nginx_credentials.where(found.path, masker),
        found.change,
        live=live,
        declared=declared,
        when=file.changed,
        note=note,
        secret=hidden or hidden_live,
        revision=_revision(found.live) if hidden_live else "",
    )


def _known(now: Situation, location: Location) -> set[str]:
    """The addresses of all Services, at the location's port where it has one of its own."""
    addresses = now.addresses.values()
    return {f"{a.partition(':')[0]}:{location.port}" if location.port else a for a in addresses}


def _revision(value: Any) -> str:
    """What tells one hidden value from another without saying it."""
    return hashlib.sha256(repr(value).encode("utf-8", "surrogatepass")).hexdigest()[:8]


def _state(now: Situation, differing: set[str]) -> Iterator[Finding]:
    """What nginx does. What follows from a file that differs, and ends with that, is not told twice."""
    nginx, own = now.host.nginx, {f"{ENABLED}/{name}" for name in now.proxy.sites}
    if not nginx.running:
        note = "; ".join(f"port {port} is taken by {who}" for port, who in nginx.taken.items())
        yield Finding(
            FindingClass.DRIFT, NGINX, "state", live="stopped", declared="running", note=note or "nothing is served"
        )
    elif ours := sorted(path.rpartition("/")[2] for path in nginx.newer if path in own):
        for name in (name for name in ours if name not in differing):
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
            FindingClass.STALE, NGINX, change=Change.STATE, live=text, when=nginx.since, note="not this project's file"
        )
    if not nginx.valid and not any(f"{ENABLED}/{name}" in nginx.words for name in differing):
        yield Finding(
            FindingClass.UNHEALTHY,
            NGINX,
            change=Change.STATE,
            live=_complaint(nginx.words),
            note="what runs goes on running, but nginx would not start again, and nothing new is served",
        )


def _complaint(words: str) -> str:
    lines = [line for line in words.splitlines() if "[emerg]" in line or "[crit]" in line] or words.splitlines()
    return lines[0].removeprefix("nginx: ") if lines else "nginx -t fails"


def _others(now: Situation) -> Iterator[Finding]:
    """Sites of others that nginx gives our requests to, or might."""
    own = {f"{ENABLED}/{name}": name for name in now.proxy.sites}
    ours = [server for path, name in own.items() for server in server_match.servers(path, declared_text(name, now))]
    foreign = [server for path, file in now.host.files.items() if path not in own for server in _servers(path, file)]
    whole = sorted([*ours, *foreign], key=lambda server: server.file)
    found = {taken.by.file: taken for taken in reversed(list(server_match.taken(ours, whole, now.host.addresses)))}
    wanted = {(str(port), name): site for site, entry in now.proxy.sites.items() for port, name in served(entry)}
    for path in sorted({server.file for server in foreign}):
        if path in found:
            live, note = _told(found[path], own)
        elif clashes := sorted(_clashes([server for server in foreign if server.file == path], wanted)):
            port, name, site = clashes[0]
            live = f"{path} serves {name or 'any name'} on port {port}, as {site} does"
            first = min(path, f"{ENABLED}/{site}")
            note = "nginx gives the requests to " + ("it" if first == path else f"{site}, which comes first")
        else:
            continue
        ref, when = reference(path.rpartition("/")[2]), now.host.files[path].changed
        yield Finding(FindingClass.FOREIGN, ref, change=Change.ADDED, live=live, when=when, note=note)


def _servers(path: str, file: File) -> list[server_match.Server]:
    if file.content is None or path.startswith(f"{AVAILABLE}/"):
        return []
    try:
        return server_match.servers(path, file.content)
    except nginx_tree.SyntaxProblem:
        return []


def _told(taken: server_match.Taken, own: Mapping[str, str]) -> tuple[str, str]:
    site, path = own[taken.instead.file], taken.by.file
    if taken.address:
        live = f"answers all requests to {taken.address}:{taken.port}"
        return live, f"in place of {site}: {path} listens on that address itself"
    live = f"answers {taken.host or 'any name'} on port {taken.port}"
    how = f"its server_name {taken.name} matches" if taken.name else "it is the default server"
    return live, f"in place of {site}: nginx gives the requests to {path}, for {how}"


def _clashes(
    servers: Iterable[server_match.Server], wanted: Mapping[tuple[str, str], str]
) -> Iterator[tuple[str, str, str]]:
    """Port, name and site, wherever another server listens on all addresses for the very same name."""
    for server in servers:
        for listen in server.listens:
            names = {*server.names, "_"} if listen.default else set(server.names)
            if listen.address in ("", "[::]"):
                yield from (
                    (listen.port, name, wanted[listen.port, name]) for name in names if (listen.port, name) in wanted
                )
