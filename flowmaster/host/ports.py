"""Asks, from here and on the server itself, whether the server's nginx takes connections to the ports of its sites.

From here, connections are opened that send nothing; the server looks who holds them
(:mod:`flowmaster.host.remote.ports`), so that it needs no request, and nothing is written into a log.
"""

from __future__ import annotations

import base64
import errno
import ipaddress
import select
import socket
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, Self

from flowmaster.host import policy
from flowmaster.host.access import Access
from flowmaster.host.connection import Session
from flowmaster.host.errors import HostError
from flowmaster.host.ssh import configured

CONNECT_SECONDS = 2.0
"""How long a connection from here may take, from when it is begun."""
WILDCARDS = ("", "[::]")
NGINX = "nginx"
_CODES = {0: "connected", errno.ECONNREFUSED: "refused", errno.ETIMEDOUT: "timeout"}
_FAMILIES = {"inet": socket.AF_INET, "inet6": socket.AF_INET6}


@dataclass(frozen=True, slots=True)
class Place:
    """Where nginx listens for declared sites, and the names to ask for by TLS: one a server, empty for none at all."""

    address: str
    """As nginx writes it; empty for all of IPv4, ``[::]`` for all of IPv6."""
    port: int
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Presented:
    """The certificate that nginx presents to somebody who asks for a name, in DER; a problem where it did not.

    `unknown` is why it could not be asked.
    """

    name: str
    der: bytes = b""
    problem: str = ""
    unknown: str = ""


@dataclass(frozen=True, slots=True)
class Listener:
    """A process that listens on a port, and the container of Docker and the pod that it is in, by their ids."""

    pid: int
    name: str
    container: str = ""
    pod: str = ""


