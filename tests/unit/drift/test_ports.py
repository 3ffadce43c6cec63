"""From what was asked of the server's ports to findings: who answers in place of nginx, and which certificate."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from config.reverse_proxy import ReverseProxy
from flowmaster.compare.finding import Finding, FindingClass
from flowmaster.drift import listening, ports, smoke
from flowmaster.drift.certificates import days_left
from flowmaster.drift.coverage import Coverage
from flowmaster.drift.ports import Ports
from flowmaster.host.nginx import ENABLED, File, HostState, Nginx
from flowmaster.host.ports import Answer, Listener, Owners, Place, Presented
from tests.unit.host.certificates import made

PLAIN, SECURE = Place("", 80), Place("", 443, ("demo.example",))
PROXY = ReverseProxy.model_validate(
    {
        "sites": {
            "web": {"locations": {"/": {"service": "frontend"}}},
            "safe": {
                "listen": 8080,
                "server_names": ["demo.example", "*.demo.example"],
                "tls": {"certificate": "/etc/ssl/a.pem", "key": "/etc/ssl/a.key"},
                "locations": {"/": {"service": "frontend"}},
            },
        }
    }
)
TEXTS = listening.declared_texts(PROXY)
TRAEFIK = Owners(leads=("10.42.0.8:80",), service="kube-system/traefik")
DROP = "-A INPUT -p tcp -m tcp --dport 80 -j DROP"


def state(*answers: Answer, **how: Any) -> Ports:
    """A host on which nginx runs, with the declared sites in their files, and these answers."""
    files = {f"{ENABLED}/{n}": File(f"{ENABLED}/{n}", "file", content=text) for n, text in TEXTS.items()}
    nginx = Nginx(installed=True, running=how.pop("running", True), newer=how.pop("newer", ()))
    host = HostState("10.0.0.1", "demo", nginx, files, answers=answers, **how)
    return Ports(host=host, texts=TEXTS, pods={"10.42.0.8": "kube-system/svclb-traefik-x", "uid-1": "shop/web-1"})


def one(now: Ports) -> Finding:
    found = ports.findings(now)
    assert len(found) == 1, found
    return found[0]


def answer(inside: str = "nginx", outside: str = "nginx", place: Place = PLAIN, **how: Any) -> Answer:
    return Answer(place, "10.0.0.1", inside, outside, **how)


def test_what_is_asked_is_where_the_declared_sites_listen() -> None:
    assert listening.places(TEXTS) == [PLAIN, SECURE, Place("", 8080)]


def test_what_is_asked_of_a_text() -> None:
    text = """
    server { listen 127.0.0.1:81; listen [::]:82; listen unix:/run/x; listen 83 proxy_protocol ssl; server_name _; }
    server { listen 443 ssl http2; listen 443 quic; server_name ~^a *.b.example c.example; }
    server { listen 443 ssl; server_name _; }
    server { server_name plain.example; }
    server { listen 8443 ssl; server_name d.example; }
    server { listen 8443 proxy_protocol; listen 90-92; }
    server { listen 84 proxy_protocol; }
    """
    texts = {"a": text, "b": "server {"}
    assert listening.left_out(texts) == [
        "port 83 (nginx would log an error: proxy_protocol)",
        "port 8443 (nginx would log an error: proxy_protocol)",
        "ports of b (none is found in its text)",
    ]
    assert listening.places(texts) == [
        *(Place("", port) for port in (80, 84, 90, 91, 92)),
        Place("", 443, ("c.example", "")),
        Place("127.0.0.1", 81),
        Place("[::]", 82),
    ]


def test_a_port_that_nginx_answers_is_no_finding_and_counts() -> None:
    now = state(answer(), answer(place=SECURE, outside=""), not_outside="SSH goes through another machine")
    assert ports.findings(now) == []
    left = ("ports from outside (SSH goes through another machine)",)
    assert ports.coverage(now) == Coverage(ports=2, not_looked_at=left)


@pytest.mark.parametrize(
    ("asked", "path", "live", "note"),
    [
        (
            answer("elsewhere", "elsewhere", owners=TRAEFIK),
            "ports[80]",
            "the pod kube-system/svclb-traefik-x (10.42.0.8:80), of the Service kube-system/traefik, answers on port 80"
            " in place of nginx",
            "rules of address translation lead there before nginx sees a connection: iptables-save -t nat",
        ),
        (
            answer("nginx", "elsewhere", owners=TRAEFIK),
            "ports[80]",
            "the pod kube-system/svclb-traefik-x (10.42.0.8:80), of the Service kube-system/traefik, answers on port 80"
            " from outside in place of nginx",
            "rules of address translation lead there before nginx sees a connection: iptables-save -t nat",
        ),
        (
            answer("other", "elsewhere", owners=Owners(published=("shop-web-1",), leads=("172.17.0.2:80",))),
            "ports[80]",
            "the container shop-web-1 answers on port 80 in place of nginx",
            "stop the container, or publish another port",
        ),
        (
            answer("other", "other", owners=Owners(listeners=(Listener(77, "python3"),))),
            "ports[80]",
            "python3 (process 77) answers on port 80 in place of nginx",
            "ss -ltnp on the server shows who listens",
        ),
        (
            answer("other", "other", owners=Owners(listeners=(Listener(78, "caddy", pod="uid-1"),))),
            "ports[80]",
            "caddy (process 78) in the pod shop/web-1 answers on port 80 in place of nginx",
            "ss -ltnp on the server shows who listens",
        ),
        (
            answer("elsewhere", "elsewhere", owners=Owners(known=False)),
            "ports[80]",
            "something else answers on port 80 in place of nginx",
            "who it is could not be looked for",
        ),
        (
            answer("nginx", "timeout", owners=Owners(blocked=(DROP,))),
            "ports[80].outside",
            "connections to port 80 from outside are not answered; on the server itself nginx answers",
            f"a rule of the server's firewall: {DROP}",
        ),
        (
            answer("nginx", "refused"),
            "ports[80].outside",
            "connections to port 80 from outside are refused; on the server itself nginx answers",
            "a firewall between here and the server, or one on it",
        ),
        (
            answer("nginx", "unreachable"),
            "ports[80].outside",
            "connections to port 80 from outside are rejected; on the server itself nginx answers",
            "a firewall between here and the server, or one on it",
        ),
        (
            answer("refused", "refused"),
            "ports[80]",
            "connections to port 80 are refused",
            "nobody listens there",
        ),
        (
            answer("waiting", ""),
            "ports[80]",
            "nobody takes connections to port 80: they wait in the kernel",
            "",
        ),
        (
            answer("timeout", "nginx"),
            "ports[80]",
            "connections to port 80 are not answered on the server itself; from outside nginx answers",
            "",
        ),
    ],
)
def test_who_answers_instead_is_said(asked: Answer, path: str, live: str, note: str) -> None:
    found = one(state(asked))
    assert (found.cls, str(found.object)) == (FindingClass.UNHEALTHY, "Nginx/nginx")
    assert (found.path, found.live, found.note) == (path, live, note)
    assert ports.coverage(state(asked)).ports == 0


def test_what_cannot_be_looked_at_is_unknown() -> None:
    found = one(state(answer("unknown", "unknown", words="/proc/net/tcp: Permission denied")))
    assert (found.cls, found.path) == (FindingClass.UNKNOWN, "ports[80]")
    assert found.live == "who answers on port 80 is not known: /proc/net/tcp: Permission denied"


def test_a_port_that_a_site_has_not_got_yet_is_explained_by_that_site() -> None:
    refused = answer("refused", "refused", owners=Owners())
    other = answer("other", "other", owners=Owners(listeners=(Listener(77, "python3"),)))
    assert ports.findings(state(refused), explained=["web"]) == []
    assert ports.findings(state(refused, newer=(f"{ENABLED}/web",))) == []
    assert ports.findings(state(refused, running=False)) == []
    missing = state(refused)
    files = {path: file for path, file in missing.host.files.items() if not path.endswith("/web")}
    assert ports.findings(replace(missing, host=replace(missing.host, files=files))) == []
    # somebody else in its place is told in any case
    assert ports.findings(state(other), explained=["web"])
    assert ports.findings(state(other, running=False))


@pytest.mark.parametrize(
    ("names", "after", "live", "note"),
    [
        ("DNS:demo.example,DNS:*.demo.example", 0, "", ""),
        (
            "DNS:demo.example,DNS:*.demo.example", 25,
            "the certificate ends in 5 days", "renew it, such as by `certbot renew`",
        ),
        ("DNS:demo.example,DNS:*.demo.example", 29.5, "the certificate ends in less than a day", "renew it, such as"),
        ("DNS:demo.example,DNS:*.demo.example", 31, "the certificate ended on", "browsers refuse it"),
        ("DNS:demo.example,DNS:*.demo.example", -1, "the certificate is not valid before", "browsers refuse it"),
        ("DNS:demo.example", 0, "the certificate is for demo.example, not for *.demo.example", "browsers refuse it"),
        ("DNS:other.example", 0, "the certificate is for other.example, not for demo.example, *.demo.example", ""),
    ],
)  # fmt: skip
def test_certificates(tmp_path: Path, names: str, after: float, live: str, note: str) -> None:
    der = made(tmp_path, "demo.example", names)
    now = replace(
        state(answer(place=SECURE, certificates=(Presented("demo.example", der),))),
        now=datetime.now(UTC) + timedelta(days=after, hours=-1 if after > 0 else 0),
    )
    if not live:
        assert ports.findings(now) == []
        assert days_left(now.certificates, now.now) == [("demo.example", "29 days left", True)]
        return
    found = one(now)
    assert (found.cls, str(found.object)) == (FindingClass.UNHEALTHY, "NginxSite/safe")
    assert found.path == "server[443 demo.example].ssl_certificate"
    assert str(found.live).startswith(live)
    assert found.note.startswith(note)
    [(name, words, well)] = days_left(now.certificates, now.now)
    assert (name, well) == ("demo.example", False)
    assert f"the certificate {words}" == found.live
    assert [(r.way, r.problem) for r in smoke.of_ports(now)] == [
        ("port 443", ""),
        ("certificate demo.example", found.live),
    ]


def test_a_handshake_that_fails_is_told() -> None:
    presented = Presented("demo.example", problem="[SSL: TLSV1_UNRECOGNIZED_NAME] unrecognized name")
    found = one(state(answer(place=SECURE, certificates=(presented,))))
    assert found.live == f"nginx presents no certificate: {presented.problem}"
    assert ports.coverage(state(answer(place=SECURE, certificates=(presented,)))).certificates == 0


def test_a_handshake_that_could_not_be_made_is_unknown() -> None:
    presented = Presented("demo.example", unknown="the server's Python: No module named '_ssl'")
    found = one(state(answer(place=SECURE, certificates=(presented,))))
    assert (found.cls, found.path) == (FindingClass.UNKNOWN, "server[443 demo.example].ssl_certificate")
    assert found.live == f"the certificate could not be asked for: {presented.unknown}"


def test_smoke_tells_of_each_port() -> None:
    now = state(answer(outside=""), answer("refused", "refused", Place("", 8080)))
    assert [(r.way, r.problem, r.detail) for r in smoke.of_ports(now)] == [
        ("port 80", "", "nginx answers, asked on demo itself"),
        ("port 8080", "connections to port 8080 are refused", "nginx answers"),
    ]
