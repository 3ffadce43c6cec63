"""Who holds a connection on this machine, and what rules of a firewall say of a port."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import threading
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest

from flowmaster.host import certificate
from flowmaster.host.remote import port_owners, ports
from tests.unit.host.certificates import made

HERE = "127.0.0.1"
SERVICE_LB = """
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT
-A CNI-DN-1 -s 10.42.0.0/24 -p tcp -m tcp --dport 80 -j CNI-HOSTPORT-SETMARK
-A CNI-DN-1 -p tcp -m tcp --dport 80 -j DNAT --to-destination 10.42.0.8:80
-A CNI-DN-1 -p tcp -m tcp --dport 443 -j DNAT --to-destination 10.42.0.8:443
-A CNI-HOSTPORT-DNAT -p tcp -m comment --comment "dnat name" -m multiport --dports 80,443 -j CNI-DN-1
-A KUBE-EXT-1 -j KUBE-SVC-1
-A KUBE-SEP-1 -p tcp -m tcp -j DNAT --to-destination 10.42.0.9:8000
-A KUBE-SVC-1 -m comment --comment "kube-system/traefik:web -> 10.42.0.9:8000" -j KUBE-SEP-1
-A KUBE-SERVICES -d 10.77.0.2/32 -p tcp -m comment --comment "kube-system/traefik:web loadbalancer IP" \
-m tcp --dport 80 -j KUBE-EXT-1
-A KUBE-SERVICES -d 10.43.0.7/32 -p tcp -m comment --comment "shop/web:http cluster IP" -m tcp --dport 80 -j KUBE-SVC-2
-A KUBE-SVC-2 -j KUBE-SEP-2
-A KUBE-SEP-2 -p tcp -m tcp -j DNAT --to-destination 10.42.0.77:8080
-A DOCKER ! -i docker0 -p tcp -m tcp --dport 8083 -j DNAT --to-destination 172.17.0.2:80
-A POSTROUTING -s 172.17.0.2/32 -d 172.17.0.2/32 -p tcp -m tcp --dport 80 -j MASQUERADE
-A OTHER -p udp -m udp --dport 53 -j DNAT --to-destination 10.42.0.3:53
COMMIT
*filter
:INPUT ACCEPT [0:0]
-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 80 -j DROP
-A INPUT -p tcp -m multiport --dports 8000:8100 -j REJECT --reject-with icmp-port-unreachable
-A INPUT -d 10.43.0.7/32 -p tcp -m tcp --dport 443 -j REJECT
-A INPUT -p udp -m udp --dport 9000 -j DROP
COMMIT
""".splitlines()


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server((HERE, 0)) as listening:
        yield listening


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def asked(port: int, **more: object) -> dict[str, object]:
    return {"address": HERE, "port": port, **more}


def as_nginx(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this process count as nginx."""
    monkeypatch.setattr(ports, "master", os.getpid)


def accepting(listening: socket.socket, kept: list[socket.socket]) -> None:
    thread = threading.Thread(target=lambda: kept.append(listening.accept()[0]), daemon=True)
    thread.start()


