"""Kinds: what each is called here, and where the API has it."""

from __future__ import annotations

import pytest

from flowmaster.cluster.errors import ApiError
from flowmaster.cluster.kinds import path_of
from flowmaster.cluster.masking import Masker
from flowmaster.cluster.reader import LiveState, read_more
from flowmaster.compare.finding import ObjectRef
from flowmaster.drift.last_applied import Applied
from flowmaster.drift.objects import Comparison, compare_object, reference

GATEWAY = {"apiVersion": "networking.example.dev/v1", "kind": "Gateway", "metadata": {"name": "edge", "namespace": "n"}}
REF = ObjectRef("Gateway.networking.example.dev", "n", "edge")
DEFINITION = {
    "spec": {
        "versions": [
            {
                "name": "v1",
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": {
                                    "mode": {"type": "string", "default": "strict"},
                                    "selector": {"type": "object", "additionalProperties": {"type": "string"}},
                                    "servers": {
                                        "type": "array",
                                        "x-kubernetes-list-type": "map",
                                        "x-kubernetes-list-map-keys": ["name"],
                                        "items": {
                                            "type": "object",
                                            "properties": {
                                                "name": {"type": "string"},
                                                "port": {"type": "integer"},
                                                "protocol": {"type": "string", "default": "TCP"},
                                            },
                                        },
                                    },
                                },
                            }
                        },
                    }
                },
            }
        ]
    }
}


class Api:
    """An API server with one custom resource; `definition` is what it says of it."""

    server = "https://10.77.0.2:6443"

    def __init__(self, live: dict[str, object], definition: object = DEFINITION) -> None:
        self.live, self.definition, self.asked = live, definition, list[str]()

    def get(self, path: str) -> dict[str, object]:
        self.asked.append(path)
        if path == "/apis/networking.example.dev/v1":
            names = [("Gateway", "gateways/status"), ("Gateway", "gateways")]
            return {"resources": [{"kind": k, "name": n, "namespaced": True} for k, n in names]}
        if path == "/apis/networking.example.dev/v1/namespaces/n/gateways":
            return {"items": [self.live]}
        if path.startswith("/apis/apiextensions.k8s.io/") and isinstance(self.definition, dict):
            return self.definition
        raise ApiError(f"{path}: forbidden", "", "", status=403)


def spec(**fields: object) -> dict[str, object]:
    return {**GATEWAY, "spec": fields}


def compared(declared: dict[str, object], live: dict[str, object], api: Api | None = None) -> list[str]:
    state = LiveState(Api.server, "n")
    read_more(api or Api(live), state, [("networking.example.dev/v1", REF)])
    comparison = Comparison(Applied(), state, Masker())
    return [f.path for f in compare_object(REF, declared, state.objects[REF], comparison)]


def test_a_kind_of_another_group_is_called_by_its_group_too() -> None:
    assert reference(dict(GATEWAY), "other") == REF
    assert (
        reference({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "x"}}, "n").kind == "Deployment"
    )
    assert reference({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": "x"}}, "n").namespace == ""


def test_the_api_server_says_where_a_custom_resource_is() -> None:
    state = LiveState(Api.server, "n")
    api = Api(spec(mode="strict"))
    read_more(api, state, [("networking.example.dev/v1", REF)])
    assert state.objects[REF]["kind"] == "Gateway"
    assert path_of(REF) == "/apis/networking.example.dev/v1/namespaces/n/gateways/edge"


def test_a_terse_manifest_is_no_finding_and_one_element_is_one_difference() -> None:
    servers = {"servers": [{"name": "a", "port": 80}, {"name": "b", "port": 81}]}
    declared = spec(**servers)
    filled = [{"name": "b", "port": 81, "protocol": "TCP"}, {"name": "a", "port": 80, "protocol": "TCP"}]
    assert compared(declared, spec(mode="strict", servers=filled)) == []
    changed = [{"name": "b", "port": 8443, "protocol": "TCP"}, {"name": "a", "port": 80, "protocol": "TCP"}]
    changed_by_hand = spec(mode="lax", servers=changed)
    assert compared(spec(mode="strict", **servers), changed_by_hand) == ["spec.mode", "spec.servers[b].port"]


@pytest.mark.parametrize("live", [spec(selector={"app": "x", "more": "y"})])
def test_a_definition_that_cannot_be_read_leaves_the_rest_as_it_was(live: dict[str, object]) -> None:
    api = Api(live, definition=None)
    assert "spec.selector.app" in " ".join(compared(spec(selector={"app": "z", "more": "y"}), live, api)).replace(
        "[", "."
    ).replace("]", "")
