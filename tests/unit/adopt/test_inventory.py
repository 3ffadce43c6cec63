"""Whatever else is in the namespace is found by asking the API server which kinds it has."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest

from flowmaster.adopt.inventory import others
from flowmaster.cluster.connection import Response
from flowmaster.cluster.errors import ApiError
from tests.unit.adopt.bodies import NAMESPACE, Body, service, state

OWNED = {"ownerReferences": [{"kind": "Deployment", "name": "web"}]}
GROUPS: dict[str, list[tuple[str, str]]] = {
    "v1": [
        ("Pod", "pods"),
        ("ReplicationController", "replicationcontrollers"),
        ("Event", "events"),
        ("Endpoints", "endpoints"),
        ("Binding", "bindings"),
        ("PodTemplate", "podtemplates"),
    ],
    "apps/v1": [("Deployment", "deployments"), ("ReplicaSet", "replicasets")],
    "example.com/v1": [("Widget", "widgets")],
    "example.com/v1alpha1": [("Widget", "widgets"), ("Gadget", "gadgets")],
    "broken.example.com/v1": [],
}
OBJECTS: dict[str, list[Body]] = {
    "pods": [{"name": "not asked for again"}],
    "replicationcontrollers": [{"name": "most"}],
    "podtemplates": [],
    "events": [{"name": "web.1"}],
    "endpoints": [{"name": "web"}, {"name": "by-hand"}],
    "replicasets": [{"name": "bare"}, {"name": "web-1", **OWNED}],
    "widgets": [{"name": "w1"}, {"name": "made", **OWNED}],
}


class Server:
    """An API server with some groups, one of which does not answer and one of whose kinds may not be listed."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def request(self, _method: str, path: str, _: None = None, _headers: Mapping[str, str] | None = None) -> Response:
        """What is served at a path."""
        self.asked.append(path)
        return Response(200, {}, json.dumps(self._answer(path)).encode())

    def _answer(self, path: str) -> Body:
        if path == "/apis":
            return {
                "groups": [
                    _group("apps"),
                    _group("example.com"),
                    _group("broken.example.com"),
                    _group("metrics.k8s.io"),
                ]
            }
        version = path.removeprefix("/apis/").removeprefix("/api/")
        if version == "broken.example.com/v1":
            raise ApiError("no", status=503, reason="service unavailable")
        if version in GROUPS:
            verbs = {"bindings": ["create"]}
            more = [{"name": "widgets/status", "kind": "Widget", "namespaced": True, "verbs": ["get"]}]
            kinds = [
                {"name": plural, "kind": kind, "namespaced": True, "verbs": verbs.get(plural, ["get", "list"])}
                for kind, plural in GROUPS[version]
            ]
            return {"resources": [*kinds, *more]}
        plural = path.rpartition("/")[2]
        if plural == "gadgets":
            raise ApiError("no", status=403, reason="gadgets is forbidden")
        return {"items": [{"metadata": metadata} for metadata in OBJECTS[plural]] or None}


def _group(name: str) -> Body:
    versions = [{"groupVersion": version} for version in GROUPS if version.startswith(f"{name}/")]
    return {"name": name, "versions": versions, "preferredVersion": (versions or [{"groupVersion": f"{name}/v1"}])[0]}


@pytest.fixture
def server() -> Any:
    return Server()


def test_every_object_of_every_other_kind_is_named_unless_another_owns_it(server: Any) -> None:
    found = others(server, state(service("web", [{"port": 80}])))
    assert [(str(ref), version) for ref, version in found.objects] == [
        ("ReplicationController/most", "v1"),
        ("Endpoints/by-hand", "v1"),
        ("ReplicaSet/bare", "apps/v1"),
        ("Widget/w1", "example.com/v1"),
    ]
    assert f"/api/v1/namespaces/{NAMESPACE}/pods" not in server.asked
    assert not [path for path in server.asked if "metrics" in path]


def test_what_cannot_be_listed_is_said(server: Any) -> None:
    assert others(server, state()).unread == [
        ("all kinds of broken.example.com/v1", "service unavailable"),
        ("Gadget (example.com/v1alpha1)", "gadgets is forbidden"),
    ]
