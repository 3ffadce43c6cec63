"""Contracts over all services as the engine sees them."""

from __future__ import annotations

import dataclasses

import pulumi
from pulumi.runtime.mocks import test as pulumi_test

from components.flowmaster import FlowMaster
from config.settings import Settings
from tests.components.conftest import Recorder

DEPLOYMENT = "kubernetes:apps/v1:Deployment"
SERVICE = "kubernetes:core/v1:Service"


def run(settings: Settings) -> FlowMaster:
    """Register the whole and wait for it."""
    made: list[FlowMaster] = []

    @pulumi_test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[object]:
        made.append(FlowMaster("flowmaster", settings))
        return pulumi.Output.all(made[0].addresses)

    program()
    return made[0]


def test_every_service_of_the_catalogue_becomes_a_deployment(engine: Recorder, demo: Settings) -> None:
    run(demo)
    deployments = engine.of(DEPLOYMENT)
    assert len(deployments) == 30
    assert set(deployments) == set(demo.services)


def test_services_exist_for_all_that_listen_and_for_the_external_names(engine: Recorder, demo: Settings) -> None:
    run(demo)
    services = engine.of(SERVICE)
    listening = {name for name, entry in demo.services.items() if entry.port}
    assert set(services) == listening | {"arangodb", "postgres", "redis"}
    assert services["redis"]["spec"]["externalName"] == "redis.databases.svc.cluster.local"


def test_the_bodies_reach_the_provider_unchanged(engine: Recorder, demo: Settings) -> None:
    from flowmaster.render import microservice

    run(demo)
    for name, inputs in engine.of(DEPLOYMENT).items():
        body = microservice.deployment(demo, name)
        assert inputs["spec"] == body["spec"]
        assert inputs["metadata"] == body["metadata"]


def test_outputs_tell_addresses_and_versions(engine: Recorder, demo: Settings) -> None:
    flowmaster = run(demo)
    assert flowmaster.versions["scheduling"] == "localhost:30500/flowmaster/scheduling:192c806d"
    assert set(flowmaster.addresses) == {name for name, entry in demo.services.items() if entry.port}
    assert flowmaster.hosts["arangodb"] == "arangodb.databases.svc.cluster.local"


def test_type_tokens_are_those_of_the_project(engine: Recorder, demo: Settings) -> None:
    flowmaster = run(demo)
    assert flowmaster.pulumi_resource_type == "flowmaster:index:FlowMaster"
    assert flowmaster.space.pulumi_resource_type == "flowmaster:index:SharedSpace"
    assert flowmaster.services["frontend"].pulumi_resource_type == "flowmaster:index:Microservice"


def test_kinds_of_two_groups_with_one_name_are_two_resources(engine: Recorder, demo: Settings) -> None:
    groups = ("gateway.example.dev", "mesh.example.dev")
    objects = {
        f"{group}.yaml": {"apiVersion": f"{group}/v1", "kind": "Gateway", "metadata": {"name": "edge"}}
        for group in groups
    }
    made = run(dataclasses.replace(demo, objects=objects)).objects
    assert {resource.pulumi_resource_name for resource in made.values()} == {f"Gateway.{g}-edge" for g in groups}
