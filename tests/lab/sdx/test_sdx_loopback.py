"""A port that docker publishes on the loopback address alone is reached from the server alone, in every phase."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from config.compose import Phase
from lab.twin import Twin, handmade
from tests.lab import compose
from tests.lab.operate import Operator
from tests.lab.server import Server

PORT, OPEN = 8011, 8010


@pytest.fixture(scope="module")
def server(empty_twin: Twin) -> Server:
    """A server where one port of SDX is for the server's own people."""
    handmade.containers(empty_twin)
    server = Server.of(empty_twin)
    server.sh(
        f'cd /opt/sdx && sed -i \'s/"{PORT}:{PORT}"/"127.0.0.1:{PORT}:{PORT}"/\' docker-compose.yml'
        " && docker compose up --detach --quiet-pull 2>&1"
    )
    return server


def answers_inside(server: Server, port: int) -> bool:
    asked = (
        f"curl --silent --output /dev/null --max-time 10 --retry 5 --retry-connrefused http://127.0.0.1:{port}/health"
    )
    return server.twin.exec(["sh", "-c", f"{asked}; echo $?"]).stdout.strip() == "0"


def connects(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=0.5):
            return True
    except OSError:
        return False


@contextmanager
def watched(address: str) -> Iterator[list[int]]:
    """Asks from outside all the time; the list counts, at its end, how often somebody answered, and how often not."""
    counts, ended = [0, 0], threading.Event()

    def ask() -> None:
        while not ended.wait(0.05):
            counts[0 if connects(address, PORT) else 1] += 1

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield counts
    finally:
        ended.set()
        thread.join()


def test_before_it_moves_the_port_is_the_servers_own(server: Server, operator: Operator) -> None:
    assert answers_inside(server, PORT)
    assert not connects(server.access.address, PORT)
    assert connects(server.access.address, OPEN)


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CLUSTER, Phase.SHADOW, Phase.DOCKER])
def test_no_phase_and_no_move_opens_it_to_anybody_else(server: Server, operator: Operator, phase: Phase) -> None:
    with watched(server.access.address) as counts:
        compose.phase(operator, phase)
        operator.up()
    answered, refused = counts
    assert (answered, refused > 20) == (0, True), f"{answered} answered, {refused} did not"
    assert answers_inside(server, PORT), server.sh("ss -ltnp; iptables -t nat -S")
    assert answers_inside(server, OPEN)
    assert connects(server.access.address, OPEN)
    assert not connects(server.access.address, PORT)