def test_a_connection_that_nginx_holds_is_nginx_and_any_other_is_not(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[socket.socket] = []
    accepting(listener, kept)
    assert ports.ask([asked(port_of(listener))], HERE)[0]["inside"] == "other"
    as_nginx(monkeypatch)
    accepting(listener, kept)
    answer = ports.ask([asked(port_of(listener))], HERE)[0]
    assert (answer["inside"], answer["at"], answer["outside"]) == ("nginx", HERE, "")


def test_a_connection_that_nobody_takes_waits(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    as_nginx(monkeypatch)
    assert ports.ask([asked(port_of(listener))], HERE)[0]["inside"] == "waiting"


def test_a_connection_that_is_taken_late_is_waited_for(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_nginx(monkeypatch)
    kept: list[socket.socket] = []
    threading.Timer(0.15, accepting, (listener, kept)).start()
    assert ports.ask([asked(port_of(listener))], HERE)[0]["inside"] == "nginx"


def test_a_connection_of_somebody_else_is_known_by_its_address_and_port(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_nginx(monkeypatch)
    with socket.create_connection(listener.getsockname()) as outside, listener.accept()[0]:
        kept: list[socket.socket] = []
        accepting(listener, kept)
        peer = list(outside.getsockname())
        found = ports.ask([asked(port_of(listener), peer=peer)], HERE)[0]
        assert (found["inside"], found["outside"]) == ("nginx", "nginx")
        accepting(listener, kept)
        found = ports.ask([asked(port_of(listener), peer=[HERE, 1])], HERE)[0]
        assert (found["inside"], found["outside"]) == ("nginx", "elsewhere")


def test_a_port_where_nobody_listens_refuses(listener: socket.socket) -> None:
    port = port_of(listener)
    listener.close()
    assert ports.ask([asked(port)], HERE)[0]["inside"] == "refused"


def test_what_the_kernel_does_not_tell_is_unknown_and_never_nginx(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_nginx(monkeypatch)
    monkeypatch.setattr(ports, "TABLES", (str(tmp_path / "tcp"), str(tmp_path / "tcp6")))
    answer = ports.ask([asked(port_of(listener), peer=[HERE, 1])], HERE)[0]
    assert (answer["inside"], answer["outside"]) == ("unknown", "unknown")
    assert "No such file" in answer["words"]


def test_processes_that_may_not_be_looked_at_are_unknown(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_nginx(monkeypatch)

    def forbidden(pid: int) -> set[int]:
        raise PermissionError(13, "Permission denied", f"/proc/{pid}/fd")

    monkeypatch.setattr(ports, "sockets", forbidden)
    answer = ports.ask([asked(port_of(listener))], HERE)[0]
    assert (answer["inside"], answer["words"]) == ("unknown", f"/proc/{os.getpid()}/fd: Permission denied")


def test_ipv6_and_mapped_addresses_are_read_as_the_kernel_writes_them() -> None:
    assert ports._end("0100007F:0050") == ("127.0.0.1", 80)
    assert ports._end("0000000000000000FFFF00000200000A:1F90") == ("10.0.0.2", 8080)
    assert ports._end("00000000000000000000000001000000:01BB") == ("::1", 443)


def test_a_listening_socket_that_waits_for_the_first_byte_says_who_will_take_it() -> None:
    rows = [(ports.LISTENING, HERE, 80, HERE, 0, 5), (ports.SYN_RECEIVED, HERE, 80, "10.0.0.1", 77, 0)]
    assert ports.holder(rows, {5}, 80, ("10.0.0.1", 77)) == "nginx"
    assert ports.holder(rows, set(), 80, ("10.0.0.1", 77)) == "waiting"


def test_the_certificate_is_what_is_presented_for_a_name(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    as_nginx(monkeypatch)
    der = made(tmp_path, "demo.example", "DNS:demo.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    heard: list[str | None] = []
    context.sni_callback = lambda _socket, name, _context: heard.append(name)

    def serve() -> None:
        plain = listener.accept()[0]
        with context.wrap_socket(listener.accept()[0], server_side=True) as secured:
            secured.recv(1)
        plain.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    answer = ports.ask([asked(port_of(listener), names=["demo.example"])], HERE)[0]
    thread.join(5)
    assert heard == ["demo.example"]
    [presented] = answer["certificates"]
    assert certificate.read(b64decode(presented["der"])) == certificate.read(der)


def test_a_server_that_does_not_speak_tls_presents_none(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    as_nginx(monkeypatch)

    def serve() -> None:
        held = listener.accept()[0]
        other = listener.accept()[0]
        other.recv(1)
        other.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        other.close()
        held.close()

    threading.Thread(target=serve, daemon=True).start()
    [presented] = ports.ask([asked(port_of(listener), names=[""])], HERE)[0]["certificates"]
    assert presented["problem"]
    assert "der" not in presented


def test_a_python_without_tls_asks_for_none(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    as_nginx(monkeypatch)
    monkeypatch.setitem(sys.modules, "ssl", None)
    kept: list[socket.socket] = []
    accepting(listener, kept)
    [presented] = ports.ask([asked(port_of(listener), names=[""])], HERE)[0]["certificates"]
    assert set(presented) == {"name", "unknown"}


@pytest.mark.parametrize(
    ("port", "address", "leads", "service"),
    [
        (80, "10.77.0.2", ["10.42.0.8:80", "10.42.0.9:8000"], "kube-system/traefik"),
        (443, "10.77.0.2", ["10.42.0.8:443"], ""),
        (80, "10.77.0.3", ["10.42.0.8:80"], ""),
        (8083, "10.77.0.2", ["172.17.0.2:80"], ""),
        (53, "10.77.0.2", [], ""),
        (81, "10.77.0.2", [], ""),
    ],
)
def test_where_rules_lead(port: int, address: str, leads: list[str], service: str) -> None:
    assert port_owners.led(port_owners.nat(SERVICE_LB), port, address) == (leads, service)


@pytest.mark.parametrize(
    ("port", "rules"),
    [
        (80, ["-A INPUT -s 192.0.2.0/24 -p tcp -m tcp --dport 80 -j DROP"]),
        (8083, ["-A INPUT -p tcp -m multiport --dports 8000:8100 -j REJECT --reject-with icmp-port-unreachable"]),
        (443, []),
        (9000, []),
    ],
)
def test_which_rules_end_connections(port: int, rules: list[str]) -> None:
    assert port_owners.blocked(SERVICE_LB, port, "10.77.0.2") == rules
    closed = [line.replace(":INPUT ACCEPT", ":INPUT DROP") for line in SERVICE_LB]
    assert port_owners.blocked(closed, port, "10.77.0.2") == (rules or ["the policy of INPUT is DROP"])


def test_rules_of_nftables() -> None:
    lines = [
        "\ttype filter hook input priority filter; policy drop;",
        "\ttcp dport { 80, 443 } drop",
        "\tip saddr 192.0.2.1 tcp dport 8080 counter packets 0 bytes 0 dnat to 10.42.0.8:80",
        "\ttcp dport 8000-8010 redirect to :9000",
        "\tudp dport 8080 drop",
    ]
    assert port_owners.nft_leads(lines, 8080) == ["10.42.0.8:80"]
    assert port_owners.nft_leads(lines, 8005) == [":9000"]
    assert port_owners.nft_ends(lines, 443) == ["tcp dport { 80, 443 } drop"]
    assert port_owners.nft_ends(lines, 8080) == ["type filter hook input priority filter; policy drop;"]
    assert port_owners.nft_ends(lines[1:], 8080) == []
