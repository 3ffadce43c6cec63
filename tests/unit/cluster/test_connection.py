"""Requests to the API server, and every way in which they can fail."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowmaster.cluster.connection import Api, ApiError, UnreachableError, connect, identity
from tests.unit.cluster.api_server import ApiServer, kubeconfig, serving


@dataclass(frozen=True)
class Target:
    context: str = "demo"
    request_timeout: int = 2


@pytest.fixture
def server() -> Iterator[ApiServer]:
    with serving() as state:
        yield state


@pytest.fixture
def api(server: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    path = kubeconfig(tmp_path, server.address, {"token": "t0ken"})
    monkeypatch.setenv("KUBECONFIG", str(path))
    with connect(Target()) as connection:
        yield connection


def test_it_asks_and_keeps_the_connection(api: Api, server: ApiServer) -> None:
    assert api.get("/api", {"limit": 1, "x": "a b"})["path"] == "/api?limit=1&x=a+b"
    assert identity(api) == "the-uid"
    assert len(server.connections) == 1


def test_a_kept_connection_that_was_closed_is_replaced(api: Api) -> None:
    api.get("/last")
    assert api.get("/api")["path"] == "/api"


def test_what_changes_something_is_not_sent_twice(api: Api, server: ApiServer) -> None:
    api.get("/last")
    with pytest.raises(UnreachableError):
        api.request("PATCH", "/api", body=b"{}")
    assert [one.method for one in server.asked] == ["GET"]


@pytest.mark.parametrize(("status", "remedy"), [(401, "not accepted"), (403, "may not do this"), (500, "")])
def test_a_refusal_says_what_the_server_said(api: Api, status: int, remedy: str) -> None:
    with pytest.raises(ApiError) as caught:
        api.get(f"/refused/{status}")
    assert caught.value.status == status
    assert f"{status} no way" in caught.value.found
    assert remedy in caught.value.remedy
    assert not isinstance(caught.value, UnreachableError)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("http://127.0.0.1:1", "connection refused"), ("http://k3s..example:1", "that is no name of a host")],
)
def test_nobody_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, reason: str) -> None:
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, address, {})))
    with connect(Target()) as connection, pytest.raises(UnreachableError) as caught:
        connection.get("/api")
    assert caught.value.found == f"the API server {address} does not answer: {reason}"
