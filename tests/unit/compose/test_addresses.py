"""What was not reachable from outside of the server is not reachable in any phase of a move."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose.proxy import PROXY_MODES, ProxyMode, Side, site_checks, site_text, upstream
from flowmaster.compose.transfer import PublishedPort, Transfer
from flowmaster.host import policy
from flowmaster.host.remote import docker_steps
from flowmaster.migrate.operations import Operations
from tests.unit.compose.projects import Json, one, translated
from tests.unit.migrate.world import MOVED

INSIDE = PublishedPort(port=8529, service="backend", target=8529, address="127.0.0.1")
BOTH = Transfer(**{**{f: getattr(MOVED, f) for f in MOVED.__dataclass_fields__ if f != "site"},
                   "ports": (*MOVED.ports, INSIDE)})  # fmt: skip
ADDRESSES = {"backend": "10.43.0.9"}
MODES = [ProxyMode(side=side, writable=w, own_ports=own, shadow_ports=shadow)
         for side, w, own, shadow in itertools.product(Side, (True, False), (True, False), (True, False))]  # fmt: skip


def listens(text: str) -> list[str]:
    lines = (line.strip() for line in text.splitlines())
    return [line.removeprefix("listen ").removesuffix(";") for line in lines if line.startswith("listen ")]


@pytest.mark.parametrize("mode", [*PROXY_MODES.values(), *MODES])
def test_nginx_listens_for_it_on_the_loopback_address_alone(mode: ProxyMode) -> None:
    text = site_text(BOTH, mode, ADDRESSES)
    policy.check_site(BOTH.site, text)
    own = [address for address in listens(text) if "529" in address]
    assert len(own) == mode.own_ports + mode.shadow_ports
    assert all(address.startswith("127.0.0.1:") for address in own)
    assert {check.get("address") for check in site_checks(BOTH, mode) if check["port"] in (8529, 18529)} <= {
        "127.0.0.1"
    }
    assert upstream(INSIDE, Side.DOCKER, {}) == "127.0.0.1:8529"


def test_the_firewall_leads_only_the_servers_own_connections_on() -> None:
    rule = docker_steps._rule("FLOWMASTER-SDX", *INSIDE.redirect)
    assert "-d 127.0.0.1/32 -m addrtype --src-type LOCAL" in rule
    assert rule.endswith("--dport 8529 -j DNAT --to-destination 127.0.0.1:18529")
    assert MOVED.ports[0].redirect == [8010, 18010]
    policy.check_compose({"do": "redirect", "project": "sdx", "ports": [INSIDE.redirect]})


def test_rules_are_read_back_as_they_were_made(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = """-N FLOWMASTER-SDX
-A FLOWMASTER-SDX ! -s 127.0.0.2/32 -p tcp -m tcp --dport 8010 -j REDIRECT --to-ports 18010
-A FLOWMASTER-SDX ! -s 127.0.0.2/32 -d 127.0.0.1/32 -p tcp -m addrtype --src-type LOCAL -m tcp --dport 8529 \
-j DNAT --to-destination 127.0.0.1:18529
"""
    monkeypatch.setattr(docker_steps, "run", lambda command: (0, shown))
    assert docker_steps.rules("sdx")["ports"] == [port.redirect for port in BOTH.ports]


def test_an_address_survives_the_state_and_none_leaves_it_as_it_was() -> None:
    properties = BOTH.to_properties()
    assert Transfer.from_properties(properties) == BOTH
    assert properties["ports"][0] == {"port": 8010, "service": "backend", "target": 8010}


def published(host_ip: str | None) -> Any:
    port: Json = {"target": 80, "published": "8011", "protocol": "tcp"}
    return translated(one(ports=[port if host_ip is None else {**port, "host_ip": host_ip}]))


EVERY = "0.0.0.0"  # noqa: S104  docker's notation


@pytest.mark.parametrize(
    ("host_ip", "address"), [(None, ""), (EVERY, ""), ("127.0.0.1", "127.0.0.1"), ("127.9.0.1", "127.9.0.1")]
)
def test_an_address_that_nginx_can_have_is_kept(host_ip: str | None, address: str) -> None:
    result = published(host_ip)
    assert result.refusals == ()
    assert [port.host_ip for port in result.ports] == [address]


@pytest.mark.parametrize("host_ip", ["::", "::1", "10.77.0.2", "192.0.2.1", "fe80::1", "nonsense"])
def test_any_other_address_is_refused(host_ip: str) -> None:
    result = published(host_ip)
    assert [refusal.key for refusal in result.refusals] == ["services.backend.ports[0].host_ip"]
    assert result.ports == ()


def test_one_port_on_two_addresses_is_refused() -> None:
    ports = [{"target": n, "published": "8011", "host_ip": f"127.0.0.{n}", "protocol": "tcp"} for n in (1, 2)]
    assert [r.key for r in translated(one(ports=ports)).refusals] == ["services.backend.ports"]


class Outside:
    """Whoever asks the server from elsewhere."""

    def __init__(self, *reached: int) -> None:
        self.reached = set(reached)

    def __call__(self, port: int, patience: float = 5.0) -> bool:
        return port in self.reached


@pytest.mark.parametrize("opened", [8529, 18529])
def test_a_port_that_can_be_reached_now_and_could_not_before_fails_the_move(opened: int) -> None:
    outside = Outside(8010)
    operations = Operations(None, None, BOTH, lambda _: None, outside)  # type: ignore[arg-type]
    operations.record_outside_ports()
    operations.check_outside_ports()
    outside.reached.add(opened)
    with pytest.raises(UserError, match=f"port {opened} is answered from here, and was not before"):
        operations.check_outside_ports()


def test_every_phase_but_docker_has_its_mode() -> None:
    assert set(PROXY_MODES) == set(Phase) - {Phase.DOCKER}
