"""An object that is declared in another part of the catalogue has the URN that it had as an alias."""

from __future__ import annotations

import pulumi
import pytest

from components import aliases

SERVICE = "kubernetes:core/v1:Service"
BEGIN = "urn:pulumi:demo::flowmaster::flowmaster:index:FlowMaster"


@pytest.fixture(autouse=True)
def stack(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulumi, "get_stack", lambda: "demo")
    monkeypatch.setattr(pulumi, "get_project", lambda: "flowmaster")


@pytest.mark.parametrize("part", ["ExternalService", "RawService", "Microservice", "DeclaredObject"])
def test_a_service_may_have_been_in_each_other_part(part: str) -> None:
    found = aliases.of_object(SERVICE, "redis", part)
    others = {"ExternalService", "RawService", "Microservice", "DeclaredObject"} - {part}
    assert set(found) == {f"{BEGIN}$flowmaster:index:{other}${SERVICE}::redis" for other in others}


def test_what_only_one_part_declares_has_none() -> None:
    assert aliases.of_object("kubernetes:core/v1:Namespace", "flowmaster", "SharedSpace") == []
    # a service of a compose project is in none of the parts
    assert aliases.of_object(SERVICE, "sdx", "ComposeProject") == []


def test_the_component_of_one_service_follows_it() -> None:
    assert aliases.of_component("redis", "RawService") == [f"{BEGIN}$flowmaster:index:ExternalService::redis"]
    assert aliases.of_component("web", "Microservice") == []
