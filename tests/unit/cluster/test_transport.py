"""The way to the server: proxies of the kubeconfig and of the environment."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from flowmaster.cluster.connection import ApiError, UnreachableError, connect
from flowmaster.cluster.transport import proxy_for, tls_context
from tests.unit.cluster.api_server import ApiServer, Authority, encoded, kubeconfig, serving
from tests.unit.cluster.proxies import proxy


@dataclass(frozen=True)
class Target:
    context: str = "demo"
    request_timeout: int = 5


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority.make(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[ApiServer]:
    with serving(authority.served("server", "DNS:api.example,IP:127.0.0.1")) as state:
        yield state


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize("kind", ["http", "socks5"])
@pytest.mark.parametrize("login", ["", "me:se%20cret@"])
def test_through_the_proxy_of_the_kubeconfig(
    kind: str, login: str, server: ApiServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(authority.certificate)
    with proxy(kind) as one:
        url = f"{kind}://{login}127.0.0.1:{one.port}"
        # A name that only the proxy knows, and a variable of the environment that does not count here.
        path = kubeconfig(
            tmp_path, f"https://api.example:{server.port}", {}, certificate_authority_data=data, proxy_url=url
        )
        monkeypatch.setenv("KUBECONFIG", str(path))
        monkeypatch.setenv("NO_PROXY", "*")
        with connect(Target()) as api:
            assert api.get("/a")["path"] == "/a"
            assert api.get("/b")["path"] == "/b"
        assert one.asked == [("api.example", server.port)]
        assert one.logins == (["me:se cret"] if login else [])


def test_through_the_proxy_of_the_environment(
    server: ApiServer, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = encoded(authority.certificate)
    address = f"https://api.example:{server.port}"
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path, address, {}, certificate_authority_data=data)))
    with proxy("http") as one:
        monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{one.port}")
        with connect(Target()) as api:
            assert api.get("/a")["path"] == "/a"
        assert one.asked == [("api.example", server.port)]


@pytest.mark.parametrize(("kind", "words"), [("http", "407"), ("socks5", "not allowed by its rules")])
def test_a_proxy_that_refuses_is_named(kind: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with proxy(kind) as one:
        one.refuse = True
        url = f"{kind}://me:hush@127.0.0.1:{one.port}"
        path = kubeconfig(tmp_path, "https://api.example:1", {}, proxy_url=url)
        monkeypatch.setenv("KUBECONFIG", str(path))
        with pytest.raises(UnreachableError) as caught, connect(Target()) as api:
            api.get("/a")
    assert f"through the proxy 127.0.0.1:{one.port} (proxy-url)" in caught.value.found
    assert words in caught.value.found
    assert "hush" not in str(caught.value)


def test_a_kind_of_proxy_that_is_not_known_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = kubeconfig(tmp_path, "https://api.example:1", {}, proxy_url="https://me:hush@proxy.example")
    monkeypatch.setenv("KUBECONFIG", str(path))
    with pytest.raises(ApiError, match="https proxies are not supported, only http and socks5") as caught:
        connect(Target())
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("server", "excepted", "through"),
    [
        ("https://api.example:6443", "", True),
        ("http://api.example", "", False),
        ("https://localhost:6443", "", False),
        ("https://127.0.0.9:6443", "", False),
        ("https://[::1]:6443", "", False),
        ("https://api.example", "*", False),
        ("https://api.example", "api.example", False),
        ("https://a.api.example", "other, API.example", False),
        ("https://a.api.example", ".api.example", False),
        ("https://api.example", ".api.example", True),
        ("https://a.api.example", "*.api.example", False),
        ("https://myapi.example", "api.example", True),
        ("https://api.example:6443", "api.example:6443", False),
        ("https://api.example:6443", "api.example:443", True),
        ("https://10.43.0.1", "10.43.0.0/16", False),
        ("https://10.44.0.1", "10.43.0.0/16", True),
        ("https://10.43.0.1", "10.43.0.1", False),
        ("https://10.43.0.1", "not/one,43.0.1", True),
        ("https://[fd00::1]:6443", "fd00::/8", False),
        ("https://[fd00::1]:6443", "fd00::1", False),
    ],
)
def test_which_servers_the_environments_proxy_is_for(
    server: str, excepted: str, through: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", excepted)
    found = proxy_for(urlsplit(server), None)
    assert (found is not None) == through
    if found:
        assert found.address == ("proxy.example", 3128)


def test_the_name_in_lower_case_counts_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "proxy.example")
    monkeypatch.setenv("no_proxy", "other.example")
    assert str(proxy_for(urlsplit("http://api.example"), None)) == "the proxy proxy.example:80 (http_proxy)"
    assert proxy_for(urlsplit("http://other.example"), None) is None


def test_an_authority_whose_file_has_comments(authority: Authority) -> None:
    text = "# Zertifizierungsstelle für alle\n".encode() + authority.certificate.read_bytes()
    assert tls_context(text, None).get_ca_certs()


def test_an_encrypted_key_is_refused_and_nobody_is_asked_for_its_password(authority: Authority) -> None:
    certificate, key = authority.sign("client", None)
    import subprocess

    encrypted = subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-passout", "pass:any"], check=True, capture_output=True
    ).stdout
    with pytest.raises(ValueError, match="the client key is encrypted"):
        tls_context(None, (certificate.read_bytes(), encrypted))
