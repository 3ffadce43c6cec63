"""What is asked before anything is declared: the right cluster, and images that are there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pytest

from config import load
from config.catalogue import Catalogue
from config.errors import MAX_LINES
from config.settings import Settings
from config.stack import Stack
from flowmaster.cluster.connection import Api, ApiError, Response, UnreachableError
from flowmaster.drift.preflight import PreflightError, check_identity, check_images

UID = "6f2d4c1e-0000-4000-8000-000000000001"
REGISTRY = "/api/v1/nodes/demo:30500/proxy/v2/"


@dataclass
class Server:
    """An API server before a registry that has every image but the missing ones."""

    server: str = "https://10.77.0.2:6443"
    missing: frozenset[str] = frozenset()
    nodes: tuple[str, ...] = ("demo",)
    registry_status: int | None = 200
    tags: object = ("r1", "r2")
    asked: list[str] = field(default_factory=list)

    def get(self, path: str, _parameters: Mapping[str, Any] | None = None) -> Any:
        self.asked.append(path)
        if path.endswith("/kube-system"):
            return {"metadata": {"uid": UID}}
        if path.endswith("/tags/list"):
            if isinstance(self.tags, Exception):
                raise self.tags
            return {"tags": self.tags}
        assert path == "/api/v1/nodes"
        return {"items": [{"metadata": {"name": name}} for name in self.nodes]}

    def request(self, method: str, path: str, _parameters: None = None, headers: Any = None) -> Response:
        assert method == "HEAD"
        assert path.startswith(REGISTRY)
        assert "application/vnd.oci.image.index.v1+json" in headers["Accept"]
        self.asked.append(path)
        if self.registry_status is None:
            raise UnreachableError("the API server does not answer")
        if self.registry_status != 200:
            raise ApiError("refused", status=self.registry_status)
        if path.removeprefix(REGISTRY) in self.missing:
            raise ApiError("404", status=404)
        return Response(200, {"docker-content-digest": "sha256:" + "0" * 64}, b"")


def api(server: Server) -> Api:
    return cast(Api, server)


def refusal(settings: Settings, server: Server) -> str:
    with pytest.raises(PreflightError) as caught:
        check_images(settings, api(server))
    message = str(caught.value)
    assert len(message.splitlines()) <= MAX_LINES
    return message


@pytest.fixture
def settings(demo_values: dict[str, Any], catalogue_values: dict[str, Any]) -> Settings:
    demo_values["cluster"]["uid"] = UID
    return Settings(
        name="demo",
        stack=load.validate(Stack, demo_values, "stack"),
        catalogue=load.validate(Catalogue, catalogue_values, "catalogue"),
        environ={},
    )


def test_the_cluster_of_the_stack_is_accepted(settings: Settings) -> None:
    check_identity(settings, api(Server()))


def test_another_cluster_is_refused_with_both_identities(settings: Settings) -> None:
    other = UID.replace("1", "2")
    cluster = settings.stack.cluster.model_copy(update={"uid": other})
    stack = settings.stack.model_copy(update={"cluster": cluster})
    elsewhere = Settings(name="demo", stack=stack, catalogue=settings.catalogue, environ={})
    with pytest.raises(PreflightError) as caught:
        check_identity(elsewhere, api(Server()))
    message = str(caught.value)
    assert len(message.splitlines()) <= MAX_LINES
    for words in (UID, other, "https://10.77.0.2:6443", "'demo'", "KUBECONFIG"):
        assert words in message


def test_every_image_of_the_local_registry_is_asked_for_once_and_no_other(settings: Settings) -> None:
    server = Server()
    check_images(settings, api(server))
    asked = [path.removeprefix(REGISTRY) for path in server.asked if path.startswith(REGISTRY)]
    assert len(asked) == len(set(asked)) == 27
    assert "flowmaster/frontend/manifests/ea2a29b" in asked
    assert not [path for path in asked if "auth-service" in path], "only the node can reach ghcr.io"
    assert not [path for path in asked if "data-intelligence" in path], "nothing of it is to run"


def test_images_that_run_by_now_are_not_asked_for(settings: Settings) -> None:
    server = Server()
    check_images(settings, api(server), running={settings.image(name) for name in settings.services})
    assert server.asked == []


def test_a_missing_image_is_refused_with_the_tags_that_are_there(settings: Settings) -> None:
    message = refusal(settings, Server(missing=frozenset({"flowmaster/frontend/manifests/ea2a29b"})))
    assert message.splitlines() == [
        "frontend: the registry has no image localhost:30500/flowmaster/frontend:ea2a29b",
        "its pods could not start; tags there: r1, r2",
        "push it to the registry on the server, or correct the tag in the stack",
    ]


def test_several_missing_images_are_named(settings: Settings) -> None:
    server = Server(
        missing=frozenset({"flowmaster/frontend/manifests/ea2a29b", "flowmaster/manager-app/manifests/r30"})
    )
    assert "(and 1 more: manager-app)" in refusal(settings, server)


@pytest.mark.parametrize("tags", [None, ApiError("404", status=404)], ids=["no tags", "no repository"])
def test_a_repository_without_tags_is_no_error_of_its_own(settings: Settings, tags: object) -> None:
    server = Server(missing=frozenset({"flowmaster/frontend/manifests/ea2a29b"}), tags=tags)
    assert "its pods could not start\n" in refusal(settings, server)


def test_a_registry_that_does_not_answer_is_refused(settings: Settings) -> None:
    message = refusal(settings, Server(registry_status=503))
    assert "the registry localhost:30500 on node demo does not answer" in message
    assert "nodes/proxy" in message


def test_an_api_server_that_goes_away_says_so_itself(settings: Settings) -> None:
    with pytest.raises(UnreachableError):
        check_images(settings, api(Server(registry_status=None)))


def test_a_cluster_without_a_node_is_refused(settings: Settings) -> None:
    assert "the cluster has no node" in refusal(settings, Server(nodes=()))
