"""Judges the certificates that nginx presents for the declared sites. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from config.reverse_proxy import example
from flowmaster.compare.finding import Change, Finding, FindingClass, ObjectRef
from flowmaster.drift.listening import Listening, readable
from flowmaster.host.certificate import Certificate, CertificateError, read
from flowmaster.host.ports import Answer

DAYS_LEFT = 14
"""Days before its end from which on a certificate is reported."""
_ENDS = "the certificate ends in"


@dataclass(frozen=True, slots=True)
class Served:
    """A certificate that nginx presents for a server of a site."""

    listening: Listening
    certificate: Certificate | None
    problem: str = ""
    """Why there is none."""
    unknown: bool = False
    """Whether it could not be asked for."""

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


def served(answers: Iterable[Answer], texts: Mapping[str, str]) -> list[Served]:
    """The certificates that nginx presents for sites, given by name."""
    presented = {
        (answer.place.address, answer.place.port, entry.name): entry
        for answer in answers
        for entry in answer.certificates
    }
    found: dict[tuple[str, int, str], Served] = {}
    for site, text in texts.items():
        for entry in readable(site, text):
            given = presented.get((*entry.place, entry.name or "")) if entry.name is not None else None
            if given is None:
                continue
            key = (site, entry.place[1], entry.name or "")
            try:
                certificate, problem = read(given.der) if given.der else None, given.problem
            except CertificateError as err:
                certificate, problem = None, str(err)
            words = "" if certificate else f"nginx presents no certificate: {problem or 'none was sent'}"
            if given.unknown:
                words = f"the certificate could not be asked for: {given.unknown}"
            found.setdefault(key, Served(entry, certificate, words, bool(given.unknown)))
    return list(found.values())


def findings(certificates: Iterable[Served], now: datetime) -> list[Finding]:
    """Return a finding for each certificate that is not in order."""
    return [_finding(entry, flaw) for entry in certificates if (flaw := entry.flaw(now))]


def _finding(entry: Served, flaw: str) -> Finding:
    site, (_, port), names = entry.listening.site, entry.listening.place, entry.listening.names
    ref, path = ObjectRef("NginxSite", "", site), f"server[{port} {names[0] if names else '_'}].ssl_certificate"
    if entry.unknown:
        return Finding(FindingClass.UNKNOWN, ref, path, Change.STATE, flaw, note="it may have ended")
    note = "renew it, such as by `certbot renew`" if flaw.startswith(_ENDS) else "browsers refuse it"
    return Finding(FindingClass.UNHEALTHY, ref, path, Change.STATE, flaw, note=note)


def days_left(certificates: Iterable[Served], now: datetime) -> list[tuple[str, str, bool]]:
    """Each certificate's name, the days that it has left or what is wrong with it, and whether it is in order."""
    found = []
    for entry in certificates:
        flaw = entry.flaw(now)
        left = f"{_days(entry.certificate.days_left(now))} left" if entry.certificate else ""
        found.append((entry.label, flaw.removeprefix("the certificate ") or left, not flaw))
    return found


def _days(count: int) -> str:
    return "less than a day" if count < 1 else f"{count} day{'' if count == 1 else 's'}"
