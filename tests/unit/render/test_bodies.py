"""Contracts that the rendered bodies of all thirty services keep."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

from components.kubernetes import hidden
from config.catalogue import Catalogue, SecretObject
from config.load import validate
from config.read_yaml import read_yaml
from config.settings import Settings
from config.types import quantity_value
from flowmaster.render import microservice, names, namespace
from flowmaster.render.manifests import manifests
from flowmaster.render.microservice import memory_limit
from flowmaster.render.override import merge
from tests.conftest import ROOT

SERVICES = sorted(validate(Catalogue, read_yaml(ROOT / "config/catalogue.yaml"), "catalogue").services)

SPEC = {
    "agent-service": (9016, "56Mi"),
    "ai-agent": (9006, "341Mi"),
    "frontend": (3000, "57Mi"),
    "human-task": (9006, "63Mi"),
    "mcp-server": (9000, "43Mi"),
    "websocket-gateway": (9010, "38Mi"),
}


def with_service(settings: Settings, name: str, values: dict[str, Any]) -> Settings:
    """The settings with some values of one service replaced, validated anew."""
    data = settings.catalogue.model_dump(by_alias=True, exclude_unset=True)
    data["services"][name].update(values)
    return dataclasses.replace(settings, catalogue=Catalogue.model_validate(data))


def test_there_are_thirty_services() -> None:
    assert len(SERVICES) == 30


@pytest.mark.parametrize("name", SERVICES)
def test_selector_labels_are_on_the_pods(name: str, demo: Settings) -> None:
    body = microservice.deployment(demo, name)
    selector = body["spec"]["selector"]["matchLabels"]
    assert selector
    assert selector.items() <= body["spec"]["template"]["metadata"]["labels"].items()
    service = microservice.service(demo, name)
    if service:
        assert service["spec"]["selector"] == selector


@pytest.mark.parametrize("name", SERVICES)
def test_an_update_never_goes_below_the_replicas(name: str, demo: Settings) -> None:
    strategy = microservice.deployment(demo, name)["spec"]["strategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}


@pytest.mark.parametrize("name", SERVICES)
def test_containers_are_confined(name: str, demo: Settings) -> None:
    pod = microservice.deployment(demo, name)["spec"]["template"]["spec"]
    assert pod["securityContext"] == {"seccompProfile": {"type": "RuntimeDefault"}}
    assert pod["automountServiceAccountToken"] is False
    for container in pod["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
        }


@pytest.mark.parametrize("name", SERVICES)
def test_what_listens_is_probed_and_served_on_the_same_port(name: str, demo: Settings) -> None:
    container = microservice.deployment(demo, name)["spec"]["template"]["spec"]["containers"][0]
    service = microservice.service(demo, name)
    port = demo.services[name].port
    if port is None:
        assert service is None
        assert "readinessProbe" not in container
        return
    assert container["readinessProbe"]["tcpSocket"] == {"port": port}
    assert container["livenessProbe"]["tcpSocket"] == {"port": port}
    assert service is not None
    assert service["spec"]["ports"] == [{"name": "http", "port": port, "targetPort": port, "protocol": "TCP"}]


@pytest.mark.parametrize("name", SERVICES)
def test_memory_has_a_limit_above_its_request(name: str, demo: Settings) -> None:
    container = microservice.deployment(demo, name)["spec"]["template"]["spec"]["containers"][0]
    if demo.services[name].memory is None:
        assert "resources" not in container
        return
    resources = container["resources"]
    assert quantity_value(resources["limits"]["memory"]) >= 2 * quantity_value(resources["requests"]["memory"])


@pytest.mark.parametrize(("name", "expected"), SPEC.items())
def test_ports_and_memory_are_those_of_the_snapshot(name: str, expected: tuple[int, str], demo: Settings) -> None:
    assert (demo.services[name].port, demo.services[name].memory) == expected


@pytest.mark.parametrize(
    ("request_", "limit"),
    [("23Mi", "128Mi"), ("64Mi", "128Mi"), ("65Mi", "130Mi"), ("341Mi", "682Mi"), ("1Gi", "2048Mi")],
)
def test_the_limit_is_twice_the_request_and_at_least_128mi(request_: str, limit: str) -> None:
    assert memory_limit(request_) == limit


def test_the_three_addresses_of_the_snapshot_are_pinned(demo: Settings) -> None:
    pinned = {
        body["metadata"]["name"]: body["spec"].get("clusterIP")
        for name in demo.services
        if (body := microservice.service(demo, name)) and "clusterIP" in body["spec"]
    }
    assert pinned == {
        "frontend": "10.43.185.219",
        "api-gateway": "10.43.193.134",
        "websocket-gateway": "10.43.43.253",
    }


def test_a_changed_secret_rolls_the_pods_that_read_it(demo: Settings) -> None:
    other = dataclasses.replace(demo, environ={**demo.environ, "FLOWMASTER_SECRET_JWT_SECRET": "another"})
    before = microservice.deployment(demo, "frontend")["spec"]["template"]["metadata"]["annotations"]
    after = microservice.deployment(other, "frontend")["spec"]["template"]["metadata"]["annotations"]
    assert before[names.CONFIG_CHECKSUM] != after[names.CONFIG_CHECKSUM]


def test_configuration_as_it_was_taken_over_writes_no_checksum(demo: Settings) -> None:
    baseline = microservice.config_checksum(demo, "frontend")
    taken_over = with_service(demo, "frontend", {"configBaseline": baseline})
    assert "annotations" not in microservice.deployment(taken_over, "frontend")["spec"]["template"]["metadata"]


def test_no_body_but_a_secret_holds_a_secret(demo: Settings, secrets: dict[str, str]) -> None:
    text = json.dumps([body for body in manifests(demo) if body["kind"] != "Secret"])
    assert secrets
    for value in secrets.values():
        assert value not in text


def test_secret_data_is_what_the_environment_gives(demo: Settings, secrets: dict[str, str]) -> None:
    import base64

    data = namespace.secret(demo, "flowmaster-secrets")["data"]
    assert {key: base64.b64decode(value).decode() for key, value in data.items()} == secrets


def test_a_secret_without_keys_says_nothing_of_data(demo: Settings) -> None:
    catalogue = demo.catalogue.model_copy(
        update={"secrets": {**demo.catalogue.secrets, "empty": validate(SecretObject, {"keys": []}, "empty")}}
    )
    body = namespace.secret(dataclasses.replace(demo, catalogue=catalogue), "empty")
    assert "data" not in body
    assert hidden(body) == body


def test_no_image_is_at_a_range(demo: Settings) -> None:
    images = [microservice.deployment(demo, n)["spec"]["template"]["spec"]["containers"][0]["image"] for n in SERVICES]
    assert len(images) == 30
    assert "ghcr.io/flowmaster/auth-service:latest" in images
    assert "localhost:30500/flowmaster/agent-service:r47" in images


def test_an_override_merges_named_items_and_removes_by_null(demo: Settings) -> None:
    override = {
        "spec": {
            "strategy": {"type": "Recreate", "rollingUpdate": None},
            "template": {"spec": {"containers": [{"name": "frontend", "stdin": True}], "hostNetwork": False}},
        }
    }
    changed = with_service(demo, "frontend", {"override": {"deployment": override}})
    body: Any = microservice.deployment(changed, "frontend")
    assert body["spec"]["strategy"] == {"type": "Recreate"}
    container = body["spec"]["template"]["spec"]["containers"][0]
    assert container["stdin"] is True
    assert container["image"].endswith("frontend:ea2a29b")


@pytest.mark.parametrize(
    ("body", "patch", "expected"),
    [
        ({"a": 1}, {"a": None}, {}),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, {"a": {"b": 1, "c": 2}}),
        ([1, 2], [3], [3]),
        ([{"name": "a", "v": 1}], [{"name": "b"}], [{"name": "a", "v": 1}, {"name": "b"}]),
        ([{"name": "a"}, {"name": "b"}], [{"name": "a", "$remove": True}], [{"name": "b"}]),
        (None, {"a": {"b": None}}, {"a": {}}),
        (
            [{"name": "a"}, {"name": "b"}],
            [{"name": "c", "$after": "a"}, {"name": "d", "$after": "gone"}, {"name": "e", "$after": ""}],
            [{"name": "e"}, {"name": "a"}, {"name": "c"}, {"name": "b"}, {"name": "d"}],
        ),
        (None, {"a": [{"name": "c", "$after": "x"}, {"name": "d", "$remove": True}]}, {"a": [{"name": "c"}]}),
    ],
)
def test_merge_patches(body: Any, patch: Any, expected: Any) -> None:
    assert merge(body, patch) == expected
