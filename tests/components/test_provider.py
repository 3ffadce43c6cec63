"""What a dynamic provider's error becomes on its way through Pulumi's own server of such providers."""

from __future__ import annotations

import base64
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import dill
import grpc
import pytest
from google.protobuf import struct_pb2
from pulumi.dynamic import CreateResult
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from components.provider import Provider
from config.errors import UserError
from config.load import ROOT

WORDS_OF_OTHERS = r"Exception calling application: a fault of the code|Traceback .*\nValueError: a fault of the code\n"
"""Of gRPC, and of Pulumi from 3.272 on."""


class Refusing(Provider):
    """Refuses what is to be made, and fails where its own code has a fault."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        if props["fault"]:
            raise ValueError("a fault of the code")
        raise UserError("nginx does not take the site", "nothing was written", "correct `content`")


@pytest.fixture
def server() -> Iterator[provider_pb2_grpc.ResourceProviderStub]:
    """The process that Pulumi starts for dynamic providers; stops it in the end."""
    command = [sys.executable, "-u", "-m", "pulumi.dynamic"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        port = int(process.stdout.readline())
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
        process.terminate()
        assert process.stderr is not None
        process.stderr.read()


def said(server: provider_pb2_grpc.ResourceProviderStub, *, fault: bool) -> str:
    properties = struct_pb2.Struct()
    provider = base64.b64encode(dill.dumps(Refusing())).decode()
    properties.update({"__provider": provider, "fault": fault})
    with pytest.raises(grpc.RpcError) as caught:
        server.Create(provider_pb2.CreateRequest(properties=properties), timeout=60)
    assert caught.value.code() is grpc.StatusCode.UNKNOWN
    return str(caught.value.details())


def test_an_error_for_a_person_arrives_as_it_was_written(server: provider_pb2_grpc.ResourceProviderStub) -> None:
    assert said(server, fault=False) == "nginx does not take the site\nnothing was written\ncorrect `content`"


def test_any_other_error_still_gets_the_words_of_others(server: provider_pb2_grpc.ResourceProviderStub) -> None:
    """Once this fails, gRPC or Pulumi has changed, and :mod:`components.provider` may not be needed any more."""
    assert re.fullmatch(WORDS_OF_OTHERS, said(server, fault=True), re.DOTALL)


def test_outside_of_a_call_the_error_goes_on_as_it_is() -> None:
    with pytest.raises(UserError, match="nginx does not take the site"):
        Refusing().create({"fault": False})
