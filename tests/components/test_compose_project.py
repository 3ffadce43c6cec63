"""A compose project's resources in each phase, as the engine sees them."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest
from pulumi.runtime.mocks import test as pulumi_test

from components.compose_phase import ComposeImagesProvider, ComposePhaseProvider
from components.compose_project import ComposeProject, ComposeProjectArgs
from config.compose import Phase
from config.errors import ConfigError
from config.settings import Settings
from flowmaster.compose import desired
from flowmaster.host import policy
from tests.components.conftest import Recorder
from tests.unit.compose.projects import DIGEST, one, project

DYNAMIC = "pulumi-python:dynamic/flowmaster:"
SECRET = "shh-shh-shh-shh-shh-4711"
SERVICES = one(
    ports=[{"target": 8010, "published": "8010", "protocol": "tcp", "mode": "ingress"}],
    environment={"SECRET_KEY": SECRET},
    volumes=[{"type": "volume", "source": "data", "target": "/data"}],
)


def declared(demo: Settings, phase: Phase, services: Any = SERVICES, **settings: Any) -> desired.DesiredProject:
    read = project(services, settings={"phase": phase, **settings}, volumes={"data": {"name": "shop_data"}})
    stack = demo.stack.model_copy(update={"compose": {"shop": read}})
    return desired.desired_projects(Settings(name="demo", stack=stack, catalogue=demo.catalogue))["shop"]


def run(what: desired.DesiredProject, **how: Any) -> None:
    @pulumi_test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[object]:
        made = ComposeProject("shop", ComposeProjectArgs(declared=what, namespace="flowmaster", **how))
        return pulumi.Output.all(*made.outputs)

    program()


def test_in_docker_there_is_its_phase_alone(engine: Recorder, demo: Settings) -> None:
    run(declared(demo, Phase.DOCKER))
    kinds = {r.typ for r in engine.resources}
    assert {kind for kind in kinds if kind.startswith(("kubernetes:", DYNAMIC))} == {f"{DYNAMIC}ComposePhase"}


@pytest.mark.parametrize("phase", [Phase.SHADOW, Phase.CLUSTER, Phase.RETIRED])
def test_in_the_cluster_everything_is_declared(engine: Recorder, demo: Settings, phase: Phase) -> None:
    run(declared(demo, phase))
    kinds = sorted(r.typ.rpartition(":")[2] for r in engine.resources if r.typ.startswith("kubernetes:"))
    assert kinds == ["Deployment", "PersistentVolume", "PersistentVolumeClaim", "Secret", "Service"]
    images = engine.of(f"{DYNAMIC}ComposeImages")["shop"]
    assert [entry["digest"] for entry in images["images"].values()] == [DIGEST]
    site = engine.of(f"{DYNAMIC}NginxSite")["compose-shop"]
    if phase is Phase.SHADOW:
        assert "listen 18010;" in site["content"]
        assert "http://127.0.0.1:8010;" in site["content"]
    else:
        assert "listen 8010;" in site["content"]
        # the address that the Service has
        assert "http://10.43.0.77:8010;" in site["content"]
    [moved] = engine.of(f"{DYNAMIC}ComposePhase").values()
    assert moved["phase"] == phase
    for resource in engine.resources:
        policy.check_resource(resource.typ, resource.name, resource.inputs, "flowmaster")


def test_a_claim_is_made_once_its_volume_is_known(engine: Recorder, demo: Settings) -> None:
    asked: list[tuple[str, list[str]]] = []

    def known(name: str) -> None:
        asked.append((name, [r.typ.rpartition(":")[2] for r in engine.resources]))

    run(declared(demo, Phase.CLUSTER), volume_known=known)
    [(name, kinds)] = asked
    [claim] = engine.of("kubernetes:core/v1:PersistentVolumeClaim").values()
    [volume] = engine.of("kubernetes:core/v1:PersistentVolume").values()
    assert name == claim["spec"]["volumeName"] == volume["metadata"]["name"]
    assert "PersistentVolume" in kinds
    assert "PersistentVolumeClaim" not in kinds


def test_known_addresses_are_taken_as_they_are(engine: Recorder, demo: Settings) -> None:
    run(declared(demo, Phase.CLUSTER), addresses={"backend": "10.43.0.5"})
    site = engine.of(f"{DYNAMIC}NginxSite")["compose-shop"]
    assert "http://10.43.0.5:8010;" in site["content"]


def test_no_secret_is_in_what_moves_it(engine: Recorder, demo: Settings) -> None:
    run(declared(demo, Phase.CLUSTER))
    own = [r.inputs for r in engine.resources if r.typ.startswith(DYNAMIC)]
    assert len(own) == 3
    assert SECRET not in repr(own)
    assert demo.stack.host.address not in repr(own)


def test_what_cannot_be_translated_stays_in_docker(demo: Settings) -> None:
    services = one(privileged=True, devices=["/dev/kvm:/dev/kvm:rwm"])
    declared(demo, Phase.DOCKER, services)
    with pytest.raises(ConfigError, match=r"compose.shop: services.backend.devices"):
        declared(demo, Phase.SHADOW, services)


def test_a_volume_that_could_not_come_back_is_refused(demo: Settings) -> None:
    bind = {"type": "bind", "source": "/srv/elsewhere", "target": "/data"}
    with pytest.raises(ConfigError, match="lies at /srv/elsewhere, which is outside the project"):
        declared(demo, Phase.SHADOW, one(volumes=[bind]))
    declared(demo, Phase.SHADOW, one(volumes=[{**bind, "read_only": True}]))
    declared(demo, Phase.SHADOW, one(volumes=[{**bind, "source": "/opt/shop/data"}]))


def test_a_port_beside_that_is_taken_is_refused(demo: Settings) -> None:
    host = demo.stack.host.model_copy(update={"ports": {18010: "somebody"}})
    taken = Settings(name="demo", stack=demo.stack.model_copy(update={"host": host}), catalogue=demo.catalogue)
    with pytest.raises(ConfigError, match="port 18010 of the host is taken by somebody"):
        declared(taken, Phase.SHADOW)


def test_an_update_is_a_change_of_phase_or_something_to_put_right() -> None:
    provider = ComposePhaseProvider()
    old = {"phase": "shadow", "moved": {"bytes": 5.0, "ports": [{"port": 8010.0}]}, "namespace": "x", "drift": []}
    new = {"phase": "shadow", "moved": {"bytes": 5, "ports": [{"port": 8010}]}, "namespace": "x", "drift": []}
    assert provider.diff("sdx", old, new).changes is False
    assert provider.diff("sdx", old, {**new, "phase": "cluster"}).changes is True
    assert provider.diff("sdx", old, {**new, "drift": ["rules"]}).changes is True
    assert provider.diff("sdx", old, {**new, "moved": {"bytes": 6, "ports": []}}).changes is True
    images = ComposeImagesProvider()
    known = {"images": {"a": {"id": "1"}}, "volumes": []}
    assert images.diff("sdx", known, known).changes is False
    assert images.diff("sdx", known, {**known, "images": {"a": {"id": "2"}}}).changes is True
