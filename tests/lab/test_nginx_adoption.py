"""Taking over the server as its people made it: nginx's site is written down, and not a byte of it changes."""

from __future__ import annotations

import pytest

from lab.twin import Twin
from tests.lab.batch import until
from tests.lab.operate import Operator
from tests.lab.server import ENABLED, Server

SEEN = f"sha256sum {ENABLED}; stat -c '%i %Y' {ENABLED}; pgrep -P $(cat /run/nginx.pid)"


@pytest.fixture(scope="module")
def operator(hand_made_twin: Twin) -> Operator:
    return Operator.of(hand_made_twin)


def test_the_hand_made_site_is_taken_over_and_stays_as_it_is(operator: Operator) -> None:
    server = Server.of(operator.twin)
    server.sh(f"grep -q 'gzip on' {ENABLED} || sed -i 's/client_max_body_size 100m;/& gzip on;/' {ENABLED}")
    # a comment about Plane is no configuration, and both families of addresses are the commonest of all
    server.sh(f"sed -i 's/server_name _;/& listen [::]:80 default_server; # plane-proxy is on 8083/' {ENABLED}")
    server.sh(f"echo 'server {{ listen 8099; server_name other.example; }}' > {ENABLED}.conf")
    server.sh("systemctl reload nginx; sleep 0.5")
    before, plane = server.sh(SEEN), server.sh("docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort")
    said = operator.run("flowmaster", "adopt").stdout
    assert "gzip on;" in said
    assert "AI operations take long" in said
    assert "listen [::]:80 default_server;" in said
    assert f"{ENABLED}.conf: other.example on port 8099" in said
    operator.up()
    assert server.sh(SEEN) == before
    until(lambda: operator.report()["findings"] == [], "calm after the crashes of the hand-made state", 60)
    operator.preview("--expect-no-changes")
    assert server.sh("docker ps --no-trunc --format '{{.ID}} {{.Names}}' | sort") == plane
    assert server.answers("/")
    server.sh(f"rm {ENABLED}.conf; systemctl reload nginx")


def test_the_picture_and_the_screen_show_the_whole_server(operator: Operator) -> None:
    screen = operator.run("flowmaster", "status").stdout
    assert "13 of 13 containers run; unhealthy: plane-space; protected, never changed" in screen
    assert "3 of 3 containers run" in screen
    assert "29 of 29 services are ready, 1 at 0, " in screen
    assert ", 29 never tested" in screen
    # 29 services through the API server, three locations of nginx, and its port in both families of addresses
    assert "34 of 34 answer, 1 not asked" in operator.run("flowmaster", "smoke").stdout
    assert "all tested" in operator.run("flowmaster", "status").stdout
    picture = operator.run("flowmaster", "topology").stdout
    assert picture.startswith("<svg ")
    assert all(f">{name}<" in picture for name in ("frontend", "nginx", "arangodb", "Plane", "SDX"))
