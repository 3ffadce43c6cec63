"""What nginx is told about a project's ports, and what people are told about a move."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from config.compose import Phase
from config.errors import UserError
from flowmaster.compose import proxy
from flowmaster.compose.proxy import ProxyMode, Side
from flowmaster.compose.transfer import PublishedPort, Transfer
from flowmaster.host import nginx_tree, policy
from flowmaster.migrate import steps
from tests.unit.migrate.world import MOVED

ADDRESSES = {"backend": "10.43.0.9"}


@pytest.mark.parametrize(
    ("side", "opened", "own", "beside"),
    list(itertools.product(Side, (True, False), (True, False), (True, False))),
)
def test_the_text_says_who_answers_where(side: Side, opened: bool, own: bool, beside: bool) -> None:
    text = proxy.site_text(MOVED, ProxyMode(side=side, writable=opened, own_ports=own, shadow_ports=beside), ADDRESSES)
    policy.check_site(MOVED.site, text)
    assert ("listen 8010;" in text, "listen 18010;" in text) == (own, beside)
    assert ("return 503;" in text) != opened
    target = "127.0.0.1:8010" if side is Side.DOCKER else "10.43.0.9:8010"
    assert f"proxy_pass http://{target};" in text
    # what comes from there is not led to nginx again
    assert ("proxy_bind 127.0.0.2;" in text) == (side is Side.DOCKER)
    if own or beside:
        assert nginx_tree.meaning(text)


def test_a_port_is_served_beside_itself_while_docker_holds_it() -> None:
    assert PublishedPort(port=8010, service="x", target=1).shadow_port == 18010
    assert PublishedPort(port=60000, service="x", target=1).shadow_port == 50000


def test_what_is_moved_survives_the_state() -> None:
    plain = MOVED.to_properties()
    plain["ports"] = [{**port, "port": float(port["port"])} for port in plain["ports"]]
    assert Transfer.from_properties(plain) == MOVED


@pytest.mark.parametrize(("here", "there"), list(itertools.product(Phase, Phase)))
def test_a_way_leads_from_phase_to_phase(here: Phase, there: Phase) -> None:
    way = steps.phase_changes(here, there)
    assert len(way) == abs(steps.ORDER.index(here) - steps.ORDER.index(there))
    assert not way or (way[0][0], way[-1][1]) == (here, there)
    lines = list(steps.announce(here, there, MOVED))
    assert len([line for line in lines if " → " in line]) == len(way)
    assert len([line for line in lines if "users" in line]) == len(way)


@pytest.mark.parametrize(
    ("here", "there", "named"),
    [(Phase.DOCKER, Phase.CLUSTER, "shadow"), (Phase.SHADOW, Phase.RETIRED, "cluster")],
)
def test_a_phase_is_left_out_forwards_only_where_that_is_said(here: Phase, there: Phase, named: str) -> None:
    with pytest.raises(UserError, match=f"which skips {named}"):
        steps.refuse_skipping("sdx", here, there, False)
    steps.refuse_skipping("sdx", here, there, True)
    steps.refuse_skipping("sdx", there, here, False)


def test_how_long_writes_wait_is_told_by_the_size_of_the_volumes() -> None:
    small, large = steps.expected_standstill(MOVED), steps.expected_standstill(replace(MOVED, bytes=10**9))
    assert small < 6
    assert 30 < large < 60


def test_who_writes_into_volumes_is_known() -> None:
    assert MOVED.writers == ("backend",)
    only = replace(MOVED.data[0], read_only=True)
    assert (replace(MOVED, data=(only,)).writers, replace(MOVED, data=(only,)).copied) == ((), ())
