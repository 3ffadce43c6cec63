"""What may go wrong when SDX moves: a clear error each, one side serves, nothing is lost, and the next run finishes."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from config.compose import Phase
from flowmaster.host import docker
from flowmaster.host.connection import RefusedError
from flowmaster.migrate import steps
from lab.twin.patience import patience
from tests.lab import compose
from tests.lab.compose import FOLDER, SDX, Users, phase
from tests.lab.operate import Operator
from tests.lab.sdx.mover import Move, Mover
from tests.lab.server import Server, until
from tests.lab.test_faults import Update

DOCKER, SHADOW, CLUSTER, RETIRED = Phase


@contextmanager
def moving(mover: Mover, target: Phase, step: int) -> Iterator[Move]:
    """A move to a phase that is at a step."""
    move = mover.begin(target)
    try:
        assert move.comes_to(step), move.text
        yield move
    finally:
        move.kill()


@contextmanager
def under_way(operator: Operator, step: int) -> Iterator[Update]:
    """An update that is at a step."""
    update = Update(operator)
    try:
        update.reached(rf"ComposePhase sdx updating[\s\S]*sdx: step {step} of ", 180)
        yield update
    finally:
        update.clean_up()


@contextmanager
def changed(operator: Operator, change: Callable[[dict[str, Any]], None]) -> Iterator[None]:
    """With the project's settings in the stack changed for a while."""
    kept: dict[str, Any] = {}

    def spoil(settings: dict[str, Any]) -> None:
        kept.update(settings["compose"])
        settings["compose"] = {SDX: _copy(settings["compose"][SDX])}
        change(settings["compose"][SDX])

    operator.edit_stack(spoil)
    try:
        yield
    finally:
        operator.edit_stack(lambda settings: settings.update(compose=kept))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copy(part) for name, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value


def refused(by: Operator | Mover, server: Server, word: Phase, *said: str, stays: Phase) -> None:
    """A move to a phase, by an update or without one, says what is wrong; where it is stays where it serves."""
    if isinstance(by, Operator):
        phase(by, word)
        update = by.up(code=None)
        assert update.code != 0
        text = update.text
    else:
        text = by.fails(word)
    assert [words for words in said if words not in text] == [], text
    assert "Traceback" not in text
    found = compose.journal(server)
    assert (found["phase"], found["move"]) == (stays, None)
    running = server.sh("docker ps --filter name=sdx- --format '{{.Names}}'").split()
    assert len(running) >= (3 if stays in (DOCKER, SHADOW) else 0)


def test_an_image_that_is_gone(operator: Operator, server: Server) -> None:
    def spoil(project: dict[str, Any]) -> None:
        source = json.loads(operator.run("flowmaster", "secret", "get", "sources/sdx/compose").stdout)
        source["services"]["frontend"].update(image=f"sha256:{'0' * 64}", digest=None)
        # what the stack's own file says goes first
        project["source"] = source

    with changed(operator, spoil):
        refused(operator, server, SHADOW, "Docker has no image sha256:000", stays=DOCKER)


def test_a_disk_that_is_too_small(operator: Operator, server: Server) -> None:
    def spoil(project: dict[str, Any]) -> None:
        project["storage"] = {"path": "/srv/small"}

    server.sh("mkdir -p /srv/small; mount -t tmpfs -o size=1m small /srv/small")
    server.sh("head -c 3000000 /dev/urandom > /var/lib/docker/volumes/sdx_sdx-data/_data/big")
    with changed(operator, spoil):
        refused(operator, server, SHADOW, "there is not enough room", "MiB of free disk", stays=DOCKER)
    assert server.sh("ls /srv/small").strip() in ("", "sdx")
    server.sh("umount /srv/small; rmdir /srv/small")


def test_a_compose_file_that_is_gone_edited_or_invalid(operator: Operator, mover: Mover, server: Server) -> None:
    phase(operator, SHADOW)
    operator.up()
    file = f"{FOLDER}/docker-compose.yml"
    server.sh(f"mv {file} /run/kept.yml")
    refused(operator, server, CLUSTER, f"{file} is missing on the server", stays=SHADOW)
    phase(operator, SHADOW)
    said = operator.run("flowmaster", "compose", SDX, code=1).stderr
    assert "there is no compose file in /opt/sdx" in said
    server.sh(f"echo 'services: [' > {file}")
    refused(mover, server, CLUSTER, f"{file} was edited since the translation", stays=SHADOW)
    said = operator.run("flowmaster", "compose", SDX, code=1).stderr
    assert "docker compose config:" in said
    server.sh(f"cp /run/kept.yml {file}")


def test_a_container_that_is_not_in_the_file(mover: Mover, server: Server) -> None:
    server.sh(f"cd {FOLDER}; docker compose --progress quiet run --detach --no-deps --name sdx-extra backend")
    refused(mover, server, CLUSTER, "sdx-extra is a container that was not translated", stays=SHADOW)
    server.sh("docker rm --force sdx-extra")


