"""The way to the API server: kubeconfigs, credentials, and every way in which it can fail."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowmaster.cluster.connection import Api, ApiError, UnreachableError, connect, identity
from flowmaster.cluster.kubeconfig import access


class Handler(BaseHTTPRequestHandler):
    """Answers by path; remembers what it was asked."""

    protocol_version = "HTTP/1.1"
    asked: list[tuple[str, str, str | None]]
    connections: set[Any]

    def do_GET(self) -> None:
        self.asked.append((self.command, self.path, self.headers.get("Authorization")))
        self.connections.add(self.client_address)
        status = 200
        body: dict[str, Any] = {"path": self.path, "metadata": {"uid": "the-uid"}}
        if "/refused/" in self.path:
            status, body = int(self.path.rpartition("/")[2]), {"message": "no\nway"}
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        # Closes without a word, as a server does with a connection that was idle for long.
        self.close_connection = "/last" in self.path

    def do_PATCH(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


@dataclass(frozen=True)
class Target:
    context: str = "demo"
    request_timeout: int = 2


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Handler.asked, Handler.connections = [], set()
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    httpd.daemon_threads = True
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    yield httpd
    httpd.shutdown()
    httpd.server_close()
    thread.join()


def kubeconfig(folder: Path, address: str, user: dict[str, Any], **cluster: Any) -> Path:
    """A kubeconfig with one context, demo."""
    path = folder / "config"
    document = {
        "clusters": [{"name": "c", "cluster": {"server": address, **cluster}}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "demo", "context": {"cluster": "c", "user": "u"}}],
    }
    path.write_text(yaml.safe_dump(document))
    return path


@pytest.fixture
def api(server: ThreadingHTTPServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    path = kubeconfig(tmp_path, f"http://127.0.0.1:{server.server_port}", {"token": "t0ken"})
    monkeypatch.setenv("KUBECONFIG", str(path))
    with connect(Target()) as connection:
        yield connection


def test_it_asks_with_the_credentials_and_keeps_the_connection(api: Api) -> None:
    assert api.get("/api", {"limit": 1, "x": "a b"})["path"] == "/api?limit=1&x=a+b"
    assert identity(api) == "the-uid"
    assert [auth for _, _, auth in Handler.asked] == ["Bearer t0ken"] * 2
    assert len(Handler.connections) == 1


def test_a_kept_connection_that_was_closed_is_replaced(api: Api) -> None:
    api.get("/last")
    assert api.get("/api")["path"] == "/api"


def test_what_changes_something_is_not_sent_twice(api: Api) -> None:
    api.get("/last")
    with pytest.raises(UnreachableError):
        api.request("PATCH", "/api", body=b"{}")
    assert [method for method, _, _ in Handler.asked] == ["GET"]


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


def entry(folder: Path, user: dict[str, Any]) -> str | None:
    return access("demo", [kubeconfig(folder, "https://x", user)]).authorization()


def test_each_sort_of_credential(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("from-file\n")
    helper = tmp_path / "helper"
    status = {"status": {"token": "from-helper"}}
    helper.write_text(f"#!/bin/sh\nprintf '%s' '{json.dumps(status)}'\n")
    helper.chmod(0o755)
    assert entry(tmp_path, {"token": "x"}) == "Bearer x"
    assert entry(tmp_path, {"tokenFile": "token"}) == "Bearer from-file"
    assert entry(tmp_path, {"username": "a", "password": "b"}) == f"Basic {base64.b64encode(b'a:b').decode()}"
    assert entry(tmp_path, {"exec": {"command": str(helper)}}) == "Bearer from-helper"
    assert entry(tmp_path, {}) is None


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"tokenFile": "gone"}, "tokenFile gone"),
        ({"exec": {"command": "/bin/false"}}, "credential helper /bin/false ended with 1"),
        ({"exec": {"command": "/gone"}}, "credential helper /gone: FileNotFoundError"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider"),
    ],
)
def test_a_credential_that_is_not_usable(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError, match=words):
        entry(tmp_path, user)


def test_certificates_that_are_none(tmp_path: Path) -> None:
    data = base64.b64encode(b"nonsense").decode()
    found = access("demo", [kubeconfig(tmp_path, "https://x", {}, **{"certificate-authority-data": data})])
    with pytest.raises(ApiError, match="its certificates"):
        found.tls()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "no such file"),
        ("a: [", "not valid YAML"),
        ("[]", "not a kubeconfig"),
        ("contexts: [1]", "contexts is not a list of names"),
        ("contexts: [{name: demi}]", r"no context 'demo' \(did you mean 'demi'\?\)"),
        ("contexts: [{name: demo, context: {cluster: c}}]", "names the cluster 'c', which is not there"),
    ],
)
def test_a_kubeconfig_that_is_not_usable(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "config"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ApiError, match=words) as caught:
        access("demo", [path])
    assert 2 <= len(str(caught.value).splitlines()) <= 3


def test_of_several_kubeconfigs_the_first_that_knows_counts(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.write_text("contexts: [{name: else, context: {cluster: c, user: u}}]")
    path = kubeconfig(tmp_path, "https://x", {"token": "t"})
    assert access("demo", [other, path]).server == "https://x"
    assert access("else", [other, path]).server == "https://x"
