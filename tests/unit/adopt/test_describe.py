"""Writing live Deployments down: what is rendered from it is what was live, in all its variety."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from flowmaster.adopt import service as services
from flowmaster.adopt.describe import describe
from flowmaster.adopt.desired import desired_body, with_defaults
from flowmaster.adopt.override import override
from flowmaster.cluster.schema import schema
from flowmaster.compare.three_way import compare
from flowmaster.render.override import merge
from tests.conftest import ROOT
from tests.unit.adopt.bodies import COMMON, REGISTRY, Body, deployment, live, service, state


def _hand_made() -> dict[str, tuple[Body, Body | None]]:
    found = {}
    for path in sorted((ROOT / "lab/handmade/kubernetes").glob("*.yaml")):
        bodies = {body["kind"]: body for body in yaml.safe_load_all(path.read_text())}
        found[path.stem] = (bodies["Deployment"], bodies.get("Service"))
    return found


HAND_MADE = _hand_made()


def test_there_are_thirty_of_them() -> None:
    assert len(HAND_MADE) == 30


@pytest.mark.parametrize("name", HAND_MADE)
def test_what_is_meant_is_the_live_object_without_its_defaults(name: str) -> None:
    deployment = live(HAND_MADE[name][0])
    essence = desired_body(deployment)
    assert not compare(
        with_defaults("Deployment", name, deployment),
        with_defaults("Deployment", name, essence),
        schema=schema("Deployment"),
    )
    assert "terminationMessagePath" not in str(essence)
    assert "dnsPolicy" not in str(essence)


@pytest.mark.parametrize("name", HAND_MADE)
def test_the_description_renders_to_what_is_live(name: str) -> None:
    from flowmaster.render import microservice

    deployment, service = HAND_MADE[name]
    described = services.describe(
        name, desired_body(live(deployment)), desired_body(live(service)) if service else None, REGISTRY, COMMON
    )
    settings = services._alone(name, described, REGISTRY, COMMON)
    for kind, body, rendered in (
        ("Deployment", deployment, microservice.deployment(settings, name)),
        ("Service", service, microservice.service(settings, name)),
    ):
        if body is None:
            assert rendered is None
            continue
        made: Any = rendered
        found = compare(
            with_defaults(kind, name, desired_body(live(body))),
            with_defaults(kind, name, desired_body(live(dict(made)))),
            schema=schema(kind),
        )
        assert not found


@pytest.mark.parametrize("name", HAND_MADE)
def test_the_order_of_containers_variables_and_volumes_is_kept(name: str) -> None:
    from flowmaster.render import microservice

    deployment = HAND_MADE[name][0]
    described = services.describe(name, desired_body(live(deployment)), None, REGISTRY, COMMON)
    made: Any = microservice.deployment(services._alone(name, described, REGISTRY, COMMON), name)
    ours, theirs = made["spec"]["template"]["spec"], deployment["spec"]["template"]["spec"]
    assert [v["name"] for v in ours.get("volumes", ())] == [v["name"] for v in theirs.get("volumes", ())]
    for one, other in zip(ours["containers"], theirs["containers"], strict=True):
        assert one["name"] == other["name"]
        for part in ("env", "volumeMounts"):
            assert [v["name"] for v in one.get(part, ())] == [v["name"] for v in other.get(part, ())]


def test_a_password_in_a_variable_is_sealed() -> None:
    deployment = HAND_MADE["bac-marketplace"][0]
    described = services.describe("bac-marketplace", desired_body(live(deployment)), None, REGISTRY, COMMON)
    assert described.entry["env"]["DATABASE_URL"] == {"sealed": True}
    assert "written-out-by-hand" in described.sealed["DATABASE_URL"]
    assert "written-out-by-hand" not in str(described.entry)
    assert "written-out-by-hand" not in repr(described)


@pytest.mark.parametrize(
    ("rendered", "wanted"),
    [
        ({"replicas": 1}, {"replicas": 2}),
        ({"strategy": {"type": "RollingUpdate"}}, {"strategy": {"type": "Recreate"}}),
        (
            {"template": {"spec": {"containers": [{"name": "a"}]}}},
            {"template": {"spec": {"containers": [{"name": "b"}]}}},
        ),
        (
            {"template": {"spec": {"containers": [{"name": "a", "env": [{"name": "X", "value": "1"}]}]}}},
            {"template": {"spec": {"containers": [{"name": "a", "env": [{"name": "Y", "value": "2"}]}]}}},
        ),
        (
            {"template": {"spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1, "name": "x"}]}]}}},
            {
                "template": {
                    "spec": {"containers": [{"name": "a", "ports": [{"containerPort": 1}, {"containerPort": 2}]}]}
                }
            },
        ),
        (
            {"template": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}},
            {"template": {"spec": {"containers": [{"name": "b"}, {"name": "a", "tty": True}]}}},
        ),
    ],
)
def test_an_override_makes_the_wanted_of_the_rendered(rendered: Body, wanted: Body) -> None:
    one, other = ({"metadata": {}, "spec": spec} for spec in (rendered, wanted))
    patch = override("Deployment", "x", one, other)
    made = merge(one, patch)
    assert not compare(
        with_defaults("Deployment", "x", other), with_defaults("Deployment", "x", made), schema=schema("Deployment")
    )
    names = [c["name"] for c in other["spec"].get("template", {}).get("spec", {}).get("containers", ())]
    assert [c["name"] for c in made["spec"].get("template", {}).get("spec", {}).get("containers", ())] == names


def test_no_override_where_both_say_the_same() -> None:
    body = {"metadata": {}, "spec": {"replicas": 1}}
    assert override("Deployment", "x", body, {"metadata": {}, "spec": {}}) == {}


@pytest.mark.parametrize(
    ("ports", "spec"),
    [
        ([{"name": "http", "port": 80, "targetPort": 7000, "nodePort": 30080}], {}),
        ([{"name": "http", "port": 7000, "nodePort": 30080}], {}),
        ([{"port": 7000, "nodePort": 30080}, {"port": 53, "protocol": "UDP", "nodePort": 30053}], {}),
        (
            [{"name": "http", "port": 7000, "nodePort": 30080}],
            {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 31000},
        ),
    ],
)
def test_ports_of_the_nodes_are_kept(ports: list[Body], spec: Body) -> None:
    from flowmaster.render import microservice

    body = live(deployment("web", ports=[{"containerPort": 7000}]))
    address = {"clusterIP": "10.43.0.9", "clusterIPs": ["10.43.0.9"]}
    before = live(service("web", ports, **{"type": "NodePort", **address, **spec}))
    described = services.describe("web", desired_body(body), desired_body(before), REGISTRY, COMMON)
    made: Any = microservice.service(services._alone("web", described, REGISTRY, COMMON), "web")
    assert [port["nodePort"] for port in made["spec"]["ports"]] == [port["nodePort"] for port in ports]
    assert made["spec"].get("healthCheckNodePort") == spec.get("healthCheckNodePort")
    assert "clusterIPs" not in made["spec"]


def test_a_raw_service_keeps_its_ports_of_the_nodes() -> None:
    public = service("public", [{"port": 80, "nodePort": 30081}], type="NodePort")
    spec = describe(state(public), REGISTRY).catalogue["rawServices"]["public"]["spec"]
    assert spec["ports"] == [{"port": 80, "nodePort": 30081}]


def test_what_is_new_in_a_list_gets_its_place_and_nothing_else_of_the_list_is_said() -> None:
    names = ("A", "LIMIT", "B", "C", "LAST")
    wanted = [{"name": n, "value": n} for n in names]
    rendered = [{"name": n, "value": n} for n in ("A", "B", "C")]
    one, other = (
        {"spec": {"template": {"spec": {"containers": [{"name": "a", "env": e}]}}}} for e in (rendered, wanted)
    )
    patch = override("Deployment", "x", {"metadata": {}, **one}, {"metadata": {}, **other})
    [container] = patch["spec"]["template"]["spec"]["containers"]
    assert container["env"] == [
        {"name": "LIMIT", "value": "LIMIT", "$after": "A"},
        {"name": "LAST", "value": "LAST", "$after": "C"},
    ]
    assert merge(one, patch)["spec"]["template"]["spec"]["containers"][0]["env"] == wanted


def test_ports_and_mounts_are_told_by_their_names_where_they_have_them() -> None:
    one: Body
    other: Body
    one, other = ({"metadata": {}, "spec": {"ports": [{"name": "http", "port": p}]}} for p in (7000, 80))
    assert override("Service", "x", one, other)["spec"] == {"ports": [{"name": "http", "port": 80, "targetPort": 80}]}
    mounts = [{"name": "b", "mountPath": "/b", "subPath": "x"}, {"name": "a", "mountPath": "/a"}]
    one, other = (
        {"metadata": {}, "spec": {"template": {"spec": {"containers": [{"name": "c", "volumeMounts": mounts[n:]}]}}}}
        for n in (1, 0)
    )
    [container] = override("Deployment", "x", one, other)["spec"]["template"]["spec"]["containers"]
    assert container["volumeMounts"] == [{**mounts[0], "$after": ""}]
