"""What is written down and has no effect, because an override has the last word, is said."""

from __future__ import annotations

from typing import Any

import pytest

from config.settings import Settings
from flowmaster.adopt.desired import desired_body
from flowmaster.adopt.service import Context, _alone, describe
from flowmaster.render.ineffective_fields import ineffective_fields
from tests.unit.adopt.bodies import COMMON, REGISTRY, deployment, live, service
from tests.unit.render.test_bodies import with_service

Body = dict[str, Any]


def _container(**keys: Any) -> Body:
    return {"deployment": {"spec": {"template": {"spec": {"containers": [{"name": "frontend", **keys}]}}}}}


@pytest.mark.parametrize(
    ("override", "entry", "fields"),
    [
        (_container(stdin=True), {}, []),
        (_container(image="other:1"), {}, ["tag"]),
        (_container(image="other:1"), {"image": "some/image"}, ["image", "tag"]),
        (_container(env=[{"name": "A", "value": "1"}]), {"env": {"A": "0", "B": "0"}}, ["env.A"]),
        (
            _container(env={"$replace": [{"name": "A", "value": "1"}]}),
            {"env": {"A": "0", "B": "0"}},
            ["env.A", "env.B"],
        ),
        (_container(env=[{"name": "C", "value": "1", "$after": "A"}]), {"env": {"A": "0", "B": "0"}}, []),
        (_container(args=["x"], command=["y"]), {"args": ["a"], "command": ["b"]}, ["command", "args"]),
        (
            _container(readinessProbe=None),
            {"probes": {"readiness": {"http": "/"}, "liveness": {}}},
            ["probes.readiness"],
        ),
        (_container(resources=None), {}, ["memory"]),
        (
            {"deployment": {"metadata": {"annotations": {"x": "1"}}}},
            {"annotations": {"x": "", "y": ""}},
            ["annotations.x"],
        ),
        ({"service": {"spec": {"ports": {"$replace": [{"port": 80}]}}}}, {"nodePort": 30080}, ["nodePort"]),
    ],
)
def test_fields_that_an_override_has_the_last_word_on(
    demo: Settings, override: Body, entry: Body, fields: list[str]
) -> None:
    changed = with_service(demo, "frontend", {**entry, "override": override})
    assert ineffective_fields(changed, "frontend") == fields


def test_replicas_count_only_where_they_are_given(demo: Settings) -> None:
    override = {"deployment": {"spec": {"replicas": 3}}}
    changed = with_service(demo, "frontend", {"override": override})
    given = "replicas" in changed.release("frontend").model_fields_set
    assert ("replicas" in ineffective_fields(changed, "frontend")) is given


def test_adoption_writes_nothing_that_is_without_effect() -> None:
    body = live(
        deployment(
            "web",
            {"name": "side", "image": "busybox"},
            image="busybox:1@sha256:" + "0" * 64,
            env=[
                {"name": "LIMIT", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory"}}},
                {"name": "MODE", "value": "a"},
                {"name": "DB_PASSWORD", "value": "clear"},
            ],
            ports=[{"containerPort": 7000, "name": "web"}],
            volumeMounts=[{"name": "b", "mountPath": "/b", "subPath": "x"}, {"name": "a", "mountPath": "/a"}],
            pod={
                "volumes": [
                    {"name": "a", "emptyDir": {}},
                    {"name": "b", "secret": {"secretName": "x", "items": [{"key": "k", "path": "p"}]}},
                ]
            },
        )
    )
    before = live(service("web", [{"name": "web", "port": 80, "targetPort": 7000, "nodePort": 30080}], type="NodePort"))
    described = describe("web", desired_body(body), desired_body(before), REGISTRY, COMMON, Context())
    assert described.entry["env"] and described.entry["volumes"] and described.entry["override"]
    assert ineffective_fields(_alone("web", described, REGISTRY, COMMON), "web") == []
