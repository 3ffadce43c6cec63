"""What somebody does by hand to SDX on its way: found in the report, shown by preview, undone where it can be."""

from __future__ import annotations

import json
from typing import Any

from config.compose import Phase
from tests.lab.clients import get
from tests.lab.compose import phase
from tests.lab.operate import Operator, named
from tests.lab.server import Server, until

DOCKER, SHADOW, CLUSTER, RETIRED = Phase
COMPOSE = "docker compose --project-directory /opt/sdx --progress quiet"
SITE = "/etc/nginx/sites-enabled/compose-sdx"


def findings(operator: Operator) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = operator.report()["findings"]
    return found


def told(operator: Operator) -> set[tuple[str, str, str]]:
    return {(f["class"], named(f), f["path"]) for f in findings(operator)}


def healed(operator: Operator, expected: set[tuple[str, str, str]]) -> None:
    """It is found, preview shows it, up undoes it, and nothing is left."""
    assert told(operator) == expected
    assert "update" in operator.preview().text
    operator.up()
    assert told(operator) == set()
    assert operator.preview("--expect-no-changes").changes == {}


def test_in_docker(operator: Operator, server: Server) -> None:
    server.sh("docker stop sdx-frontend")
    healed(operator, {("drift", "Container/sdx-frontend", "state")})
    server.sh(f"cd /opt/sdx; {COMPOSE} run --detach --no-deps --name sdx-extra backend")
    server.sh("cp /opt/sdx/docker-compose.yml /run/kept.yml; echo '# edited' >> /opt/sdx/docker-compose.yml")
    found = findings(operator)
    assert {(f["class"], named(f)) for f in found} == {
        ("foreign", "Container/sdx-extra"),
        ("stale", "ComposeProject/sdx"),
    }
    assert all("flowmaster compose sdx" in f["note"] for f in found)
    server.sh("docker rm --force sdx-extra; cp /run/kept.yml /opt/sdx/docker-compose.yml")
    assert told(operator) == set()


def test_another_image_and_other_variables(operator: Operator, server: Server) -> None:
    override = {
        "services": {
            "backend": {"image": "localhost:30500/flowmaster/sdx-backend:v2", "environment": {"LOG_LEVEL": "debug"}},
            "mcp-server": {"environment": {"EXTRA": "x"}},
        }
    }
    server.twin.exec(["tee", "/run/override.json"], text=json.dumps(override))
    files = "--file /opt/sdx/docker-compose.yml --file /run/override.json"
    server.sh(f"cd /opt/sdx; {COMPOSE} {files} up --detach")
    assert told(operator) == {
        ("stale", "ComposeProject/sdx", f"services[{path}]")
        for path in ("backend].image", "backend].environment[LOG_LEVEL", "mcp-server].environment[EXTRA")
    } or told(operator) == {
        ("stale", "ComposeProject/sdx", "services[backend].image"),
        ("stale", "ComposeProject/sdx", "services[backend].environment[LOG_LEVEL]"),
        ("stale", "ComposeProject/sdx", "services[mcp-server].environment[EXTRA]"),
    }
    server.sh(f"cd /opt/sdx; {COMPOSE} up --detach")
    assert told(operator) == set()


def test_in_shadow(operator: Operator, server: Server) -> None:
    phase(operator, SHADOW)
    operator.up()
    server.sh("iptables -t nat -F FLOWMASTER-SDX")
    healed(operator, {("drift", "ComposeProject/sdx", "rules")})
    server.sh(f"sed -i s/3600s/60s/ {SITE}; nginx -s reload")
    assert {entry[:2] for entry in told(operator)} == {("drift", "NginxSite/compose-sdx")}
    operator.up()
    assert told(operator) == set()
    operator.kubectl("scale", "deployment/sdx-backend", "--replicas", "2")
    healed(operator, {("drift", "Deployment/sdx-backend", "spec.replicas")})
    server.sh("docker stop sdx-backend")
    healed(operator, {("drift", "Container/sdx-backend", "state")})


def test_in_cluster_two_sides_never_write(operator: Operator, server: Server) -> None:
    phase(operator, CLUSTER)
    operator.up()
    server.sh(f"cd /opt/sdx; {COMPOSE} run --detach --no-deps --name sdx-double backend")
    assert told(operator) == {("drift", "Container/sdx-double", "state")}
    assert "both sides may write" in findings(operator)[0]["note"]
    operator.up()
    assert told(operator) == {("foreign", "Container/sdx-double", "")}
    server.sh("docker rm --force sdx-double; docker update --restart always sdx-backend")
    healed(operator, {("drift", "Container/sdx-backend", "restart")})


def test_docker_starts_nothing_again_after_a_reboot(operator: Operator, server: Server) -> None:
    server.twin.kill_process("dockerd")
    server.twin.start_process("dockerd")
    until(lambda: server.sh("docker ps --quiet --filter name=plane-web").strip() != "", 60)
    assert server.sh("docker ps --quiet --filter name=sdx").strip() == ""
    assert told(operator) == set()


def test_docker_that_is_down_is_said(operator: Operator, server: Server) -> None:
    server.twin.kill_process("dockerd")
    try:
        report = operator.report()
        assert report["exitCode"] == 5
        [finding] = [f for f in report["findings"] if f["class"] == "unknown"]
        assert "Docker does not answer" in str(finding["live"])
    finally:
        server.twin.start_process("dockerd")
    until(lambda: server.sh("docker ps --quiet --filter name=plane-web || true").strip() != "", 60)


def test_the_screen_says_where_it_is(operator: Operator) -> None:
    shown = operator.run("flowmaster", "status", code=None).stdout
    assert "phase cluster; served from the cluster; 0 of 3 containers run" in shown


def test_a_stack_is_not_destroyed_while_the_cluster_serves(operator: Operator, server: Server) -> None:
    refused = operator.run("pulumi", "destroy", "--yes", "--skip-preview", code=None)
    assert refused.returncode != 0
    assert "sdx is in phase cluster" in refused.stdout + refused.stderr
    for port, path in ((8010, "/kv/document-1"), (3010, "/"), (8011, "/")):
        assert get(server.access.address, port, path)[0] == 200
    operator.up()
    assert told(operator) == set()
