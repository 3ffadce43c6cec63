"""Writing live Deployments down: what is rendered from it is what was live, in all its variety."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from adopt import service as services
from adopt.essence import full, meant
from adopt.patch import override
from components.bodies.merge import merged
from drift.compare import compare
from drift.kubernetes.schema import schema
from tests.conftest import ROOT

COMMON = {
    "labels": "app",
    "probes": "none",
    "resources": "none",
    "security": "none",
    "strategy": "default",
    "portName": "",
    "imagePullPolicy": "Always",
}
REGISTRY = "localhost:30500/flowmaster"
Body = dict[str, Any]


def _hand_made() -> dict[str, tuple[Body, Body | None]]:
    found = {}
    for path in sorted((ROOT / "lab/handmade/kubernetes").glob("*.yaml")):
        bodies = {body["kind"]: body for body in yaml.safe_load_all(path.read_text())}
        found[path.stem] = (bodies["Deployment"], bodies.get("Service"))
    return found


HAND_MADE = _hand_made()


def live(body: Body) -> Body:
    """As the API server would give it back: with its defaults."""
    filled = full(body["kind"], body["metadata"]["name"], body)
    filled["metadata"] = {**filled["metadata"], "name": body["metadata"]["name"], "uid": "u", "resourceVersion": "1"}
    return {"apiVersion": body["apiVersion"], "kind": body["kind"], **filled}


def test_there_are_thirty_of_them() -> None:
    assert len(HAND_MADE) == 30


@pytest.mark.parametrize("name", HAND_MADE)
def test_what_is_meant_is_the_live_object_without_its_defaults(name: str) -> None:
    deployment = live(HAND_MADE[name][0])
    essence = meant(deployment)
    assert not compare(
        full("Deployment", name, deployment), full("Deployment", name, essence), schema=schema("Deployment")
    )
    assert "terminationMessagePath" not in str(essence)
    assert "dnsPolicy" not in str(essence)


@pytest.mark.parametrize("name", HAND_MADE)
def test_the_description_renders_to_what_is_live(name: str) -> None:
    from components.bodies import microservice

    deployment, service = HAND_MADE[name]
    described = services.describe(
        name, meant(live(deployment)), meant(live(service)) if service else None, REGISTRY, COMMON
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
            full(kind, name, meant(live(body))), full(kind, name, meant(live(dict(made)))), schema=schema(kind)
        )
        assert not found


@pytest.mark.parametrize("name", HAND_MADE)
def test_the_order_of_containers_variables_and_volumes_is_kept(name: str) -> None:
    from components.bodies import microservice

    deployment = HAND_MADE[name][0]
    described = services.describe(name, meant(live(deployment)), None, REGISTRY, COMMON)
    made: Any = microservice.deployment(services._alone(name, described, REGISTRY, COMMON), name)
    ours, theirs = made["spec"]["template"]["spec"], deployment["spec"]["template"]["spec"]
    assert [v["name"] for v in ours.get("volumes", ())] == [v["name"] for v in theirs.get("volumes", ())]
    for one, other in zip(ours["containers"], theirs["containers"], strict=True):
        assert one["name"] == other["name"]
        for part in ("env", "volumeMounts"):
            assert [v["name"] for v in one.get(part, ())] == [v["name"] for v in other.get(part, ())]


def test_a_password_in_a_variable_is_sealed() -> None:
    deployment = HAND_MADE["bac-marketplace"][0]
    described = services.describe("bac-marketplace", meant(live(deployment)), None, REGISTRY, COMMON)
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
    made = merged(one, patch)
    assert not compare(full("Deployment", "x", other), full("Deployment", "x", made), schema=schema("Deployment"))
    names = [c["name"] for c in other["spec"].get("template", {}).get("spec", {}).get("containers", ())]
    assert [c["name"] for c in made["spec"].get("template", {}).get("spec", {}).get("containers", ())] == names


def test_no_override_where_both_say_the_same() -> None:
    body = {"metadata": {}, "spec": {"replicas": 1}}
    assert override("Deployment", "x", body, {"metadata": {}, "spec": {}}) == {}
