"""The host as a source of a report: what its findings rest on, and what they say of its ports."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import replace
from typing import Any

import pytest

from config.settings import Settings
from flowmaster.cluster.reader import LiveState
from flowmaster.compare.finding import FindingClass
from flowmaster.drift import host as host_source
from flowmaster.drift.coverage import Coverage
from flowmaster.drift.host import HostSource
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.listening import declared_texts
from flowmaster.host import nginx
from flowmaster.host.access import Access
from flowmaster.host.nginx import ENABLED, File, HostState, Nginx
from flowmaster.host.ports import Answer, Owners, Place
from flowmaster.host.ssh_errors import unreachable

PORT = Place("", 80)
CONF = "/etc/nginx/nginx.conf"


class Pods:
    """Serves one pod."""

    server = "https://10.77.0.2:6443"

    def get(self, path: str) -> Any:
        assert path == "/api/v1/pods?fieldSelector=status.podIP%3D10.42.0.8"
        metadata = {"namespace": "kube-system", "name": "svclb-traefik", "uid": "u"}
        return {"items": [{"metadata": metadata, "spec": {}, "status": {"podIP": "10.42.0.8"}}]}


def source(settings: Settings, read: HostState | Exception, *, asks: bool = True) -> HostSource:
    reading: Future[HostState] = Future()
    if isinstance(read, Exception):
        reading.set_exception(read)
    else:
        reading.set_result(read)
    return HostSource(settings, reading, asks=asks)


@pytest.fixture
def state(demo: Settings) -> HostState:
    """A host with the declared site, on which nginx answers."""
    path = f"{ENABLED}/flowmaster"
    file = File(path, "file", "0644", "root", "root", declared_texts(demo.stack.reverse_proxy)["flowmaster"])
    well = Answer(PORT, "10.0.0.1", "nginx", "nginx")
    whole = File(CONF, "file", "0644", "root", "root", f"events {{}} http {{ include {ENABLED}/*; }}")
    files = {CONF: whole, path: file}
    return HostState("10.0.0.1", "demo", Nginx(installed=True, running=True), files, answers=[well])


@pytest.fixture
def live() -> LiveState:
    return LiveState(Pods.server, "flowmaster", reader=Pods())


def of_ports(found: HostSource, live: LiveState) -> list[tuple[FindingClass, str, Any]]:
    return [(f.cls, f.path, f.live) for f in found.findings(live, Applied()) if f.path.startswith("ports[")]


def test_a_port_that_answers_is_counted(demo: Settings, state: HostState, live: LiveState) -> None:
    found = source(demo, state)
    assert of_ports(found, live) == []
    assert (found.coverage().sites, found.coverage().ports) == (1, 1)


def test_who_answers_instead_is_looked_up_in_the_cluster(demo: Settings, state: HostState, live: LiveState) -> None:
    led = Answer(PORT, "10.0.0.1", "elsewhere", "elsewhere", owners=Owners(leads=("10.42.0.8:80",)))
    found = source(demo, replace(state, answers=[led]))
    words = "the pod kube-system/svclb-traefik (10.42.0.8:80) answers on port 80 in place of nginx"
    assert of_ports(found, live) == [(FindingClass.UNHEALTHY, "ports[80]", words)]
    assert (found.coverage().sites, found.coverage().ports) == (1, 0)


def test_a_site_that_is_missing_explains_its_port(demo: Settings, state: HostState, live: LiveState) -> None:
    refused = Answer(PORT, "10.0.0.1", "refused", "refused")
    found = source(demo, replace(state, answers=[refused], files={CONF: state.files[CONF]}))
    assert of_ports(found, live) == []
    assert {f.object.kind for f in found.findings(live, Applied())} == {"NginxSite"}


def test_ports_that_were_not_asked_are_said(demo: Settings, state: HostState) -> None:
    found = source(demo, replace(state, answers=[]), asks=False)
    assert found.coverage().ports == 0
    assert "ports (--fast)" in found.coverage().not_looked_at


def test_a_host_that_could_not_be_read_is_said(demo: Settings, live: LiveState) -> None:
    found = source(demo, unreachable(Access(address="10.0.0.1"), "connection refused"))
    assert [finding.cls for finding in found.findings(live, Applied())] == [FindingClass.UNKNOWN]
    assert found.coverage() == Coverage(not_looked_at=("the host (it could not be read)",))


@pytest.mark.parametrize("ask", [True, False])
def test_ports_are_asked_unless_told_otherwise(demo: Settings, monkeypatch: pytest.MonkeyPatch, ask: bool) -> None:
    asked: dict[str, Any] = {}

    def read(*_: Any, **how: Any) -> None:
        asked.update(how)

    monkeypatch.setattr(nginx, "read", read)
    started = host_source.start_reading(demo, ask=ask)
    assert started is not None
    started.state()
    assert asked["places"] == ([PORT] if ask else [])
