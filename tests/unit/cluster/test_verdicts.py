"""The project's own client comes to the same as kubectl about a kubeconfig, its credentials and a certificate."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from flowmaster.cluster.connection import ApiError, UnreachableError, connect
from flowmaster.cluster.transport import tls_context
from tests.unit.cluster import verdicts
from tests.unit.cluster.api_server import encoded, kubeconfig
from tests.unit.cluster.verdicts import CASES, Ground, Verdict


@dataclass(frozen=True)
class Target:
    context: str = "demo"
    request_timeout: int = 5


@pytest.fixture(scope="module")
def at(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    with verdicts.ground(tmp_path_factory.mktemp("servers")) as ground:
        yield ground


@pytest.mark.parametrize("name", CASES)
def test_each_case(at: Ground, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, verdict = CASES[name]
    write(at, tmp_path)
    for server in at.servers.values():
        server.asked.clear()
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "config"))
    if verdict.refused:
        with pytest.raises(ApiError) as caught, connect(Target()) as api:
            api.get("/api")
        assert 2 <= len(str(caught.value).splitlines()) <= 3
    else:
        with connect(Target()) as api:
            assert api.get("/api")["path"] == "/api"
    asked = [one for server in at.servers.values() for one in server.asked]
    seen = [Verdict(one.authorization, one.client, one.impersonation) for one in asked]
    assert seen == ([] if verdict.refused else [verdict])


@pytest.mark.parametrize(
    ("server", "words"),
    [
        ("name", "IP address mismatch, certificate is not valid for '127.0.0.1'"),
        ("expired", "certificate has expired"),
    ],
)
def test_a_server_that_is_not_the_one_says_why(
    at: Ground, server: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(at.authority.certificate)
    path = kubeconfig(tmp_path, at.servers[server].address, {}, certificate_authority_data=data)
    monkeypatch.setenv("KUBECONFIG", str(path))
    with (
        pytest.raises(UnreachableError, match="is not the one that the kubeconfig knows") as caught,
        connect(Target()) as api,
    ):
        api.get("/api")
    assert words in caught.value.found


def test_python_does_not_ask_more_of_an_authority_than_kubectl(at: Ground) -> None:
    """Python sets the strict flag since 3.13, and with it refuses an authority that says nothing of key usage."""
    context = tls_context(at.authority.certificate.read_bytes(), None)
    assert not context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.verify_flags & ssl.VERIFY_X509_PARTIAL_CHAIN
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


def test_the_strict_flag_would_have_refused_that_authority(at: Ground) -> None:
    """What the test above keeps off is real: the same handshake fails with the flag."""
    context = tls_context(at.authority.certificate.read_bytes(), None)
    context.verify_flags |= ssl.VERIFY_X509_STRICT
    with (
        socket.create_connection(("127.0.0.1", at.servers["address"].port), 5) as sock,
        pytest.raises(ssl.SSLCertVerificationError, match="key usage"),
    ):
        context.wrap_socket(sock, server_hostname="127.0.0.1")
