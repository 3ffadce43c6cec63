"""Compose projects on their way: from what is on the server to findings."""

from __future__ import annotations

from typing import Any

import pytest

from config.compose import Phase
from config.settings import Settings
from flowmaster.cluster.masking import Masker
from flowmaster.compare.finding import Finding
from flowmaster.compose import desired, proxy
from flowmaster.compose.desired import DesiredProject
from flowmaster.drift import compose
from flowmaster.host.nginx import ENABLED, File, HostState, Nginx
from tests.unit.compose.projects import ID, one, project

DOCKER, SHADOW, CLUSTER, RETIRED = Phase
PORTS = [{"target": 8010, "published": "8010", "protocol": "tcp", "mode": "ingress"}]
ADDRESSES = {"backend": "10.43.0.9"}


def declared(demo: Settings, phase: Phase, **settings: Any) -> DesiredProject:
    """A project of one service, to be in a phase."""
    found = project(
        one(ports=PORTS, environment={"LOG_LEVEL": "info", "SECRET_KEY": "shh-shh-shh-shh-shh-4711"}),
        settings={"phase": phase, **settings},
    )
    stack = demo.stack.model_copy(update={"compose": {"shop": found}})
    return desired.desired_projects(Settings(name="demo", stack=stack, catalogue=demo.catalogue))["shop"]


def container(**more: Any) -> dict[str, Any]:
    found = {
        "name": "shop-backend-1",
        "service": "backend",
        "image": ID,
        "reference": "backend:latest",
        "env": ["PATH=/bin", "PORT=8010", "LOG_LEVEL=info", "SECRET_KEY=shh-shh-shh-shh-shh-4711"],
        "added": ["LOG_LEVEL", "SECRET_KEY"],
        "state": "running",
        "health": "",
        "restart": "always",
    }
    return {**found, **more}


STOPPED = {"state": "exited", "restart": "no"}


def state(phase: Phase, *containers: dict[str, Any], **more: Any) -> dict[str, Any]:
    led = [[8010, 18010]] if phase is SHADOW else []
    return {
        "problem": "",
        "journal": {"phase": phase, "move": None},
        "containers": list(containers),
        "files": {},
        "rules": {"ports": led, "hooks": ["PREROUTING", "OUTPUT"] if led else []},
        **more,
    }


def look(what: DesiredProject, seen: dict[str, Any], text: str | None = None) -> list[Finding]:
    if text is None and what.in_cluster:
        text = proxy.site_text(what.transfer, proxy.PROXY_MODES[what.phase], ADDRESSES)
    path = f"{ENABLED}/{what.transfer.site}"
    files = {path: File(path=path, kind="file", content=text)} if text else {}
    host = HostState(address="", hostname="", nginx=Nginx(installed=True, running=True), files=files)
    return compose.findings(what, seen, host, ADDRESSES, {what.transfer.site: text or ""}, Masker())


def told(found: list[Finding]) -> list[tuple[str, str, str]]:
    return [(f.cls, str(f.object), f.path) for f in found]


@pytest.mark.parametrize("phase", Phase)
def test_as_declared_there_is_nothing_to_tell(demo: Settings, phase: Phase) -> None:
    there = {DOCKER: [container()], SHADOW: [container()], CLUSTER: [container(**STOPPED)], RETIRED: []}[phase]
    assert told(look(declared(demo, phase), state(phase, *there))) == []


