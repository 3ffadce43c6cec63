"""A Pulumi plugin spoken to directly, as the engine does: over gRPC, with an engine that only listens."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, struct_pb2
from google.protobuf.json_format import MessageToDict
from pulumi.runtime.proto import engine_pb2_grpc, provider_pb2, provider_pb2_grpc

from lab import tools

URN = "urn:pulumi:demo::flowmaster::{token}::check"


def installed(name: str) -> Path:
    """The newest plugin of that name that Pulumi would use here, official or built."""
    environment = {**os.environ, **tools.environment()}
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    found = sorted(home.glob(f"plugins/resource-{name}-v*/pulumi-resource-{name}"))
    assert found, f"no plugin {name} in {home}: run lab/bootstrap"
    return found[-1]


class _Engine(engine_pb2_grpc.EngineServicer):
    """Takes log messages and keeps them."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def Log(self, request: Any, context: Any) -> empty_pb2.Empty:  # noqa: N802  the protocol's name
        self.said.append(request.message)
        return empty_pb2.Empty()


@dataclass
class Plugin:
    """A running plugin, for resources of one type."""

    token: str
    stub: Any
    engine: _Engine
    _said: list[str] = field(default_factory=list)

    @property
    def urn(self) -> str:
        """The name under which the resource is asked for."""
        return URN.format(token=self.token)

    @property
    def said(self) -> str:
        """Everything that the plugin logged."""
        return "\n".join(self.engine.said)

    def schema(self) -> str:
        """The plugin's schema as JSON text."""
        return str(self.stub.GetSchema(provider_pb2.GetSchemaRequest()).schema)

    def check(self, inputs: dict[str, Any]) -> list[str]:
        """The properties that are refused."""
        answer = self.stub.Check(provider_pb2.CheckRequest(urn=self.urn, news=_struct(inputs), randomSeed=b"0" * 32))
        return [failure.property for failure in answer.failures]

    def create(self, inputs: dict[str, Any], *, preview: bool = False) -> tuple[str, dict[str, Any]]:
        """Id and outputs."""
        request = provider_pb2.CreateRequest(urn=self.urn, properties=_struct(inputs), preview=preview, name="check")
        answer = self.stub.Create(request)
        return answer.id, _plain(answer.properties)

    def diff(self, state: dict[str, Any], old: dict[str, Any], new: dict[str, Any]) -> tuple[bool, list[str]]:
        """Whether there is a change, and what it replaces."""
        request = provider_pb2.DiffRequest(
            id="check", urn=self.urn, olds=_struct(state), news=_struct(new), old_inputs=_struct(old)
        )
        answer = self.stub.Diff(request)
        return answer.changes == provider_pb2.DiffResponse.DIFF_SOME, list(answer.replaces)

    def update(
        self, state: dict[str, Any], old: dict[str, Any], new: dict[str, Any], *, preview: bool = False
    ) -> dict[str, Any]:
        """Outputs."""
        request = provider_pb2.UpdateRequest(
            id="check", urn=self.urn, olds=_struct(state), news=_struct(new), old_inputs=_struct(old), preview=preview
        )
        return _plain(self.stub.Update(request).properties)

    def delete(self, state: dict[str, Any]) -> None:
        """Nothing comes of it but an error, if there is one."""
        self.stub.Delete(provider_pb2.DeleteRequest(id="check", urn=self.urn, properties=_struct(state)))


@contextmanager
def running(name: str, token: str) -> Iterator[Plugin]:
    """The plugin that is installed, running."""
    engine = _Engine()
    server = grpc.server(ThreadPoolExecutor(2))
    engine_pb2_grpc.add_EngineServicer_to_server(engine, server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    with subprocess.Popen([installed(name), address], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            port = process.stdout.readline().strip()
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                stub = provider_pb2_grpc.ResourceProviderStub(channel)
                stub.Configure(provider_pb2.ConfigureRequest(acceptSecrets=True, acceptResources=True))
                yield Plugin(token, stub, engine)
        finally:
            process.terminate()
            server.stop(None)


def _struct(values: dict[str, Any]) -> struct_pb2.Struct:
    struct = struct_pb2.Struct()
    struct.update(values)
    return struct


def _plain(struct: struct_pb2.Struct) -> dict[str, Any]:
    found: dict[str, Any] = MessageToDict(struct)
    return found
