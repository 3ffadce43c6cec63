"""Compares who answers on the ports of declared sites with nginx, and what certificates it presents. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from config.reverse_proxy import ReverseProxy, example
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef
from flowmaster.drift.coverage import Coverage
from flowmaster.host import nginx_tree, server_match
from flowmaster.host.certificate import Certificate, CertificateError, read
from flowmaster.host.nginx import HostState
from flowmaster.host.ports import NGINX, Answer, Owners, Place
from flowmaster.render.nginx import services, site_text

DAYS_LEFT = 14
"""Days before its end from which on a certificate is reported."""
_NGINX = ObjectRef("Nginx", "", "nginx")
_RANGE = re.compile(r"(|.*:)(\d+)-(\d+)")
_ENDS = "the certificate ends in"


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


@dataclass(frozen=True, slots=True)
class Served:
    """A certificate that nginx presents for a server of a site."""

    listening: Listening
    certificate: Certificate | None
    problem: str = ""
    """Why there is none."""

    @property
    def label(self) -> str:
        """The name that it is for, as a person knows it."""
        return self.listening.name or f"port {self.listening.place[1]}"

    def flaw(self, now: datetime) -> str:
        """What is wrong with it; empty if nothing is."""
        if self.certificate is None:
            return self.problem
        days = self.certificate.days_left(now)
        missing = [name for name in self.listening.names if (host := example(name)) and not self._covers(host)]
        if self.certificate.ends <= now:
            return f"the certificate ended on {self.certificate.ends:%Y-%m-%d}"
        if self.certificate.begins > now:
            return f"the certificate is not valid before {self.certificate.begins:%Y-%m-%d}"
        if missing:
            own = (*self.certificate.names, *self.certificate.addresses)
            return f"the certificate is for {', '.join(own) or 'no name'}, not for {', '.join(missing)}"
        return f"{_ENDS} {_days(days)}" if days < DAYS_LEFT else ""

    def _covers(self, host: str) -> bool:
        return self.certificate is not None and self.certificate.covers(host)


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
    unread = [site for site, text in texts.items() if not _readable(site, text)]
    errors = {place[1]: None for place, entries in sorted(_by_place(texts).items()) if _is_error(entries)}
    found = [f"port {port} (nginx would log an error: proxy_protocol)" for port in errors]
    return [*found, *(f"ports of {site} (none is found in its text)" for site in unread)]


def _by_place(texts: Mapping[str, str]) -> dict[tuple[str, int], list[Listening]]:
    found: dict[tuple[str, int], list[Listening]] = {}
    for site, text in texts.items():
        for entry in _readable(site, text):
            found.setdefault(entry.place, []).append(entry)
    return found


def _is_error(entries: Iterable[Listening]) -> bool:
    # options of one place hold for all servers there
    return any(entry.tls for entry in entries) and any(entry.proxied for entry in entries)


def _readable(site: str, text: str | None) -> list[Listening]:
    try:
        return list(listening(site, text)) if text else []
    except (nginx_tree.SyntaxProblem, ValueError):
        return []


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What was asked of a host's ports, the declared texts by site, and who is where in the cluster."""

    host: HostState
    texts: Mapping[str, str]
    pods: Mapping[str, str] = field(default_factory=dict)
    """``NAMESPACE/NAME`` of pods, by address or uid."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))


def findings(ports: Ports, explained: Iterable[str] = ()) -> list[Finding]:
    """Return a finding for each port that nginx does not answer, and for each certificate that is not in order.

    :param explained: sites with a finding as a whole: their ports count only where somebody else answers.
    """
    sites = {place: site for site, text in ports.texts.items() for place in _places_of(site, text)}
    loaded = {
        place
        for site in ports.texts.keys() - set(explained)
        if (file := ports.host.site(site)) is not None and file.path not in ports.host.nginx.newer
        for place in _places_of(site, file.content)
    }
    found = []
    for answer in ports.host.answers:
        place = (answer.place.address, answer.place.port)
        serves = ports.host.nginx.running and place in loaded
        if place in sites and not answer.well and (serves or answer.inside in ("other", "elsewhere")):
            found.append(_port(answer, ports))
    return found + [_certificate(served, ports.now) for served in served_certificates(ports) if served.flaw(ports.now)]


def strangers(host: HostState) -> tuple[set[str], set[str]]:
    """The addresses to which rules lead in place of nginx, and the uids of pods whose processes listen there."""
    owners = [answer.owners for answer in host.answers]
    addresses = {target.rpartition(":")[0] for owner in owners for target in owner.leads}
    return addresses - {""}, {listener.pod for owner in owners for listener in owner.listeners if listener.pod}


def _places_of(site: str, text: str | None) -> set[tuple[str, int]]:
    return {entry.place for entry in _readable(site, text)}


def served_certificates(ports: Ports) -> list[Served]:
    """The certificates that nginx presents for the declared sites."""
    presented = {
        (answer.place.address, answer.place.port, entry.name): entry
        for answer in ports.host.answers
        for entry in answer.certificates
    }
    found: dict[tuple[str, int, str], Served] = {}
    for site, text in ports.texts.items():
        for entry in _readable(site, text):
            given = presented.get((*entry.place, entry.name or "")) if entry.name is not None else None
            if given is None:
                continue
            key = (site, entry.place[1], entry.name or "")
            try:
                certificate, problem = read(given.der) if given.der else None, given.problem
            except CertificateError as err:
                certificate, problem = None, str(err)
            words = "" if certificate else f"nginx presents no certificate: {problem or 'none was sent'}"
            found.setdefault(key, Served(entry, certificate, words))
    return list(found.values())


def _certificate(served: Served, now: datetime) -> Finding:
    entry = served.listening
    first = entry.names[0] if entry.names else "_"
    return Finding(
        FindingClass.UNHEALTHY,
        ObjectRef("NginxSite", "", entry.site),
        f"server[{entry.place[1]} {first}].ssl_certificate",
        Change.STATE,
        live=served.flaw(now),
        note="renew it, such as by `certbot renew`" if served.flaw(now).startswith(_ENDS) else "browsers refuse it",
    )


def _days(count: int) -> str:
    return "less than a day" if count < 1 else f"{count} day{'' if count == 1 else 's'}"


def days_left(ports: Ports) -> list[tuple[str, str, bool]]:
    """Each certificate's name, the days that it has left or what is wrong with it, and whether it is in order."""
    found = []
    for served in served_certificates(ports):
        flaw = served.flaw(ports.now)
        left = _days(served.certificate.days_left(ports.now)) if served.certificate else ""
        found.append((served.label, flaw.removeprefix("the certificate ") if flaw else f"{left} left", not flaw))
    return found


