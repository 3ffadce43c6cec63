"""Judges who answers on the ports of declared sites: this nginx, or something else. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef
from flowmaster.drift import certificates
from flowmaster.drift.coverage import Coverage
from flowmaster.drift.listening import left_out, readable
from flowmaster.host.nginx import HostState
from flowmaster.host.ports import NGINX, Answer, Owners

_NGINX = ObjectRef("Nginx", "", "nginx")


@dataclass(frozen=True, kw_only=True)
class Ports:
    """What was asked of a host's ports, the declared texts by site, and who is where in the cluster."""

    host: HostState
    texts: Mapping[str, str]
    pods: Mapping[str, str] = field(default_factory=dict)
    """``NAMESPACE/NAME`` of pods, by address or uid."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def certificates(self) -> list[certificates.Served]:
        """The certificates that nginx presents for them."""
        return certificates.served(self.host.answers, self.texts)


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
    return found + certificates.findings(ports.certificates, ports.now)


def strangers(host: HostState) -> tuple[set[str], set[str]]:
    """The addresses to which rules lead in place of nginx, and the uids of pods whose processes listen there."""
    owners = [answer.owners for answer in host.answers]
    addresses = {target.rpartition(":")[0] for owner in owners for target in owner.leads}
    return addresses - {""}, {listener.pod for owner in owners for listener in owner.listeners if listener.pod}


def _places_of(site: str, text: str | None) -> set[tuple[str, int]]:
    return {entry.place for entry in readable(site, text)}


def coverage(ports: Ports) -> Coverage:
    """Return how many ports nginx answers, and how many certificates it presents."""
    well = {answer.place.port for answer in ports.host.answers if answer.well}
    presented = sum(entry.certificate is not None for entry in ports.certificates)
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