def test_a_copy_that_is_ill_does_not_take_over(operator: Operator, server: Server) -> None:
    def spoil(project: dict[str, Any]) -> None:
        project["checks"] = {"backend": "/call?url=tcp://nowhere:1"}

    # the check asks both sides, and docker is asked first
    with changed(operator, spoil):
        refused(Mover(operator), server, CLUSTER, "in docker, backend /call", "answers 502", stays=SHADOW)


def test_docker_that_is_down(operator: Operator, mover: Mover, server: Server) -> None:
    server.twin.kill_process("dockerd")
    try:
        phase(operator, CLUSTER)
        update = operator.up(code=None)
        assert update.code != 0
        assert "Docker does not answer" in update.text
    finally:
        server.twin.start_process("dockerd")
    until(lambda: server.sh("docker ps --quiet || true").strip() != "", 60)
    # a daemon that crashed does not start what is to run "unless stopped"
    phase(operator, SHADOW)
    mover.reach(SHADOW)
    assert compose.journal(server)["phase"] == SHADOW
    assert len(server.sh("docker ps --quiet --filter name=sdx-").split()) == 3


def test_checks_that_fail_after_the_switch(operator: Operator, mover: Mover, server: Server) -> None:
    """The cluster's backend stops answering just when it has taken over."""
    address = operator.get("Service/sdx-backend")["spec"]["clusterIP"]
    hang = f"curl --silent --max-time 5 --request POST 'http://{address}:8010/fail?mode=hang'"
    stopped = "docker ps --quiet --filter name=sdx-"
    spoiling = threading.Thread(
        target=lambda: server.sh(f'while [ -n "$({stopped})" ]; do sleep 0.02; done; {hang}'), daemon=True
    )
    with Users(server.access.address) as users, moving(mover, CLUSTER, steps.SERVE_READS) as move:
        spoiling.start()
        assert move.ended() != 0, move.text
        users.settle()
    assert "does not answer" in move.text
    assert "rolling back" in move.text
    assert users.wrong == []
    assert users.missing() == []
    assert compose.journal(server)["phase"] == SHADOW
    operator.up()
    assert operator.preview("--expect-no-changes").changes == {}


def test_a_connection_that_is_lost_is_made_again(operator: Operator, server: Server) -> None:
    phase(operator, CLUSTER)
    cut = "INPUT -p tcp --dport 22 -j REJECT --reject-with tcp-reset"
    with Users(server.access.address) as users, under_way(operator, steps.COPY) as update:
        server.sh(f"iptables -I {cut}")
        time.sleep(4)
        server.sh(f"iptables -D {cut}")
        assert update.ended() == 0, update.text
        users.settle()
    assert "asking again" in update.text
    assert users.wrong == users.refused_reads == users.missing() == []
    assert compose.journal(server)["phase"] == CLUSTER


def test_an_api_server_that_is_silent_is_waited_for(operator: Operator, server: Server) -> None:
    phase(operator, SHADOW)
    with Users(server.access.address) as users, under_way(operator, steps.SERVE_READS) as update:
        server.twin.pause_process("kube-apiserver")
        time.sleep(4)
        server.twin.start_process("kube-apiserver")
        assert update.ended() == 0, update.text
        users.settle()
    assert users.wrong == users.missing() == []
    assert compose.journal(server)["phase"] == SHADOW


def test_a_move_that_the_state_knows_nothing_of_is_undone(operator: Operator, mover: Mover, server: Server) -> None:
    """As it is left by an update that is killed while its provider goes on to the end."""
    mover.reach(CLUSTER)
    phase(operator, SHADOW)
    operator.up()
    assert compose.journal(server)["phase"] == SHADOW
    assert operator.preview("--expect-no-changes").changes == {}


def test_of_two_runs_one_goes_on(server: Server) -> None:
    said: list[str] = []
    first = docker.Run(server.access, SDX, FOLDER, said.append)
    second = docker.Run(server.access, SDX, FOLDER, said.append)
    with first, second:
        first.acquire(5)
        with pytest.raises(RefusedError, match=r"sdx is being moved by \S+@\S+ \(process \d+\), which gave a sign"):
            second.acquire(1)
        assert "waiting: sdx is being moved by" in said[0]
        began = time.monotonic()
        second.acquire(30)
        assert time.monotonic() - began < patience(20)
        with pytest.raises(RefusedError, match="another run is at work on sdx"):
            first.request("redirect", ports=[])
        with pytest.raises(RefusedError, match="another run is at work on sdx"):
            first.write_site("compose-sdx", "server { listen 18010; }")
        second.heartbeat()


def test_where_it_is_in_the_end_is_as_declared(operator: Operator) -> None:
    assert operator.preview("--expect-no-changes").changes == {}
    assert operator.report()["findings"] == []
