"""SDX moves from docker into the cluster and back, while people read and write through its old addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowmaster.cluster.field_managers import moment
from lab.twin.patience import patience
from tests.lab import compose
from tests.lab.clients import get
from tests.lab.compose import Users, phase, plane
from tests.lab.operate import Operator, named
from tests.lab.server import Server

WRITES_WAIT = 8.0
"""Seconds at most, on a machine with two idle cores; two of them where nobody asks."""


@pytest.fixture(scope="module")
def plane_before(server: Server) -> str:
    return plane(server)


def findings(operator: Operator) -> list[tuple[str, str, str]]:
    """Class, object and path of what is told, but for what tags do."""
    return [(f["class"], named(f), f["path"]) for f in operator.report()["findings"]]


def test_in_docker_nothing_is_changed(operator: Operator, server: Server, plane_before: str) -> None:
    assert operator.preview("--expect-no-changes").changes == {}
    assert findings(operator) == []
    assert "compose-sdx" not in server.sh("ls /etc/nginx/sites-enabled")
    assert "FLOWMASTER" not in server.sh("iptables -t nat -S")
    assert operator.objects().keys() & {"Deployment/sdx-backend", "Service/sdx-backend"} == set()


def test_a_phase_is_not_skipped_forwards(operator: Operator) -> None:
    phase(operator, "cluster")
    refused = operator.preview(code=None)
    assert refused.code != 0
    assert "sdx is in phase docker, and the stack says cluster, which skips shadow" in refused.text
    assert "set `phase: shadow` first" in refused.text


@pytest.mark.parametrize("word", ["shadow", "cluster", "retired", "cluster ", "shadow ", "docker"])
def test_each_phase_forwards_and_backwards(
    operator: Operator, server: Server, plane_before: str, word: str, record_property: Any
) -> None:
    before = compose.journal(server)["phase"]
    word = word.strip()
    phase(operator, word)
    told = operator.preview().text
    assert f"sdx: {before} → {word}" in told
    assert "sdx: step 1 of " in told
    assert "sdx: users" in told
    with Users(server.access.address) as users:
        updated = operator.up()
        users.settle()
    assert f"sdx: is in phase {word}" in updated.text
    assert users.wrong == []
    assert users.refused_reads == []
    assert users.reads > 20
    assert users.missing() == []
    assert users.writes > 20
    seconds = users.seconds_refused()
    exchange = {before, word} == {"shadow", "cluster"}
    assert seconds < patience(WRITES_WAIT) if exchange else users.refusals == []
    record_property(f"seconds of refused writes, {before} to {word}", round(seconds, 2))
    print(f"{before} → {word}: writes refused for {seconds:.2f} s, {users.writes} taken, {users.reads} reads")
    assert operator.preview("--expect-no-changes").changes == {}
    assert findings(operator) == []
    assert plane(server) == plane_before
    _names_work(server)
    _one_side_runs(operator, server, word)


def _names_work(server: Server) -> None:
    """What the containers called each other, and the database, is still found under the same names."""
    for port, target in ((3010, "http://backend:8010/health"), (8011, "http://sdx-backend:8010/health")):
        status, answer = get(server.access.address, port, f"/call?url={target}")
        assert (status, answer["ok"]) == (200, True), answer


def _one_side_runs(operator: Operator, server: Server, word: str) -> None:
    running = server.sh("docker ps --filter name=sdx --format '{{.Names}}'").split()
    assert len(running) == (3 if word in ("docker", "shadow") else 0)
    kept = server.sh("docker ps --all --filter name=sdx --format '{{.Names}}'").split()
    assert len(kept) == (0 if word == "retired" else 3)
    for name in kept:
        policy = server.sh(f"docker inspect --format '{{{{.HostConfig.RestartPolicy.Name}}}}' {name}").strip()
        assert policy == ("unless-stopped" if word in ("docker", "shadow") else "no")
    pods = json.loads(operator.kubectl("get", "pods", "--output", "json"))["items"]
    sdx = [p for p in pods if p["metadata"]["name"].startswith("sdx-") and not p["metadata"].get("deletionTimestamp")]
    assert len(sdx) == (0 if word == "docker" else 3)
    for pod in sdx:
        assert "@sha256:" in pod["spec"]["containers"][0]["image"]


def test_a_claim_is_made_once_its_volume_is_known_so_that_it_is_bound_at_once(operator: Operator) -> None:
    phase(operator, "shadow")
    operator.up()
    claim = operator.get("PersistentVolumeClaim/sdx-sdx-data")
    volume = operator.get("PersistentVolume/flowmaster-sdx-sdx-data")
    made, bound = moment(claim["metadata"]["creationTimestamp"]), moment(volume["status"]["lastPhaseTransitionTime"])
    assert made
    assert bound
    assert volume["status"]["phase"] == "Bound"
    # whole seconds; else it would be the controller's next round, up to 15 s later
    assert (bound - made).total_seconds() <= min(patience(3), 10)


def test_nothing_secret_is_in_the_state_or_was_said(operator: Operator, server: Server) -> None:
    everything = operator.state() + "\n".join(operator.said)
    secrets = dict(line.split("=", 1) for line in server.sh("cat /opt/sdx/.env").split())
    for name in ("SECRET_KEY", "ARANGO_PASSWORD", "OPENAI_API_KEY"):
        assert len(secrets[name]) > 20
        assert secrets[name] not in everything
