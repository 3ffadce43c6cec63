"""Credentials: what a helper is asked, when the next ones are fetched, and what is said where there are none."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from flowmaster.cluster.connection import Api, ApiError, connect
from flowmaster.cluster.credentials import TOKEN_FILE_AGE, Credentials
from flowmaster.cluster.kubeconfig import access
from tests.unit.cluster.api_server import ApiServer, Authority, asked, encoded, helper, kubeconfig, serving, spec
from tests.unit.cluster.verdicts import oidc

HTTPS = "https://api.example"


@dataclass(frozen=True)
class Target:
    context: str = "demo"
    request_timeout: int = 5


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def served(authority: Authority) -> Iterator[ApiServer]:
    with serving(authority.served("server", "IP:127.0.0.1")) as state:
        yield state


@pytest.fixture
def server(served: ApiServer) -> ApiServer:
    served.asked.clear()
    served.refused.clear()
    served.connections.clear()
    return served


def credentials(folder: Path, user: dict[str, Any], **cluster: Any) -> Credentials:
    return Credentials(access("demo", [kubeconfig(folder, HTTPS, user, **cluster)]))


def client(
    folder: Path, server: ApiServer, authority: Authority, user: dict[str, Any], patch: pytest.MonkeyPatch
) -> Api:
    data = encoded(authority.certificate)
    patch.setenv("KUBECONFIG", str(kubeconfig(folder, server.address, user, certificate_authority_data=data)))
    return connect(Target())


def later(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def test_what_a_helper_is_given(tmp_path: Path, authority: Authority) -> None:
    script = helper(tmp_path, {"token": "t"})
    user = spec(script, args=["get", "token"], env=[{"name": "GREETING", "value": "good day"}])
    assert credentials(tmp_path, user).get().authorization == "Bearer t"
    assert script.with_suffix(".called").read_text() == "good day get token"
    version = "client.authentication.k8s.io/v1"
    assert asked(script) == [{"kind": "ExecCredential", "apiVersion": version, "spec": {"interactive": False}}]


def test_a_helper_is_told_of_the_cluster_where_it_wants_to_know(tmp_path: Path, authority: Authority) -> None:
    script = helper(tmp_path, {"token": "t"})
    extensions = [
        {"name": "other", "extension": {"a": 1}},
        {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "demo"}},
    ]
    (tmp_path / "ca.crt").write_bytes(authority.certificate.read_bytes())
    more = {"certificate_authority": "ca.crt", "tls_server_name": "name", "extensions": extensions}
    credentials(tmp_path, spec(script, provideClusterInfo=True), **more).get()
    assert asked(script)[0]["spec"]["cluster"] == {
        "server": HTTPS,
        "tls-server-name": "name",
        "certificate-authority-data": encoded(authority.certificate),
        "config": {"audience": "demo"},
    }


def test_a_helper_is_asked_once_until_its_credentials_run_out(tmp_path: Path) -> None:
    script = helper(tmp_path, {"token": "t", "expirationTimestamp": later(600)})
    lasting = credentials(tmp_path, spec(script))
    for _ in range(3):
        lasting.get()
    assert len(asked(script)) == 1
    brief = helper(tmp_path, {"token": "t", "expirationTimestamp": later(-5)}, name="brief")
    short = credentials(tmp_path, spec(brief))
    for _ in range(3):
        short.get()
    assert len(asked(brief)) == 3


def test_a_helper_is_asked_again_where_the_server_refuses_what_it_gave(
    tmp_path: Path, server: ApiServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = helper(tmp_path, {"token": "old"})
    with client(tmp_path, server, authority, spec(script), monkeypatch) as api:
        api.get("/a")
        helper(tmp_path, {"token": "new"})
        server.refused.add("Bearer old")
        assert api.get("/b")["path"] == "/b"
        api.get("/c")
    assert [one.authorization for one in server.asked] == ["Bearer old", "Bearer old", "Bearer new", "Bearer new"]
    assert len(asked(script)) == 2


def test_a_refusal_of_the_new_ones_is_final(
    tmp_path: Path, server: ApiServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = helper(tmp_path, {"token": "old"})
    server.refused.add("Bearer old")
    with (
        client(tmp_path, server, authority, spec(script), monkeypatch) as api,
        pytest.raises(ApiError, match="401 Unauthorized"),
    ):
        api.get("/a")
    assert len(server.asked) == 2


def test_new_certificates_of_a_helper_are_used_on_new_connections(
    tmp_path: Path, server: ApiServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(name: str) -> dict[str, Any]:
        certificate, key = authority.sign(name, None, common=name)
        return {
            "clientCertificateData": certificate.read_text(),
            "clientKeyData": key.read_text(),
            "expirationTimestamp": later(-1),
        }

    script = helper(tmp_path, status("first"))
    with client(tmp_path, server, authority, spec(script), monkeypatch) as api:
        api.get("/a")
        helper(tmp_path, status("second"))
        api.get("/b")
    assert [one.client for one in server.asked] == ["first", "second"]


def test_a_token_file_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("one")
    found = credentials(tmp_path, {"tokenFile": "token"})
    assert found.get().authorization == "Bearer one"
    (tmp_path / "token").write_text("two")
    assert found.get().authorization == "Bearer one"
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + TOKEN_FILE_AGE + 1)
    assert found.get().authorization == "Bearer two"


def test_a_token_file_is_read_again_where_the_server_refuses_its_token(
    tmp_path: Path, server: ApiServer, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "token").write_text("old")
    with client(tmp_path, server, authority, {"tokenFile": "token"}, monkeypatch) as api:
        (tmp_path / "token").write_text("new")
        server.refused.add("Bearer old")
        assert api.get("/a")["path"] == "/a"


def test_the_token_that_kubectl_keeps_of_an_oidc_provider(tmp_path: Path) -> None:
    user = oidc(600)
    token = user["auth-provider"]["config"]["id-token"]
    assert credentials(tmp_path, user).get().authorization == f"Bearer {token}"


@pytest.mark.parametrize(
    ("user", "words"),
    [
        ({"tokenFile": "gone"}, "tokenFile .*/gone: No such file"),
        (spec("/bin/false"), "credential helper /bin/false ended with 1"),
        (spec("/bin/ls", args=["/nowhere"]), "ended with 2: .*No such file"),
        (
            spec("/gone", installHint="get it\n  \x1b[1mhere\x1b[0m"),
            r"helper /gone No such file or directory; get it \[1mhere",
        ),
        (spec("/bin/true"), "does not answer with an ExecCredential"),
        (spec("/bin/true", apiVersion="v1"), "exec.apiVersion is v1; allowed: client.auth"),
        (spec("/bin/true", interactiveMode="Sometimes"), "interactiveMode is Sometimes; allowed: Never, If"),
        (spec("/bin/true", interactiveMode="Always"), "wants to ask somebody"),
        ({"auth-provider": {"name": "gcp"}}, "auth-provider 'gcp' was removed from Kubernetes"),
        (oidc(5), "auth-provider oidc has run out; `kubectl get --raw /readyz` gets the next one"),
        ({"auth-provider": {"name": "oidc", "config": {"id-token": "x"}}}, "has run out"),
    ],
)
def test_credentials_that_are_not_usable(tmp_path: Path, user: dict[str, Any], words: str) -> None:
    with pytest.raises(ApiError, match=words) as caught:
        credentials(tmp_path, user).get()
    assert len(str(caught.value).splitlines()) == 3


def test_certificates_that_are_none_are_found_before_anything_is_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = base64.b64encode(b"nonsense").decode()
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, HTTPS, {}, certificate_authority_data=data)))
    with pytest.raises(ApiError, match="its certificates"):
        connect(Target())


def test_a_helper_whose_status_is_no_mapping(tmp_path: Path) -> None:
    script = helper(tmp_path, {"token": "t"})
    (tmp_path / "helper.answer").write_text(json.dumps({"apiVersion": "client.authentication.k8s.io/v1", "status": 1}))
    with pytest.raises(ApiError, match="does not answer with an ExecCredential"):
        credentials(tmp_path, spec(script)).get()
