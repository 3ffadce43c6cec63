"""The twin's certificates hold where certificates are verified by the letter of RFC 5280, as Python 3.13 does."""

import ipaddress
import ssl
from collections.abc import Mapping
from pathlib import Path

import pytest

from lab.twin import keys
from lab.twin.layout import Layout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    state = tmp_path_factory.mktemp("twin")
    layout = Layout(name="unit", subnet=ipaddress.IPv4Network("10.77.9.0/24"), state=state)
    keys.make(layout)
    return layout.keys


def context(folder: Path, protocol: int, own: str) -> ssl.SSLContext:
    made = ssl.SSLContext(protocol)
    made.load_verify_locations(folder / "ca.crt")
    made.load_cert_chain(folder / f"{own}.crt", folder / f"{own}.key")
    made.verify_mode = ssl.CERT_REQUIRED
    made.verify_flags |= ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN
    return made


def handshake(server: ssl.SSLContext, client: ssl.SSLContext, name: str) -> Mapping[str, object]:
    """Both ends in memory; returns the client's certificate as the server saw it."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        client.wrap_bio(to_client, to_server, server_hostname=name),
        server.wrap_bio(to_server, to_client, server_side=True),
    )
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
    return ends[1].getpeercert() or {}


@pytest.mark.parametrize("name", ["10.77.9.2", "127.0.0.1", "kubernetes.default.svc"])
def test_server_and_client_accept_each_other_strictly(folder: Path, name: str) -> None:
    server = context(folder, ssl.PROTOCOL_TLS_SERVER, "apiserver")
    client = context(folder, ssl.PROTOCOL_TLS_CLIENT, "admin")
    seen = handshake(server, client, name)
    assert seen["subject"] == ((("organizationName", "system:masters"),), (("commonName", "system:admin"),))


def test_a_certificate_is_for_its_side_only(folder: Path) -> None:
    client = context(folder, ssl.PROTOCOL_TLS_CLIENT, "admin")
    with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
        handshake(context(folder, ssl.PROTOCOL_TLS_SERVER, "admin"), client, "10.77.9.2")


def test_what_only_served_to_make_them_is_gone(folder: Path) -> None:
    assert {path.suffix for path in folder.iterdir()} == {".crt", ".key", ".pub", ""}
