"""A whole namespace written down: what is taken over, what is left as it is, and what is said about it."""

from __future__ import annotations

from typing import Any

import pytest

from config.catalogue import Catalogue
from config.stack import Release
from flowmaster.adopt.describe import Description, describe
from flowmaster.compare.finding import ObjectRef
from tests.unit.adopt.bodies import NAMESPACE, REGISTRY, Body, config_map, deployment, secret, service, state

DIGEST = "sha256:" + "0" * 64
OWNED = {"ownerReferences": [{"apiVersion": "v1", "kind": "Certificate", "name": "web", "uid": "1"}]}


def described(*bodies: Body) -> Description:
    """The description, which the models have to take."""
    found = describe(state(*bodies), REGISTRY)
    Catalogue.model_validate(found.catalogue)
    for release in found.services.values():
        Release.model_validate(release)
    return found


def unmanaged(found: Description) -> dict[str, str]:
    return {str(ref): why for ref, why in found.unmanaged}


def override(found: Description, name: str) -> Any:
    return found.catalogue["services"][name].get("override", {}).get("deployment", {}).get("spec", {})


@pytest.mark.parametrize(
    ("image", "repository", "release"),
    [
        ("busybox", "busybox", {"tag": ""}),
        ("nginx:1.27", "nginx", {"tag": "1.27"}),
        (f"nginx:1.27@{DIGEST}", "nginx", {"tag": "1.27", "digest": DIGEST}),
        (f"nginx@{DIGEST}", "nginx", {"tag": "", "digest": DIGEST}),
        (f"ghcr.io/a/b:v1@{DIGEST}", "ghcr.io/a/b", {"tag": "v1", "digest": DIGEST}),
        ("localhost:30500/flowmaster/web:r1", None, {"tag": "r1"}),
    ],
)
def test_every_image_is_a_repository_a_tag_and_a_digest(image: str, repository: str | None, release: Body) -> None:
    found = described(deployment("web", image=image))
    assert found.catalogue["services"]["web"].get("image") == repository
    assert found.services["web"] == release
    assert not override(found, "web")


@pytest.mark.parametrize(
    ("container", "kept"),
    [
        ({"image": "localhost:30500/flowmaster/web:r36-r47"}, "image"),
        ({"resources": {"requests": {"memory": "1e6"}}}, "resources"),
        ({"readinessProbe": {"httpGet": {"path": "healthz", "port": 1}}}, "readinessProbe"),
        ({"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]}, "env"),
        ({"env": [{"name": "A=B", "value": "1"}]}, "env"),
    ],
)
def test_what_no_model_holds_is_in_the_override(container: Body, kept: str) -> None:
    found = described(deployment("web", **container))
    assert kept in override(found, "web")["template"]["spec"]["containers"][0]


def test_a_variable_may_be_called_what_kubernetes_lets_it() -> None:
    env = [{"name": "1X", "value": "a"}, {"name": "with space", "value": "b"}]
    assert described(deployment("web", env=env)).catalogue["services"]["web"]["env"] == {"1X": "a", "with space": "b"}


def test_a_deployment_with_dots_in_its_name_becomes_a_manifest() -> None:
    found = described(deployment("v1.2-dotted"), deployment("web"))
    assert list(found.catalogue["services"]) == ["web"]
    assert unmanaged(found) == {}
    assert [str(ref) for ref in found.objects] == ["Deployment/v1.2-dotted"]


def test_what_is_read_and_not_managed_is_in_the_override_and_listed() -> None:
    found = described(
        config_map("kube-root-ca.crt", {"ca.crt": "x"}),
        config_map("fine", {"a": "b"}),
        secret("web-tls", {"tls.key": "y"}, **OWNED),
        deployment(
            "web",
            env=[
                {"name": "A", "valueFrom": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "ca.crt"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "fine", "key": "a"}}},
            ],
            envFrom=[{"secretRef": {"name": "nowhere", "optional": True}}],
            volumeMounts=[{"name": "fine", "mountPath": "/fine"}, {"name": "tls", "mountPath": "/tls"}],
            pod={
                "volumes": [
                    {"name": "fine", "configMap": {"name": "fine"}},
                    {"name": "tls", "secret": {"secretName": "web-tls"}},
                ]
            },
        ),
    )
    entry = found.catalogue["services"]["web"]
    assert entry["env"] == {"B": {"configMap": "fine", "key": "a"}}
    assert entry["volumes"] == {"fine": {"mountPath": "/fine", "configMap": "fine"}}
    pod = override(found, "web")["template"]["spec"]
    assert pod["volumes"] == [{"name": "tls", "secret": {"secretName": "web-tls"}}]
    assert [variable["name"] for variable in pod["containers"][0]["env"]] == ["A"]
    assert sorted(what for _, what in found.external) == [
        "reads ConfigMap/kube-root-ca.crt, which is not managed",
        "reads Secret/nowhere, which is not there",
        "reads Secret/web-tls, which is not managed",
    ]


def test_what_holds_a_secret_in_the_clear_and_cannot_seal_it_is_left_as_it_is() -> None:
    known = "hunter2supersecret"
    found = described(
        secret("db", {"PASSWORD": known, "USER": "flowmaster"}),
        config_map("conf", {"url": f"postgres://u:{known}@db/x", "DB_PASSWORD": "other-77"}),
        config_map("notes", {"a": "b"}, annotations={"note": f"x {known}"}),
        config_map("fine", {"url": "postgres://flowmaster@db/x", "TOKEN_TTL": "15m"}),
        deployment("web", envFrom=[{"configMapRef": {"name": "conf"}}]),
    )
    left = unmanaged(found)
    assert "(data[url], data[DB_PASSWORD])" in left["ConfigMap/conf"]
    assert "(metadata.annotations[note])" in left["ConfigMap/notes"]
    assert list(found.catalogue["configMaps"]) == ["fine"]
    assert known not in str(found.catalogue)
    assert found.external == [(ObjectRef("Deployment", NAMESPACE, "web"), "reads ConfigMap/conf, which is not managed")]


def test_a_service_whose_port_no_field_says_is_kept_as_it_is() -> None:
    found = described(deployment("web"), service("web", [{"port": 80, "targetPort": "http"}]))
    assert found.catalogue["services"]["web"]["expose"] is False
    assert found.catalogue["rawServices"]["web"]["spec"]["ports"] == [{"port": 80, "targetPort": "http"}]


def test_a_pod_that_nobody_makes_again_is_listed() -> None:
    bare = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "bare"}, "spec": {"containers": []}}
    owned = {**bare, "metadata": {"name": "web-1", "ownerReferences": [{"kind": "ReplicaSet", "name": "web"}]}}
    assert unmanaged(described(bare, owned)) == {"Pod/bare": "a bare pod: nothing would make it again as it is"}
