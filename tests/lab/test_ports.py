"""Who answers on the ports of sites: told for each thing that takes nginx's place, and nothing of it is in a log."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from config.reverse_proxy import Location, Site
from lab.twin import Twin
from tests.lab.operate import Operator, named
from tests.lab.server import REGISTRY, Server

NAME, OTHER = "demo.example", "www.demo.example"
CERTIFICATE, KEY = "/etc/ssl/ports.pem", "/etc/ssl/ports.key"
SITE: dict[str, Any] = {
    "default": True,
    "server_names": [NAME, OTHER],
    "tls": {"certificate": CERTIFICATE, "key": KEY},
    "locations": {"/": {"upstream": REGISTRY}},
}
IMAGE = "localhost:30500/flowmaster/frontend:ea2a29b"
LOGS = "cd /var/log/nginx; cat access.log error.log | sha256sum"
DNAT = "-t nat {} {} 1 -p tcp -m addrtype --dst-type LOCAL -m tcp --dport 80 -j DNAT --to-destination {}"


def certificate(days: str, names: str = f"DNS:{NAME},DNS:{OTHER}") -> str:
    """A script that has nginx present another certificate, by an authority of a moment."""
    return f"""
        cd /tmp; openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout {KEY} -out ports.csr \
            -subj /CN={NAME} -addext 'subjectAltName={names}' 2>/dev/null
        openssl x509 -req -in ports.csr -signkey {KEY} -copy_extensions copy {days} -out {CERTIFICATE} 2>/dev/null
        if [ -s /run/nginx.pid ]; then systemctl reload nginx; sleep 0.5; fi
    """


@pytest.fixture(scope="module")
def operator(empty_twin: Twin) -> Operator:
    """Somebody with one site of TLS, which is on the server as declared; nothing else is there yet."""
    operator, server = Operator.of(empty_twin), Server.of(empty_twin)

    def declare(settings: dict[str, Any]) -> None:
        tls = {"certificate": CERTIFICATE, "key": KEY}
        settings["reverseProxy"]["sites"] = {
            "flowmaster": {
                "default": True, "serverNames": [NAME, OTHER], "tls": tls, "locations": {"/": {"upstream": REGISTRY}},
            }
        }  # fmt: skip

    operator.edit_stack(declare)
    server.sh(f"{certificate('-days 90')} systemctl start nginx")
    server.write(Site.model_validate({**SITE, "locations": {"/": Location(upstream=REGISTRY)}}))
    return operator


@pytest.fixture
def server(operator: Operator) -> Iterator[Server]:
    """The server; afterwards all is well again, whatever a test did."""
    server = Server.of(operator.twin)
    yield server
    assert told(operator) == {}


def told(operator: Operator, *options: str) -> dict[str, tuple[str, str, str]]:
    """By object and path, of what is on the host: class, what is live, and the note."""
    report = operator.report("--no-registry", *options)
    hosts = [f for f in report["findings"] if f["object"]["kind"] in ("Nginx", "NginxSite", "Host")]
    return {f"{named(f)} {f['path']}".strip(): (f["class"], f["live"], f["note"]) for f in hosts}


@contextmanager
def rules(server: Server, *lines: str) -> Iterator[None]:
    """Rules of iptables for a while, each with its options and `{}` for what is done with it."""
    for line in lines:
        server.sh(f"iptables {line.format('-I')}")
    try:
        yield
    finally:
        for line in lines:
            server.sh(f"iptables {re.sub(r' 1 ', ' ', line.format('-D'), count=1)}")


def test_both_ports_answer_and_no_log_has_a_word_of_it(operator: Operator, server: Server) -> None:
    before = server.sh(LOGS)
    report = operator.report("--no-registry")
    covered = report["coverage"]
    assert (covered["ports"], covered["certificates"], covered["sites"]) == (2, 1, 1)
    assert [words for words in covered["notLookedAt"] if "ports" in words] == []
    assert "NginxSite" not in {f["object"]["kind"] for f in report["findings"]}
    assert "\nLooked at: " in operator.run("flowmaster", "drift", "--no-registry", code=None).stdout
    assert server.sh(LOGS) == before


def test_fast_asks_no_port_and_says_so(operator: Operator, server: Server) -> None:
    with rules(server, "{} INPUT 1 -p tcp --dport 80 -j REJECT"):
        covered = operator.report("--no-registry", "--fast")["coverage"]
        assert (covered["ports"], "ports (--fast)" in covered["notLookedAt"]) == (0, True)
        assert told(operator, "--fast") == {}


def test_a_container_in_place_of_nginx_is_named(operator: Operator, server: Server) -> None:
    run = f"docker run --detach --name intruder --publish 80:3000 {IMAGE}"
    with server.while_(f"systemctl stop nginx; {run}", "docker rm --force intruder; systemctl start nginx; sleep 0.5"):
        found = told(operator)
        cls, live, note = found["Nginx/nginx ports[80]"]
        assert (cls, live) == ("unhealthy", "the container intruder answers on port 80 in place of nginx")
        assert note == "stop the container, or publish another port"
        assert found["Nginx/nginx state"][:2] == ("drift", "stopped")


def test_a_rule_as_a_service_load_balancer_makes_it_is_told_with_its_pod(operator: Operator, server: Server) -> None:
    pods = json.loads(operator.run("kubectl", "--namespace", "databases", "get", "pods", "--output", "json").stdout)
    pod = next(item for item in pods["items"] if item["metadata"]["name"].startswith("postgres-"))
    target = f"{pod['status']['podIP']}:5432"
    both = [DNAT.format("{}", chain, target) for chain in ("PREROUTING", "OUTPUT")]
    with rules(server, *both):
        found = told(operator)
        assert set(found) == {"Nginx/nginx ports[80]"}
        cls, live, note = found["Nginx/nginx ports[80]"]
        words = f"the pod databases/{pod['metadata']['name']} ({target}) answers on port 80 in place of nginx"
        assert (cls, live) == ("unhealthy", words)
        assert note.endswith("iptables-save -t nat")
        assert words in operator.preview(code=None).text
    with rules(server, both[0]):
        found = told(operator)
        assert found["Nginx/nginx ports[80]"][1] == words.replace("port 80 in", "port 80 from outside in")


@pytest.mark.parametrize(
    ("rule", "live"),
    [
        ("DROP", "connections to port 80 from outside are not answered; on the server itself nginx answers"),
        ("REJECT", "connections to port 80 from outside are refused; on the server itself nginx answers"),
        (
            "REJECT --reject-with icmp-host-prohibited",
            "connections to port 80 from outside are rejected; on the server itself nginx answers",
        ),
    ],
)
def test_a_firewall_is_told_with_its_rule(operator: Operator, server: Server, rule: str, live: str) -> None:
    with rules(server, f"{{}} INPUT 1 ! -i lo -p tcp --dport 80 -j {rule}"):
        found = told(operator)
        assert set(found) == {"Nginx/nginx ports[80].outside"}
        cls, said, note = found["Nginx/nginx ports[80].outside"]
        assert (cls, said) == ("unhealthy", live)
        assert note.startswith("a rule of the server's firewall: -A INPUT ! -i lo -p tcp -m tcp --dport 80 -j ")


def test_a_router_that_rewrites_addresses_and_ports_is_none_of_it(operator: Operator, server: Server) -> None:
    machine = operator.twin.layout.machine_address
    snat = f"-t nat {{}} INPUT 1 -s {machine} -p tcp -j SNAT --to-source 198.51.100.7:40000-40999"
    route = f"198.51.100.0/24 via {machine}"
    with server.while_(f"ip route add {route}", f"ip route del {route}"), rules(server, snat):
        assert told(operator) == {}
        assert operator.report("--no-registry")["coverage"]["ports"] == 2


def test_a_process_that_takes_the_port_is_named(operator: Operator, server: Server) -> None:
    serve = "setsid python3 -m http.server 80 >/dev/null 2>&1 </dev/null & echo $! >/run/intruder.pid; sleep 1"
    end = "kill $(cat /run/intruder.pid); sleep 0.5; systemctl start nginx; sleep 0.5"
    with server.while_(f"systemctl stop nginx; {serve}", end):
        assert re.fullmatch(
            r"python3 \(process \d+\) answers on port 80 in place of nginx", told(operator)["Nginx/nginx ports[80]"][1]
        )


@pytest.mark.parametrize(
    ("days", "names", "live"),
    [
        ("-days 5", f"DNS:{NAME},DNS:{OTHER}", r"the certificate ends in [45] days"),
        ("-days 0", f"DNS:{NAME},DNS:{OTHER}", r"the certificate ended on \d{4}-\d\d-\d\d"),
        ("-days 90", f"DNS:{NAME}", rf"the certificate is for {NAME}, not for {OTHER}"),
        ("-days 90", "DNS:else.example", rf"the certificate is for else.example, not for {NAME}, {OTHER}"),
    ],
)  # fmt: skip
def test_certificates_are_told(operator: Operator, server: Server, days: str, names: str, live: str) -> None:
    with server.while_(certificate(days, names), certificate("-days 90")):
        found = told(operator)
        where = f"NginxSite/flowmaster server[443 {NAME}].ssl_certificate"
        assert set(found) == {where}
        assert found[where][0] == "unhealthy"
        assert re.fullmatch(live, found[where][1])
        if "5" in days:
            words = found[where][1].removeprefix("the certificate ")
            assert f"{NAME}: {words}" in operator.run("flowmaster", "status", code=None).stdout
            said = operator.run("flowmaster", "smoke", code=None).stdout
            assert f"certificate {NAME}  the certificate {words}" in said
            assert re.search(r"nginx +port 443 +nginx answers\n", said)
    assert not told(operator)


def test_the_days_of_a_certificate_in_order_are_shown(operator: Operator, server: Server) -> None:
    assert re.search(rf"{NAME}: (89|90) days left", operator.run("flowmaster", "status", code=None).stdout)
