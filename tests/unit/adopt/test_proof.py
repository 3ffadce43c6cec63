"""The proof: what taking an object over would change, as the API server and the provider see it."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest

from flowmaster.adopt.proof import Proof, prove
from flowmaster.cluster.connection import Response
from flowmaster.cluster.reader import LiveState
from flowmaster.drift.objects import reference

Body = dict[str, Any]
NAMESPACE = "shop"


class Server:
    """An API server that keeps what is sent, and what it has besides."""

    server = "https://10.77.0.2:6443"

    def __init__(self, live: Body) -> None:
        self.live = live
        self.sent: list[bytes] = []

    def request(self, _method: str, _path: str, _parameters: Body, _headers: Body, body: bytes) -> Response:
        """The object as it was, with what is sent laid over its data."""
        self.sent.append(body)
        result = copy.deepcopy(self.live)
        result.get("data", {}).update(json.loads(body).get("data", {}))
        return Response(200, {}, json.dumps(result).encode())


def proof(live: Body, declared: Body) -> tuple[Proof, Server]:
    state = LiveState("https://10.77.0.2:6443", NAMESPACE, {reference(live, NAMESPACE): live})
    api: Any = Server(live)
    return prove(api, state, [declared])[0], api


def config_map(value: str, **metadata: Any) -> Body:
    metadata = {"name": "texts", "namespace": NAMESPACE, **metadata}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"a": value}}


def test_finalizers_of_controllers_are_not_the_programs() -> None:
    found, _ = proof(config_map("x", finalizers=["example.com/keep", "service.k8s.aws/resources"]), config_map("x"))
    assert found.holds


def test_what_is_sent_is_read_as_yaml_and_keeps_every_character() -> None:
    text = "deployed by \U0001f916, ☃"
    found, server = proof(config_map(text), config_map(text))
    assert found.holds
    assert text.encode() in server.sent[0]


@pytest.mark.parametrize("character", ["\x7f", "\x85", "\x9b"])
def test_what_the_provider_could_not_send_is_refused_with_its_key(character: str) -> None:
    text = f"one{character}two"
    found, server = proof(config_map(text), config_map(text))
    assert not found.holds
    assert found.changes == ("data.a",)
    assert f"U+{ord(character):04X}" in found.refused
    assert not server.sent
