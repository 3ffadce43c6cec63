"""Connections from here: what becomes of each, and when none is made."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from flowmaster.host import connection, ports
from flowmaster.host.access import Access
from flowmaster.host.errors import HostAccessError, HostUnreachableError
from flowmaster.host.ports import Answer, Owners, Place
from flowmaster.host.ssh_errors import unreachable

HERE = Access(address="server.example")
FACTS: Mapping[str, Any] = {"at": "127.0.0.1", "words": ""}


class FakeSession:
    """A server that answers as it is told; an error is raised."""

    def __init__(self, *answers: Any) -> None:
        self.access, self.answers, self.asked = HERE, list(answers), list[Mapping[str, Any]]()

    def open(self) -> None:
        """Nothing: it is open."""

    def ask(self, request: Mapping[str, Any]) -> Any:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening


@pytest.fixture(autouse=True)
def ssh_configuration(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    found = {"hostname": "127.0.0.1", "addressfamily": "any"}
    monkeypatch.setattr(ports, "configured", lambda _: found)
    # tests have no other address to connect to
    monkeypatch.setattr(ports, "_is_loopback", lambda _: False)
    return found


def place(listening: socket.socket) -> Place:
    return Place("", listening.getsockname()[1])


def answers(session: FakeSession, where: Place) -> tuple[Answer, str]:
    found = ports._asked(session, {"verb": "read"}, [where])  # type: ignore[arg-type]
    return found[1][0], found[2]


def first(inside: str = "nginx", outside: str = "nginx", *, running: bool = True) -> dict[str, Any]:
    return {"asked": [{**FACTS, "inside": inside, "outside": outside}], "nginx": {"pid": 1 if running else None}}


def search(port: int, *near: tuple[str, int]) -> dict[str, Any]:
    empty: dict[str, Any] = {"listeners": [], "published": [], "leads": ["10.42.0.8:80"], "service": "", "blocked": []}
    return {str(port): {**empty, "near": [list(entry) for entry in near]}}


def test_the_server_is_told_from_where_the_connection_comes(listener: socket.socket) -> None:
    session = FakeSession(first())
    answer, why = answers(session, place(listener))
    assert (answer.well, answer.outside, why) == (True, "nginx", "")
    [entry] = session.asked[0]["asked"]
    assert session.asked[0]["address"] == "127.0.0.1"
    accepted, peer = listener.accept()
    accepted.close()
    assert entry["peer"] == list(peer)


def test_nobody_listens(listener: socket.socket) -> None:
    where = place(listener)
    listener.close()
    answer, _ = answers(FakeSession(first("refused", "elsewhere"), search(where.port)), where)
    assert (answer.inside, answer.outside, answer.owners.leads) == ("refused", "refused", ("10.42.0.8:80",))
    # where nginx does not run, nobody is looked for
    session = FakeSession(first("refused", "elsewhere", running=False))
    assert answers(session, where)[0].owners == Owners()


def test_a_connection_that_is_not_answered_is_waited_for_once(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ports, "CONNECT_SECONDS", 0.2)
    listener.listen(0)
    full = [socket.socket() for _ in range(4)]
    for connection_ in full:
        connection_.setblocking(False)
        connection_.connect_ex(listener.getsockname())
    started = time.monotonic()
    answer, _ = answers(FakeSession(first("nginx", "elsewhere"), search(place(listener).port)), place(listener))
    assert answer.outside == "timeout"
    assert 0.1 < time.monotonic() - started < 5
    for connection_ in full:
        connection_.close()


def test_a_router_that_rewrites_ports_is_recognised(listener: socket.socket) -> None:
    where = place(listener)
    before, after = search(where.port, ("192.0.2.1", 5)), search(where.port, ("192.0.2.1", 5), ("192.0.2.1", 6))
    answer, _ = answers(FakeSession(first("nginx", "elsewhere"), before, after), where)
    assert answer.well
    answer, _ = answers(FakeSession(first("nginx", "elsewhere"), before, before), where)
    assert (answer.well, answer.outside, answer.owners.leads) == (False, "elsewhere", ("10.42.0.8:80",))


def test_what_cannot_be_searched_is_said(listener: socket.socket) -> None:
    lost = unreachable(HERE, "it went away")
    assert isinstance(lost, HostUnreachableError)
    answer, _ = answers(FakeSession(first("other", "other"), lost), place(listener))
    assert (answer.inside, answer.owners.known) == ("other", False)


@pytest.mark.parametrize("option", ["proxyjump", "proxycommand"])
def test_through_a_jump_host_nothing_is_asked_from_here(
    listener: socket.socket, ssh_configuration: dict[str, str], option: str
) -> None:
    ssh_configuration[option] = "jump.example"
    answer, why = answers(FakeSession(first("nginx", "")), place(listener))
    assert (answer.well, answer.outside, why) == (True, "", "SSH goes through another machine")


def test_a_name_that_is_not_known_here_is_said(listener: socket.socket, ssh_configuration: dict[str, str]) -> None:
    ssh_configuration["hostname"] = "no-such-name.invalid"
    answer, why = answers(FakeSession(first("nginx", "")), place(listener))
    assert answer.well
    assert why.startswith("no-such-name.invalid cannot be resolved here")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_the_end_of_a_tunnel_is_not_the_server(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, ssh_configuration: dict[str, str], name: str
) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(ports, "configured", lambda _: {"hostname": name})
    session = FakeSession(first("nginx", ""))
    answer, why = answers(session, place(listener))
    assert answer.well
    assert why.startswith("the server is reached by ")
    assert "peer" not in session.asked[0]["asked"][0]


def test_a_configuration_of_ssh_that_cannot_be_read_is_said(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Access) -> Mapping[str, str]:
        raise HostAccessError("~/.ssh/config: line 3: bad", "", "")

    monkeypatch.setattr(ports, "configured", broken)
    assert answers(FakeSession(first("nginx", "")), place(listener))[1] == "~/.ssh/config: line 3: bad"


@pytest.mark.parametrize(
    ("address", "asked"), [("", True), ("127.0.0.1", True), ("127.0.0.2", False), ("[::]", False), ("[::1]", False)]
)
def test_only_what_listens_where_the_server_is_reached_is_asked_from_here(
    listener: socket.socket, address: str, asked: bool
) -> None:
    session = FakeSession(first("nginx", "nginx" if asked else ""))
    answer, _ = answers(session, Place(address, place(listener).port))
    assert (answer.outside == "nginx") is asked
    assert ("peer" in session.asked[0]["asked"][0]) is asked


def test_only_what_is_needed_is_sent() -> None:
    without, with_ports = connection.modules({"verb": "read"}), connection.modules({"verb": "read", "asked": [{}]})
    assert set(with_ports) - set(without) == {"ports"}
    assert {"ports", "port_owners"} <= set(connection.modules({"verb": "ports"}))
    assert "port_owners" not in with_ports