def coverage(ports: Ports) -> Coverage:
    """Return how many ports nginx answers, and how many certificates it presents."""
    well = {answer.place.port for answer in ports.host.answers if answer.well}
    presented = sum(served.certificate is not None for served in served_certificates(ports))
    left = [f"ports from outside ({ports.host.not_outside})"] if ports.host.not_outside else []
    left += left_out(ports.texts)
    return Coverage(ports=len(well), certificates=presented, not_looked_at=tuple(left))


def path(answer: Answer) -> str:
    """The path of a port in findings."""
    place = answer.place
    return f"ports[{place.port}]" if place.address == "" else f"ports[{place.address}:{place.port}]"


def _port(answer: Answer, ports: Ports) -> Finding:
    at = path(answer)
    where = at[6:-1]
    if "unknown" in (answer.inside, answer.outside):
        live = f"who answers on port {where} is not known: {answer.words}"
        return Finding(FindingClass.UNKNOWN, _NGINX, at, Change.STATE, live, note="it may be somebody else")
    alone = answer.inside == NGINX
    state = answer.outside if alone else answer.inside
    from_where = " from outside" if alone else ""
    if state in ("other", "elsewhere"):
        who = _who(answer.owners, ports.pods, state)
        live = f"{who} answers on port {where}{from_where} in place of nginx"
        return Finding(FindingClass.UNHEALTHY, _NGINX, at, Change.STATE, live, NGINX, note=_way(answer.owners, state))
    live = f"{_STATES[state].format(f'port {where}{from_where}')}"
    if alone:
        live += "; on the server itself nginx answers"
    elif answer.outside == NGINX:
        live += " on the server itself; from outside nginx answers"
    return Finding(
        FindingClass.UNHEALTHY, _NGINX, f"{at}.outside" if alone else at, Change.STATE, live, NGINX,
        note=_firewall(answer),
    )  # fmt: skip


_STATES = {
    "refused": "connections to {} are refused",
    "timeout": "connections to {} are not answered",
    "unreachable": "connections to {} are rejected",
    "waiting": "nobody takes connections to {}: they wait in the kernel",
}


def _who(owners: Owners, pods: Mapping[str, str], state: str) -> str:
    """Name who answers: where rules lead if they lead away, else the process that listens."""
    if owners.published:
        return f"the container {', '.join(owners.published)}"
    if state == "elsewhere" and owners.leads:
        known = [pods[address] for target in owners.leads if (address := target.rpartition(":")[0]) in pods]
        to = ", ".join(owners.leads)
        pod = f"the pod {', '.join(dict.fromkeys(known))}" if known else to
        service = f", of the Service {owners.service}," if owners.service else ""
        return f"{pod} ({to}){service}" if known else f"{pod}{service}"
    for listener in owners.listeners:
        inside = pods.get(listener.pod, "")
        where = (
            f" in the pod {inside}"
            if inside
            else f" in the container {listener.container}"
            if listener.container
            else ""
        )
        return f"{listener.name} (process {listener.pid}){where}"
    return "something else"


def _way(owners: Owners, state: str) -> str:
    if not owners.known:
        return "who it is could not be looked for"
    if owners.published:
        return "stop the container, or publish another port"
    if state == "elsewhere" and owners.leads:
        return "rules of address translation lead there before nginx sees a connection: iptables-save -t nat"
    return "ss -ltnp on the server shows who listens"


def _firewall(answer: Answer) -> str:
    if answer.owners.blocked:
        return f"a rule of the server's firewall: {'; '.join(answer.owners.blocked)}"
    if answer.inside == NGINX:
        return "a firewall between here and the server, or one on it"
    return "nobody listens there" if answer.inside == "refused" and not answer.owners.listeners else ""