@pytest.mark.parametrize(
    ("phase", "containers", "expected"),
    [
        (CLUSTER, [container()], ("drift", "Container/shop-backend-1", "state")),
        (RETIRED, [container()], ("drift", "Container/shop-backend-1", "state")),
        (CLUSTER, [container(state="exited")], ("drift", "Container/shop-backend-1", "restart")),
        (DOCKER, [container(state="exited")], ("drift", "Container/shop-backend-1", "state")),
        (SHADOW, [container(state="exited")], ("drift", "Container/shop-backend-1", "state")),
        (SHADOW, [container(health="unhealthy")], ("unhealthy", "Container/shop-backend-1", "")),
        (SHADOW, [], ("unhealthy", "ComposeProject/shop", "services[backend]")),
        (SHADOW, [container(image="sha256:9")], ("stale", "ComposeProject/shop", "services[backend].image")),
        (
            SHADOW,
            [container(), container(name="other", service="other")],
            ("foreign", "Container/other", ""),
        ),
        (
            DOCKER,
            [container(env=["LOG_LEVEL=debug", "SECRET_KEY=shh-shh-shh-shh-shh-4711"])],
            ("stale", "ComposeProject/shop", "services[backend].environment[LOG_LEVEL]"),
        ),
        (
            DOCKER,
            [container(added=["LOG_LEVEL", "SECRET_KEY", "NEW"])],
            ("stale", "ComposeProject/shop", "services[backend].environment[NEW]"),
        ),
    ],
)
def test_what_is_not_as_it_should_be(
    demo: Settings, phase: Phase, containers: list[dict[str, Any]], expected: tuple[str, str, str]
) -> None:
    found = look(declared(demo, phase), state(phase, *containers))
    assert told(found) == [expected]
    assert found[0].note or found[0].live


def test_no_secret_is_told(demo: Settings) -> None:
    other = container(env=["LOG_LEVEL=info", "SECRET_KEY=another-secret-0815"])
    [finding] = look(declared(demo, SHADOW), state(SHADOW, other))
    assert finding.path == "services[backend].environment[SECRET_KEY]"
    assert "shh" not in repr(finding)
    assert "0815" not in repr(finding)


def test_rules_that_are_gone_or_left(demo: Settings) -> None:
    none: dict[str, Any] = {"ports": [], "hooks": []}
    assert told(look(declared(demo, SHADOW), state(SHADOW, container(), rules=none))) == [
        ("drift", "ComposeProject/shop", "rules")
    ]
    late = {"ports": [[8010, 18010]], "hooks": ["PREROUTING"]}
    assert told(look(declared(demo, SHADOW), state(SHADOW, container(), rules=late))) == [
        ("drift", "ComposeProject/shop", "rules")
    ]
    assert told(look(declared(demo, DOCKER), state(DOCKER, container(), rules=late))) == [
        ("drift", "ComposeProject/shop", "rules")
    ]


def test_a_move_that_was_not_finished(demo: Settings) -> None:
    move = {"from": "shadow", "to": "cluster", "step": 4, "of": 11}
    seen = state(SHADOW, container(), journal={"phase": "shadow", "move": move})
    [finding] = [f for f in look(declared(demo, CLUSTER), seen) if f.path == "move"]
    assert finding.live == "shadow → cluster was interrupted in step 4 of 11"
    assert told(look(declared(demo, CLUSTER), state(SHADOW, container()))) == [
        ("pending", "ComposeProject/shop", "phase")
    ]


def test_nginx_before_it(demo: Settings) -> None:
    what = declared(demo, CLUSTER)
    served = proxy.site_text(what.transfer, proxy.PROXY_MODES[CLUSTER], ADDRESSES)
    [changed] = look(what, state(CLUSTER, container(**STOPPED)), served.replace("3600s", "60s", 1))
    assert changed.path.endswith("proxy_send_timeout")
    host = HostState(address="", hostname="", nginx=Nginx(installed=True, running=True), files={})
    seen = state(CLUSTER, container(**STOPPED))
    [gone] = compose.findings(what, seen, host, ADDRESSES, {what.transfer.site: served}, Masker())
    assert (gone.cls, gone.note) == ("drift", "nobody serves 8010")


def test_docker_that_does_not_answer_is_unknown(demo: Settings) -> None:
    [finding] = look(declared(demo, SHADOW), state(SHADOW, problem="Docker does not answer: refused"))
    assert (finding.cls, finding.live) == ("unknown", "Docker does not answer: refused")


def test_files_that_were_edited_or_are_gone(demo: Settings) -> None:
    what = declared(demo, SHADOW)
    source = what.settings.source
    assert source is not None
    path = "/opt/shop/compose.yaml"
    edited = source.model_copy(update={"files": {path: "0" * 64}})
    again = what.settings.model_copy(update={"source": edited})
    known = DesiredProject(name="shop", settings=again, translation=what.translation, transfer=what.transfer)
    for now, words in ((None, "is missing"), ("1" * 64, "was edited since")):
        files = {path: now} if now else {}
        [finding] = look(known, state(SHADOW, container(), files=files))
        assert finding.cls == "stale"
        assert words in str(finding.live)
