"""Who answers on the ports of sites: told for each thing that takes nginx's place, and nothing of it is in a log."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from config.reverse_proxy import Location, Site
from lab.twin import Twin
from tests.lab.nginx_rows import HostRow
from tests.lab.operate import Operator, named
from tests.lab.port_rows import CERTIFICATE, KEY, NAME, OTHER, ROWS, SOON, certificate
from tests.lab.row import Expected
from tests.lab.server import REGISTRY, Server

TLS = {"certificate": CERTIFICATE, "key": KEY}
LOGS = "cd /var/log/nginx; cat access.log error.log | sha256sum"
LED = "rule of a Service's load balancer for a site's port"


@pytest.fixture(scope="module")
def operator(empty_twin: Twin) -> Operator:
    """Somebody with one site of TLS, which is on the server as declared; nothing else is there yet."""
    operator, server = Operator.of(empty_twin), Server.of(empty_twin)
    site = {"default": True, "serverNames": [NAME, OTHER], "tls": TLS, "locations": {"/": {"upstream": REGISTRY}}}

    def declare(settings: dict[str, Any]) -> None:
        settings["reverseProxy"]["sites"] = {"flowmaster": site}

    operator.edit_stack(declare)
    server.sh(f"{certificate(90)} systemctl start nginx")
    location = Location(upstream=REGISTRY)
    names = {"server_names": [NAME, OTHER], "default": True}
    server.write(Site.model_validate({**names, "tls": TLS, "locations": {"/": location}}))
    return operator


@pytest.fixture
def server(operator: Operator) -> Iterator[Server]:
    """The server; afterwards all is well again, whatever a test did."""
    server = Server.of(operator.twin)
    yield server
    assert of_host(operator) == []


def of_host(operator: Operator, *options: str) -> list[dict[str, Any]]:
    """The findings about the host."""
    findings = operator.report("--no-registry", *options)["findings"]
    return [found for found in findings if found["object"]["kind"] in ("Nginx", "NginxSite", "Host")]


def check(found: dict[str, Any], row: HostRow, expected: Expected) -> None:
    live = str(found.get("live"))
    assert (named(found), found["path"], found["class"]) == (row.object, expected.path, expected.cls)
    assert (found["action"], found.get("declared")) == (expected.action, expected.declared)
    assert live == expected.live or re.fullmatch(str(expected.live), live), live
    assert expected.note in found["note"]


def test_both_ports_answer_and_no_log_has_a_word_of_it(operator: Operator, server: Server) -> None:
    before = server.sh(LOGS)
    report = operator.report("--no-registry")
    covered = report["coverage"]
    assert (covered["ports"], covered["certificates"], covered["sites"]) == (2, 1, 1)
    assert [words for words in covered["notLookedAt"] if "ports" in words] == []
    assert "NginxSite" not in {f["object"]["kind"] for f in report["findings"]}
    assert "\nLooked at: " in operator.run("flowmaster", "drift", "--no-registry", code=None).stdout
    assert server.sh(LOGS) == before


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_what_takes_the_place_of_nginx_is_told_until_it_is_gone(
    operator: Operator, server: Server, row: HostRow
) -> None:
    with server.while_(row.script, row.back):
        found = of_host(operator)
        assert len(found) == len(row.findings), found
        for finding, expected in zip(found, row.findings, strict=True):
            check(finding, row, expected)
        if row is ROWS[LED]:
            assert found[0]["live"] in operator.preview(code=None).text
        if row is ROWS[SOON]:
            words = f"{NAME}: {found[0]['live'].removeprefix('the certificate ')}"
            assert words in operator.run("flowmaster", "status", code=None).stdout
            said = operator.run("flowmaster", "smoke", code=None).stdout
            assert f"certificate {NAME}  {found[0]['live']}" in said
            assert re.search(r"nginx +port 443 +nginx answers\n", said)


def test_the_days_of_a_certificate_in_order_are_shown(operator: Operator, server: Server) -> None:
    assert re.search(rf"{NAME}: (89|90) days left", operator.run("flowmaster", "status", code=None).stdout)


def test_fast_asks_no_port_and_says_so(operator: Operator, server: Server) -> None:
    with server.while_("iptables -I INPUT 1 -p tcp --dport 80 -j REJECT", "iptables -D INPUT 1"):
        covered = operator.report("--no-registry", "--fast")["coverage"]
        assert (covered["ports"], "ports (--fast)" in covered["notLookedAt"]) == (0, True)
        assert of_host(operator, "--fast") == []


def test_a_router_that_rewrites_addresses_and_ports_is_none_of_it(operator: Operator, server: Server) -> None:
    machine = operator.twin.layout.machine_address
    snat = f"INPUT -s {machine} -p tcp -j SNAT --to-source 198.51.100.7:40000-40999"
    begin = f"ip route add 198.51.100.0/24 via {machine}; iptables -t nat -A {snat}"
    with server.while_(begin, f"iptables -t nat -D {snat}; ip route del 198.51.100.0/24 via {machine}"):
        assert of_host(operator) == []
        assert operator.report("--no-registry")["coverage"]["ports"] == 2