@dataclass(frozen=True, slots=True)
class Owners:
    """What may take connections to a port in place of nginx, or end them."""

    listeners: tuple[Listener, ...] = ()
    published: tuple[str, ...] = ()
    """Containers of Docker that publish it."""
    leads: tuple[str, ...] = ()
    """Where rules of address translation lead: ``ADDRESS:PORT``."""
    service: str = ""
    """``NAMESPACE/NAME`` of the Service that such a rule is for."""
    blocked: tuple[str, ...] = ()
    """Rules that end connections."""
    known: bool = True
    """Whether it could be looked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """Who takes connections to a place.

    `inside` is about those from the server itself, `outside` about those from here, empty where none was tried:
    `nginx`, `other` (another process of the server), `elsewhere` (led away before any of its processes), `waiting` (in
    the kernel; nobody takes it), `refused`, `timeout`, `unreachable`, or `unknown`, for the reason in `words`.
    """

    place: Place
    at: str
    inside: str
    outside: str = ""
    words: str = ""
    certificates: tuple[Presented, ...] = ()
    owners: Owners = field(default_factory=Owners)

    @property
    def well(self) -> bool:
        """Whether nginx takes them, as far as was asked."""
        return self.inside == NGINX and self.outside in ("", NGINX)


def asked(
    access: Access | Session, request: Mapping[str, Any], places: Sequence[Place]
) -> tuple[Mapping[str, Any], list[Answer], str]:
    """The server's answer to a request, the answers of its ports, and why they were not asked from here, if so.

    :raises HostError: where the server cannot be asked.
    """
    if isinstance(access, Session):
        return _asked(access, request, places)
    with Session(access) as session:
        return _asked(session, request, places)


def _asked(
    session: Session, request: Mapping[str, Any], places: Sequence[Place]
) -> tuple[Mapping[str, Any], list[Answer], str]:
    # ssh connects while its configuration is asked and the connections from here are begun
    session.open()
    with _Outside(session.access, places) as outside:
        entries = [_entry(place, outside.peer(place)) for place in places]
        facts = session.ask({**request, "address": outside.address, "asked": entries})
        answers = [_answer(*pair, outside) for pair in zip(places, facts["asked"], strict=True)]
        if _needs_search(answers, running=facts["nginx"].get("pid") is not None):
            answers = _searched(session, answers, outside)
        return facts, answers, outside.reason


def _entry(place: Place, peer: tuple[str, int] | None) -> dict[str, Any]:
    whole: dict[str, Any] = {"address": place.address, "port": place.port, "names": list(place.names)}
    return {**whole, "peer": list(peer)} if peer else whole


def _answer(place: Place, facts: Mapping[str, Any], outside: _Outside) -> Answer:
    state = outside.state(place)
    return Answer(
        place=place,
        at=facts["at"],
        inside=facts["inside"],
        outside=facts["outside"] if state == "connected" else state,
        words=facts["words"],
        certificates=tuple(
            Presented(**{**entry, "der": base64.b64decode(entry.get("der", ""))})
            for entry in facts.get("certificates", ())
        ),
    )


def _needs_search(answers: Iterable[Answer], *, running: bool) -> bool:
    """Whether somebody else is to be looked for: not where nginx does not run, and nobody answers in its place."""
    plain = ("unknown",) if running else ("unknown", "refused")
    return any(not answer.well and answer.inside not in plain for answer in answers)


def _searched(session: Session, answers: Sequence[Answer], outside: _Outside) -> list[Answer]:
    """The same, with what answers in place of nginx, and with connections recognised whose port a router rewrote."""
    ill = [answer for answer in answers if not answer.well]
    request = {"verb": "ports", "address": ill[0].at, "ports": sorted({answer.place.port for answer in ill})}
    policy.check_request(request)
    try:
        found = session.ask(request)
        again = [answer.place for answer in ill if answer.inside == NGINX and answer.outside == "elsewhere"]
        if again and outside.connect_again(again):
            later = session.ask(request)
            for place in again:
                before, after = (_near(facts, place) for facts in (found, later))
                if after - before:
                    outside.proven.add(place)
    except HostError:
        return [replace(answer, owners=Owners(known=answer.well)) for answer in answers]
    return [
        answer
        if answer.well
        else replace(
            answer,
            outside=NGINX if answer.place in outside.proven else answer.outside,
            owners=_owners(found[str(answer.place.port)]),
        )
        for answer in answers
    ]


def _near(facts: Mapping[str, Any], place: Place) -> set[tuple[str, int]]:
    return {(address, port) for address, port in facts[str(place.port)]["near"]}


def _owners(facts: Mapping[str, Any]) -> Owners:
    return Owners(
        listeners=tuple(Listener(**entry) for entry in facts["listeners"]),
        published=tuple(facts["published"]),
        leads=tuple(facts["leads"]),
        service=facts["service"],
        blocked=tuple(facts["blocked"]),
    )


class _Outside:
    """Connections from here, each begun at once and held open until the server has looked for it."""

    def __init__(self, access: Access, places: Sequence[Place]) -> None:
        self.address, self.reason = "", ""
        self.proven: set[Place] = set()
        self._sockets: dict[Place, socket.socket] = {}
        self._more: list[socket.socket] = []
        self._codes: dict[Place, int] = {}
        self._until = time.monotonic() + CONNECT_SECONDS
        self._family = socket.AF_UNSPEC
        self._find(access)
        for place in places if self.address else ():
            wildcard = WILDCARDS[self._family == socket.AF_INET6]
            if place.address == wildcard or place.address.strip("[]") == self.address:
                self._begin(place)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in (*self._sockets.values(), *self._more):
            connection.close()

    def _find(self, access: Access) -> None:
        """Find the address by which the server is reached; the reason where there is none to be had here."""
        try:
            how = configured(access)
        except HostError as err:
            self.reason = err.found
            return
        for option in ("proxyjump", "proxycommand"):
            if how.get(option, "none") != "none":
                self.reason = "SSH goes through another machine"
                return
        name = how.get("hostname", access.address)
        try:
            family = _FAMILIES.get(how.get("addressfamily", ""), socket.AF_UNSPEC)
            self._family, _, _, _, where = socket.getaddrinfo(name, 80, family, socket.SOCK_STREAM)[0]
        except OSError as err:
            self.reason = f"{name} cannot be resolved here: {err.strerror}"
            return
        if _is_loopback(str(where[0])):
            # through a tunnel of SSH, or on the server itself
            self.reason = f"the server is reached by {where[0]}"
            return
        self.address = str(where[0])

    def _begin(self, place: Place) -> None:
        connection = socket.socket(self._family, socket.SOCK_STREAM)
        connection.setblocking(False)
        self._sockets[place] = connection
        code = connection.connect_ex((self.address, place.port))
        if code != errno.EINPROGRESS:
            self._codes[place] = code

    def peer(self, place: Place) -> tuple[str, int] | None:
        """Address and port that its connection has here; None where there is none."""
        if place not in self._sockets:
            return None
        with suppress(OSError):
            address, port, *_ = self._sockets[place].getsockname()
            return str(address).partition("%")[0], int(port)
        return None

    def state(self, place: Place) -> str:
        """What became of its connection: `connected`, `refused`, `timeout`, `unreachable`; empty without one."""
        if place not in self._sockets:
            return ""
        if place not in self._codes:
            poll, connection = select.poll(), self._sockets[place]
            poll.register(connection, select.POLLOUT)
            ready = poll.poll(max(0.0, self._until - time.monotonic()) * 1000)
            code = connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) if ready else errno.ETIMEDOUT
            self._codes[place] = code
        return _CODES.get(self._codes[place], "unreachable")

    def connect_again(self, places: Iterable[Place]) -> bool:
        """Open one more connection to each; whether all were taken."""
        for place in places:
            try:
                self._more.append(socket.create_connection((self.address, place.port), CONNECT_SECONDS))
            except OSError:
                return False
        return True


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback
